/* A mutex, a spin lock, atomic integers and bits, as a driver would use them. */
#include <linux/atomic.h>
#include <linux/bitops.h>
#include <linux/delay.h>
#include <linux/jiffies.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/printk.h>
#include <linux/spinlock.h>

static DEFINE_MUTEX(gate);
static DEFINE_SPINLOCK(door);
static spinlock_t other;

static int __init locks_begin(void)
{
	atomic_t count = ATOMIC_INIT(40);
	unsigned long bits = 0, flags, began = jiffies;
	int held, was, now;

	if (!mutex_trylock(&gate))
		return -EBUSY;
	held = mutex_is_locked(&gate);
	mutex_unlock(&gate);
	pr_info("locks: mutex held %d, then %d\n", held, mutex_is_locked(&gate));

	spin_lock_init(&other);
	spin_lock_irqsave(&door, flags);
	spin_lock(&other);
	spin_unlock(&other);
	spin_unlock_irqrestore(&door, flags);

	atomic_inc(&count);
	atomic_add(2, &count);
	now = atomic_dec_return(&count);
	was = atomic_cmpxchg(&count, 42, 7);
	pr_info("locks: count %d, %d, then %d\n", now, was, atomic_read(&count));

	set_bit(3, &bits);
	set_bit(5, &bits);
	clear_bit(3, &bits);
	change_bit(0, &bits);
	was = test_and_clear_bit(5, &bits);
	pr_info("locks: bits %lx, 5 was %d\n", bits, was);

	udelay(10);
	return time_after_eq(jiffies, began) ? 0 : -EIO;
}

static void __exit locks_end(void)
{
}

module_init(locks_begin);
module_exit(locks_end);
MODULE_LICENSE("GPL");
