/*
 * The first header of every module.
 *
 *   #include <linux/module.h>
 *
 *   static int __init greet(void) { pr_info("hello\n"); return 0; }
 *   module_init(greet);
 *   MODULE_LICENSE("Dual MIT/GPL");
 *
 * Where the rest is: init.h (begin and end), export.h (symbols for others),
 * moduleparam.h (parameters), printk.h, livepatch.h. `link.sh` adds what only
 * the link knows: the module's own name, what it depends on, `__this_module`.
 */
#ifndef _LINUX_MODULE_H
#define _LINUX_MODULE_H

#include <linux/compiler.h>
#include <linux/errno.h>
#include <linux/export.h>
#include <linux/init.h>
#include <linux/kernel.h>
#include <linux/list.h>
#include <linux/moduleparam.h>
#include <linux/printk.h>
#include <linux/string.h>
#include <linux/types.h>

#define MODULE_NAME_LEN 56

/* How far a module is: running, on its way in, on its way out. */
enum module_state {
	MODULE_STATE_LIVE,
	MODULE_STATE_COMING,
	MODULE_STATE_GOING,
	MODULE_STATE_UNFORMED,
};

/*
 * What a module file says of itself. The size and the three members are those
 * of Debian's 6.1 for this machine; everything else belongs to the kernel.
 */
struct module {
	enum module_state state; /* the kernel keeps it right; read only */
	char __owned_by_kernel_0[20];
	char name[MODULE_NAME_LEN];
	char __owned_by_kernel_1[232];
	int (*init)(void);
	char __owned_by_kernel_2[624];
	void (*exit)(void);
	char __owned_by_kernel_3[72];
} __aligned(128);

_Static_assert(offsetof(struct module, name) == 24, "Linux 6.1's layout");
_Static_assert(offsetof(struct module, init) == 312, "Linux 6.1's layout");
_Static_assert(offsetof(struct module, exit) == 944, "Linux 6.1's layout");
_Static_assert(sizeof(struct module) == 1024, "Linux 6.1's size");

#define MODULE_INFO(tag, value)    __MODULE_INFO(tag, tag, value)
#define MODULE_LICENSE(value)      MODULE_INFO(license, value)
#define MODULE_AUTHOR(value)       MODULE_INFO(author, value)
#define MODULE_DESCRIPTION(value)  MODULE_INFO(description, value)
#define MODULE_VERSION(value)      MODULE_INFO(version, value)
#define MODULE_ALIAS(value)        MODULE_INFO(alias, value)
#define MODULE_SOFTDEP(value)      MODULE_INFO(softdep, value)
#define MODULE_FIRMWARE(value)     MODULE_INFO(firmware, value)
#define MODULE_IMPORT_NS(ns)       MODULE_INFO(import_ns, #ns)
#define MODULE_DEVICE_TABLE(kind, table)

#endif
