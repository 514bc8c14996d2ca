//! Call stubs: landing pads between a module and code elsewhere.
//!
//! `bl` reaches 32 MiB (`isa::branch::REACH`) and changes neither r2 nor r12.
//! Code outside the module may be farther, has another TOC, and wants its own
//! address in r12, so a call that leaves goes to a stub. This folder makes the
//! words of every kind of stub; `relocate` decides which call needs which,
//! `layout` makes the room, `recognise` reads the words back.
//!
//! ```text
//!   text (RX)                       target words (R)      elsewhere
//!   bl stub ---> stub: r12 = *word ------> [ u64 ] -----> callee
//!   ld r2,24(r1) <---------------------------------------- blr
//! ```
//!
//! | kind | for | uses up | r2, 24(r1) |
//! |---|---|---|---|
//! | External | a call that leaves the module | r12 ctr | saves r2 in 24(r1) |
//! | Profile | `bl _mcount` and the tracer's calls | r12 ctr | neither read nor written |
//! | Sibling | `b` that leaves the module | r11 r12 ctr | shared routine keeps r2 |
//! | Notoc | `bl` and `b` of code that has no TOC pointer | r12 ctr | neither |
//! | OutOfLine | a patchable nop, while LR is live | r0 lr | neither |
//! | Missing | an import that nobody exports | (traps) | neither |
//! | Redirect | a function that a live patch replaces | r0 r12 ctr lr | keeps r2 on the shadow stack |
//! | Seed*, Linux* | `insmod --stubs=seed`, `--stubs=linux` | r11 r12 ctr | as External, Profile |
//!
//! (LinuxProfile leaves r11 alone.) `calls`, `redirect` and `historic` have the
//! words one by one; [`table`] remembers which stub stands where.
//!
//! # Invariants
//! - External, Profile, Sibling, Notoc and Redirect keep their target in an aligned
//!   doubleword that is data: a live stub is aimed elsewhere by one store, and
//!   no word of text changes. OutOfLine has it in its `bl`, which may be swapped
//!   on live text. [`Retarget`] says how each kind is aimed.
//! - A slot never straddles a 128-byte cache block (historic kinds may), and
//!   never moves: callers hold its address in their `bl`.
//! - Words of a slot behind its last instruction are 0: illegal to execute, and
//!   the recogniser expects them.
//! - `_mcount` is called before the function has a frame and perhaps before r2
//!   is its own: 24(r1) then belongs to the caller and may hold the caller's
//!   saved TOC. External there would destroy it, so there is Profile.
//!
//! # Why not the seed's or Linux's shapes
//! Both add up the stub's own address in r11 and load the target from inside
//! the stub: data in an executable page, and r11, which may carry a nested
//! function's environment, is gone. Their profiling stubs compute the target
//! from two immediates, which cannot be changed atomically on live text. Ours
//! is no longer: five words and a doubleword, and one kind of target for both.
//!
//! # References
//! OpenPOWER ELFv2 ABI, "The Stack Frame" (TOC slot), "Function Linkage" (r12).

use crate::addr::Vaddr;
use crate::isa::dform::{self, Ds, HaLo};
use crate::isa::encode::{Gpr, ld};
use crate::isa::reach::RangeError;
use crate::isa::{Insn, branch};
use core::fmt;

mod calls;
pub mod choose;
mod historic;
mod kind;
pub mod redirect;
pub mod table;
mod words;

pub(super) use calls::way_back;
pub use calls::{MISSING_MARK, NOTOC_MARK};
pub use historic::LINUX_MAGIC;
pub use kind::StubKind;
pub use words::{MAX_WORDS, StubWords};

/// What stubs need to know of the kernel and of the module they stand in.
///
/// `paca_*` are offsets from r13, multiples of 4 below 0x8000 (`ld`'s reach).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StubAbi {
    /// The kernel's r2, the same on every CPU.
    pub kernel_toc: Vaddr,
    /// The r2 of the module that the stub stands in.
    pub module_toc: Vaddr,
    /// PACA: the kernel's TOC pointer.
    pub paca_toc: u16,
    /// PACA: address of the routine that makes sibling calls.
    pub paca_sibling: u16,
    /// PACA: where the shadow stack's next entry goes; it grows upwards.
    pub paca_shadow_sp: u16,
    /// PACA: the highest value that the above may reach. One entry of room lies
    /// behind it: see [`redirect`].
    pub paca_shadow_limit: u16,
    /// PACA: address that a redirected function returns to.
    pub paca_shadow_return: u16,
}

impl StubAbi {
    /// What stubs rely on where there is no kernel: for programs of the host that link
    /// a module to look at it, and for tests. The PACA's offsets are made up; each can
    /// be told from the others, and suits every kind of stub.
    #[must_use]
    pub const fn stand_in(kernel_toc: Vaddr) -> Self {
        Self {
            kernel_toc,
            module_toc: Vaddr(0),
            paca_toc: 0x10,
            paca_sibling: 0x18,
            paca_shadow_sp: 0x20,
            paca_shadow_limit: 0x28,
            paca_shadow_return: 0x30,
        }
    }
}

/// One stub: its kind and what it leads to. With its own address and the
/// [`StubAbi`], this is all that its words say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stub {
    /// Calls what `word` points to; saves r2.
    External {
        /// Address of the target doubleword, near the module's TOC.
        word: Vaddr,
    },
    /// Calls what `word` points to; for `_mcount`.
    Profile {
        /// Address of the target doubleword, near the kernel's TOC.
        word: Vaddr,
    },
    /// Makes the sibling call to what `word` points to.
    Sibling {
        /// Address of the target doubleword, near the module's TOC.
        word: Vaddr,
    },
    /// Goes to what `word` points to, from code whose r2 may hold anything.
    Notoc {
        /// Address of the target doubleword, near the kernel's TOC.
        word: Vaddr,
    },
    /// Calls `hook` on behalf of a one-word call site.
    OutOfLine {
        /// The site; the stub returns to the word behind it.
        site: Vaddr,
        /// Where its `bl` goes: a Profile or Redirect stub.
        hook: Vaddr,
    },
    /// Traps, and says for which import.
    Missing {
        /// Index in the module's symbol table.
        symbol: u32,
    },
    /// Runs the replacement that `word` points to.
    Redirect {
        /// Address of the target doubleword, near the kernel's TOC.
        word: Vaddr,
        /// The Profile stub that is called first, if the function is traced too.
        traced: Option<Vaddr>,
    },
    /// The seed's call stub.
    SeedExternal {
        /// The callee's global entry.
        target: Vaddr,
    },
    /// The seed's profiling stub.
    SeedProfile {
        /// The callee's global entry, near the kernel's TOC.
        target: Vaddr,
    },
    /// Linux's call stub.
    LinuxExternal {
        /// The callee's global entry.
        target: Vaddr,
    },
    /// Linux's profiling stub.
    LinuxProfile {
        /// The callee's global entry, near the kernel's TOC.
        target: Vaddr,
    },
}

/// How a stub is aimed at another target while other CPUs run it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retarget {
    /// One aligned 8-byte store here.
    Word(Vaddr),
    /// This word is a `bl`: text, but of the patch class.
    Branch(Vaddr),
    /// Not at all: its call sites are aimed elsewhere instead.
    Never,
}

impl Stub {
    /// Which kind it is.
    #[must_use]
    pub const fn kind(&self) -> StubKind {
        match self {
            Self::External { .. } => StubKind::External,
            Self::Profile { .. } => StubKind::Profile,
            Self::Sibling { .. } => StubKind::Sibling,
            Self::Notoc { .. } => StubKind::Notoc,
            Self::OutOfLine { .. } => StubKind::OutOfLine,
            Self::Missing { .. } => StubKind::Missing,
            Self::Redirect { .. } => StubKind::Redirect,
            Self::SeedExternal { .. } => StubKind::SeedExternal,
            Self::SeedProfile { .. } => StubKind::SeedProfile,
            Self::LinuxExternal { .. } => StubKind::LinuxExternal,
            Self::LinuxProfile { .. } => StubKind::LinuxProfile,
        }
    }

    /// How the stub, standing at `at`, is aimed elsewhere.
    #[must_use]
    pub const fn retarget(&self, at: Vaddr) -> Retarget {
        match *self {
            Self::External { word }
            | Self::Profile { word }
            | Self::Sibling { word }
            | Self::Notoc { word }
            | Self::Redirect { word, .. } => Retarget::Word(word),
            Self::OutOfLine { .. } => Retarget::Branch(calls::hook_branch(at)),
            Self::SeedExternal { .. } | Self::LinuxExternal { .. } => {
                Retarget::Word(at.offset(historic::FUNCDATA))
            }
            Self::Missing { .. } | Self::SeedProfile { .. } | Self::LinuxProfile { .. } => {
                Retarget::Never
            }
        }
    }

    /// The stub's words for the slot at `at`, filled up to the slot's end.
    ///
    /// # Errors
    /// Something is out of reach or misaligned; the error says by how much.
    pub fn encode(&self, at: Vaddr, abi: &StubAbi) -> Result<StubWords, StubError> {
        let kind = self.kind();
        self.encode_in_slot(at, abi).map_err(|cause| StubError { at, kind, cause })
    }

    /// Writes them to where `slot` begins, as far as there is room.
    ///
    /// # Errors
    /// As [`encode`](Self::encode); nothing is written.
    #[inline(always)] // where the kind is known
    pub fn write(&self, at: Vaddr, abi: &StubAbi, slot: &mut [u8]) -> Result<(), StubError> {
        // Nearly all are of these two kinds, and need no detour.
        let usual = match *self {
            Self::External { word } if at.is_aligned(StubKind::External.align()) => {
                calls::external_code(word, abi).ok()
            }
            Self::Missing { symbol } if at.is_aligned(StubKind::Missing.align()) => {
                Some(calls::missing_code(symbol))
            }
            _ => None,
        };
        if let Some([a, b, c, d, e, f, g, h]) = usual
            && let Some(slot) = slot.first_chunk_mut::<32>()
            && let [first, second, third, last] = slot.as_chunks_mut::<8>().0
        {
            let two =
                |one: Insn, next: Insn| (u64::from(next.0) << 32 | u64::from(one.0)).to_le_bytes();
            (*first, *second, *third, *last) = (two(a, b), two(c, d), two(e, f), two(g, h));
            return Ok(());
        }
        self.write_unusual(at, abi, slot)
    }

    #[inline(never)]
    fn write_unusual(&self, at: Vaddr, abi: &StubAbi, slot: &mut [u8]) -> Result<(), StubError> {
        let words = self.encode(at, abi)?;
        for (place, word) in slot.as_chunks_mut::<4>().0.iter_mut().zip(words.as_slice()) {
            *place = word.to_le_bytes();
        }
        Ok(())
    }

    fn encode_in_slot(&self, at: Vaddr, abi: &StubAbi) -> Result<StubWords, StubCause> {
        aligned(Part::Slot, at, self.kind().align())?;
        match *self {
            Self::External { word } => calls::external(word, abi),
            Self::Profile { word } => calls::profile(word, abi),
            Self::Sibling { word } => calls::sibling(word, abi),
            Self::Notoc { word } => calls::notoc(word, abi),
            Self::OutOfLine { site, hook } => calls::out_of_line(at, site, hook),
            Self::Missing { symbol } => Ok(calls::missing(symbol)),
            Self::Redirect { word, traced } => redirect::redirect(at, word, traced, abi),
            Self::SeedExternal { target } => historic::seed_external(at, target, abi),
            Self::SeedProfile { target } => historic::seed_profile(target, abi),
            Self::LinuxExternal { target } => historic::linux_external(at, target, abi),
            Self::LinuxProfile { target } => historic::linux_profile(target, abi),
        }
    }
}

/// A stub that cannot be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StubError {
    /// Its slot.
    pub at: Vaddr,
    /// Its kind.
    pub kind: StubKind,
    /// What is wrong.
    pub cause: StubCause,
}

/// What keeps a stub from being made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StubCause {
    /// An address that must be a multiple of `align` bytes is not.
    Misaligned {
        /// Which one.
        what: Part,
        /// Where it lies.
        address: Vaddr,
        /// What it should be a multiple of.
        align: u64,
    },
    /// Two places are too far from each other.
    OutOfReach {
        /// Which two.
        what: Part,
        /// How far they are, and how far they may be.
        range: RangeError,
    },
}

/// What a [`StubCause`] is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The stub's own slot; as a distance, from the module's TOC.
    Slot,
    /// The target doubleword; as a distance, from the TOC that finds it.
    TargetWord,
    /// The callee, from the kernel's TOC.
    Target,
    /// From the stub's `bl` to the hook.
    Hook,
    /// From the stub's last `b` back behind its site.
    WayBack,
    /// A PACA field, from r13.
    PacaField,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Slot => "slot",
            Self::TargetWord => "target word",
            Self::Target => "target",
            Self::Hook => "hook",
            Self::WayBack => "way back to the site",
            Self::PacaField => "PACA field",
        })
    }
}

impl fmt::Display for StubError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} stub at {}: ", self.kind, self.at)?;
        match self.cause {
            StubCause::Misaligned { what, address, align } => {
                write!(f, "{what} at {address} is not {align}-byte aligned")
            }
            StubCause::OutOfReach { what, range } => write!(f, "{what}: {range}"),
        }
    }
}

/// Names the part that a [`RangeError`] is about.
fn of(what: Part) -> impl Fn(RangeError) -> StubCause {
    move |range| StubCause::OutOfReach { what, range }
}

fn aligned(what: Part, address: Vaddr, align: u64) -> Result<(), StubCause> {
    if address.is_aligned(align) {
        Ok(())
    } else {
        Err(StubCause::Misaligned { what, address, align })
    }
}

/// The way from `toc` to an aligned target doubleword, for `addis` and `ld`.
fn target_word(word: Vaddr, toc: Vaddr) -> Result<HaLo<Ds>, StubCause> {
    aligned(Part::TargetWord, word, 8)?;
    dform::split_ds(word.since(toc)).map_err(of(Part::TargetWord))
}

/// The displacement of a PACA field from r13.
fn paca(field: u16) -> Result<Ds, StubCause> {
    Ds::new(i64::from(field)).map_err(of(Part::PacaField))
}

/// `ld r12,PACATOC(r13)`: the kernel's TOC, whatever r2 holds.
fn kernel_toc_to_r12(abi: &StubAbi) -> Result<Insn, StubCause> {
    Ok(ld(Gpr::R12, paca(abi.paca_toc)?, Gpr::R13))
}

fn call(what: Part, at: Vaddr, to: Vaddr) -> Result<Insn, StubCause> {
    branch::bl(at, to).map_err(of(what))
}

fn jump(what: Part, at: Vaddr, to: Vaddr) -> Result<Insn, StubCause> {
    branch::b(at, to).map_err(of(what))
}
