/*
 * A function with a static branch. patch/key_new.c is this file with other answers; the
 * patch klp_key_fix, which is made of both, borrows the key.
 *
 *   insmod klp_key; call key_on; call key_answer 0   = 0x3e8
 */
#include <linux/jump_label.h>
#include <linux/module.h>

static DEFINE_STATIC_KEY_FALSE(key_key);

long key_answer(long n);
long key_on(void);

noinline __noclone long key_answer(long n)
{
	barrier();
	if (static_branch_unlikely(&key_key))
		return n + 1000;
	return n + 1;
}
EXPORT_SYMBOL_GPL(key_answer);

long key_on(void)
{
	static_branch_enable(&key_key);
	return 0;
}
EXPORT_SYMBOL_GPL(key_on);

MODULE_LICENSE("Dual MIT/GPL");
MODULE_DESCRIPTION("A static branch");
