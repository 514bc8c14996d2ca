/*
 * Calls of unusual shapes, for what stands between a call and its function: a result in
 * two registers, a recursion without an end, a jump past calls that do not return, a
 * call that is made all the time.
 *
 *   call shapes_pairs             = 0x30172112 whoever traces shapes_pair
 *   call shapes_down 100          = 0x64; 1000000: the stack is too small
 *   call shapes_past 3            = 0x4d; three calls of shapes_throw are left behind
 *   call -b -c 1 shapes_spin      until shapes_stop
 */
#include <linux/module.h>

struct two {
	long first, second;
};

static void *back_here[5];
static int stop;

/* In r3 and r4 (ELFv2 ABI, "Return Values"). */
noinline struct two shapes_pair(long n)
{
	struct two two = { n * 3, n + 7 };

	barrier();
	return two;
}

noinline long shapes_pairs(void)
{
	struct two a = shapes_pair(16), b = shapes_pair(11);

	return (a.first << 24) + (a.second << 16) + (b.first << 8) + b.second;
}

noinline long shapes_down(long n)
{
	long below;

	if (n <= 0)
		return 0;
	below = shapes_down(n - 1);
	barrier();
	return below + 1;
}

noinline void shapes_throw(long n)
{
	if (!n)
		__builtin_longjmp(back_here, 1);
	shapes_throw(n - 1);
	barrier();
}

noinline long shapes_past(long n)
{
	if (__builtin_setjmp(back_here))
		return 0x4d;
	shapes_throw(n);
	return 0;
}

noinline long shapes_leaf(long n)
{
	return n + 1;
}

notrace long shapes_spin(void)
{
	long n = 0;

	while (!READ_ONCE(stop))
		n = shapes_leaf(n);
	return 0;
}

notrace void shapes_stop(void)
{
	WRITE_ONCE(stop, 1);
}

MODULE_LICENSE("Dual MIT/GPL");
MODULE_DESCRIPTION("Calls of unusual shapes");
