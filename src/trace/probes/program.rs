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

/// What is said of a symbol that nothing has, behind its name and a colon.
pub const NO_SYMBOL: &str = "no such symbol (see cat /proc/kallsyms)";

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

/// Makes a program of a probe. `resolve` knows the addresses of symbols; `asked` is true
/// if the kernel looks at every record before it is written, for a filter.
#[cfg_attr(target_os = "none", optimize(size))]
pub fn compile(
    probe: &Probe,
    resolve: &dyn Fn(&str) -> Option<u64>,
    asked: bool,
) -> Result<(Program, Shape), String> {
    let simple =
        |arg: &super::Arg| plain(probe.place, &arg.fetch.base, !arg.fetch.steps.is_empty());
    let is_plain = !asked && probe.args.iter().all(|arg| simple(arg).is_some());
    let mut fields = Vec::new();
    // At the return the hook always stores two.
    let (mut steps, mut registers) = (Vec::new(), if probe.place == Place::Entry { 0 } else { 2 });
    for arg in &probe.args {
        let from = match simple(arg) {
            // Where programs run, the record has the return address.
            Some(From::Record | From::Word(_)) | None if !is_plain => {
                let base = match &arg.fetch.base {
                    Base::Gpr(number) => Known::Gpr(*number),
                    Base::Special(which) => Known::Special(*which),
                    Base::Number(number) => Known::Number(*number),
                    Base::Symbol(name, offset) => {
                        let address =
                            resolve(name).ok_or_else(|| format!("@{name}: {NO_SYMBOL}"))?;
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
                    From::Word(word) if probe.place == Place::Entry => word as u8 + 2,
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

#[cfg(test)]
mod tests {
    use super::super::parse::{Line, line};
    use super::*;
    use core::cell::RefCell;

    /// 64 bytes at 0x1000, and nothing else.
    struct Small {
        bytes: [u8; 64],
        kept: RefCell<Vec<Vec<u8>>>,
    }

    impl Machine for Small {
        fn read(&self, at: u64, to: &mut [u8]) -> usize {
            let there = (0..to.len()).take_while(|n| {
                let place = at.wrapping_add(*n as u64).wrapping_sub(0x1000);
                let byte = usize::try_from(place).ok().and_then(|place| self.bytes.get(place));
                byte.map(|byte| to[*n] = *byte).is_some()
            });
            there.count()
        }

        fn keep(&self, text: &[u8]) -> u64 {
            self.kept.borrow_mut().push(text.to_vec());
            self.kept.borrow().len() as u64
        }

        fn special(&self, which: Special) -> u64 {
            100 + which as u64
        }
    }

    fn small() -> Small {
        let mut bytes = [0; 64];
        bytes[..6].copy_from_slice(b"hello\0");
        bytes[8..16].copy_from_slice(&0x1000_u64.to_le_bytes());
        bytes[16..24].copy_from_slice(&0x8877_6655_4433_2211_u64.to_le_bytes());
        bytes[60..].copy_from_slice(b"cut!");
        Small { bytes, kept: RefCell::default() }
    }

    fn compiled(text: &str) -> (Program, Shape) {
        let Ok(Some(Line::Add(probe))) = line(text) else { panic!("{text}") };
        compile(&probe, &|name| (name == "known").then_some(0x1010), false).unwrap()
    }

    fn words(text: &str, machine: &Small) -> [u64; PAYLOAD_WORDS] {
        let (Program::Steps(steps), _) = compiled(text) else { panic!("{text} is plain") };
        let mut gpr: [u64; 32] = core::array::from_fn(|number| number as u64);
        gpr[3] = 0x1000;
        let mut words = [0; PAYLOAD_WORDS];
        run(&steps, &gpr, machine, &mut words);
        words
    }

    #[test]
    fn argument_registers_are_the_hooks_and_the_rest_the_kernels() {
        for (text, program) in [
            ("p f", Program::Plain(0)),
            ("p f \\1 $comm %nip", Program::Plain(0)),
            ("p f $arg1", Program::Plain(1)),
            ("p f $arg2", Program::Plain(2)),
            ("p f %r10 $arg3", Program::Plain(8)),
            ("r f $retval %r4 %nip", Program::Plain(2)),
        ] {
            assert_eq!(compiled(text).0, program, "{text}");
        }
        for text in [
            "p f %r11",
            "p f %r0",
            "p f +0($arg1)",
            "p f %link",
            "r f %r5",
            "p f $stack",
            "p f @known",
        ] {
            assert!(matches!(compiled(text).0, Program::Steps(_)), "{text}");
        }
    }

    #[test]
    fn steps_lead_through_memory() {
        let machine = small();
        let text = "p f +16($arg1) +16($arg1):u16 +17(+8($arg1)):s8 %r7 @known:x32 %link +0(+8(%r3)):u8 $comm";
        let found = words(text, &machine);
        assert_eq!(found[..7], [0x8877_6655_4433_2211, 0x2211, 0x22, 7, 0x4433_2211, 101, 0x68]);
        assert_eq!(found[7..], [0; PAYLOAD_WORDS - 7]);
    }

    #[test]
    fn what_cannot_be_read_is_flagged_and_the_rest_is_there() {
        let machine = small();
        // At the end of memory: eight bytes that are there, and one too far.
        let text = "p f +0(\\8) %r7 +56($arg1) +57($arg1) +63($arg1):u8 +64($arg1):u8 +0(+0(%r7))";
        let found = words(text, &machine);
        assert_eq!(found[1], 7);
        assert_eq!(found[4], u64::from(b'!'));
        assert_eq!(found[PAYLOAD_WORDS - 1], 0b110_1001);
    }

    #[test]
    fn texts_end_at_their_nul_or_are_cut_and_never_run_out_of_memory() {
        let machine = small();
        let found = words("p f +0($arg1):string +5($arg1):string +60($arg1):string", &machine);
        assert_eq!(found[..2], [1, 2]);
        assert_eq!(found[PAYLOAD_WORDS - 1], 0b100);
        assert_eq!(*machine.kept.borrow(), [b"hello".to_vec(), Vec::new()]);
        struct Endless;
        impl Machine for Endless {
            fn read(&self, _: u64, to: &mut [u8]) -> usize {
                to.fill(b'x');
                to.len()
            }
            fn keep(&self, text: &[u8]) -> u64 {
                text.len() as u64
            }
            fn special(&self, _: Special) -> u64 {
                0
            }
        }
        let (Program::Steps(steps), _) = compiled("p f +0($arg1):string") else { panic!() };
        let mut out = [0; PAYLOAD_WORDS];
        run(&steps, &[0; 32], &Endless, &mut out);
        assert_eq!((out[0], out[PAYLOAD_WORDS - 1]), (TEXT_MAX as u64, 0));
    }

    #[test]
    fn an_unknown_symbol_is_named() {
        let Ok(Some(Line::Add(probe))) = line("p f @nosuch") else { panic!() };
        assert!(
            compile(&probe, &|_| None, false).unwrap_err().starts_with("@nosuch: no such symbol")
        );
    }
}
