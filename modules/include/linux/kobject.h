/* The 64 bytes that Linux keeps in each object of its tree of files. */
#ifndef _LINUX_KOBJECT_H
#define _LINUX_KOBJECT_H

#include <linux/types.h>

struct kobject {
	const char *name;
	struct list_head entry;
	struct kobject *parent;
	void *kset;
	const void *ktype;
	void *sd;
	int kref;
	unsigned int state;
};

_Static_assert(sizeof(struct kobject) == 64, "Linux 6.1's size");

#endif
