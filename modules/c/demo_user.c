/*
 * Calls demo's functions from another module, through stubs: with demo_fix
 * enabled three modules and three TOCs take part in each call.
 *
 *   call user_selfcheck   = 0x1f; after `livepatch enable demo_fix` = 0x1f0000
 */
#include <linux/module.h>

#include "demo.h"

#define CANARY 0x05e205e205e205e2L

static long canary = CANARY;

static noinline notrace unsigned long canary_lost(void)
{
	return READ_ONCE(canary) == CANARY ? 0 : TOC_LOST;
}

unsigned long user_selfcheck(void)
{
	unsigned long seen = 0;
	struct ten t;

	seen |= verdict(0, answer(), OLD_ANSWER, NEW_ANSWER) | canary_lost();
	seen |= verdict(1, nine(1, 2, 3, 4, 5, 6, 7, 8, 9), OLD_NINE, NEW_NINE);
	seen |= canary_lost();
	seen |= verdict(2, twelve(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12),
			OLD_TWELVE, NEW_TWELVE);
	seen |= canary_lost();
	seen |= verdict(3, sum_of(10, 1L, 2L, 3L, 4L, 5L, 6L, 7L, 8L, 9L, 10L),
			OLD_SUM, NEW_SUM);
	seen |= canary_lost();
	t = make_ten(30, 10);
	seen |= verdict(4, fold_ten(&t), OLD_TEN, NEW_TEN) | canary_lost();
	return seen;
}

MODULE_LICENSE("Dual MIT/GPL");
MODULE_DESCRIPTION("Calls demo's functions from another module");
