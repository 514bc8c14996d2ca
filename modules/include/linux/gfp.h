/* How memory may be found; Tocsin's heap looks at __GFP_ZERO only. */
#ifndef _LINUX_GFP_H
#define _LINUX_GFP_H

#include <linux/types.h>

#define __GFP_ZERO ((gfp_t)0x100)
#define GFP_ATOMIC ((gfp_t)0xa20)
#define GFP_KERNEL ((gfp_t)0xcc0)

#endif
