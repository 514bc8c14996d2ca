/*
 * Where a module begins and ends.
 *
 * The kernel calls the symbols `init_module` and `cleanup_module`. These
 * macros make them aliases of the functions that the module names, and let
 * the compiler check their types.
 */
#ifndef _LINUX_INIT_H
#define _LINUX_INIT_H

#include <linux/compiler.h>

#define __init     __section(".init.text") __cold
#define __initdata __section(".init.data")
#define __initconst __section(".init.rodata")
#define __exit     __section(".exit.text") __used __cold
#define __exitdata __section(".exit.data")
#define __ro_after_init __section(".data..ro_after_init")

typedef int (*initcall_t)(void);
typedef void (*exitcall_t)(void);

#define module_init(function)                                       \
	static inline initcall_t __maybe_unused __inittest(void)    \
	{                                                           \
		return function;                                    \
	}                                                           \
	int init_module(void) __copy(function) __alias(function)

#define module_exit(function)                                       \
	static inline exitcall_t __maybe_unused __exittest(void)    \
	{                                                           \
		return function;                                    \
	}                                                           \
	void cleanup_module(void) __copy(function) __alias(function)

/* In a module, every kind of initcall is its one init function. */
#define early_initcall(function)  module_init(function)
#define core_initcall(function)   module_init(function)
#define subsys_initcall(function) module_init(function)
#define device_initcall(function) module_init(function)
#define late_initcall(function)   module_init(function)

#endif
