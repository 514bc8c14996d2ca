//! Takes a file through everything of the library that reads it, and checks what
//! has to hold whatever the file says.
//!
//! A file is loaded, or refused in one line. One that is loaded
//! - comes out the same whatever its memory held before;
//! - has stubs that are recognised as what they are, exports that lie in it, sites
//!   in rising order;
//! - can be explained, relocation by relocation.
//!
//! A panic is the report of a fault.
//! How long it may take is the caller's affair.

use std::fmt::Write as _;

use tocsin::addr::Vaddr;
use tocsin::compat::{self, exports, klp};
use tocsin::ksyms::readable::readable;
use tocsin::loader::explain::Lens;
use tocsin::loader::params::{self, ParamType};
use tocsin::loader::stubs::{MAX_WORDS, StubAbi};
use tocsin::loader::symbols::find_global;
use tocsin::loader::tables::{self, Bug, Exception, Facts, Jump, Key};
use tocsin::loader::{
    KernelAbi, Layout, LinkOptions, Linked, LoadError, Modinfo, Need, Object, Owner, Resolved,
    Resolver, StubStyle, modinfo, need, paca_use, recognise, relocate, versions,
};
use tocsin::trace::sites::{NewModule, SiteTable};
use tocsin::unpack::{Pack, UnpackError};

use super::heap::{self, Aside};

/// Images beyond this are refused, as a machine with little memory would.
const IMAGE_MAX: u64 = 16 << 20;
/// Relocations of a module that are explained.
const EXPLAINED_MAX: usize = 200;
/// Longest line that tells why a file was refused: eight names.
const LINE_MAX: usize = 10_000;

/// The heap that everything here may take with a file, besides the image: what the
/// stages ask for, and a little for looking at what came out.
pub fn heap_limit(file: &[u8]) -> usize {
    let parsed = Object::parse(file);
    let linked = parsed.map_or(0, |object| Need::of(&object).bytes() as usize);
    (64 << 10) + need::to_parse(file) as usize + linked + file.len() * 6
}

/// What a module is linked against.
#[derive(Clone, Copy, Debug)]
pub struct World {
    /// Exports lie in the 16 MiB from here.
    pub exports_at: u64,
    /// Where the module's first byte is to be, once it is aligned.
    pub base: u64,
    /// Bytes of a page.
    pub page: u64,
    /// Whether every name is exported, and not only those of the kernel.
    pub everything: bool,
    /// Whether the processor has prefixed instructions.
    pub prefixed: bool,
    /// How to link.
    pub options: LinkOptions,
}

impl World {
    /// What `insmod --link-only` does.
    pub fn link_only() -> Self {
        Self {
            exports_at: 0x0440_0000,
            base: 0x1300_0000,
            page: 0x1000,
            everything: false,
            prefixed: false,
            options: LinkOptions { link_only: true, ..LinkOptions::default() },
        }
    }

    /// One of several, by a number.
    pub fn number(number: u64) -> Self {
        let bit = |place: u32| number >> place & 1 != 0;
        let stubs = match number >> 4 & 3 {
            0 => StubStyle::Seed,
            1 => StubStyle::Linux,
            _ => StubStyle::Default,
        };
        let wrong_profile_stubs = bit(6) && bit(7) && bit(8);
        let link_only = !bit(0);
        Self {
            exports_at: if bit(1) { 0xc008_0000_0000_0000 } else { 0x1000_0000 },
            base: if bit(2) { 0x2000_0000 } else { 0xc000_0000_2000_0000 },
            page: if bit(3) { 0x1_0000 } else { 0x1000 },
            everything: bit(0),
            prefixed: bit(9),
            options: LinkOptions { link_only, force: false, stubs, wrong_profile_stubs },
        }
    }

    fn abi(&self) -> KernelAbi {
        let stubs = StubAbi::stand_in(Vaddr(self.exports_at + 0x8000));
        let (mcount, mcount_late) =
            (Vaddr(self.exports_at + 0x100), Vaddr(self.exports_at + 0x200));
        KernelAbi { stubs, mcount, mcount_late, prefixed: self.prefixed }
    }
}

/// A number that depends on every byte.
pub fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

impl Resolver for World {
    fn resolve(&self, name: &str) -> Option<Resolved> {
        let there = self.everything || exports::names().any(|export| export == name);
        let hash = hash(name.as_bytes());
        let owner = if self.everything && hash & 0x700 == 0 {
            Owner::Module(hash as u32 & 3)
        } else {
            Owner::Kernel
        };
        let gpl_only = self.everything && hash & 0xff_0000 == 0;
        let addr = Vaddr(self.exports_at + (hash >> 24) % 0x10_0000 * 16);
        there.then_some(Resolved { addr, owner, gpl_only })
    }
}

/// Loads `file`, or says in one line why not; panics if the library breaks its word.
pub fn module(file: &[u8], world: &World) -> Result<(), String> {
    let refused = |error: LoadError| {
        let line = error.to_string();
        assert!(error != LoadError::Recount, "it was planned exactly");
        assert!(!line.is_empty() && line.len() < LINE_MAX, "{} bytes: {line}", line.len());
        assert!(line.contains("; "), "no remedy: {line}");
        line
    };
    // A kernel asks for so much of its heap before, and refuses if it has not got it.
    let to_parse = need::to_parse(file) as usize;
    let object = within(to_parse, || Object::parse(file)).map_err(refused)?;
    words(&object);
    let need = Need::of(&object);
    let placed = placed(&object, need, world, Layout::plan);
    let placed = match placed {
        Err(LoadError::Recount) => self::placed(&object, need, world, Layout::plan_exactly),
        done => done,
    };
    let Placed { layout, linked, mut image } = placed.map_err(refused)?;
    let (base, abi) = (linked.base, world.abi());
    check(&object, &layout, &linked, &image, &abi);
    lens(&object, &layout, base, world, &abi);
    tables_of(&object, &layout, base, &mut image);
    patches(&object, &layout, base, &image);
    parameters(&object, &layout, base, &image)
}

/// A module that is linked.
struct Placed<'f> {
    layout: Layout,
    linked: Linked<'f>,
    image: Aside,
}

type Plan = fn(&Object, &LinkOptions, u64) -> Result<Layout, LoadError>;

/// Plans and links it, the latter twice.
fn placed<'f>(
    object: &Object<'f>,
    need: Need,
    world: &World,
    plan: Plan,
) -> Result<Placed<'f>, LoadError> {
    let (abi, options) = (world.abi(), &world.options);
    let layout = within(need.bytes() as usize, || plan(object, options, world.page))?;
    let need = need.with(&layout).bytes() as usize;
    let stored = layout.stored(object);
    assert!(stored <= layout.size && layout.size.is_multiple_of(world.page));
    if stored > IMAGE_MAX {
        return Err(LoadError::NoRoom { need: stored, free: IMAGE_MAX });
    }
    let base = Vaddr(world.base.next_multiple_of(layout.align));
    let mut image = Aside::new(0, stored as usize);
    let mut again = Aside::new(0xff, stored as usize);
    let link = || {
        let mut linked = relocate::link(object, &layout, base, &mut image, world, &abi, options)?;
        linked.functions.index_names(object);
        Ok((list(object, &layout, &linked, &image), linked))
    };
    let (_listed, linked) = within(need, link)?;
    relocate::link(object, &layout, base, &mut again, world, &abi, options)
        .expect("what was linked once is linked again");
    assert!(*image == *again, "the image depends on what its memory held");
    Ok(Placed { layout, linked, image })
}

fn within<R>(limit: usize, work: impl FnOnce() -> R) -> R {
    heap::within(limit, work).0
}

/// What the kernel does with a module that is linked: it looks at its parameters, and
/// lists its sites.
fn list(object: &Object, layout: &Layout, linked: &Linked, image: &[u8]) -> SiteTable {
    let base = linked.base;
    let _ = params::list_params(object, layout, params::Memory::Image { base, image });
    let (name, sites) = ("module".into(), linked.sites.clone());
    let mut table = SiteTable::new();
    let _ = table.add(NewModule { name, base, sites, profile: base, own: false });
    table
}

/// What is read of a file that nobody loads.
fn words(object: &Object) {
    let info = Modinfo::of(object);
    let mut seen = info.iter().count() + info.depends().count();
    seen += info.parameters().count() + info.parameter_types().count();
    assert!(modinfo::module_name(object, "file.ko").len() < 64, "a name to type");
    let _ = versions::judge(info.get("vermagic"));
    let _ = versions::mismatch(object, |name| Some(hash(name.as_bytes()) as u32));
    seen += paca_use::other_places(object).len();
    seen += usize::from(find_global(object, "init_module").is_some());
    for symbol in object.symbols().take(EXPLAINED_MAX) {
        seen += readable(object.name(&symbol)).len();
    }
    assert!(seen < usize::MAX);
}

fn check(object: &Object, layout: &Layout, linked: &Linked, image: &[u8], abi: &KernelAbi) {
    let base = linked.base;
    let inside = |at: Vaddr| at.0.wrapping_sub(base.0) <= layout.size;
    for (export, at) in linked.exports.iter().map(|export| (export.name, export.addr)) {
        assert!(inside(at), "{export}");
    }
    let rising = |pair: &[_]| {
        let [first, second]: [tocsin::loader::CallSite; 2] = [pair[0], pair[1]];
        first.offset() <= second.offset()
    };
    assert!(linked.sites.windows(2).all(rising));
    for site in &linked.sites {
        assert!(linked.stubs.find(site.stub(base)).is_some(), "{site:?}");
        assert!(object.symbol(site.function()).is_some(), "{site:?}");
        assert!(u64::from(site.offset()) + 4 <= layout.size, "{site:?}");
    }
    let mut stubs = abi.stubs;
    stubs.module_toc = linked.toc;
    let read = |at: Vaddr| {
        let bytes = image.get(usize::try_from(at.since(base)).ok()?..)?.first_chunk()?;
        Some(u64::from_le_bytes(*bytes))
    };
    for entry in linked.stubs.iter() {
        let from = image.get(entry.at.since(base) as usize..).unwrap_or_default();
        let words = from.as_chunks::<4>().0.iter().take(MAX_WORDS);
        let words: Vec<u32> = words.map(|word| u32::from_le_bytes(*word)).collect();
        let found = recognise::identify(&linked.stubs, entry.at, &words, &stubs, read);
        assert!(found.is_some(), "{entry:?} is not recognised: {words:x?}");
    }
    for function in linked.functions.iter().take(EXPLAINED_MAX) {
        assert!(linked.functions.at(function.at).is_some_and(|found| found.at == function.at));
        let name = object.symbol(function.symbol).map(|symbol| object.name(&symbol));
        let named = linked.functions.named(object, name.expect("indexed"));
        assert!(named.contains(&function) || !object.is_called(function.symbol, name.unwrap()));
    }
}

/// Writes nowhere.
pub struct Nowhere(pub usize);

impl std::fmt::Write for Nowhere {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        self.0 += text.len();
        Ok(())
    }
}

fn lens(object: &Object, layout: &Layout, base: Vaddr, world: &World, abi: &KernelAbi) {
    let lens = Lens::new(object, layout, base, world, abi, &world.options);
    let lens = lens.expect("what was linked has bound symbols");
    let step = lens.len() / EXPLAINED_MAX + 1;
    let mut out = Nowhere(0);
    for number in (0..=lens.len() + 1).step_by(step) {
        let Some(explained) = lens.explain(number) else { continue };
        let name = |at: Vaddr, f: &mut std::fmt::Formatter<'_>| write!(f, "{at}");
        write!(out, "{}", explained.lines(&name, &|owner| owner.to_string())).expect("shown");
        write!(out, "{:?}", explained.also()).expect("shown");
    }
}

fn tables_of(object: &Object, layout: &Layout, base: Vaddr, image: &mut [u8]) {
    let bugs = tables::entries::<Bug>(object, layout, base, image);
    let exceptions = tables::entries::<Exception>(object, layout, base, image);
    let jumps = tables::entries::<Jump>(object, layout, base, image);
    assert!((bugs.len() + exceptions.len() + jumps.len()) * 8 <= image.len() * 3);
    let key = |key: Vaddr| match key.0 & 0x38 {
        0 => Key::AsCompiled,
        8 => Key::Nowhere,
        other => Key::Enabled(other as u32 >> 4),
    };
    for arch_31 in [false, true] {
        tables::settle(object, layout, base, image, &Facts { arch_31, key: &key }, &[]);
    }
}

/// Reads the parameters, gives them values, shows them; the one refusal that
/// comes after linking is theirs.
fn parameters(object: &Object, layout: &Layout, base: Vaddr, image: &[u8]) -> Result<(), String> {
    let memory = params::Memory::Image { base, image };
    let list = params::list_params(object, layout, memory);
    let list = list.map_err(|error| error.to_string())?;
    const TYPES: [&str; 8] = [
        "param_ops_int",
        "param_ops_bool",
        "param_ops_charp",
        "param_ops_string",
        "param_array_ops",
        "param_ops_ulong",
        "param_ops_hexint",
        "param_ops_invbool",
    ];
    let text_at = |at: Vaddr| Some(format!("{at}"));
    for (number, param) in list.iter().take(EXPLAINED_MAX).enumerate() {
        for turn in 0..TYPES.len() {
            // An array's elements have the next type.
            let kind = |ops: Vaddr| {
                let by = if ops == param.ops { turn } else { turn + 1 + number };
                ParamType::of_export(TYPES[by % TYPES.len()])
            };
            for text in [None, Some(""), Some("1"), Some("y,n,1,2"), Some("-0x8000000000000001")] {
                if let Ok(stores) = params::plan_param(param, text, &kind, memory) {
                    assert!(stores.len() <= 8);
                }
            }
            if let Ok(shown) = params::show_param(param, &kind, memory, &text_at) {
                assert!(shown.ends_with('\n') && shown.len() <= 1 << 15, "{shown}");
            }
        }
        assert!(params::find_param(&list, param.name).is_ok());
    }
    Ok(())
}

/// A linked image as memory.
struct Image<'i>(Vaddr, &'i [u8]);

impl compat::Memory for Image<'_> {
    fn read(&self, at: Vaddr, out: &mut [u8]) -> usize {
        let from = usize::try_from(at.since(self.0)).ok().and_then(|from| self.1.get(from..));
        let from = from.unwrap_or_default();
        let len = from.len().min(out.len());
        out[..len].copy_from_slice(&from[..len]);
        len
    }
}

/// Anything in the data may be a live patch's description.
fn patches(object: &Object, layout: &Layout, base: Vaddr, image: &[u8]) {
    let Some((index, section)) = object.section(".data") else { return };
    let Some(start) = layout.offset_of(index) else { return };
    for offset in (0..section.data.len().min(1024)).step_by(8) {
        let at = base.offset(i64::from(start) + offset as i64);
        if let Ok(patch) = klp::read_patch(&Image(base, image), at) {
            assert!(patch.objects.len() <= klp::MAX_OBJECTS);
        }
    }
}

/// Unpacks `file` into at most `limit` bytes.
pub fn unpack(file: &[u8], limit: u64) -> Result<usize, UnpackError> {
    let pack = Pack::of(file).ok_or(UnpackError::Unsupported("nothing"))?;
    let mut out = Aside::new(0x5a, pack.plan(file, limit)?);
    let len = pack.unpack(file, &mut out)?;
    assert!(len <= out.len());
    Ok(len)
}
