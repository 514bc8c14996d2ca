/* A lock that one holder has at a time; 32 bytes, as in Linux 6.1. */
#ifndef _LINUX_MUTEX_H
#define _LINUX_MUTEX_H

#include <linux/list.h>

struct mutex {
	unsigned long owner;
	unsigned int wait_lock;
	unsigned int osq;
	struct list_head wait_list;
};

_Static_assert(sizeof(struct mutex) == 32, "Linux 6.1's size");

#define __MUTEX_INITIALIZER(name) \
	{ .wait_list = LIST_HEAD_INIT((name).wait_list) }
#define DEFINE_MUTEX(name) struct mutex name = __MUTEX_INITIALIZER(name)

void mutex_lock(struct mutex *lock);
void mutex_unlock(struct mutex *lock);

#endif
