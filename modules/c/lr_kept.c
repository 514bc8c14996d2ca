/*
 * A function that is called keeps the address that it returns to in r11, as assembly
 * that asks where it is does, and LR holds another. Whoever looks at the stack of a CPU
 * in there has to know that lr_outer is in use. In lr_idle it is not, although r11
 * holds an address in it: that is behind no call.
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
    "	.type	lr_stale, @function\n"
    "lr_stale:\n"
    "	addi	11, 4, 8\n"
    "1:	lwz	4, 0(3)\n"
    "	cmpwi	4, 0\n"
    "	beq	1b\n"
    "	blr\n"
    "	.size	lr_stale, . - lr_stale\n"
    "	.popsection\n");

void lr_leaf(int *until);
void lr_stale(int *until, const void *function);

long lr_outer(void);
noinline long lr_outer(void)
{
	lr_leaf(&go);
	return 1;
}

long lr_idle(void);
noinline long lr_idle(void)
{
	lr_stale(&go, lr_outer);
	return 2;
}

MODULE_LICENSE("Dual MIT/GPL");
MODULE_DESCRIPTION("A leaf that moves LR");
