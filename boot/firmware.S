/*
 * firmware_call - one call into Open Firmware or RTAS.
 *
 *   In        r3      argument array: 32-bit big-endian cells, below 4 GiB
 *             r4      second argument (RTAS: its base address; Open Firmware: unused)
 *             r5      entry address, below 4 GiB
 *   Out       r3      what the firmware returned, 32 bits
 *   Clobbers  r0 r4-r12 ctr xer cr0 cr1 cr5-cr7
 *   Keeps     r1 r2 r13-r31 lr cr2-cr4 msr; all 64 bits of each, although the
 *             firmware is a 32-bit program that knows nothing of upper halves
 *   Stack     {FRAME} bytes, below 4 GiB
 *   Context   real mode on return as on entry; interrupts off
 *   Spec      IEEE 1275 PowerPC binding, "Client interface"; LoPAPR 7.2 (RTAS)
 *
 * Runs the firmware in 32-bit big-endian real mode, which both SLOF and PowerVM
 * take. It returns by blr, still big-endian: the swapped words bring us back.
 */
        .section .text.firmware_call, "ax", @progbits
        .balign 16
        .global firmware_call
        .type   firmware_call, @function
firmware_call:
        mflr    %r0
        std     %r0, 16(%r1)
        mfcr    %r0
        std     %r0, 8(%r1)
        stdu    %r1, -{FRAME}(%r1)
        std     %r2, 32(%r1)
        std     %r13, 40(%r1)
        std     %r14, 48(%r1)
        std     %r15, 56(%r1)
        std     %r16, 64(%r1)
        std     %r17, 72(%r1)
        std     %r18, 80(%r1)
        std     %r19, 88(%r1)
        std     %r20, 96(%r1)
        std     %r21, 104(%r1)
        std     %r22, 112(%r1)
        std     %r23, 120(%r1)
        std     %r24, 128(%r1)
        std     %r25, 136(%r1)
        std     %r26, 144(%r1)
        std     %r27, 152(%r1)
        std     %r28, 160(%r1)
        std     %r29, 168(%r1)
        std     %r30, 176(%r1)
        std     %r31, 184(%r1)
        mfmsr   %r9
        std     %r9, 192(%r1)

        bcl     20, 31, firmware_here
firmware_here:
        mflr    %r10
        addi    %r10, %r10, firmware_return - firmware_here
        mtlr    %r10
        /* Keep ME and FP alone: without SF, LE, EE, IR and DR. */
        andi.   %r9, %r9, {MSR_KEEP}
        mtsrr0  %r5
        mtsrr1  %r9
        rfid
firmware_return:
        turn_little_endian
        clrldi  %r1, %r1, 32
        ld      %r9, 192(%r1)
        mtmsrd  %r9
        isync
        ld      %r2, 32(%r1)
        ld      %r13, 40(%r1)
        ld      %r14, 48(%r1)
        ld      %r15, 56(%r1)
        ld      %r16, 64(%r1)
        ld      %r17, 72(%r1)
        ld      %r18, 80(%r1)
        ld      %r19, 88(%r1)
        ld      %r20, 96(%r1)
        ld      %r21, 104(%r1)
        ld      %r22, 112(%r1)
        ld      %r23, 120(%r1)
        ld      %r24, 128(%r1)
        ld      %r25, 136(%r1)
        ld      %r26, 144(%r1)
        ld      %r27, 152(%r1)
        ld      %r28, 160(%r1)
        ld      %r29, 168(%r1)
        ld      %r30, 176(%r1)
        ld      %r31, 184(%r1)
        addi    %r1, %r1, {FRAME}
        ld      %r0, 8(%r1)
        mtcrf   0x38, %r0               /* cr2-cr4 */
        ld      %r0, 16(%r1)
        mtlr    %r0
        clrldi  %r3, %r3, 32
        blr
        .size   firmware_call, . - firmware_call
