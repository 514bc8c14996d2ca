/*
 * One half of a pair of modules that loses r2 unless call sites of _mcount get
 * stubs of their own. The other half, seed_ibmvscsi, calls the functions here.
 *
 * r2 holds a module's TOC pointer: its data are found from there. Every module
 * has its own. A call that leaves a module goes through a stub, which saves r2
 * in the caller's frame, at 24(r1); the word after the `bl` loads it back.
 *
 * The call to _mcount also leaves the module, but it is the first thing that a
 * function does, before it has a frame, and sometimes before it has an r2:
 *
 *   seed_ibmvscsi              seed_scsi
 *     bl stub ------------->   scsi_queue_depth: addis r2; addi r2   (own TOC)
 *       24(r1) = its r2                          mflr r0
 *                                                bl _mcount          (A)
 *     bl stub ------------->   scsi_lun_pack:    mflr r0             (no TOC!)
 *       24(r1) = its r2                          bl _mcount          (B)
 *     ld r2,24(r1)
 *
 * With an ordinary stub at these two sites:
 *
 * (A) r1 is still seed_ibmvscsi's frame, whose 24(r1) holds seed_ibmvscsi's r2.
 *     The stub's `std r2,24(r1)` writes seed_scsi's r2 over it. Nothing happens
 *     yet; but after the return `ld r2,24(r1)` hands seed_scsi's TOC to
 *     seed_ibmvscsi, which then reads other data than its own.
 * (B) scsi_lun_pack uses no data, so it has no code that sets r2 (st_other 0):
 *     r2 is still seed_ibmvscsi's. 24(r1) receives the value that it has, and
 *     no harm comes from that. But a stub that finds its target relative to r2
 *     (`addis r11,r2,..; addi; ld r12,32(r11)`) was encoded for seed_scsi's
 *     TOC: it reads 8 bytes at a wrong place and jumps there.
 *
 * Each alone is missed by a test of the other. A profiling stub gets it right:
 * it leaves r2 and the stack alone and finds its target from r13.
 */
#include <linux/module.h>

#include "seed.h"

#define CANARY 0x5c51da7a5c51da7aULL

static u64 canary_before = CANARY;
/* Read by r2-relative addresses, so only right if r2 is this module's. */
static u64 depths[8] = { 3, 5, 7, 11, 13, 17, 19, 23 };
static u64 canary_after = CANARY;

/* (B) A leaf without TOC set-up: no data, no call, only registers. */
noinline u64 scsi_lun_pack(u64 lun)
{
	return (lun << 16 | lun >> 48) ^ 0x5a5a;
}
EXPORT_SYMBOL_GPL(scsi_lun_pack);

/* (A) A function that sets r2 to this module's TOC. */
noinline u64 scsi_queue_depth(unsigned int queue)
{
	return depths[queue % ARRAY_SIZE(depths)];
}
EXPORT_SYMBOL_GPL(scsi_queue_depth);

/* Sums up own data with the r2 that its caller has; not traced, see vscsi_credits. */
static noinline notrace u64 scsi_depths(void)
{
	u64 sum = 0;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(depths); i++)
		sum += READ_ONCE(depths[i]);
	return sum;
}

/*
 * There and back: calls into the other module through a pointer, then uses its
 * own data. `done` has a site of kind (A), with this frame under it.
 */
noinline u64 scsi_execute(u64 (*done)(u64 packed), u64 lun)
{
	u64 result = scsi_lun_pack(lun);

	result += done(scsi_lun_pack(lun + 1));
	return result + scsi_depths();
}
EXPORT_SYMBOL_GPL(scsi_execute);

/* False if something was written through a lost r2. */
bool scsi_canary_intact(void)
{
	return READ_ONCE(canary_before) == CANARY &&
	       READ_ONCE(canary_after) == CANARY;
}
EXPORT_SYMBOL_GPL(scsi_canary_intact);

MODULE_LICENSE("Dual MIT/GPL");
MODULE_DESCRIPTION("Called across modules: a leaf without TOC, a function with one");
