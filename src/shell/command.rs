//! What can be asked of the kernel, as data.
//!
//! One variant a command; `table` has the spelling and the help, `parse` makes
//! the values, `kernel/` carries them out. Names are not looked up here: a
//! command may name a module, symbol or file that does not exist.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use super::args::{Arg, SymbolName};
use super::table::Entry;
use crate::addr::Vaddr;

/// A well-formed command.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// Load a module by name or path.
    Insmod {
        /// A name under `/lib/modules`, or a path.
        module: String,
        /// Lay out and relocate, never run.
        link_only: bool,
        /// Although versions do not fit.
        force: bool,
        /// Which shapes of call stubs to build.
        stubs: StubChoice,
        /// Parameters, in order.
        params: Vec<Param>,
    },
    /// Unload a module.
    Rmmod {
        /// Its name.
        module: String,
    },
    /// List loaded modules.
    Lsmod {
        /// With sections and addresses.
        verbose: bool,
    },
    /// Show what a module file says about itself.
    Modinfo {
        /// A name or a path.
        module: String,
    },
    /// Load a module after what it depends on.
    Modprobe {
        /// Its name.
        module: String,
        /// Parameters for this module alone.
        params: Vec<Param>,
    },
    /// Name to address, or address to name.
    Sym(Target),
    /// Call a function.
    Call(CallRequest),
    /// List jobs that were started with `call -b`.
    Jobs,
    /// Wait for a job, or for all of them.
    Wait {
        /// Its number; all if absent.
        job: Option<u32>,
    },
    /// End a job.
    Stop {
        /// Its number.
        job: u32,
    },
    /// Call a function and show each instruction.
    Step(StepRequest),
    /// Say why something is as it is.
    Explain {
        /// What kind of thing.
        topic: Topic,
        /// Where it is; for a relocation, its module.
        target: Option<Target>,
        /// The relocation's, from 1.
        number: u64,
    },
    /// Make a named buffer that stays.
    Buf {
        /// Its name, without the `&`.
        name: String,
        /// `Zeroed`, `Text` or `Hex`.
        content: Arg,
    },
    /// Dump memory.
    Examine {
        /// Where.
        place: Place,
        /// Bytes; the buffer's size, or 64 for an address, if absent.
        len: Option<u64>,
    },
    /// Disassemble.
    Dis {
        /// A function or an address.
        target: Target,
        /// Instructions; to the function's end, or 16 for an address, if absent.
        count: Option<u64>,
    },
    /// List a module's stubs.
    Stubs {
        /// Its name.
        module: String,
    },
    /// List a module's sections in memory, each with its digest.
    Sections {
        /// Its name.
        module: String,
    },
    /// List a module's relocations.
    Relocs {
        /// Its name.
        module: String,
        /// The one to explain, or the first to list; all if absent.
        first: Option<u64>,
        /// The last to list.
        last: Option<u64>,
    },
    /// List call sites.
    Sites {
        /// Only functions that match.
        glob: Option<String>,
    },
    /// Compare what was linked with what is there now.
    Audit {
        /// With every patched site, and by whom.
        verbose: bool,
        /// Afterwards, store every word of a call site once more.
        rewrite: bool,
    },
    /// Show the journal of text changes.
    Journal,
    /// The function tracer.
    Trace(TraceAction),
    /// Live patches.
    Livepatch(LivepatchAction),
    /// List what modules have registered.
    Registered {
        /// Only this kind or name, with all that is known of each.
        what: Option<String>,
    },
    /// Use something that a module has registered.
    Use(UseRequest),
    /// List CPUs.
    Cpus,
    /// Show a PACA.
    Paca {
        /// Whose; this CPU's if absent.
        cpu: Option<u32>,
    },
    /// Show the memory map.
    Maps,
    /// Show free and used memory.
    Mem,
    /// Run a command and say how long it took; without one, how long the kernel
    /// has been running.
    Time(Option<Box<Command>>),
    /// Run self-tests.
    Selftest {
        /// One; all if absent.
        name: Option<String>,
        /// Of the test `fault`: what is to go wrong; a list of all if absent.
        kind: Option<String>,
    },
    /// Show the kernel's messages.
    Dmesg,
    /// List a directory.
    Ls {
        /// `/` if absent.
        dir: Option<String>,
    },
    /// Print a file.
    Cat {
        /// Its path.
        file: String,
    },
    /// Print words, or write them to a file.
    Echo {
        /// The words with one blank between, without a line end.
        text: Vec<u8>,
        /// Where to, if not the console.
        to: Option<Redirect>,
    },
    /// Run commands again and again; `batch` does it and `kernel/` never sees it.
    Repeat(Repeat),
    /// Change a batch rule; `batch` does it and `kernel/` never sees it.
    Set(BatchFlag),
    /// Explain one command, or list them all.
    Help(Option<&'static Entry>),
    /// Start the machine again; `batch` ends the run first.
    Reboot,
    /// Switch the machine off; `batch` ends the run first.
    Poweroff,
}

/// What `call` was asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct CallRequest {
    /// On this CPU; here if absent.
    pub cpu: Option<u32>,
    /// Do not wait for it: it becomes a job.
    pub background: bool,
    /// Seconds after which it is ended.
    pub seconds: Option<u32>,
    /// How many times, at least once.
    pub count: u64,
    /// What to call.
    pub symbol: SymbolName,
    /// Its arguments, at most [`super::args::MAX_ARGS`].
    pub args: Vec<Arg>,
}

/// What `step` was asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct StepRequest {
    /// Show the tracer and the kernel's lock-free routines too.
    pub all: bool,
    /// Show only what changes r2.
    pub watch: bool,
    /// Seconds after which it is ended.
    pub seconds: Option<u32>,
    /// Most lines of instructions.
    pub lines: Option<u64>,
    /// What to call.
    pub symbol: SymbolName,
    /// Its arguments, at most [`super::args::MAX_ARGS`].
    pub args: Vec<Arg>,
}

/// What `explain` can tell of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Topic {
    /// A branch, or every call in a function.
    Call,
    /// The stub that contains an address.
    Stub,
    /// One relocation of a module.
    Reloc,
    /// The frame of the last oops, or of this command.
    Frame,
    /// The last oops.
    Oops,
}

/// What `repeat` was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repeat {
    /// When it is enough.
    pub until: Until,
    /// Only failures and faults are shown.
    pub quiet: bool,
    /// The commands, as a person would type them.
    pub script: Vec<u8>,
}

/// When [`Repeat`] ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// After so many rounds.
    Rounds(u64),
    /// After the round in which so many seconds have passed.
    Seconds(u32),
}

impl Until {
    /// How many rounds it is; 0 if nobody knows.
    #[must_use]
    pub const fn rounds(self) -> u64 {
        match self {
            Self::Rounds(count) => count,
            Self::Seconds(_) => 0,
        }
    }
}

/// What is done with something registered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// Digest of a text, with a key if there is a second one.
    Hash,
    /// Encrypt a text (the second) with a key (the first).
    Cipher,
    /// Compress a text.
    Compress,
    /// Bytes to characters, or characters to bytes.
    Nls,
    /// List a remote control's keys.
    Keymap,
    /// Find a pattern (the first) in a text (the second).
    Search,
    /// Does a packet (the second) match what is looked for (the first)?
    Match,
    /// Do to a packet (the second) what is said (the first).
    Target,
}

/// What one of the verbs was asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct UseRequest {
    /// What to do.
    pub verb: Verb,
    /// The other way round: decrypt, decompress.
    pub back: bool,
    /// Which one.
    pub name: String,
    /// What with; how many there may be depends on the verb.
    pub args: Vec<Arg>,
}

/// Shapes of call stubs that the loader can build.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StubChoice {
    /// This kernel's own.
    #[default]
    Default,
    /// The six-word profiling stub of the patch series that this kernel began with.
    Seed,
    /// The five-word profiling stub that Linux has.
    Linux,
    /// Ordinary stubs where profiling stubs belong, to show in tests what breaks.
    Wrong,
}

/// `name=value` for a module, or `name`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Param {
    /// Left of the first `=`.
    pub name: String,
    /// Right of it, perhaps empty; without `=` none, which says that it is true.
    pub value: Option<Vec<u8>>,
}

/// A function by name, or any address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// `[MOD:]NAME`.
    Symbol(SymbolName),
    /// An integer.
    Addr(Vaddr),
}

/// Memory by address, or a named buffer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// An integer.
    Addr(Vaddr),
    /// `&NAME`.
    Buffer(String),
}

/// What `trace` can do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TraceAction {
    /// Trace functions that match any of these; every function if empty.
    On(Vec<String>),
    /// The same, with where each call ends and how long it took.
    Graph(Vec<String>),
    /// A probe at a function's entry, with what it records; none: list them.
    Probe(Vec<String>),
    /// The same at its return.
    Return(Vec<String>),
    /// Take an event away, or all for `*`.
    Unprobe(String),
    /// Switch options, or list them if none is named.
    Set(Vec<String>),
    /// Stop tracing; what was recorded stays.
    Off,
    /// Print what was recorded.
    Show,
    /// Forget what was recorded.
    Clear,
    /// Say what is on, and how much was recorded and lost.
    Status,
}

/// What `livepatch` can do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LivepatchAction {
    /// End a transition although CPUs are in what changes.
    Force(String),
    /// Let calls go straight to replacements, or not.
    Burn(bool),
    /// Who keeps a transition from ending.
    Transition,
    /// Redirect functions, loading the patch module if needed.
    Enable(String),
    /// Bring the old functions back.
    Disable(String),
    /// One line a patch.
    List,
    /// Each redirected function of one patch, or of all.
    Show(Option<String>),
}

/// `> FILE` or `>> FILE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redirect {
    /// The file's path.
    pub file: String,
    /// `>>`: keep what is there (for filters: add to them).
    pub append: bool,
}

/// One change to the batch rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BatchFlag {
    /// `-e` (true, as at the start) ends the run at the first failure, `+e` goes on.
    StopAtFailure(bool),
    /// `-x` (true) prints `> COMMAND` before each, `+x` (as at the start) does not.
    PrintCommands(bool),
}
