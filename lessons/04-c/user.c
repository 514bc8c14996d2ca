/* Imports what tally exports; check.py loads it. Nothing is to be done here. */
#include <linux/module.h>

long tally_add(long more);

long user_twice(long more);
long user_twice(long more)
{
	return tally_add(more) + tally_add(more);
}

MODULE_LICENSE("GPL");
