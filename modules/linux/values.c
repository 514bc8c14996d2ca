/*
 * Parameters of five types, with Linux's words for their permissions: in octal and
 * by name. `odd_count` counts the values that were given for `odd`.
 */
#include <linux/init.h>
#include <linux/kernel.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/printk.h>
#include <linux/stat.h>

static short int small = 3;
static int middle = 1000;
static long int large = -1;
static char *word = "none";
static int odd[3] = { 1, 3, 5 };
static int odd_count;

module_param(small, short, S_IRUSR | S_IWUSR | S_IRGRP | S_IWGRP);
MODULE_PARM_DESC(small, "A short");
module_param(middle, int, S_IRUGO);
MODULE_PARM_DESC(middle, "An int");
module_param(large, long, S_IRUSR);
MODULE_PARM_DESC(large, "A long");
module_param(word, charp, 0000);
MODULE_PARM_DESC(word, "A text");
module_param_array(odd, int, &odd_count, 0000);
MODULE_PARM_DESC(odd, "Up to three ints");

static int __init values_begin(void)
{
	int i;

	pr_info("values: small %hd, middle %d, large %ld, word %s\n", small, middle, large, word);
	for (i = 0; i < ARRAY_SIZE(odd); i++)
		pr_info("values: odd[%d] = %d\n", i, odd[i]);
	pr_info("values: %d given\n", odd_count);
	return 0;
}

static void __exit values_end(void)
{
}

module_init(values_begin);
module_exit(values_end);
MODULE_LICENSE("GPL");
