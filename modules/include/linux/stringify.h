/* __stringify(): a macro's value as text. */
#include <linux/compiler.h>
