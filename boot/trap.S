/*
 * Exception entry and exit.
 *
 * An exception arrives in real mode with interrupts off at a fixed low address.
 * Each vector saves what it needs in the PACA, which it finds through SPRG0:
 * nothing that the interrupted code owns is believed, neither r13 nor r2 nor,
 * before it has been checked, r1.
 *
 *   0x100.. trap_vector  (a copy each) -> 0x2000.. trap_low (a copy) -> trap_entry
 *                       (hypervisor's) -> 0x2000 trap_low_hypervisor --'
 *
 * The pieces below up to trap_low_end are copied to low memory by
 * machine::trap::install, which fills in the vector number and the branch.
 */
        .section .text.trap, "ax", @progbits
        .balign 16
        .global trap_vector
trap_vector:
        mtspr   {SPRG1}, %r13
        mfspr   %r13, {SPRG0}
        std     %r12, {EXC_R12}(%r13)
        .global trap_vector_number
trap_vector_number:
        li      %r12, 0                 /* filled in: the vector */
        .global trap_vector_branch
trap_vector_branch:
        b       trap_vector_branch      /* filled in: to the copy of trap_low */
        .global trap_vector_end
trap_vector_end:

        /* A hypervisor's own vectors: what interrupted it is in registers of their own.
           Such an interrupt comes with MSR[EE] on, so never while srr0 and srr1 are in
           use, or at an instruction that asks for it. */
        .global trap_low_hypervisor
trap_low_hypervisor:
        std     %r11, {EXC_R11}(%r13)
        mfspr   %r11, {HSRR0}
        mtsrr0  %r11
        mfspr   %r11, {HSRR1}
        mtsrr1  %r11
        b       trap_low_saved
        .global trap_low
trap_low:
        std     %r11, {EXC_R11}(%r13)
trap_low_saved:
        mfctr   %r11
        std     %r11, {EXC_CTR}(%r13)
        ld      %r11, {TRAP_ENTRY}(%r13)
        mtctr   %r11
        bctr
        .global trap_low_end
trap_low_end:

/*
 * trap_entry - builds a TrapFrame and calls machine::trap::handle.
 *
 *   In        r12     vector number
 *             r13     PACA; its save area holds r11, r12 and ctr, SPRG1 the old r13
 *   Out       every register as the TrapFrame has it when the handler returns
 *   Stack     below r1 if r1 lies in this CPU's stack or emergency stack, else
 *             the emergency stack from its top. While a call runs its frames are
 *             below PACA.job_sp: an r1 above that is a lost one, and the kernel's
 *             frames there must survive. Skips {PROTECTED_ZONE} bytes: compiled
 *             code stores registers below r1 before it moves r1
 *   Guard     what is in here calls no Rust before trap_guarded (qemu/test_image.py)
 *   Context   real mode, interrupts off; the handler runs with PACA.kernel_msr
 *   Spec      Power ISA Book III, "Interrupts"; ELFv2 ABI, "Protected Zone"
 */
        .balign 16
        .global trap_entry
        .type   trap_entry, @function
trap_entry:
        std     %r10, {EXC_R10}(%r13)
        mfcr    %r10
        std     %r10, {EXC_CR}(%r13)
        ld      %r11, {STACK_LOW}(%r13)
        cmpld   %r1, %r11
        blt     trap_not_stack
        ld      %r11, {STACK_HIGH}(%r13)
        cmpld   %r1, %r11
        bge     trap_not_stack
        ld      %r11, {JOB_SP}(%r13)
        cmpdi   %r11, 0
        beq     trap_below_r1
        cmpld   %r1, %r11
        ble     trap_below_r1
        b       trap_fresh
trap_not_stack:
        ld      %r11, {EMERGENCY_LOW}(%r13)
        cmpld   %r1, %r11
        blt     trap_fresh
        ld      %r11, {EMERGENCY_HIGH}(%r13)
        cmpld   %r1, %r11
        blt     trap_below_r1
trap_fresh:
        ld      %r11, {EMERGENCY_HIGH}(%r13)
        addi    %r11, %r11, -{FRAME}
        b       trap_save
trap_below_r1:
        addi    %r11, %r1, -({PROTECTED_ZONE} + {FRAME})
        clrrdi  %r11, %r11, 4
trap_save:
        std     %r0, {GPR}+0(%r11)
        std     %r1, {GPR}+8(%r11)
        std     %r2, {GPR}+16(%r11)
        std     %r3, {GPR}+24(%r11)
        std     %r4, {GPR}+32(%r11)
        std     %r5, {GPR}+40(%r11)
        std     %r6, {GPR}+48(%r11)
        std     %r7, {GPR}+56(%r11)
        std     %r8, {GPR}+64(%r11)
        std     %r9, {GPR}+72(%r11)
        std     %r14, {GPR}+112(%r11)
        std     %r15, {GPR}+120(%r11)
        std     %r16, {GPR}+128(%r11)
        std     %r17, {GPR}+136(%r11)
        std     %r18, {GPR}+144(%r11)
        std     %r19, {GPR}+152(%r11)
        std     %r20, {GPR}+160(%r11)
        std     %r21, {GPR}+168(%r11)
        std     %r22, {GPR}+176(%r11)
        std     %r23, {GPR}+184(%r11)
        std     %r24, {GPR}+192(%r11)
        std     %r25, {GPR}+200(%r11)
        std     %r26, {GPR}+208(%r11)
        std     %r27, {GPR}+216(%r11)
        std     %r28, {GPR}+224(%r11)
        std     %r29, {GPR}+232(%r11)
        std     %r30, {GPR}+240(%r11)
        std     %r31, {GPR}+248(%r11)
        ld      %r10, {EXC_R10}(%r13)
        std     %r10, {GPR}+80(%r11)
        ld      %r10, {EXC_R11}(%r13)
        std     %r10, {GPR}+88(%r11)
        ld      %r10, {EXC_R12}(%r13)
        std     %r10, {GPR}+96(%r11)
        mfspr   %r10, {SPRG1}
        std     %r10, {GPR}+104(%r11)
        ld      %r10, {EXC_CR}(%r13)
        std     %r10, {CR}(%r11)
        ld      %r10, {EXC_CTR}(%r13)
        std     %r10, {CTR}(%r11)
        mflr    %r10
        std     %r10, {LR}(%r11)
        mfxer   %r10
        std     %r10, {XER}(%r11)
        mfsrr0  %r10
        std     %r10, {NIP}(%r11)
        mfsrr1  %r10
        std     %r10, {MSR}(%r11)
        mfspr   %r10, {SPR_DAR}
        std     %r10, {DAR}(%r11)
        mfspr   %r10, {SPR_DSISR}
        std     %r10, {DSISR}(%r11)
        std     %r12, {VECTOR}(%r11)
        std     %r1, 0(%r11)
        mr      %r1, %r11
        ld      %r2, {KERNEL_TOC}(%r13)
        /* Translation as the kernel runs with it; addresses stay the same. With
           it comes RI: what was interrupted is in the frame. */
        ld      %r10, {KERNEL_MSR}(%r13)
        mtmsrd  %r10
        isync
        /* A load or store of a recorder that faults, unless its stack is at its end:
           the ring is no longer believed. What reports the fault may be traced
           itself, and must not meet it again. Nothing has been called yet. */
        cmpdi   %r12, 0x300
        beq     trap_of_data
        cmpdi   %r12, 0x380
        beq     trap_of_data
        cmpdi   %r12, 0x600
        bne     trap_guarded
trap_of_data:
        ld      %r10, {NIP}(%r1)
        addis   %r11, %r2, hook_text_start@toc@ha
        addi    %r11, %r11, hook_text_start@toc@l
        cmpld   %r10, %r11
        blt     trap_guarded
        addis   %r11, %r2, hook_recorders_end@toc@ha
        addi    %r11, %r11, hook_recorders_end@toc@l
        cmpld   %r10, %r11
        bge     trap_guarded
        ld      %r10, {DAR}(%r1)
        ld      %r11, {GPR}+8(%r1)
        subf    %r10, %r10, %r11
        cmpldi  %r10, 64
        ble     trap_guarded
        .global trap_in_hook
trap_in_hook:
        li      %r10, 0
        std     %r10, {RING_BASE}(%r13)
        std     %r10, {RING_WANTED}(%r13)
        .global trap_guarded
trap_guarded:
        ld      %r31, {RING_HEAD}(%r13) /* the frame has the interrupted one */
        addi    %r3, %r1, {REGS}
        bl      {handle}
        .global trap_return
trap_return:                            /* the unwinder knows a trap frame by this address */
        /* What was recorded in a tick is marked when the tick is over: so that costs
           those who record nothing. */
        ld      %r10, {VECTOR}(%r1)
        cmpdi   %r10, 0x900
        bne     trap_marked
        ld      %r12, {RING_BASE}(%r13)
        cmpdi   %r12, 0
        beq     trap_marked             /* nothing is recorded, or not any more */
        ld      %r11, {RING_MASK}(%r13)
trap_mark:
        ld      %r10, {RING_HEAD}(%r13)
        cmpld   %r31, %r10
        bge     trap_marked
        and     %r10, %r31, %r11
        sldi    %r10, %r10, {RECORD_SHIFT}
        add     %r10, %r10, %r12
        lbz     %r9, {RECORD_STATE}(%r10)
        ori     %r9, %r9, {IN_TICK}
        stb     %r9, {RECORD_STATE}(%r10)
        addi    %r31, %r31, 1
        b       trap_mark
trap_marked:
        /* A reservation of the interrupted code must not survive. */
        addi    %r3, %r1, 16
        stdcx.  %r3, 0, %r3
        li      %r0, 0
        mtmsrd  %r0, 1                  /* RI off: srr0 and srr1 are in use from here */
        ld      %r0, {CR}(%r1)
        mtcrf   0xff, %r0
        ld      %r0, {CTR}(%r1)
        mtctr   %r0
        ld      %r0, {LR}(%r1)
        mtlr    %r0
        ld      %r0, {XER}(%r1)
        mtxer   %r0
        ld      %r0, {NIP}(%r1)
        mtsrr0  %r0
        ld      %r0, {MSR}(%r1)
        mtsrr1  %r0
        ld      %r0, {GPR}+0(%r1)
        ld      %r2, {GPR}+16(%r1)
        ld      %r3, {GPR}+24(%r1)
        ld      %r4, {GPR}+32(%r1)
        ld      %r5, {GPR}+40(%r1)
        ld      %r6, {GPR}+48(%r1)
        ld      %r7, {GPR}+56(%r1)
        ld      %r8, {GPR}+64(%r1)
        ld      %r9, {GPR}+72(%r1)
        ld      %r10, {GPR}+80(%r1)
        ld      %r11, {GPR}+88(%r1)
        ld      %r12, {GPR}+96(%r1)
        ld      %r13, {GPR}+104(%r1)
        ld      %r14, {GPR}+112(%r1)
        ld      %r15, {GPR}+120(%r1)
        ld      %r16, {GPR}+128(%r1)
        ld      %r17, {GPR}+136(%r1)
        ld      %r18, {GPR}+144(%r1)
        ld      %r19, {GPR}+152(%r1)
        ld      %r20, {GPR}+160(%r1)
        ld      %r21, {GPR}+168(%r1)
        ld      %r22, {GPR}+176(%r1)
        ld      %r23, {GPR}+184(%r1)
        ld      %r24, {GPR}+192(%r1)
        ld      %r25, {GPR}+200(%r1)
        ld      %r26, {GPR}+208(%r1)
        ld      %r27, {GPR}+216(%r1)
        ld      %r28, {GPR}+224(%r1)
        ld      %r29, {GPR}+232(%r1)
        ld      %r30, {GPR}+240(%r1)
        ld      %r31, {GPR}+248(%r1)
        ld      %r1, {GPR}+8(%r1)
        rfid
        .size   trap_entry, . - trap_entry
