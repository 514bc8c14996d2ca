/* What seed_scsi offers to seed_ibmvscsi; seed_scsi.c tells the story. */
#ifndef SEED_H
#define SEED_H

#include <linux/types.h>

u64 scsi_lun_pack(u64 lun);
u64 scsi_queue_depth(unsigned int queue);
u64 scsi_execute(u64 (*done)(u64 packed), u64 lun);
bool scsi_canary_intact(void);

/* r2 as it is now: the TOC pointer of whoever has set it last. */
static __always_inline unsigned long toc_now(void)
{
	unsigned long r2;

	__asm__ __volatile__("mr %0,2" : "=r"(r2));
	return r2;
}

/* For the diagnosis only: goes on with the right r2 after it was lost. */
static __always_inline void toc_put_back(unsigned long r2)
{
	__asm__ __volatile__("mr 2,%0" : : "r"(r2) : "memory");
}

#endif
