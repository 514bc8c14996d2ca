/*
 * Static keys: a branch that is a nop, or a `b`, until somebody turns the key.
 * Each one has an entry in `__jump_table`: distances to the word, to where it
 * branches, and to the key, whose lowest bit says that it branches while off.
 */
#ifndef _LINUX_JUMP_LABEL_H
#define _LINUX_JUMP_LABEL_H

#include <linux/build_bug.h>
#include <linux/compiler.h>
#include <linux/types.h>

struct static_key {
	int enabled;
	unsigned long type; /* Linux keeps a list here */
};
static_assert(sizeof(struct static_key) == 16);

struct static_key_false {
	struct static_key key;
};
struct static_key_true {
	struct static_key key;
};

#define DEFINE_STATIC_KEY_FALSE(name) struct static_key_false name = { { 0, 0 } }
#define DEFINE_STATIC_KEY_TRUE(name)  struct static_key_true name = { { 1, 1 } }

/* True at the branch's target; `inverted` is the lowest bit of the key. */
#define __static_branch(insn, key, inverted)                               \
	({                                                                 \
		__label__ taken, done;                                     \
		bool __taken = false;                                      \
		asm goto("1:	" insn "\n"                                \
			 "	.pushsection __jump_table, \"aw\"\n"       \
			 "	.balign	8\n"                               \
			 "	.long	1b - ., %l2 - .\n"                 \
			 "	.quad	%0 + %1 - .\n"                     \
			 "	.popsection\n"                             \
			 : : "i"(key), "i"(inverted) : : taken);           \
		goto done;                                                 \
	taken:                                                             \
		__taken = true;                                            \
	done:                                                              \
		__taken;                                                   \
	})

/* Off when compiled: a nop that becomes a branch. */
#define static_branch_unlikely(name) __static_branch("nop", &(name)->key, 0)
/* On when compiled: a nop, and a branch away once the key is off. */
#define static_branch_likely(name) (!__static_branch("nop", &(name)->key, 1))

void static_key_enable(struct static_key *key);
void static_key_disable(struct static_key *key);
int static_key_count(struct static_key *key);
#define static_branch_enable(name)  static_key_enable(&(name)->key)
#define static_branch_disable(name) static_key_disable(&(name)->key)

#endif
