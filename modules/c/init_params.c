/*
 * Parameters with files, whose variables only init has: they are gone afterwards.
 *
 *   insmod init_params number=8; ! cat /sys/module/init_params/parameters/number
 *   insmod init_params text=hey; cat /sys/module/init_params/parameters/text
 *
 * A text is kept elsewhere, and whoever has copied its address may still read it, so
 * with one the variables stay.
 */
#include <linux/module.h>

static int number __initdata = 7;
module_param(number, int, 0644);

static char *text __initdata = "none";
module_param(text, charp, 0644);

static char buffer[8] __initdata = "none";
module_param_string(string, buffer, sizeof(buffer), 0644);

static int array[2] __initdata = { 1, 2 };
module_param_array(array, int, NULL, 0644);

/* This one stays, what does it does not. */
static int own_value;

static int __init set_own(const char *value, const struct kernel_param *param)
{
	return param_set_int(value, param);
}

static int get_own(char *out, const struct kernel_param *param)
{
	return param_get_int(out, param);
}

static const struct kernel_param_ops own_ops = { .set = set_own, .get = get_own };
module_param_cb(own, &own_ops, &own_value, 0644);

static int there = 5;
module_param(there, int, 0644);

static int __init begin(void)
{
	pr_info("number %d own %d\n", number, own_value);
	return 0;
}
module_init(begin);

static void __exit end(void)
{
}
module_exit(end);

MODULE_LICENSE("Dual MIT/GPL");
MODULE_DESCRIPTION("Parameters in init memory");
