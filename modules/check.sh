#!/bin/sh
# Do the built samples have the shapes that their comments claim?
# Everything is read back with binutils from target/modules/*.ko.
set -u
here=$(cd "$(dirname "$0")" && pwd)
cd "$here/../target/modules" || exit 2
cross=${CROSS:-powerpc64le-linux-gnu-}
readelf=${cross}readelf objdump=${cross}objdump
passed=0 failed=0

ok() { # ok SENTENCE: the status of the command before it
	if [ $? -eq 0 ]; then passed=$((passed + 1)); else
		failed=$((failed + 1))
		echo "FAILED: $1"
	fi
}

# The words of one function: mnemonic, operands, relocation target; one a line.
words() { # words MODULE FUNCTION
	$objdump -dr --no-show-raw-insn "$1.ko" | awk -v f="<$2>:" '
		/^[0-9a-f]+ </ { inside = ($2 == f); next }
		!inside || NF == 0 { next }
		/R_PPC64_/ { line = line " " $3; next }
		{ if (line) print line; sub(/^ *[0-9a-f]+:[ \t]*/, ""); gsub(/[ \t]+/, " "); line = $0 }
		END { if (line) print line }'
}
# st_other's local entry offset: 8 or 0 (readelf shows it only where not 0).
localentry() { # localentry MODULE FUNCTION
	$readelf -sW "$1.ko" | awk -v f="$2" '
		$NF == f && /FUNC/ { off = 0; if (match($0, /<localentry>: [0-9]+/)) off = substr($0, RSTART + 14, RLENGTH - 14); print off + 0; exit }'
}
has() { printf '%s\n' "$text" | grep -q -- "$1"; }
line() { printf '%s\n' "$text" | sed -n "$1p"; }
undefined() { ${cross}nm -u "$1.ko" | sed 's/^ *U //'; }
modinfo() { $readelf -p .modinfo "$1.ko" | sed -n 's/^ *\[[^]]*\]  //p'; }

for ko in *.ko; do
	m=${ko%.ko}
	$readelf -hW "$ko" | grep -q 'Type: *REL ' && $readelf -hW "$ko" | grep -q '0x2, abiv2'
	ok "$m is relocatable ELFv2"
	licence='Dual MIT/GPL\|GPL'
	[ "$m" = closed ] && licence=Proprietary
	modinfo "$m" | grep -qx "license=\($licence\)"
	ok "$m says its licence"
	modinfo "$m" | grep -qx "name=$m"
	ok "$m says its name"
	$readelf -SW "$ko" | grep -q ' .gnu.linkonce.this_module .* 000400 '
	ok "$m has 1024 bytes of __this_module"
	! $readelf -SW "$ko" | grep -qE '\.plt|\.opd|\.eh_frame|COMMON|\.iplt'
	ok "$m has no section that a program would have"
	[ "$m" = attack ] || # faults in it on purpose
		! $objdump -d --no-show-raw-insn "$ko" | grep -qE '[[:space:]](lxv|stxv|lvx|stvx|lf[sd]|stf[sd]|xx[a-z]|fmr|fadd|fmul)'
	ok "$m uses no FP, VMX or VSX register"
done

# Call sites: every `bl _mcount` behind a prologue-free entry follows mflr r0,
# or gcc 5's store, at the local entry. Two have late ones on purpose.
for ko in *.ko; do
	m=${ko%.ko}
	[ "$m" = late ] || [ "$m" = stress ] && continue
	$objdump -dr --no-show-raw-insn "$ko" | awk '
		/R_PPC64_REL24[ \t]+_mcount/ { if (before !~ /mflr +r0$/ && before !~ /std +r0,16\(r1\)$/) bad = 1 }
		/^ *[0-9a-f]+:\t/ && !/R_PPC64/ { before = last; last = $0 }
		END { exit bad }'
	ok "$m calls _mcount right after mflr r0"
done

text=$(words seed_scsi scsi_lun_pack)
[ "$(localentry seed_scsi scsi_lun_pack)" = 0 ]; ok "the seed's leaf has st_other 0"
[ "$(line 1)" = "mflr r0" ] && [ "$(line 2 | sed 's/ [0-9a-f]* <.*>/ /; s/  */ /g')" = "bl _mcount" ]
ok "the seed's leaf begins with mflr r0; bl _mcount"
! has 'r2'; ok "the seed's leaf never mentions r2"
[ "$(localentry seed_scsi scsi_queue_depth)" = 8 ]; ok "the seed's other function sets up its TOC"
text=$(words seed_ibmvscsi vscsi_call_leaf)
printf '%s\n' "$text" | grep -A1 'bl .* scsi_lun_pack' | grep -qx nop
ok "the call of the leaf has a nop for ld r2"
printf '%s\n' "$text" | grep -A3 'bl .* scsi_lun_pack' | grep -q 'bl .* vscsi_credits'
ok "own data is used right after the call of the leaf"
! words seed_ibmvscsi vscsi_credits | grep -q _mcount; ok "the witness itself is not traced"

for f in answer nine sum_of; do
	[ "$(localentry demo $f)" = 0 ]; ok "demo:$f has no TOC set-up"
done
[ "$(localentry demo twelve)" = 8 ]; ok "demo:twelve sets up its TOC"
for f in answer nine twelve sum_of make_ten; do
	[ "$(localentry demo_fix fix_$f)" = 8 ]; ok "demo_fix:fix_$f has a TOC of its own"
	text=$(words demo "call_$f")
	has "bl .* $f\$"; ok "demo:call_$f really calls $f"
	! printf '%s\n' "$text" | grep -A1 "bl .* $f\$" | grep -qx nop
	ok "demo:call_$f has no place to restore r2"
done
text=$(words demo nine); has 'ld .*,96(r1)'; ok "nine's last argument is on the caller's stack"
text=$(words demo twelve); has 'ld .*,120(r1)'; ok "twelve's last argument is on the caller's stack"
undefined demo_fix | grep -qx klp_enable_patch; ok "demo_fix asks to be enabled"
undefined demo_stack | grep -qx pair_a_add; ok "demo_stack's replacement calls pair_a"
modinfo demo_fix | grep -qx livepatch=Y; ok "demo_fix says that it is a live patch"

text=$(words gcc5 gcc5_scale)
[ "$(line 3)" = "mflr r0" ] && [ "$(line 4)" = "std r0,16(r1)" ] && line 5 | grep -q 'bl .* _mcount'
ok "gcc5_scale has gcc 5's three words"
[ "$(localentry gcc5 gcc5_scale)" = 8 ] && [ "$(localentry gcc5 gcc5_leaf)" = 0 ]
ok "gcc5 has both kinds of entry"
text=$(words nop_after nop_after)
line 4 | grep -q 'bl .* _mcount' && [ "$(line 5)" = nop ]; ok "nop_after has a nop behind bl _mcount"
text=$(words late late_scale)
printf '%s\n' "$text" | grep -B1 'bl .* _mcount' | grep -q stdu &&
	printf '%s\n' "$text" | grep -A1 'bl .* _mcount' | grep -qx nop
ok "late has its site behind stdu, with a nop"
text=$(words stress stress_late)
printf '%s\n' "$text" | grep -B1 'bl .* _mcount' | grep -q stdu; ok "stress_late has its site behind stdu"
[ "$(localentry stress stress_nop)" = 8 ] && $readelf -rW stress.ko |
	sed -n '/__patchable_function_entries/,/^$/p' | grep -q 'ADDR64.*\.text'
ok "stress lists the nop of stress_nop"
[ "$(${cross}nm stress_many.ko | grep -c ' t many_[0-9][0-9][0-9]$')" = 1000 ] &&
	[ "$($readelf -rW stress_many.ko | grep -c 'REL24.* _mcount')" = 1000 ]
ok "stress_many has a thousand functions, each with a call site"
text=$(words stress stress_tail)
has '^b .*tail_end'; ok "stress_tail ends in a tail call"
text=$(words sibling sibling_middle)
has '^b .* pair_a_add'; ok "sibling_middle leaves the module by b"
[ "$(localentry sibling sibling_middle)" = 0 ]; ok "sibling_middle has no TOC set-up"
text=$(words sibling sibling_outer)
! printf '%s\n' "$text" | grep -A1 'bl .*<sibling_middle>' | grep -qx nop
ok "sibling_outer has no place to restore r2"

$readelf -SW os_regs.ko | grep ' .sfpr ' | grep -qv ' 000000 00  AX'; ok "os_regs brings .sfpr"
! undefined os_regs | grep -q gpr; ok "os_regs finds its save and restore functions inside"
$readelf -rW data_user.ko | sed -n '/rela.toc/,$p' | grep -q 'ADDR64.*dataonly_squares'
ok "data_user has dataonly's address in .toc"
$readelf -rW mixed.ko | grep -q 'REL24.*mixed_rotate'; ok "mixed calls its other object"
! $readelf -sW dataonly.ko | grep -q FUNC; ok "dataonly has no function"
undefined unresolved | grep -qx there_is_no_such_function; ok "unresolved needs what nobody has"
! $readelf -sW noexit.ko | grep -q cleanup_module; ok "noexit has no exit function"

modinfo seed_ibmvscsi | grep -qx depends=seed_scsi; ok "seed_ibmvscsi depends on seed_scsi"
modinfo pair_b | grep -qx depends=pair_a; ok "pair_b depends on pair_a, not on duplicate"
modinfo hello | grep -qx depends=; ok "hello depends on nothing"
modinfo hello | grep -qx parmtype=times:int; ok "hello has a parameter with a type"
$readelf -SW params.ko | grep ' __param ' | grep -q " $(printf %06x $((40 * 19))) "
ok "params has 19 entries of 40 bytes"
$readelf -x __param hello.ko | grep -q '0x00000010 00000000 00000000 a401ff00'
ok "hello's first parameter has permissions 0644 and level -1"
$readelf -rW hello.ko | grep -q '0000000000000138 .*ADDR64.* init_module' &&
	$readelf -rW hello.ko | grep -q '00000000000003b0 .*ADDR64.* cleanup_module'
ok "hello's __this_module points to init and exit where Linux 6.1's does"
$readelf -x .gnu.linkonce.this_module hello.ko | grep -q '0x00000010 00000000 00000000 68656c6c 6f000000'
ok "hello's name is at 24 of __this_module"
${cross}nm -n seed_scsi.ko | sed -n 's/.* __ksymtab_//p' | sort -c; ok "exports are sorted by name"
$readelf -SW seed_scsi.ko | grep ' __ksymtab_gpl ' | grep -q " $(printf %06x $((24 * 4))) "
ok "an export takes 24 bytes"

text=$(words rust_hello rust_hello_sum)
[ "$(localentry rust_hello rust_hello_sum)" = 8 ] && [ "$(line 3)" = nop ]
ok "rust_hello_sum has its nop at the local entry"
$readelf -SW rust_hello.ko | grep -q ' __patchable_function_entries '; ok "rust_hello lists its nops"
[ "$(undefined rust_hello | sort | tr '\n' ' ')" = ".TOC. _printk " ]; ok "rust_hello needs _printk alone"

# Sources written for Linux compile unchanged.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cat > "$work/proc-patch.c" << 'END'
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt
#include <linux/module.h>
#include <linux/kernel.h>
#include <linux/livepatch.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/mutex.h>
#include <linux/err.h>
#include <linux/bug.h>
#include <linux/jiffies.h>

static DEFINE_MUTEX(lock);
static LIST_HEAD(entries);
struct entry {
	struct list_head link;
	char text[32];
};

static int replaced_show(struct seq_file *m, void *v)
{
	struct entry *e = kzalloc(sizeof(*e), GFP_KERNEL), *pos;
	struct list_head *at, *ahead;

	if (!e)
		return -ENOMEM;
	strscpy(e->text, "patched", sizeof(e->text));
	mutex_lock(&lock);
	list_add_tail(&e->link, &entries);
	list_for_each_entry(pos, &entries, link)
		seq_printf(m, "%s %lu\n", pos->text, jiffies);
	list_for_each_entry_reverse(pos, &entries, link)
		if (pos == list_last_entry(&entries, struct entry, link))
			seq_printf(m, "last\n");
	list_for_each_prev(at, &entries)
		seq_printf(m, "%s\n", list_entry(at, struct entry, link)->text);
	list_for_each_safe(at, ahead, &entries)
		list_del(at);
	mutex_unlock(&lock);
	kfree(e);
	return WARN_ON(IS_ERR(v)) ? (int)PTR_ERR(v) : 0;
}

static int before(struct klp_object *obj)
{
	pr_info("patching %s\n", obj->name ? obj->name : "vmlinux");
	return 0;
}

static struct klp_func funcs[] = {
	{ .old_name = "cmdline_proc_show", .new_func = replaced_show, }, { }
};
static struct klp_object objs[] = {
	{ .funcs = funcs, .callbacks = { .pre_patch = before, }, }, { }
};
static struct klp_patch patch = { .mod = THIS_MODULE, .objs = objs, .replace = true, };

static int patch_init(void)
{
	return klp_enable_patch(&patch);
}

static void patch_exit(void)
{
}

module_init(patch_init);
module_exit(patch_exit);
MODULE_LICENSE("GPL");
MODULE_INFO(livepatch, "Y");
END
make -s --no-print-directory -C "$here" module SRC="$work/proc-patch.c" OUT="$work/proc-patch.ko" CROSS="$cross"
ok "a live patch written for Linux compiles"
$readelf -p .modinfo "$work/proc-patch.ko" 2> /dev/null | grep -q 'name=proc_patch$'
ok "its name has _ for -"

echo "$passed passed, $failed failed"
[ $failed -eq 0 ]
