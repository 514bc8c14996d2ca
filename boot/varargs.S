/*
 * C functions with variable arguments, for modules.
 *
 *   In        r3..    the fixed arguments, then the variable ones up to r10;
 *             32(r1)  the parameter save area, which a caller of a function with
 *                     variable arguments always provides
 *   Out       r3      as the Rust function behind it returns
 *   Clobbers  as any call
 *   Stack     stores the variable registers into the caller's parameter save
 *             area, where the rest of the arguments already lies: one array
 *   Context   any
 *   Spec      ELFv2 ABI, "Parameter Save Area", "Variable Argument Lists"
 *
 * The Rust function takes the address of that array in place of the variable
 * arguments. Its own address is in machine::varargs::TARGETS, which the kernel
 * fills at boot: this folder knows nothing of the kernel's. A `va_list` of this ABI is the same address, so the `v` forms
 * (vsnprintf) need nothing from here.
 */
        .macro  VARARGS name, slot, fixed, array
        .section .text.\name, "ax", @progbits
        .balign 16
        .global \name
        .type   \name, @function
\name:
        addis   %r2, %r12, (.TOC. - \name)@ha
        addi    %r2, %r2, (.TOC. - \name)@l
        .localentry \name, . - \name
        .if \fixed < 2
        std     %r4, 40(%r1)
        .endif
        .if \fixed < 3
        std     %r5, 48(%r1)
        .endif
        std     %r6, 56(%r1)
        std     %r7, 64(%r1)
        std     %r8, 72(%r1)
        std     %r9, 80(%r1)
        std     %r10, 88(%r1)
        addi    \array, %r1, 32 + 8 * \fixed
        addis   %r12, %r2, ({targets} + 8 * \slot)@toc@ha
        ld      %r12, ({targets} + 8 * \slot)@toc@l(%r12)
        mtctr   %r12
        bctr
        .size   \name, . - \name
        .endm

        VARARGS _printk, 0, 1, %r4
        VARARGS __warn_printk, 0, 1, %r4
        VARARGS sprintf, 1, 2, %r5
        VARARGS __dynamic_pr_debug, 2, 2, %r5
        VARARGS snprintf, 3, 3, %r6
        VARARGS scnprintf, 4, 3, %r6
        VARARGS seq_printf, 5, 2, %r5
