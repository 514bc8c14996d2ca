//! audit, journal, selftest.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::Done;
use crate::isa::Insn;
use crate::kernel::audit;
use crate::kprintln;
use crate::machine::{memory, mmu, text, trap};
use crate::memory::PAGE;
use crate::patch::journal::Why;
use crate::patch::plan::{Batch, ColdEdit, NotLive};

/// Derives every word again that was linked, and compares it with memory.
pub fn audit(verbose: bool) -> Done {
    match audit::all(Some(verbose), &mut |line| kprintln!("{line}")).as_slice() {
        [] => Ok(()),
        faults => Err(faults.join("; ").into()),
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
