//! Tables that a module carries for its kernel: what to do at a trap, after a
//! fault, at a static branch, on another processor.
//!
//! ```text
//!  __bug_table      s32 trap, s32 file, u16 line, u16 flags    BUG() and WARN()
//!  __ex_table       s32 instruction, s32 fixup                 "go on there if this faults"
//!  __jump_table     s32 code, s32 target, s64 key              nop or `b target`
//!  __lwsync_fixup   s64 code                                   `sync` that may be `lwsync`
//!  __ftr_fixup      u64 mask, value, s64 start, end, other start, other end
//! ```
//!
//! A distance counts from its own field, in the fixups from the entry. The first
//! two are looked up in memory when something happens ([`Bug`], [`Exception`]); the
//! others change code, before it runs and, for static branches, whenever a key
//! changes ([`settle`], [`Jump`]).
//!
//! # Invariants
//! - Nothing is changed but words of the module's own code, each of them a word
//!   that the table's kind allows there; an entry that wants another thing is left
//!   alone and counted.
//!
//! # References
//! Linux's `asm/bug.h`, `asm/extable.h`, `asm/jump_label.h`, `asm/feature-fixups.h`
//! of powerpc; entries as in 6.1 and 6.12.

use alloc::vec::Vec;

use super::{
    callsites::CallSite,
    elf::{Object, Section},
    layout::{Group, Layout},
};
use crate::{
    addr::Vaddr,
    isa::{Insn, branch},
};

/// An entry of fixed size, as its bytes.
pub trait Entry: Sized {
    /// Its section.
    const SECTION: &'static str;
    /// Bytes.
    const SIZE: usize;

    /// The entry at `at` with these bytes, [`SIZE`](Self::SIZE) of them.
    fn read(at: Vaddr, bytes: &[u8]) -> Option<Self>;
}

/// A trap instruction that is a `BUG()` or a `WARN()`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bug {
    /// The trap.
    pub at: Vaddr,
    /// Name of the source file, a C string.
    pub file: Vaddr,
    /// Line in it.
    pub line: u16,
    /// See the methods.
    pub flags: u16,
}

/// An instruction that may fault, and where to go on then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exception {
    /// The instruction.
    pub at: Vaddr,
    /// Where to go on.
    pub fixup: Vaddr,
}

/// A static branch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Jump {
    /// The word: `nop`, or a branch to the target.
    pub code: Vaddr,
    /// Where it branches to.
    pub target: Vaddr,
    /// The `struct static_key`, whose first word is how often it is enabled.
    pub key: Vaddr,
    /// Whether it branches while the key is off.
    pub inverted: bool,
}

fn relative(at: Vaddr, bytes: &[u8], offset: usize) -> Option<Vaddr> {
    let field = bytes.get(offset..)?.first_chunk().copied()?;
    Some(at.offset(offset as i64 + i64::from(i32::from_le_bytes(field))))
}

fn double(bytes: &[u8], offset: usize) -> Option<u64> {
    bytes.get(offset..)?.first_chunk().copied().map(u64::from_le_bytes)
}

impl Bug {
    /// Where the flags are in an entry.
    pub const FLAGS: i64 = 10;
    /// Flag of a warning that has been given.
    pub const DONE: u16 = 4;

    /// True for a warning: the code goes on behind the trap.
    #[must_use]
    pub const fn is_warning(&self) -> bool {
        self.flags & 1 != 0
    }

    /// True for a warning that is given once and has been.
    #[must_use]
    pub const fn is_done(&self) -> bool {
        self.flags & (2 | Self::DONE) == 2 | Self::DONE
    }

    /// True for a warning that is given once.
    #[must_use]
    pub const fn is_once(&self) -> bool {
        self.flags & 2 != 0
    }
}

impl Entry for Bug {
    const SECTION: &'static str = "__bug_table";
    const SIZE: usize = 12;

    fn read(at: Vaddr, bytes: &[u8]) -> Option<Self> {
        let half = |offset: usize| Some(u16::from_le_bytes(*bytes.get(offset..)?.first_chunk()?));
        let (trap, file) = (relative(at, bytes, 0)?, relative(at, bytes, 4)?);
        Some(Self { at: trap, file, line: half(8)?, flags: half(Self::FLAGS as usize)? })
    }
}

impl Entry for Exception {
    const SECTION: &'static str = "__ex_table";
    const SIZE: usize = 8;

    fn read(at: Vaddr, bytes: &[u8]) -> Option<Self> {
        Some(Self { at: relative(at, bytes, 0)?, fixup: relative(at, bytes, 4)? })
    }
}

impl Entry for Jump {
    const SECTION: &'static str = "__jump_table";
    const SIZE: usize = 16;

    fn read(at: Vaddr, bytes: &[u8]) -> Option<Self> {
        let key = at.offset(8).offset(double(bytes, 8)?.cast_signed());
        // Keys are aligned: bit 0 says which way, bit 1 is the kernel's own note.
        let (inverted, key) = (key.0 & 1 != 0, Vaddr(key.0 & !3));
        let (code, target) = (relative(at, bytes, 0)?, relative(at, bytes, 4)?);
        Some(Self { code, target, key, inverted })
    }
}

impl Jump {
    /// What the word should be while the key is enabled so many times; `None` if
    /// the target is out of reach.
    #[must_use]
    pub fn word(&self, enabled: u32) -> Option<Insn> {
        if (enabled != 0) == self.inverted {
            return Some(Insn::NOP);
        }
        branch::b(self.code, self.target).ok()
    }
}

/// The entries of a table in a linked image; none if the section is not there or is
/// no whole number of them.
pub fn entries<T: Entry>(object: &Object, layout: &Layout, base: Vaddr, image: &[u8]) -> Vec<T> {
    let Some((start, bytes)) = section(object, layout, image, T::SECTION) else {
        return Vec::new();
    };
    if !bytes.len().is_multiple_of(T::SIZE) {
        return Vec::new();
    }
    let at = |index: usize| base.offset(i64::from(start) + (index * T::SIZE) as i64);
    let entries = bytes.chunks_exact(T::SIZE).enumerate();
    entries.filter_map(|(index, bytes)| T::read(at(index), bytes)).collect()
}

fn section<'i>(
    object: &Object,
    layout: &Layout,
    image: &'i [u8],
    name: &str,
) -> Option<(u32, &'i [u8])> {
    let (index, section) = object.section(name)?;
    let start = layout.offset_of(index)?;
    let bytes = image.get(start as usize..)?.get(..section.data.len())?;
    Some((start, bytes))
}

/// What [`settle`] has to know of the machine.
pub struct Facts<'f> {
    /// Whether the processor has the instructions of Power ISA 3.1.
    pub arch_31: bool,
    /// How the key at an address is.
    pub key: &'f dyn Fn(Vaddr) -> Key,
}

/// How a static branch's key is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// As it was compiled.
    AsCompiled,
    /// Enabled so many times.
    Enabled(u32),
    /// Not in memory.
    Nowhere,
}

/// A table with entries that were not applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Left {
    /// The section.
    pub section: &'static str,
    /// How many entries; of a table that is no whole number of them, bytes.
    pub count: u64,
}

/// Linux's `CPU_FTR_ARCH_31`, the same since its 5.8.
const ARCH_31: u64 = 1 << 50;
const SYNC: u32 = 0x7c00_04ac;
const LWSYNC: u32 = 0x7c20_04ac;
/// Bytes of an entry that names one place, and of a feature's.
const PLACE: usize = 8;
const FEATURE: usize = 48;

/// Tables that are left alone, with the bytes of an entry: a kernel with user space
/// has to guard against speculation; features of the memory unit and the firmware
/// are numbered differently in each release.
const IGNORED: [(&str, u64); 8] = [
    ("__barrier_nospec_fixup", 8),
    ("__stf_entry_barrier_fixup", 8),
    ("__stf_exit_barrier_fixup", 8),
    ("__uaccess_flush_fixup", 8),
    ("__rfi_flush_fixup", 8),
    ("__spec_barrier_fixup", 8),
    ("__mmu_ftr_fixup", 48),
    ("__fw_ftr_fixup", 48),
];

/// Brings the code of a linked image to what this machine and the keys want; which
/// tables have entries that were not applied. The image must not run yet. Its call
/// sites, by rising address, are left alone: who traces relies on what is there.
pub fn settle(
    object: &Object,
    layout: &Layout,
    base: Vaddr,
    image: &mut [u8],
    facts: &Facts,
    sites: &[CallSite],
) -> Vec<Left> {
    let mut left: Vec<Left> = Vec::new();
    let mut leave = |section, count| {
        if count > 0 {
            left.push(Left { section, count });
        }
    };
    for (name, size) in IGNORED {
        leave(name, object.section(name).map_or(0, |(_, section)| section.size() / size));
    }
    for (name, size) in [
        (Bug::SECTION, Bug::SIZE),
        (Exception::SECTION, Exception::SIZE),
        (Jump::SECTION, Jump::SIZE),
        ("__lwsync_fixup", PLACE),
        ("__ftr_fixup", FEATURE),
    ] {
        let odd = |section: &Section| !section.size().is_multiple_of(size as u64);
        let left = |section: &Section| match section.is_zeros() {
            _ if odd(section) => section.size(),
            true => section.size() / size as u64, // zeros lead nowhere
            false => 0,
        };
        leave(name, object.section(name).map_or(0, |(_, section)| left(section)));
    }
    let mut code = Code { layout, base, image, sites };
    let mut missed = 0;
    for (at, entry) in places::<{ Jump::SIZE }>(object, layout, base, Jump::SECTION) {
        let Some(jump) =
            code.entry::<{ Jump::SIZE }>(entry).and_then(|bytes| Jump::read(at, bytes))
        else {
            break;
        };
        let either = [jump.word(0), jump.word(1)];
        let plain = |word: u32| either.contains(&Some(Insn(word)));
        let in_reach = either.iter().all(Option::is_some);
        let done = match (facts.key)(jump.key) {
            _ if !in_reach => false,
            Key::Nowhere => false,
            Key::AsCompiled => code.word(jump.code).is_some_and(plain),
            Key::Enabled(count) => {
                jump.word(count).is_some_and(|word| code.replace(jump.code, word.0, plain))
            }
        };
        missed += u64::from(!done);
    }
    leave(Jump::SECTION, missed);

    missed = 0;
    for (at, entry) in places::<PLACE>(object, layout, base, "__lwsync_fixup") {
        let Some(distance) = code.entry(entry) else { break };
        let place = at.offset(i64::from_le_bytes(*distance));
        missed += u64::from(!code.replace(place, LWSYNC, |word| word == SYNC || word == LWSYNC));
    }
    leave("__lwsync_fixup", missed);

    missed = 0;
    for (at, entry) in places::<FEATURE>(object, layout, base, "__ftr_fixup") {
        let Some(entry) = code.entry::<FEATURE>(entry).copied() else { break };
        missed += u64::from(code.feature(at, &entry, facts.arch_31).is_none());
    }
    leave("__ftr_fixup", missed);
    left
}

/// Where the entries of `N` bytes of a table are: addresses, and places in the image.
/// Not a list of them, for there may be millions.
fn places<const N: usize>(
    object: &Object,
    layout: &Layout,
    base: Vaddr,
    name: &str,
) -> impl Iterator<Item = (Vaddr, usize)> + use<N> {
    let section = object
        .section(name)
        .and_then(|(index, section)| Some((layout.offset_of(index)? as usize, section.data.len())));
    let (start, len) = section.unwrap_or_default();
    let whole = if len.is_multiple_of(N) { len } else { 0 };
    (start..start + whole).step_by(N).map(move |entry| (base.offset(entry as i64), entry))
}

/// The image, of which only words of code are changed.
struct Code<'c> {
    layout: &'c Layout,
    base: Vaddr,
    image: &'c mut [u8],
    sites: &'c [CallSite],
}

impl Code<'_> {
    /// The entry of a table at a place of the image.
    fn entry<const N: usize>(&self, place: usize) -> Option<&[u8; N]> {
        self.image.get(place..)?.first_chunk()
    }

    /// Where in the image `at` is, if a word of the module's code is there.
    fn place(&self, at: Vaddr) -> Option<usize> {
        let offset = u64::try_from(at.since(self.base)).ok().filter(|_| at.is_aligned(4))?;
        let within = |group: Group| {
            let span = self.layout.group(group);
            // Stubs stand at the end of the text; they are nobody's code.
            let stubs = self.layout.stubs;
            let end = if stubs.len > 0 { span.end().min(stubs.offset) } else { span.end() };
            offset >= span.offset
                && offset + 4 <= if group == Group::Text { end } else { span.end() }
        };
        let inside = [Group::Text, Group::InitText].into_iter().any(within);
        let site = |offset| self.sites.binary_search_by_key(&offset, |site| site.offset());
        (inside && site(offset as u32).is_err()).then_some(offset as usize)
    }

    fn word(&self, at: Vaddr) -> Option<u32> {
        let place = self.place(at)?;
        self.image.get(place..)?.first_chunk().copied().map(u32::from_le_bytes)
    }

    /// Writes `new` where `allowed` likes what is there; whether it did.
    fn replace(&mut self, at: Vaddr, new: u32, allowed: impl Fn(u32) -> bool) -> bool {
        let Some(place) = self.place(at).filter(|_| self.word(at).is_some_and(allowed)) else {
            return false;
        };
        self.image[place..place + 4].copy_from_slice(&new.to_le_bytes());
        true
    }

    /// One entry of `__ftr_fixup`: the code between `start` and `end` stays if the
    /// processor's features fit, else the other code takes its place, and nops what
    /// is left of it. `None` if that is not understood.
    fn feature(&mut self, at: Vaddr, entry: &[u8], arch_31: bool) -> Option<()> {
        let place = |offset| Some(at.offset(double(entry, offset)?.cast_signed()));
        let (mask, value) = (double(entry, 0)?, double(entry, 8)?);
        let (start, end, other, other_end) = (place(16)?, place(24)?, place(32)?, place(40)?);
        if mask != ARCH_31 {
            return None;
        }
        let have = if arch_31 { ARCH_31 } else { 0 };
        if have == value {
            return Some(());
        }
        let (words, others) = (end.since(start) / 4, other_end.since(other) / 4);
        if !(0..=0x1000).contains(&words) || !(0..=words).contains(&others) {
            return None;
        }
        let mut new = Vec::with_capacity(words as usize);
        for index in 0..words {
            let word = if index < others {
                let from = other.offset(index * 4);
                let offset = usize::try_from(from.since(self.base)).ok()?;
                let word =
                    self.image.get(offset..)?.first_chunk().copied().map(u32::from_le_bytes)?;
                // A branch would count its distance from another place.
                (!matches!(word >> 26, 16 | 18)).then_some(word)?
            } else {
                Insn::NOP.0
            };
            self.word(start.offset(index * 4))?;
            new.push(word);
        }
        for (index, word) in (0_i64..).zip(new) {
            self.replace(start.offset(index * 4), word, |_| true);
        }
        Some(())
    }
}
