//! The loaded modules: how one comes, what it offers others, how it goes.
//!
//! ```text
//!  file ─ parse ─ plan ─ pages ─ link ─ parameters ─ publish ─ listed ─ init
//!   |        any refusal up to here leaves nothing behind      |
//!   └── viewed for as long as the module lives                 └── a failing init unlists it
//! ```
//!
//! # Invariants
//! - The list's lock is never held while module code runs: a module's init may
//!   load, patch or fault.
//! - A listed module's memory, symbols and text stay until it is unlisted, which
//!   needs that no other module uses it and no patch it carries is enabled.

use alloc::borrow::Cow;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::{Deref, Range};
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use super::call::{self, CallEnd};
use super::module_file::{ModuleFile, ask_for};
use super::{
    compat, exports, jobs, livepatch, own, params, registry, tab, tables, tracing, versions,
};
use livepatch::OneChange;
use self_cell::self_cell;

use crate::addr::Vaddr;
use crate::compat::errno;
use crate::kprintln;
use crate::ksyms::readable::{may_be_made, readable};
use crate::loader::borrow::Borrowed;
use crate::loader::explain::Lens;
use crate::loader::modinfo::module_name;
use crate::loader::recognise::Recognised;
use crate::loader::stubs::{Stub, StubAbi, StubKind};
use crate::loader::tables::Left;
use crate::loader::{
    self, CallSite, Function, Group, KernelAbi, Layout, LinkOptions, Linked, LoadError, Name, Need,
    Object, Owner, RefusedSite, Resolved, Resolver, SiteFault, Span,
};
use crate::machine::lock::{Mutex, briefly};
use crate::machine::memory::Pages;
use crate::machine::{boot, hooks, memory, paca, spr, text};
use crate::memory::PAGE;
use crate::shell::args::module_name_eq;
use crate::shell::command::Param;
use crate::trace::sites::{ModuleId, NewModule};

/// Linux's `enum module_state`, the first word of a `struct module`.
const STATE_LIVE: u32 = 0;
const STATE_COMING: u32 = 1;
const STATE_GOING: u32 = 2;

/// A module in memory.
pub struct Module {
    /// Its number: what other modules remember of it when they use it.
    pub number: u32,
    /// Its name, as `lsmod` shows it.
    pub name: String,
    /// Its file, and what views it.
    viewed: Viewed,
    /// Where everything lies in its image.
    pub layout: Layout,
    /// Its memory.
    pub pages: Pages,
    /// Its sites in the site table.
    pub sites: ModuleId,
    /// How it was linked.
    pub options: LinkOptions,
    /// It was ended by a fault.
    faulty: AtomicBool,
    /// What only init used has been given back.
    init_gone: AtomicBool,
    /// Its exit function has faulted: running it again would only fault again.
    stuck: AtomicBool,
    /// Its init has failed, or its exit has run, and it had to stay all the same.
    no_exit: AtomicBool,
    /// Parameters were given, so its data are not as linked.
    given: bool,
}

/// What was made of a module's file, and borrows from it.
struct Views<'f> {
    object: Object<'f>,
    linked: Linked<'f>,
}

self_cell! {
    /// A module's file and its views, in one value: neither goes without the other.
    struct Viewed {
        owner: ModuleFile,
        #[covariant]
        dependent: Views,
    }
}

/// The loaded modules at some moment, in the order in which they came.
#[derive(Clone)]
pub struct Snapshot(Option<Arc<Vec<Arc<Module>>>>);

impl Deref for Snapshot {
    type Target = [Arc<Module>];

    fn deref(&self) -> &[Arc<Module>] {
        self.0.as_ref().map_or(&[], |modules| modules)
    }
}

impl Snapshot {
    /// The same without the modules that `leave_out` says, and with one more.
    fn changed(&self, leave_out: impl Fn(&Module) -> bool, more: Option<Arc<Module>>) -> Self {
        let mut modules = Vec::with_capacity(self.len() + usize::from(more.is_some()));
        modules.extend(self.iter().filter(|module| !leave_out(module)).cloned());
        modules.extend(more);
        modules.shrink_to_fit();
        Self((!modules.is_empty()).then(|| Arc::new(modules)))
    }
}

/// Never changed, but replaced: whoever looks takes what is there now, and looks
/// without holding the lock.
static MODULES: Mutex<Snapshot> = Mutex::new(Snapshot(None));
static NEXT_NUMBER: AtomicU32 = AtomicU32::new(0);

/// What the next module's number will be: those from it on have come since.
pub fn next_number() -> u32 {
    NEXT_NUMBER.load(Ordering::Relaxed)
}

/// What modules are linked against.
pub fn kernel_abi() -> KernelAbi {
    KernelAbi {
        stubs: stub_abi(Vaddr(0)),
        mcount: hooks::mcount_address(),
        mcount_late: hooks::mcount_late_address(),
        prefixed: spr::has_prefixes(),
    }
}

/// What stubs rely on, for a module with this r2.
pub fn stub_abi(module_toc: Vaddr) -> StubAbi {
    StubAbi {
        kernel_toc: boot::kernel_toc(),
        module_toc,
        paca_toc: paca::offset::KERNEL_TOC,
        paca_sibling: paca::offset::SIBLING,
        paca_shadow_sp: paca::offset::SHADOW_SP,
        paca_shadow_limit: paca::offset::SHADOW_LIMIT,
        paca_shadow_return: paca::offset::SHADOW_RETURN,
    }
}

/// The loaded modules, in the order in which they came.
pub fn all() -> Vec<Arc<Module>> {
    snapshot().to_vec()
}

/// As [`all`], without copying the list.
pub fn snapshot() -> Snapshot {
    MODULES.lock().clone()
}

/// The first module that `fits`. For the report of a fault too: takes no memory, and
/// finds nothing if somebody does not let go of the list.
pub fn first(fits: impl Fn(&Module) -> bool) -> Option<Arc<Module>> {
    briefly(&MODULES)?.iter().find(|module| fits(module)).cloned()
}

/// Runs `work` while the list is locked.
pub fn while_locked(work: &mut dyn FnMut()) {
    let _list = MODULES.lock();
    work();
}

/// The module of that name; `-` and `_` are equal.
pub fn find(name: &str) -> Option<Arc<Module>> {
    all().into_iter().find(|module| module_name_eq(module.name.as_bytes(), name.as_bytes()))
}

/// As [`find`], with the error that commands show.
pub fn find_loaded(name: &str) -> Result<Arc<Module>, String> {
    find(name).ok_or_else(|| {
        format!("{name}: not loaded ({}see lsmod)", tab::meant(tab::Kind::Module, name))
    })
}

/// The module that has this number in the site table.
pub fn by_sites(id: ModuleId) -> Option<Arc<Module>> {
    all().into_iter().find(|module| module.sites == id)
}

/// The module whose memory contains the address.
pub fn containing(at: Vaddr) -> Option<Arc<Module>> {
    first(|module| module.pages.contains(at, 1))
}

impl Module {
    /// Its file.
    pub fn file(&self) -> &ModuleFile {
        self.viewed.borrow_owner()
    }

    /// Its file, checked.
    pub fn object(&self) -> &Object<'_> {
        &self.viewed.borrow_dependent().object
    }

    /// What linking made of it.
    pub fn linked(&self) -> &Linked<'_> {
        &self.viewed.borrow_dependent().linked
    }

    /// The name of the symbol with this index.
    pub fn symbol_name(&self, symbol: u32) -> &str {
        self.object().symbol(symbol).map_or("?", |symbol| self.object().name(&symbol))
    }

    /// The name of the symbol with this index, as people read it.
    pub fn readable_name(&self, symbol: u32) -> Cow<'_, str> {
        readable(self.symbol_name(symbol))
    }

    /// Hands over each function of that name, in either form, by rising address.
    pub fn each_named(&self, name: &Name<'_>, mut see: impl FnMut(Function)) {
        let functions = &self.linked().functions;
        let mut found = false;
        functions.each_named(self.object(), name, |function| {
            if self.is_there(&function) {
                found = true;
                see(function);
            }
        });
        if !found
            && let Some(text) = name.text()
            && may_be_made(text)
        {
            let named = self.functions().filter(|it| self.readable_name(it.symbol) == text);
            named.for_each(see);
        }
    }

    /// Global entries of the functions of that name, in either form, ascending.
    pub fn functions_named(&self, name: &str) -> Vec<Vaddr> {
        let mut entries = Vec::new();
        self.each_named(&Name::new(name), |function| entries.push(self.address(function.at)));
        entries.dedup(); // aliases
        entries
    }

    /// Addresses of the functions and data of that name, local ones too, ascending.
    pub fn named(&self, name: &str) -> Vec<Vaddr> {
        let object = self.object();
        let mut found = Vec::new();
        for symbol in object.symbols() {
            let kind = symbol.st_info & 15; // none, variable or function
            if kind > 2 || symbol.st_shndx == 0 || !object.is_named(&symbol, name) {
                continue;
            }
            if let Some(section) = self.layout.offset_of(usize::from(symbol.st_shndx)) {
                let at = self.address(section).offset(symbol.st_value.cast_signed());
                if self.is_gone_at(at) {
                    continue;
                }
                found.insert(found.partition_point(|other| *other < at), at);
            }
        }
        found
    }

    /// Its functions that are in memory, by rising address.
    pub fn functions(&self) -> impl Iterator<Item = Function> + '_ {
        self.linked().functions.iter().filter(|function| self.is_there(function))
    }

    fn is_there(&self, function: &Function) -> bool {
        self.pages.contains(self.address(function.at), 1)
    }

    /// Hands over name, address and size of each section that is in memory, by rising
    /// address.
    #[inline(never)]
    #[optimize(size)]
    pub fn each_section<'m>(&'m self, see: &mut dyn FnMut(&'m str, Vaddr, u64)) {
        for &index in self.layout.order() {
            let index = index as usize;
            if let Some(section) = self.object().sections().get(index)
                && let Some(offset) = self.layout.offset_of(index)
                && !self.is_gone(Layout::group_of(section))
            {
                see(section.name, self.address(offset), section.size());
            }
        }
    }

    /// True if a part of the image has been given back.
    pub fn is_gone(&self, group: Group) -> bool {
        let init = matches!(group, Group::InitData | Group::InitText);
        init && self.init_gone.load(Ordering::Relaxed)
    }

    /// True if an address lies in a part of the image that has been given back.
    pub fn is_gone_at(&self, at: Vaddr) -> bool {
        self.given_back().contains(&at)
    }

    /// Gives back what only init used. Redirected call sites keep it, and what is used
    /// later and lies in it all the same.
    #[optimize(size)]
    #[inline(never)]
    fn give_back_init(&self) {
        let rest = Group::ALL.into_iter().skip(2).map(|group| self.layout.group(group));
        let Some(first) = rest.filter(|span| span.len != 0).map(|span| span.offset).min() else {
            return; // nothing else is in it
        };
        let end = self.linked().base.offset(first.cast_signed());
        if first == 0 {
            return;
        }
        if let Some(what) = self.lasting(&(self.linked().base..end)) {
            kprintln!("{}: keeps its init memory, for {what} lies in it", self.name);
            return;
        }
        if !tracing::init_goes(self, end) {
            return;
        }
        let text = self.text();
        self.init_gone.store(true, Ordering::Relaxed);
        text::withdraw_front(text, self.text().0);
        self.pages.give_front(end);
    }

    /// What has been given back: the front of its image, or nothing.
    pub fn given_back(&self) -> Range<Vaddr> {
        let (base, gone) = (self.linked().base, self.layout.size.saturating_sub(self.pages.size()));
        base..base.offset(gone.cast_signed())
    }

    /// What of the module is used after init and lies in `part` of it, or leads there.
    #[inline(never)]
    #[optimize(size)]
    fn lasting(&self, part: &Range<Vaddr>) -> Option<String> {
        let Linked { exports, this_module, cleanup, .. } = self.linked();
        let inside = |at: Vaddr| part.contains(&at);
        let export = exports.iter().find(|export| inside(export.addr));
        let what = match export {
            Some(export) => export.name,
            None if this_module.is_some_and(inside) => "its struct module",
            None if cleanup.is_some_and(inside) => "its exit function",
            None if livepatch::mirror::leads_into(&self.name, part) => "its live patch",
            None if compat::param::has_text_in(part) => "a parameter with a text",
            None => return registry::leading_into(self.number, part),
        };
        Some(what.into())
    }

    /// The address of an offset in the image.
    pub fn address(&self, offset: u32) -> Vaddr {
        self.linked().base.offset(i64::from(offset))
    }

    /// The function that contains `at`: its name, its global entry, its size.
    pub fn function_at(&self, at: Vaddr) -> Option<(&str, Vaddr, u64)> {
        let offset = u32::try_from(at.since(self.linked().base)).ok()?;
        let function = self.linked().functions.at(offset)?;
        let symbol = self.object().symbol(function.symbol)?;
        let inside = u64::from(offset - function.at) < symbol.st_size.max(1)
            || (symbol.st_size == 0 && self.is_text(at));
        inside.then(|| (self.object().name(&symbol), self.address(function.at), symbol.st_size))
    }

    /// True if the function that contains `at` sets up r2 at its entry.
    pub fn sets_toc(&self, at: Vaddr) -> bool {
        let offset = u32::try_from(at.since(self.linked().base)).unwrap_or(u32::MAX);
        let function = self.linked().functions.at(offset);
        function.is_some_and(|function| function.local_entry(self.object()) != function.at)
    }

    /// Where calls from this module to the function with that global entry arrive.
    pub fn local_entry(&self, entry: Vaddr) -> Option<Vaddr> {
        let offset = u32::try_from(entry.since(self.linked().base)).ok()?;
        let function = self.linked().functions.at(offset).filter(|it| it.at == offset)?;
        Some(self.address(function.local_entry(self.object())))
    }

    /// True if ELFv2 promises of the function at `entry` that it returns with the r2 that
    /// it was called with, and needs no r12: its two entries are one (`st_other` is 0).
    pub fn keeps_r2(&self, entry: Vaddr) -> bool {
        let offset = u32::try_from(entry.since(self.linked().base)).unwrap_or(u32::MAX);
        let function = self.linked().functions.at(offset).filter(|it| it.at == offset);
        let symbol = function.and_then(|function| self.object().symbol(function.symbol));
        symbol.is_some_and(|symbol| symbol.st_other >> 5 == 0)
    }

    /// The range of a part of the image.
    pub fn range(&self, span: Span) -> (Vaddr, Vaddr) {
        range(self.linked().base, span)
    }

    /// Everything executable: init code, code, stubs.
    pub fn text(&self) -> (Vaddr, Vaddr) {
        self.range(self.layout.text(self.is_gone(Group::InitText)))
    }

    /// True if one of its functions may begin there: its code, without the stubs.
    pub fn is_code(&self, at: Vaddr) -> bool {
        let within = |group| {
            let (start, end) = self.range(self.layout.group(group));
            at >= start && at < end && !self.is_gone(group)
        };
        at.is_aligned(4) && (within(Group::Text) || within(Group::InitText))
    }

    /// Its stubs, out-of-line ones too.
    pub fn stubs(&self) -> (Vaddr, Vaddr) {
        self.range(self.layout.stubs)
    }

    /// Tells the module's code how far it is, in `THIS_MODULE->state`.
    fn set_state(&self, state: u32) {
        if let Some(this) = self.linked().this_module {
            // A module whose `struct module` cannot be written does without.
            let _ = memory::write_for_module(this, &state.to_le_bytes());
        }
    }

    fn is_text(&self, at: Vaddr) -> bool {
        let (start, end) = self.text();
        at >= start && at < end
    }

    /// True once a fault in it has been reported.
    pub fn is_faulty(&self) -> bool {
        self.faulty.load(Ordering::Relaxed)
    }

    /// Notes that a fault in it has been reported.
    pub fn mark_faulty(&self) {
        self.faulty.store(true, Ordering::Relaxed);
    }

    /// Names of the modules that use it.
    pub fn users(&self) -> Vec<String> {
        let uses = |module: &&Arc<Module>| module.linked().owners.contains(&self.number);
        all().iter().filter(uses).map(|module| module.name.clone()).collect()
    }

    /// True if somebody may have written to its data: its own code, or whoever
    /// gave it parameters.
    pub fn may_have_written(&self) -> bool {
        !self.options.link_only || self.given
    }

    /// Bytes of memory, in whole pages; with its file, if that was compressed.
    pub fn size(&self) -> u64 {
        self.image_size() + self.file().size()
    }

    /// Bytes of its sections and what the loader added, in whole pages.
    pub fn image_size(&self) -> u64 {
        self.pages.size()
    }
}

/// True if a struct of `size` bytes at `at` lies in `part`, or one of its words is an
/// address there.
#[inline(never)]
#[optimize(size)]
pub fn leads_into(part: &Range<Vaddr>, at: Vaddr, size: usize) -> bool {
    let mut words =
        (0..size as i64).step_by(8).filter_map(|word| memory::read_u64(at.offset(word)));
    part.contains(&at) || words.any(|word| part.contains(&Vaddr(word)))
}

/// A part of the image of a module at `base`.
fn range(base: Vaddr, span: Span) -> (Vaddr, Vaddr) {
    let start = base.offset(span.offset.cast_signed());
    (start, start.offset(span.len.cast_signed()))
}

/// The exports of the kernel and of the loaded modules.
struct Everyone {
    modules: Vec<Arc<Module>>,
}

/// What a live patch borrows from the kernel or from a module, as long as that is there.
/// No use of it: the patch may stay when the module goes.
pub fn borrowed_from(borrowed: &Borrowed<'_>) -> Option<Resolved> {
    let found = match borrowed.module.map(find) {
        Some(module) => module?.named(borrowed.name),
        None => own::named(borrowed.name),
    };
    let addr = match (borrowed.position, found.as_slice()) {
        (0, [only]) => *only,
        (0, _) => return None,
        (nth, several) => *several.get(nth as usize - 1)?,
    };
    Some(Resolved { addr, owner: Owner::Kernel, gpl_only: false })
}

impl Resolver for Everyone {
    fn resolve(&self, name: &str) -> Option<Resolved> {
        self.resolve_name(&Name::new(name))
    }

    fn resolve_name(&self, name: &Name<'_>) -> Option<Resolved> {
        if let Some(borrowed) = loader::borrow::of(name) {
            return borrowed_from(&borrowed);
        }
        match exports::find_often(name) {
            Some(addr) => Some(Resolved { addr, owner: Owner::Kernel, gpl_only: false }),
            None => self.of_modules(name),
        }
    }
}

impl Everyone {
    #[inline(never)] // most names are the kernel's
    fn of_modules(&self, name: &Name<'_>) -> Option<Resolved> {
        self.modules.iter().filter(|module| !module.options.link_only).find_map(|module| {
            let export = loader::exports::find(&module.linked().exports, name.bytes)?;
            let owner = Owner::Module(module.number);
            Some(Resolved { addr: export.addr, owner, gpl_only: export.gpl_only })
        })
    }
}

/// The names that a module file lacks and that nobody here exports, sorted. This kernel
/// has some names itself that Linux has in modules (`x_tables`, `rc_core`).
pub struct Wanted<'o>(Vec<&'o str>);

impl<'o> Wanted<'o> {
    /// Asks for each name once.
    pub fn of(object: &'o Object<'_>) -> Self {
        let everyone = Everyone { modules: all() };
        let undefined = object.symbols().skip(1).filter(|symbol| symbol.st_shndx == 0);
        let names = undefined.map(|symbol| object.name(&symbol));
        let mut names: Vec<_> =
            names.filter(|name| *name != ".TOC." && everyone.resolve(name).is_none()).collect();
        names.sort_unstable();
        names.dedup();
        Self(names)
    }

    /// False if the module `dependency` defines none of them; true if it cannot be
    /// read, so that the reason for that is told.
    pub fn may_come_from(&self, dependency: &str) -> bool {
        let opened = ModuleFile::open(dependency).ok();
        let Some(file) = opened.as_ref().and_then(|file| file.object().ok()) else {
            return !self.0.is_empty();
        };
        let globals = file.first_global()..file.symbol_count() as u32;
        globals
            .filter_map(|index| file.symbol(index))
            .any(|symbol| symbol.st_shndx != 0 && self.0.binary_search(&file.name(&symbol)).is_ok())
    }
}

/// What a loaded module was linked against, and nothing that came later.
struct AsLoaded {
    /// The modules whose exports it uses.
    owners: Everyone,
    /// Where in its file the names stand that nobody exported then, sorted. By place
    /// and not by text: whoever links it again asks with names of the same file, and
    /// there may be a million of any length.
    missing: Vec<u64>,
}

impl AsLoaded {
    fn new(module: &Module) -> Self {
        let Linked { owners, missing, .. } = module.linked();
        let mut modules = all();
        modules.retain(|other| owners.binary_search(&other.number).is_ok());
        let place = |index: &u32| module.object().name_onwards(*index).as_ptr() as u64;
        let mut missing: Vec<_> = missing.iter().map(place).collect();
        missing.sort_unstable();
        Self { owners: Everyone { modules }, missing }
    }
}

impl Resolver for AsLoaded {
    fn resolve(&self, name: &str) -> Option<Resolved> {
        let was_there = self.missing.binary_search(&(name.as_ptr() as u64)).is_err();
        if let Some(borrowed) = loader::borrow::parse(name) {
            return borrowed_from(&borrowed);
        }
        was_there.then(|| self.owners.resolve(name)).flatten()
    }
}

/// Loads the module that `word` (a name or a path) means, and runs its init.
///
/// The error says why not, and begins with the module; nothing is left of it,
/// unless init succeeded and a callback of its live patch faulted.
#[optimize(size)]
pub fn insmod(word: &str, options: LinkOptions, params: &[Param]) -> Result<Arc<Module>, Failure> {
    insmod_file(word, ModuleFile::open(word)?, options, params)
}

/// As [`insmod`], for a file that has been opened.
#[optimize(size)]
pub fn insmod_file(
    word: &str,
    file: ModuleFile,
    options: LinkOptions,
    params: &[Param],
) -> Result<Arc<Module>, Failure> {
    let module = patched(word, file, options, params)?;
    if options.link_only {
        return Ok(module);
    }
    let Some(init) = module.linked().init else {
        module.set_state(STATE_LIVE);
        return Ok(module); // what is for init nobody has used yet
    };
    livepatch::take_oops(&module.name); // of an earlier one by that name
    match call::run(init, &[]) {
        // An int in r3.
        CallEnd::Returned(result) => match result as i32 {
            // A live patch's callback may have faulted meanwhile: the patch is on.
            0.. => {
                module.set_state(STATE_LIVE);
                module.give_back_init();
                match livepatch::take_oops(&module.name) {
                    Some(cause) => Err(Failure::Oops(format!("{}: {cause}", module.name))),
                    None => Ok(module),
                }
            }
            error => {
                let number = error.unsigned_abs();
                let name = errno::name(number).unwrap_or("unknown error");
                let what = format!("its init function returned {error} ({name})");
                Err(init_failed(&module, Failure::Refused(what)))
            }
        },
        CallEnd::Oops(cause) => {
            Err(init_failed(&module, Failure::Oops(format!("its init function: {cause}"))))
        }
    }
}

/// Loads a module, and applies the live patches that wait for it.
#[optimize(size)]
fn patched(
    word: &str,
    file: ModuleFile,
    options: LinkOptions,
    params: &[Param],
) -> Result<Arc<Module>, Failure> {
    let _one = OneChange::begin().map_err(|why| format!("{word}: {why}"))?;
    let module = load(word, file, options, params)?;
    if options.link_only {
        return Ok(module);
    }
    module.set_state(STATE_COMING);
    if let Err(failure) = livepatch::module_comes(&module.name) {
        unlist(&module);
        let told = |why| {
            format!("{}: a live patch waits for it, and cannot be applied: {why}", module.name)
        };
        return Err(match failure {
            Failure::Refused(why) => Failure::Refused(told(why)),
            Failure::Oops(why) => Failure::Oops(told(why)),
        });
    }
    Ok(module)
}

/// Unloads a module whose init did not succeed; what the command ends with.
#[optimize(size)]
fn init_failed(module: &Arc<Module>, failure: Failure) -> Failure {
    let name = &module.name;
    let mut oops = livepatch::take_oops(name);
    module.no_exit.store(true, Ordering::Relaxed);
    let goes = |change| Ok((change, livepatch::module_goes(name)?));
    let _change = match OneChange::begin().map_err(Failure::Refused).and_then(goes) {
        Ok((change, later)) => {
            oops = oops.or(later);
            change
        }
        Err(Failure::Refused(why) | Failure::Oops(why)) => {
            // Calls still lead into it.
            module.mark_faulty();
            return match failure {
                Failure::Refused(what) => format!("{name}: {what}, but it stays: {why}").into(),
                Failure::Oops(what) => {
                    Failure::Oops(format!("{name}: {what}, but it stays: {why}"))
                }
            };
        }
    };
    unlist(module);
    match (failure, oops) {
        (Failure::Refused(_), Some(cause)) => Failure::Oops(format!("{name}: {cause}")),
        (Failure::Refused(what), None) => format!("{name}: {what}, so it was unloaded").into(),
        (Failure::Oops(what), _) => Failure::Oops(format!("{name}: {what}")),
    }
}

/// Why a module could not be loaded or unloaded.
pub enum Failure {
    /// It was refused; the text says why.
    Refused(String),
    /// Its code faulted; the text is the cause.
    Oops(String),
}

impl From<String> for Failure {
    fn from(reason: String) -> Self {
        Self::Refused(reason)
    }
}

/// What linking a module gives besides its [`Views`].
struct Placed<'g> {
    name: String,
    layout: Layout,
    pages: Pages,
    /// Parameters that the module itself has to take.
    own: Vec<(Vaddr, &'g str)>,
    /// Tables with entries that were not applied.
    left: Vec<Left>,
    sites: Vec<CallSite>,
    profile: Vaddr,
}

/// Everything up to init.
#[optimize(size)]
fn load(
    word: &str,
    file: ModuleFile,
    options: LinkOptions,
    given: &[Param],
) -> Result<Arc<Module>, Failure> {
    let mut placed = None;
    let viewed = Viewed::try_new(file, |file| {
        let (views, rest) = link(word, file, &options, given)?;
        placed = Some(rest);
        Ok::<_, Failure>(views)
    })?;
    let Some(Placed { name, layout, pages, own, left, sites, profile }) = placed else {
        return Err(format!("{word}: nothing was linked").into()); // not without an error
    };
    let base = pages.start();
    text::publish(
        &name,
        &pages,
        range(base, layout.text(false)),
        range(base, layout.group(Group::Rodata)),
    );
    let new = NewModule { name: name.clone(), base, sites, profile, own: false };
    let id = match tracing::add(new) {
        Ok(id) => id,
        Err(error) => {
            text::withdraw(
                range(base, layout.text(false)),
                range(base, layout.group(Group::Rodata)),
            );
            compat::param::forget(base, layout.size);
            return Err(format!("{word}: {error}").into());
        }
    };
    let module = Arc::new(Module {
        number: NEXT_NUMBER.fetch_add(1, Ordering::Relaxed),
        name,
        viewed,
        layout,
        pages,
        sites: id,
        options,
        faulty: AtomicBool::new(false),
        init_gone: AtomicBool::new(false),
        stuck: AtomicBool::new(false),
        no_exit: AtomicBool::new(false),
        given: !given.is_empty(),
    });
    replace_list(|modules| modules.changed(|_| false, Some(module.clone())));
    for Left { section, count } in left {
        kprintln!("{word}: {count} entries of {section} not applied");
    }
    let wrong = |site: &&RefusedSite| site.fault == SiteFault::WrongToc;
    match module.linked().refused.iter().filter(wrong).count() {
        0 => {}
        count => kprintln!(
            "{word}: {count} functions compute a wrong r2, with nops before their TOC set-up; compile with -mprofile-kernel or gcc 14"
        ),
    }
    tracing::module_came(&module);
    for (entry, value) in own {
        if let Err(failure) = params::set_own(&module, entry, value) {
            unlist(&module);
            return Err(match failure {
                Failure::Refused(why) => format!("{word}: {why}").into(),
                Failure::Oops(why) => Failure::Oops(format!("{word}: {why}")),
            });
        }
    }
    Ok(module)
}

/// Links a module into pages of its own, which nobody executes yet.
fn link<'f, 'g>(
    word: &str,
    file: &'f ModuleFile,
    options: &LinkOptions,
    given: &'g [Param],
) -> Result<(Views<'f>, Placed<'g>), Failure> {
    let refuse = |error: LoadError| Failure::Refused(format!("{word}: {error}"));
    let object = file.object().map_err(refuse)?;
    if !options.force && !options.link_only {
        versions::check_kernel(word, &object)?;
    }
    let name = module_name(&object, file.base_name());
    if find(&name).is_some() {
        return Err(format!("{word}: {name} is loaded already (rmmod {name} first)").into());
    }

    let need = Need::of(&object);
    ask_for(need.bytes()).map_err(refuse)?;
    let free = memory::usage().pages_free;
    let everyone = Everyone { modules: all() };
    let abi = kernel_abi();
    let mut plan: fn(&_, &_, _) -> _ = Layout::plan;
    let (layout, mut pages, mut linked) = loop {
        let layout = plan(&object, options, PAGE).map_err(|error| match error {
            // The planner knows what an image may take, not what there is.
            LoadError::NoRoom { need, free: limit } => {
                refuse(LoadError::NoRoom { need, free: free.min(limit) })
            }
            other => refuse(other),
        })?;
        let room = ask_for(need.with(&layout).bytes()).and_then(|()| {
            let none = LoadError::NoRoom { need: layout.size, free };
            Pages::take_aligned(layout.size, layout.align).ok_or(none)
        });
        let mut pages = match room {
            Ok(pages) => pages,
            // For the stubs that it needs there may be room.
            Err(_) if !layout.is_exact() => {
                plan = Layout::plan_exactly;
                continue;
            }
            Err(error) => return Err(refuse(error)),
        };
        let (base, image) = (pages.start(), pages.bytes_mut());
        match loader::relocate::link(&object, &layout, base, image, &everyone, &abi, options) {
            Ok(linked) => break (layout, pages, linked),
            Err(LoadError::Recount) => plan = Layout::plan_exactly,
            Err(error) => return Err(versions::refusal(word, error, &object).into()),
        }
    };
    let base = pages.start();
    linked.functions.index_names(&object);
    let owner_name = |number: u32| {
        let owner = everyone.modules.iter().find(|module| module.number == number);
        owner.map_or_else(|| "?".to_string(), |module| format!("module {}", module.name))
    };
    if !options.link_only {
        loader::exports::refuse_duplicates(&linked.exports, &everyone, owner_name)
            .map_err(refuse)?;
        if !options.force {
            versions::check_imports(word, &name, &object, &linked, &everyone.modules)?;
        }
    }
    let mut left = Vec::new();
    if !options.link_only {
        left = tables::settle(&object, &layout, base, pages.bytes_mut(), &linked.sites, true);
    }
    let own = params::store_given(&object, &layout, base, given).map_err(|reason| {
        compat::param::forget(base, layout.size);
        format!("{word}: {reason}")
    })?;

    let profile = profile_stub(&linked).unwrap_or(Vaddr(0));
    let sites = core::mem::take(&mut linked.sites);
    Ok((Views { object, linked }, Placed { name, layout, pages, own, left, sites, profile }))
}

/// The stub by which patchable sites reach the tracer: what their out-of-line stubs
/// lead to. It serves no symbol; the module's other profiling stubs do, one of them
/// perhaps that of its late sites.
fn profile_stub(linked: &Linked<'_>) -> Option<Vaddr> {
    let kinds = [StubKind::Profile, StubKind::SeedProfile, StubKind::LinuxProfile];
    let found = linked.stubs.iter().find(|entry| kinds.contains(&entry.kind) && entry.owner == 0);
    found.map(|entry| entry.at)
}

/// Replaces the list; the old one goes when nobody looks at it any more.
fn replace_list(change: impl FnOnce(&Snapshot) -> Snapshot) {
    let mut list = MODULES.lock();
    let new = change(&list);
    let old = core::mem::replace(&mut *list, new);
    drop(list); // before a module in the old one is given back
    drop(old);
}

/// Takes a module off the list and gives back its memory.
#[optimize(size)]
fn unlist(module: &Arc<Module>) {
    tracing::module_goes(module);
    registry::module_gone(module);
    replace_list(|modules| modules.changed(|other| other.number == module.number, None));
    livepatch::module_gone(&module.name);
    let layout = &module.layout;
    text::withdraw(module.text(), module.range(layout.group(Group::Rodata)));
    // What has been given back may be another's by now.
    compat::param::forget(module.given_back().end, module.pages.size());
}

/// Where another module's data has an address in this one's text.
#[optimize(size)]
#[inline(never)]
fn leading_to(module: &Module) -> Option<String> {
    let (start, end) = module.text();
    for other in all().iter().filter(|other| other.number != module.number) {
        let (data, above) = other.range(other.layout.group(Group::Data));
        let leads =
            |at: &Vaddr| memory::read_u64(*at).is_some_and(|word| (start.0..end.0).contains(&word));
        let mut words = (data.0..above.0).step_by(8).map(Vaddr).filter(leads);
        // What the kernel itself has noted there nobody could set back.
        let Some(at) = words.find(|at| !livepatch::mirror::has_written(*at)) else { continue };
        let object = other.object();
        let symbol = object.symbols().find(|symbol| {
            let section = other.layout.offset_of(usize::from(symbol.st_shndx));
            let from = section.map(|section| other.address(section).0 + symbol.st_value);
            symbol.st_shndx != 0
                && from.is_some_and(|from| (from..from + symbol.st_size).contains(&at.0))
        });
        let what = symbol.map_or(at.to_string().into(), |symbol| readable(object.name(&symbol)));
        return Some(format!("{}:{what}", other.name));
    }
    None
}

/// Unloads a module after its exit function.
#[optimize(size)]
pub fn rmmod(name: &str) -> Result<(), Failure> {
    let module = find_loaded(name)?;
    let name = module.name.as_str();
    let _one = OneChange::begin().map_err(|why| format!("{name}: {why}"))?;
    let users = module.users();
    if !users.is_empty() {
        return Err(format!("{name}: in use by {} (rmmod that first)", users.join(", ")).into());
    }
    if let Some(job) = jobs::in_the_way(&module) {
        return Err(format!("{name}: job {job} may be in it (wait {job}, or stop {job})").into());
    }
    if let Some(held) = registry::in_use(&module) {
        return Err(format!("{name}: its {held} is held (rmmod who loaded it first)").into());
    }
    if livepatch::in_transition(name) {
        return Err(
            format!("{name}: its live patch is in transition (see livepatch transition)").into()
        );
    }
    livepatch::burn::undo()?;
    livepatch::may_go(name).map_err(|why| format!("{name}: {why}"))?;
    if livepatch::is_patch(name) && !livepatch::is_enabled(name) {
        livepatch::nobody_in(&module).map_err(|why| format!("{name}: {why}"))?;
        if let Some(place) = leading_to(&module) {
            return Err(
                format!("{name}: {place} has an address in it (set that back first)").into()
            );
        }
    }
    if livepatch::is_enabled(name) {
        return Err(
            format!("{name}: its live patch is enabled (livepatch disable {name} first)").into()
        );
    }
    if !module.options.link_only && !module.no_exit.load(Ordering::Relaxed) {
        match (module.linked().init, module.linked().cleanup) {
            (Some(_), None) => {
                return Err(
                    format!("{name}: it has an init but no exit function, so it stays").into()
                );
            }
            (_, Some(_)) if module.stuck.load(Ordering::Relaxed) => {
                return Err(
                    format!("{name}: its exit function faulted, so it stays until reboot").into()
                );
            }
            (_, Some(cleanup)) => {
                if let CallEnd::Oops(cause) = call::run(cleanup, &[]) {
                    module.mark_faulty();
                    module.stuck.store(true, Ordering::Relaxed);
                    return Err(Failure::Oops(format!("{name}: its exit function: {cause}")));
                }
            }
            (None, None) => {}
        }
    }
    module.set_state(STATE_GOING);
    module.no_exit.store(true, Ordering::Relaxed);
    let oops = livepatch::module_goes(name).map_err(|failure| match failure {
        Failure::Refused(why) => format!("{name}: its exit has run, but it stays: {why}").into(),
        oops => oops,
    })?;
    let oops = oops.or(livepatch::target_goes(name));
    unlist(&module);
    match oops {
        Some(cause) => Err(Failure::Oops(format!("{name}: {cause}"))),
        None => Ok(()),
    }
}

/// Links a loaded module again, into a buffer, with the bindings of its load: what
/// its image was before it ran, without the zeros at its end.
pub fn relink(module: &Module) -> Result<Vec<u8>, String> {
    let (object, layout, base) = (module.object(), &module.layout, module.linked().base);
    let size = layout.stored(object) as usize;
    ask_to_look(module, size as u64)?;
    let mut image = Vec::new();
    image.try_reserve_exact(size).map_err(|_| {
        format!("{}: no memory to link it again: {size} bytes (see mem)", module.name)
    })?;
    image.resize(size, 0);
    let linked = loader::relocate::link(
        object,
        layout,
        base,
        &mut image,
        &AsLoaded::new(module),
        &kernel_abi(),
        &module.options,
    )
    .map_err(|error| format!("{}: {error}", module.name))?;
    if !module.options.link_only {
        tables::settle(object, layout, base, &mut image, &linked.sites, false);
    }
    Ok(image)
}

/// Refuses to bind a loaded module's symbols again, with so many bytes besides, if
/// that takes more heap than there is.
#[optimize(size)]
fn ask_to_look(module: &Module, besides: u64) -> Result<(), String> {
    let need = Need::of(module.object()).with(&module.layout).again(module.linked().missing.len());
    ask_for(need.bytes() + besides).map_err(|error| format!("{}: {error}", module.name))
}

/// Looks at a loaded module's relocations, with the bindings of its load.
#[optimize(size)]
pub fn with_lens<R>(module: &Module, look: impl FnOnce(&Lens<'_, '_>) -> R) -> Result<R, String> {
    ask_to_look(module, 0)?;
    let (bound, abi) = (AsLoaded::new(module), kernel_abi());
    let (object, layout, base) = (module.object(), &module.layout, module.linked().base);
    let lens = Lens::new(object, layout, base, &bound, &abi, &module.options);
    lens.map(|lens| look(&lens)).map_err(|error| format!("{}: {error}", module.name))
}

/// The name of the module with this number.
pub fn name_by_number(number: u32) -> String {
    let found = all().into_iter().find(|module| module.number == number);
    found.map_or_else(|| "?".to_string(), |module| module.name.clone())
}

/// The words from `at` on that the largest stub could have.
fn words_of_stub(at: Vaddr) -> [u32; crate::loader::stubs::MAX_WORDS] {
    core::array::from_fn(|index| memory::read_u32(at.offset(index as i64 * 4)).unwrap_or(0))
}

/// What a stub at exactly this address is, if it is one of a loaded module.
pub fn identify_stub(module: &Module, at: Vaddr) -> Option<(Stub, Option<Vaddr>, u32)> {
    let (words, abi) = (words_of_stub(at), stub_abi(module.linked().toc));
    let found =
        loader::recognise::identify(&module.linked().stubs, at, &words, &abi, memory::read_u64);
    found.map(|(entry, recognised)| (recognised.stub, recognised.target, entry.owner))
}

/// Where the redirect stub of a module's function at exactly this address leads,
/// if its words are those of one.
pub fn identify_redirect(module: &Module, at: Vaddr) -> Option<Vaddr> {
    let found = recognise(module.linked().toc, at)?;
    found.target.filter(|_| found.kind() == StubKind::Redirect)
}

/// The stub that the words at an address make, if they make one; `toc` is its owner's.
pub fn recognise(toc: Vaddr, at: Vaddr) -> Option<Recognised> {
    let (words, abi) = (words_of_stub(at), stub_abi(toc));
    loader::recognise::recognise(at, &words, &abi, memory::read_u64)
}
