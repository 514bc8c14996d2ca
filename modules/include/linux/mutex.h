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
/* 1 if it was free and is now the caller's, else 0. */
int mutex_trylock(struct mutex *lock);
/* 0 once it is the caller's. */
int __must_check mutex_lock_interruptible(struct mutex *lock);
void __mutex_init(struct mutex *lock, const char *name, void *key);
#define mutex_init(lock) __mutex_init(lock, #lock, NULL)

/* The kernel remembers who holds what; the members here stay as they are. */
static inline bool mutex_is_locked(struct mutex *lock)
{
	if (!mutex_trylock(lock))
		return true;
	mutex_unlock(lock);
	return false;
}

#endif
