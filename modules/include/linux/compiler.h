/*
 * What the other headers need to say to the compiler.
 *
 * These headers declare the part of Linux's module interface that Tocsin
 * offers, so that a simple module written for Linux 6.1 compiles unchanged.
 * Names and layouts are Linux's, because modules depend on them; the text is
 * our own. Start reading at module.h.
 */
#ifndef _LINUX_COMPILER_H
#define _LINUX_COMPILER_H

#ifndef __ASSEMBLER__
#define __section(name)      __attribute__((__section__(name)))
#define __used               __attribute__((__used__))
#define __maybe_unused       __attribute__((__unused__))
#define __always_unused      __attribute__((__unused__))
#define __aligned(bytes)     __attribute__((__aligned__(bytes)))
#define __packed             __attribute__((__packed__))
#define __printf(fmt, args)  __attribute__((__format__(printf, fmt, args)))
#define __alias(name)        __attribute__((__alias__(#name)))
#if __has_attribute(__copy__) /* not in clang 19 */
#define __copy(name)         __attribute__((__copy__(name)))
#else
#define __copy(name)
#endif
#define __weak               __attribute__((__weak__))
#define __cold               __attribute__((__cold__))
#define __must_check         __attribute__((__warn_unused_result__))
#define __noreturn           __attribute__((__noreturn__))
#define __always_inline      inline __attribute__((__always_inline__))
#define noinline             __attribute__((__noinline__))
#define __noclone            __attribute__((__noclone__))
#define fallthrough          __attribute__((__fallthrough__))
/* No call site in this function: it can be neither traced nor live-patched. */
#define notrace              __attribute__((__no_instrument_function__))

#define likely(x)            __builtin_expect(!!(x), 1)
#define unlikely(x)          __builtin_expect(!!(x), 0)
#define unreachable()        __builtin_unreachable()
/* The compiler may not keep memory in registers across this. */
#define barrier()            __asm__ __volatile__("" : : : "memory")
/* For loops that wait: lets the other threads of the core go first. */
#define cpu_relax() __asm__ volatile("or 1,1,1\n\tor 2,2,2" ::: "memory")
#define READ_ONCE(x)         (*(const volatile __typeof__(x) *)&(x))
#define WRITE_ONCE(x, value) (*(volatile __typeof__(x) *)&(x) = (value))

#define __user
#define __kernel
#define __iomem
#define __force
#define __percpu
#define __rcu

#define ___PASTE(a, b) a##b
#define __PASTE(a, b)  ___PASTE(a, b)
/* A name that no other line of this file makes. */
#define __UNIQUE_ID(prefix) __PASTE(__PASTE(__UNIQUE_ID_, prefix), __COUNTER__)
#endif

#define __stringify_1(x...) #x
#define __stringify(x...)   __stringify_1(x)

#endif
