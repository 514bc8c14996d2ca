/* What the buggy module and its two fixes agree on. */
#include <linux/types.h>

struct dummy {
	struct dummy *next;
	long number;
};

/* Shadow variables of the fixes. */
#define SHADOW_LEAK  1
#define SHADOW_COUNT 2
