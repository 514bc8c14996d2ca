/* Lesson 6: calls borrow_call, in borrow.S, with functions of two modules. */
#include <linux/module.h>

long pair_a_add(long value); /* of pair_a: adds 3 */
long borrow_call(long (*f)(long), long n);

noinline long borrow_own(long n);
noinline long borrow_own(long n)
{
	return n + 3;
}

long borrow_here(long n);
long borrow_here(long n)
{
	return borrow_call(borrow_own, n);
}

long borrow_there(long n);
long borrow_there(long n)
{
	return borrow_call(pair_a_add, n);
}

MODULE_LICENSE("GPL");
