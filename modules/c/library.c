/*
 * Calls what the kernel offers drivers: delays, spin locks, rate limits, random
 * numbers, UTF-8, checksums, an I2C transfer. library_selfcheck() answers a bit for
 * each thing that went as Linux's documentation says: 0xff in all.
 *
 *   insmod library; call library_selfcheck
 *   ! call library_lock_twice            the second would wait for ever: an oops
 */
#include <linux/errno.h>
#include <linux/kernel.h>
#include <linux/module.h>
#include <linux/string.h>
#include <linux/types.h>

/* Linux's declarations, as far as they are needed here. */
extern void msleep(unsigned int milliseconds);
extern void udelay(unsigned long microseconds);
extern unsigned long _raw_spin_lock_irqsave(u32 *lock);
extern void _raw_spin_unlock_irqrestore(u32 *lock, unsigned long flags);
extern u32 __get_random_u32_below(u32 ceiling);
extern int utf8_to_utf32(const u8 *text, int len, u32 *code);
extern int utf32_to_utf8(u32 code, u8 *text, int room);
extern u32 crc32_le(u32 crc, const u8 *data, size_t len);
extern const unsigned char _ctype[];

struct ratelimit_state {
	u32 lock;
	int interval, burst, printed, missed;
	unsigned long begin, flags;
};
extern int ___ratelimit(struct ratelimit_state *state, const char *name);

/* A bus with one chip: a byte for each register. */
struct i2c_msg {
	u16 addr, flags, len;
	u8 *buf;
};
struct i2c_adapter {
	struct module *owner;
	unsigned int class;
	const struct i2c_algorithm *algo;
};
struct i2c_algorithm {
	int (*master_xfer)(struct i2c_adapter *, struct i2c_msg *, int);
};
extern int i2c_transfer(struct i2c_adapter *, struct i2c_msg *, int);

static u8 registers[256];

static int chip_transfer(struct i2c_adapter *bus, struct i2c_msg *msgs, int count)
{
	int i;

	if (bus->algo->master_xfer != chip_transfer)
		return -ENODEV;
	for (i = 0; i < count; i++) {
		if (msgs[i].addr != 0x50)
			return -ENXIO;
		if (msgs[i].flags & 1)
			msgs[i].buf[0] = registers[msgs[0].buf[0]];
		else if (msgs[i].len == 2)
			registers[msgs[i].buf[0]] = msgs[i].buf[1];
	}
	return count;
}

static const struct i2c_algorithm chip = { chip_transfer };
static const struct i2c_algorithm none;

static bool transfers(void)
{
	struct i2c_adapter bus = { .algo = &chip };
	u8 set[2] = { 7, 0xa5 }, reg = 7, value = 0;
	struct i2c_msg write = { 0x50, 0, 2, set };
	struct i2c_msg read[2] = { { 0x50, 0, 1, &reg }, { 0x50, 1, 1, &value } };

	if (i2c_transfer(&bus, &write, 1) != 1 || i2c_transfer(&bus, read, 2) != 2 || value != 0xa5)
		return false;
	write.addr = 0x51;
	if (i2c_transfer(&bus, &write, 1) != -ENXIO)
		return false;
	bus.algo = &none;
	return i2c_transfer(&bus, &write, 1) == -EOPNOTSUPP;
}

static unsigned long timebase(void)
{
	unsigned long now;

	__asm__ __volatile__("mftb %0" : "=r"(now));
	return now;
}

/* The time base of every machine here has 512 MHz. */
static bool sleeps(void)
{
	unsigned long start = timebase(), middle;

	msleep(3);
	middle = timebase();
	udelay(200);
	return middle - start >= 3 * 512000UL && timebase() - middle >= 200 * 512UL;
}

static bool limits(void)
{
	struct ratelimit_state state = { .interval = 1000000, .burst = 2 };
	int first = ___ratelimit(&state, "x"), second = ___ratelimit(&state, "x");

	if (!first || !second || ___ratelimit(&state, "x") || ___ratelimit(&state, "x"))
		return false;
	if (state.printed != 2 || state.missed != 2)
		return false;
	state.begin -= 2000000; /* the interval is over */
	if (!___ratelimit(&state, "x") || state.printed != 1)
		return false;
	state.interval = 0;
	return ___ratelimit(&state, "x") && ___ratelimit(&state, "x") && ___ratelimit(&state, "x");
}

static bool random_is_below(void)
{
	u32 seen = 0;
	int i;

	for (i = 0; i < 200; i++)
		seen |= 1u << __get_random_u32_below(5);
	return seen == 0x1f;
}

static bool utf8(void)
{
	static const u8 euro[] = { 0xe2, 0x82, 0xac }, lone[] = { 0xed, 0xa0, 0x80 };
	u8 out[4] = { 0 };
	u32 code = 0;

	return utf8_to_utf32(euro, 3, &code) == 3 && code == 0x20ac &&
	       utf8_to_utf32(euro, 2, &code) == -1 && utf8_to_utf32(lone, 3, &code) == -1 &&
	       utf32_to_utf8(0x20ac, out, 3) == 3 && out[1] == 0x82 &&
	       utf32_to_utf8(0x20ac, out, 2) == -1 && utf32_to_utf8(0xd800, out, 4) == -1;
}

static u32 lock;

static bool locks(void)
{
	unsigned long flags = _raw_spin_lock_irqsave(&lock);

	_raw_spin_unlock_irqrestore(&lock, flags);
	flags = _raw_spin_lock_irqsave(&lock);
	_raw_spin_unlock_irqrestore(&lock, flags);
	return true;
}

long library_selfcheck(void)
{
	/* Upper, lower, digit, control, punctuation, space, hexadecimal, blank. */
	bool kinds = _ctype['A'] == 0x41 && _ctype['z'] == 2 && _ctype['7'] == 4 && _ctype[0] == 8 &&
		     _ctype['~'] == 0x10 && _ctype['\t'] == 0x28 && _ctype[' '] == 0xa0 &&
		     _ctype[0xd7] == 0x10 && _ctype[0xdf] == 2;

	return sleeps() | limits() << 1 | random_is_below() << 2 | utf8() << 3 | locks() << 4 |
	       kinds << 5 | (crc32_le(~0u, "123456789", 9) == ~0xcbf43926u) << 6 | transfers() << 7;
}

void library_lock_twice(void)
{
	_raw_spin_lock_irqsave(&lock);
	_raw_spin_lock_irqsave(&lock);
}

MODULE_LICENSE("Dual MIT/GPL");
MODULE_DESCRIPTION("Calls what the kernel offers drivers");
