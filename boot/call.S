/*
 * guarded_call - calls a function of a module such that a fault in it comes back here.
 *
 *   In        r3      address of a machine::call::Request
 *   Out       r3      0: the function returned, its r3 is in the request; 1: it was ended
 *   Clobbers  r0 r3-r12 ctr xer cr0 cr1 cr5-cr7
 *   Keeps     r1 r2 r13-r31 lr cr2-cr4, also when the function did not
 *   Stack     {FRAME} bytes, then 32 and 8 bytes an argument (8 at least):
 *             32(r1) the request, 40(r1) the job that was running before
 *   Context   any; on return with the PACA's MSR, so interrupts off. The trap handler ends a job by going on at guarded_abort
 *             with r1 = PACA.job_sp
 *   Spec      ELFv2 ABI, "Parameter Passing", "Function Linkage"
 */
        .section .text.guarded_call, "ax", @progbits
        .balign 16
        .global guarded_call
        .type   guarded_call, @function
guarded_call:
        mflr    %r0
        std     %r0, 16(%r1)
        mfcr    %r0
        std     %r0, 8(%r1)
        std     %r14, -144(%r1)
        std     %r15, -136(%r1)
        std     %r16, -128(%r1)
        std     %r17, -120(%r1)
        std     %r18, -112(%r1)
        std     %r19, -104(%r1)
        std     %r20, -96(%r1)
        std     %r21, -88(%r1)
        std     %r22, -80(%r1)
        std     %r23, -72(%r1)
        std     %r24, -64(%r1)
        std     %r25, -56(%r1)
        std     %r26, -48(%r1)
        std     %r27, -40(%r1)
        std     %r28, -32(%r1)
        std     %r29, -24(%r1)
        std     %r30, -16(%r1)
        std     %r31, -8(%r1)
        stdu    %r1, -{FRAME}(%r1)
        std     %r2, 24(%r1)
        std     %r3, 32(%r1)
        ld      %r0, {JOB_SP}(%r13)
        std     %r0, 40(%r1)
        std     %r1, {JOB_SP}(%r13)
        mr      %r31, %r1

        ld      %r4, {REQUEST_ARGC}(%r3)    /* 8 or more */
        ld      %r5, {REQUEST_ARGV}(%r3)
        ld      %r12, {REQUEST_ENTRY}(%r3)
        sldi    %r6, %r4, 3
        addi    %r6, %r6, 32 + 15
        clrrdi  %r6, %r6, 4
        neg     %r6, %r6
        stdux   %r1, %r1, %r6
        mtctr   %r4
        addi    %r5, %r5, -8
        addi    %r6, %r1, 32 - 8
guarded_copy:
        ldu     %r0, 8(%r5)
        stdu    %r0, 8(%r6)
        bdnz    guarded_copy
        ld      %r3, 32(%r1)
        ld      %r4, 40(%r1)
        ld      %r5, 48(%r1)
        ld      %r6, 56(%r1)
        ld      %r7, 64(%r1)
        ld      %r8, 72(%r1)
        ld      %r9, 80(%r1)
        ld      %r10, 88(%r1)
        mtctr   %r12
        bctrl
        .global guarded_return
guarded_return:
        mfspr   %r13, {SPRG0}
        ld      %r1, {JOB_SP}(%r13)
        ld      %r4, {KERNEL_MSR}(%r13)
        mtmsrd  %r4                     /* whatever the module made of it; EE is off */
        isync
        ld      %r4, 32(%r1)
        std     %r3, {REQUEST_RESULT}(%r4)
        li      %r3, 0
        b       guarded_out
        .global guarded_abort
guarded_abort:
        li      %r3, 1
guarded_out:
        ld      %r0, 40(%r1)
        std     %r0, {JOB_SP}(%r13)
        ld      %r2, 24(%r1)
        addi    %r1, %r1, {FRAME}
        ld      %r14, -144(%r1)
        ld      %r15, -136(%r1)
        ld      %r16, -128(%r1)
        ld      %r17, -120(%r1)
        ld      %r18, -112(%r1)
        ld      %r19, -104(%r1)
        ld      %r20, -96(%r1)
        ld      %r21, -88(%r1)
        ld      %r22, -80(%r1)
        ld      %r23, -72(%r1)
        ld      %r24, -64(%r1)
        ld      %r25, -56(%r1)
        ld      %r26, -48(%r1)
        ld      %r27, -40(%r1)
        ld      %r28, -32(%r1)
        ld      %r29, -24(%r1)
        ld      %r30, -16(%r1)
        ld      %r31, -8(%r1)
        ld      %r0, 8(%r1)
        mtcrf   0x38, %r0
        ld      %r0, 16(%r1)
        mtlr    %r0
        blr
        .size   guarded_call, . - guarded_call
