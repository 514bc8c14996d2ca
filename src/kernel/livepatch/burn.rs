//! Burn-in: when a change is complete, calls of a replaced function are aimed straight at
//! its replacement, where that keeps every promise of the redirect.
//!
//! ```text
//!  A in another module   bl stub; ld r2,24(r1)   stub ─> word ─> B ─> redirect ─> C
//!                                                        word ──────────────────> C   burnt in
//!  A in B's module       bl B ──────────────────────────> B's site ─> redirect ─> C
//!                        bl C ──────────────────────────────────────────────────> C   burnt in
//! ```
//!
//! | call | burnt in | because |
//! |---|---|---|
//! | through a stub with a target word | yes | its caller restores r2 itself, or has none; C gets r12 |
//! | `bl` in B's module, C of one entry (`st_other` 0) | yes, within reach | ELFv2: C keeps r2, needs no r12 |
//! | `bl` in B's module, C with a TOC | no | nobody would put r2 right: that is the redirect's work |
//! | through a pointer, by `call` | no | nobody knows where pointers are |
//! | through a stub of the seed's or Linux's form | no | its target is in its words |
//! | inside the kernel | no | its calls are in no relocation that is left |
//!
//! # Invariants
//! - Before a transition begins, a site is traced, a module comes or goes, all is led back;
//!   the first command after that burns in again.
//! - Either way a call ends in C: sites stay redirected for all other calls, so the words
//!   may change while CPUs run them. Who is in a stub has not answered yet when the next
//!   transition asks (`transition::stubs`).
//! - While anything is traced nothing is burnt in: B's hook would miss the calls.
//! - A word that cannot be led back, since somebody else has written it, is kept: till it
//!   is what it was, nothing changes that it depends on.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::mem;
use core::sync::atomic::{AtomicBool, Ordering};

use goblin::elf::reloc::R_PPC64_REL24;

use super::{OneChange, PATCHES, transition};
use crate::addr::Vaddr;
use crate::isa::patch_class::PatchClass;
use crate::isa::{Insn, branch};
use crate::kernel::modules::{self, Module};
use crate::kernel::tracing;
use crate::kprintln;
use crate::livepatch::set::LivePatches;
use crate::loader::{Group, Layout};
use crate::machine::lock::Mutex;
use crate::machine::{memory, text};
use crate::patch::engine::Refusal;
use crate::patch::journal::Why;
use crate::patch::plan::{Batch, Change, Edit, TargetEdit};
use crate::patch::state::Word;

/// In whose name the words are written.
const WHO: &str = "burn-in";

/// Words that are to be led somewhere; once they are, the way back.
struct Burnt {
    stubs: Vec<TargetEdit>,
    calls: Vec<Edit>,
}

static BURNT: Mutex<Burnt> = Mutex::new(Burnt::new());

/// Something has changed since it was last tried.
static WANTED: AtomicBool = AtomicBool::new(false);

/// A person has switched it off.
static FORBIDDEN: AtomicBool = AtomicBool::new(false);

impl Burnt {
    const fn new() -> Self {
        Self { stubs: Vec::new(), calls: Vec::new() }
    }

    /// Turns all words; those that have been are handed back, as the way back, and those
    /// that somebody else has written stay here.
    #[optimize(size)]
    #[inline(never)]
    fn turn(&mut self, why: Why) -> (Self, Result<(), Refusal>) {
        let mut turned = Self::new();
        let done = self.turn_into(why, &mut turned);
        (turned, done)
    }

    #[optimize(size)]
    fn turn_into(&mut self, why: Why, turned: &mut Self) -> Result<(), Refusal> {
        text::retarget(WHO, why, &self.stubs)?;
        self.stubs.iter_mut().for_each(|edit| *edit = edit.back());
        turned.stubs = mem::take(&mut self.stubs);
        let mut batch = Batch::new(WHO, why);
        self.calls.iter().for_each(|edit| batch.push(0, *edit));
        text::apply(batch)?;
        self.calls.iter_mut().for_each(|edit| *edit = edit.back());
        turned.calls = mem::take(&mut self.calls);
        Ok(())
    }

    /// The target words of a module's stubs that lead to replaced functions.
    #[optimize(size)]
    #[inline(never)]
    fn find_stubs(&mut self, module: &Module, patches: &LivePatches) {
        let (mut at, end) = module.range(module.layout.targets);
        while at < end {
            if let Some(expect) = memory::read_u64(at)
                && let Some((_, to)) = patches.replacement(Vaddr(expect))
            {
                self.stubs.push(TargetEdit { at, expect, write: to.0 });
            }
            at = at.offset(8);
        }
    }

    /// The calls in a module of its own functions whose replacements keep r2.
    #[optimize(size)]
    #[inline(never)]
    fn find_calls(&mut self, module: &Module, patches: &LivePatches) {
        let mut local = Vec::new();
        patches.each_replacement(&mut |target, to| {
            if let Some(near) = module.local_entry(target.entry)
                && modules::containing(to).is_some_and(|patch| patch.keeps_r2(to))
            {
                local.push((near, to));
            }
        });
        if local.is_empty() {
            return;
        }
        for list in module.object().relocations() {
            let section = &module.object().sections()[list.target];
            let Some(offset) = module.layout.offset_of(list.target) else { continue };
            if Layout::group_of(section) != Group::Text {
                continue; // init code has run
            }
            for rela in list.iter() {
                if rela.r_info as u32 != R_PPC64_REL24 {
                    continue;
                }
                let at = module.address(offset).offset(rela.r_offset.cast_signed());
                if let Some(edit) = memory::read_u32(at).and_then(|word| aimed(at, word, &local)) {
                    self.calls.push(edit);
                }
            }
        }
    }
}

/// The call at `at`, aimed at a replacement, if it is of one of the functions.
fn aimed(at: Vaddr, word: u32, local: &[(Vaddr, Vaddr)]) -> Option<Edit> {
    let word = Insn(word);
    let entry = branch::target_of(word, at)?;
    let (_, to) = local.iter().find(|(near, _)| *near == entry)?;
    let new = branch::retarget(word, at, *to).ok()?;
    Some(Edit::new(at, PatchClass::try_from(word).ok()?, PatchClass::try_from(new).ok()?))
}

/// Burns in after the command that is under way.
pub fn want() {
    WANTED.store(true, Ordering::Relaxed);
}

/// `livepatch burn on|off`.
#[optimize(size)]
#[inline(never)]
pub fn allow(on: bool) -> Result<(), String> {
    let _one = OneChange::begin()?;
    FORBIDDEN.store(!on, Ordering::Relaxed);
    undo()?;
    want();
    settle();
    Ok(())
}

/// Before and after a command: burns in if there is something new, nothing traced, and
/// no CPU on another side than the others.
#[optimize(size)]
#[inline(never)] // it is asked after each command, and seldom has anything to do
pub fn settle() {
    if !WANTED.load(Ordering::Relaxed) || tracing::any_traced() || transition::is_under_way() {
        return;
    }
    let mut burnt = BURNT.lock();
    if !burnt.stubs.is_empty() || !burnt.calls.is_empty() {
        return; // words that could not be led back: they are to be known until they are
    }
    WANTED.store(false, Ordering::Relaxed);
    if FORBIDDEN.load(Ordering::Relaxed) {
        return;
    }
    let mut found = Burnt::new();
    {
        let patches = PATCHES.lock();
        for module in modules::all() {
            found.find_stubs(&module, &patches);
            found.find_calls(&module, &patches);
        }
    }
    let done;
    (*burnt, done) = found.turn(Why::BurnIn);
    if let Err(refusal) = done {
        // A call goes where it should all the same: through the redirect.
        kprintln!("{WHO}: {refusal}");
    }
}

/// Leads all calls through the redirect again, as they were linked; before anything
/// changes that they depend on. On an error that must not happen.
#[optimize(size)]
#[inline(never)]
pub fn undo() -> Result<(), String> {
    let mut burnt = BURNT.lock();
    if burnt.stubs.is_empty() && burnt.calls.is_empty() {
        return Ok(());
    }
    want();
    let (_, done) = burnt.turn(Why::BurnOut);
    done.map_err(|refusal| format!("burnt-in call: {refusal} (see journal)"))
}

/// What the target word of a stub should hold, if it was linked as `linked`.
#[optimize(size)]
pub fn expected(at: Vaddr, linked: u64) -> u64 {
    let burnt = BURNT.lock();
    let word = burnt.stubs.iter().find(|edit| edit.at == at && edit.write == linked);
    word.map_or(linked, |edit| edit.expect)
}

/// Adds the calls that are burnt in to words by rising address.
#[optimize(size)]
#[inline(never)]
pub fn add_words(planned: &mut Vec<Word>) {
    for edit in &BURNT.lock().calls {
        if let Ok(insn) = edit.expect().try_into() {
            let word = Word { at: edit.at(), insn };
            planned.insert(planned.partition_point(|other| other.at < word.at), word);
        }
    }
}

/// Visits what is burnt in: the word, and the replacement that it leads to.
#[optimize(size)]
#[inline(never)]
pub fn each(see: &mut dyn FnMut(Vaddr, Vaddr)) {
    let burnt = BURNT.lock();
    for edit in &burnt.stubs {
        see(edit.at, Vaddr(edit.expect));
    }
    for edit in &burnt.calls {
        see(edit.at(), branch::target_of(edit.expect(), edit.at()).unwrap_or_default());
    }
}
