/*
 * Symbols that other modules may use.
 *
 *   __ksymtab (or __ksymtab_gpl)      __ksymtab_strings
 *   +0   value      ---> the symbol
 *   +8   name       --------------->  "hello_greet\0"
 *   +16  namespace  --------------->  "\0"
 *
 * Three absolute 64-bit pointers an entry, as Linux 6.1 has it on this machine
 * (it knows a shorter, relative form on others). Each entry starts in a section
 * of its own, `___ksymtab+NAME`; module.ld sorts these into one table.
 * Works in C and, with the same names, in assembly files.
 */
#ifndef _LINUX_EXPORT_H
#define _LINUX_EXPORT_H

#include <linux/compiler.h>

#ifdef __ASSEMBLER__

.macro tocsin_export_symbol name, table
	.pushsection "__ksymtab_strings", "aMS", %progbits, 1
.L__kstrtab_\name:
	.asciz	"\name"
.L__kstrtabns_\name:
	.asciz	""
	.popsection
	.pushsection "___\table+\name", "a", %progbits
	.balign	8
__ksymtab_\name:
	.8byte	\name, .L__kstrtab_\name, .L__kstrtabns_\name
	.popsection
.endm
#define EXPORT_SYMBOL(name)     tocsin_export_symbol name, ksymtab
#define EXPORT_SYMBOL_GPL(name) tocsin_export_symbol name, ksymtab_gpl

#else

struct kernel_symbol {
	unsigned long value;
	const char *name;
	const char *namespace;
};

_Static_assert(sizeof(struct kernel_symbol) == 24, "three pointers an entry");

#define __EXPORT_SYMBOL(symbol, table, ns)                                   \
	extern __typeof__(symbol) symbol;                                    \
	static const char __kstrtab_##symbol[]                               \
		__section("__ksymtab_strings") __used __aligned(1) = #symbol; \
	static const char __kstrtabns_##symbol[]                             \
		__section("__ksymtab_strings") __used __aligned(1) = ns;     \
	static const struct kernel_symbol __ksymtab_##symbol                 \
		__section("___" table "+" #symbol) __used __aligned(8) = {   \
			(unsigned long)&symbol,                              \
			__kstrtab_##symbol,                                  \
			__kstrtabns_##symbol,                                \
		}

#define EXPORT_SYMBOL(symbol)         __EXPORT_SYMBOL(symbol, "ksymtab", "")
#define EXPORT_SYMBOL_GPL(symbol)     __EXPORT_SYMBOL(symbol, "ksymtab_gpl", "")
#define EXPORT_SYMBOL_NS(symbol, ns)  __EXPORT_SYMBOL(symbol, "ksymtab", #ns)
#define EXPORT_SYMBOL_NS_GPL(symbol, ns) \
	__EXPORT_SYMBOL(symbol, "ksymtab_gpl", #ns)

struct module;
extern struct module __this_module;
#define THIS_MODULE (&__this_module)

#endif

#endif
