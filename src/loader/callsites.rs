//! Call sites: the words at which a function can be traced or redirected.
//!
//! Two sources say where they are. Relocations of branches against `_mcount`
//! give the sites that `-pg` makes (collected by [`super::relocate`] as it meets
//! them), and `__patchable_function_entries` lists functions that begin with
//! room for a branch. Neither is believed: each site is judged by its own words.
//!
//! ```text
//!  Profile             ProfileStd (gcc 5)     Late (-pg alone)       Patchable
//!   mflr r0             mflr r0                mflr r0 ... stdu       [addis r2,r12,..]
//!   bl _mcount  <-at    std r0,16(r1)          bl _mcount   <-at      [addi  r2,r2,..]
//!   mflr r0 ...         bl _mcount  <-at       nop                    nop         <-at
//! ```
//!
//! The image holds `nop` at every site, also at those refused: a module comes to
//! life with all of them off. What follows a `bl _mcount` is never touched; a
//! `nop` there is some jump label's and no place for `ld r2,24(r1)`.
//!
//! # Invariants
//! - Sites are sorted by address and no two are equal.
//! - A `Profile` or `ProfileStd` site stands directly at its function's local
//!   entry point: nothing of the function ran, except for reading LR into r0. A
//!   `Late` one stands behind the prologue: traceable, but too late to redirect.
//!
//! # References
//! gcc's `-mprofile-kernel`, `-pg` and `-fpatchable-function-entry`; rustc's
//! `-Zpatchable-function-entry`. gcc 14 and later list the nop at the local entry
//! point; rustc lists the global one; gcc 12 puts the nop itself before the TOC
//! set-up, where it is run by some callers only.

use alloc::vec::Vec;

use goblin::elf64::reloc::R_PPC64_ADDR64;

use super::{
    elf::Object,
    layout::{Layout, word_at},
    symbols::{Function, Functions},
};
use crate::{
    addr::Vaddr,
    isa::{Insn, well_known},
};

/// The name whose calls are profiling calls; nothing but the name decides.
pub const HOOK: &str = "_mcount";
/// The section that lists calls of it, for those who do not look for them.
pub(super) const CALLS: &str = "__mcount_loc";
/// The section that lists patchable functions.
pub const PATCHABLE: &str = "__patchable_function_entries";

/// A place in a function that a branch to a hook may be written to.
///
/// Twelve bytes, because the largest modules have more than ten thousand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallSite {
    /// Offset from the base; the two low bits, zero in an address, are the kind.
    at_and_kind: u32,
    function: u32,
    stub: u32,
}

/// What stands around a call site.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SiteKind {
    /// `mflr r0` and the site, at the local entry point.
    Profile,
    /// `mflr r0`, `std r0,16(r1)` and the site, at the local entry point.
    ProfileStd,
    /// Behind the prologue.
    Late,
    /// A nop at the local entry point, with a stub of its own.
    Patchable,
}

/// A site that cannot be used, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RefusedSite {
    /// Offset from the base.
    pub at: u32,
    /// Why.
    pub fault: SiteFault,
}

/// Why a site cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SiteFault {
    /// No function symbol lies at or before it.
    NoFunction,
    /// It calls the hook early, but not at the start of a function: the linker
    /// overrode a weak function, took its symbol away and left its code.
    NotAtEntry,
    /// Its nop stands before the TOC set-up: callers from the module skip it.
    NopBeforeToc,
    /// The same, and the set-up takes itself for the entry: every caller from
    /// elsewhere and every pointer gives the function another r2 than the module's.
    WrongToc,
    /// The word is no nop: at the local entry point of a function that is listed, or
    /// where a relocation has changed it.
    NotANop {
        /// The word.
        found: u32,
    },
    /// The list names a place that is not in kept code.
    NotCode,
    /// The list names it twice.
    Twice,
}

impl core::fmt::Display for SiteFault {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::NoFunction => f.write_str("belongs to no function; keep the function's symbol"),
            Self::NotAtEntry => f.write_str(
                "not at its function's local entry, as in what an overridden weak function leaves behind; nothing to do",
            ),
            Self::NopBeforeToc => f.write_str(
                "nop before the TOC set-up, which local calls skip; compile with -mprofile-kernel or gcc 14",
            ),
            Self::WrongToc => f.write_str(
                "nop before the TOC set-up, which then computes a wrong r2; compile with -mprofile-kernel or gcc 14",
            ),
            Self::NotANop { found } => {
                write!(f, "expected nop, found {found:#010x}; compile the function again")
            }
            Self::NotCode => f.write_str("not in a section of code; remove the entry"),
            Self::Twice => f.write_str("listed twice; remove one entry"),
        }
    }
}

impl CallSite {
    /// A site `at` bytes from the base, which is a multiple of 4, of the function
    /// with symbol `function`, whose branch is to go to the `stub` at that offset.
    #[must_use]
    pub const fn new(at: u32, kind: SiteKind, function: u32, stub: u32) -> Self {
        Self { at_and_kind: at & !3 | kind as u32, function, stub }
    }

    /// Bytes from the base.
    #[must_use]
    pub const fn offset(self) -> u32 {
        self.at_and_kind & !3
    }

    /// Address, in a module at `base`.
    #[must_use]
    pub const fn at(self, base: Vaddr) -> Vaddr {
        base.offset(self.offset() as i64)
    }

    /// What stands around it.
    #[must_use]
    pub const fn kind(self) -> SiteKind {
        match self.at_and_kind & 3 {
            0 => SiteKind::Profile,
            1 => SiteKind::ProfileStd,
            2 => SiteKind::Late,
            _ => SiteKind::Patchable,
        }
    }

    /// Index of its function's symbol.
    #[must_use]
    pub const fn function(self) -> u32 {
        self.function
    }

    /// The stub that its branch goes to when it is on, in a module at `base`.
    #[must_use]
    pub const fn stub(self, base: Vaddr) -> Vaddr {
        base.offset(self.stub as i64)
    }
}

/// What stands before a profiling call at `offset` of `code`.
#[inline]
pub(super) fn classify(code: &[u8], offset: u64) -> SiteKind {
    let before = usize::try_from(offset).ok().and_then(|offset| code.get(..offset));
    let before = before.unwrap_or_default();
    let word = |bytes: &[u8; 4]| Insn(u32::from_le_bytes(*bytes));
    match before.last_chunk().map(word) {
        Some(well_known::MFLR_R0) => SiteKind::Profile,
        Some(well_known::STD_R0_16_R1) => classify_late(before),
        _ => SiteKind::Late,
    }
}

/// The same, behind a `std r0,16(r1)`.
#[cold]
#[inline(never)]
fn classify_late(before: &[u8]) -> SiteKind {
    let words = before.last_chunk().map(|words: &[u8; 8]| u64::from_le_bytes(*words));
    match words.map(|words| Insn(words as u32)) {
        Some(well_known::MFLR_R0) => SiteKind::ProfileStd,
        _ => SiteKind::Late,
    }
}

/// How many entries the lists of patchable functions have: as many stubs are
/// planned, though the sites of some may be refused.
pub(super) fn patchable_entries(object: &Object) -> u64 {
    if object.section(PATCHABLE).is_none() {
        return 0;
    }
    let lists = object.relocations().iter();
    let lists = lists.filter(|list| object.sections()[list.target].name == PATCHABLE);
    lists.map(|list| list.len() as u64).sum()
}

/// By address, which they are in already as compilers list them.
///
/// # Errors
/// The offset of a word that is two sites.
pub(super) fn sort(sites: &mut [CallSite]) -> Result<(), u32> {
    let Some((first, rest)) = sites.split_first() else { return Ok(()) };
    let mut last = first.offset();
    let rises = |site: &CallSite| core::mem::replace(&mut last, site.offset()) < site.offset();
    if rest.iter().all(rises) {
        return Ok(());
    }
    sites.sort_by_key(|site| site.offset());
    let twice = sites.windows(2).find(|pair| pair[0].offset() == pair[1].offset());
    twice.map_or(Ok(()), |pair| Err(pair[0].offset()))
}

/// Leaves out the sites whose nop is none in the image.
pub(super) fn drop_changed(
    sites: &mut Vec<CallSite>,
    refused: &mut Vec<RefusedSite>,
    image: &[u8],
) {
    sites.retain(|site| {
        let at = site.offset();
        let changed = is_nop(word_at(image, at.into()), 0).err();
        refused.extend(changed.map(|fault| RefusedSite { at, fault }));
        changed.is_none()
    });
}

/// What became of the profiling calls.
pub(super) struct Settled {
    /// Those that can be used.
    pub sites: Vec<CallSite>,
    /// Those that cannot.
    pub refused: Vec<RefusedSite>,
    /// The former are sorted.
    pub rise: bool,
}

impl Settled {
    /// Gives calls their functions, and the stubs that `stub_of` knows. Both calls and
    /// functions rise, nearly always: one walk over the two.
    #[inline(always)]
    pub fn of(
        object: &Object,
        functions: &Functions,
        mut calls: Vec<CallSite>,
        image: &[u8],
        mut stub_of: impl FnMut(&CallSite) -> u32,
    ) -> Self {
        let (mut refused, count) = (Vec::new(), calls.len());
        let (mut behind, mut last, mut rise) = (0, None, true);
        let mut current = NONE;
        // The next is nearly always of the same kind, and calls the same hook.
        let (mut like, mut stub) = (CallSite::new(0, SiteKind::Patchable, 0, 0), 0);
        for call in &mut calls {
            let (at, kind) = (call.offset(), call.kind());
            if (call.function, kind) != (like.function, like.kind()) {
                (like, stub) = (*call, stub_of(call));
            }
            rise &= last < Some(at);
            last = Some(at);
            while let Some(next) = functions.get(behind).filter(|next| next.at <= at) {
                // Of several at one address it is the first.
                if current.at != next.at {
                    current = next;
                }
                behind += 1;
            }
            let mut function = current;
            if function.at > at {
                function = functions.at(at).unwrap_or(NONE);
            }
            let found = word_at(image, at.into());
            match judge(object, function, at, kind).and_then(|function| is_nop(found, function)) {
                Ok(function) => *call = CallSite::new(at, kind, function, stub),
                Err(fault) => {
                    if refused.is_empty() {
                        refused.reserve_exact(count); // to grow would take more
                    }
                    refused.push(RefusedSite { at, fault });
                    call.function = NO_FUNCTION;
                }
            }
        }
        if !refused.is_empty() {
            calls.retain(|call| call.function != NO_FUNCTION);
            refused.shrink_to_fit();
        }
        // To move a few takes longer than they are worth.
        if calls.capacity() - calls.len() > 64 {
            calls.shrink_to_fit();
        }
        Self { sites: calls, refused, rise }
    }
}

/// Refuses the site of `function` if its word is no nop in the image: a relocation of the
/// same word can change it.
#[inline(always)]
fn is_nop(word: Option<u32>, function: u32) -> Result<u32, SiteFault> {
    match word {
        Some(found) if found == Insn::NOP.0 => Ok(function),
        found => Err(SiteFault::NotANop { found: found.unwrap_or(0) }),
    }
}

/// No symbol has this number: a file of so many would have 96 GiB.
const NO_FUNCTION: u32 = u32::MAX;
/// Stands for no function, behind all others: no image is so long.
const NONE: Function = Function { at: u32::MAX, symbol: NO_FUNCTION };

#[inline(always)]
fn judge(object: &Object, function: Function, at: u32, kind: SiteKind) -> Result<u32, SiteFault> {
    if function.symbol == NO_FUNCTION {
        return Err(SiteFault::NoFunction);
    }
    let behind_entry = at.wrapping_sub(function.local_entry(object));
    let in_place = match kind {
        SiteKind::Profile => behind_entry == 4,
        SiteKind::ProfileStd => behind_entry == 8,
        SiteKind::Late | SiteKind::Patchable => true,
    };
    if in_place { Ok(function.symbol) } else { Err(SiteFault::NotAtEntry) }
}

/// The sites that the lists of patchable functions name, sorted, and those that
/// cannot be used. Their stubs are not known yet.
pub(super) fn patchable(
    object: &Object,
    layout: &Layout,
    functions: &Functions,
) -> (Vec<CallSite>, Vec<RefusedSite>) {
    let mut sites: Vec<CallSite> = Vec::new();
    let mut refused = Vec::new();
    for list in object.relocations() {
        if object.sections()[list.target].name != PATCHABLE {
            continue;
        }
        for entry in list.iter() {
            let symbol = object.symbol((entry.r_info >> 32) as u32);
            let symbol = symbol.filter(|_| entry.r_info as u32 == R_PPC64_ADDR64);
            let place = symbol.and_then(|symbol| {
                let section = usize::from(symbol.st_shndx);
                let inside = symbol.st_value.checked_add_signed(entry.r_addend)?;
                let code = object.sections().get(section).filter(|section| section.is_code())?;
                let known = inside < code.size() && inside.is_multiple_of(4);
                Some((layout.offset_of(section).filter(|_| known)?, inside as u32, code.data))
            });
            let Some((start, inside, code)) = place else {
                refused.push(RefusedSite { at: entry.r_offset as u32, fault: SiteFault::NotCode });
                continue;
            };
            let listed = start + inside;
            let word = |at: u32| word_at(code, u64::from(at.wrapping_sub(start))).map(Insn);
            match patchable_site(object, functions, listed, word) {
                Ok(site) => sites.push(site),
                Err(fault) => refused.push(RefusedSite { at: listed, fault }),
            }
        }
    }
    let _ = sort(&mut sites); // what is there twice is refused here
    sites.dedup_by(|next, first| {
        let twice = next.offset() == first.offset();
        if twice {
            refused.push(RefusedSite { at: next.offset(), fault: SiteFault::Twice });
        }
        twice
    });
    (sites, refused)
}

/// Finds the nop of the function that the list means by `listed`: its prefix
/// nops, its global or its local entry point.
fn patchable_site(
    object: &Object,
    functions: &Functions,
    listed: u32,
    word: impl Fn(u32) -> Option<Insn>,
) -> Result<CallSite, SiteFault> {
    // Nops before the global entry point (`-fpatchable-function-entry=N,M`)
    // belong to the function that begins behind them.
    let mut entry = listed;
    while entry - listed < PREFIX_MAX
        && functions.at(entry).is_none_or(|function| function.at != entry)
        && word(entry) == Some(Insn::NOP)
    {
        entry += 4;
    }
    let begins = |at: u32| functions.at(at).filter(|function| function.at == at);
    let function = begins(entry).or_else(|| functions.at(listed)).ok_or(SiteFault::NoFunction)?;
    let mut at = function.local_entry(object);
    if at == function.at && sets_up_toc(word(at), word(at + 4)) {
        at += 8; // the symbol does not say so, but the words do
    }
    if listed > at {
        return Err(SiteFault::NotAtEntry);
    }
    match word(at) {
        Some(Insn::NOP) => Ok(CallSite::new(at, SiteKind::Patchable, function.symbol, 0)),
        _ if word(listed) == Some(Insn::NOP) => Err(SiteFault::NopBeforeToc),
        found => Err(SiteFault::NotANop { found: found.unwrap_or_default().0 }),
    }
}

/// Finds among the sites with their nop before the TOC set-up those whose function
/// computes a wrong r2, in the linked `image`, where r2 is to be `toc`.
///
/// gcc 12 counts the distance to the TOC from the `addis`, but r12 holds the global
/// entry point, which is the first nop.
pub(super) fn judge_toc(
    refused: &mut [RefusedSite],
    functions: &Functions,
    image: &[u8],
    toc: u64,
) {
    let word = |at: u32| word_at(image, at.into()).map(Insn);
    let low = |insn: Insn| i64::from(insn.0 as i16);
    for site in refused.iter_mut().filter(|site| site.fault == SiteFault::NopBeforeToc) {
        let Some(entry) = functions.at(site.at).map(|function| function.at) else {
            continue;
        };
        let places = (entry..entry.saturating_add(PREFIX_MAX)).step_by(4);
        let Some(set_up) = places.into_iter().find(|at| word(*at) != Some(Insn::NOP)) else {
            continue;
        };
        let (first, second) =
            (word(set_up).unwrap_or_default(), word(set_up + 4).unwrap_or_default());
        if sets_up_toc(Some(first), Some(second)) && second != well_known::ADD_R2_R2_R12 {
            let r2 = i64::from(entry) + (low(first) << 16) + low(second);
            if r2 != toc.cast_signed() {
                site.fault = SiteFault::WrongToc;
            }
        }
    }
}

/// Most bytes of prefix nops that are looked past.
const PREFIX_MAX: u32 = 256;

/// True for the two words that compute r2 from r12, in either code model.
fn sets_up_toc(first: Option<Insn>, second: Option<Insn>) -> bool {
    let (Some(first), Some(second)) = (first, second) else {
        return false;
    };
    let medium = first.0 & 0xffff_0000 == well_known::ADDIS_R2_R12.0
        && second.0 & 0xffff_0000 == well_known::ADDI_R2_R2.0;
    medium || first.0 & 0xffff_0003 == LD_R2_R12 && second == well_known::ADD_R2_R2_R12
}

/// `ld r2,0(r12)`, first word of a large-model global entry.
pub(super) const LD_R2_R12: u32 = 0xe84c_0000;
