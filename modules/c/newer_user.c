/*
 * Imports from `newer`, with the checksums that it was built against, in the tables
 * of 6.14 and later. `newer_stale` is the same, built against another `newer`.
 *
 *   call newer_user_call 5     = 0xc
 *   call newer_user_kept 5     = 0x4
 */
#include <linux/module.h>

#ifndef OPEN_CHECKSUM
#define OPEN_CHECKSUM "0x22222222"
#endif

long newer_gpl(long value);
long newer_open(long value);

asm("	.pushsection __version_ext_crcs, \"a\"\n"
    "	.long	0x11111111, " OPEN_CHECKSUM "\n"
    "	.popsection\n"
    "	.pushsection __version_ext_names, \"a\"\n"
    "	.asciz	\"newer_gpl\"\n"
    "	.asciz	\"newer_open\"\n"
    "	.popsection\n");

long newer_user_call(long value)
{
	return newer_gpl(newer_open(value));
}

#ifndef newer_user_call
/* Its author asked for the namespace, and `newer_named` is for this module's name. */
MODULE_IMPORT_NS(NEWER);
long newer_kept(long value);
long newer_named(long value);

long newer_user_kept(long value)
{
	return newer_kept(newer_named(value));
}
#endif

MODULE_LICENSE("Dual MIT/GPL");
MODULE_DESCRIPTION("Says which versions it was built against");
