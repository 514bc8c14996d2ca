//! audit, journal, selftest.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::Done;
use crate::addr::Vaddr;
use crate::isa::Insn;
use crate::kernel::modules::{self, Module};
use crate::kernel::{livepatch, tracing};
use crate::kprintln;
use crate::loader::Group;
use crate::loader::stubs::Stub;
use crate::machine::{memory, mmu, text, trap};
use crate::memory::PAGE;
use crate::patch::journal::Why;
use crate::patch::plan::{Batch, ColdEdit, NotLive};
use crate::patch::state::{SiteState, Word};
use crate::trace::sites::Row;

/// Derives every word of every module's text again, with its stubs, their target
/// words and what live patches added, and compares it with memory. A word that
/// differs must be one that its call site's state explains.
pub fn audit() -> Done {
    let mut drifted = 0;
    for module in modules::all() {
        let image = modules::relink(&module)?;
        let mut audited = Audit {
            module: &module,
            planned: tracing::planned_words(module.sites),
            same: 0,
            patched: 0,
            drifted: 0,
        };
        for group in [Group::InitText, Group::Text] {
            let span = module.layout.group(group);
            let bytes = image.get(span.offset as usize..span.end() as usize).unwrap_or_default();
            audited.text(module.range(span).0, bytes);
        }
        let span = module.layout.targets;
        let bytes = image.get(span.offset as usize..span.end() as usize).unwrap_or_default();
        for (index, expected) in bytes.as_chunks::<8>().0.iter().enumerate() {
            let at = module.range(span).0.offset(index as i64 * 8);
            audited.target(at, u64::from_le_bytes(*expected));
        }
        drop(image);
        for (stub, row) in tracing::redirect_stubs(module.sites) {
            audited.redirect_stub(stub, &row)?;
        }
        let Audit { same, patched, .. } = audited;
        drifted += audited.drifted;
        kprintln!("{}: {same} words as linked, {patched} patched", module.name);
    }
    if drifted > 0 {
        return Err(format!("{drifted} words differ and nobody planned it (see journal)").into());
    }
    Ok(())
}

/// The audit of one module.
struct Audit<'m> {
    module: &'m Module,
    /// What the states of its call sites say, by rising address.
    planned: Vec<Word>,
    same: u64,
    patched: u64,
    drifted: u64,
}

impl Audit<'_> {
    /// Instructions from `at` on, as linked.
    fn text(&mut self, at: Vaddr, expected: &[u8]) {
        for (index, expected) in expected.as_chunks::<4>().0.iter().enumerate() {
            self.word(at.offset(index as i64 * 4), u32::from_le_bytes(*expected));
        }
    }

    fn word(&mut self, at: Vaddr, linked: u32) {
        let found = memory::read_u32(at);
        let planned = self.planned.binary_search_by_key(&at, |word| word.at).ok();
        let expected = planned.map_or(linked, |index| self.planned[index].insn.insn().0);
        if found != Some(expected) {
            self.drifted += 1;
            let found = found.map_or("nothing readable".to_string(), |word| format!("{word:08x}"));
            kprintln!("{at} {}: expected {expected:08x}, found {found}", self.module.name);
        } else if expected == linked {
            self.same += 1;
        } else {
            self.patched += 1;
        }
    }

    /// The data word of a stub. Only words of text are counted.
    fn target(&mut self, at: Vaddr, expected: u64) {
        let found = memory::read_u64(at);
        if found == Some(expected) {
            return;
        }
        self.drifted += 1;
        let found = found.map_or("nothing readable".to_string(), |word| format!("{word:016x}"));
        kprintln!("{at} {}: expected {expected:016x}, found {found}", self.module.name);
    }

    /// A stub that live patching made, and where it leads while it is used.
    fn redirect_stub(&mut self, stub: Vaddr, row: &Row) -> Result<(), String> {
        let name = &self.module.name;
        let word = livepatch::islands::target_word(stub);
        let word = word.ok_or_else(|| format!("{stub} {name}: its redirect stub is gone"))?;
        let abi = modules::stub_abi(self.module.linked().toc);
        let words = Stub::Redirect { word, traced: None }
            .encode(stub, &abi)
            .map_err(|error| format!("{stub} {name}: {error}"))?;
        for (index, word) in (0_i64..).zip(words.iter()) {
            self.word(stub.offset(index * 4), *word);
        }
        if row.state.contains(SiteState::REDIRECTED) {
            let entry = self.module.function_at(row.at).map(|(_, entry, _)| entry);
            // Zero, which no function is at, if no patch says so.
            let to = entry.and_then(livepatch::replacement).unwrap_or_default();
            self.target(word, to.0);
        }
        Ok(())
    }
}

/// Shows the last changes of text.
pub fn journal(timebase_hz: u64) -> Done {
    for (number, entry) in text::journal() {
        let micros = u128::from(entry.time) * 1_000_000 / u128::from(timebase_hz.max(1));
        kprintln!(
            "{number} {}.{:06} {} {} {} words {}..{} {}",
            micros / 1_000_000,
            micros % 1_000_000,
            entry.who.as_str(),
            entry.why,
            entry.count,
            entry.first,
            entry.last,
            entry.kind,
        );
    }
    Ok(())
}

/// A self-test: its name, what it shows, the test.
type Test = (&'static str, &'static str, fn() -> Result<(), String>);

const TESTS: [Test; 4] = [
    ("alias", "text is written through a window that is gone afterwards", alias),
    ("registers", "an exception with r13 and r2 destroyed finds the kernel", registers),
    ("pages", "module pages come back whole", pages),
    ("heap", "heap blocks come back whole", heap),
];

/// Runs self-tests.
pub fn selftest(only: Option<&str>) -> Done {
    if let Some(name) = only
        && TESTS.iter().all(|(known, ..)| *known != name)
    {
        let names: Vec<_> = TESTS.iter().map(|(name, ..)| *name).collect();
        return Err(format!("{name}: no such self-test (there are {})", names.join(", ")).into());
    }
    for (name, what, test) in
        TESTS.iter().filter(|(name, ..)| only.is_none_or(|only| only == *name))
    {
        test().map_err(|why| format!("{name}: {why}"))?;
        kprintln!("{name}: {what}: ok");
    }
    Ok(())
}

fn registers() -> Result<(), String> {
    if trap::selftest() { Ok(()) } else { Err("r13 or r2 was not recovered".into()) }
}

/// Publishes a page of code, changes a word of it, and looks for ways to write it.
fn alias() -> Result<(), String> {
    const BLR: u32 = 0x4e80_0020;
    let mut pages = memory::Pages::take(PAGE).ok_or("no memory for a page")?;
    let at = pages.start();
    pages.bytes_mut()[..8].copy_from_slice(&[BLR.to_le_bytes(), BLR.to_le_bytes()].concat());
    let (text, none) = ((at, at.offset(PAGE.cast_signed())), (at, at));
    text::publish("selftest", &pages, text, none, none);
    let edit = ColdEdit { at, expect: Insn(BLR), write: Insn::NOP };
    let proof = NotLive { first: at, end: at.offset(4) };
    let batch = Batch::cold("selftest", Why::Test, &proof, alloc::vec![edit]);
    let applied = batch
        .map_err(|_| "the edit is outside".into())
        .and_then(|batch| text::apply(batch).map_err(|refusal| format!("{refusal}")));
    let found = memory::read_u32(at);
    let direct = memory::write_for_module(at, &[0; 4]);
    let window = memory::read_u32(mmu::alias_base());
    text::withdraw(text, none);
    applied?;
    match (found, direct, window) {
        (Some(word), false, None) if word == Insn::NOP.0 => Ok(()),
        (Some(word), false, None) => Err(format!("{word:08x} is there, and not a nop")),
        (_, true, _) if mmu::kind().is_some() => {
            Err("the text can be written where it runs".into())
        }
        (_, _, Some(_)) if mmu::kind().is_some() => Err("the window is still there".into()),
        _ => Ok(()),
    }
}

fn pages() -> Result<(), String> {
    let before = memory::usage().pages_free;
    let taken: Vec<_> = (1..20).filter_map(|n| memory::Pages::take(n * 5000)).collect();
    let used = before - memory::usage().pages_free;
    let wanted: u64 = taken.iter().map(memory::Pages::size).sum();
    drop(taken);
    let after = memory::usage().pages_free;
    if used == wanted && after == before {
        Ok(())
    } else {
        Err(format!("{wanted} bytes wanted, {used} taken, {before} free before, {after} after"))
    }
}

fn heap() -> Result<(), String> {
    let before = memory::usage().heap_used;
    let mut blocks: Vec<_> = (0..50).filter_map(|n| memory::Block::take(n * 37)).collect();
    blocks.swap(3, 40);
    drop(blocks);
    let after = memory::usage().heap_used;
    if after == before { Ok(()) } else { Err(format!("{before} bytes used before, {after} after")) }
}
