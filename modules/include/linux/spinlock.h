/*
 * Locks that wait without sleeping. In Tocsin nothing sleeps, and a module's code
 * never runs in an interrupt: so the kinds that differ in Linux are one lock here,
 * and `flags` have nothing to keep.
 */
#ifndef _LINUX_SPINLOCK_H
#define _LINUX_SPINLOCK_H

#include <linux/compiler.h>
#include <linux/types.h>

typedef struct spinlock {
	u32 slock;
} spinlock_t;

_Static_assert(sizeof(spinlock_t) == 4, "Linux 6.1's size");

#define __SPIN_LOCK_UNLOCKED(name) { 0 }
#define DEFINE_SPINLOCK(name)      spinlock_t name = __SPIN_LOCK_UNLOCKED(name)

void _raw_spin_lock(spinlock_t *lock);
void _raw_spin_lock_bh(spinlock_t *lock);
unsigned long _raw_spin_lock_irqsave(spinlock_t *lock);
void _raw_spin_unlock(spinlock_t *lock);
void _raw_spin_unlock_bh(spinlock_t *lock);
void _raw_spin_unlock_irqrestore(spinlock_t *lock, unsigned long flags);

static inline void spin_lock_init(spinlock_t *lock)
{
	lock->slock = 0;
}

#define spin_lock(lock)          _raw_spin_lock(lock)
#define spin_unlock(lock)        _raw_spin_unlock(lock)
#define spin_lock_bh(lock)       _raw_spin_lock_bh(lock)
#define spin_unlock_bh(lock)     _raw_spin_unlock_bh(lock)
#define spin_lock_irq(lock)      _raw_spin_lock(lock)
#define spin_unlock_irq(lock)    _raw_spin_unlock(lock)
/* `flags` is the caller's variable itself: a macro can set it, a function not. */
#define spin_lock_irqsave(lock, flags) ((flags) = _raw_spin_lock_irqsave(lock))
#define spin_unlock_irqrestore(lock, flags) _raw_spin_unlock_irqrestore(lock, flags)

#endif
