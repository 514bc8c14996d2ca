/*
 * Registers a character set: ROT13. And everything that can go wrong with that.
 *
 *   insmod charset; nls rot13 "Uryyb"; rmmod charset
 *   insmod charset faulty=1; ! nls rot13 "x"    its function traps: an oops, and
 *                                               the charset is gone
 *   insmod charset forget=1; rmmod charset      the kernel drops what is left
 *   insmod charset twice=1                      the second time is refused
 *   insmod charset stray=1                      a table outside of any module
 *   insmod charset early=1                      a table among what only init uses
 */
#include <linux/errno.h>
#include <linux/module.h>
#include <linux/nls.h>
#include <linux/slab.h>
#include <linux/string.h>

static int faulty, forget, twice, stray, early;
module_param(faulty, int, 0644);
module_param(forget, int, 0644);
module_param(twice, int, 0444);
module_param(stray, int, 0444);
module_param(early, int, 0444);

static unsigned int rotate(unsigned int c)
{
	unsigned int letter = (c | 0x20) - 'a';

	return letter < 26 ? c - letter + (letter + 13) % 26 : c;
}

static int uni2char(wchar_t uni, unsigned char *out, int room)
{
	if (uni == 0 || uni > 0x7f)
		return -EINVAL;
	if (room < 1)
		return -EINVAL;
	*out = rotate(uni);
	return 1;
}

static int char2uni(const unsigned char *in, int len, wchar_t *uni)
{
	if (faulty)
		__builtin_trap();
	if (len < 1 || *in == 0 || *in > 0x7f)
		return -EINVAL;
	*uni = rotate(*in);
	return 1;
}

static struct nls_table table = {
	.charset = "rot13",
	.alias = "caesar13",
	.uni2char = uni2char,
	.char2uni = char2uni,
};

/* In memory that the kernel gives back after init, unless it looks. */
static struct nls_table early_table __initdata = {
	.charset = "early13",
	.uni2char = uni2char,
	.char2uni = char2uni,
};

/* The use count of another character set, by name: 0 if there is none. */
static struct nls_table *other;

long charset_hold(const char *name)
{
	other = load_nls(name);
	return other != NULL;
}

void charset_release(void)
{
	unload_nls(other);
}

/* Holds one, and ends badly: it is released all the same. */
void charset_hold_and_trap(const char *name)
{
	load_nls(name);
	__builtin_trap();
}

static int __init charset_init(void)
{
	struct nls_table *copy;
	int error = register_nls(&table);

	if (!error && early)
		error = register_nls(&early_table);
	if (!error && twice)
		error = register_nls(&table);
	if (!error && stray) {
		copy = kmalloc(sizeof(*copy), GFP_KERNEL);
		if (!copy)
			return -ENOMEM;
		memcpy(copy, &table, sizeof(*copy));
		error = register_nls(copy);
		kfree(copy);
	}
	return error;
}
module_init(charset_init);

static void __exit charset_exit(void)
{
	if (!forget)
		unregister_nls(&table);
	if (!forget && early)
		unregister_nls(&early_table);
}
module_exit(charset_exit);

MODULE_LICENSE("Dual MIT/GPL");
MODULE_DESCRIPTION("A character set");
