/*
 * A QEMU plugin that counts the instructions of a guest without changing it.
 *
 *   functions=FILE   "ADDRESS NAME" a line, ascending: who executes what
 *   calls=FILE       "ADDRESS NAME" a line: a `bl` to the function NAME
 *   window=NAME      each call of that function is a window of its own
 *   watch=ADDRESS    an address whose first execution is noted
 *   out=FILE
 *
 * Three kinds of figures come out, one line each, separated by tabs:
 *
 *   seen    ADDRESS  BEFORE            instructions executed before it was reached
 *   window  NUMBER   BEFORE  INSIDE    before the window, and in it
 *   span    NAME     CALLS   INSIDE    of a window: inside calls of NAME
 *   self    NAME     0       INSIDE    of a window: of NAME's own code
 *   end     0        TOTAL
 *
 * A call lasts from its `bl` to the instruction behind it, so what it calls is
 * counted with it, and interrupts that come meanwhile:
 *
 *      bl f        <- enter: depth 1
 *        f: ... blr
 *      next        <- leave: depth 0; what was counted in between is added
 *
 * A function that somebody jumps to (a tail call) is not seen as called. QEMU
 * counts a block of instructions when it begins; one that faults half-way is
 * counted whole. Neither matters to three digits.
 *
 * The interface is qemu-plugin.h of QEMU 7.2, version 1. Debian has no package
 * with that header, so the few declarations are here (QEMU's documentation, "TCG
 * Plugins").
 */
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))

typedef uint64_t plugin_id;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
enum { NO_REGISTERS = 0, ADD_U64 = 0 };
void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id, void (*)(plugin_id, struct qemu_plugin_tb *));
void qemu_plugin_register_vcpu_tb_exec_inline(struct qemu_plugin_tb *, int, void *, uint64_t);
void qemu_plugin_register_vcpu_insn_exec_cb(struct qemu_plugin_insn *, void (*)(unsigned, void *),
					    int, void *);
void qemu_plugin_register_atexit_cb(plugin_id, void (*)(plugin_id, void *), void *);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *);
uint64_t qemu_plugin_tb_vaddr(const struct qemu_plugin_tb *);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *, size_t);
uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *);

EXPORT int qemu_plugin_version = 1;

/* A line of the functions file: everything from `at` to the next one. */
struct function {
	uint64_t at, count;
	char *name;
};

/* A function whose calls are followed. */
struct span {
	char *name;
	uint64_t calls, inside, entered_at;
	unsigned depth;
};

struct call_site {
	uint64_t at;
	struct span *span;
};

/* The instruction behind a call, in a block of `len` instructions. */
struct way_back {
	struct span *span;
	uint64_t len;
};

struct watch {
	uint64_t at;
	bool seen;
};

enum { SPANS = 256, WATCHES = 16 };

static struct function *functions;
static size_t function_count;
static struct call_site *sites;
static size_t site_count;
static struct span spans[SPANS];
static size_t span_count;
static struct watch watches[WATCHES];
static size_t watch_count;

static struct function nobody = { 0, 0, "elsewhere" };
static const char *window_name = "";
static struct span *window_span;
static unsigned window_number;
static uint64_t executed;
static FILE *out;

/* The last entry of an ascending table that is not above `at`, from 1; or 0. */
static size_t last_not_above(const void *table, size_t count, size_t size, uint64_t at)
{
	size_t low = 0, high = count;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (*(const uint64_t *)((const char *)table + middle * size) <= at)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static struct function *function_at(uint64_t at)
{
	size_t found = last_not_above(functions, function_count, sizeof(*functions), at);

	return found ? &functions[found - 1] : &nobody;
}

static struct call_site *call_at(uint64_t at)
{
	size_t found = last_not_above(sites, site_count, sizeof(*sites), at);

	return found && sites[found - 1].at == at ? &sites[found - 1] : NULL;
}

/* --- windows --------------------------------------------------------------- */

static void open_window(void)
{
	size_t i;

	for (i = 0; i < function_count; i++)
		functions[i].count = 0;
	nobody.count = 0;
	for (i = 0; i < span_count; i++) {
		spans[i].calls = spans[i].inside = 0;
		if (&spans[i] != window_span)
			spans[i].depth = 0;
	}
}

static void close_window(uint64_t inside)
{
	size_t i;

	fprintf(out, "window\t%u\t%" PRIu64 "\t%" PRIu64 "\n", window_number++,
		window_span->entered_at, inside);
	for (i = 0; i < span_count; i++)
		if (spans[i].calls && &spans[i] != window_span)
			fprintf(out, "span\t%s\t%" PRIu64 "\t%" PRIu64 "\n", spans[i].name,
				spans[i].calls, spans[i].inside);
	for (i = 0; i < function_count; i++)
		if (functions[i].count)
			fprintf(out, "self\t%s\t0\t%" PRIu64 "\n", functions[i].name,
				functions[i].count);
	if (nobody.count)
		fprintf(out, "self\t%s\t0\t%" PRIu64 "\n", nobody.name, nobody.count);
	fflush(out);
}

static void on_enter(unsigned cpu, void *data)
{
	struct span *span = data;

	(void)cpu;
	if (span->depth++ == 0) {
		span->entered_at = executed;
		if (span == window_span)
			open_window();
	}
	span->calls++;
}

static void on_leave(unsigned cpu, void *data)
{
	const struct way_back *back = data;
	struct span *span = back->span;
	uint64_t inside;

	(void)cpu;
	if (span->depth == 0 || --span->depth > 0)
		return;
	/* The block that begins here has been counted already. */
	inside = executed - back->len - span->entered_at;
	span->inside += inside;
	if (span == window_span)
		close_window(inside);
}

static void on_watched(unsigned cpu, void *data)
{
	struct watch *watch = data;

	(void)cpu;
	if (watch->seen)
		return;
	watch->seen = true;
	fprintf(out, "seen\t%" PRIx64 "\t%" PRIu64 "\n", watch->at, executed);
	fflush(out);
}

/* --- what QEMU tells ------------------------------------------------------- */

static void on_translated(plugin_id id, struct qemu_plugin_tb *block)
{
	size_t len = qemu_plugin_tb_n_insns(block), i, w;
	struct function *function = function_at(qemu_plugin_tb_vaddr(block));

	(void)id;
	qemu_plugin_register_vcpu_tb_exec_inline(block, ADD_U64, &function->count, len);
	qemu_plugin_register_vcpu_tb_exec_inline(block, ADD_U64, &executed, len);
	for (i = 0; i < len; i++) {
		struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(block, i);
		uint64_t at = qemu_plugin_insn_vaddr(insn);
		struct call_site *call;

		for (w = 0; w < watch_count; w++)
			if (watches[w].at == at)
				qemu_plugin_register_vcpu_insn_exec_cb(insn, on_watched,
								       NO_REGISTERS, &watches[w]);
		/* A return begins a block; a call ends one. */
		call = i == 0 ? call_at(at - 4) : NULL;
		if (call) {
			struct way_back *back = malloc(sizeof(*back));

			*back = (struct way_back){ call->span, len };
			qemu_plugin_register_vcpu_insn_exec_cb(insn, on_leave, NO_REGISTERS, back);
		}
		call = i + 1 == len ? call_at(at) : NULL;
		if (call)
			qemu_plugin_register_vcpu_insn_exec_cb(insn, on_enter, NO_REGISTERS,
							       call->span);
	}
}

static void at_end(plugin_id id, void *data)
{
	(void)id;
	(void)data;
	fprintf(out, "end\t0\t%" PRIu64 "\n", executed);
	fclose(out);
}

/* --- arguments ------------------------------------------------------------- */

static struct span *span_named(const char *name)
{
	size_t i;

	for (i = 0; i < span_count; i++)
		if (!strcmp(spans[i].name, name))
			return &spans[i];
	if (span_count == SPANS)
		return NULL;
	spans[span_count].name = strdup(name);
	return &spans[span_count++];
}

static bool add_function(uint64_t at, const char *name)
{
	if (function_count % 4096 == 0)
		functions = realloc(functions, (function_count + 4096) * sizeof(*functions));
	functions[function_count++] = (struct function){ at, 0, strdup(name) };
	return true;
}

static bool add_call(uint64_t at, const char *name)
{
	struct span *span = span_named(name);

	if (!span)
		return false;
	if (site_count % 4096 == 0)
		sites = realloc(sites, (site_count + 4096) * sizeof(*sites));
	sites[site_count++] = (struct call_site){ at, span };
	return true;
}

/* Reads lines of "ADDRESS NAME"; a name may have blanks. */
static bool read_lines(const char *path, bool (*take)(uint64_t, const char *))
{
	char line[8192], *name;
	FILE *in = fopen(path, "r");

	if (!in) {
		fprintf(stderr, "count: %s: cannot be read\n", path);
		return false;
	}
	while (fgets(line, sizeof(line), in)) {
		uint64_t at = strtoull(line, &name, 16);

		line[strcspn(line, "\n")] = 0;
		if (*name != ' ' || !take(at, name + 1)) {
			fprintf(stderr, "count: %s: not usable: %s\n", path, line);
			fclose(in);
			return false;
		}
	}
	fclose(in);
	return true;
}

EXPORT int qemu_plugin_install(plugin_id id, const void *info, int argc, char **argv)
{
	int i;

	(void)info;
	for (i = 0; i < argc; i++) {
		char *value = strchr(argv[i], '=');

		if (!value)
			return 1;
		*value++ = 0;
		if (!strcmp(argv[i], "functions")) {
			if (!read_lines(value, add_function))
				return 1;
		} else if (!strcmp(argv[i], "calls")) {
			if (!read_lines(value, add_call))
				return 1;
		} else if (!strcmp(argv[i], "window")) {
			window_name = strdup(value);
		} else if (!strcmp(argv[i], "watch") && watch_count < WATCHES) {
			watches[watch_count++].at = strtoull(value, NULL, 16);
		} else if (!strcmp(argv[i], "out")) {
			out = fopen(value, "w");
		} else {
			return 1;
		}
	}
	window_span = span_named(window_name);
	if (!out || !window_span) {
		fprintf(stderr, "count: out=FILE is needed\n");
		return 1;
	}
	qemu_plugin_register_vcpu_tb_trans_cb(id, on_translated);
	qemu_plugin_register_atexit_cb(id, at_end, NULL);
	return 0;
}
