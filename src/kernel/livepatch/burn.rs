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

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, Ordering};

use goblin::elf::reloc::R_PPC64_REL24;

use super::PATCHES;
use crate::addr::Vaddr;
use crate::isa::patch_class::PatchClass;
use crate::isa::{Insn, branch};
use crate::kernel::modules::{self, Module};
use crate::kernel::{symbols, tracing};
use crate::kprintln;
use crate::livepatch::set::{LivePatches, Target};
use crate::loader::{Group, Layout};
use crate::machine::lock::Mutex;
use crate::machine::{memory, text};
use crate::patch::engine::Refusal;
use crate::patch::journal::Why;
use crate::patch::plan::{Batch, Change, Edit, TargetEdit};
use crate::patch::state::Word;

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

    #[optimize(size)]
    fn turn_stubs(&mut self, why: Why) -> Result<(), Refusal> {
        text::retarget("burn-in", why, &self.stubs)?;
        self.stubs.iter_mut().for_each(|edit| *edit = edit.back());
        Ok(())
    }

    #[optimize(size)]
    fn turn_calls(&mut self, why: Why) -> Result<(), Refusal> {
        let mut batch = Batch::new("burn-in", why);
        self.calls.iter().for_each(|edit| batch.push(0, *edit));
        text::apply(batch)?;
        self.calls.iter_mut().for_each(|edit| *edit = edit.back());
        Ok(())
    }

    /// The target words of a module's stubs that lead to replaced functions.
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
    fn find_calls(&mut self, module: &Module, patches: &LivePatches) {
        let local = |(target, to): (&Target, Vaddr)| {
            let near = module.local_entry(target.entry)?;
            modules::containing(to)?.keeps_r2(to).then_some((near, to))
        };
        let local: Vec<_> = patches.replacements().filter_map(local).collect();
        let lists = module.object().relocations().iter();
        for list in lists.filter(|_| !local.is_empty()) {
            let section = &module.object().sections()[list.target];
            let Some(offset) = module.layout.offset_of(list.target) else { continue };
            if Layout::group_of(section) != Group::Text {
                continue; // init code has run
            }
            for rela in list.iter().filter(|rela| rela.r_info as u32 == R_PPC64_REL24) {
                let at = module.address(offset).offset(rela.r_offset.cast_signed());
                self.calls.extend(memory::read_u32(at).and_then(|word| aimed(at, word, &local)));
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
pub fn allow(on: bool) -> Result<(), String> {
    FORBIDDEN.store(!on, Ordering::Relaxed);
    undo()?;
    want();
    settle();
    Ok(())
}

/// Before and after a command: burns in if there is something new, and nothing traced.
#[optimize(size)]
#[inline(never)] // it is asked after each command, and seldom has anything to do
pub fn settle() {
    if !WANTED.load(Ordering::Relaxed) || tracing::any_traced() {
        return;
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
    // A call goes where it should all the same: through the redirect.
    if let Err(refusal) = found.turn_stubs(Why::BurnIn) {
        kprintln!("burn-in: {refusal}");
        found.stubs = Vec::new();
    }
    if let Err(refusal) = found.turn_calls(Why::BurnIn) {
        kprintln!("burn-in: {refusal}");
        found.calls = Vec::new();
    }
    *BURNT.lock() = found;
}

/// Leads all calls through the redirect again, as they were linked; before anything
/// changes that they depend on. On an error that must not happen.
#[optimize(size)]
pub fn undo() -> Result<(), String> {
    let mut burnt = BURNT.lock();
    if burnt.stubs.is_empty() && burnt.calls.is_empty() {
        return Ok(());
    }
    want();
    let told = |refusal: Refusal| format!("burnt-in call: {refusal} (see journal)");
    burnt.turn_stubs(Why::BurnOut).map_err(told)?;
    burnt.stubs = Vec::new();
    burnt.turn_calls(Why::BurnOut).map_err(told)?;
    burnt.calls = Vec::new();
    Ok(())
}

/// What the target word of a stub should hold, if it was linked as `linked`.
#[optimize(size)]
pub fn expected(at: Vaddr, linked: u64) -> u64 {
    let burnt = BURNT.lock();
    let word = burnt.stubs.iter().find(|edit| edit.at == at && edit.write == linked);
    word.map_or(linked, |edit| edit.expect)
}

/// Calls that are burnt in, by rising address within a module.
#[optimize(size)]
pub fn words() -> Vec<Word> {
    let word = |edit: &Edit| Some(Word { at: edit.at(), insn: edit.expect().try_into().ok()? });
    BURNT.lock().calls.iter().filter_map(word).collect()
}

/// How many calls lead straight to a replacement: stubs, and calls in its function's module.
#[optimize(size)]
pub fn count(to: Vaddr) -> usize {
    let burnt = BURNT.lock();
    let goes = |edit: &&Edit| branch::target_of(edit.expect(), edit.at()) == Some(to);
    burnt.stubs.iter().filter(|edit| edit.expect == to.0).count()
        + burnt.calls.iter().filter(goes).count()
}

/// What `audit -v` says of a module: where it calls a replacement straight.
#[optimize(size)]
pub fn lines(module: &Module) -> Vec<String> {
    let burnt = BURNT.lock();
    let calls = burnt.calls.iter().map(|edit| {
        let to = branch::target_of(edit.expect(), edit.at()).unwrap_or(edit.at());
        (edit.at(), to)
    });
    let all = burnt.stubs.iter().map(|edit| (edit.at, Vaddr(edit.expect))).chain(calls);
    let own = all.filter(|(at, _)| module.pages.contains(*at, 4));
    let line = |(at, to)| format!("{at} {} burnt in -> {}", module.name, symbols::qualified(to));
    own.map(line).collect()
}
