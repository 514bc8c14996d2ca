/* Small helpers that every module uses. */
#ifndef _LINUX_KERNEL_H
#define _LINUX_KERNEL_H

#include <linux/bug.h>
#include <linux/build_bug.h>
#include <linux/compiler.h>
#include <linux/limits.h>
#include <linux/printk.h>
#include <linux/stdarg.h>
#include <linux/types.h>

/* Types that are only ever pointed to. */
struct work_struct;
struct device;
struct file;

#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))

#define container_of(ptr, type, member) \
	((type *)((char *)(ptr) - offsetof(type, member)))

#define min(a, b)                              \
	({                                     \
		__typeof__(a) __min_a = (a);   \
		__typeof__(b) __min_b = (b);   \
		__min_a < __min_b ? __min_a : __min_b; \
	})
#define max(a, b)                              \
	({                                     \
		__typeof__(a) __max_a = (a);   \
		__typeof__(b) __max_b = (b);   \
		__max_a > __max_b ? __max_a : __max_b; \
	})
#define min_t(type, a, b) min((type)(a), (type)(b))
#define max_t(type, a, b) max((type)(a), (type)(b))
#define clamp(value, low, high) min(max(value, low), high)

#define swap(a, b)                             \
	do {                                   \
		__typeof__(a) __was_a = (a);   \
		(a) = (b);                     \
		(b) = __was_a;                 \
	} while (0)

/* Of any signed type; the lowest number of a type has none. */
#define abs(x)                                 \
	({                                     \
		__typeof__(x) __abs_x = (x);   \
		__abs_x < 0 ? -__abs_x : __abs_x; \
	})

#define ALIGN(x, a)         (((x) + (a) - 1) & ~((__typeof__(x))(a) - 1))
#define IS_ALIGNED(x, a)    (((x) & ((a) - 1)) == 0)
#define DIV_ROUND_UP(n, d)  (((n) + (d) - 1) / (d))
#ifndef BIT
#define BIT(n)              (1UL << (n))
#endif
#define upper_32_bits(n)    ((u32)((n) >> 32))
#define lower_32_bits(n)    ((u32)(n))

/* Writes at most `size` bytes with the NUL; returns the bytes written without it. */
__printf(3, 4) int scnprintf(char *buf, size_t size, const char *fmt, ...);
/* The same, but returns what there would have been with room enough. */
__printf(3, 4) int snprintf(char *buf, size_t size, const char *fmt, ...);
__printf(2, 3) int sprintf(char *buf, const char *fmt, ...);

#endif
