/* Lesson 4, done. */
#include <linux/errno.h>
#include <linux/init.h>
#include <linux/module.h>

static long start;
module_param(start, long, 0444);
MODULE_PARM_DESC(start, "the total to begin with");

static long total;

long tally_add(long more);
long tally_add(long more)
{
	return total += more;
}
EXPORT_SYMBOL_GPL(tally_add);

static int __init tally_init(void)
{
	if (start < 0)
		return -EINVAL;
	total = start;
	pr_info("tally: begins at %ld\n", total);
	return 0;
}

static void __exit tally_exit(void)
{
	pr_info("tally: ends at %ld\n", total);
}

module_init(tally_init);
module_exit(tally_exit);
MODULE_LICENSE("GPL");
