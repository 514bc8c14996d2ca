//! Borrowed symbols of modules that come or go later than the patch.
//!
//! A patch is linked again, with what is there now, and the fields that depend on
//! borrowed symbols are brought up to date: instructions and stubs through the text
//! engine, which may write any word there, since nobody runs replacements for a module
//! that has not begun, or has ended.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::PATCHES;
use crate::addr::Vaddr;
use crate::isa::Insn;
use crate::kernel::modules::{self, Module};
use crate::loader::tables::{Entry, Jump};
use crate::loader::{Group, borrow, fields};
use crate::machine::{memory, text};
use crate::patch::journal::Why;
use crate::patch::plan::{Batch, ColdEdit, NotLive, TargetEdit};

/// Brings the patches that borrow from `module` up to date.
#[optimize(size)]
pub fn settle(module: &str) -> Result<(), String> {
    let names: Vec<String> =
        PATCHES.lock().status().map(|status| status.name.to_string()).collect();
    names.iter().filter_map(|name| modules::find(name)).try_for_each(|patch| one(&patch, module))
}

#[optimize(size)]
fn one(patch: &Module, module: &str) -> Result<(), String> {
    let object = patch.object();
    let theirs = |name: &str| borrow::parse(name).is_some_and(|it| it.module == Some(module));
    let borrows: Vec<bool> = object
        .symbols()
        .map(|symbol| symbol.st_shndx == 0 && theirs(object.name(&symbol)))
        .collect();
    if !borrows.contains(&true) {
        return Ok(());
    }
    if let Some(why) = super::lacks(patch) {
        return Err(format!("{}: {why}", patch.name));
    }
    let image = modules::relink(patch)?;
    let mut change = Difference { patch, image: &image, code: Vec::new(), targets: Vec::new() };
    for list in object.relocations() {
        let section = &object.sections()[list.target];
        let group = crate::loader::Layout::group_of(section);
        let Some(offset) = patch.layout.offset_of(list.target) else { continue };
        for rela in list.iter().filter(|rela| borrows[(rela.r_info >> 32) as usize]) {
            let from = u64::from(offset) + rela.r_offset;
            let len = u64::from(fields::width(rela.r_info as u32));
            if section.name == Jump::SECTION {
                change.branch(from - rela.r_offset % Jump::SIZE as u64);
            }
            if matches!(group, Group::Text | Group::InitText) {
                change.words(from & !3, (from + len).next_multiple_of(4));
            } else if !change.bytes(from, len) {
                return Err(format!("{}: a constant depends on {module}, late", patch.name));
            }
        }
    }
    for entry in patch.linked().stubs.iter().filter(|entry| borrows[entry.owner as usize]) {
        let from = entry.at.since(patch.linked().base) as u64;
        change.words(from, from + 32);
    }
    let span = patch.layout.targets;
    (span.offset..span.end()).step_by(8).for_each(|at| change.target(at));
    change.apply()
}

/// What is to be written.
struct Difference<'m> {
    patch: &'m Module,
    image: &'m [u8],
    code: Vec<ColdEdit>,
    targets: Vec<TargetEdit>,
}

impl Difference<'_> {
    fn linked<const N: usize>(&self, offset: u64) -> Option<[u8; N]> {
        let offset = usize::try_from(offset).ok()?;
        self.image.get(offset..offset + N)?.try_into().ok()
    }

    fn at(&self, offset: u64) -> Vaddr {
        self.patch.linked().base.offset(offset.cast_signed())
    }

    /// Instructions from one offset to another.
    #[optimize(size)]
    fn words(&mut self, from: u64, to: u64) {
        for offset in (from..to).step_by(4) {
            let at = self.at(offset);
            let (Some(linked), Some(found)) = (self.linked(offset), memory::read_u32(at)) else {
                continue;
            };
            let write = u32::from_le_bytes(linked);
            if write != found && self.code.iter().all(|edit| edit.at != at) {
                self.code.push(ColdEdit { at, expect: Insn(found), write: Insn(write) });
            }
        }
    }

    /// The word of the static branch whose entry is at that offset: it is as the key says
    /// that is there now, or as it was compiled.
    #[optimize(size)]
    fn branch(&mut self, entry: u64) {
        let Some(bytes) = self.linked::<16>(entry) else { return };
        if let Some(jump) = Jump::read(self.at(entry), &bytes)
            && self.patch.is_code(jump.code)
        {
            let code = jump.code.since(self.at(0)) as u64;
            self.words(code, code + 4);
        }
    }

    /// The target doubleword of a stub.
    #[optimize(size)]
    fn target(&mut self, offset: u64) {
        let at = self.at(offset);
        let (Some(linked), Some(expect)) = (self.linked(offset), memory::read_u64(at)) else {
            return;
        };
        let write = u64::from_le_bytes(linked);
        if write != expect {
            self.targets.push(TargetEdit { at, expect, write });
        }
    }

    /// A field of data; false if it cannot be written.
    fn bytes(&self, offset: u64, len: u64) -> bool {
        let (from, to) = (offset as usize, (offset + len) as usize);
        self.image
            .get(from..to)
            .is_some_and(|field| memory::write_for_module(self.at(offset), field))
    }

    #[optimize(size)]
    fn apply(self) -> Result<(), String> {
        let who = &self.patch.name;
        text::retarget(who, Why::Load, &self.targets).map_err(|refusal| refusal.to_string())?;
        let (first, end) = self.patch.text();
        let proof = NotLive { first, end };
        let batch = Batch::cold(who, Why::Load, &proof, self.code)
            .map_err(|edit| format!("{}: outside of its text", edit.at))?;
        text::apply(batch).map(|_| ()).map_err(|refusal| refusal.to_string())
    }
}
