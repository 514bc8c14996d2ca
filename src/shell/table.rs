//! The table of commands: spelling, usage, help, example.
//!
//! `help` prints from here, refusals quote the usage lines from here, and a test
//! feeds every example to the parser, so that none of them can be out of date.
//! Words are Linux's where Linux has one.

use core::fmt;

use super::near::Nearest;
use super::parse::{self, Parser};

/// One command.
pub struct Entry {
    /// Usage, example, help, each from a new line: pieces of one text, for each text of
    /// its own takes 16 bytes more.
    text: &'static str,
    /// Reads the words after the name.
    pub(super) parse: Parser,
}

impl Entry {
    /// The word that a line begins with.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.usage().split(' ').next().unwrap_or_default()
    }

    /// Name and arguments; `[…]` may be left out.
    #[must_use]
    pub fn usage(&self) -> &'static str {
        self.part(0)
    }

    /// A line that works as it stands.
    #[must_use]
    pub fn example(&self) -> &'static str {
        self.part(1)
    }

    /// What it does, in one line; what only `help NAME` says is on more.
    #[must_use]
    pub fn help(&self) -> &'static str {
        self.part(2)
    }

    #[inline(never)]
    fn part(&self, number: usize) -> &'static str {
        self.text.splitn(3, '\n').nth(number).unwrap_or_default()
    }
}

impl PartialEq for Entry {
    /// Names are unique in the table.
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name()
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Entry({})", self.name())
    }
}

impl fmt::Display for Entry {
    /// What `help NAME` prints, without the last line end.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "usage: {}\n{}\nexample: {}", self.usage(), self.help(), self.example())
    }
}

macro_rules! entry {
    ($parse:path, $usage:literal, $help:literal, $example:literal) => {
        Entry { text: concat!($usage, "\n", $example, "\n", $help), parse: $parse }
    };
}

/// Every command, in the order in which `help` lists them: by subject.
#[rustfmt::skip]
pub static TABLE: &[Entry] = &[
    entry!(parse::insmod,
        "insmod NAME|PATH [--link-only] [--force] [--stubs=default|seed|linux|wrong] [param[=value]...]",
        "load a module: relocate it, make its stubs, run its init function\n\
         --link-only: missing names become traps, and nothing of it ever runs\n\
         --force: also if its vermagic, checksums or namespaces do not fit\n\
         --stubs=seed|linux: older shapes (docs/loading.md); wrong: spoils r2, for tests\n\
         param: see modinfo; a bare name is true",
        "insmod hello times=2"),
    entry!(parse::rmmod, "rmmod MOD",
        "unload a module that nothing uses", "rmmod demo"),
    entry!(parse::lsmod, "lsmod [-v]",
        "list loaded modules; -v shows sections and their addresses", "lsmod -v"),
    entry!(parse::modinfo, "modinfo NAME|PATH",
        "show what a module file says about itself", "modinfo hello"),
    entry!(parse::modprobe, "modprobe NAME [param[=value]...]",
        "load a module after the modules that it depends on", "modprobe pair_b"),
    entry!(parse::sym, "sym [MOD:]NAME|ADDR",
        "show where a symbol is, or which symbol an address lies in", "sym demo:answer"),
    entry!(parse::call, "call [-c CPU] [-b] [-t SECONDS] [-n COUNT] [MOD:]NAME [ARG...]",
        "call a function and print r3; ARG is an integer, \"text\", hex:00ff, @SIZE or &NAME\n\
         needs its module (insmod hello); -b: as a job (jobs, wait, stop)",
        "call hello_greet \"you\""),
    entry!(parse::step, "step [-a] [-t SECONDS] [-n COUNT] [MOD:]NAME [ARG...]",
        "call a function and show each instruction and what it changes; -a: the tracer's too",
        "step demo:answer"),
    entry!(parse::watch, "watch r2 [call] [-a] [-t SECONDS] [-n COUNT] [MOD:]NAME [ARG...]",
        "call a function and show each instruction that changes r2, and whose TOC it is then",
        "watch r2 call demo:call_answer"),
    entry!(parse::explain,
        "explain call [MOD:]NAME|ADDR | stub ADDR | reloc MOD N | frame | oops",
        "say what is there and why\n\
         call: each call in a function, its site too; frame: that of the last oops, or this one",
        "explain call demo:call_answer"),
    entry!(parse::jobs, "jobs",
        "list calls that were started with call -b", "jobs"),
    entry!(parse::wait, "wait [JOB]",
        "wait for a job (call -b) and print its result, or for all jobs\n\
         Ctrl-C ends the waiting, and the job goes on (stop ends it)", "wait 1"),
    entry!(parse::stop, "stop JOB",
        "end a job (call -b) at its next tick", "stop 2"),
    entry!(parse::buf, "buf NAME SIZE|\"text\"|hex:00ff",
        "make a buffer that stays; &NAME is its address", "buf key hex:000102ff"),
    entry!(parse::examine, "x ADDR|&NAME [LEN]",
        "dump memory, 16 bytes a line; places that cannot be read are said, not fatal\n\
         &NAME: a buffer (buf key 32)",
        "x &key 32"),
    entry!(parse::dis, "dis [MOD:]NAME|ADDR [COUNT]",
        "disassemble a function, or COUNT instructions", "dis demo:answer 8"),
    entry!(parse::stubs, "stubs MOD",
        "list a module's call stubs: address, kind, target", "stubs demo"),
    entry!(parse::sections, "sections MOD",
        "list a module's sections: number, address, bytes, digest (b2sum -l 64), name",
        "sections demo"),
    entry!(parse::relocs, "relocs MOD [N [LAST]]",
        "list a module's relocations, or those from N to LAST; N alone is explained",
        "relocs demo 20"),
    entry!(parse::sites, "sites [GLOB]",
        "list call sites and the state of each; GLOB may be a module", "sites demo:*"),
    entry!(parse::audit, "audit [-v] [--rewrite]",
        "compare text, constants and relocated data of all modules with what they should be\n\
         -v: who patched what; --rewrite: store call sites again",
        "audit -v"),
    entry!(parse::journal, "journal",
        "list changes to live text: who, when, why, how many words", "journal"),
    entry!(parse::trace, "trace on [GLOB...] | graph [GLOB...] | probe [FUNCTION [ARG...]] | return FUNCTION [ARG...] | unprobe EVENT | set [OPTION...] | off | show | clear | status",
        "trace functions: their calls, how long they take, with what and what they return\n\
         on [GLOB...]: each call; of all functions if none is named, !GLOB: not of these\n\
         graph [GLOB...]: calls and returns, with the time between (--return=seed first: believes r2)\n\
         probe FUNCTION [ARG...]: arguments: $arg1, +0($arg1):string ...; alone: the probes\n\
         return FUNCTION [ARG...]: the result: $retval\n\
         unprobe EVENT: take such a probe away\n\
         set [OPTION...]: options: funcgraph-args, nooverwrite ...; alone: what is set\n\
         off: trace nothing more\n\
         show: what was recorded\n\
         clear: forget it\n\
         status: what is traced, and how much was lost\n\
         more by files: cat /sys/kernel/tracing/README",
        "trace on demo_* !demo_exit"),
    entry!(parse::livepatch, "livepatch enable MOD | disable MOD | force MOD | list | show [MOD] | transition | burn on|off",
        "replace functions of loaded modules by those of a patch module\n\
         enable MOD: load the patch, or use it again\n\
         disable MOD: no longer use it; in a transition: turn round\n\
         force MOD: end its transition without those that have not changed over\n\
         list: patches, and how far each is\n\
         show [MOD]: each replaced function and by what; MOD: only by that patch\n\
         transition: who has not changed over, and where it is\n\
         burn on|off: calls of what is replaced go straight there once all have changed over",
        "livepatch enable demo_fix"),
    entry!(parse::registered, "registered [KIND|NAME]",
        "list what modules have registered; for a kind or a name, with its fields and functions",
        "registered hash"),
    entry!(parse::hash, "hash NAME DATA [KEY]",
        "digest of \"text\", hex:00ff, @SIZE zeros or &NAME by a registered hash\n\
         needs Debian's sha512_generic",
        "hash sha512 \"abc\""),
    entry!(parse::cipher, "cipher [-d] NAME KEY DATA",
        "encrypt (-d: decrypt) whole blocks, each by itself, by a registered cipher\n\
         needs Debian's twofish_generic (modprobe)",
        "cipher twofish hex:00000000000000000000000000000000 @16"),
    entry!(parse::compress, "compress [-d] NAME DATA",
        "compress (-d: decompress) by a registered compressor\n\
         needs Debian's lz4 (modprobe)", "compress lz4 @4096"),
    entry!(parse::nls, "nls CHARSET DATA | nls CHARSET CODE...",
        "bytes of a registered charset to Unicode, or Unicode (U+00e7, 231) to bytes\n\
         needs a module that has one: our charset (rot13), or Debian's nls_* (modprobe)",
        "nls rot13 \"Uryyb\""),
    entry!(parse::keymap, "keymap NAME",
        "list a registered remote control: scan codes and keys\n\
         needs Debian's rc-hauppauge", "keymap rc-hauppauge"),
    entry!(parse::search, "search NAME PATTERN DATA",
        "find a pattern in a text by a registered algorithm\n\
         needs Debian's ts_kmp", "search kmp \"ana\" \"banana\""),
    entry!(parse::matches, "match NAME[/REVISION] INFO PACKET",
        "does an IP packet match? INFO: what iptables gives it\n\
         needs Debian's xt_length",
        "match length hex:1400ffff00000000 hex:4500001400000000401100000000000000000000"),
    entry!(parse::target, "target NAME[/REVISION] INFO PACKET",
        "do to an IP packet what a target does: verdict, mark, priority, packet\n\
         needs Debian's xt_mark",
        "target MARK hex:05000000ffffffff hex:4500001400000000401100000000000000000000"),
    entry!(parse::cpus, "cpus",
        "list CPUs and what each is doing", "cpus"),
    entry!(parse::paca, "paca [CPU]",
        "show the block that r13 points at", "paca 0"),
    entry!(parse::maps, "maps",
        "show what lies where in memory, and its permissions", "maps"),
    entry!(parse::mem, "mem",
        "show used and free memory; beyond 2 GiB behind the kernel none is used", "mem"),
    entry!(parse::time, "time [COMMAND...]",
        "run a command and print how long it took, or how long the kernel has run: under ICOUNT=1 a ns is an instruction",
        "time trace on"),
    entry!(parse::selftest, "selftest [NAME | fault [KIND]]",
        "test the running kernel: all tests, or one; fault ends the machine",
        "selftest fault heap"),
    entry!(parse::dmesg, "dmesg",
        "show the kernel's messages", "dmesg"),
    entry!(parse::ls, "ls [DIR]",
        "list a directory of the initrd or of the control files", "ls /lib/modules"),
    entry!(parse::cat, "cat FILE",
        "print a file", "cat /proc/modules"),
    entry!(parse::echo, "echo [TEXT...] [> FILE | >> FILE]",
        "print words, or write them to a control file", "echo 1 > /sys/kernel/tracing/tracing_on"),
    entry!(parse::repeat, "repeat [-q] COUNT|-t SECONDS COMMAND...",
        "run a command, or several in one pair of quotes, again and again; -q shows failures alone",
        "repeat 100 \"trace on; trace off\""),
    entry!(parse::set, "set -e|+e|-x|+x",
        "-e ends a run at the first failure (+e goes on); -x prints each command first",
        "set +e"),
    entry!(parse::help, "help [COMMAND]",
        "list commands, or explain one; before any command, `! ` means that it must fail",
        "help call"),
    entry!(parse::reboot, "reboot",
        "start the machine again", "reboot"),
    entry!(parse::poweroff, "exit",
        "leave the shell: the same as poweroff", "exit"),
    entry!(parse::poweroff, "quit",
        "leave the shell: the same as poweroff", "quit"),
    entry!(parse::poweroff, "poweroff",
        "switch the machine off", "poweroff"),
];

/// The command of this name.
#[must_use]
pub fn find(name: &[u8]) -> Option<&'static Entry> {
    // Done for each command: names are not cut out of their texts one by one.
    let behind = |entry: &Entry| entry.text.as_bytes().strip_prefix(name);
    TABLE.iter().find(|entry| matches!(behind(entry), Some([b' ' | b'\n', ..])))
}

/// The command that `word` is perhaps a slip of.
#[must_use]
#[cfg_attr(target_os = "none", optimize(size))]
pub fn suggest(word: &[u8]) -> Option<&'static str> {
    let mut nearest = Nearest::new(word);
    let near = TABLE.iter().map(Entry::name).filter(|name| nearest.offer(name));
    near.last()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shell::{lex, near, parse};

    #[test]
    fn every_example_parses_and_begins_with_its_command() {
        for entry in TABLE {
            let statement = lex::statements(entry.example().as_bytes()).next();
            let statement = statement.unwrap().unwrap();
            assert_eq!(statement.words[0].bytes, entry.name().as_bytes());
            let (negated, command) = parse::parse(&statement.words);
            assert!(!negated);
            command.unwrap_or_else(|refusal| panic!("{refusal}"));
            assert!(!entry.help().is_empty());
        }
    }

    #[test]
    fn no_two_commands_have_one_name() {
        for (i, entry) in TABLE.iter().enumerate() {
            assert!(TABLE[..i].iter().all(|other| other.name() != entry.name()));
            assert!(entry.name().len() <= near::LONGEST);
        }
    }

    #[test]
    fn a_slip_of_the_finger_gets_a_suggestion_and_a_foreign_word_does_not() {
        assert_eq!(suggest(b"insmo"), Some("insmod"));
        assert_eq!(suggest(b"rmmdo"), Some("rmmod"));
        assert_eq!(suggest(b"clal"), Some("call"));
        assert_eq!(suggest(b"pacaa"), Some("paca"));
        assert_eq!(suggest(b"livepach"), Some("livepatch"));
        assert_eq!(suggest(b"mount"), None);
        assert_eq!(suggest(b"y"), None);
        assert_eq!(suggest(b"an-extremely-long-word-that-is-no-command"), None);
    }
}
