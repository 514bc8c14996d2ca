/*
 * The calling half of the pair; seed_scsi.c has the picture and says what an
 * ordinary stub breaks at the sites (A) and (B).
 *
 *   insmod seed_scsi; insmod seed_ibmvscsi; trace on scsi_*
 *   call vscsi_checksum        = 0x188136
 *   call vscsi_lost            = 0x0, or a bit for each thing that was lost
 *
 * To see the failures one by one, with ordinary stubs for _mcount:
 *
 *   trace on scsi_queue_depth; call vscsi_call_service
 *       = 0x240b if all is well; with (A) 0x6d: it summed up seed_scsi's
 *       depths, which lie where its own credits would be; vscsi_lost = 0x2
 *   trace on scsi_lun_pack; call vscsi_call_leaf
 *       = 0x27e5a if all is well; with (B) a jump to a wild address: an oops
 *
 * (vscsi_checksum may oops with (A) too: it also takes a function's address
 * relative to r2.)
 */
#include <linux/module.h>

#include "seed.h"

#define CANARY 0x1b3c5c511b3c5c51ULL

static u64 canary_before = CANARY;
static u64 credits[8] = { 0x100, 0x200, 0x300, 0x400, 0x500, 0x600, 0x700, 0x800 };
static u64 canary_after = CANARY;

/*
 * Sums up this module's own data. The local call enters behind the TOC set-up
 * (local entry point), so it sees the r2 that its caller was left with. Not
 * traced: what it finds is the result of the call before it, of nothing else.
 */
static noinline notrace u64 vscsi_credits(void)
{
	u64 sum = 0;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(credits); i++)
		sum += READ_ONCE(credits[i]);
	return sum;
}

/* Site (B), then own data at once: pack(2) + 0x2400. */
noinline u64 vscsi_call_leaf(void)
{
	u64 packed = scsi_lun_pack(2);

	return packed + vscsi_credits();
}

/* Site (A), then own data at once: 11 + 0x2400. */
noinline u64 vscsi_call_service(void)
{
	u64 depth = scsi_queue_depth(3);

	return depth + vscsi_credits();
}

/* Called back by seed_scsi; calls its leaf again while r2 is this module's. */
static noinline u64 vscsi_done(u64 packed)
{
	u64 again = scsi_lun_pack(packed >> 16);

	return again + credits[7];
}

/* Both modules' data afterwards: pack(4) + done(pack(5)) + 98 + 0x2400. */
noinline u64 vscsi_call_back(void)
{
	u64 result = scsi_execute(vscsi_done, 4);

	return result + vscsi_credits();
}

/* All three; only right if both TOCs survived everywhere. */
u64 vscsi_checksum(void)
{
	u64 sum = vscsi_call_leaf();

	sum += vscsi_call_service() << 4;
	sum += vscsi_call_back() << 1;
	return sum;
}

static noinline notrace bool vscsi_canary_intact(void)
{
	return READ_ONCE(canary_before) == CANARY &&
	       READ_ONCE(canary_after) == CANARY;
}

/*
 * What was lost, as bits: 0 r2 after the leaf, 1 r2 after the function with a
 * TOC, 2 r2 after the call back, 3 this module's canaries, 4 seed_scsi's.
 */
u64 vscsi_lost(void)
{
	unsigned long toc = toc_now();
	u64 lost = 0;

	scsi_lun_pack(1);
	lost |= (u64)(toc_now() != toc) << 0;
	toc_put_back(toc);
	scsi_queue_depth(1);
	lost |= (u64)(toc_now() != toc) << 1;
	toc_put_back(toc);
	scsi_execute(vscsi_done, 1);
	lost |= (u64)(toc_now() != toc) << 2;
	toc_put_back(toc);
	lost |= (u64)!vscsi_canary_intact() << 3;
	lost |= (u64)!scsi_canary_intact() << 4;
	return lost;
}

MODULE_LICENSE("Dual MIT/GPL");
MODULE_DESCRIPTION("Calls seed_scsi and uses its own data right after each call");
