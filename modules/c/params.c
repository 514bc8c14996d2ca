/*
 * A parameter of every usual kind, and their values for the shell.
 *
 *   insmod params p_int=-5 p_array=1,2,3 p_text=hey
 *   call params_show;  cat /sys/module/params/parameters/p_int
 *   echo 6 > /sys/module/params/parameters/p_even
 */
#include <linux/errno.h>
#include <linux/kernel.h>
#include <linux/module.h>

static unsigned char p_byte = 1;
module_param(p_byte, byte, 0644);
static short p_short = -2;
module_param(p_short, short, 0644);
static unsigned short p_ushort = 3;
module_param(p_ushort, ushort, 0644);
static int p_int = -4;
module_param(p_int, int, 0644);
MODULE_PARM_DESC(p_int, "an int");
static unsigned int p_uint = 5;
module_param(p_uint, uint, 0644);
static long p_long = -6;
module_param(p_long, long, 0644);
static unsigned long p_ulong = 7;
module_param(p_ulong, ulong, 0644);
static unsigned long long p_ullong = 8;
module_param(p_ullong, ullong, 0644);
static unsigned int p_hexint = 0x9;
module_param(p_hexint, hexint, 0644);
static bool p_bool;
module_param(p_bool, bool, 0644);
static bool p_off = true;
module_param_named(p_invbool, p_off, invbool, 0644);
static char *p_charp = "unset";
module_param(p_charp, charp, 0444);
static char p_buffer[16] = "unset";
module_param_string(p_text, p_buffer, sizeof(p_buffer), 0644);
static int p_array[4];
static unsigned int p_array_len;
module_param_array(p_array, int, &p_array_len, 0644);
static int p_hidden = 10;
module_param(p_hidden, int, 0);
static int p_risky;
module_param_unsafe(p_risky, int, 0600);

static int p_secret;
module_param(p_secret, int, 0200);

/* Types of the module's own: an even number, and one from 1 to 10. */
static int set_even(const char *value, const struct kernel_param *param)
{
	int old = *(int *)param->arg, error = param_set_int(value, param);

	if (error)
		return error;
	if (*(int *)param->arg & 1) {
		*(int *)param->arg = old;
		return -EINVAL;
	}
	return 0;
}
static const struct kernel_param_ops even_ops = {
	.set = set_even,
	.get = param_get_int,
};
static int p_even = 2;
module_param_cb(p_even, &even_ops, &p_even, 0644);

static int set_few(const char *value, const struct kernel_param *param)
{
	return param_set_uint_minmax(value, param, 1, 10);
}
static int get_few(char *buffer, const struct kernel_param *param)
{
	return scnprintf(buffer, 4096, "%u of 10\n", *(unsigned int *)param->arg);
}
static const struct kernel_param_ops few_ops = {
	.set = set_few,
	.get = get_few,
};
static unsigned int p_few = 1;
module_param_cb(p_few, &few_ops, &p_few, 0644);

/* Prints all of them. */
void params_show(void)
{
	unsigned int i;

	pr_info("byte %u short %d ushort %u int %d uint %u\n", p_byte, p_short,
		p_ushort, p_int, p_uint);
	pr_info("long %ld ulong %lu ullong %llu hexint %#x\n", p_long, p_ulong,
		p_ullong, p_hexint);
	pr_info("bool %d off %d charp %s text %s hidden %d risky %d\n", p_bool,
		p_off, p_charp, p_buffer, p_hidden, p_risky);
	for (i = 0; i < p_array_len; i++)
		pr_info("array[%u] %d\n", i, p_array[i]);
}

/* The signed sum of all numbers, for a test in one value. */
long params_sum(void)
{
	long sum = p_byte + p_short + p_ushort + p_int + (long)p_uint + p_long +
		   (long)p_ulong + (long)p_ullong + (long)p_hexint + p_hidden +
		   p_risky;
	unsigned int i;

	for (i = 0; i < p_array_len; i++)
		sum += p_array[i];
	return sum;
}

MODULE_LICENSE("Dual MIT/GPL");
MODULE_DESCRIPTION("A parameter of every usual kind");
