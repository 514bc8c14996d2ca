//! Module files: found in the initrd, unpacked if they are compressed.
//!
//! ```text
//!  hello.ko      borrowed from the initrd, which stays
//!  hello.ko.xz   unpacked into pages of its own, which go when the file goes
//! ```
//!
//! Whoever holds a [`ModuleFile`] may view its bytes; a loaded module keeps its
//! own, because relocations, symbols and names are viewed in place. What is left
//! over when something fails is dropped with it.
//!
//! How it is unpacked: [`crate::unpack`].

use alloc::format;
use alloc::string::String;

use super::{initrd, tab};
use crate::initrd::File;
use crate::loader::{LoadError, Object, need};
use crate::machine::memory::{self, FileCopy};
use crate::unpack::{Pack, UnpackError};

/// A module's file, as the loader reads it.
pub struct ModuleFile {
    file: File<'static>,
    unpacked: Option<FileCopy>,
}

impl ModuleFile {
    /// The file that `word`, a name or a path, means.
    ///
    /// The error begins with `word` and says why not.
    #[optimize(size)]
    pub fn open(word: &str) -> Result<Self, String> {
        let file = initrd::find_module(word).ok_or_else(|| {
            let meant = tab::meant(tab::Kind::Archive, word);
            format!(
                "{word}: no such module in the initrd ({meant}see ls /lib/modules; add it with \
                 MODULES=)"
            )
        })?;
        let unpacked = match Pack::of(file.data) {
            Some(pack) => Some(unpack(pack, file.data).map_err(|why| format!("{word}: {why}"))?),
            None => None,
        };
        Ok(Self { file, unpacked })
    }

    /// Its bytes, unpacked.
    pub fn bytes(&self) -> &[u8] {
        match &self.unpacked {
            Some(copy) => copy.bytes(),
            None => self.file.data,
        }
    }

    /// Its bytes, checked; an error is the loader's alone.
    pub fn object(&self) -> Result<Object<'_>, LoadError> {
        ask_for(need::to_parse(self.bytes()))?;
        Object::parse(self.bytes())
    }

    /// Where it is in the initrd.
    pub fn path(&self) -> &'static str {
        self.file.path
    }

    /// The last part of that.
    pub fn base_name(&self) -> &'static str {
        self.file.base_name()
    }

    /// How it is compressed, if it is.
    pub fn pack(&self) -> Option<Pack> {
        Pack::of(self.file.data)
    }

    /// Bytes of memory that it takes besides the initrd.
    pub fn size(&self) -> u64 {
        self.unpacked.as_ref().map_or(0, FileCopy::size)
    }
}

/// Refuses what the heap has no room for, before anything is taken of it: who finds it
/// empty later can only panic.
pub fn ask_for(need: u64) -> Result<(), LoadError> {
    memory::heap_room(need).map_err(|free| LoadError::NoHeap { need, free })
}

fn unpack(pack: Pack, packed: &[u8]) -> Result<FileCopy, UnpackError> {
    let free = memory::usage().pages_free;
    let max = pack.plan(packed, free)?;
    let copy = FileCopy::make(max, |out| pack.unpack(packed, out));
    copy.unwrap_or(Err(UnpackError::TooLong { len: max as u64, limit: free }))
}
