//! A module's file: read, unpacked, linked for looking and for the verdict.

use std::path::{Path, PathBuf};

use tocsin::loader::error::RelocFault;
use tocsin::loader::params::{self, Memory};
use tocsin::loader::{
    self, KernelAbi, LinkOptions, LoadError, Loaded, Object, StubStyle, versions,
};
use tocsin::memory::PAGE;
use tocsin::unpack::{Pack, UnpackError};

use crate::world::{MODULE_BASE, World, abi};

/// Longest module that is unpacked: more than any machine of ours has room for.
const LEN_MAX: u64 = 1 << 30;

/// How modules are linked to be looked at: what is missing becomes a trap.
pub const LOOK: LinkOptions = LinkOptions {
    link_only: true,
    force: false,
    stubs: StubStyle::Default,
    wrong_profile_stubs: false,
};

/// A module's file.
pub struct File {
    /// Where it is.
    pub path: PathBuf,
    /// Bytes of it.
    pub len: usize,
    /// How it is compressed, if it is.
    pub pack: Option<Pack>,
    /// Its bytes, unpacked.
    pub bytes: Vec<u8>,
}

/// The kind of refusal that other modules may put right.
pub const UNRESOLVED: &str = "unresolved symbols";

/// Why a module would not load.
pub struct Refusal {
    /// What kind of reason it is, for counting.
    pub kind: &'static str,
    /// The reason, as `insmod` prints it.
    pub text: String,
}

impl File {
    /// Reads and unpacks a file.
    ///
    /// # Errors
    /// In the outer result, that it cannot be read; in the inner one, unpacked.
    pub fn read(path: &Path) -> Result<Result<Self, Refusal>, String> {
        let raw = std::fs::read(path).map_err(|why| format!("{}: {why}", path.display()))?;
        let (pack, len) = (Pack::of(&raw), raw.len());
        let bytes = match pack {
            None => Ok(raw),
            Some(pack) => pack.plan(&raw, LEN_MAX).and_then(|max| {
                let mut bytes = vec![0; max];
                let len = pack.unpack(&raw, &mut bytes)?;
                bytes.truncate(len);
                Ok(bytes)
            }),
        };
        let path = path.to_path_buf();
        Ok(match bytes {
            Ok(bytes) => Ok(Self { path, len, pack, bytes }),
            Err(why) => Err(why.into()),
        })
    }

    /// The name under which the kernel would list it.
    pub fn name(&self, object: &Object) -> String {
        let base = self.path.file_name().unwrap_or_default().to_string_lossy();
        loader::modinfo::module_name(object, &base)
    }

    /// Links it for looking.
    ///
    /// # Errors
    /// What even `insmod --link-only` refuses.
    pub fn look<'f>(&'f self, world: &World) -> Result<Loaded<'f>, LoadError> {
        loader::load(&self.bytes, PAGE, |_| MODULE_BASE, world, &abi(), &LOOK)
    }

    /// Would the kernel load it? The same steps in the same order as its `insmod`; what
    /// should be known of it then, a line each.
    ///
    /// # Errors
    /// Why not.
    pub fn verdict(&self, world: &World) -> Result<Vec<String>, Refusal> {
        let object = Object::parse(&self.bytes)?;
        let unfit = |text| Refusal { kind: "built for another kernel", text };
        let mut notes = versions::notes(&object).map_err(unfit)?;
        let loaded = self.link(world, &abi())?;
        let owner = |number| format!("module {}", world.module(number));
        loader::exports::refuse_duplicates(&loaded.linked.exports, &world.loaded(), owner)?;
        if let Some(text) = world.closed(&loaded.object, &self.name(&loaded.object)) {
            return Err(Refusal { kind: "namespaces of exports", text });
        }
        let used = |number| loaded.linked.owners.contains(&number);
        if let Some((mismatch, owner)) = world.mismatch(&loaded.object, used) {
            return Err(Refusal { kind: "versions of exports", text: mismatch.told(&owner) });
        }
        let memory = Memory::Image { base: MODULE_BASE, image: &loaded.image };
        let params = params::list_params(&loaded.object, &loaded.layout, memory);
        params.map_err(|why| Refusal { kind: "parameters", text: why.to_string() })?;
        notes.extend(versions::unlicensed(&object).map(Into::into));
        notes.extend(self.newer_processor(&loaded.object, world));
        Ok(notes)
    }

    fn link(&self, world: &World, abi: &KernelAbi) -> Result<Loaded<'_>, LoadError> {
        loader::load(&self.bytes, PAGE, |_| MODULE_BASE, world, abi, &LinkOptions::default())
    }

    /// Which processors it is for, if not for all: an older one refuses it.
    fn newer_processor(&self, object: &Object, world: &World) -> Option<String> {
        // Others have no such field, and need not be linked once more.
        let mut kinds = object.relocations().iter().flat_map(|list| list.iter());
        if !kinds.any(|entry| PREFIXED.contains(&(entry.r_info as u32))) {
            return None;
        }
        let older = KernelAbi { prefixed: false, ..abi() };
        match self.link(world, &older) {
            Err(LoadError::Reloc { at, fault: RelocFault::NoPrefixes, .. }) => Some(format!(
                "only for POWER10 and later (CPU=power10): a prefixed instruction at {at}"
            )),
            _ => None,
        }
    }
}

/// Types of relocations of prefixed instructions: from `R_PPC64_D34` to
/// `R_PPC64_GOT_DTPREL_PCREL34`.
const PREFIXED: std::ops::RangeInclusive<u32> = 128..=151;

const CUT: &str = "files that end too early";
const DAMAGED: &str = "damaged files";

impl From<LoadError> for Refusal {
    fn from(error: LoadError) -> Self {
        let text = error.to_string();
        let kind = match &error {
            LoadError::Empty => "empty files",
            LoadError::NotElf => "not ELF files",
            LoadError::Not64Bit { .. }
            | LoadError::BigEndian
            | LoadError::WrongMachine { .. }
            | LoadError::WrongAbi { .. } => "for another machine or ABI",
            LoadError::NotRelocatable { .. } => "not relocatable",
            LoadError::Truncated { .. } => CUT,
            // Whatever is wrong inside of a file, the remedy tells damage from the rest.
            _ if text.ends_with("copy the file again") => CUT,
            _ if text.ends_with("the file is damaged, build it again") => DAMAGED,
            LoadError::Unresolved { .. } => UNRESOLVED,
            LoadError::GplOnly { .. } => "symbols for GPL-compatible modules only",
            LoadError::DuplicateExport { .. } => "an export that another has",
            LoadError::BadExport { .. } => "exports",
            LoadError::Reloc { .. } => "relocations",
            LoadError::Symbol { .. } | LoadError::NoSymbols | LoadError::NoEntry { .. } => {
                "symbols"
            }
            LoadError::TextTooLong { .. } | LoadError::NoRoom { .. } | LoadError::NoHeap { .. } => {
                "size"
            }
            LoadError::Stub { .. } | LoadError::Table(_) | LoadError::Misplaced { .. } => "stubs",
            _ => "sections",
        };
        Self { kind, text }
    }
}

impl From<UnpackError> for Refusal {
    fn from(error: UnpackError) -> Self {
        let kind = match &error {
            UnpackError::Truncated { .. } => CUT,
            UnpackError::Damaged { .. } | UnpackError::Checksum { .. } => DAMAGED,
            UnpackError::TooLong { .. } | UnpackError::NoMemory => "size",
            UnpackError::Gzip | UnpackError::Unsupported(_) => "compression",
        };
        Self { kind, text: error.to_string() }
    }
}

/// Endings of module files; `.ko.gz` is refused, but not overlooked.
const ENDINGS: [&str; 4] = [".ko", ".ko.xz", ".ko.zst", ".ko.gz"];

/// The module files at `path`: itself, or all below a folder, in an order that
/// repeats. Folders `build` and `source` below it hold what modules are made of, here as
/// in `/lib/modules/RELEASE`, and are left out.
///
/// # Errors
/// What cannot be read.
pub fn find(path: &Path) -> Result<Vec<PathBuf>, String> {
    if !path.is_dir() {
        return Ok(vec![path.to_path_buf()]);
    }
    let mut found = Vec::new();
    let mut folders = vec![path.to_path_buf()];
    while let Some(folder) = folders.pop() {
        let explain = |why: std::io::Error| format!("{}: {why}", folder.display());
        for entry in std::fs::read_dir(&folder).map_err(explain)? {
            let entry = entry.map_err(explain)?;
            let kind = entry.file_type().map_err(explain)?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if kind.is_dir() {
                if !matches!(&*name, "build" | "source") {
                    folders.push(entry.path());
                }
            } else if ENDINGS.iter().any(|ending| name.ends_with(ending)) {
                found.push(entry.path());
            }
        }
    }
    found.sort();
    Ok(found)
}
