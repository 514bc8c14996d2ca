/*
 * opal_call - one call of the firmware of a bare machine (OPAL, which is skiboot).
 *
 *   In        r3      token (machine::platform::opal)
 *             r4-r6   arguments; addresses are real ones
 *             r7      address of two u64: base and entry of OPAL
 *   Out       r3      status: 0 is success, negative is an error
 *   Clobbers  r0 r4-r12 ctr xer cr0 cr1 cr5-cr7
 *   Keeps     r1 r2 r13-r31 lr cr2-cr4 msr
 *   Stack     64 bytes; OPAL has stacks of its own
 *   Context   hypervisor; translation on or off, interrupts on or off (off meanwhile)
 *   Spec      skiboot doc/opal-api, "OPAL call ABI"
 *
 * OPAL runs big-endian in real mode and returns by blr: the swapped words bring us back.
 */
        .section .text.opal_call, "ax", @progbits
        .balign 16
        .global opal_call
        .type   opal_call, @function
opal_call:
        mflr    %r0
        std     %r0, 16(%r1)
        mfcr    %r0
        std     %r0, 8(%r1)
        stdu    %r1, -64(%r1)
        std     %r2, 32(%r1)
        std     %r13, 40(%r1)
        mfmsr   %r9
        std     %r9, 48(%r1)
        mr      %r0, %r3
        mr      %r3, %r4
        mr      %r4, %r5
        mr      %r5, %r6
        ld      %r2, 0(%r7)
        ld      %r12, 8(%r7)
        bcl     20, 31, opal_here
opal_here:
        mflr    %r10
        addi    %r10, %r10, opal_return - opal_here
        mtlr    %r10
        li      %r10, 0
        mtmsrd  %r10, 1                 /* EE and RI off: srr0 and srr1 are in use */
        mfmsr   %r9
        li      %r10, {MSR_OFF}
        andc    %r9, %r9, %r10
        mtsrr0  %r12
        mtsrr1  %r9
        rfid
opal_return:
        turn_little_endian
        ld      %r9, 48(%r1)
        mtmsrd  %r9
        isync
        ld      %r2, 32(%r1)
        ld      %r13, 40(%r1)
        addi    %r1, %r1, 64
        ld      %r0, 8(%r1)
        mtcrf   0x38, %r0               /* cr2-cr4 */
        ld      %r0, 16(%r1)
        mtlr    %r0
        blr
        .size   opal_call, . - opal_call

/*
 * opal_secondary_start - where OPAL starts every CPU but the first.
 *
 *   In        nothing: OPAL hands no argument on. machine::platform::powernv::STARTED
 *             has the number of the CPU that may go on, and its PACA
 *   Out       never returns: goes on in secondary_start, with the PACA in r3
 *   Clobbers  everything
 *   Context   real mode, interrupts off, 64-bit, either endianness
 *   Spec      skiboot doc/opal-api, "OPAL_START_CPU"
 *
 * All come at once and wait for their number; one that comes too late waits for ever.
 */
        .section .text.opal_secondary_start, "ax", @progbits
        .balign 256
        .global opal_secondary_start
        .type   opal_secondary_start, @function
opal_secondary_start:
        .long   0x08000048              /* as in boot/entry.S: either endianness */
        b       opal_secondary_le
        turn_little_endian
opal_secondary_le:
        bcl     20, 31, opal_secondary_here
opal_secondary_here:
        mflr    %r4
        addis   %r4, %r4, ({started} - opal_secondary_here)@ha
        addi    %r4, %r4, ({started} - opal_secondary_here)@l
        mfspr   %r5, {PIR}
opal_secondary_wait:
        or      %r1, %r1, %r1           /* low priority; no stack is in use */
        ld      %r3, 0(%r4)
        cmpld   %r3, %r5
        bne     opal_secondary_wait
        or      %r2, %r2, %r2
        lwsync
        ld      %r3, 8(%r4)
        b       secondary_start
        .size   opal_secondary_start, . - opal_secondary_start
