//! Probes: what a person wants to know of a function's calls, besides that they happen.
//!
//! ```text
//!   p:mine/sent demo:send len=$arg2 first=+0($arg1):u8      kprobe_events
//!        | parse.rs     words -> Probe
//!        | program.rs   Probe -> Program, what is fetched; -> Shape, what is shown
//!        | filter.rs    ... and which of its records are kept
//!        v
//!   boot/mcount.S, program.rs write a record     (demo:send is called)
//!        | text.rs      Shape and record -> Linux's text
//!        v
//!   sent: (send+0x8/0x5c [demo]) len=12 first=0x41
//! ```
//!
//! # Invariants
//! - A probe stands at a call site, so at the entry of a function or, by way of it, at
//!   its return; never in the middle.
//! - What is in argument registers is stored by a few instructions of the hook
//!   ([`Program::Plain`]); whatever else is wanted is fetched by a program that allocates
//!   nothing, takes no lock, and whose reads may fail.
//!
//! # References
//! Linux, Documentation/trace/kprobetrace.rst; Debian's 6.1 was asked about order,
//! names, listing, formats and refusals.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

pub mod filter;
pub mod parse;
pub mod program;
pub mod text;

pub use parse::{Line, ProbeError};
pub use program::{Program, Shape};

/// The group of events that are given none.
pub const GROUP: &str = "kprobes";

/// Most arguments of a probe: words beside a record, less one that says which could not
/// be read.
pub const ARGS_MAX: usize = crate::trace::record::PAYLOAD_WORDS - 1;

/// Where a function is probed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Where it begins.
    Entry,
    /// Where it returns. `active`: how many calls may be under way on all CPUs, others
    /// are counted as missed; 0 if it was not said: then there is room for 256 on each CPU.
    Return {
        /// That number.
        active: u16,
    },
}

/// One probe, as it was defined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// Where.
    pub place: Place,
    /// The group of the event, a C identifier.
    pub group: String,
    /// The event, a C identifier.
    pub event: String,
    /// `[MOD:]NAME`.
    pub symbol: String,
    /// What is recorded.
    pub args: Vec<Arg>,
}

/// One thing that is recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arg {
    /// How it is called in the text.
    pub name: String,
    /// What is fetched, as it was written, with its type.
    pub words: String,
    /// Where it is.
    pub fetch: Fetch,
    /// What it is.
    pub kind: Type,
}

/// Where a value is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetch {
    /// What is known to begin with.
    pub base: Base,
    /// Steps through memory: add this, then read there. The last one reads the value.
    pub steps: Vec<i64>,
}

/// What a fetch begins with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Base {
    /// A general register.
    Gpr(u8),
    /// Another one.
    Special(Special),
    /// A number.
    Number(u64),
    /// Address of a symbol, and what is added to it.
    Symbol(String, i64),
    /// What runs.
    Comm,
    /// A text that stands in the definition.
    Text(String),
}

/// A register that is not a general one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Special {
    /// Where the probe stands, or the function has returned to.
    Nip,
    /// The link register: where the function returns to.
    Link,
    /// The count register.
    Ctr,
    /// The fixed-point exception register.
    Xer,
    /// The condition register.
    Ccr,
}

/// What a value is, and so how it is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// So many bytes without a sign, in tens.
    Unsigned(u8),
    /// So many bytes with a sign.
    Signed(u8),
    /// So many bytes, in hexadecimal.
    Hex(u8),
    /// An address: the function there, or what else has a name.
    Symbol,
    /// Bytes up to a NUL.
    Text,
}

impl Type {
    const ALL: [(&'static str, Self); 15] = [
        ("u8", Self::Unsigned(1)),
        ("u16", Self::Unsigned(2)),
        ("u32", Self::Unsigned(4)),
        ("u64", Self::Unsigned(8)),
        ("s8", Self::Signed(1)),
        ("s16", Self::Signed(2)),
        ("s32", Self::Signed(4)),
        ("s64", Self::Signed(8)),
        ("x8", Self::Hex(1)),
        ("x16", Self::Hex(2)),
        ("x32", Self::Hex(4)),
        ("x64", Self::Hex(8)),
        ("symbol", Self::Symbol),
        ("string", Self::Text),
        ("ustring", Self::Text), // user space is the same memory
    ];

    /// The type of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(own, _)| *own == name).map(|(_, kind)| *kind)
    }

    /// Bytes of a value; none for a text.
    #[must_use]
    pub const fn bytes(self) -> u8 {
        match self {
            Self::Unsigned(bytes) | Self::Signed(bytes) | Self::Hex(bytes) => bytes,
            Self::Symbol => 8,
            Self::Text => 0,
        }
    }
}

/// The definition, as `kprobe_events` lists it.
impl fmt::Display for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.place {
            Place::Entry => f.write_str("p")?,
            Place::Return { active: 0 } => f.write_str("r")?,
            Place::Return { active } => write!(f, "r{active}")?,
        }
        let Self { group, event, symbol, .. } = self;
        write!(f, ":{group}/{event} {symbol}")?;
        self.args.iter().try_for_each(|arg| write!(f, " {}={}", arg.name, arg.words))
    }
}
