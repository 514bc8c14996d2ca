//! Islands: pages of redirect stubs near the modules that are patched, or the kernel.
//!
//! ```text
//!   [ stub, chooser ][ stub, chooser ]...   a page of stubs, within reach of the sites
//!   [ target, sides ][ target, sides ]...   a page of their words
//! ```
//!
//! A target word leads to what the function is replaced with; to the chooser while the
//! function changes over; behind the function's site when no patch is left, for a call
//! that has come to the stub already.
//!
//! # Invariants
//! - A stub that a site was led to stays while its module is loaded: a call may
//!   be in it. One that no branch has led to yet is given back by [`Aimed::undo`]. The
//!   kernel stays for ever, and has room for 32: those that are not in use are given back
//!   when a patch goes, for which every CPU has left all stubs ([`give_back_idle`]).
//! - A slot's stub is zero until it is taken, and again when it is given back. What its
//!   words lead to then counts only when the next one has set them.
//! - The islands' lock is taken before the site table's and the text engine's.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::addr::Vaddr;
use crate::isa::Insn;
use crate::kernel::modules;
use crate::kernel::{own, tracing};
use crate::livepatch::set::{PlanStep, Target};
use crate::loader::stubs::choose::{self, choose};
use crate::loader::stubs::{Stub, StubKind};
use crate::machine::boot;
use crate::machine::lock::{Mutex, briefly};
use crate::machine::memory::{Pages, read_u64};
use crate::machine::{paca, text};
use crate::memory::PAGE;
use crate::patch::journal::Why;
use crate::patch::plan::{Batch, ColdEdit, Edit, NotLive, TargetEdit};
use crate::patch::state::SiteState;
use crate::trace::sites::SiteId;

/// How far an island may lie from its module's text: `bl` reaches 32 MiB both
/// ways, from the site and from the stub back to the module's other stubs.
const NEAR: i64 = 0x100_0000;

/// Bytes of the redirect stub in a slot; the chooser follows it.
const STUB: i64 = StubKind::Redirect.slot_bytes().cast_signed();

/// Bytes of a slot.
const SLOT: i64 = 128;
const _: () = assert!(STUB + choose::WORDS as i64 * 4 <= SLOT);

/// Bytes of the words of a slot.
const WORDS: i64 = 32;

/// What stands for the kernel where a module's number does.
const KERNEL: u32 = u32::MAX;

static ISLANDS: Mutex<Vec<Island>> = Mutex::new(Vec::new());

/// Whose functions an island serves.
struct Home {
    number: u32,
    name: String,
    text: (Vaddr, Vaddr),
    toc: Vaddr,
}

impl Home {
    #[optimize(size)]
    fn of(site: SiteId) -> Option<Self> {
        if own::is(site.module()) {
            let (name, text, toc) = (own::NAME.to_string(), boot::text(), boot::kernel_toc());
            return Some(Self { number: KERNEL, name, text, toc });
        }
        let module = modules::by_sites(site.module())?;
        let (name, text, toc) = (module.name.clone(), module.text(), module.linked().toc);
        Some(Self { number: module.number, name, text, toc })
    }
}

/// Redirect stubs for one module, or for the kernel.
struct Island {
    module: u32,
    start: Vaddr,
    /// What is given back with it; the kernel's own is a part of the image.
    _pages: Option<Pages>,
    /// A bit for each slot that is taken.
    used: u32,
}

const _: () = assert!(PAGE as i64 / SLOT == u32::BITS as i64);

impl Island {
    #[optimize(size)]
    fn new(home: &Home) -> Option<Self> {
        let (start, end) = home.text;
        if home.number == KERNEL {
            let start = boot::island().0;
            let island = Self { module: home.number, start, _pages: None, used: 0 };
            text::adopt_targets(island.ranges().1);
            return Some(island);
        }
        let low = Vaddr(end.0.saturating_sub(NEAR as u64));
        let pages = Pages::take_within(2 * PAGE, low, start.offset(NEAR))?;
        let island = Self { module: home.number, start: pages.start(), _pages: None, used: 0 };
        let (stubs, words) = island.ranges();
        text::publish(&home.name, &pages, stubs, words);
        Some(Self { _pages: Some(pages), ..island })
    }

    /// True if the address lies in its stubs or words.
    fn contains(&self, at: Vaddr) -> bool {
        at >= self.start && at < self.ranges().1.1
    }

    /// The stubs' page and the target words' page.
    fn ranges(&self) -> ((Vaddr, Vaddr), (Vaddr, Vaddr)) {
        let start = self.start;
        let middle = start.offset(PAGE.cast_signed());
        ((start, middle), (middle, middle.offset(PAGE.cast_signed())))
    }

    /// The target word of the stub at `stub`.
    fn word(&self, stub: Vaddr) -> Vaddr {
        let ((stubs, _), (words, _)) = self.ranges();
        words.offset(stub.since(stubs) / SLOT * WORDS)
    }

    /// A free slot.
    fn take_slot(&mut self) -> Option<Vaddr> {
        let free = self.used.trailing_ones();
        self.used |= 1u32.checked_shl(free)?;
        Some(self.start.offset(i64::from(free) * SLOT))
    }
}

/// A module's name, its redirect stubs, and their target words.
pub type IslandPlace = (String, (Vaddr, Vaddr), (Vaddr, Vaddr));

/// Every island.
#[optimize(size)]
pub fn islands() -> Vec<IslandPlace> {
    let modules = modules::all();
    let name = |number| match modules.iter().find(|module| module.number == number) {
        Some(module) => module.name.clone(),
        None if number == KERNEL => own::NAME.to_string(),
        None => String::new(),
    };
    let islands = ISLANDS.lock();
    let place = |island: &Island| {
        let (stubs, words) = island.ranges();
        (name(island.module), stubs, words)
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
    islands.is_some_and(|islands| islands.iter().any(|island| island.contains(at)))
}

/// A free slot in an island of its home.
#[optimize(size)]
fn new_stub(home: &Home) -> Result<Vaddr, String> {
    let mut islands = ISLANDS.lock();
    let mut own = islands.iter_mut().filter(|island| island.module == home.number);
    if let Some(slot) = own.find_map(Island::take_slot) {
        return Ok(slot);
    }
    if home.number == KERNEL && islands.iter().any(|island| island.module == KERNEL) {
        return Err("32 functions of the kernel are patched (unload one's patch first)".into());
    }
    let mut island = Island::new(home).ok_or_else(|| {
        format!(
            "no room for redirect stubs within 16 MiB of {}; unload what lies near it",
            home.name
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
    let island = islands.iter().find(|island| island.contains(stub))?;
    Some(island.word(stub))
}

/// Gives slots back, and islands that have none left.
#[optimize(size)]
fn give_back(stubs: &[NewStub]) {
    let mut islands = ISLANDS.lock();
    for stub in stubs {
        if let Some(island) = islands.iter_mut().find(|island| island.contains(stub.at)) {
            island.used &= !(1 << (stub.at.since(island.start) / SLOT));
        }
    }
    drop_islands(&mut islands, |island| island.used == 0 && island.module != KERNEL);
}

/// Gives the kernel's slots back that no patch has a use for. Every CPU has been seen
/// outside of all stubs since their sites were switched off.
#[optimize(size)]
pub fn give_back_idle(who: &str) {
    for index in 0..i64::from(u32::BITS) {
        let at = boot::island().0.offset(index * SLOT);
        let Some(word) = target_word(at) else { return };
        let behind = read_u64(word).unwrap_or(0);
        if let Some((site, row)) = tracing::site_at(Vaddr(behind).offset(-4))
            && row.plan.redirect == Some(at)
            && !row.state.contains(SiteState::REDIRECTED)
        {
            let stubs = [NewStub { site, at, toc: boot::kernel_toc() }].into();
            Aimed { stubs, written: 1, ..Aimed::default() }.undo(who);
        }
    }
}

#[optimize(size)]
fn drop_islands(islands: &mut Vec<Island>, gone: impl Fn(&Island) -> bool) {
    for island in islands.iter().filter(|island| gone(island)) {
        let (stubs, words) = island.ranges();
        text::withdraw(stubs, words);
    }
    islands.retain(|island| !gone(island));
    islands.shrink_to_fit();
}

/// A module's text is gone: so are the stubs that its sites led to.
#[optimize(size)]
pub fn module_gone(name: &str) {
    let loaded = modules::all();
    let gone = |island: &Island| {
        island.module != KERNEL
            && loaded.iter().all(|module| module.number != island.module || module.name == name)
    };
    drop_islands(&mut ISLANDS.lock(), gone);
}

const SITE_GONE: &str = "its call site is gone";
const STUB_GONE: &str = "its redirect stub is gone";

/// The chooser of a redirect stub, and the two words that it chooses from.
pub fn chooser(stub: Vaddr) -> Option<(Vaddr, Vaddr)> {
    Some((stub.offset(STUB), target_word(stub)?.offset(8)))
}

/// A function that changes over.
#[derive(Clone, Debug)]
pub struct Change {
    /// The function.
    pub target: Target,
    /// What runs before; `None` is the function itself.
    pub from: Option<Vaddr>,
    /// What runs afterwards.
    pub to: Option<Vaddr>,
}

impl Change {
    /// What a plan's step changes.
    #[optimize(size)]
    pub fn of(step: &PlanStep) -> Self {
        let (from, to) = step.ends();
        Self { target: step.target().clone(), from, to }
    }

    /// The same the other way round.
    pub fn turn(&mut self) {
        core::mem::swap(&mut self.from, &mut self.to);
    }
}

/// Where a call goes: into a replacement, or behind the function's own site.
pub fn destination(target: &Target, replacement: Option<Vaddr>) -> Vaddr {
    replacement.unwrap_or(target.site.offset(4))
}

/// Whether all that the steps would change is as it should be: the words of the
/// sites, the target words of live stubs. Nothing is made for it.
#[optimize(size)]
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
        let from = match step {
            PlanStep::Redirect { .. } | PlanStep::Arrive { .. } => None,
            PlanStep::Retarget { from, .. } | PlanStep::Restore { from, .. } => Some(*from),
        };
        one(step.target(), from).map_err(|why| format!("{}: {why}", step.target().name))?;
    }
    Ok(())
}

/// A new stub, for a site that had none.
struct NewStub {
    site: SiteId,
    at: Vaddr,
    toc: Vaddr,
}

/// Stubs that were made and aimed for a change, as long as that can be undone.
#[derive(Default)]
pub struct Aimed {
    stubs: Vec<NewStub>,
    /// How many of `stubs` are written.
    written: usize,
    /// What was stored in the words of stubs, in this order.
    stored: Vec<Vec<TargetEdit>>,
}

/// Makes the redirect stubs that the changes need and have not, and aims all at their
/// choosers, whose side `side` leads to what was and the other to what will be. One
/// record in the journal for the sides, one for the targets, one for new stubs. No
/// site changes. On an error all is as it was.
#[optimize(size)]
pub fn aim(who: &str, why: Why, changes: &[Change], side: u64) -> Result<Aimed, String> {
    let mut aimed = Aimed::default();
    match aimed.make(who, why, changes, side) {
        Ok(()) => Ok(aimed),
        Err(reason) => {
            aimed.undo(who);
            Err(reason)
        }
    }
}

/// Aims the stubs past their choosers, at what is to run from now on.
#[optimize(size)]
pub fn settle(who: &str, why: Why, changes: &[Change]) -> Result<(), String> {
    let edit = |change: &Change| {
        let (_, row) = tracing::site_at(change.target.site)?;
        let at = target_word(row.plan.redirect?)?;
        let expect = read_u64(at)?;
        let write = destination(&change.target, change.to).0;
        (expect != write).then_some(TargetEdit { at, expect, write })
    };
    let edits: Vec<_> = changes.iter().filter_map(edit).collect();
    text::retarget(who, why, &edits).map_err(|refusal| refusal.to_string())
}

impl Aimed {
    #[optimize(size)]
    fn make(&mut self, who: &str, why: Why, changes: &[Change], side: u64) -> Result<(), String> {
        let (mut sides, mut targets) = (Vec::new(), Vec::new());
        for change in changes {
            let stub = self
                .stub_of(&change.target)
                .map_err(|reason| format!("{}: {reason}", change.target.name))?;
            let word = target_word(stub).ok_or(STUB_GONE)?;
            let (chooser, both) = chooser(stub).ok_or(STUB_GONE)?;
            let [from, to] =
                [change.from, change.to].map(|side| destination(&change.target, side).0);
            for (place, write) in [(side as i64, from), (8 - side as i64, to)] {
                let at = both.offset(place);
                sides.push(TargetEdit { at, expect: read_u64(at).unwrap_or(0), write });
            }
            // A stub that is not in use may still hold any earlier target.
            let now = read_u64(word).unwrap_or(0);
            let expect = change.from.filter(|_| now != 0).map_or(now, |from| from.0);
            let write = if from == to { to } else { chooser.0 };
            targets.push(TargetEdit { at: word, expect, write });
        }
        for edits in [sides, targets] {
            text::retarget(who, why, &edits).map_err(|refusal| refusal.to_string())?;
            self.stored.push(edits);
        }
        while self.written < self.stubs.len() {
            let run = adjacent(&self.stubs[self.written..]);
            write(who, why, run, false)?;
            self.written += run.len();
        }
        for stub in &self.stubs {
            tracing::set_redirect_stub(stub.site, stub.at);
        }
        Ok(())
    }

    /// The redirect stub of a function, a new one if need be.
    #[optimize(size)]
    fn stub_of(&mut self, target: &Target) -> Result<Vaddr, String> {
        let (site, row) = tracing::site_at(target.site).ok_or(SITE_GONE)?;
        if let Some(stub) = row.plan.redirect {
            return Ok(stub);
        }
        let home = Home::of(site).ok_or("its module is gone")?;
        let at = new_stub(&home)?;
        self.stubs.push(NewStub { site, at, toc: home.toc });
        Ok(at)
    }

    /// Takes all back. For stubs that no site was led to.
    #[optimize(size)]
    pub fn undo(mut self, who: &str) {
        while let Some(mut edits) = self.stored.pop() {
            edits.iter_mut().for_each(|edit| *edit = edit.back());
            // Refused only if somebody else has aimed them since: then that counts.
            let _ = text::retarget(who, Why::PatchOff, &edits);
        }
        let mut rest = &self.stubs[..self.written];
        while !rest.is_empty() {
            let run = adjacent(rest);
            if write(who, Why::PatchOff, run, true).is_err() {
                return; // somebody else's words: the slots are not used again
            }
            rest = &rest[run.len()..];
        }
        for stub in &self.stubs {
            tracing::take_redirect_stub(stub.site);
        }
        give_back(&self.stubs);
    }
}

/// The words of a slot that are not 0: the redirect stub at `stub`, whose target is at
/// `word`, and its chooser.
#[optimize(size)]
pub fn words(stub: Vaddr, word: Vaddr, toc: Vaddr) -> Result<Vec<(Vaddr, Insn)>, String> {
    let abi = modules::stub_abi(toc);
    let redirect = Stub::Redirect { word, traced: None }
        .encode(stub, &abi)
        .map_err(|error| error.to_string())?;
    let chooser = choose(word.offset(8), paca::offset::PATCH_SIDE, &abi)
        .map_err(|_| format!("{stub}: its chooser does not reach its words"))?;
    let place = |at: Vaddr| move |index: usize| at.offset(index as i64 * 4);
    let first = redirect.iter().enumerate().map(|(index, word)| (place(stub)(index), Insn(*word)));
    let second =
        chooser.iter().enumerate().map(|(index, word)| (place(stub.offset(STUB))(index), *word));
    Ok(first.chain(second).collect())
}

/// The stubs at the beginning that follow one another without a gap.
fn adjacent(stubs: &[NewStub]) -> &[NewStub] {
    let gap = stubs.windows(2).position(|pair| pair[1].at != pair[0].at.offset(SLOT));
    &stubs[..gap.map_or(stubs.len(), |before| before + 1)]
}

/// Writes adjacent stubs, which no branch leads to, in one batch; or takes them back.
#[optimize(size)]
fn write(who: &str, why: Why, stubs: &[NewStub], back: bool) -> Result<(), String> {
    let (Some(first), Some(last)) = (stubs.first(), stubs.last()) else { return Ok(()) };
    let proof = NotLive { first: first.at, end: last.at.offset(SLOT) };
    let mut edits = Vec::new();
    for stub in stubs {
        let word = target_word(stub.at).ok_or(STUB_GONE)?;
        for (at, write) in words(stub.at, word, stub.toc)? {
            let edit = ColdEdit { at, expect: Insn(0), write };
            edits.push(if back { edit.back() } else { edit });
        }
    }
    let batch = Batch::cold(who, why, &proof, edits)
        .map_err(|edit| format!("{}: outside of its slot", edit.at))?;
    text::apply(batch).map(|_| ()).map_err(|refusal| refusal.to_string())
}
