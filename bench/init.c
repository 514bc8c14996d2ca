/*
 * The only program under the Linux that is measured: reads /script, does what it
 * says, and powers off.
 *
 *   load LABEL FILE          finit_module
 *   force LABEL FILE         the same for a module of ours, whatever kernel it names
 *   unload LABEL MODULE      delete_module
 *   write LABEL FILE TEXT    open, write, close; no TEXT: open with O_TRUNC
 *   calls LABEL COUNT        COUNT times getppid
 *   show LABEL FILE          prints the file
 *   count LABEL FILE         prints how many lines it has
 *   mount LABEL DIR TYPE
 *
 * One command a line, tabs between its fields. Each is one call of window(), which
 * the plugin counts from outside (count.c), and prints one line when it is over:
 *
 *   window NUMBER LABEL RESULT       RESULT is what the system call returned
 *   | TEXT                           a line of the file that is shown
 *
 * No C library: Debian's cross compiler comes without one, and so nothing runs
 * before _start but the kernel. Linked above 4 GiB, where no code of firmware or
 * kernel ever runs, so that an address of ours is nobody else's.
 */
typedef unsigned long u64;
typedef long s64;

enum {
	SYS_read = 3, SYS_write = 4, SYS_open = 5, SYS_close = 6, SYS_mount = 21,
	SYS_mkdir = 39, SYS_getppid = 64, SYS_reboot = 88, SYS_delete_module = 129,
	SYS_finit_module = 353,
};
/* MODULE_INIT_IGNORE_MODVERSIONS, MODULE_INIT_IGNORE_VERMAGIC */
enum { OF_THIS_KERNEL = 0, OF_ANY_KERNEL = 1 | 2 };
enum { O_RDONLY = 0, O_WRONLY = 1, O_NONBLOCK = 04000, O_TRUNC = 01000 };

/*
 * A system call. Linux gives back an error in r3 with the summary overflow bit of
 * cr0 set; here it comes out negative (powerpc/syscall64-abi.rst).
 */
static s64 call(s64 number, u64 a, u64 b, u64 c, u64 d, u64 e)
{
	register s64 r0 __asm__("r0") = number;
	register u64 r3 __asm__("r3") = a;
	register u64 r4 __asm__("r4") = b;
	register u64 r5 __asm__("r5") = c;
	register u64 r6 __asm__("r6") = d;
	register u64 r7 __asm__("r7") = e;

	__asm__ volatile("sc\n\tbns+ 1f\n\tneg 3,3\n1:"
			 : "+r"(r0), "+r"(r3), "+r"(r4), "+r"(r5), "+r"(r6), "+r"(r7)
			 :
			 : "r8", "r9", "r10", "r11", "r12", "cr0", "ctr", "xer", "memory");
	return r3;
}

/* The compiler may call these. */
void *memcpy(void *to, const void *from, u64 len)
{
	char *t = to;
	const char *f = from;

	while (len--)
		*t++ = *f++;
	return to;
}

void *memset(void *to, int byte, u64 len)
{
	char *t = to;

	while (len--)
		*t++ = byte;
	return to;
}

static u64 length(const char *text)
{
	u64 len = 0;

	while (text[len])
		len++;
	return len;
}

static int equal(const char *a, const char *b)
{
	while (*a && *a == *b)
		a++, b++;
	return *a == *b;
}

/* --- output: collected while something is measured, written afterwards ------- */

static char output[1 << 16];
static u64 output_len;

static void flush(void)
{
	u64 done = 0;

	while (done < output_len) {
		s64 wrote = call(SYS_write, 1, (u64)output + done, output_len - done, 0, 0);

		if (wrote <= 0)
			break;
		done += wrote;
	}
	output_len = 0;
}

static void put(char byte)
{
	if (output_len == sizeof(output))
		flush();
	output[output_len++] = byte;
}

static void print(const char *text)
{
	while (*text)
		put(*text++);
}

static void print_number(s64 value)
{
	char digits[24];
	u64 rest = value < 0 ? -value : value, n = 0;

	if (value < 0)
		put('-');
	do
		digits[n++] = '0' + rest % 10;
	while (rest /= 10);
	while (n)
		put(digits[--n]);
}

/* --- commands ---------------------------------------------------------------- */

static char piece[1 << 16];

/* Reads a file to its end; shows its lines, or counts them. */
static s64 read_file(const char *path, int show)
{
	s64 file = call(SYS_open, (u64)path, O_RDONLY, 0, 0, 0), lines = 0, len;
	int begins = 1;

	if (file < 0)
		return file;
	while ((len = call(SYS_read, file, (u64)piece, sizeof(piece), 0, 0)) > 0) {
		for (s64 i = 0; i < len; i++) {
			if (show && begins)
				print("| ");
			begins = piece[i] == '\n';
			lines += begins;
			if (show)
				put(piece[i]);
		}
	}
	call(SYS_close, file, 0, 0, 0, 0);
	return len < 0 ? len : lines;
}

static s64 write_file(const char *path, const char *text)
{
	s64 file = call(SYS_open, (u64)path, O_WRONLY | (*text ? 0 : O_TRUNC), 0, 0, 0), done = 0;

	if (file < 0)
		return file;
	if (*text)
		done = call(SYS_write, file, (u64)text, length(text), 0, 0);
	call(SYS_close, file, 0, 0, 0, 0);
	return done;
}

static s64 load(const char *path, u64 flags)
{
	s64 file = call(SYS_open, (u64)path, O_RDONLY, 0, 0, 0), result;

	if (file < 0)
		return file;
	result = call(SYS_finit_module, file, (u64)"", flags, 0, 0);
	call(SYS_close, file, 0, 0, 0, 0);
	return result;
}

static s64 calls(const char *count)
{
	u64 n = 0;

	while (*count)
		n = n * 10 + (*count++ - '0');
	while (n--)
		call(SYS_getppid, 0, 0, 0, 0, 0);
	return 0;
}

/* What is measured: from the `bl` to here until the way back. */
__attribute__((noinline, noclone)) s64 window(char **field)
{
	const char *what = field[0];

	if (equal(what, "load"))
		return load(field[2], OF_THIS_KERNEL);
	if (equal(what, "force"))
		return load(field[2], OF_ANY_KERNEL);
	if (equal(what, "unload"))
		return call(SYS_delete_module, (u64)field[2], O_NONBLOCK, 0, 0, 0);
	if (equal(what, "write"))
		return write_file(field[2], field[3]);
	if (equal(what, "calls"))
		return calls(field[2]);
	if (equal(what, "show"))
		return read_file(field[2], 1);
	if (equal(what, "count"))
		return read_file(field[2], 0);
	if (equal(what, "mount")) {
		call(SYS_mkdir, (u64)field[2], 0755, 0, 0, 0);
		return call(SYS_mount, (u64) "none", (u64)field[2], (u64)field[3], 0, 0);
	}
	return -38; /* ENOSYS */
}

static char script[1 << 16];

__attribute__((noreturn, used)) void main(void)
{
	s64 file = call(SYS_open, (u64) "/script", O_RDONLY, 0, 0, 0), len, number = 0;
	char *at = script;

	len = call(SYS_read, file, (u64)script, sizeof(script) - 1, 0, 0);
	while (at < script + len) {
		char *field[4] = { at, "", "", "" };

		for (int n = 1; *at && *at != '\n'; at++) {
			if (*at == '\t' && n < 4) {
				*at = 0;
				field[n++] = at + 1;
			}
		}
		*at++ = 0;
		s64 result = window(field);

		print("window ");
		print_number(number++);
		print(" ");
		print(field[1]);
		print(" ");
		print_number(result);
		print("\n");
		flush();
	}
	print("end\n");
	flush();
	/* LINUX_REBOOT_MAGIC1, MAGIC2, CMD_POWER_OFF */
	call(SYS_reboot, 0xfee1dead, 0x28121969, 0x4321fedc, 0, 0);
	for (;;)
		;
}

/* r2, which main's callees do not set up themselves, and an aligned stack. */
__asm__(".section .text\n"
	"	.globl _start\n"
	"	.type _start, @function\n"
	"_start:\n"
	"	lis 2, .TOC.@highest\n"
	"	ori 2, 2, .TOC.@higher\n"
	"	sldi 2, 2, 32\n"
	"	oris 2, 2, .TOC.@high\n"
	"	ori 2, 2, .TOC.@l\n"
	"	clrrdi 1, 1, 4\n"
	"	stdu 1, -64(1)\n"
	"	bl main\n"
	"	nop\n"
	"	.size _start, . - _start\n");
