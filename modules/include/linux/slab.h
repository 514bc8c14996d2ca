/* Memory from the kernel's heap. */
#ifndef _LINUX_SLAB_H
#define _LINUX_SLAB_H

#include <linux/gfp.h>
#include <linux/types.h>

/* NULL if there is none. */
void *__kmalloc(size_t size, gfp_t flags);
void kfree(const void *ptr);
/* Moves the bytes into a block of `size`; NULL if there is none: the old one stays then. */
void *krealloc(const void *ptr, size_t size, gfp_t flags);

static inline void *kmalloc(size_t size, gfp_t flags)
{
	return __kmalloc(size, flags);
}

static inline void *kzalloc(size_t size, gfp_t flags)
{
	return __kmalloc(size, flags | __GFP_ZERO);
}

static inline void *kmalloc_array(size_t count, size_t size, gfp_t flags)
{
	size_t bytes;

	if (__builtin_mul_overflow(count, size, &bytes))
		return NULL;
	return __kmalloc(bytes, flags);
}

static inline void *kcalloc(size_t count, size_t size, gfp_t flags)
{
	return kmalloc_array(count, size, flags | __GFP_ZERO);
}

#endif
