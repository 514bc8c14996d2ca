/*
 * Lesson 8: a live patch for courier.
 *
 * A parcel costs 5, and 2 for each kilogram beyond the tenth: 12 kg are 9. courier_price
 * says 7. Replace it, while it runs.
 *
 *   insmod courier; call courier_price 12      = 0x7
 *   insmod fix;     call courier_price 12      = 0x9
 *   livepatch disable fix; call courier_price 12      = 0x7
 */
#include <linux/livepatch.h>
#include <linux/module.h>

static int fix_init(void)
{
	return 0;
}

static void fix_exit(void)
{
}

module_init(fix_init);
module_exit(fix_exit);
MODULE_LICENSE("GPL");
MODULE_INFO(livepatch, "Y");
