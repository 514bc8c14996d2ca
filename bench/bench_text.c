/*
 * Calls functions of Debian's modules while it is loaded, the same in Linux and in
 * Tocsin: this one file is loaded into both, and text.py compares their traces.
 *
 *   lz4_compress              LZ4_compress_default, and what it calls
 *   nhpoly1305, libpoly1305   a key and a message of 40 bytes: calls across modules
 *
 * Not a function here has a call site, so that the traces begin with Debian's. None
 * is in .init.text either: Linux forgets the names of what lies there.
 */
#include <linux/module.h>

int LZ4_compress_default(const char *from, char *to, int len, int room, void *work);
int crypto_nhpoly1305_setkey(void *tfm, const u8 *key, unsigned int len);
int crypto_nhpoly1305_init(void *desc);
int crypto_nhpoly1305_update(void *desc, const u8 *from, unsigned int len);
int crypto_nhpoly1305_final(void *desc, u8 *to);

enum { KEY_BYTES = 16 + 1072, HASH_BYTES = 16, LZ4_WORK_BYTES = 16384 };

/* More than either kernel's structures of these names take. */
static u64 tfm[512], state[512], work[LZ4_WORK_BYTES / 8];
static u8 key[KEY_BYTES], hash[HASH_BYTES];
static char message[] = "abcabcabcabcabcabcabcabcabcabc0123456789", block[64];

static notrace int bench_text(void)
{
	u64 *desc = state;
	int i;

	if (LZ4_compress_default(message, block, 40, sizeof(block), work) <= 0)
		return -EINVAL;
	if (LZ4_compress_default(message, block, 40, 1, work) != 0)
		return -EINVAL;
	for (i = 0; i < KEY_BYTES; i++)
		key[i] = i;
	/* A shash_desc begins with the address of its tfm. */
	desc[0] = (u64)tfm;
	if (crypto_nhpoly1305_setkey(tfm, key, KEY_BYTES) != 0)
		return -EINVAL;
	crypto_nhpoly1305_init(desc);
	crypto_nhpoly1305_update(desc, (u8 *)message, 40);
	return crypto_nhpoly1305_final(desc, hash);
}
module_init(bench_text);

/* Where Linux puts its call stubs; asm/module.h gives it to every module there. */
__asm__(".section .stubs, \"ax\", @nobits; .balign 8; .previous");

static notrace void bench_text_end(void)
{
}
module_exit(bench_text_end);

MODULE_LICENSE("Dual MIT/GPL");
MODULE_DESCRIPTION("Calls whose traces are compared");
