/*
 * A function that is called keeps the address that it returns to in r11, as assembly
 * that asks where it is does, and LR holds another. Whoever looks at the stack of a CPU
 * in there has to know that lr_outer is in use.
 */
#include <linux/module.h>

static int go;
module_param(go, int, 0644);
MODULE_PARM_DESC(go, "lr_outer waits for it");

asm("	.pushsection .text\n"
    "	.type	lr_leaf, @function\n"
    "lr_leaf:\n"
    "	mflr	11\n"
    "	bcl	20, 31, 1f\n"
    "1:	lwz	4, 0(3)\n"
    "	cmpwi	4, 0\n"
    "	beq	1b\n"
    "	mtlr	11\n"
    "	blr\n"
    "	.size	lr_leaf, . - lr_leaf\n"
    "	.popsection\n");

void lr_leaf(int *until);

long lr_outer(void);
noinline long lr_outer(void)
{
	lr_leaf(&go);
	return 1;
}

MODULE_LICENSE("Dual MIT/GPL");
MODULE_DESCRIPTION("A leaf that moves LR");
