/* As c/klp_key.c, but for what key_answer answers. */
#include <linux/jump_label.h>
#include <linux/module.h>

static DEFINE_STATIC_KEY_FALSE(key_key);

long key_answer(long n);
long key_on(void);

noinline __noclone long key_answer(long n)
{
	barrier();
	if (static_branch_unlikely(&key_key))
		return n + 2000;
	return n + 2;
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
