//! The image: sections copied, symbols bound, every relocation applied.
//!
//! Before: [`super::layout`]. The parts: [`super::bind`] for symbols and their
//! stubs, [`super::fields`] for ranges, [`super::callsites`] for what becomes of
//! the calls of `_mcount`.
//!
//! ```text
//!  copy ──> bind symbols ──> relocations of code ──> sites, stubs ──> of data ──> exports
//! ```
//!
//! Code comes first, because its branches say which stubs are used, where the layout has
//! not counted them, and a pointer to what is missing points to its stub.
//!
//! # Branches (`R_PPC64_REL24`)
//! | from, to | aims at | word after |
//! |---|---|---|
//! | `bl`, same module | local entry point | stays |
//! | `bl`, elsewhere, or `st_other` 1 | External stub | `nop` becomes `ld r2,24(r1)` |
//! | `b`, elsewhere, or `st_other` 1 | Sibling stub | stays |
//! | `bl _mcount` | becomes `nop`: a call site, off | stays, even if it is a `nop` |
//!
//! `R_PPC64_REL24_NOTOC` is the branch of code that has no TOC pointer: to a
//! neighbour that has none either it goes directly, else through a Notoc stub.
//!
//! The word after a profiling call belongs to somebody else: where gcc moves a
//! jump label to the start of a function, it is that label's `nop`.
//!
//! # Invariants
//! - Every byte of the image is written, whatever it held.
//! - A relocation changes bytes of its own section only, and the word after a
//!   call that leaves.
//!
//! # References
//! OpenPOWER ELFv2 ABI, "Relocation Types", "Assembler- and Linker-Mediated
//! Executable Optimization" (`R_PPC64_ENTRY`).

use alloc::{string::String, vec::Vec};

use goblin::elf64::reloc::{
    R_PPC64_ADDR16, R_PPC64_ADDR16_DS, R_PPC64_ADDR16_HA, R_PPC64_ADDR16_HI, R_PPC64_ADDR16_HIGH,
    R_PPC64_ADDR16_HIGHA, R_PPC64_ADDR16_HIGHER, R_PPC64_ADDR16_HIGHERA, R_PPC64_ADDR16_HIGHEST,
    R_PPC64_ADDR16_HIGHESTA, R_PPC64_ADDR16_LO, R_PPC64_ADDR16_LO_DS, R_PPC64_ADDR32,
    R_PPC64_ADDR64, R_PPC64_ENTRY, R_PPC64_REL14, R_PPC64_REL16, R_PPC64_REL16_HA,
    R_PPC64_REL16_HI, R_PPC64_REL16_LO, R_PPC64_REL24, R_PPC64_REL32, R_PPC64_REL64, R_PPC64_TOC,
    R_PPC64_TOC16, R_PPC64_TOC16_DS, R_PPC64_TOC16_HA, R_PPC64_TOC16_HI, R_PPC64_TOC16_LO,
    R_PPC64_TOC16_LO_DS, R_PPC64_UADDR32, R_PPC64_UADDR64, Rela,
};

use super::{
    bind::{self, Bound, Class, KernelAbi, Linker, NOWHERE, SlotOrder},
    callsites::{self, CallSite, LD_R2_R12, RefusedSite, Settled, SiteKind},
    elf::{Entries, Entry, Object, Relocations, Section},
    error::{LoadError, Place, RelocFault},
    exports::{self, Export},
    fields::{self, Field, FieldError},
    layout::{Layout, Needs, refuse, word_at},
    stubs::table::StubTable,
    symbols::{Functions, LinkOptions, Resolver},
};
use crate::{
    addr::Vaddr,
    isa::{
        Insn, branch, dform,
        encode::{Gpr, addi, addis},
        reach::RangeError,
        well_known::{ADD_R2_R2_R12, CROR_15, CROR_31, LD_R2_24_R1},
    },
};

/// A module that is ready at its addresses.
#[derive(Clone, Debug)]
pub struct Linked<'a> {
    /// Address of the image's first byte.
    pub base: Vaddr,
    /// r2 while its code runs.
    pub toc: Vaddr,
    /// Its stubs.
    pub stubs: StubTable,
    /// Its call sites, by rising address, all off.
    pub sites: Vec<CallSite>,
    /// Sites that cannot be used.
    pub refused: Vec<RefusedSite>,
    /// Its functions, by rising address.
    pub functions: Functions,
    /// Global entry point of `init_module`.
    pub init: Option<Vaddr>,
    /// Global entry point of `cleanup_module`.
    pub cleanup: Option<Vaddr>,
    /// Its `__this_module`.
    pub this_module: Option<Vaddr>,
    /// What it offers.
    pub exports: Vec<Export<'a>>,
    /// Numbers of the modules whose exports it uses, rising.
    pub owners: Vec<u32>,
    /// Symbols bound to a trap or, if weak, to 0: indices, rising.
    pub missing: Vec<u32>,
}

/// Links `object`, laid out as `layout` says, into `image`, to run at `base`.
///
/// `image` has [`Layout::size`] bytes; what they held does not matter. Or it has
/// [`Layout::stored`], and the zeros behind them are the caller's affair.
///
/// # Errors
/// Any [`LoadError`] about placement, symbols, relocations, stubs or exports.
/// The image then holds anything.
pub fn link<'a>(
    object: &Object<'a>,
    layout: &Layout,
    base: Vaddr,
    image: &mut [u8],
    resolver: &dyn Resolver,
    abi: &KernelAbi,
    options: &LinkOptions,
) -> Result<Linked<'a>, LoadError> {
    let free = image.len() as u64;
    if free < layout.size {
        let need = layout.stored(object);
        if free < need {
            return Err(LoadError::NoRoom { need, free });
        }
    }
    let image = &mut image[..free.min(layout.size) as usize];
    if !base.is_aligned(layout.align) || base.0.checked_add(layout.size).is_none() {
        return Err(LoadError::Misplaced { base: base.0, align: layout.align });
    }
    copy_sections(object, layout, image);
    let without = Linker::without_image(object, layout, base, resolver, abi, options);
    let mut linker = Linker { image, ..without };
    let toc = linker.abi.stubs.module_toc;
    let mut bindings = bind::bind(&mut linker)?;
    let calls = apply_code(&mut linker, &mut bindings.bounds)?;
    let functions = core::mem::take(&mut bindings.functions).sorted();
    let Settled { mut sites, mut refused, rise } =
        settle(&linker, &mut bindings.bounds, &functions, calls);
    if !rise {
        callsites::sort(&mut sites).map_err(|offset| twice(&linker, offset))?;
    }
    if layout.reckoned {
        bindings.write_stubs(&mut linker, object.outside())?;
    }
    apply_data(&mut linker, &mut bindings.bounds)?;
    add_patchable(&mut linker, &functions, &mut sites, &mut refused, &mut bindings.stubs)?;
    let exports = exports::read(object, layout, base, linker.image)?;

    Ok(Linked {
        base,
        toc,
        stubs: bindings.stubs,
        sites,
        refused,
        functions,
        init: bindings.init,
        cleanup: bindings.cleanup,
        this_module: bindings.this_module,
        exports,
        owners: bindings.owners,
        missing: bindings.missing,
    })
}

/// Copies what the file has, and clears what lies between.
#[inline(never)] // `make bench` counts it apart, as it does for Linux
fn copy_sections(object: &Object, layout: &Layout, image: &mut [u8]) {
    let mut done = 0;
    for &index in layout.order() {
        let section = &object.sections()[index as usize];
        let Some(start) = layout.offset_of(index as usize) else {
            continue;
        };
        if section.data.is_empty() {
            continue; // zeros, cleared with the gap before the next
        }
        let start = start as usize;
        let end = start + section.data.len();
        image[done..start].fill(0);
        image[start..end].copy_from_slice(section.data);
        done = end;
    }
    image[done..].fill(0);
}

/// Applies the relocations of code, by rising address; the calls of the profiling hook in
/// it, with the hook as their function, and without stubs.
fn apply_code(linker: &mut Linker, bounds: &mut [Bound]) -> Result<Vec<CallSite>, LoadError> {
    let Linker { object, layout, .. } = *linker;
    let mut calls = Vec::new();
    let lists = || {
        let code = object.relocations().iter();
        let code = code.filter(|list| object.sections()[list.target].is_code());
        code.filter_map(|list| Some((layout.offset_of(list.target)?, list)))
    };
    if let Some((_, listed)) = object.section(callsites::CALLS) {
        let most = lists().map(|(_, list)| list.len()).sum::<usize>();
        calls.reserve_exact(most.min(listed.data.len() / 8)); // an address each
    }
    let mut apply = |(start, list)| {
        let done = apply(linker, bounds, &mut calls, start, list);
        // Who has not counted has not asked what the branches are, either.
        done.map_err(|error| if layout.reckoned { LoadError::Recount } else { error })
    };
    if lists().is_sorted_by_key(|(start, _)| start) {
        lists().try_for_each(&mut apply)?;
    } else {
        let mut sorted: Vec<_> = lists().collect();
        sorted.sort_unstable_by_key(|(start, _)| *start);
        sorted.into_iter().try_for_each(&mut apply)?;
    }
    Ok(calls)
}

/// Applies those of all other kept sections.
fn apply_data(linker: &mut Linker, bounds: &mut [Bound]) -> Result<(), LoadError> {
    let Linker { object, layout, .. } = *linker;
    for list in object.relocations() {
        if !object.sections()[list.target].is_code()
            && let Some(start) = layout.offset_of(list.target)
        {
            apply(linker, bounds, &mut Vec::new(), start, list)?;
        }
    }
    Ok(())
}

/// Applies the relocations of the section at `start`.
fn apply(
    linker: &mut Linker,
    bounds: &mut [Bound],
    calls: &mut Vec<CallSite>,
    start: u32,
    relocations: &Relocations,
) -> Result<(), LoadError> {
    let section = &linker.object.sections()[relocations.target];
    // Nothing of a section of zeros is in the image, which may end before it.
    let from = start as usize;
    let out = linker.image.get_mut(from..from + section.data.len()).unwrap_or_default();
    let mut rest = relocations.entries();
    addresses(out, &mut rest, bounds);
    if rest.len() == 0 {
        return Ok(()); // tables have nothing else
    }
    apply_mixed(linker, bounds, calls, start, relocations, rest)
}

/// Applies the `rest` of them.
#[inline(never)] // of what it sets up, tables need nothing
fn apply_mixed(
    linker: &mut Linker,
    bounds: &mut [Bound],
    calls: &mut Vec<CallSite>,
    start: u32,
    relocations: &Relocations,
    rest: Entries,
) -> Result<(), LoadError> {
    let Linker { object, layout, base, .. } = *linker;
    let section = &object.sections()[relocations.target];
    let pass = Pass::new(linker);
    let from = start as usize;
    let out = linker.image.get_mut(from..from + section.data.len()).unwrap_or_default();
    let target = Target::new(section, start, base, layout);
    pass.relocate(&target, out, rest, bounds, calls)
        .map_err(|(left, fault)| explain(object, relocations, relocations.len() - left, fault))
}

/// The profiling calls, all off now, as call sites; and those that cannot be used.
#[inline(never)] // it has the registers to itself
fn settle(
    linker: &Linker,
    bounds: &mut [Bound],
    functions: &Functions,
    calls: Vec<CallSite>,
) -> Settled {
    let Linker { object, layout, options, .. } = *linker;
    Settled::of(object, functions, calls, linker.image, |call| {
        let kind = Needs::of_profiling_call(call.kind(), options);
        let Some(bound) = bounds.get_mut(call.function() as usize) else { return 0 };
        bound.uses_too(kind);
        bound.stub(kind, layout.slot_bytes)
    })
}

/// The refusal of a word that two relocations, or lists, make a call site.
#[cold]
#[cfg_attr(target_os = "none", optimize(size))]
fn twice(linker: &Linker, offset: u32) -> LoadError {
    let Linker { object, layout, .. } = *linker;
    let (index, offset) = layout.section_at(object, offset.into()).unwrap_or_default();
    refuse(&object.sections()[index], R_PPC64_REL24, offset, RelocFault::Changed)
}

/// What one relocation makes of its field, for [`super::explain`]: the eight bytes
/// from its place on, or as many as the section has left.
pub(super) fn apply_one(
    linker: &Linker,
    bounds: &[Bound],
    relocations: &Relocations,
    number: usize,
) -> Result<Vec<u8>, LoadError> {
    let Linker { object, layout, base, .. } = *linker;
    let pass = Pass::new(linker);
    let section = &object.sections()[relocations.target];
    let start = layout.offset_of(relocations.target).unwrap_or_default();
    let target = Target::new(section, start, base, layout);
    let refuse = |fault| explain(object, relocations, number, fault);
    let Some(entry) = relocations.entry(number) else {
        return Err(refuse(Fault::NoSymbol));
    };
    let bound = bounds.get(entry.symbol as usize).ok_or_else(|| refuse(Fault::NoSymbol))?;
    let bound = &mut bound.clone();
    let place = usize::try_from(entry.at).ok().and_then(|at| section.data.get(at..));
    let mut bytes: Vec<u8> = place.unwrap_or_default().iter().take(8).copied().collect();
    pass.any(&target, &mut bytes, entry, bound, &mut Vec::new()).map_err(refuse)?;
    Ok(bytes)
}

/// The section that relocations are applied to.
#[derive(Clone, Copy)]
struct Target<'a> {
    /// From the base.
    offset: u32,
    addr: u64,
    /// Its bytes in the file.
    bytes: &'a [u8],
    code: bool,
    /// The type of branches, `R_PPC64_REL24`; where there is no code, no type at all.
    branch: u64,
    layout: &'a Layout,
}

impl<'a> Target<'a> {
    fn new(section: &'a Section, offset: u32, base: Vaddr, layout: &'a Layout) -> Self {
        let addr = base.0.wrapping_add(offset.into());
        let code = section.is_code();
        let branch = if code { R_PPC64_REL24.into() } else { u64::MAX };
        Self { offset, addr, bytes: section.data, code, branch, layout }
    }

    /// The word in the file that a relocation is of.
    #[inline(always)]
    fn word(&self, entry: Entry) -> Option<u32> {
        word_at(self.bytes, entry.at)
    }

    /// A call of the profiling hook, whose relocation this is.
    #[inline(always)]
    fn call(&self, entry: Entry) -> CallSite {
        let kind = callsites::classify(self.bytes, entry.at);
        CallSite::new(self.offset + entry.at as u32, kind, entry.symbol, 0)
    }
}

/// What all relocations of a module share.
#[derive(Clone, Copy)]
struct Pass {
    toc: u64,
    base: u64,
    slot_bytes: u64,
    prefixed: bool,
}

/// Why a relocation was not applied, without the names.
enum Fault {
    Field(FieldError),
    Outside(u32),
    Unknown,
    NoSymbol,
    NotKept,
    NotCode,
    IntoFunction,
    ConditionalLeaves,
    Changed,
    NoTocSlot(u32),
    NoPrefixes,
    Crosses,
}

impl From<FieldError> for Fault {
    fn from(error: FieldError) -> Self {
        Self::Field(error)
    }
}

impl From<RangeError> for Fault {
    fn from(range: RangeError) -> Self {
        Self::Field(FieldError::Range(range))
    }
}

/// The eight bytes at a place, if it is not behind the `last` that has as many.
#[inline(always)]
fn eight_bytes(out: &mut [u8], last: usize, at: u64) -> Option<&mut [u8; 8]> {
    let at = usize::try_from(at).ok().filter(|&at| at <= last)?;
    out[at..].first_chunk_mut()
}

/// A row of addresses, `R_PPC64_ADDR64`, if one comes next.
#[inline(never)]
fn addresses(out: &mut [u8], entries: &mut Entries, bounds: &[Bound]) {
    let Some(last) = out.len().checked_sub(8) else {
        return;
    };
    let mut rest = entries.clone();
    while let Some(entry) = rest.peek()
        && let Some(bytes) = eight_bytes(out, last, entry.at())
        && entry.kind() == R_PPC64_ADDR64
        && let Some(bound) = bounds.get(entry.symbol() as usize)
        && bound.value != NOWHERE
    {
        *bytes = bound.value.wrapping_add_signed(entry.addend()).to_le_bytes();
        rest.next();
    }
    *entries = rest;
}

impl Pass {
    fn new(linker: &Linker) -> Self {
        Self {
            toc: linker.abi.stubs.module_toc.0,
            base: linker.base.0,
            slot_bytes: linker.layout.slot_bytes,
            // What never runs may hold what the processor does not know.
            prefixed: linker.abi.prefixed || linker.options.link_only,
        }
    }

    /// The `rest` of one section's. A fault comes with the number of those that are left,
    /// its own among them.
    ///
    /// What is unusual, and every fault, is worked out elsewhere: the loops for the usual
    /// sort are most of a load's time, so nothing else stands in them and takes registers.
    fn relocate(
        &self,
        target: &Target,
        out: &mut [u8],
        mut rest: Entries,
        bounds: &mut [Bound],
        calls: &mut Vec<CallSite>,
    ) -> Result<(), (usize, Fault)> {
        while rest.len() != 0 {
            let left = rest.len();
            self.mixed(target, out, &mut rest, bounds, calls);
            addresses(out, &mut rest, bounds);
            if rest.len() == left
                && let Some(entry) = rest.next()
            {
                self.unusual(target, out, entry.decode(), bounds, calls)
                    .map_err(|fault| (left, fault))?;
            }
        }
        Ok(())
    }

    /// Any types, up to a row of addresses.
    #[inline(never)]
    fn mixed(
        &self,
        target: &Target,
        out: &mut [u8],
        entries: &mut Entries,
        bounds: &mut [Bound],
        calls: &mut Vec<CallSite>,
    ) {
        let Some(last) = out.len().checked_sub(8) else {
            return;
        };
        // Both are of one length: now the compiler knows, and asks once for a place.
        let Some(bytes) = target.bytes.get(..out.len()) else {
            return;
        };
        let (pass, target) = (*self, Target { bytes, ..*target });
        let mut rest = entries.clone();
        while let Some(raw) = rest.peek()
            && let entry = raw.decode()
            && let Some(bytes) = eight_bytes(out, last, entry.at)
            && let Some(bound) = bounds.get_mut(entry.symbol as usize)
        {
            let field = Field::from_le_bytes(*bytes);
            if u64::from(entry.kind) == target.branch {
                let Some(field) = pass.usual_branch(&target, field, entry, bound, calls) else {
                    break;
                };
                *bytes = field.to_le_bytes();
                rest.next();
                continue;
            }
            if entry.kind == R_PPC64_TOC16_HA {
                let from_toc = pass.past_toc(bound, entry.addend);
                let Ok(field) = fields::put_ha(field, from_toc) else { break };
                if bound.value == NOWHERE {
                    break;
                }
                *bytes = field.to_le_bytes();
                rest.next();
                // Then its low half, as compilers have it nearly always.
                if let Some(low) = rest.peek()
                    && low.symbol() == entry.symbol
                    && low.addend() == entry.addend
                    && low.kind() == R_PPC64_TOC16_LO_DS
                    // Compiles to less here than `eight_bytes` a second time.
                    && let Some(bytes) = out.get_mut(low.at() as usize..)
                    && let Some(bytes) = bytes.first_chunk_mut()
                    && let field = Field::from_le_bytes(*bytes)
                    && let Some(field) = fields::put_lo_ds_aligned(field, from_toc)
                {
                    *bytes = field.to_le_bytes();
                    rest.next();
                }
                continue;
            }
            let Ok(Some(field)) = pass.usual(&target, field, entry, bound, calls) else { break };
            *bytes = field.to_le_bytes();
            rest.next();
        }
        *entries = rest;
    }

    /// How far from r2 a symbol with an addend lies.
    #[inline(always)]
    fn past_toc(&self, bound: &Bound, addend: i64) -> i64 {
        bound.value.wrapping_add_signed(addend).wrapping_sub(self.toc).cast_signed()
    }

    /// One relocation, whatever its type and wherever its place.
    #[cold]
    #[inline(never)]
    fn unusual(
        &self,
        target: &Target,
        out: &mut [u8],
        entry: Entry,
        bounds: &mut [Bound],
        calls: &mut Vec<CallSite>,
    ) -> Result<(), Fault> {
        let bound = bounds.get_mut(entry.symbol as usize).ok_or(Fault::NoSymbol)?;
        let place = usize::try_from(entry.at).ok().and_then(|at| out.get_mut(at..));
        self.any(target, place.unwrap_or_default(), entry, bound, calls)
    }

    /// A relocation of any type, of the bytes from its place on.
    fn any(
        &self,
        target: &Target,
        rest: &mut [u8],
        entry: Entry,
        bound: &mut Bound,
        calls: &mut Vec<CallSite>,
    ) -> Result<(), Fault> {
        let width = fields::width(entry.kind);
        if rest.len() < width as usize {
            return Err(Fault::Outside(width));
        }
        if bound.class == Class::NotKept {
            return Err(Fault::NotKept);
        }
        let mut bytes = [0; 8];
        let there = rest.len().min(8);
        bytes[..there].copy_from_slice(&rest[..there]);
        let field = Field::from_le_bytes(bytes);
        let field = match self.usual(target, field, entry, bound, calls)? {
            Some(field) => field,
            None => self.rare(target, field, entry, bound, calls)?,
        };
        rest[..there].copy_from_slice(&field.to_le_bytes()[..there]);
        Ok(())
    }

    /// The types that compilers use all the time, but for `R_PPC64_ADDR64`; `None` for
    /// another.
    #[inline(always)]
    fn usual(
        &self,
        target: &Target,
        field: Field,
        entry: Entry,
        bound: &mut Bound,
        calls: &mut Vec<CallSite>,
    ) -> Result<Option<Field>, Fault> {
        let p = target.addr.wrapping_add(entry.at);
        if u64::from(entry.kind) == target.branch {
            return Ok(self.usual_branch(target, field, entry, bound, calls));
        }
        // What is not in memory, or missing, and nobody knows yet whether it is called.
        if bound.value == NOWHERE && bound.class != Class::Local {
            return Err(Fault::NotKept);
        }
        let value = bound.value.wrapping_add_signed(entry.addend);
        let from_p = || value.wrapping_sub(p).cast_signed();
        let from_toc = || value.wrapping_sub(self.toc).cast_signed();
        Ok(Some(match entry.kind {
            R_PPC64_TOC16_HA => fields::put_ha(field, from_toc())?,
            R_PPC64_TOC16_LO_DS => match fields::put_lo_ds_aligned(field, from_toc()) {
                Some(field) => field,
                None => return Ok(None),
            },
            R_PPC64_TOC16_LO => fields::put_lo(field, from_toc()),
            R_PPC64_REL64 => from_p().cast_unsigned(),
            R_PPC64_REL32 => fields::put_rel32(field, from_p())?,
            R_PPC64_ENTRY => shorten_entry(field, self.toc.wrapping_sub(p).cast_signed()),
            _ => return Ok(None),
        }))
    }

    /// The types that compilers seldom or never use, of a symbol that is kept.
    #[cold]
    fn rare(
        &self,
        target: &Target,
        field: Field,
        entry: Entry,
        bound: &mut Bound,
        calls: &mut Vec<CallSite>,
    ) -> Result<Field, Fault> {
        let Entry { at, kind, symbol, addend } = entry;
        let value = bound.value.wrapping_add_signed(addend);
        let p = target.addr.wrapping_add(at);
        let from_p = value.wrapping_sub(p).cast_signed();
        let absolute = value.cast_signed();
        let from_toc = value.wrapping_sub(self.toc).cast_signed();
        let field = match kind {
            R_PPC64_REL24 if !target.code => return Err(Fault::NotCode),
            R_PPC64_REL24 => return self.branch(target, field, entry, bound, calls),
            R_PPC64_REL16_HA => fields::put_ha(field, from_p)?,
            R_PPC64_REL16_LO => fields::put_lo(field, from_p),
            R_PPC64_REL16_HI => fields::put_hi(field, from_p)?,
            R_PPC64_REL16 => fields::put_half(field, from_p)?,
            R_PPC64_TOC16 => fields::put_half(field, from_toc)?,
            R_PPC64_TOC16_HI => fields::put_hi(field, from_toc)?,
            R_PPC64_TOC16_LO_DS => fields::put_lo_ds(field, from_toc)?,
            R_PPC64_TOC16_DS => fields::put_ds(field, from_toc)?,
            R_PPC64_ADDR64 | R_PPC64_UADDR64 => value,
            R_PPC64_TOC => self.toc,
            R_PPC64_ADDR32 | R_PPC64_UADDR32 => fields::put_addr32(field, absolute)?,
            R_PPC64_ADDR16 => fields::put_addr16(field, absolute)?,
            R_PPC64_ADDR16_LO => fields::put_lo(field, absolute),
            R_PPC64_ADDR16_HI => fields::put_hi(field, absolute)?,
            R_PPC64_ADDR16_HA => fields::put_ha(field, absolute)?,
            R_PPC64_ADDR16_DS => fields::put_ds(field, absolute)?,
            R_PPC64_ADDR16_LO_DS => fields::put_lo_ds(field, absolute)?,
            R_PPC64_ADDR16_HIGH => fields::put_part(field, absolute, 16, false),
            R_PPC64_ADDR16_HIGHA => fields::put_part(field, absolute, 16, true),
            R_PPC64_ADDR16_HIGHER => fields::put_part(field, absolute, 32, false),
            R_PPC64_ADDR16_HIGHERA => fields::put_part(field, absolute, 32, true),
            R_PPC64_ADDR16_HIGHEST => fields::put_part(field, absolute, 48, false),
            R_PPC64_ADDR16_HIGHESTA => fields::put_part(field, absolute, 48, true),
            fields::R_PPC64_REL16_HIGH..=fields::R_PPC64_REL16_HIGHESTA => {
                let part = kind - fields::R_PPC64_REL16_HIGH; // HIGH HIGHA HIGHER HIGHERA ...
                fields::put_part(field, from_p, 16 * (1 + part / 2), part % 2 == 1)
            }
            fields::R_PPC64_REL24_NOTOC | fields::R_PPC64_REL24_P9NOTOC => {
                return self.branch_notoc(target, field, entry, bound, calls);
            }
            fields::R_PPC64_D34 => {
                self.check_prefixed(p)?;
                fields::put_34(field, absolute)?
            }
            fields::R_PPC64_PCREL34 => {
                self.check_prefixed(p)?;
                fields::put_34(field, from_p)?
            }
            fields::R_PPC64_GOT_PCREL34..=fields::R_PPC64_PLT_PCREL34_NOTOC => {
                self.check_prefixed(p)?;
                fields::put_rel32(0, addend)?;
                let word = target.layout.got_of(symbol, addend).ok_or(Fault::NotCode)?;
                let word = self.base.wrapping_add(word);
                fields::put_34(field, word.wrapping_sub(p).cast_signed())?
            }
            R_PPC64_REL14 if bound.class != Class::Local => return Err(Fault::ConditionalLeaves),
            R_PPC64_REL14 => {
                let to = bound.near.wrapping_add_signed(addend);
                fields::put_bd(field, to.wrapping_sub(p).cast_signed())?
            }
            kind if fields::width(kind) == 0 => field, // a marker
            _ => return Err(Fault::Unknown),
        };
        Ok(field)
    }

    /// `R_PPC64_REL24` as nearly all are: the first, the second and the last line of the
    /// header's table, as assemblers write such branches. `None` for another.
    #[inline(always)]
    fn usual_branch(
        &self,
        target: &Target,
        field: Field,
        entry: Entry,
        bound: &mut Bound,
        calls: &mut Vec<CallSite>,
    ) -> Option<Field> {
        let p = target.addr.wrapping_add(entry.at);
        let word = fields::word(field);
        if bound.near != NOWHERE {
            let distance = within_reach(p, bound.near.wrapping_add_signed(entry.addend))?;
            return (word & !1 == FORM).then_some(fields::put_word(field, word | distance));
        }
        // Of what an earlier relocation has changed nobody has asked what it needs.
        if entry.addend != 0 || target.word(entry) != Some(EMPTY_CALL) {
            return None;
        }
        if bound.class == Class::Profiles {
            if word != EMPTY_CALL || calls.len() == calls.capacity() {
                return None; // to grow takes registers
            }
            calls.push(target.call(entry));
            return Some(fields::put_word(field, Insn::NOP.0));
        }
        if field != fields::put_next_word(EMPTY_CALL.into(), Insn::NOP.0) {
            return None;
        }
        let distance = within_reach(p, self.stub(bound, Needs::CALL)?)?;
        Some(fields::put_next_word((EMPTY_CALL | distance).into(), LD_R2_24_R1.0))
    }

    /// `R_PPC64_REL24`: the header's table.
    fn branch(
        &self,
        target: &Target,
        field: Field,
        entry: Entry,
        bound: &mut Bound,
        calls: &mut Vec<CallSite>,
    ) -> Result<Field, Fault> {
        let p = target.addr.wrapping_add(entry.at);
        if bound.class == Class::Local {
            return aim(field, p, bound.near.wrapping_add_signed(entry.addend));
        }
        let insn = branch_word(field)?;
        if entry.addend != 0 {
            return Err(Fault::IntoFunction);
        }
        // It was that before an earlier relocation of the same word, too.
        let was = target.word(entry).map(|word| branch::is_call(Insn(word)));
        if was != Some(branch::is_call(insn)) {
            return Err(Fault::Changed);
        }
        if !branch::is_call(insn) {
            return aim(field, p, self.stub(bound, Needs::SIBLING).ok_or(Fault::Changed)?);
        }
        if bound.class == Class::Profiles {
            calls.push(target.call(entry));
            return Ok(fields::put_word(field, Insn::NOP.0));
        }
        aim(restore_r2(field)?, p, self.stub(bound, Needs::CALL).ok_or(Fault::Changed)?)
    }

    /// `R_PPC64_REL24_NOTOC`: nobody restores r2, for nobody has one.
    fn branch_notoc(
        &self,
        target: &Target,
        field: Field,
        entry: Entry,
        bound: &mut Bound,
        calls: &mut Vec<CallSite>,
    ) -> Result<Field, Fault> {
        if !target.code {
            return Err(Fault::NotCode);
        }
        if bound.class == Class::Profiles {
            return self.branch(target, field, entry, bound, calls);
        }
        branch_word(field)?;
        if target.layout.reckoned {
            return Err(Fault::Changed); // by symbols that tell nothing of it: to be counted
        }
        let p = target.addr.wrapping_add(entry.at);
        let Some(stub) = self.stub(bound, Needs::NOTOC) else {
            return aim(field, p, bound.value.wrapping_add_signed(entry.addend));
        };
        if entry.addend != 0 {
            return Err(Fault::IntoFunction);
        }
        aim(field, p, stub)
    }

    /// Whether a prefixed instruction at `p` can run: a processor that has them, and
    /// no 64-byte boundary between its two words (Power ISA Book I, "Prefixed
    /// Instructions").
    fn check_prefixed(&self, p: u64) -> Result<(), Fault> {
        match p % 64 {
            _ if !self.prefixed => Err(Fault::NoPrefixes),
            60 => Err(Fault::Crosses),
            _ => Ok(()),
        }
    }

    #[inline(always)]
    fn stub(&self, bound: &mut Bound, kind: u8) -> Option<u64> {
        let offset = bound.needs(kind).then(|| bound.stub(kind, self.slot_bytes))?;
        bound.uses(Needs::CALLED); // of other kinds there are as many as were counted
        Some(self.base + u64::from(offset))
    }
}

/// The bits of an I-form branch that say that it is one, and no absolute one (AA):
/// that has no distance to relocate.
const FORM_MASK: u32 = 0xfc00_0002;
/// What they are.
const FORM: u32 = 18 << 26;
/// The distance's bits in an I-form branch.
const LI_MASK: u32 = 0x03ff_fffc;

/// `bl .`: how assemblers write a call that has a relocation.
const EMPTY_CALL: u32 = FORM | 1;

/// The distance's bits of a branch from `p` to `to`, if it reaches so far.
#[inline(always)]
fn within_reach(p: u64, to: u64) -> Option<u32> {
    let distance = to.wrapping_sub(p);
    // Only bits of the field are set once the lowest distance has become 0.
    let from_lowest = distance.wrapping_sub(branch::REACH.min.cast_unsigned());
    let fits = from_lowest & !u64::from(LI_MASK) == 0;
    fits.then_some(distance as u32 & LI_MASK)
}

/// The word that a branch's relocation is about.
#[inline(always)]
fn branch_word(field: Field) -> Result<Insn, Fault> {
    let word = fields::word(field);
    if word & FORM_MASK == FORM { Ok(Insn(word)) } else { Err(FieldError::NotABranch(word).into()) }
}

/// Aims the branch at `p` at `to`; AA is clear, LK stays.
fn aim(field: Field, p: u64, to: u64) -> Result<Field, Fault> {
    let word = branch_word(field)?;
    match within_reach(p, to) {
        Some(distance) => Ok(fields::put_word(field, word.0 & !LI_MASK | distance)),
        None => {
            let distance = to.wrapping_sub(p).cast_signed();
            Err(RangeError { distance, reach: branch::REACH }.into())
        }
    }
}

/// Makes the no-op behind a call take r2 back: compilers have had three.
#[cold]
#[inline(never)]
fn restore_r2(field: Field) -> Result<Field, Fault> {
    let found = Insn(fields::next_word(field));
    if [Insn::NOP, CROR_15, CROR_31, LD_R2_24_R1].contains(&found) {
        Ok(fields::put_next_word(field, LD_R2_24_R1.0))
    } else {
        Err(Fault::NoTocSlot(found.0))
    }
}

/// `R_PPC64_ENTRY` marks a large-model entry, `ld r2,x(r12); add r2,r2,r12`. If
/// r2 is near, two immediates do the same without the load. Other words, and a
/// TOC that is too far, are left as they are: the literal is right, too.
#[inline(always)]
fn shorten_entry(field: Field, toc_from_entry: i64) -> Field {
    let (first, second) = (fields::word(field), fields::next_word(field));
    if first & 0xffff_0003 != LD_R2_R12 || second != ADD_R2_R2_R12.0 {
        return field;
    }
    let Ok(halves) = dform::split(toc_from_entry) else {
        return field;
    };
    let field = fields::put_word(field, addis(Gpr::R2, Gpr::R12, halves.ha).0);
    fields::put_next_word(field, addi(Gpr::R2, Gpr::R2, halves.lo).0)
}

/// Adds the sites of patchable functions, with their stubs, and sorts.
fn add_patchable(
    linker: &mut Linker,
    functions: &Functions,
    sites: &mut Vec<CallSite>,
    refused: &mut Vec<RefusedSite>,
    stubs: &mut StubTable,
) -> Result<(), LoadError> {
    if linker.layout.patchable == 0 {
        return Ok(());
    }
    let (mut patchable, mut bad) = callsites::patchable(linker.object, linker.layout, functions);
    callsites::drop_changed(&mut patchable, &mut bad, linker.image);
    callsites::judge_toc(&mut bad, functions, linker.image, linker.layout.toc);
    refused.extend(bad);
    sites.extend(patchable);
    callsites::sort(sites).map_err(|offset| twice(linker, offset))?;

    let slot = linker.layout.slots - 1; // the last one, planned for this
    let target = Some(linker.abi.mcount);
    linker.write_stub(SlotOrder { slot, kind: Needs::PROFILE, target, owner: 0 }, stubs)?;
    let hook = linker.layout.stubs.offset + u64::from(slot) * linker.layout.slot_bytes;
    let hook = linker.base.offset(hook.cast_signed());
    let mut number = 0;
    for (index, site) in sites.iter_mut().enumerate() {
        if site.kind() != SiteKind::Patchable {
            continue;
        }
        let at = site.at(linker.base);
        let stub = linker.write_out_of_line(number, at, index as u32, hook, stubs)?;
        *site = CallSite::new(site.offset(), SiteKind::Patchable, site.function(), stub);
        number += 1;
    }
    Ok(())
}

/// The error for relocation `number`, with the names that [`Fault`] leaves out.
#[cold]
#[cfg_attr(target_os = "none", optimize(size))]
fn explain(object: &Object, relocations: &Relocations, number: usize, fault: Fault) -> LoadError {
    let section = &object.sections()[relocations.target];
    let relocation = match relocations.get(number) {
        Some(relocation) => relocation,
        None => Rela { r_offset: 0, r_info: 0, r_addend: 0 },
    };
    let index = (relocation.r_info >> 32) as u32;
    let symbol = object.symbol(index);
    let fault = match fault {
        Fault::Outside(width) => RelocFault::Outside { width, size: section.size() },
        Fault::Field(FieldError::Range(range)) => RelocFault::Range(range),
        Fault::Field(FieldError::NotABranch(found)) => RelocFault::NotABranch { found },
        Fault::Field(FieldError::NotPrefixed(found)) => RelocFault::NotPrefixed { found },
        Fault::NoPrefixes => RelocFault::NoPrefixes,
        Fault::Crosses => RelocFault::Crosses,
        Fault::Unknown => match relocation.r_info as u32 {
            27..=31 | 52..=55 | 60 | 65 | 66 => RelocFault::LinkageTable,
            67..=108 | 112..=115 | 146..=151 => RelocFault::ThreadLocal,
            _ => RelocFault::Unknown,
        },
        Fault::NoSymbol => RelocFault::SymbolIndex { index, count: object.symbol_count() },
        Fault::NotCode => RelocFault::NotCode,
        Fault::IntoFunction => RelocFault::IntoFunction { addend: relocation.r_addend },
        Fault::ConditionalLeaves => RelocFault::ConditionalLeaves,
        Fault::Changed => RelocFault::Changed,
        Fault::NotKept => {
            let index = symbol.as_ref().map_or(0, |symbol| usize::from(symbol.st_shndx));
            let section = object.sections().get(index).map_or("", |section| section.name);
            RelocFault::NotLoaded { section: section.into() }
        }
        Fault::NoTocSlot(found) => {
            RelocFault::NoTocSlot { function: caller(object, section, &relocation), found }
        }
    };
    let symbol = symbol.map_or(String::new(), |symbol| object.name(&symbol).into());
    let at = Place { section: section.name.into(), offset: relocation.r_offset };
    LoadError::Reloc { at, kind: relocation.r_info as u32, symbol, fault }
}

/// Name of the function that holds the relocation's place.
fn caller(object: &Object, section: &Section, relocation: &Rela) -> String {
    let same = |index: u16| {
        let found = object.sections().get(usize::from(index));
        found.is_some_and(|found| core::ptr::eq(found, section))
    };
    let before = object.symbols().filter(|symbol| {
        object.is_function(symbol)
            && same(symbol.st_shndx)
            && symbol.st_value <= relocation.r_offset
    });
    let nearest = before.max_by_key(|symbol| symbol.st_value);
    nearest.map_or_else(|| section.name.into(), |symbol| object.name(&symbol).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `bl .+8` and `b .-4` as GNU as makes them; no branch: `nop`, `ba 8`, `bdnz .+8`.
    #[test]
    fn only_a_relative_branch_is_aimed_and_only_within_reach() {
        let aimed = |word: u32, distance: i64| {
            let field = 0xa5a5_a5a5_0000_0000 | u64::from(word);
            aim(field, 0x1_0000, 0x1_0000_u64.wrapping_add_signed(distance)).ok()
        };
        assert_eq!(aimed(0x4800_0001, 8), Some(0xa5a5_a5a5_4800_0009));
        assert_eq!(aimed(0x4800_0000, -4), Some(0xa5a5_a5a5_4bff_fffc));
        for other in [0x6000_0000, 0x4800_000a, 0x4200_0008] {
            assert_eq!(aimed(other, 8), None, "{other:#x}");
        }
        for (last, next) in [(0x1ff_fffc, 0x200_0000), (-0x200_0000, -0x200_0004)] {
            assert!(aimed(0x4800_0001, last).is_some());
            assert!(aimed(0x4800_0001, next).is_none());
        }
        assert!(aimed(0x4800_0001, 6).is_none());
    }
}
