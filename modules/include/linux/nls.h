/*
 * Character sets: tables of functions that a module registers and others load
 * by name. Layout of Linux 6.1.
 */
#ifndef _LINUX_NLS_H
#define _LINUX_NLS_H

#include <linux/build_bug.h>
#include <linux/module.h>
#include <linux/types.h>

/* Characters of 16 bits here, whatever the compiler thinks. */
typedef u16 nls_char;
#define wchar_t nls_char /* as Linux says it */

struct nls_table {
	const char *charset;
	const char *alias;
	/* Bytes stored, or a negative error. */
	int (*uni2char)(wchar_t uni, unsigned char *out, int room);
	/* Bytes used, or a negative error. */
	int (*char2uni)(const unsigned char *in, int len, wchar_t *uni);
	const unsigned char *charset2lower;
	const unsigned char *charset2upper;
	struct module *owner;
	struct nls_table *next; /* the kernel's */
};
static_assert(sizeof(struct nls_table) == 64);

extern int __register_nls(struct nls_table *table, struct module *owner);
extern int unregister_nls(struct nls_table *table);
extern struct nls_table *load_nls(const char *charset);
extern void unload_nls(struct nls_table *table);

#define register_nls(table) __register_nls((table), THIS_MODULE)

#endif
