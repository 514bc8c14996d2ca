/*
 * What a call site runs through when it is switched on, and the shadow stacks.
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
 * Which tool a hooked call meets is said by one word, the door, a nop or a branch
 * that the text engine swaps (machine::hooks::Tool):
 *
 *   _mcount: is there a ring? -- no --> back        (tracing_on is 0: 12 in all)
 *      | yes
 *      door:  nop           a record: the function tracer
 *             b graph_hook  a record, and graph_return takes the return's place
 *             b hook_many   what the table of tools says of this function, or else of all
 *
 * Many tools at one function have their turns in one order: probes at its entry, in the
 * order in which they were switched on; the function tracer; probes at its return; the
 * graph tracer; and behind the hook a live patch, for its stub calls the hook before it
 * goes on. Returns are met in the opposite order: the graph tracer, then probes.
 *
 * Scratch lies below r1, in the protected zone: the function has stored nothing
 * there yet, and exception entry steps over it.
 *
 * Nothing between hook_text_start and hook_text_end calls anything, so no hook can
 * meet a hooked function: there is no recursion to guard against (qemu/test_image.py
 * looks at the words). A fault in here is another matter: its report is made of
 * functions that are hooked, and would run into the same fault. So exception entry
 * takes the ring away first (boot/trap.S, trap_in_hook).
 */

/*
 * RESERVE - takes the next record of this CPU's ring.
 *
 *   In        base    address of the ring's first record
 *             full    where to go, with base as it was, when the ring takes no more
 *                     (trace_options nooverwrite); if it is not given nobody looks
 *   Out       base    address of the record; seq its number plus 1
 *   Clobbers  old addr cr0
 *   Order     head (reserved) before the fields, the fields before seq: a reader
 *             on another CPU trusts a record only if seq is its own and head
 *             has not come round to it (trace::ring). `lwsync` goes before seq
 */
        .macro  RESERVE base, seq, old, addr, full
        addi    \addr, %r13, {RING_HEAD}
.Lreserve\@:
        ldarx   \old, 0, \addr
        .ifnb   \full
        ld      \seq, {RING_LIMIT}(%r13)
        cmpld   \old, \seq
        bge-    \full
        .endif
        addi    \seq, \old, 1
        stdcx.  \seq, 0, \addr
        bne-    .Lreserve\@
        lwsync
        ld      \addr, {RING_MASK}(%r13)
        and     \old, \old, \addr
        sldi    \old, \old, {RECORD_SHIFT}
        add     \base, \base, \old
        .endm

/*
 * BUMP - one more in a counter of this CPU's PACA, whoever interrupts.
 *
 *   Clobbers  word addr cr0
 */
        .macro  BUMP counter, word, addr
        addi    \addr, %r13, \counter
.Lbump\@:
        ldarx   \word, 0, \addr
        addi    \word, \word, 1
        stdcx.  \word, 0, \addr
        bne-    .Lbump\@
        .endm

/*
 * RECORD - the function tracer's record.
 *
 *   In        r12     the ring's first record
 *             ctr     address behind the call in the site or stub
 *             parent  register with the address that the function returns to: if that
 *                     is shadow_return, the record names whom it goes on to
 *   Clobbers  r9 r10 r11 r12 cr0
 */
        .macro  RECORD parent, full
        RESERVE %r12, %r9, %r10, %r11, \full
        mftb    %r10
        std     %r10, {RECORD_TIME}(%r12)
        mfctr   %r10
        std     %r10, {RECORD_IP}(%r12)
        std     \parent, {RECORD_PARENT}(%r12)
        ld      %r10, {SHADOW_RETURN}(%r13)
        cmpd    %r10, \parent
        bne+    .Ldirect\@
        ld      %r11, {SHADOW_SP}(%r13)
.Lshadowed\@:                           /* an entry may lead to the one below it */
        ld      %r10, {SHADOW_LR}-{SHADOW_ENTRY}(%r11)
        addi    %r11, %r11, -{SHADOW_ENTRY}
        cmpd    %r10, \parent
        beq-    .Lshadowed\@
        std     %r10, {RECORD_PARENT}(%r12)
.Ldirect\@:
        lwsync
        std     %r9, {RECORD_SEQ}(%r12)
        .endm

/*
 * GRAPH_PUSH - puts a call on the graph stack.
 *
 *   In        r0      the address that the function returns to
 *             stack   register with r1 of the function's caller
 *             full    where to go if the graph stack has no room
 *   Out       r11     behind the call's entry on the graph stack
 *   Clobbers  r10 cr0
 *   Order     reserve, then write: an interrupt may nest
 */
        .macro  GRAPH_PUSH full, stack
        ld      %r11, {GRAPH_SP}(%r13)
        ld      %r10, {GRAPH_LIMIT}(%r13)
        cmpld   %r11, %r10
        bge-    \full
        addi    %r11, %r11, {GRAPH_ENTRY}
        std     %r11, {GRAPH_SP}(%r13)
        std     %r0, {GRAPH_LR}-{GRAPH_ENTRY}(%r11)
        std     \stack, {GRAPH_R1}-{GRAPH_ENTRY}(%r11)
        .endm

/*
 * GRAPH_ENTRY - puts a call on the graph stack and records that it began.
 *
 *   In        r12     the ring's first record
 *             ctr     address behind the call in the site or stub
 *             LR      the address that the function returns to, in r0 too
 *             full, stack     as GRAPH_PUSH
 *             drop    where to go if the ring has no room, with r11 as below
 *             args    place below r1 of the function's r8, if r3-r8 are to lie beside
 *                     the record, where there is room for that
 *   Out       LR and r0 graph_return; r11 behind the entry
 *   Clobbers  r9 r10 r12 cr0
 */
        .macro  GRAPH_ENTRY full, stack, drop, args
        GRAPH_PUSH \full, \stack
        mfctr   %r9
        addi    %r9, %r9, {KIND_RETURN}
        rldimi  %r9, %r11, 32, 0        /* the depth, as the place on the stack */
        std     %r9, {GRAPH_IP}-{GRAPH_ENTRY}(%r11)
        RESERVE %r12, %r9, %r10, %r0, \drop
        .ifnb   \args
        ld      %r0, {PAYLOAD}(%r13)
        cmpdi   %r0, 0
        beq     .Lbare\@
        add     %r10, %r10, %r0
        std     %r3, 0(%r10)
        std     %r4, 8(%r10)
        std     %r5, 16(%r10)
        std     %r6, 24(%r10)
        ld      %r0, {PLANE}(%r13)
        add     %r10, %r10, %r0
        std     %r7, 0(%r10)
        ld      %r0, \args(%r1)
        std     %r0, 8(%r10)
        not     %r0, %r9                /* it is this record's */
        std     %r0, {PAYLOAD_OWNER}(%r10)
.Lbare\@:
        .endif
        mftb    %r10
        std     %r10, {GRAPH_TIME}-{GRAPH_ENTRY}(%r11)
        std     %r10, {RECORD_TIME}(%r12)
        ld      %r10, {GRAPH_IP}-{GRAPH_ENTRY}(%r11)
        addi    %r10, %r10, {KIND_ENTRY}-{KIND_RETURN}
        std     %r10, {RECORD_IP}(%r12)
        mflr    %r10
        std     %r10, {RECORD_PARENT}(%r12)
        lwsync
        std     %r9, {RECORD_SEQ}(%r12)
        ld      %r0, {GRAPH_RETURN}(%r13)
        mtlr    %r0
        .endm

/* No room in the ring: the call is off the graph stack again, and goes on. */
        .macro  GRAPH_DROP
        addi    %r11, %r11, -{GRAPH_ENTRY}
        std     %r11, {GRAPH_SP}(%r13)
        BUMP    {RING_DROPPED}, %r10, %r9
        .endm

/* No room on the graph stack, or deep enough: counted, and the call goes on. */
        .macro  GRAPH_FULL
        ld      %r11, {GRAPH_MISSED}(%r13)
        addi    %r11, %r11, 1
        std     %r11, {GRAPH_MISSED}(%r13)
        .endm

        .macro  SPILL
        std     %r9, -8(%r1)
        std     %r10, -16(%r1)
        std     %r11, -24(%r1)
        .endm

        .macro  UNSPILL
        ld      %r9, -8(%r1)
        ld      %r10, -16(%r1)
        ld      %r11, -24(%r1)
        .endm

/*
 * _mcount - the hook of early sites; also the name that modules import.
 *
 *   In        r0      return address into the traced function's caller
 *             LR      where to go on (site + 4, or behind the bl of a stub)
 *             r13     PACA
 *   Out       goes on at LR with LR = r0: as r0 was, or graph_return
 *   Clobbers  r12 ctr cr0
 *   Keeps     all else; r3-r11 hold arguments and the static chain
 *   Stack     24 bytes below r1; behind the door up to 48 (hook_many)
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
        ld      %r12, {RING_BASE}(%r13)
        cmpdi   %r12, 0
        beqctr
        .global mcount_door
mcount_door:
        nop                             /* or b graph_hook */
        SPILL
        RECORD  %r0
        UNSPILL
        bctr
        .size   _mcount, . - _mcount

/*
 * graph_hook - behind the door of _mcount, for the graph tracer.
 */
        .balign 16
        .global graph_hook
        .type   graph_hook, @function
graph_hook:
        SPILL
        GRAPH_ENTRY graph_hook_full, %r1
graph_hook_out:
        UNSPILL
        bctr
graph_hook_full:
        GRAPH_FULL
        b       graph_hook_out
        .size   graph_hook, . - graph_hook

/*
 * PUSH_PROBE - has the function return to probe_return, for one probe.
 *
 *   In        block   register with the probe's block
 *             LR      the address that the function returns to
 *   Out       LR      probe_return
 *   Clobbers  at word r0 cr0
 *   Order     reserve, then write: an interrupt may nest
 */
        .macro  PUSH_PROBE block, at, word, full
        ld      \at, {PROBE_SP}(%r13)
        ld      \word, {PROBE_LIMIT}(%r13)
        cmpld   \at, \word
        bge-    \full
        addi    \at, \at, {PROBE_ENTRY}
        std     \at, {PROBE_SP}(%r13)
        mflr    %r0
        std     %r0, {PROBE_LR}-{PROBE_ENTRY}(\at)
        std     %r1, {PROBE_R1}-{PROBE_ENTRY}(\at)
        std     \block, {PROBE_BLOCK}-{PROBE_ENTRY}(\at)
        ld      \word, {BLOCK_IP}(\block)
        std     \word, {PROBE_IP}-{PROBE_ENTRY}(\at)
        ld      %r0, {PROBE_RETURN}(%r13)
        mtlr    %r0
        .endm

/*
 * COUNT - one hit more of a probe on this CPU.
 *
 *   In        block   register with the probe's block
 *   Clobbers  word cr0
 */
        .macro  COUNT block, word
.Lcount\@:
        ldarx   \word, 0, \block           /* the count is the first of the block */
        addi    \word, \word, 1
        stdcx.  \word, 0, \block
        bne-    .Lcount\@
        .endm

/*
 * PROBE_RECORD - the record of a probe at entry, but for its number: r3 goes into it,
 * the other arguments in registers go beside it (trace::record), as many as are asked
 * for.
 *
 *   In        r12     the ring's first record
 *             r9      the probe's block
 *             r3-r8   arguments; r9 and r10 at -8(r1) and -16(r1)
 *             LR      the address that the function returns to
 *   Out       r0      LR
 *             r10     for RECORD_SEQ
 *   Clobbers  r9 r11 r12 cr0
 */
        .macro  PROBE_RECORD wide, all, full
        COUNT   %r9, %r11
        RESERVE %r12, %r10, %r11, %r0, \full
        mftb    %r0
        std     %r0, {RECORD_TIME}(%r12)
        ld      %r0, {BLOCK_IP}(%r9)
        std     %r0, {RECORD_IP}(%r12)
        .if     \wide
        ld      %r9, {PAYLOAD}(%r13)
        add     %r11, %r11, %r9
        std     %r4, 0(%r11)
        std     %r5, 8(%r11)
        std     %r6, 16(%r11)
        .endif
        .if     \all
        std     %r7, 24(%r11)
        ld      %r9, {PLANE}(%r13)
        add     %r11, %r11, %r9
        std     %r8, 0(%r11)
        ld      %r9, -8(%r1)
        std     %r9, 8(%r11)
        ld      %r9, -16(%r1)
        std     %r9, 16(%r11)
        .endif
        mflr    %r0
        std     %r3, {RECORD_PARENT}(%r12)
        lwsync
        std     %r10, {RECORD_SEQ}(%r12)
        .endm

/*
 * hook_many - behind the door of _mcount, while there is more to know of a function
 * than which tracer is on: probes, where alone the graph tracer begins, where it is
 * silent (trace::tools has the table); or while the ring may be full, or arguments are
 * wanted, or not every CPU's calls: the plain hooks ask for nothing of that.
 *
 * A function that has one probe and no other tool comes first, and is through after
 * some fifty instructions; not while the ring may be full, for nobody looks there.
 *
 *   In        as _mcount, and ctr where to go on; LR and r0 where the function returns
 *             to; r12 the ring's first record
 *   Out       goes on at ctr with LR = r0: as it was, or a return of a tool's
 *   Clobbers  r12 cr0
 *   Keeps     all else, ctr too
 *   Stack     48 bytes below r1: r9-r11 and r8 of the function, the table's entry, a
 *             probe's block; probe_slow has a frame
 *   Context   as _mcount; in probe_slow the kernel is asked
 */
        .balign 16
        .global hook_many
        .type   hook_many, @function
hook_many:
        SPILL
        ld      %r9, {TOOLS}(%r13)
        mfctr   %r11
        ld      %r10, {TABLE_MASK}(%r9)
        sldi    %r0, %r11, 2
        and     %r10, %r10, %r0
        add     %r9, %r9, %r10
        lwz     %r0, {TOOL_KEY}(%r9)
        cmpw    %r0, %r11
        bne     hook_many_look
hook_many_found:
        lwz     %r10, {TOOL_FLAGS}(%r9)
        mtocrf  0x80, %r10
        bf      0, hook_many_more
        ld      %r9, {TOOL_BLOCK}(%r9)
        bt      1, hook_many_wide
        bt      2, hook_many_all
        PROBE_RECORD 0, 0
        UNSPILL
        bctr
hook_many_wide:
        PROBE_RECORD 1, 0
        UNSPILL
        bctr
hook_many_all:
        PROBE_RECORD 1, 1
hook_many_out:
        UNSPILL
        bctr

hook_many_look:                         /* r10 is where r9 is in the table */
        subf    %r9, %r10, %r9
        cmpwi   %r0, 0
        beq     hook_many_usual
        addi    %r10, %r10, {TOOL_ENTRY}
        ld      %r0, {TABLE_MASK}(%r9)
        and     %r10, %r10, %r0
        add     %r9, %r9, %r10
        lwz     %r0, {TOOL_KEY}(%r9)
        cmpw    %r0, %r11
        bne     hook_many_look
        b       hook_many_found
hook_many_usual:
        addi    %r9, %r9, -{TOOL_ENTRY} /* what holds of all others is kept as an entry */
        lwz     %r10, {TOOL_FLAGS}(%r9)
        b       hook_many_each          /* cr0 holds no flags here, but XER's overflow */

/* r9 is the entry, r10 its flags; from here on r8 is in use too. */
hook_many_more:
        bf      3, hook_many_each
        ld      %r9, {TOOL_BLOCK}(%r9)  /* one probe at the return, and nothing else */
        PUSH_PROBE %r9, %r11, %r10, hook_many_full
        UNSPILL
        bctr
hook_many_full:
        ld      %r11, {BLOCK_MISSED}(%r9)
        addi    %r11, %r11, 1
        std     %r11, {BLOCK_MISSED}(%r9)
        mflr    %r0
        b       hook_many_out

/* Probes at the entry, one after another. */
hook_many_each:
        std     %r8, -32(%r1)
        std     %r9, -40(%r1)
        andi.   %r0, %r10, {TOOL_PROBES}
        beq     hook_many_tracer
        ld      %r8, {TOOL_BLOCK}(%r9)
hook_many_probe:
        ld      %r10, {BLOCK_FLAGS}(%r8)
        mtocrf  0x80, %r10
        bt      0, hook_many_next       /* of the return */
        bt      1, probe_slow
        ld      %r12, {RING_BASE}(%r13)
        cmpdi   %r12, 0
        beq     hook_many_next
        std     %r8, -48(%r1)
        mr      %r9, %r8
        ld      %r8, -32(%r1)
        PROBE_RECORD 1, 1, hook_many_drop_probe
hook_many_probed:
        ld      %r8, -48(%r1)
        .global hook_many_next
hook_many_next:
        ld      %r8, {BLOCK_NEXT}(%r8)
        cmpdi   %r8, 0
        bne     hook_many_probe

hook_many_tracer:
        ld      %r9, -40(%r1)
        lwz     %r10, {TOOL_FLAGS}(%r9)
        andi.   %r0, %r10, {TOOL_FUNCTION}
        beq     hook_many_returns
        ld      %r12, {RING_BASE}(%r13)
        cmpdi   %r12, 0
        beq     hook_many_returns
        mflr    %r8
        RECORD  %r8, hook_many_drop_call
hook_many_recorded:
        ld      %r9, -40(%r1)

hook_many_returns:
        lwz     %r10, {TOOL_FLAGS}(%r9)
        andi.   %r0, %r10, {TOOL_PROBES}
        beq     hook_many_graph
        ld      %r8, {TOOL_BLOCK}(%r9)
hook_many_return:
        ld      %r10, {BLOCK_FLAGS}(%r8)
        mtocrf  0x80, %r10
        bf      0, hook_many_pushed
        bt      2, hook_many_limited
        PUSH_PROBE %r8, %r11, %r10, hook_many_missed
        b       hook_many_pushed
hook_many_limited:                      /* so many calls at once only, on all CPUs */
        ld      %r10, {PROBE_SP}(%r13)
        ld      %r11, {PROBE_LIMIT}(%r13)
        cmpld   %r10, %r11
        bge-    hook_many_missed        /* before one is taken, which would not come back */
        ld      %r11, {BLOCK_POOL}(%r8)
hook_many_take:
        ldarx   %r10, 0, %r11
        cmpdi   %r10, 0
        beq     hook_many_missed
        addi    %r10, %r10, -1
        stdcx.  %r10, 0, %r11
        bne-    hook_many_take
        PUSH_PROBE %r8, %r11, %r10, hook_many_missed
        ld      %r10, {PROBE_R1}-{PROBE_ENTRY}(%r11)
        addi    %r10, %r10, {PROBE_TAKEN}
        std     %r10, {PROBE_R1}-{PROBE_ENTRY}(%r11)
        b       hook_many_pushed
hook_many_drop_probe:
        BUMP    {RING_DROPPED}, %r10, %r11
        b       hook_many_probed
hook_many_drop_call:
        BUMP    {RING_DROPPED}, %r10, %r11
        b       hook_many_recorded
hook_many_missed:
        ld      %r11, {BLOCK_MISSED}(%r8)
        addi    %r11, %r11, 1
        std     %r11, {BLOCK_MISSED}(%r8)
hook_many_pushed:
        ld      %r8, {BLOCK_NEXT}(%r8)
        cmpdi   %r8, 0
        bne     hook_many_return

/* The graph tracer: silence all round; what the table says of this function; whether
   the tracer has begun. A function that opens or silences has a return of its own,
   which ends that. */
hook_many_graph:
        mflr    %r0
        ld      %r9, -40(%r1)
        lwz     %r8, {TOOL_FLAGS}(%r9)
        andi.   %r10, %r8, {TOOL_GRAPH}
        beq     hook_many_done
        ld      %r12, {RING_BASE}(%r13)
        cmpdi   %r12, 0
        beq     hook_many_done
        ld      %r10, {GRAPH_MUTE}(%r13)
        cmpdi   %r10, 0
        bne     hook_many_done
        andi.   %r10, %r8, {TOOL_MUTE}
        bne     hook_many_mute
        andi.   %r10, %r8, {TOOL_ROOT}
        beq     hook_many_inside
        ld      %r10, {GRAPH_GATE}(%r13)
        cmpdi   %r10, 0
        bne     hook_many_enter         /* inside of another one */
        GRAPH_ENTRY hook_many_deep, %r1, hook_many_drop_graph, -32
        std     %r11, {GRAPH_GATE}(%r13)
        mflr    %r12
        addi    %r0, %r12, graph_return_root - graph_return
        mtlr    %r0
        b       hook_many_done
hook_many_inside:
        ld      %r10, {GRAPH_ROOTED}(%r13)
        cmpdi   %r10, 0
        beq     hook_many_enter
        ld      %r10, {GRAPH_GATE}(%r13)
        cmpdi   %r10, 0
        beq     hook_many_done
hook_many_enter:
        GRAPH_ENTRY hook_many_deep, %r1, hook_many_drop_graph, -32
hook_many_done:
        UNSPILL
        ld      %r8, -32(%r1)
        mflr    %r0
        bctr
hook_many_mute:
        GRAPH_PUSH hook_many_deep, %r1
        std     %r11, {GRAPH_MUTE}(%r13)
        ld      %r12, {GRAPH_RETURN}(%r13)
        addi    %r0, %r12, graph_return_mute - graph_return
        mtlr    %r0
        b       hook_many_done
hook_many_drop_graph:
        GRAPH_DROP
        b       hook_many_done
hook_many_deep:
        GRAPH_FULL
        b       hook_many_done
        .size   hook_many, . - hook_many

/*
 * mcount_late - the hook of sites behind the prologue (plain `gcc -pg`).
 *
 *   In        LR      where to go on
 *             r1      the traced function's own frame; the return address into
 *                     its caller is in the caller's frame, at 16(0(r1))
 *             r13     PACA
 *   Out       goes on at LR; LR = return address into the caller
 *   Clobbers  r0 r12 ctr cr0 lr, all dead here: the site is an ordinary call
 *   Keeps     all else; the graph tracer writes the caller's slot for LR
 *   Stack     32 bytes below r1
 *   Context   any
 *   Spec      ELFv2 ABI, "The Stack Frame"
 */
        .balign 16
        .global mcount_late
        .type   mcount_late, @function
mcount_late:
        mflr    %r12
        mtctr   %r12
        ld      %r12, 0(%r1)
        ld      %r0, 16(%r12)
        mtlr    %r0
        ld      %r12, {RING_BASE}(%r13)
        cmpdi   %r12, 0
        beqctr
        std     %r8, -32(%r1)
        ld      %r8, 0(%r1)
        SPILL
        .global mcount_late_door
mcount_late_door:
        nop                             /* or b graph_late, late_many */
mcount_late_record:
        RECORD  %r0, mcount_late_drop
mcount_late_out:
        UNSPILL
        ld      %r8, -32(%r1)
        bctr
mcount_late_drop:
        BUMP    {RING_DROPPED}, %r10, %r11
        b       mcount_late_out
        .size   mcount_late, . - mcount_late

/*
 * graph_late - behind the door of mcount_late; r8 is the caller's r1. late_many stands
 * there while there is a table of tools, of which these functions are no part: they meet
 * what it says of all others. They are silent where all is, and while the graph tracer
 * has not begun.
 */
        .balign 16
        .global late_many
        .type   late_many, @function
late_many:
        ld      %r9, {TOOLS}(%r13)
        lwz     %r9, {TOOL_FLAGS}-{TOOL_ENTRY}(%r9)
        andi.   %r10, %r9, {TOOL_FUNCTION}
        bne     mcount_late_record
        andi.   %r10, %r9, {TOOL_GRAPH}
        beq     mcount_late_out
        ld      %r9, {GRAPH_MUTE}(%r13)
        cmpdi   %r9, 0
        bne     mcount_late_out
        ld      %r9, {GRAPH_ROOTED}(%r13)
        cmpdi   %r9, 0
        beq     graph_late
        ld      %r9, {GRAPH_GATE}(%r13)
        cmpdi   %r9, 0
        beq     mcount_late_out
        .size   late_many, . - late_many
        .global graph_late
        .type   graph_late, @function
graph_late:
        GRAPH_ENTRY graph_late_full, %r8, graph_late_drop
        std     %r0, 16(%r8)
        b       mcount_late_out
graph_late_drop:
        GRAPH_DROP
        b       mcount_late_out
graph_late_full:
        GRAPH_FULL
        b       mcount_late_out
        .size   graph_late, . - graph_late

/*
 * graph_return - where a function that the graph tracer has entered returns to.
 * graph_return_wide - the same, while the ring may be full or results are wanted.
 *
 *   In        r13     PACA; the top of its graph stack is the call that ends
 *   Out       returns to the caller
 *   Clobbers  r0 r11 r12 cr0; graph_return_mute r0 r12
 *   Keeps     all else: r3-r10 hold results; r2 is not looked at. It is the
 *             callee's or the caller's, and whoever called across modules has
 *             `ld r2,24(r1)` at the place that this returns to
 *   Stack     16 bytes below r1; graph_return_mute none
 *   Context   any. Read, then release: an interrupt may nest
 *
 * Each is one of three, at the same distances: _mute of a function that silences
 * leaves no record, _root is of one at which the tracer begins.
 */
        .macro  GRAPH_RETURNS name, full
        .balign 16
        .global \name\()_mute
        .type   \name\()_mute, @function
\name\()_mute:
        li      %r0, 0
        std     %r0, {GRAPH_MUTE}(%r13)
        ld      %r12, {GRAPH_SP}(%r13)
        ld      %r0, {GRAPH_LR}-{GRAPH_ENTRY}(%r12)
        addi    %r12, %r12, -{GRAPH_ENTRY}
        std     %r12, {GRAPH_SP}(%r13)
        mtlr    %r0
        blr
        .size   \name\()_mute, . - \name\()_mute
        .global \name\()_root
        .type   \name\()_root, @function
\name\()_root:
        li      %r0, 0
        std     %r0, {GRAPH_GATE}(%r13)
        .size   \name\()_root, . - \name\()_root
        .global \name
        .type   \name, @function
\name:
        ld      %r12, {GRAPH_SP}(%r13)
        std     %r9, -8(%r1)
        ld      %r0, {GRAPH_LR}-{GRAPH_ENTRY}(%r12)
        ld      %r9, {RING_BASE}(%r13)
        mtlr    %r0
        cmpdi   %r9, 0
        beq-    \name\()_out            /* nothing is recorded any more */
        std     %r10, -16(%r1)
        RESERVE %r9, %r11, %r10, %r0, \full
        .ifnb   \full
        ld      %r0, {PAYLOAD}(%r13)
        cmpdi   %r0, 0
        beq     \name\()_bare
        add     %r10, %r10, %r0
        std     %r3, 0(%r10)
        ld      %r0, {PLANE}(%r13)
        add     %r10, %r10, %r0
        not     %r0, %r11
        std     %r0, {PAYLOAD_OWNER}(%r10)
\name\()_bare:
        .endif
        mftb    %r10
        std     %r10, {RECORD_TIME}(%r9)
        ld      %r10, {GRAPH_IP}-{GRAPH_ENTRY}(%r12)
        std     %r10, {RECORD_IP}(%r9)
        ld      %r10, {GRAPH_TIME}-{GRAPH_ENTRY}(%r12)
        std     %r10, {RECORD_BEGAN}(%r9)
        lwsync
        std     %r11, {RECORD_SEQ}(%r9)
\name\()_done:
        ld      %r10, -16(%r1)
\name\()_out:
        addi    %r12, %r12, -{GRAPH_ENTRY}
        std     %r12, {GRAPH_SP}(%r13)
        ld      %r9, -8(%r1)
        blr
        .ifnb   \full
\full:
        BUMP    {RING_DROPPED}, %r10, %r9
        b       \name\()_done
        .endif
        .size   \name, . - \name
        .endm

        GRAPH_RETURNS graph_return
        GRAPH_RETURNS graph_return_wide, graph_return_wide_full

/*
 * probe_return - where a function with a probe at its return returns to.
 *
 *   In        r13     PACA; the top of its stack of probes is the call that ends
 *   Out       returns to the caller, or to the next one who waits for this return
 *   Clobbers  r0 r11 r12 cr0
 *   Keeps     all else, as graph_return; r3 and r4 go beside the record
 *   Stack     16 bytes below r1
 *   Context   any. Read, then release: an interrupt may nest
 *
 * The probe may have been taken away meanwhile, and its block may be another's: then
 * the block's word for returns is not the one that was put on the stack.
 */
        .balign 16
        .global probe_return
        .type   probe_return, @function
probe_return:
        ld      %r12, {PROBE_SP}(%r13)
        ld      %r0, {PROBE_LR}-{PROBE_ENTRY}(%r12)
        mtlr    %r0
        std     %r9, -8(%r1)
        std     %r10, -16(%r1)
        ld      %r9, {RING_BASE}(%r13)
        cmpdi   %r9, 0
        beq-    probe_return_out
        ld      %r10, {PROBE_RETURN}(%r13)
        cmpd    %r0, %r10
        beq-    probe_return_deeper
probe_return_known:
        ld      %r10, {PROBE_BLOCK}-{PROBE_ENTRY}(%r12)
        ld      %r0, {PROBE_IP}-{PROBE_ENTRY}(%r12)
        ld      %r11, {BLOCK_RETURN_IP}(%r10)
        cmpd    %r0, %r11
        bne-    probe_return_out
        ld      %r11, {BLOCK_FLAGS}(%r10)
        mtocrf  0x80, %r11
        bt      1, probe_return_slow
        COUNT   %r10, %r11
        RESERVE %r9, %r11, %r10, %r0, probe_return_drop
        mftb    %r0
        std     %r0, {RECORD_TIME}(%r9)
        ld      %r0, {PROBE_IP}-{PROBE_ENTRY}(%r12)
        std     %r0, {RECORD_IP}(%r9)
        ld      %r0, {PROBE_LR}-{PROBE_ENTRY}(%r12)
        std     %r0, {RECORD_PARENT}(%r9)
        ld      %r0, {PAYLOAD}(%r13)
        add     %r10, %r10, %r0
        std     %r3, 0(%r10)
        std     %r4, 8(%r10)
        lwsync
        std     %r11, {RECORD_SEQ}(%r9)
        .global probe_return_out
probe_return_out:
        ld      %r10, {PROBE_R1}-{PROBE_ENTRY}(%r12)
        andi.   %r10, %r10, {PROBE_TAKEN}
        bne-    probe_return_give
probe_return_given:
        addi    %r12, %r12, -{PROBE_ENTRY}
        std     %r12, {PROBE_SP}(%r13)
        ld      %r10, -16(%r1)
        ld      %r9, -8(%r1)
        blr
probe_return_drop:
        BUMP    {RING_DROPPED}, %r10, %r11
        b       probe_return_out
probe_return_give:                      /* back, if the block is still that probe's */
        ld      %r10, {PROBE_BLOCK}-{PROBE_ENTRY}(%r12)
        ld      %r0, {PROBE_IP}-{PROBE_ENTRY}(%r12)
        ld      %r11, {BLOCK_IP}(%r10)
        cmpd    %r0, %r11
        bne     probe_return_given
        ld      %r10, {BLOCK_POOL}(%r10)
        COUNT   %r10, %r11
        b       probe_return_given
probe_return_deeper:                    /* other probes wait: the caller is behind them */
        mr      %r11, %r12
probe_return_look:
        addi    %r11, %r11, -{PROBE_ENTRY}
        ld      %r0, {PROBE_LR}-{PROBE_ENTRY}(%r11)
        cmpd    %r0, %r10
        beq     probe_return_look
        std     %r0, {PROBE_LR}-{PROBE_ENTRY}(%r12)
        b       probe_return_known
        .size   probe_return, . - probe_return
        .global hook_recorders_end
hook_recorders_end:

/*
 * graph_return_seed - graph_return as it must not be: `trace graph --return=seed`.
 *
 * The seed's kernel went on in C here, which found its data from r2 (there is
 * __ftrace_graph_is_dead, at the top of the oops). When a function of the kernel
 * returns, that is the kernel's TOC. When one of a module does, it is the module's:
 * the load below reads whatever lies there, and the next one goes where that says.
 *
 *   Clobbers  r0 r12; then as graph_return
 */
        .balign 16
        .global graph_return_seed
        .type   graph_return_seed, @function
graph_return_seed:
        addis   %r12, %r2, graph_is_dead@toc@ha
        ld      %r12, graph_is_dead@toc@l(%r12)
        .global graph_return_seed_load
graph_return_seed_load:
        ld      %r12, 0(%r12)
        b       graph_return
        .size   graph_return_seed, . - graph_return_seed
        .section .data.graph_is_dead, "aw", @progbits
        .balign 8
        .global graph_is_dead
graph_is_dead:
        .8byte  graph_is_dead
        .section .text.mcount, "ax", @progbits


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
