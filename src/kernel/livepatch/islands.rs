//! Islands: pages of redirect stubs near the modules that are patched.
//!
//! ```text
//!   [ stub ][ stub ][ stub ]...   a page of stubs, within reach of the sites
//!   [ word ][ word ][ word ]...   a page of their target words
//! ```
//!
//! # Invariants
//! - A stub that a site was led to stays while its module is loaded: a call may
//!   be in it. One that no branch has led to yet is given back by [`Aimed::undo`].
//! - A slot is zero until it is taken, and again when it is given back.
//! - The islands' lock is taken before the site table's and the text engine's.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::addr::Vaddr;
use crate::isa::Insn;
use crate::kernel::modules::{self, Module};
use crate::kernel::tracing;
use crate::livepatch::set::{PlanStep, Target};
use crate::loader::stubs::{Stub, StubKind};
use crate::machine::lock::{Mutex, briefly};
use crate::machine::memory::{Pages, read_u64};
use crate::machine::text;
use crate::memory::PAGE;
use crate::patch::journal::Why;
use crate::patch::plan::{Batch, ColdEdit, Edit, NotLive, TargetEdit};
use crate::trace::sites::SiteId;

/// How far an island may lie from its module's text: `bl` reaches 32 MiB both
/// ways, from the site and from the stub back to the module's other stubs.
const NEAR: i64 = 0x100_0000;

const SLOT: i64 = StubKind::Redirect.slot_bytes().cast_signed();

static ISLANDS: Mutex<Vec<Island>> = Mutex::new(Vec::new());

/// Redirect stubs for one module.
struct Island {
    module: u32,
    pages: Pages,
    used: u64,
}

impl Island {
    fn new(module: &Module) -> Option<Self> {
        let (start, end) = module.text();
        let low = Vaddr(end.0.saturating_sub(NEAR as u64));
        let pages = Pages::take_within(2 * PAGE, low, start.offset(NEAR))?;
        let island = Self { module: module.number, pages, used: 0 };
        let (stubs, words) = island.ranges();
        text::publish(&module.name, &island.pages, stubs, words, words);
        Some(island)
    }

    /// The stubs' page and the target words' page.
    fn ranges(&self) -> ((Vaddr, Vaddr), (Vaddr, Vaddr)) {
        let start = self.pages.start();
        let middle = start.offset(PAGE.cast_signed());
        ((start, middle), (middle, middle.offset(PAGE.cast_signed())))
    }

    /// The address of a slot, which may be the one behind the last.
    fn slot(&self, index: u64) -> Vaddr {
        self.pages.start().offset(index.cast_signed() * SLOT)
    }

    /// The target word of the stub at `stub`.
    fn word(&self, stub: Vaddr) -> Vaddr {
        let ((stubs, _), (words, _)) = self.ranges();
        words.offset(stub.since(stubs) / SLOT * 8)
    }

    /// The next free slot and its target word.
    fn take_slot(&mut self) -> Option<(Vaddr, Vaddr)> {
        let stub = self.slot(self.used);
        (stub.offset(SLOT) <= self.ranges().0.1).then(|| {
            self.used += 1;
            (stub, self.word(stub))
        })
    }
}

/// A module's name, its redirect stubs, and their target words.
pub type IslandPlace = (String, (Vaddr, Vaddr), (Vaddr, Vaddr));

/// Every island.
pub fn islands() -> Vec<IslandPlace> {
    let modules = modules::all();
    let name = |number| modules.iter().find(|module| module.number == number);
    let islands = ISLANDS.lock();
    let place = |island: &Island| {
        let (stubs, words) = island.ranges();
        (name(island.module).map_or(String::new(), |module| module.name.clone()), stubs, words)
    };
    islands.iter().map(place).collect()
}

/// Runs `work` while the islands are locked.
pub fn while_locked(work: &mut dyn FnMut()) {
    let _islands = ISLANDS.lock();
    work();
}

/// True if the address lies in a redirect stub.
pub fn is_redirect_stub(at: Vaddr) -> bool {
    let islands = briefly(&ISLANDS);
    islands.is_some_and(|islands| islands.iter().any(|island| island.pages.contains(at, 1)))
}

/// A free slot in an island of the module's.
fn new_stub(module: &Module) -> Result<(Vaddr, Vaddr), String> {
    let mut islands = ISLANDS.lock();
    let mut own = islands.iter_mut().filter(|island| island.module == module.number);
    if let Some(slot) = own.find_map(Island::take_slot) {
        return Ok(slot);
    }
    let mut island = Island::new(module).ok_or_else(|| {
        format!(
            "no room for redirect stubs within 16 MiB of {}; unload what lies near it",
            module.name
        )
    })?;
    let slot = island.take_slot().ok_or("a new island has no room")?;
    islands.reserve_exact(1); // `give_back` and `module_gone` return what this takes
    islands.push(island);
    Ok(slot)
}

/// The target word of a redirect stub.
pub fn target_word(stub: Vaddr) -> Option<Vaddr> {
    let islands = ISLANDS.lock();
    let island = islands.iter().find(|island| island.pages.contains(stub, 4))?;
    Some(island.word(stub))
}

/// Gives slots back, the last first, and islands that have none left.
fn give_back(stubs: impl DoubleEndedIterator<Item = Vaddr>) {
    let mut islands = ISLANDS.lock();
    for stub in stubs.rev() {
        let last = |island: &&mut Island| {
            island.pages.contains(stub, 4) && island.slot(island.used) == stub.offset(SLOT)
        };
        if let Some(island) = islands.iter_mut().find(last) {
            island.used -= 1;
        }
    }
    drop_islands(&mut islands, |island| island.used == 0);
}

fn drop_islands(islands: &mut Vec<Island>, gone: impl Fn(&Island) -> bool) {
    for island in islands.iter().filter(|island| gone(island)) {
        let (stubs, words) = island.ranges();
        text::withdraw(stubs, words);
    }
    islands.retain(|island| !gone(island));
    islands.shrink_to_fit();
}

/// A module's text is gone: so are the stubs that its sites led to.
pub fn module_gone(name: &str) {
    let loaded = modules::all();
    let gone = |island: &Island| {
        loaded.iter().all(|module| module.number != island.module || module.name == name)
    };
    drop_islands(&mut ISLANDS.lock(), gone);
}

const SITE_GONE: &str = "its call site is gone";
const STUB_GONE: &str = "its redirect stub is gone";

/// Whether all that the steps would change is as it should be: the words of the
/// sites, the target words of live stubs. Nothing is made for it.
pub fn check(steps: &[PlanStep]) -> Result<(), String> {
    let one = |target: &Target, from: Option<Vaddr>| {
        let (_, row) = tracing::site_at(target.site).ok_or(SITE_GONE)?;
        let mut batch = Batch::new("check", Why::Test);
        let words = row.plan.words(row.state).map_err(|error| error.to_string())?;
        for word in words.into_iter().flatten() {
            batch.push(0, Edit::new(word.at, word.insn, word.insn));
        }
        let mut targets = Vec::new();
        if let Some(from) = from {
            let at = row.plan.redirect.and_then(target_word).ok_or(STUB_GONE)?;
            targets.push(TargetEdit { at, expect: from.0, write: from.0 });
        }
        text::check(batch, &targets).map_err(|refusal| refusal.to_string())
    };
    for step in steps {
        let (target, from) = match step {
            PlanStep::Redirect { target, .. } => (target, None),
            PlanStep::Retarget { target, from, .. } | PlanStep::Restore { target, from } => {
                (target, Some(*from))
            }
        };
        one(target, from).map_err(|why| format!("{}: {why}", target.name))?;
    }
    Ok(())
}

/// A new stub, for a site that had none.
struct NewStub {
    site: SiteId,
    at: Vaddr,
    edits: Vec<ColdEdit>,
}

/// Stubs that were made and aimed for a plan, as long as that can be undone.
#[derive(Default)]
pub struct Aimed {
    stubs: Vec<NewStub>,
    /// How many of `stubs` are written.
    written: usize,
    /// What was stored in target words.
    targets: Vec<TargetEdit>,
}

/// Makes the redirect stubs that the steps need and have not, and aims all: one
/// record in the journal for the target words, one an island for new stubs. No
/// site changes. On an error all is as it was.
pub fn aim(who: &str, why: Why, steps: &[PlanStep]) -> Result<Aimed, String> {
    let mut aimed = Aimed::default();
    match aimed.make(who, why, steps) {
        Ok(()) => Ok(aimed),
        Err(reason) => {
            aimed.undo(who);
            Err(reason)
        }
    }
}

impl Aimed {
    fn make(&mut self, who: &str, why: Why, steps: &[PlanStep]) -> Result<(), String> {
        let mut targets = Vec::new();
        for step in steps {
            let (target, from, to) = match step {
                PlanStep::Redirect { target, to } => (target, None, to),
                PlanStep::Retarget { target, from, to } => (target, Some(*from), to),
                PlanStep::Restore { .. } => continue,
            };
            let edit = self.target_edit(target, from, *to);
            targets.push(edit.map_err(|why| format!("{}: {why}", target.name))?);
        }
        text::retarget(who, why, &targets).map_err(|refusal| refusal.to_string())?;
        self.targets = targets;
        while self.written < self.stubs.len() {
            let run = adjacent(&self.stubs[self.written..]);
            write(who, why, run, |edit| edit)?;
            self.written += run.len();
        }
        for stub in &self.stubs {
            tracing::set_redirect_stub(stub.site, stub.at);
        }
        Ok(())
    }

    /// What to store so that the target's stub, a new one if need be, leads to `to`.
    fn target_edit(
        &mut self,
        target: &Target,
        from: Option<Vaddr>,
        to: Vaddr,
    ) -> Result<TargetEdit, String> {
        let (site, row) = tracing::site_at(target.site).ok_or(SITE_GONE)?;
        if let Some(stub) = row.plan.redirect {
            let at = target_word(stub).ok_or(STUB_GONE)?;
            // A stub that is not in use may still hold any earlier target.
            let expect = from.map(|from| from.0).or_else(|| read_u64(at)).unwrap_or(0);
            return Ok(TargetEdit { at, expect, write: to.0 });
        }
        let module = modules::by_sites(site.module()).ok_or("its module is gone")?;
        let (at, word) = new_stub(&module)?;
        self.stubs.push(NewStub { site, at, edits: Vec::new() });
        let words = Stub::Redirect { word, traced: None }
            .encode(at, &modules::stub_abi(module.linked().toc))
            .map_err(|error| error.to_string())?;
        let edits = (0_i64..).zip(words.iter()).map(|(index, word)| ColdEdit {
            at: at.offset(index * 4),
            expect: Insn(0),
            write: Insn(*word),
        });
        if let Some(stub) = self.stubs.last_mut() {
            stub.edits = edits.collect();
        }
        Ok(TargetEdit { at: word, expect: 0, write: to.0 })
    }

    /// Takes all back. For stubs that no site was led to.
    pub fn undo(mut self, who: &str) {
        self.targets_back(who);
        let mut rest = &self.stubs[..self.written];
        while !rest.is_empty() {
            let run = adjacent(rest);
            let back = |ColdEdit { at, expect, write }: ColdEdit| ColdEdit {
                at,
                expect: write,
                write: expect,
            };
            if write(who, Why::PatchOff, run, back).is_err() {
                return; // somebody else's words: the slots are not used again
            }
            rest = &rest[run.len()..];
        }
        for stub in &self.stubs {
            tracing::take_redirect_stub(stub.site);
        }
        give_back(self.stubs.iter().map(|stub| stub.at));
    }

    /// Aims all as before; new stubs stay, for a call may be in one.
    pub fn undo_live(mut self, who: &str) {
        let new = |edit: &TargetEdit| edit.expect == 0;
        self.targets.retain(|edit| !new(edit));
        self.targets_back(who);
    }

    fn targets_back(&mut self, who: &str) {
        for edit in &mut self.targets {
            core::mem::swap(&mut edit.expect, &mut edit.write);
        }
        // Refused only if somebody else has aimed them since: then that counts.
        let _ = text::retarget(who, Why::PatchOff, &self.targets);
        self.targets.clear();
    }
}

/// The stubs at the beginning that follow one another without a gap.
fn adjacent(stubs: &[NewStub]) -> &[NewStub] {
    let gap = stubs.windows(2).position(|pair| pair[1].at != pair[0].at.offset(SLOT));
    &stubs[..gap.map_or(stubs.len(), |before| before + 1)]
}

/// Writes adjacent stubs, which no branch leads to, in one batch.
fn write(
    who: &str,
    why: Why,
    stubs: &[NewStub],
    how: impl Fn(ColdEdit) -> ColdEdit,
) -> Result<(), String> {
    let (Some(first), Some(last)) = (stubs.first(), stubs.last()) else { return Ok(()) };
    let proof = NotLive { first: first.at, end: last.at.offset(SLOT) };
    let edits = stubs.iter().flat_map(|stub| &stub.edits).map(|edit| how(*edit)).collect();
    let batch = Batch::cold(who, why, &proof, edits)
        .map_err(|edit| format!("{}: outside of its slot", edit.at))?;
    text::apply(batch).map(|_| ()).map_err(|refusal| refusal.to_string())
}
