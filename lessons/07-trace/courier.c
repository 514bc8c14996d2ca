/*
 * Lessons 7 and 8: a firm that sends parcels. courier_day sends `parcels` of them, of
 * weight 1, 2, 3, ..., and answers what they cost together.
 *
 * Lesson 7 asks what happens in it. The trace shows it; the source would, too, but that
 * is not the exercise. (Lesson 8 will look at courier_price.)
 */
#include <linux/module.h>

noinline long courier_scale(long weight);
noinline long courier_weigh(long weight);
noinline long courier_price(long weight);
noinline long courier_insure(long weight);
noinline long courier_send(long weight);
long courier_day(long parcels);

static long scaled, weighed, insured, sent;

noinline long courier_scale(long weight)
{
	WRITE_ONCE(scaled, scaled + 1);
	return weight;
}

noinline long courier_weigh(long weight)
{
	long kilograms = courier_scale(weight);

	WRITE_ONCE(weighed, weighed + 1);
	return kilograms;
}

/* 5 each, and 2 for each kilogram beyond the tenth. */
noinline long courier_price(long weight)
{
	long price = 5;

	if (weight > 11)
		price += 2 * (weight - 11);
	return price;
}

noinline long courier_insure(long weight)
{
	long cost = courier_scale(weight) > 3;

	WRITE_ONCE(insured, insured + 1);
	return cost;
}

noinline long courier_send(long weight)
{
	long price = courier_price(courier_weigh(weight));

	if (weight % 4 == 0)
		price += courier_insure(weight);
	WRITE_ONCE(sent, sent + 1);
	return price;
}

long courier_day(long parcels)
{
	long i, total = 0;

	for (i = 1; i <= parcels; i++)
		total += courier_send(i);
	return total;
}

MODULE_LICENSE("GPL");
