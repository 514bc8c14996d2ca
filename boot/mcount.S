/*
 * What a call site runs through when it is switched on, and the shadow stack.
 *
 * A site of `-mprofile-kernel` or of a patchable entry calls its module's
 * profiling stub before the function has a frame or a TOC:
 *
 *   function:  addis/addi r2    (or not: a leaf runs with somebody else's r2)
 *              mflr  r0
 *              bl    stub  -->  r12 = _mcount; mtctr; bctr  -->  _mcount
 *              ...        <------------------------------------  bctr
 *
 * So r0 is the return address into the caller, LR the way back, and r2 belongs
 * to whoever is running: nothing here reads it or writes 24(r1).
 *
 * Scratch lies below r1, in the protected zone: the function has stored nothing
 * there yet, and exception entry steps over it.
 */

/*
 * RECORD - writes one record into this CPU's ring.
 *
 *   In        r12     address behind the call in the site or stub
 *             LR      the address that the traced function returns to
 *   Clobbers  r0 r9 r10 r11 cr0
 *   Order     head (reserved) before the fields, the fields before seq: a reader
 *             on another CPU trusts a record only if seq is its own and head
 *             has not come round to it (trace::ring)
 */
        .macro  RECORD skip
        ld      %r9, {RING_BASE}(%r13)
        cmpdi   %r9, 0
        beq     \skip                   /* no ring: tracing is off */
        addi    %r11, %r13, {RING_HEAD}
.Lreserve\@:
        ldarx   %r10, 0, %r11
        addi    %r0, %r10, 1
        stdcx.  %r0, 0, %r11
        bne-    .Lreserve\@
        lwsync
        ld      %r11, {RING_MASK}(%r13)
        and     %r10, %r10, %r11
        sldi    %r10, %r10, {RECORD_SHIFT}
        add     %r9, %r9, %r10
        mftb    %r10
        std     %r10, {RECORD_TIME}(%r9)
        std     %r12, {RECORD_IP}(%r9)
        mflr    %r10
        std     %r10, {RECORD_PARENT}(%r9)
        lwsync
        std     %r0, {RECORD_SEQ}(%r9)
        .endm

/*
 * _mcount - the tracer of early sites; also the name that modules import.
 *
 *   In        r0      return address into the traced function's caller
 *             LR      where to go on (site + 4, or behind the bl of a stub)
 *             r13     PACA
 *   Out       goes on at LR with LR = r0, r0 as it was
 *   Clobbers  r12 ctr cr0
 *   Keeps     all else; r3-r11 hold arguments and the static chain
 *   Stack     24 bytes below r1
 *   Context   any; does not call anything
 *   Spec      gcc -mprofile-kernel; ELFv2 ABI, "Protected Zone"
 */
        .section .text.mcount, "ax", @progbits
        .balign 128
        .global hook_text_start
hook_text_start:
        .global _mcount
        .type   _mcount, @function
_mcount:
        mflr    %r12
        mtctr   %r12
        mtlr    %r0
        std     %r9, -8(%r1)
        std     %r10, -16(%r1)
        std     %r11, -24(%r1)
        RECORD  mcount_out
mcount_out:
        mflr    %r0
        ld      %r9, -8(%r1)
        ld      %r10, -16(%r1)
        ld      %r11, -24(%r1)
        bctr
        .size   _mcount, . - _mcount

/*
 * mcount_late - the tracer of sites behind the prologue (plain `gcc -pg`).
 *
 *   In        LR      where to go on
 *             r1      the traced function's own frame; the return address into
 *                     its caller is in the caller's frame, at 16(0(r1))
 *             r13     PACA
 *   Out       goes on at LR; LR = return address into the caller
 *   Clobbers  r0 r12 ctr cr0 lr, all dead here: the site is an ordinary call
 *   Keeps     all else
 *   Stack     24 bytes below r1
 *   Context   any
 *   Spec      ELFv2 ABI, "The Stack Frame"
 */
        .balign 16
        .global mcount_late
        .type   mcount_late, @function
mcount_late:
        mflr    %r12
        mtctr   %r12
        std     %r9, -8(%r1)
        std     %r10, -16(%r1)
        std     %r11, -24(%r1)
        ld      %r9, 0(%r1)
        ld      %r9, 16(%r9)
        mtlr    %r9
        RECORD  mcount_late_out
mcount_late_out:
        ld      %r9, -8(%r1)
        ld      %r10, -16(%r1)
        ld      %r11, -24(%r1)
        bctr
        .size   mcount_late, . - mcount_late

/*
 * sibling_call - a tail call that leaves its module.
 *
 *   In        r12     the callee's global entry
 *             LR      return address of the function that ended in the tail call
 *             r2      TOC of the module; its caller may be a local one, which
 *                     has no slot to restore r2 from
 *             r13     PACA
 *   Out       returns to LR with r2 as it was
 *   Clobbers  r0 r11 r12 ctr; and what the callee clobbers
 *   Stack     none: a frame would hide stack arguments. One shadow stack entry
 *   Context   any; traps if the shadow stack is full
 *   Spec      ELFv2 ABI, "Function Linkage"
 */
        .balign 16
        .global sibling_call
        .type   sibling_call, @function
sibling_call:
        ld      %r11, {SHADOW_SP}(%r13)
        ld      %r0, {SHADOW_LIMIT}(%r13)
        addi    %r11, %r11, {SHADOW_ENTRY}
        .global sibling_overflow
sibling_overflow:
        td      1, %r11, %r0            /* above the limit: no room */
        std     %r11, {SHADOW_SP}(%r13) /* reserve, then write: an interrupt may nest */
        mflr    %r0
        std     %r0, {SHADOW_LR}-{SHADOW_ENTRY}(%r11)
        std     %r2, {SHADOW_TOC}-{SHADOW_ENTRY}(%r11)
        std     %r1, {SHADOW_R1}-{SHADOW_ENTRY}(%r11)
        mtctr   %r12
        bctrl
        /* falls into shadow_return */

/*
 * shadow_return - where a redirected function or a sibling call returns to.
 *
 *   In        r13     PACA; the top of its shadow stack is the call that ends
 *   Out       returns to the saved LR with the saved r2
 *   Clobbers  r0 r12
 *   Keeps     all else: r3-r10 hold results
 *   Context   any. Read, then release: an interrupt may nest
 */
        .global shadow_return
        .type   shadow_return, @function
shadow_return:
        ld      %r12, {SHADOW_SP}(%r13)
        ld      %r0, {SHADOW_LR}-{SHADOW_ENTRY}(%r12)
        ld      %r2, {SHADOW_TOC}-{SHADOW_ENTRY}(%r12)
        addi    %r12, %r12, -{SHADOW_ENTRY}
        std     %r12, {SHADOW_SP}(%r13)
        mtlr    %r0
        blr
        .size   shadow_return, . - shadow_return
        .size   sibling_call, . - sibling_call
        .global hook_text_end
hook_text_end:
