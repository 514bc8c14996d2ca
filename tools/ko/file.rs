//! A module's file: read, unpacked, linked for looking and for the verdict.

use std::path::{Path, PathBuf};

use tocsin::loader::params::{self, Memory};
use tocsin::loader::{self, LinkOptions, LoadError, Loaded, Object, StubStyle};
use tocsin::memory::PAGE;
use tocsin::unpack::Pack;

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
            Err(why) => Err(Refusal { kind: "compression", text: why.to_string() }),
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

    /// Would the kernel load it? The same steps in the same order as its `insmod`.
    ///
    /// # Errors
    /// Why not.
    pub fn verdict(&self, world: &World) -> Result<(), Refusal> {
        let options = LinkOptions::default();
        let place = |_: &loader::Layout| MODULE_BASE;
        let loaded = loader::load(&self.bytes, PAGE, place, world, &abi(), &options)?;
        let owner = |number| format!("module {}", world.module(number));
        loader::exports::refuse_duplicates(&loaded.linked.exports, world, owner)?;
        if let Some(text) = world.closed(&loaded.object, &self.name(&loaded.object)) {
            return Err(Refusal { kind: "namespaces of exports", text });
        }
        let memory = Memory::Image { base: MODULE_BASE, image: &loaded.image };
        let params = params::list_params(&loaded.object, &loaded.layout, memory);
        params.map_err(|why| Refusal { kind: "parameters", text: why.to_string() })?;
        Ok(())
    }
}

impl From<LoadError> for Refusal {
    fn from(error: LoadError) -> Self {
        let kind = match &error {
            LoadError::Unresolved { .. } => "unresolved symbols",
            LoadError::GplOnly { .. } => "symbols for GPL-compatible modules only",
            LoadError::DuplicateExport { .. } => "an export that another has",
            LoadError::BadExport { .. } => "exports",
            LoadError::Reloc { .. } => "relocations",
            LoadError::Symbol { .. } => "symbols",
            LoadError::Section { .. }
            | LoadError::SectionHeaderSize { .. }
            | LoadError::SectionCount
            | LoadError::SectionNames { .. } => "sections",
            LoadError::TextTooLong { .. } | LoadError::NoRoom { .. } => "size",
            LoadError::Stub { .. } | LoadError::Table(_) | LoadError::Misplaced { .. } => "stubs",
            _ => "not a module for this machine",
        };
        Self { kind, text: error.to_string() }
    }
}

/// The module files at `path`: itself, or all below a folder, in an order that
/// repeats.
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
                folders.push(entry.path());
            } else if [".ko", ".ko.xz", ".ko.zst"].iter().any(|ending| name.ends_with(ending)) {
                found.push(entry.path());
            }
        }
    }
    found.sort();
    Ok(found)
}
