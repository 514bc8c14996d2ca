//! Borrowed symbols of modules that come or go later than the patch.
//!
//! A patch is linked again, with what is there now, and the fields that depend on
//! borrowed symbols are brought up to date: instructions, stubs and constants through the
//! text engine. It may write any word there, for every CPU stays out of the patch
//! meanwhile: one that replaces functions of several modules may run all the time.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::transition::keep_out;
use super::{is_enabled, is_patch, transition};
use crate::addr::Vaddr;
use crate::isa::Insn;
use crate::kernel::modules::{self, Module};
use crate::kprintln;
use crate::loader::tables::{Entry, Jump};
use crate::loader::{Group, borrow, fields};
use crate::machine::{memory, text};
use crate::patch::journal::Why;
use crate::patch::plan::{Batch, ColdEdit, NotLive, TargetEdit};

/// Brings the patches that borrow from `module` up to date.
#[optimize(size)]
pub fn settle(module: &str) -> Result<(), String> {
    each_patch(&mut |patch| match one(patch, Some(module)) {
        // What does not run now is no reason: it is tried again when it is enabled.
        Err(why) if !may_run(patch) => {
            kprintln!("{why}: disabled, so {module} does without it");
            Ok(())
        }
        done => done,
    })
}

/// As [`settle`], for a patch that is about to be enabled again.
#[optimize(size)]
pub fn again(patch: &Module) -> Result<(), String> {
    if may_run(patch) { Ok(()) } else { one(patch, None) }
}

/// Before a module goes: nobody may be in a patch that borrows from it.
#[optimize(size)]
#[inline(never)]
pub fn may_go(module: &str) -> Result<(), String> {
    each_patch(&mut |patch| {
        if borrows(patch, Some(module)).contains(&true) {
            keep_out(patch).map_err(|why| format!("{} borrows from it: {why}", patch.name))?;
        }
        Ok(())
    })
}

#[optimize(size)]
#[inline(never)]
fn each_patch(visit: &mut dyn FnMut(&Module) -> Result<(), String>) -> Result<(), String> {
    for module in modules::snapshot().iter() {
        if is_patch(&module.name) {
            visit(module)?;
        }
    }
    Ok(())
}

#[optimize(size)]
#[inline(never)]
fn may_run(patch: &Module) -> bool {
    is_enabled(&patch.name) || transition::is_open(&patch.name)
}

/// Of each symbol of a patch, whether it is borrowed, from that module or any.
#[optimize(size)]
#[inline(never)]
fn borrows(patch: &Module, module: Option<&str>) -> Vec<bool> {
    let object = patch.object();
    let mut borrows = Vec::with_capacity(object.symbol_count());
    for symbol in object.symbols() {
        let found = borrow::parse(object.name(&symbol)).filter(|_| symbol.st_shndx == 0);
        borrows.push(found.is_some_and(|it| module.is_none() || it.module == module));
    }
    borrows
}

#[optimize(size)]
fn one(patch: &Module, module: Option<&str>) -> Result<(), String> {
    let object = patch.object();
    let borrows = borrows(patch, module);
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
        if patch.is_gone(group) {
            continue; // init has run, and the memory may be another's
        }
        for rela in list.iter().filter(|rela| borrows[(rela.r_info >> 32) as usize]) {
            let from = u64::from(offset) + rela.r_offset;
            let len = u64::from(fields::width(rela.r_info as u32));
            if section.name == Jump::SECTION {
                change.branch(from - rela.r_offset % Jump::SIZE as u64);
            }
            if matches!(group, Group::Text | Group::InitText) {
                change.words(from & !3, (from + len).next_multiple_of(4));
            } else if group == Group::Rodata {
                (from..from + len).for_each(|at| change.constant(at));
            } else {
                change.bytes(from, len);
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

    /// A byte of a constant: of the doubleword around it nothing else is as linked for
    /// sure, if an init function has written there.
    #[optimize(size)]
    fn constant(&mut self, offset: u64) {
        let (at, shift) = (self.at(offset & !7), offset % 8 * 8);
        let Some([linked]) = self.linked::<1>(offset) else { return };
        let place = self.targets.iter().rposition(|edit| edit.at == at).or_else(|| {
            let found = memory::read_u64(at)?;
            self.targets.push(TargetEdit { at, expect: found, write: found });
            Some(self.targets.len() - 1)
        });
        if let Some(place) = place {
            let write = &mut self.targets[place].write;
            *write = *write & !(0xff << shift) | u64::from(linked) << shift;
        }
    }

    /// A field of data.
    fn bytes(&self, offset: u64, len: u64) {
        if let Some(field) = self.image.get(offset as usize..(offset + len) as usize) {
            memory::write_for_module(self.at(offset), field);
        }
    }

    #[optimize(size)]
    fn apply(mut self) -> Result<(), String> {
        let who = &self.patch.name;
        self.targets.retain(|edit| edit.expect != edit.write);
        if self.targets.is_empty() && self.code.is_empty() {
            return Ok(());
        }
        let _held = keep_out(self.patch).map_err(|why| format!("{who}: {why}"))?;
        text::retarget(who, Why::Load, &self.targets).map_err(|refusal| refusal.to_string())?;
        let (first, end) = self.patch.text();
        let proof = NotLive { first, end };
        let batch = Batch::cold(who, Why::Load, &proof, self.code)
            .map_err(|edit| format!("{}: outside of its text", edit.at))?;
        text::apply(batch).map(|_| ()).map_err(|refusal| refusal.to_string())
    }
}
