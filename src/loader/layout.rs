//! Where each part of a module will lie, and how much room it takes: the second
//! stage. Nothing is written and no address is known yet; every number is an
//! offset from the module's base.
//!
//! Before: [`super::elf`]. After: [`super::relocate`], which writes the image.
//!
//! ```text
//!  base ─┬ init data ┬ init text ┬ text │ stubs ┬ rodata │ targets ┬ data .toc bss ┐
//!        └ freed when init is done ┘  `─ reached by every `bl` ─'  `─ r2 ─'         size
//! ```
//!
//! # Invariants
//! - Each group starts on a page (`page` bytes), so that it can have its own
//!   permissions; an empty group takes none.
//! - All code is adjacent, with the stubs at its end: if code and stubs span less
//!   than a branch reaches, every branch in the module reaches every stub, however
//!   large the data is. That is why what is freed after init comes first and not
//!   last, behind the data.
//! - r2 is one number: `.toc` rounded down to 256, plus 0x8000 (ELFv2's rule), and
//!   in modules without `.toc` the same of where the data would be.
//! - Stubs are counted exactly, one for each external symbol and kind, in one pass
//!   over the relocations of code: a byte for each symbol says which kinds it needs.
//!   In a large module that pass would take a sixth of the whole load, so there the
//!   symbols alone say how much room there is: each that is not defined may be called.
//!   If that was too little, the link fails, and [`Layout::plan_exactly`] counts.
//!
//! # Why one place for stubs
//! 32 MiB are six times the text of the largest module that anybody has (amdgpu's).
//! More places, between sections, would not help what could be longer: linkers join
//! code into one `.text` (`ld -r`), and no stub can stand inside of a section. Calls to
//! a far end of the module itself would want stubs, too. So longer code with calls that
//! leave is refused, [`LoadError::TextTooLong`].
//!
//! # What is not kept
//! `.modinfo`, `__versions`, notes, `__mcount_loc` and
//! `__patchable_function_entries` are read from the file or not at all, so they
//! take no memory. `.gnu.linkonce.this_module` is kept: modules compare pointers
//! with `&__this_module`.
//!
//! # References
//! OpenPOWER ELFv2 ABI, "TOC Pointer Usage" and "Function Linkage".

use alloc::{string::String, vec, vec::Vec};

use goblin::elf64::{
    reloc::{R_PPC64_ENTRY, R_PPC64_REL24},
    section_header::{
        SHF_ALLOC, SHF_EXECINSTR, SHF_WRITE, SHN_UNDEF, SHT_NOBITS, SHT_NOTE, SectionHeader,
    },
};

use super::{
    borrow,
    callsites::{self, SiteKind},
    elf::{Object, Relocations, Section, local_entry, loses_toc},
    error::{self, LoadError, RelocFault, SectionFault},
    fields,
    stubs::StubKind,
    symbols::{LinkOptions, StubStyle},
};

/// Offset of a section that is not kept.
const NOT_KEPT: u32 = u32::MAX;
/// Largest image; offsets fit 31 bits, and the TOC reaches all of it.
const SIZE_MAX: u64 = 0x7000_0000;
/// What r2 is ahead of the start of the TOC.
const TOC_BIAS: u64 = 0x8000;
/// Bytes that a branch reaches in both directions together, and so the most
/// that all code may span for every branch to reach every stub.
const CODE_SPAN_MAX: u64 = 0x200_0000;

/// Relocations of code from which on stubs are not counted.
const RECKONED_FROM: usize = 500;

/// Bytes of a slot for the historic stubs: they take 40, but a trap for a missing
/// symbol may stand there as well, and our own kinds want to be aligned.
const HISTORIC_SLOT: u64 = 64;

/// Sections that share permissions and lifetime, by rising address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Group {
    /// Data that only init uses; freed after it. Written, not executed.
    InitData,
    /// Code that only init runs; freed after it. Executed, not written.
    InitText,
    /// Code, then the stubs. Executed, not written.
    Text,
    /// Constants, then the stubs' targets. Neither written nor executed.
    Rodata,
    /// Data, then `.toc`, then zeros. Written, not executed.
    Data,
}

impl Group {
    /// All groups, in the order of their addresses.
    pub const ALL: [Self; 5] =
        [Self::InitData, Self::InitText, Self::Text, Self::Rodata, Self::Data];

    /// The group that a kept section with this name and these flags belongs to.
    #[inline(always)]
    fn of(name: &str, flags: u64) -> Self {
        let has = |flag: u32| flags & u64::from(flag) != 0;
        match (name.starts_with(".init."), has(SHF_EXECINSTR), has(SHF_WRITE)) {
            (true, true, _) => Self::InitText,
            (true, false, _) => Self::InitData,
            (false, true, _) => Self::Text,
            (false, false, false) => Self::Rodata,
            (false, false, true) => Self::Data,
        }
    }
}

/// A part of the image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// Bytes from the base.
    pub offset: u64,
    /// Bytes.
    pub len: u64,
}

impl Span {
    /// The first byte after it.
    #[must_use]
    pub const fn end(self) -> u64 {
        self.offset + self.len
    }

    /// Takes `len` bytes at the end of a group, the last one so far of an image that is to
    /// have `size` bytes.
    #[inline(always)] // into the loop over sections
    fn append(
        &mut self,
        size: &mut u64,
        len: u64,
        align: u64,
        page: u64,
    ) -> Result<Self, LoadError> {
        if self.len == 0 {
            // The group's first bytes, or an empty section before them.
            self.offset = if len == 0 { *size } else { align_up(*size, page.max(align))? };
        }
        let offset = align_up(self.end(), align)?;
        let end = offset.checked_add(len).filter(|&end| end <= SIZE_MAX);
        let Some(end) = end else {
            return Err(LoadError::NoRoom { need: len, free: SIZE_MAX });
        };
        if len != 0 {
            self.len = end - self.offset;
            *size = end;
        }
        Ok(Self { offset, len })
    }

    /// The same for what the loader adds: where there is nothing, it ends with the group,
    /// for who protects the group's pages goes by that.
    #[inline(never)]
    fn append_own(
        &mut self,
        size: &mut u64,
        len: u64,
        align: u64,
        page: u64,
    ) -> Result<Self, LoadError> {
        match len {
            0 => Ok(Self { offset: self.end(), len }),
            _ => self.append(size, len, align, page),
        }
    }
}

/// What kinds of stub a symbol needs, and what it is to a branch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Needs(u8);

impl Needs {
    /// Branches to the symbol stay in the module and keep r2: no stub.
    pub(super) const LOCAL: Self = Self(0);
    /// Branches leave the module, or come back with another r2.
    const LEAVES: Self = Self(1);
    /// Calls are the profiling hook's.
    const PROFILES: Self = Self(2);
    const CLASS: u8 = 3;

    /// What a symbol is that [`Object::outside`] lists, and whether that tells what its
    /// branches need: code without a TOC pointer, which compilers mark, needs more; and
    /// what a live patch borrows may go, and then wants the very stubs that were made.
    #[inline(always)] // for each of them
    fn of_outside(object: &Object, index: u32) -> (Self, bool) {
        let symbol = match object.symbol(index) {
            Some(symbol) if loses_toc(&symbol) => return (Self::LEAVES, false),
            Some(symbol) if index != 0 && u32::from(symbol.st_shndx) == SHN_UNDEF => symbol,
            _ => return (Self::LOCAL, true),
        };
        // Few names begin so. Symbol 0 and `.TOC.` are numbers, not functions.
        match object.first_of_name(&symbol) {
            0 => (Self::LOCAL, true),
            b'.' if object.is_named(&symbol, ".TOC.") => (Self::LOCAL, true),
            b'.' => (Self::LEAVES, !borrow::is_borrowed(object.name_onwards(index))),
            b'_' if object.is_named(&symbol, callsites::HOOK) => (Self::PROFILES, true),
            _ => (Self::LEAVES, true),
        }
    }

    pub(super) const CALL: u8 = 1 << 2;
    pub(super) const SIBLING: u8 = 1 << 3;
    pub(super) const PROFILE: u8 = 1 << 4;
    pub(super) const PROFILE_LATE: u8 = 1 << 5;
    pub(super) const NOTOC: u8 = 1 << 6;
    /// No stub, but doublewords with the symbol's address.
    const GOT: u8 = 1 << 7;
    const STUBS: u8 = !(Self::CLASS | Self::GOT);

    pub(super) fn is_local(self) -> bool {
        self.0 & Self::CLASS == 0
    }

    /// True if the symbol is defined, and no branch needs anything.
    pub(super) fn are_none(self) -> bool {
        self.0 == 0
    }

    pub(super) fn profiles(self) -> bool {
        self.0 & Self::CLASS == Self::PROFILES.0
    }

    /// The kind of stub that a profiling call goes to.
    pub(super) fn of_profiling_call(kind: SiteKind, options: &LinkOptions) -> u8 {
        match kind {
            _ if options.wrong_profile_stubs => Self::CALL,
            SiteKind::Late => Self::PROFILE_LATE,
            _ => Self::PROFILE,
        }
    }

    /// The kinds of stub, as single bits, in the order of their slots.
    pub(super) fn kinds(self) -> impl Iterator<Item = u8> {
        let mut left = self.0 & Self::STUBS;
        core::iter::from_fn(move || {
            let lowest = left & left.wrapping_neg();
            left &= !lowest;
            (lowest != 0).then_some(lowest)
        })
    }

    /// How many stubs of the symbol stand before that of `kind`.
    pub(super) fn slots_before(self, kind: u8) -> u32 {
        (self.0 & Self::STUBS & (kind - 1)).count_ones()
    }

    /// How many stubs.
    pub(super) fn slots(self) -> u32 {
        (self.0 & Self::STUBS).count_ones()
    }

    /// True if some branch needs the stub of `kind`.
    pub(super) fn has(self, kind: u8) -> bool {
        self.0 & kind != 0
    }

    /// The same with one more kind.
    pub(super) fn with(self, kind: u8) -> Self {
        Self(self.0 | kind)
    }

    /// The same without what the symbol is.
    pub(super) fn stubs(self) -> Self {
        Self(self.0 & Self::STUBS)
    }

    /// A call, and nothing else.
    pub(super) const CALLED: Self = Self(Self::CALL);

    /// Notes that something of `kind`, one bit or none, is needed; true if that is
    /// one more stub.
    #[inline(always)]
    fn add(&mut self, kind: u8) -> bool {
        let new = !self.0 & kind & Self::STUBS != 0;
        self.0 |= kind;
        new
    }
}

/// Offsets of everything in a module's image.
#[derive(Clone, Debug)]
pub struct Layout {
    /// The offset of each section; behind them the indices of those that are kept, by
    /// rising offset.
    table: Vec<u32>,
    /// How many sections there are.
    sections: usize,
    groups: [Span; 5],
    /// Bytes in the whole image; a multiple of the page size.
    pub size: u64,
    /// What the base must be a multiple of.
    pub align: u64,
    /// The stubs; also the end of group [`Group::Text`].
    pub stubs: Span,
    /// The stubs' targets, a doubleword each, then one for each address that code
    /// loads (its GOT); also the end of group [`Group::Rodata`].
    pub targets: Span,
    /// r2 while the module runs, in bytes from the base.
    pub toc: u64,
    /// Stub slots with a target each; out-of-line stubs follow them.
    pub slots: u32,
    /// Bytes from one such slot to the next.
    pub(super) slot_bytes: u64,
    /// By symbol.
    pub(super) needs: Vec<Needs>,
    /// Symbols with needs that are not in [`Object::outside`].
    pub(super) more: Vec<u32>,
    /// What has a doubleword of its own behind the targets, rising: [`got_key`]s.
    pub(super) got: Vec<u64>,
    /// Entries of the lists of patchable functions, a stub each.
    pub(super) patchable: u64,
    /// Stubs were not counted: some have room and are not needed, and which those are
    /// only the relocations say.
    pub(super) reckoned: bool,
}

impl Layout {
    /// Plans the image of `object` for pages of `page` bytes (a power of two).
    ///
    /// Whoever links it has to be ready for [`LoadError::Recount`].
    ///
    /// # Errors
    /// [`LoadError::Section`] for a section that no group can take,
    /// [`LoadError::Reloc`] for a branch that is none, [`LoadError::TextTooLong`]
    /// and [`LoadError::NoRoom`] for a module that is too large.
    #[inline(never)] // `make bench` counts it
    pub fn plan(object: &Object, options: &LinkOptions, page: u64) -> Result<Self, LoadError> {
        if is_reckoned(object)
            && let Some(counted) = Counted::reckon(object, options)
            && let Ok(layout) = Self::place(object, options, page, counted)
        {
            return Ok(layout);
        }
        Self::plan_exactly(object, options, page)
    }

    /// As [`plan`](Self::plan), with room for just those stubs that are needed.
    ///
    /// # Errors
    /// The same.
    pub fn plan_exactly(
        object: &Object,
        options: &LinkOptions,
        page: u64,
    ) -> Result<Self, LoadError> {
        Self::place(object, options, page, Counted::of(object, options)?)
    }

    #[inline(never)] // `make bench` counts it
    fn place(
        object: &Object,
        options: &LinkOptions,
        page: u64,
        counted: Counted,
    ) -> Result<Self, LoadError> {
        let Counted { needs, more, stubs, got, reckoned } = counted;
        let patchable = callsites::patchable_entries(object);
        // And the one to the hook that all out-of-line stubs call at first.
        let slots = stubs + u64::from(patchable != 0);
        let words = slots + got.len() as u64;
        let slot_bytes = match options.stubs {
            StubStyle::Default => StubKind::External.slot_bytes(),
            StubStyle::Seed | StubStyle::Linux => HISTORIC_SLOT,
        };

        // A section's place in the table first says which one comes next of its rank.
        let sections = object.sections();
        let mut table = vec![0; sections.len() * 2];
        let (offsets, order) = table.split_at_mut(sections.len());
        let mut firsts = [[0; Rank::PASSES]; Group::ALL.len()]; // section 0 is none
        let backwards = sections.iter().zip(&mut *offsets).zip(0..sections.len() as u32).rev();
        for ((section, offset), index) in backwards {
            let first = firsts.as_flattened_mut().get_mut(usize::from(section.rank.0));
            *offset = first.map_or(NOT_KEPT, |first| core::mem::replace(first, index));
        }
        let (mut kept, mut groups) = (0, [Span::default(); Group::ALL.len()]);
        let (mut size, mut align, mut toc) = (0, page, None);
        let (mut own_stubs, mut targets) = (Span::default(), Span::default());
        for number in 0..Group::ALL.len() {
            let whole = &mut groups[number];
            for (pass, first) in firsts[number].into_iter().enumerate() {
                let mut next = first;
                while let index = next
                    && index != 0
                    && let Some(offset) = offsets.get_mut(index as usize)
                    && let Some(section) = sections.get(index as usize)
                    && let Some(place) = order.get_mut(kept)
                {
                    if section.is_code() && section.is_writable() {
                        let (name, fault) = (section.name.into(), SectionFault::WritableCode);
                        return Err(LoadError::Section { index, name, fault });
                    }
                    let is_toc = pass == Rank::TOC;
                    let own = section.header.sh_addralign.max(if is_toc { 8 } else { 1 });
                    align = align.max(own);
                    let span = whole.append(&mut size, section.size(), own, page)?;
                    if is_toc && toc.is_none_or(|(first, _)| index < first) {
                        toc = Some((index, span.offset));
                    }
                    next = core::mem::replace(offset, span.offset as u32); // below `SIZE_MAX`
                    *place = index;
                    kept += 1;
                }
            }
            match Group::ALL[number] {
                Group::Text => {
                    let len = slots * slot_bytes + patchable * StubKind::OutOfLine.slot_bytes();
                    own_stubs = whole.append_own(&mut size, len, slot_bytes, page)?;
                }
                Group::Rodata => targets = whole.append_own(&mut size, words * 8, 8, page)?,
                _ => {}
            }
        }
        table.truncate(sections.len() + kept);
        let [_, init, _, _, data] = groups;
        let start = toc.map_or(data.offset, |(_, start)| start);
        let code = own_stubs.end().saturating_sub(init.offset);
        if own_stubs.len != 0 && code > CODE_SPAN_MAX {
            return Err(LoadError::TextTooLong { len: code, reach: CODE_SPAN_MAX });
        }
        Ok(Self {
            table,
            sections: sections.len(),
            groups,
            size: align_up(size, page)?,
            align,
            stubs: own_stubs,
            targets,
            toc: (start & !0xff) + TOC_BIAS,
            slots: slots as u32,
            slot_bytes,
            needs,
            more,
            got,
            patchable,
            reckoned,
        })
    }

    /// Bytes of the image up to its last that may be other than zero, which
    /// `.bss` lies behind: as many as [`super::relocate::link`] needs.
    #[must_use]
    pub fn stored(&self, object: &Object) -> u64 {
        let ends = self.order().iter().filter_map(|&index| {
            let len = object.sections().get(index as usize)?.data.len() as u64;
            let start = self.offset_of(index as usize)?;
            (len != 0).then(|| u64::from(start) + len)
        });
        ends.max().unwrap_or(0).max(self.stubs.end()).max(self.targets.end())
    }

    /// True if there is room for just those stubs that are needed.
    #[must_use]
    pub fn is_exact(&self) -> bool {
        !self.reckoned
    }

    /// Where section `index` starts; `None` if it is not kept.
    #[must_use]
    pub fn offset_of(&self, index: usize) -> Option<u32> {
        self.offsets()(index)
    }

    /// [`offset_of`](Self::offset_of), for whoever asks for each symbol.
    pub(super) fn offsets(&self) -> impl Fn(usize) -> Option<u32> + use<'_> {
        let offsets = self.table.get(..self.sections).unwrap_or_default();
        move |index| offsets.get(index).copied().filter(|&offset| offset != NOT_KEPT)
    }

    /// Indices of the kept sections, by rising offset.
    #[must_use]
    pub fn order(&self) -> &[u32] {
        self.table.get(self.sections..).unwrap_or_default()
    }

    /// The pages of `group`: from its first to its last byte in use.
    #[must_use]
    pub fn group(&self, group: Group) -> Span {
        self.groups[group as usize]
    }

    /// What is executed: the code, with the stubs, and init's until that is given back.
    #[must_use]
    pub fn text(&self, init_gone: bool) -> Span {
        let (init, core) = (self.group(Group::InitText), self.group(Group::Text));
        match init {
            Span { len: 1.., offset } if !init_gone => {
                Span { offset, len: core.end().max(init.end()) - offset }
            }
            _ => core,
        }
    }

    /// The group of a section that is kept.
    #[must_use]
    pub fn group_of(section: &Section) -> Group {
        Group::of(section.name, section.header.sh_flags)
    }

    /// Where the doubleword that holds the address of `symbol` with `addend` lies.
    pub(super) fn got_of(&self, symbol: u32, addend: i64) -> Option<u64> {
        let number = self.got.binary_search(&got_key(symbol, addend)).ok()?;
        Some(self.targets.offset + (u64::from(self.slots) + number as u64) * 8)
    }

    /// The kept section that holds the byte at `offset`, and the byte's offset
    /// in that section.
    #[must_use]
    pub fn section_at(&self, object: &Object, offset: u64) -> Option<(usize, u64)> {
        // Sections that begin at one place are empty, but for the last of them.
        let (order, offset_of) = (self.order(), self.offsets());
        let start = |index: u32| offset_of(index as usize).unwrap_or(NOT_KEPT);
        let end = order.partition_point(|&index| u64::from(start(index)) <= offset);
        let index = *order.get(end.checked_sub(1)?)?;
        let inside = offset - u64::from(start(index));
        let index = index as usize;
        (inside < object.sections().get(index)?.size()).then_some((index, inside))
    }
}

/// Where a section comes in memory: its group, then its pass in that. A module's sections
/// are asked once, when they are read, for it takes names to compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rank(u8);

impl Rank {
    /// In a group's order: what has bytes in the file comes first and zeros last, so that
    /// `.toc` is near the middle of what it points to.
    const PASSES: usize = 3;
    const BYTES: usize = 0;
    const TOC: usize = 1;
    const ZEROS: usize = 2;

    /// Not in memory.
    pub(super) const NOT_KEPT: Self = Self(u8::MAX);

    /// What a section's header and name say.
    #[inline(always)]
    pub(super) fn of(name: &str, header: &SectionHeader) -> Self {
        let is_kept = header.sh_flags & u64::from(SHF_ALLOC) != 0;
        if !is_kept || header.sh_type == SHT_NOTE || is_read_from_the_file(name) {
            return Self::NOT_KEPT;
        }
        let pass = match header.sh_type {
            _ if name == ".toc" => Self::TOC,
            SHT_NOBITS => Self::ZEROS,
            _ => Self::BYTES,
        };
        Self((Group::of(name, header.sh_flags) as usize * Self::PASSES + pass) as u8)
    }
}

/// True if what a section tells is asked for once, while the module is loaded.
#[inline(never)]
fn is_read_from_the_file(name: &str) -> bool {
    // Most begin in another way.
    if !matches!(name.as_bytes(), [b'.', b'n' | b'm', ..] | [b'_', b'_', ..]) {
        return false;
    }
    name.starts_with(".note")
        || matches!(
            name,
            ".modinfo"
                | "__versions"
                | "__version_ext_crcs"
                | "__version_ext_names"
                | "__mcount_loc"
                | callsites::PATCHABLE
        )
}

/// True for a module with so many relocations that its stubs are not counted, if its
/// symbols tell enough.
fn is_reckoned(object: &Object) -> bool {
    let code = object.relocations().iter().filter(|list| object.sections()[list.target].is_code());
    code.map(Relocations::len).sum::<usize>() >= RECKONED_FROM
}

/// What stubs there is room for.
pub(super) struct Counted {
    /// What each symbol's branches need, or may need.
    pub needs: Vec<Needs>,
    /// Symbols that come to have needs here.
    more: Vec<u32>,
    /// Stubs for them.
    stubs: u64,
    /// What wants a doubleword, rising: [`got_key`]s.
    got: Vec<u64>,
    /// It was not counted.
    reckoned: bool,
}

impl Counted {
    /// What code with a TOC pointer may need: a call of each symbol that is not defined.
    /// `None` if not all symbols tell.
    fn reckon(object: &Object, options: &LinkOptions) -> Option<Self> {
        let (mut needs, mut stubs) = (vec![Needs::LOCAL; object.symbol_count()], 0);
        let hook = [SiteKind::Profile, SiteKind::Late];
        let [early, late] = hook.map(|kind| Needs::of_profiling_call(kind, options));
        for &index in object.outside() {
            let (mut it, tells) = Needs::of_outside(object, index);
            if !tells {
                return None;
            }
            if it.profiles() {
                it = Needs(it.0 | early | late);
            } else if !it.is_local() {
                it = Needs(it.0 | Needs::CALL);
            }
            stubs += u64::from(it.slots());
            *needs.get_mut(index as usize)? = it;
        }
        Some(Self { needs, more: Vec::new(), stubs, got: Vec::new(), reckoned: true })
    }

    /// What is needed, by one pass over the relocations of code.
    ///
    /// # Errors
    /// [`LoadError::Reloc`] for one that is outside of everything.
    pub fn of(object: &Object, options: &LinkOptions) -> Result<Self, LoadError> {
        let mut needs = vec![Needs::LOCAL; object.symbol_count()];
        for &index in object.outside() {
            if let Some(needs) = needs.get_mut(index as usize) {
                (*needs, _) = Needs::of_outside(object, index);
            }
        }
        let (mut stubs, mut more, mut loads) = (0, Vec::new(), false);
        for relocations in object.relocations() {
            let section = &object.sections()[relocations.target];
            if !section.is_code() || section.rank == Rank::NOT_KEPT {
                continue;
            }
            let code = section.data;
            let last = (code.len() as u64).checked_sub(4);
            let outside = |kind, at| {
                refuse(section, kind, at, RelocFault::Outside { width: 4, size: section.size() })
            };
            for entry in relocations.entries() {
                let (kind, index) = (entry.kind(), entry.symbol());
                if kind != R_PPC64_REL24 && !asks_for_more(kind) {
                    continue; // no branch: nearly half of them
                }
                let Some(needs) = needs.get_mut(index as usize) else {
                    let fault = RelocFault::SymbolIndex { index, count: object.symbol_count() };
                    return Err(refuse(section, kind, entry.at(), fault));
                };
                if kind != R_PPC64_REL24 {
                    let kinds = Needs(without_toc(object, kind, index, *needs));
                    loads |= kinds.has(Needs::GOT);
                    if needs.are_none() && !kinds.are_none() {
                        more.push(index);
                    }
                    stubs += u64::from(needs.add(kinds.0));
                    if !needs.profiles() || kind >= GOT_TYPES {
                        continue;
                    }
                } else if needs.is_local() {
                    continue; // to a neighbour
                }
                let at = entry.at();
                let Some(word) = last.filter(|&last| at <= last).and_then(|_| word_at(code, at))
                else {
                    return Err(outside(kind, at));
                };
                let stub = match word & 1 {
                    0 => Needs::SIBLING,
                    _ if !needs.profiles() => Needs::CALL,
                    _ => Needs::of_profiling_call(callsites::classify(code, at), options),
                };
                if !needs.has(stub) {
                    stubs += u64::from(needs.add(stub)); // most lead where others have led before
                }
            }
        }
        let got = if loads { doublewords(object) } else { Vec::new() };
        Ok(Self { needs, more, stubs, got, reckoned: false })
    }
}

/// The relocation types from here on load an address, and are no branches.
const GOT_TYPES: u32 = fields::R_PPC64_GOT_PCREL34;

/// True for the types of PC-relative code that may need a stub or a doubleword.
#[inline(always)]
fn asks_for_more(kind: u32) -> bool {
    kind >= fields::R_PPC64_REL24_NOTOC
        && kind != R_PPC64_ENTRY
        && matches!(
            kind,
            fields::R_PPC64_REL24_NOTOC
                | fields::R_PPC64_REL24_P9NOTOC
                | fields::R_PPC64_GOT_PCREL34..=fields::R_PPC64_PLT_PCREL34_NOTOC
        )
}

/// A symbol with an addend as one number: [`super::relocate`] refuses those of more than
/// 32 bits, for no image is so large.
fn got_key(symbol: u32, addend: i64) -> u64 {
    u64::from(symbol) << 32 | u64::from(addend as u32)
}

/// The symbols, with addends, whose addresses PC-relative code loads, rising. A walk of
/// its own, which most modules do without.
#[cold]
#[inline(never)]
#[cfg_attr(target_os = "none", optimize(size))]
fn doublewords(object: &Object) -> Vec<u64> {
    let loads = |kind| (GOT_TYPES..=fields::R_PPC64_PLT_PCREL34_NOTOC).contains(&kind);
    let mut got = Vec::new();
    for list in object.relocations() {
        if object.sections()[list.target].is_code() {
            for entry in list.entries().filter(|entry| loads(entry.kind())) {
                got.push(got_key(entry.symbol(), entry.addend()));
            }
        }
    }
    got.sort_unstable();
    got.dedup();
    got
}

/// What a branch or a load in PC-relative code needs of a symbol.
#[cold]
fn without_toc(object: &Object, kind: u32, index: u32, needs: Needs) -> u8 {
    if kind >= fields::R_PPC64_GOT_PCREL34 {
        return Needs::GOT;
    }
    let symbol = object.symbol(index);
    // The caller's r2 is no TOC, so a neighbour that has one has to compute it.
    let leaves = symbol
        .is_some_and(|symbol| u32::from(symbol.st_shndx) == SHN_UNDEF || local_entry(&symbol) != 0);
    if leaves && !needs.profiles() { Needs::NOTOC } else { 0 }
}

#[cold]
pub(super) fn refuse(section: &Section, kind: u32, offset: u64, fault: RelocFault) -> LoadError {
    let at = error::Place { section: section.name.into(), offset };
    LoadError::Reloc { at, kind, symbol: String::new(), fault }
}

/// The instruction word at `offset` of `code`.
#[inline]
pub(super) fn word_at(code: &[u8], offset: u64) -> Option<u32> {
    let rest = code.get(usize::try_from(offset).ok()?..)?;
    rest.first_chunk().map(|bytes| u32::from_le_bytes(*bytes))
}

/// The next multiple of `align`, a power of two.
fn align_up(value: u64, align: u64) -> Result<u64, LoadError> {
    // No division, as `checked_next_multiple_of` would have.
    let below = align.saturating_sub(1);
    match value.checked_add(below).map(|up| up & !below) {
        Some(up) if up <= SIZE_MAX => Ok(up),
        _ => Err(LoadError::NoRoom { need: value, free: SIZE_MAX }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_rounded_up_to_a_power_of_two_or_refused() {
        for (value, align, up) in [(0, 16, 0), (1, 16, 16), (16, 16, 16), (17, 1, 17), (5, 0, 5)] {
            assert_eq!(align_up(value, align).ok(), Some(up), "{value} {align}");
        }
        assert_eq!(align_up(SIZE_MAX, 0x1000).ok(), Some(SIZE_MAX));
        assert!(align_up(SIZE_MAX + 1, 0x1000).is_err());
        assert!(align_up(u64::MAX, 0x1000).is_err());
    }
}
