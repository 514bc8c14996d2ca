/*
 * klp_switch.c as it might be after a repair: one case of each switch is another, and one
 * of the weights. What differs becomes the patch klp_switch_fix.
 *
 *   make patch OLD=modules/c/klp_switch.c NEW=modules/patch/switch_new.c OUT=klp_switch_fix.ko
 */
#include <linux/module.h>

long switch_note(long a, long b);
long switch_jump(long n);
long switch_result(long n);
long switch_weight(long n);
long switch_kept(long n);
long switch_all(void);

noinline __noclone long switch_note(long a, long b)
{
	barrier();
	return a * b + 1;
}

/* Each case is code of its own: a table of jumps. */
noinline __noclone long switch_jump(long n)
{
	switch (n) {
	case 0: return switch_note(n, 5) + 1;
	case 1: return switch_note(n, 6) * 2;
	case 2: return switch_note(7, n) - 3;
	case 3: return 0x1003;
	case 4: return switch_note(n, n) ^ 5;
	case 5: return switch_note(1, 1) << n;
	case 6: return switch_note(2, n) | 64;
	case 7: return switch_note(n, 9) & 60;
	}
	return -1;
}

/* As before in both: a table of jumps that stays where it is. */
noinline __noclone long switch_kept(long n)
{
	switch (n) {
	case 0: return switch_note(n, 3) + 1;
	case 1: return switch_note(n, 4) * 2;
	case 2: return switch_note(5, n) - 3;
	case 3: return switch_note(n, 8) & 7;
	case 4: return switch_note(n, n) ^ 9;
	case 5: return switch_note(1, 2) << n;
	case 6: return switch_note(3, n) | 32;
	}
	return -2;
}

/* Constants alone: a table of results. */
noinline __noclone long switch_result(long n)
{
	switch (n) {
	case 0: return 11;
	case 1: return 3;
	case 2: return 0x2000;
	case 3: return 5;
	case 4: return 90;
	case 5: return 1;
	case 6: return 44;
	}
	return 0;
}

static const long weights[8] = { 3, 1, 4, 1, 5, 9, 2, 0x600 };

/* The same text in both: what it reads differs. */
noinline __noclone long switch_weight(long n)
{
	return weights[n & 7];
}

long switch_all(void)
{
	long n, sum = 0;

	for (n = -1; n < 9; n++)
		sum += switch_jump(n) + switch_result(n) + switch_weight(n) +
		       switch_kept(n);
	return sum;
}

MODULE_LICENSE("Dual MIT/GPL");
MODULE_DESCRIPTION("Functions with tables");
