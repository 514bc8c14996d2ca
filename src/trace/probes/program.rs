//! What a probe fetches, and where the text finds it afterwards.
//!
//! ```text
//!   entry   record: time, ip, r3     beside it: r4 r5 r6 r7 r8 r9 r10    Plain
//!   return  record: time, ip, caller beside it: r3 r4                    Plain
//!   both    record: time, ip, caller beside it: a word each, faults      Steps
//! ```
//!
//! # Invariants
//! - A program runs wherever a function may be called: it allocates nothing and takes no
//!   lock.
//! - A read that fails is a value too: bit N of the last word says that word N is none.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::{Base, Place, Probe, Special, Type};
use crate::trace::record::PAYLOAD_WORDS;

/// Longest text that is fetched, in bytes; what is longer is cut.
pub const TEXT_MAX: usize = 255;

/// How a probe's values come into its records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Program {
    /// The hook stores argument registers: so many of them, from r3 on.
    Plain(u8),
    /// Each of these is fetched by the kernel.
    Steps(Vec<Step>),
}

/// One fetch, as far as it is known before a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    base: Known,
    steps: Vec<i64>,
    kind: Type,
}

/// What a fetch begins with, names looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Known {
    Gpr(u8),
    Special(Special),
    Number(u64),
}

/// What is shown of a probe's records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shape {
    /// The event.
    pub event: String,
    /// It tells of returns.
    pub at_return: bool,
    /// Its arguments.
    pub fields: Vec<Field>,
    /// The last word beside the record says which of the others could not be read.
    pub(super) has_faults: bool,
}

/// One argument.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: Type,
    pub(super) from: From,
}

/// Where a value is when the text is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum From {
    /// In the record itself.
    Record,
    /// In a word beside it.
    Word(usize),
    /// It is always the same.
    Number(u64),
    /// It is always the same text.
    Text(String),
    /// The address of the call site.
    Site,
    /// Who was running.
    Comm,
}

/// Memory, and where texts are put.
pub trait Machine {
    /// Copies as many of the first bytes as can be read; how many.
    fn read(&self, at: u64, to: &mut [u8]) -> usize;

    /// Keeps a text; what stands for it from now on.
    fn keep(&self, text: &[u8]) -> u64;

    /// A register that is not a general one.
    fn special(&self, which: Special) -> u64;
}

impl Step {
    /// The value, or what stands for its text; `None` if it cannot be read.
    fn run(&self, gpr: &[u64; 32], machine: &impl Machine) -> Option<u64> {
        let mut value = match self.base {
            Known::Gpr(number) => gpr.get(usize::from(number)).copied().unwrap_or_default(),
            Known::Special(which) => machine.special(which),
            Known::Number(number) => number,
        };
        let Some((last, before)) = self.steps.split_last() else { return Some(value) };
        let read = |at: u64, bytes: usize| {
            let mut word = [0; 8];
            let to = word.get_mut(..bytes)?;
            (machine.read(at, to) == bytes).then_some(u64::from_le_bytes(word))
        };
        for step in before {
            value = read(value.wrapping_add_signed(*step), 8)?;
        }
        let at = value.wrapping_add_signed(*last);
        if self.kind != Type::Text {
            return read(at, usize::from(self.kind.bytes()));
        }
        let mut text = [0; TEXT_MAX];
        let there = machine.read(at, &mut text);
        let end = text.iter().position(|byte| *byte == 0);
        // Without an end it must be too long, not run out of memory.
        let len = end.filter(|end| *end < there).or((there == TEXT_MAX).then_some(TEXT_MAX))?;
        Some(machine.keep(text.get(..len)?))
    }
}

/// Fetches all there is.
pub fn run(
    steps: &[Step],
    gpr: &[u64; 32],
    machine: &impl Machine,
    words: &mut [u64; PAYLOAD_WORDS],
) {
    let mut faults = 0;
    let (last, words) = words.split_last_mut().expect("a payload has words");
    for (number, (step, word)) in steps.iter().zip(words).enumerate() {
        match step.run(gpr, machine) {
            Some(value) => *word = value,
            None => faults |= 1 << number,
        }
    }
    *last = faults;
}

/// True if the hook can store it, and in which of its words it is then.
fn plain(place: Place, base: &Base, has_steps: bool) -> Option<From> {
    if has_steps {
        return None;
    }
    let at_entry = place == Place::Entry;
    match base {
        Base::Gpr(3) if at_entry => Some(From::Record),
        Base::Gpr(number @ 4..=10) if at_entry => Some(From::Word(usize::from(*number) - 4)),
        Base::Gpr(3) if !at_entry => Some(From::Word(0)),
        Base::Gpr(4) if !at_entry => Some(From::Word(1)),
        Base::Special(Special::Nip) if at_entry => Some(From::Site),
        Base::Special(Special::Nip | Special::Link) if !at_entry => Some(From::Record),
        Base::Number(number) => Some(From::Number(*number)),
        Base::Text(text) => Some(From::Text(text.clone())),
        Base::Comm => Some(From::Comm),
        Base::Gpr(_) | Base::Special(_) | Base::Symbol(..) => None,
    }
}

/// Makes a program of a probe. `resolve` knows the addresses of symbols.
pub fn compile(
    probe: &Probe,
    resolve: impl Fn(&str) -> Option<u64>,
) -> Result<(Program, Shape), String> {
    let simple = |arg: &super::Arg| plain(probe.place, &arg.fetch.base, !arg.fetch.steps.is_empty());
    let is_plain = probe.args.iter().all(|arg| simple(arg).is_some());
    let mut fields = Vec::new();
    let (mut steps, mut registers) = (Vec::new(), 0);
    for arg in &probe.args {
        let from = match simple(arg) {
            // Where programs run, the record has the return address.
            Some(From::Record | From::Word(_)) | None if !is_plain => {
                let base = match &arg.fetch.base {
                    Base::Gpr(number) => Known::Gpr(*number),
                    Base::Special(which) => Known::Special(*which),
                    Base::Number(number) => Known::Number(*number),
                    Base::Symbol(name, offset) => {
                        let address = resolve(name).ok_or_else(|| {
                            format!("@{name}: no such symbol (see cat /proc/kallsyms)")
                        })?;
                        Known::Number(address.wrapping_add_signed(*offset))
                    }
                    Base::Comm | Base::Text(_) => Known::Number(0), // always simple
                };
                steps.push(Step { base, steps: arg.fetch.steps.clone(), kind: arg.kind });
                From::Word(steps.len() - 1)
            }
            Some(from) => {
                registers = registers.max(match from {
                    From::Record => 1,
                    From::Word(word) => word as u8 + 2,
                    _ => 0,
                });
                from
            }
            None => From::Number(0), // not plain, so above
        };
        fields.push(Field { name: arg.name.clone(), kind: arg.kind, from });
    }
    let shape = Shape {
        event: probe.event.clone(),
        at_return: probe.place != Place::Entry,
        fields,
        has_faults: !is_plain,
    };
    Ok((if is_plain { Program::Plain(registers) } else { Program::Steps(steps) }, shape))
}
