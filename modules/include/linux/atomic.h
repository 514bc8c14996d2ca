/*
 * Integers that several CPUs change. The compiler makes a loop of a load that
 * reserves and a store that fails if somebody else was there (lwarx, stwcx.).
 *
 * As in Linux, what returns a value of the change orders memory around it, and
 * what returns nothing does not.
 */
#ifndef _LINUX_ATOMIC_H
#define _LINUX_ATOMIC_H

#include <linux/compiler.h>
#include <linux/types.h>

typedef struct {
	s64 counter;
} atomic64_t;

#define ATOMIC_INIT(i)   { (i) }
#define ATOMIC64_INIT(i) { (i) }

/* Every operation for one type: `name_t` with a counter of type `value_t`. */
#define __ATOMIC_OPERATIONS(name, value_t)                                            \
	static inline value_t name##_read(const name##_t *v)                          \
	{                                                                             \
		return __atomic_load_n(&v->counter, __ATOMIC_RELAXED);                \
	}                                                                             \
	static inline void name##_set(name##_t *v, value_t i)                         \
	{                                                                             \
		__atomic_store_n(&v->counter, i, __ATOMIC_RELAXED);                   \
	}                                                                             \
	static inline void name##_add(value_t i, name##_t *v)                         \
	{                                                                             \
		__atomic_fetch_add(&v->counter, i, __ATOMIC_RELAXED);                 \
	}                                                                             \
	static inline void name##_sub(value_t i, name##_t *v)                         \
	{                                                                             \
		__atomic_fetch_sub(&v->counter, i, __ATOMIC_RELAXED);                 \
	}                                                                             \
	static inline void name##_inc(name##_t *v) { name##_add(1, v); }              \
	static inline void name##_dec(name##_t *v) { name##_sub(1, v); }              \
	static inline value_t name##_add_return(value_t i, name##_t *v)               \
	{                                                                             \
		return __atomic_add_fetch(&v->counter, i, __ATOMIC_SEQ_CST);          \
	}                                                                             \
	static inline value_t name##_sub_return(value_t i, name##_t *v)               \
	{                                                                             \
		return __atomic_sub_fetch(&v->counter, i, __ATOMIC_SEQ_CST);          \
	}                                                                             \
	static inline value_t name##_fetch_add(value_t i, name##_t *v)                \
	{                                                                             \
		return __atomic_fetch_add(&v->counter, i, __ATOMIC_SEQ_CST);          \
	}                                                                             \
	static inline value_t name##_inc_return(name##_t *v)                          \
	{                                                                             \
		return name##_add_return(1, v);                                       \
	}                                                                             \
	static inline value_t name##_dec_return(name##_t *v)                          \
	{                                                                             \
		return name##_sub_return(1, v);                                       \
	}                                                                             \
	static inline bool name##_dec_and_test(name##_t *v)                           \
	{                                                                             \
		return name##_dec_return(v) == 0;                                     \
	}                                                                             \
	static inline bool name##_inc_and_test(name##_t *v)                           \
	{                                                                             \
		return name##_inc_return(v) == 0;                                     \
	}                                                                             \
	static inline value_t name##_xchg(name##_t *v, value_t i)                     \
	{                                                                             \
		return __atomic_exchange_n(&v->counter, i, __ATOMIC_SEQ_CST);         \
	}                                                                             \
	/* Returns what was there; it has changed if that is `old`. */                \
	static inline value_t name##_cmpxchg(name##_t *v, value_t old, value_t i)     \
	{                                                                             \
		__atomic_compare_exchange_n(&v->counter, &old, i, false,              \
					    __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);      \
		return old;                                                           \
	}

__ATOMIC_OPERATIONS(atomic, int)
__ATOMIC_OPERATIONS(atomic64, s64)

#endif
