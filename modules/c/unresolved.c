/* Needs a function that nobody offers: refused by the function's name. */
#include <linux/module.h>

long there_is_no_such_function(long value);

long unresolved_call(long value)
{
	return there_is_no_such_function(value) + 1;
}

MODULE_LICENSE("Dual MIT/GPL");
MODULE_DESCRIPTION("Imports a symbol that does not exist");
