/*
 * Small helpers: rings whose members move and go, memory that grows, bits, and lines
 * that are said once.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/bitops.h>
#include <linux/err.h>
#include <linux/init.h>
#include <linux/kernel.h>
#include <linux/list.h>
#include <linux/module.h>
#include <linux/random.h>
#include <linux/slab.h>
#include <linux/string.h>

struct item {
	int number;
	struct list_head ring;
};

static LIST_HEAD(items);
static LIST_HEAD(others);

/* Its numbers, in order, checked in the other direction too. */
static void show(const char *what, struct list_head *head)
{
	struct list_head *at;
	struct item *item;
	char text[64] = "";
	int len = 0, back = 0;

	list_for_each_entry(item, head, ring)
		len += scnprintf(text + len, sizeof(text) - len, " %d", item->number);
	for (at = head->prev; at != head; at = at->prev)
		back += 2;
	pr_info("%s:%s%s\n", what, text, back == len ? "" : ", but not backwards");
}

static int fill(struct list_head *head, int from, int to)
{
	for (; from <= to; from++) {
		struct item *item = kzalloc(sizeof(*item), GFP_KERNEL);

		if (!item)
			return -ENOMEM;
		item->number = from;
		list_add_tail(&item->ring, head);
	}
	return 0;
}

/* Frees what it walks over. */
static void drop(struct list_head *head, int odd_only)
{
	struct item *item, *next;

	list_for_each_entry_safe(item, next, head, ring) {
		if (odd_only && item->number % 2 == 0)
			continue;
		list_del(&item->ring);
		memset(item, 0xff, sizeof(*item));
		kfree(item);
	}
}

static int __init lists_begin(void)
{
	int a = -7, b = 9, i, error;
	u64 random[2] = { 0, 0 };
	char *text;

	error = fill(&items, 1, 5) ?: fill(&others, 6, 7);
	if (error)
		return error;
	list_move(items.prev, &items);
	show("last to the front", &items);
	list_move_tail(items.next, &items);
	show("and back", &items);
	list_splice_init(&others, &items);
	show("others before", &items);
	show("others", &others);
	list_splice(&others, &items);
	drop(&items, 1);
	show("even ones", &items);
	drop(&items, 0);
	show("none", &items);

	for (i = 0; i < 3; i++) {
		pr_info_once("said once\n");
		if (printk_once(KERN_WARNING "lists: in round %d\n", i))
			pr_warn_once("first\n");
	}
	pr_info("errors %d%d%d%d\n", IS_ERR_OR_NULL(NULL), IS_ERR_OR_NULL(ERR_PTR(-EINVAL)),
		IS_ERR_OR_NULL(&a), IS_ERR_OR_NULL(ERR_PTR(-4096)));
	pr_info("bits %d %d %d %ld\n", hweight8(0x1ff), hweight16(0x1ffff), hweight32(-1LL),
		hweight64(-1LL));
	swap(a, b);
	pr_info("swapped %d %d, abs %d %ld\n", a, b, abs(b), abs(-5000000000L));

	text = kmalloc(8, GFP_KERNEL);
	if (!text)
		return -ENOMEM;
	strcpy(text, "seven..");
	text = krealloc(text, 4000, GFP_KERNEL);
	if (!text)
		return -ENOMEM;
	strcat(text, "more");
	get_random_bytes(random, sizeof(random));
	pr_info("grown %s, random %d\n", text, random[0] != random[1] && random[0] && random[1]);
	kfree(text);
	return 0;
}

static void __exit lists_end(void)
{
}

module_init(lists_begin);
module_exit(lists_end);
MODULE_LICENSE("GPL");
