/*
 * hv_call - one hypervisor call: up to 4 arguments in, 8 results out.
 *
 *   In        r3      call number (machine::platform::hcall)
 *             r4-r7   arguments
 *             r8      address of eight u64, 8-byte aligned
 *   Out       r3      status: 0 is H_SUCCESS, negative is an error
 *             [r8]    r4-r11 as the hypervisor left them, also after an error
 *   Clobbers  r0 r4-r12 ctr xer cr0 cr1 cr5-cr7
 *   Keeps     r1 r2 r13-r31 lr cr2-cr4
 *   Stack     48 bytes; 40(r1) holds r8 and the ABI slot holds lr, because
 *             neither is promised to survive `sc 1`
 *   Context   MMU on or off, interrupts on or off
 *   Spec      LoPAPR, "Hypervisor Call Functions"
 */
        .section .text.hv_call, "ax", @progbits
        .balign 16
        .global hv_call
        .type   hv_call, @function
hv_call:
        mflr    %r0
        std     %r0, 16(%r1)
        stdu    %r1, -48(%r1)
        std     %r8, 40(%r1)
        sc      1
        ld      %r12, 40(%r1)
        std     %r4,  0(%r12)
        std     %r5,  8(%r12)
        std     %r6, 16(%r12)
        std     %r7, 24(%r12)
        std     %r8, 32(%r12)
        std     %r9, 40(%r12)
        std     %r10, 48(%r12)
        std     %r11, 56(%r12)
        addi    %r1, %r1, 48
        ld      %r0, 16(%r1)
        mtlr    %r0
        blr
        .size   hv_call, . - hv_call
