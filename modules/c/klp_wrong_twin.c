/* klp_wrong_main.c has a function of the same name: a patch has to say which. */
#include <linux/module.h>

long other_twin(void);

static noinline __noclone long twin(void)
{
	barrier();
	return 2;
}

long other_twin(void)
{
	return twin();
}
