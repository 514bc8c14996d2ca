//! sections: what of a module lies where, and one digest for the bytes of each.
//!
//! Whoever links the same file to run at the same place can tell from these few
//! lines if every byte here is as there; `make corpus` does it with 3,126 modules.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;

use super::Done;
use crate::addr::Vaddr;
use crate::digest::Digest;
use crate::kernel::modules::{Module, find_loaded};
use crate::kprintln;
use crate::loader::Layout;
use crate::machine::memory;

/// Bytes that are copied out of the module at once.
const PIECE: usize = 4096;

/// Lists a module's sections: number in the file, address, bytes, digest, name.
/// Then what the loader has added, which has no number: stubs, their targets,
/// the image as a whole with the gaps in it, and r2.
pub fn sections(word: &str) -> Done {
    let module = find_loaded(word)?;
    let object = module.object();
    let mut piece = vec![0; PIECE];
    for (index, section) in object.sections().iter().enumerate() {
        let gone = module.is_gone(Layout::group_of(section));
        if let Some(offset) = module.layout.offset_of(index).filter(|_| !gone) {
            let row = Row { number: index.to_string(), name: section.name, size: section.size() };
            row.print(&module, offset.into(), &mut piece)?;
        }
    }
    let added = [
        ("(stubs)", module.layout.stubs.offset, module.layout.stubs.len),
        ("(targets)", module.layout.targets.offset, module.layout.targets.len),
        ("(image)", module.layout.size - module.image_size(), module.image_size()),
        ("(toc)", module.layout.toc, 0),
    ];
    for (name, offset, size) in added {
        Row { number: "-".to_string(), name, size }.print(&module, offset, &mut piece)?;
    }
    Ok(())
}

/// One line of the list.
struct Row<'m> {
    number: String,
    name: &'m str,
    size: u64,
}

impl Row<'_> {
    #[optimize(size)]
    fn print(&self, module: &Module, offset: u64, piece: &mut [u8]) -> Result<(), String> {
        let Self { number, name, size } = self;
        let at = module.linked().base.offset(offset.cast_signed());
        if *size == 0 {
            kprintln!("{number} {at} 0 - {name}");
            return Ok(());
        }
        let digest = digest(at, *size, piece)
            .ok_or_else(|| format!("{}: {name} cannot be read (see maps)", module.name))?;
        kprintln!("{number} {at} {size} {digest:016x} {name}");
        Ok(())
    }
}

/// The digest of memory, if all of it can be read.
fn digest(start: Vaddr, size: u64, piece: &mut [u8]) -> Option<u64> {
    let mut digest = Digest::default();
    let mut done = 0;
    while done < size {
        let len = (size - done).min(piece.len() as u64);
        let bytes = &mut piece[..len as usize];
        memory::read(start.offset(done.cast_signed()), bytes).then_some(())?;
        digest.update(bytes);
        done += len;
    }
    Some(digest.finish())
}
