//! audit, journal, selftest.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::Done;
use crate::addr::Vaddr;
use crate::isa::Insn;
use crate::kernel::{audit, modules, tracing};
use crate::kprintln;
use crate::machine::{memory, mmu, text, trap};
use crate::memory::PAGE;
use crate::mmu::Rights;
use crate::patch::journal::Why;
use crate::patch::plan::{Batch, ColdEdit, Edit, NotLive};

/// Derives every word again that was linked, and compares it with memory.
///
/// `rewrite` then stores the words of call sites once more, each over itself: for a
/// CPU that memory is right for, and that does something else (docs/testing.md).
#[optimize(size)]
pub fn audit(verbose: bool, rewrite: bool) -> Done {
    let faults = audit::all(Some(verbose), &mut |line| kprintln!("{line}"));
    if !faults.is_empty() {
        return Err(faults.join("; ").into());
    }
    if rewrite {
        let mut batch = Batch::new("audit", Why::Test);
        let words = modules::all().into_iter().flat_map(|it| tracing::planned_words(it.sites));
        words.for_each(|word| batch.push(0, Edit::new(word.at, word.insn, word.insn)));
        let words = text::apply(batch).map_err(|refusal| refusal.to_string())?;
        kprintln!("{words} words of call sites stored again");
    }
    Ok(())
}

/// Shows the last changes of text.
#[optimize(size)]
pub fn journal(timebase_hz: u64) -> Done {
    for (number, entry) in text::journal() {
        let micros = (u128::from(entry.time) * 1_000_000 / u128::from(timebase_hz.max(1))) as u64;
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

const TESTS: [Test; 5] = [
    ("alias", "text is written through windows that are gone afterwards", alias),
    ("rights", "nothing is writable and executable, not while text is written either", rights),
    ("registers", "an exception with r13 and r2 destroyed finds the kernel", registers),
    ("pages", "module pages come back whole", pages),
    ("heap", "heap blocks come back whole", heap),
];

/// Runs self-tests.
#[optimize(size)]
pub fn selftest(only: Option<&str>) -> Done {
    if let Some(name) = only
        && TESTS.iter().all(|(known, ..)| *known != name)
    {
        let names: Vec<_> = TESTS.iter().map(|(name, ..)| *name).collect();
        return Err(format!(
            "{name}: no such self-test (there are {}, and fault KIND)",
            names.join(", ")
        )
        .into());
    }
    for (name, what, test) in
        TESTS.iter().filter(|(name, ..)| only.is_none_or(|only| only == *name))
    {
        test().map_err(|why| format!("{name}: {why}"))?;
        kprintln!("{name}: {what}: ok");
    }
    Ok(())
}

#[optimize(size)]
fn registers() -> Result<(), String> {
    if trap::selftest() { Ok(()) } else { Err("r13 or r2 was not recovered".into()) }
}

/// Publishes more pages of code than can be written at once, changes a word in
/// each, and looks for ways to write it.
#[optimize(size)]
fn alias() -> Result<(), String> {
    let count = mmu::windows() + 1;
    let pages = memory::Pages::take(count * PAGE).ok_or("no memory for pages of code")?;
    let at = |page: u64| pages.start().offset((page * PAGE + page % 1024 * 4).cast_signed());
    let (first, last) = (pages.start(), pages.start().offset((count * PAGE).cast_signed()));
    let (text, none) = ((first, last), (first, first));
    text::publish("selftest", &pages, text, none);
    let edit = |page| ColdEdit { at: at(page), expect: Insn(0), write: Insn::NOP };
    let proof = NotLive { first, end: last };
    let batch = Batch::cold("selftest", Why::Test, &proof, (0..count).map(edit).collect());
    let applied = batch
        .map_err(|_| "the edit is outside".into())
        .and_then(|batch| text::apply(batch).map_err(|refusal| format!("{refusal}")));
    let wrong = (0..count).find(|page| memory::read_u32(at(*page)) != Some(Insn::NOP.0));
    let direct = memory::write_for_module(first, &[0; 4]);
    let window = |number: u64| mmu::alias_base().offset((number * PAGE).cast_signed());
    let open = (0..mmu::windows()).find(|number| memory::read_u32(window(*number)).is_some());
    text::withdraw(text, none);
    applied?;
    match (wrong, open) {
        (Some(page), _) => Err(format!("{} is not what was written", at(page))),
        (None, _) if direct && mmu::kind().is_some() => {
            Err("the text can be written where it runs".into())
        }
        (None, Some(number)) if mmu::kind().is_some() => {
            Err(format!("window {number} is still there"))
        }
        _ => Ok(()),
    }
}

/// Walks the live tables before, while and after the window lies on a page of text.
#[optimize(size)]
fn rights() -> Result<(), String> {
    if mmu::kind().is_none() {
        return Ok(());
    }
    let mut pages = memory::Pages::take(PAGE).ok_or("no memory for a page")?;
    let at = pages.start();
    pages.bytes_mut()[..4].copy_from_slice(&Insn::NOP.0.to_le_bytes());
    let (text, none) = ((at, at.offset(PAGE.cast_signed())), (at, at));
    text::publish("selftest", &pages, text, none);
    let before = check_rights(at, false);
    let during = mmu::Alias::with(|alias| {
        alias.open(at);
        check_rights(at, true)
    });
    let after = check_rights(at, false);
    text::withdraw(text, none);
    let told = |when| move |why| format!("{when}: {why}");
    before.map_err(told("before"))?;
    during.map_err(told("while text is written"))?;
    after.map_err(told("after"))
}

/// What the tables say now: nothing both writable and executable, `text` executable
/// only, and the window onto it there or not.
#[optimize(size)]
fn check_rights(text: Vaddr, window: bool) -> Result<(), String> {
    let mut bad = None;
    mmu::entries(|region| {
        if region.rights.is_none() {
            bad = bad.or(Some(region.start));
        }
    });
    if let Some(at) = bad {
        return Err(format!("{at} has rights that nobody gave"));
    }
    if mmu::rights_at(text) != Some(Rights::ReadExecute) {
        return Err(format!("{text} is text and not r-x"));
    }
    let found = mmu::window();
    match found {
        None if !window => Ok(()),
        Some(region) if window && region.rights == Some(Rights::ReadWrite) && region.to == text => {
            Ok(())
        }
        Some(region) => Err(format!("the window leads to {}", region.to)),
        None => Err("there is no window".into()),
    }
}

#[optimize(size)]
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

#[optimize(size)]
fn heap() -> Result<(), String> {
    let before = memory::usage().heap_used;
    let mut blocks: Vec<_> = (0..50).filter_map(|n| memory::Block::take(n * 37)).collect();
    blocks.swap(3, 40);
    drop(blocks);
    let after = memory::usage().heap_used;
    if after == before { Ok(()) } else { Err(format!("{before} bytes used before, {after} after")) }
}
