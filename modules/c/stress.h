/*
 * The stress: functions that are called all the time while CPU 0 traces them,
 * patches them, loads and unloads modules. qemu/stress.py drives it.
 *
 *   stress_main.c    fills a probe, judges what came back; who calls what
 *   stress_call.S    one call with every register full of canaries
 *   stress_sites.S   functions whose call sites no compiler here makes
 *   stress_fix.c     the live patch
 *   stress_far.c     what is called in another module
 *   stress_many.c    a thousand functions
 *   stress_guest.c   comes and goes while the others run
 *
 * A probe says how one call is to be made and what was found afterwards. Each
 * CPU has its own; `stress_now` says which, by CPU, so that it is found again
 * when no register can be believed.
 */
#ifndef STRESS_H
#define STRESS_H

#define STRESS_CPUS 16
#define STRESS_ARGS 12

/* Offsets in a probe; stress_probe.h asserts them. */
#define PROBE_ENTRY        0   /* where the call goes */
#define PROBE_R12          8
#define PROBE_R11          16
#define PROBE_ARGS         24  /* r3-r10, then the caller's parameter save area */
#define PROBE_KEEP         120 /* r14-r31 */
#define PROBE_CR           264
#define PROBE_SLOT16       272 /* the caller's frame: where the callee saves LR */
#define PROBE_SLOT24       280 /* its place for r2: nobody else's */
#define PROBE_FRAME        288 /* its own four words, above the arguments */
#define PROBE_OWN          320 /* r1, r2, r13 at the call */
#define PROBE_RETURN       344 /* where it returns to */
#define PROBE_RESULT       352
#define PROBE_OWN_AFTER    360
#define PROBE_KEEP_AFTER   384
#define PROBE_CR_AFTER     528
#define PROBE_SLOT16_AFTER 536
#define PROBE_SLOT24_AFTER 544
#define PROBE_FRAME_AFTER  552
/* What a function in stress_sites.S saw: r0-r31 (not r0, r12), LR, CR. */
#define PROBE_SEEN         584
#define PROBE_SEEN_LR      840
#define PROBE_SEEN_CR      848
#define PROBE_XER          856 /* at the call */
#define PROBE_SEEN_XER     864
#define PROBE_XER_AFTER    872
#define PROBE_SEEN_CTR     880 /* as the function leaves it */
#define PROBE_CTR_AFTER    888
#define PROBE_BYTES        896

/* What the functions in stress_sites.S answer, and their replacements. */
#define OLD_REGS 0x0123456789abcdefL
#define NEW_REGS 0x0edcba9876543210L

/* What stress_leap adds before it leaves for stress_far_mix. */
#define LEAP 77

#endif
