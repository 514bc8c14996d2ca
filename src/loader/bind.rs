//! What each symbol stands for: a value for data, a target for branches, and the
//! stubs that its branches need.
//!
//! ```text
//!  symbol ── defined ──> base + section + value          branches: the local entry point
//!         ── .TOC. ────> r2
//!         ── exported ─> its address                     branches: a stub
//!         ── weak ─────> 0                               branches: a stub that traps
//!         ── else ─────> refused, or with --link-only a stub that traps
//! ```
//!
//! One walk over the symbol table, before any relocation: [`super::relocate`]
//! then looks everything up by index. Slots are handed out in the order of the
//! symbols. Where the layout has counted, each of them gets its stub at once; else
//! those do that the relocations of code have used, [`Bindings::write_stubs`].
//!
//! # References
//! OpenPOWER ELFv2 ABI, "Function Linkage"; what each stub does: [`super::stubs`].

use alloc::{string::String, vec::Vec};
use core::cell::OnceCell;

use goblin::elf64::{
    reloc::R_PPC64_ADDR64,
    section_header::{SHN_ABS, SHN_UNDEF},
    sym::{STB_WEAK, Sym},
};

use super::{
    borrow,
    elf::{Object, Relocations, Section, local_entry},
    error::LoadError,
    layout::{Layout, Needs},
    modinfo::Modinfo,
    stubs::{Stub, StubAbi, StubError, StubKind, table::StubTable},
    symbols::{Found, LinkOptions, Name, Owner, Resolved, Resolver, StubStyle},
};
use crate::addr::Vaddr;

/// What modules are linked against, besides names.
#[derive(Clone, Copy, Debug)]
pub struct KernelAbi {
    /// What stubs rely on. `module_toc` is filled in for each module.
    pub stubs: StubAbi,
    /// The hook for sites at a function's start: keeps all registers but r12
    /// and ctr, and returns to LR with LR taken from r0.
    pub mcount: Vaddr,
    /// The hook for sites behind the prologue, which returns to LR.
    pub mcount_late: Vaddr,
    /// Whether the processor has prefixed instructions (POWER10).
    pub prefixed: bool,
}

/// Most unresolved names that an error lists.
const NAMES_LISTED: usize = 8;

/// Stands for an address that is none, where asking for the [`Class`] would take
/// longer: who finds it asks. Nothing lies there, but a number may be equal.
pub(super) const NOWHERE: u64 = u64::MAX;

/// A symbol as relocations use it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bound {
    /// S of the ABI's formulas: for a function, its global entry point.
    /// [`NOWHERE`] if it is not kept.
    pub value: u64,
    /// Where a direct branch to it arrives, its local entry point. [`NOWHERE`] if
    /// there is no direct branch to it.
    pub near: u64,
    /// Offset of its first stub from the base.
    stub: u32,
    pub class: Class,
    /// The stubs that there is room for.
    needs: Needs,
    /// Those of them that are used, if the layout has not counted.
    used: Needs,
}

/// How a branch to a symbol is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// Directly.
    Local,
    /// Through a stub.
    Leaves,
    /// Through a stub that traps, for nobody exports it.
    Missing,
    /// It is a profiling call.
    Profiles,
    /// Not at all: the symbol's section is not in memory.
    NotKept,
}

/// All symbols of a module, and what became known on the way.
pub(super) struct Bindings {
    pub bounds: Vec<Bound>,
    pub functions: Found,
    pub stubs: StubTable,
    /// Modules whose exports are used, rising, each once.
    pub owners: Vec<u32>,
    /// Symbols that nobody exports and that were bound to a trap, by index.
    pub missing: Vec<u32>,
    pub init: Option<Vaddr>,
    pub cleanup: Option<Vaddr>,
    pub this_module: Option<Vaddr>,
}

impl Bound {
    /// Offset of the stub for `kind`, one of the bits that the layout counted.
    pub fn stub(&self, kind: u8, slot_bytes: u64) -> u32 {
        self.stub + self.needs.slots_before(kind) * slot_bytes as u32
    }

    /// True if there is room for a stub of `kind`.
    #[inline(always)]
    pub fn needs(&self, kind: u8) -> bool {
        self.needs.has(kind)
    }

    /// Notes that the stub of `kind` is used. Where nobody counted there is but one kind
    /// for each symbol, or they are noted together.
    #[inline(always)]
    pub fn uses(&mut self, kinds: Needs) {
        self.used = kinds;
    }

    /// As [`uses`](Self::uses), besides those that are used already.
    pub fn uses_too(&mut self, kind: u8) {
        self.used = self.used.with(kind);
    }

    /// The address that it stands for; 0 if it is not kept.
    pub fn address(&self) -> u64 {
        if self.class == Class::NotKept { 0 } else { self.value }
    }

    /// Bytes from its global to its local entry point.
    pub fn local_entry(&self) -> u8 {
        let local = self.class == Class::Local;
        if local { self.near.wrapping_sub(self.value) as u8 } else { 0 } // at most 64
    }

    /// A symbol of a section that lies at `start`, which branches reach directly.
    #[inline(always)]
    fn placed(start: Vaddr, symbol: &Sym) -> Self {
        let value = start.0.wrapping_add(symbol.st_value);
        let near = value.wrapping_add(local_entry(symbol).into());
        Self { value, near, stub: 0, class: Class::Local, needs: Needs::LOCAL, used: Needs::LOCAL }
    }

    /// A symbol whose global and local entry points are one.
    fn local(value: u64) -> Self {
        Self {
            value,
            near: value,
            stub: 0,
            class: Class::Local,
            needs: Needs::LOCAL,
            used: Needs::LOCAL,
        }
    }

    /// A symbol that no direct branch goes to.
    fn far(value: u64, class: Class) -> Self {
        Self { value, near: NOWHERE, stub: 0, class, needs: Needs::LOCAL, used: Needs::LOCAL }
    }
}

/// Binds every symbol of `object`, placed at `base`, and writes its stubs, if they were
/// counted.
pub(super) fn bind(linker: &mut Linker) -> Result<Bindings, LoadError> {
    let Linker { object, layout, base, .. } = *linker;
    if object.symbol_count() == 0 {
        return Err(LoadError::NoSymbols);
    }
    // Most symbols are just a place.
    let offset_of = layout.offsets();
    let mut functions = Found::none_of(object);
    let bounds = object.symbols().enumerate();
    let bounds = bounds.map(|(index, symbol)| match offset_of(symbol.st_shndx.into()) {
        Some(section) => {
            functions.add(object, index, section, &symbol);
            Bound::placed(base.offset(section.into()), &symbol)
        }
        None => Bound::far(NOWHERE, Class::NotKept),
    });
    let bounds = bounds.collect();
    let mut bindings = Bindings {
        bounds,
        functions,
        stubs: StubTable::new(base),
        owners: Vec::new(),
        missing: Vec::new(),
        init: None,
        cleanup: None,
        this_module: None,
    };
    bindings.stubs.reserve(layout.slots as usize).map_err(LoadError::Table)?;
    let mut merged = Vec::new();
    let served = if layout.more.is_empty() {
        object.outside()
    } else {
        merged.extend(object.outside().iter().chain(&layout.more));
        merged.sort_unstable();
        merged.dedup(); // a number may have needs, too
        &merged
    };
    let unresolved = bindings.bind_outside(linker, served)?;
    if !layout.reckoned {
        bindings.write_stubs(linker, served)?;
    }
    bindings.remember(linker)?;
    for (number, key) in layout.got.iter().enumerate() {
        let word = layout.targets.offset + (u64::from(layout.slots) + number as u64) * 8;
        let (bound, addend) = (bindings.bounds.get((key >> 32) as usize), i64::from(*key as i32));
        let value = bound.map_or(0, |bound| bound.value.wrapping_add_signed(addend));
        linker.write(word, &value.to_le_bytes());
    }
    unresolved.refuse()?;
    bindings.owners.sort_unstable();
    bindings.owners.dedup();
    Ok(bindings)
}

/// True if the module can do without the symbol.
pub(super) fn is_weak(symbol: &Sym) -> bool {
    symbol.st_info >> 4 == STB_WEAK
}

const INIT: &str = "init_module";
const EXIT: &str = "cleanup_module";
/// The section of a module's `struct module`.
const THIS_MODULE: &str = ".gnu.linkonce.this_module";

/// True if a symbol is the place of an instruction of the module that is kept.
fn is_code(object: &Object, symbol: &Sym) -> bool {
    let section = object.sections().get(usize::from(symbol.st_shndx));
    section.is_some_and(|section| {
        section.is_alloc()
            && section.is_code()
            && symbol.st_value < section.size()
            && symbol.st_value.is_multiple_of(4)
    })
}

/// What one link works on.
pub(super) struct Linker<'l, 'a> {
    pub object: &'l Object<'a>,
    pub layout: &'l Layout,
    pub base: Vaddr,
    pub image: &'l mut [u8],
    pub resolver: &'l dyn Resolver,
    pub abi: KernelAbi,
    pub options: &'l LinkOptions,
    /// [`Modinfo::is_gpl_compatible`], from when it is asked for first.
    pub gpl: OnceCell<bool>,
}

/// A stub to be written.
pub(super) struct SlotOrder {
    /// The slot's number; its target word has the same.
    pub slot: u32,
    /// One of the bits of [`Needs`].
    pub kind: u8,
    /// Where it leads; `None` for a trap.
    pub target: Option<Vaddr>,
    /// The symbol that it serves.
    pub owner: u32,
}

impl<'l, 'a> Linker<'l, 'a> {
    /// One that binds symbols, and writes nothing.
    pub fn without_image(
        object: &'l Object<'a>,
        layout: &'l Layout,
        base: Vaddr,
        resolver: &'l dyn Resolver,
        abi: &KernelAbi,
        options: &'l LinkOptions,
    ) -> Self {
        let mut abi = *abi;
        abi.stubs.module_toc = base.offset(layout.toc.cast_signed());
        Self { object, layout, base, image: &mut [], resolver, abi, options, gpl: OnceCell::new() }
    }

    /// Finds what the module does not define; `None` if nobody has it for this module.
    #[inline(always)]
    fn look_up(&self, index: u32, symbol: &Sym) -> Result<Option<Resolved>, LoadError> {
        let name = Name::before_nul(self.object.onwards_from_name(symbol));
        let found = self.resolver.resolve_name(&name);
        let closed = found.is_some_and(|found| found.gpl_only) && self.is_closed(index)?;
        Ok(found.filter(|_| !closed))
    }

    /// True if a module is not refused for a symbol that nobody has.
    #[inline]
    fn may_miss(&self, symbol: &Sym) -> bool {
        let is_borrowed = || borrow::parse(self.object.name(symbol)).is_some();
        self.options.link_only || is_weak(symbol) || is_borrowed()
    }

    /// True if an export for GPL-compatible modules is not there for this one, which can
    /// do without; one that cannot is refused.
    #[cold]
    #[cfg_attr(target_os = "none", optimize(size))]
    fn is_closed(&self, index: u32) -> Result<bool, LoadError> {
        let modinfo = || Modinfo::of(self.object);
        let closed = !self.gpl.get_or_init(|| modinfo().is_gpl_compatible());
        let Some(symbol) = self.object.symbol(index).filter(|symbol| closed && !is_weak(symbol))
        else {
            return Ok(closed);
        };
        let modinfo = modinfo();
        let (name, licence) = (self.object.name(&symbol).into(), modinfo.licence().into());
        Err(LoadError::GplOnly { name, licence })
    }

    /// Where a stub of `kind` leads.
    fn target(&self, kind: u8, bound: &Bound) -> Vaddr {
        match kind {
            Needs::PROFILE_LATE => self.abi.mcount_late,
            _ => Vaddr(bound.value),
        }
    }

    /// Writes a stub and its target word, and records it.
    #[inline(always)] // once for each stub
    pub fn write_stub(&mut self, order: SlotOrder, table: &mut StubTable) -> Result<(), LoadError> {
        let layout = self.layout;
        let offset = layout.stubs.offset + u64::from(order.slot) * layout.slot_bytes;
        let word_offset = layout.targets.offset + u64::from(order.slot) * 8;
        let at = self.base.offset(offset.cast_signed());
        let word = self.base.offset(word_offset.cast_signed());
        let Some(target) = order.target else {
            let stub = Stub::Missing { symbol: order.owner };
            self.write_words(offset, at, &stub, order.owner)?;
            return table.push(at, StubKind::Missing, order.owner).map_err(LoadError::Table);
        };
        let stub = self.shape(order.kind, word, target);
        if stub.kind().has_target_word() {
            self.write(word_offset, &target.0.to_le_bytes());
        }
        self.write_words(offset, at, &stub, order.owner)?;
        table.push(at, stub.kind(), order.owner).map_err(LoadError::Table)
    }

    fn shape(&self, kind: u8, word: Vaddr, target: Vaddr) -> Stub {
        match (kind, self.options.stubs) {
            (Needs::SIBLING, _) => Stub::Sibling { word },
            (Needs::NOTOC, _) => Stub::Notoc { word },
            (Needs::CALL, StubStyle::Default) => Stub::External { word },
            (Needs::CALL, StubStyle::Seed) => Stub::SeedExternal { target },
            (Needs::CALL, StubStyle::Linux) => Stub::LinuxExternal { target },
            (_, StubStyle::Default) => Stub::Profile { word },
            (_, StubStyle::Seed) => Stub::SeedProfile { target },
            (_, StubStyle::Linux) => Stub::LinuxProfile { target },
        }
    }

    /// Writes the stub of a patchable function's site, the `number`th, and
    /// returns its offset.
    pub fn write_out_of_line(
        &mut self,
        number: u32,
        site: Vaddr,
        site_index: u32,
        hook: Vaddr,
        table: &mut StubTable,
    ) -> Result<u32, LoadError> {
        let layout = self.layout;
        let slots = u64::from(layout.slots) * layout.slot_bytes;
        let offset = u64::from(number) * StubKind::OutOfLine.slot_bytes();
        let offset = layout.stubs.offset + slots + offset;
        let at = self.base.offset(offset.cast_signed());
        self.write_words(offset, at, &Stub::OutOfLine { site, hook }, 0)?;
        table.push(at, StubKind::OutOfLine, site_index).map_err(LoadError::Table)?;
        Ok(offset as u32)
    }

    #[inline(always)]
    fn write_words(
        &mut self,
        offset: u64,
        at: Vaddr,
        stub: &Stub,
        owner: u32,
    ) -> Result<(), LoadError> {
        let start = self.image.len().min(offset as usize);
        let room = &mut self.image[start..];
        stub.write(at, &self.abi.stubs, room).map_err(|error| self.refuse_stub(owner, error))
    }

    #[cold]
    #[inline(never)]
    fn refuse_stub(&self, owner: u32, error: StubError) -> LoadError {
        let symbol = self.object.symbol(owner);
        let symbol = symbol.map_or(String::new(), |symbol| self.object.name(&symbol).into());
        LoadError::Stub { symbol, error }
    }

    /// Writes into the image; the layout has made the room. Whoever only asks what
    /// symbols stand for ([`super::explain`]) has no image.
    fn write(&mut self, offset: u64, bytes: &[u8]) {
        let start = offset as usize;
        if let Some(room) = self.image.get_mut(start..start + bytes.len()) {
            room.copy_from_slice(bytes);
        }
    }
}

impl Bindings {
    /// Binds the symbols `served`, which rise: those that are not just a place, and those
    /// of them that have stubs.
    #[inline(never)] // it has the registers to itself
    fn bind_outside(&mut self, linker: &Linker, served: &[u32]) -> Result<Unresolved, LoadError> {
        let Linker { object, layout, base, .. } = *linker;
        let Self { bounds, owners, missing, .. } = self;
        let mut unresolved = Unresolved::default();
        let mut stub = layout.stubs.offset as u32;
        for &index in served {
            let at = index as usize;
            let (Some(symbol), Some(&needs), Some(place)) =
                (object.symbol(index), layout.needs.get(at), bounds.get_mut(at))
            else {
                break;
            };
            let mut bound = match u32::from(symbol.st_shndx) {
                SHN_ABS => Bound::local(symbol.st_value),
                SHN_UNDEF if needs.profiles() => Bound::far(linker.abi.mcount.0, Class::Profiles),
                SHN_UNDEF if needs.is_local() => {
                    // Two that are numbers: what has no name, and `.TOC.`.
                    let none = index == 0 || object.is_named(&symbol, "");
                    Bound::local(if none { 0 } else { linker.abi.stubs.module_toc.0 })
                }
                SHN_UNDEF => match linker.look_up(index, &symbol)? {
                    Some(found) => {
                        if let Owner::Module(number) = found.owner {
                            owners.push(number);
                        }
                        Bound::far(found.addr.0, Class::Leaves)
                    }
                    None => {
                        if missing.is_empty() {
                            missing.reserve_exact(served.len()); // one is seldom alone
                        }
                        missing.push(index);
                        if !linker.may_miss(&symbol) {
                            unresolved.add(object, index);
                        }
                        // Whoever takes the address of what is missing gets the trap, if it
                        // is called as well. That may not be known yet.
                        let trap = base.offset(stub.into()).0;
                        let trap = if layout.reckoned { NOWHERE } else { trap };
                        let none = is_weak(&symbol) || needs.slots() == 0;
                        Bound::far(if none { 0 } else { trap }, Class::Missing)
                    }
                },
                _ if place.class == Class::NotKept => continue, // refused where it is used
                _ if needs.is_local() => *place,
                _ => Bound::far(place.value, Class::Leaves),
            };
            bound.stub = stub;
            bound.needs = needs;
            bound.used = if layout.reckoned { Needs::LOCAL } else { needs };
            stub += needs.slots() * layout.slot_bytes as u32;
            *place = bound;
        }
        Ok(unresolved)
    }

    /// Writes the stubs that are used of the symbols `served`, which rise and are all that
    /// may need any; and settles what stands for those that are missing.
    pub fn write_stubs(&mut self, linker: &mut Linker, served: &[u32]) -> Result<(), LoadError> {
        let layout = linker.layout;
        let mut slot = 0;
        for &index in served {
            let Some(bound) = self.bounds.get_mut(index as usize) else { break };
            let trap = bound.class == Class::Missing;
            for kind in bound.needs.kinds() {
                if bound.used.has(kind) {
                    let target = (!trap).then(|| linker.target(kind, bound));
                    let order = SlotOrder { slot, kind, target, owner: index };
                    linker.write_stub(order, &mut self.stubs)?;
                }
                slot += 1;
            }
            if trap && bound.value == NOWHERE {
                let called = bound.used.slots() != 0;
                bound.value = if called { linker.base.offset(bound.stub.into()).0 } else { 0 };
            }
        }
        debug_assert!(slot <= layout.slots);
        Ok(())
    }

    /// Keeps the addresses that the kernel itself asks for.
    fn remember(&mut self, linker: &Linker) -> Result<(), LoadError> {
        let object = linker.object;
        const STARTS: [u32; 3] = [
            u32::from_le_bytes(*b"init"),
            u32::from_le_bytes(*b"clea"),
            u32::from_le_bytes(*b"__th"),
        ];
        let [init, exit, this] = STARTS;
        // Few names begin so, and most of them are not defined here.
        let candidates = object.globals().filter(|(_, symbol)| {
            let start = || object.name_start(symbol);
            u32::from(symbol.st_shndx) != SHN_UNDEF && [init, exit, this].contains(&start())
        });
        let mut place = usize::MAX;
        for (index, symbol) in candidates {
            let (kept, entry) = if object.is_named(&symbol, INIT) {
                (&mut self.init, Some(INIT))
            } else if object.is_named(&symbol, EXIT) {
                (&mut self.cleanup, Some(EXIT))
            } else if object.is_named(&symbol, "__this_module") {
                place = symbol.st_shndx.into();
                (&mut self.this_module, None)
            } else {
                continue;
            };
            if let Some(name) = entry.filter(|_| !is_code(object, &symbol)) {
                return Err(LoadError::NoEntry { name });
            }
            *kept = self.bounds.get(index).map(|bound| Vaddr(bound.value));
        }
        if place == usize::MAX
            && let Some((section, _)) = object.section(THIS_MODULE)
        {
            let at = linker.layout.offset_of(section);
            self.this_module = at.map(|at| linker.base.offset(at.into()));
            place = section;
        }
        if let Some(list) = object.relocations_of(place) {
            self.remember_pointers(linker, list);
        }
        Ok(())
    }

    /// What `struct module` itself points to: Linux goes by that alone, so the functions'
    /// names may be local or of another sort, and its own be gone. Where the pointers
    /// stand in it differs from one kernel to the next; `init` is in the first half, and
    /// `exit` in the second. Other pointers are not to code.
    #[cold]
    #[inline(never)]
    #[cfg_attr(target_os = "none", optimize(size))]
    fn remember_pointers(&mut self, linker: &Linker, list: &Relocations) {
        let Linker { object, layout, base, .. } = *linker;
        let size = object.sections().get(list.target).map_or(0, Section::size);
        for entry in list.iter().filter(|entry| entry.r_info as u32 == R_PPC64_ADDR64) {
            let Some(symbol) = object.symbol((entry.r_info >> 32) as u32) else { continue };
            let st_value = symbol.st_value.wrapping_add_signed(entry.r_addend);
            let section = layout.offset_of(symbol.st_shndx.into());
            if let Some(section) = section.filter(|_| is_code(object, &Sym { st_value, ..symbol }))
            {
                let first = entry.r_offset < size / 2;
                let kept = if first { &mut self.init } else { &mut self.cleanup };
                *kept = Some(base.offset(section.into()).offset(st_value.cast_signed()));
            }
        }
    }
}

/// Names that nobody exports: the first few, and how many in all.
#[derive(Default)]
struct Unresolved {
    names: Vec<String>,
    more: usize,
}

impl Unresolved {
    #[cold]
    #[inline(never)]
    fn add(&mut self, object: &Object, index: u32) {
        if self.names.len() < NAMES_LISTED {
            let name = object.symbol(index).map_or("", |symbol| object.name(&symbol));
            self.names.push(name.into());
        } else {
            self.more += 1;
        }
    }

    fn refuse(self) -> Result<(), LoadError> {
        if self.names.is_empty() {
            return Ok(());
        }
        Err(LoadError::Unresolved { names: self.names, more: self.more })
    }
}
