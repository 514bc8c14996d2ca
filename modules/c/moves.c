/*
 * What memcpy and its kind leave, byte for byte, beside what the definition says.
 * moves_wrong() counts the bytes, and the answers of memcmp, that are wrong.
 */
#include <linux/module.h>
#include <linux/string.h>

#define ROOM 400
#define MOST 290 /* more than two lines of 128 */

static volatile unsigned char is[ROOM], was[ROOM]; /* volatile: no loop here becomes a memcpy */

static void fill(void)
{
	for (int i = 0; i < ROOM; i++)
		is[i] = was[i] = (unsigned char)(i * 7 + (i >> 5));
}

static long wrong_after(int to, int from, int size)
{
	long wrong = 0;

	for (int i = 0; i < ROOM; i++) {
		int moved = i >= to && i < to + size;

		wrong += is[i] != was[moved ? i - to + from : i];
	}
	return wrong;
}

static long copies(void)
{
	static unsigned char source[ROOM];
	long wrong = 0;

	for (int i = 0; i < ROOM; i++)
		source[i] = (unsigned char)(i * 5 + 3);
	for (int size = 0; size <= MOST; size++)
		for (int from = 0; from < 9; from++) {
			int to = 11 + (size + from) % 8;

			fill();
			wrong += memcpy((void *)is + to, source + from, size) != (void *)is + to;
			for (int i = 0; i < ROOM; i++) {
				int moved = i >= to && i < to + size;

				wrong += is[i] != (moved ? source[i - to + from] : was[i]);
			}
		}
	return wrong;
}

static long overlaps(void)
{
	long wrong = 0;

	for (int size = 0; size <= MOST; size += size < 80 ? 1 : 13)
		for (int to = 20; to <= 80; to++) {
			fill();
			wrong += memmove((void *)is + to, (void *)is + 50, size) != (void *)is + to;
			wrong += wrong_after(to, 50, size);
		}
	return wrong;
}

static long fills(void)
{
	long wrong = 0;

	for (int size = 0; size <= MOST; size++)
		for (int to = 0; to < 9; to++)
			for (int byte = 0; byte < 512; byte += 0xa5) { /* 0, and 0x14a is 0x4a */
				fill();
				wrong += memset((void *)is + to, byte, size) != (void *)is + to;
				for (int i = 0; i < ROOM; i++) {
					int set = i >= to && i < to + size;

					wrong += is[i] != (set ? (byte & 255) : was[i]);
				}
			}
	return wrong;
}

static int sign(int number)
{
	return (number > 0) - (number < 0);
}

static long comparisons(void)
{
	static unsigned char other[ROOM];
	long wrong = 0;

	for (int size = 0; size <= MOST; size++)
		for (int at = 0; at < 9; at++) {
			int place = at * size / 9;

			fill();
			for (int i = 0; i < ROOM; i++)
				other[i] = i >= at ? is[i - at] : 0;
			wrong += memcmp((void *)is, other + at, size) != 0;
			if (size == 0)
				continue;
			other[at + place] ^= 0x80;
			wrong += sign(memcmp((void *)is, other + at, size)) !=
				 (is[place] > other[at + place] ? 1 : -1);
			wrong += memcmp((void *)is, other + at, place) != 0;
		}
	return wrong;
}

long moves_wrong(void);
long moves_wrong(void)
{
	return copies() + overlaps() + fills() + comparisons();
}
EXPORT_SYMBOL(moves_wrong);

MODULE_LICENSE("Dual MIT/GPL");
MODULE_DESCRIPTION("memcpy and its kind, compared with what they mean");
