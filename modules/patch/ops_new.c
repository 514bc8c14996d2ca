/*
 * klp_ops.c as it might be after a repair: one function is another. The table beside it
 * stays, and what the patch has of it is borrowed.
 *
 *   make patch OLD=modules/c/klp_ops.c NEW=modules/patch/ops_new.c OUT=klp_ops_fix.ko
 */
#include <linux/module.h>

struct ops {
	long (*open)(long);
	long (*close)(long);
};

long ops_call(long x);

static noinline long ops_open(long x)
{
	barrier();
	return x;
}

static noinline long ops_close(long x)
{
	barrier();
	return -x;
}

static const struct ops ops = { .open = ops_open, .close = ops_close };

const struct ops *ops_get(void);
noinline const struct ops *ops_get(void)
{
	return &ops;
}

noinline long ops_call(long x)
{
	const struct ops *use = ops_get();

	barrier();
	return use->open(x) + 2;
}
EXPORT_SYMBOL_GPL(ops_call);

static int ops_init(void)
{
	return 0;
}
module_init(ops_init);

static void ops_exit(void)
{
}
module_exit(ops_exit);

MODULE_LICENSE("Dual MIT/GPL");
MODULE_DESCRIPTION("A constant table of functions");
