/*
 * A patch of itself whose calls can be spoiled, where translation is off: what burn-in
 * does with a word that somebody else has written.
 *
 *   insmod klp_spoil; call spoil_outer      = 0x2 (0x1 without the patch)
 *   call spoil_call 1                       the call in spoil_outer is a nop; 0: is back
 */
#include <linux/livepatch.h>
#include <linux/module.h>

long spoil_inner(void);
long spoil_outer(void);
long spoil_call(long on);

noinline __noclone long spoil_inner(void)
{
	barrier();
	return 1;
}

/* No TOC of its own: the call is burnt in. */
static long spoil_leaf(void)
{
	return 2;
}

/* Not traced, so that its first call is that of spoil_inner. */
notrace long spoil_outer(void)
{
	long answer = spoil_inner();

	barrier();
	return answer;
}

notrace long spoil_call(long on)
{
	static volatile unsigned int *call;
	static unsigned int was;
	volatile unsigned int *at = (void *)spoil_outer;

	if (!call) {
		while ((*at & 0xfc000003) != 0x48000001)
			at++;
		call = at;
		was = *at;
	}
	*call = on ? 0x60000000 : was;
	return 0;
}

static struct klp_func funcs[] = {
	{ .old_name = "spoil_inner", .new_func = spoil_leaf },
	{}
};

static struct klp_object objs[] = {
	{ .name = KBUILD_MODNAME, .funcs = funcs },
	{}
};

static struct klp_patch patch = {
	.mod = THIS_MODULE,
	.objs = objs,
};

static int __init spoil_init(void)
{
	return klp_enable_patch(&patch);
}
module_init(spoil_init);

static void __exit spoil_exit(void)
{
}
module_exit(spoil_exit);

MODULE_LICENSE("Dual MIT/GPL");
MODULE_INFO(livepatch, "Y");
MODULE_DESCRIPTION("A patch of its own function, whose call can be spoiled");
