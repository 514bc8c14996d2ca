#!/bin/sh
# Links one module: link.sh EXPORTS OUT.ko OBJECT...
#
# What only the link knows goes into a generated source, OUT.mod.c, next to the
# module: its name, the modules that it imports from, and `__this_module`.
# EXPORTS has a line `SYMBOL MODULE` for each symbol that a module exports.
# With --gc-sections, what can be reached from init, exit and the exports stays.
# From the environment: CC (compiler and flags), LD, NM, LDFLAGS_MODULE.
set -eu
exports=$1 out=$2
shift 2
name=$(basename "$out" .ko | tr - _)
if [ ${#name} -gt 55 ]; then
	echo "link.sh: $name: a module's name has at most 55 characters, this one ${#name}" >&2
	exit 2
fi
mod=${out%.ko}.mod
symbols=$("$NM" "$@" 2>/dev/null)

defines() { printf '%s\n' "$symbols" | grep -q " T $1\$"; }

# The linker's own word for a root that is not there names no function.
roots=
case " ${LDFLAGS_MODULE-} " in
*\ --gc-sections\ *)
	if ! defines init_module; then
		# shellcheck disable=SC2016 # backticks are quotes here
		echo "link.sh: $name: there is no init_module, where a module begins: a function" \
			'`#[unsafe(no_mangle)] pub extern "C" fn init_module() -> i32`' >&2
		exit 2
	fi
	roots="-e init_module -u init_module"
	if defines cleanup_module; then roots="$roots -u cleanup_module"; fi
	;;
esac

depends=$(printf '%s\n' "$symbols" | sed -n 's/^ *U //p' | sort -u |
	awk -v self="$name" '
		NR == FNR { if (!($1 in from) && $2 != self) from[$1] = $2; next }
		($1 in from) && !seen[from[$1]]++ { printf "%s%s", comma, from[$1]; comma = "," }
	' "$exports" -)

{
	echo "/* Made by modules/link.sh. */"
	echo "#include <linux/module.h>"
	echo "MODULE_INFO(depends, \"$depends\");"
	echo "MODULE_INFO(name, \"$name\");"
	echo "MODULE_INFO(vermagic, \"tocsin ppc64le elfv2\");"
	echo "int init_module(void);"
	echo "void cleanup_module(void);"
	echo "struct module __this_module __section(\".gnu.linkonce.this_module\") = {"
	echo "	.name = \"$name\","
	if defines init_module; then echo "	.init = init_module,"; fi
	if defines cleanup_module; then echo "	.exit = cleanup_module,"; fi
	echo "};"
} > "$mod.c"

# shellcheck disable=SC2086 # CC and LDFLAGS_MODULE hold several words
$CC -c -o "$mod.o" "$mod.c"
# --save-restore-funcs: what -Os calls to save r14-r31 is added to the module.
# shellcheck disable=SC2086
"$LD" -r --save-restore-funcs -T "$(dirname "$0")/module.ld" \
	${LDFLAGS_MODULE-} $roots -o "$out" "$@" "$mod.o"
