//! audit, journal, selftest.

use alloc::format;
use alloc::string::String;

use super::Done;
use crate::addr::Vaddr;
use crate::isa::Insn;
use crate::kernel::modules::{self, Module};
use crate::kernel::tracing;
use crate::kprintln;
use crate::loader::Group;
use crate::machine::{memory, text, trap};

/// Derives every word of every module's text again and compares it with memory.
/// A word that differs must be one that its call site's state explains.
pub fn audit() -> Done {
    let mut drifted = 0;
    for module in modules::all() {
        let image = modules::relink(&module)?;
        let (mut same, mut patched) = (0_u64, 0_u64);
        for group in [Group::InitText, Group::Text] {
            let span = module.layout.group(group);
            let bytes = &image[span.offset as usize..span.end() as usize];
            for (index, expected) in bytes.as_chunks::<4>().0.iter().enumerate() {
                let at = module.range(span).0.offset(index as i64 * 4);
                let expected = u32::from_le_bytes(*expected);
                let found = memory::read_u32(at).unwrap_or(0);
                if found == expected {
                    same += 1;
                } else if explained(&module, at, found) {
                    patched += 1;
                } else {
                    drifted += 1;
                    kprintln!("{at} {}: expected {expected:08x}, found {found:08x}", module.name);
                }
            }
        }
        kprintln!("{}: {same} words as linked, {patched} patched", module.name);
    }
    if drifted > 0 {
        return Err(format!("{drifted} words differ and nobody planned it (see journal)").into());
    }
    Ok(())
}

/// True if the state of a call site says that this word is here.
fn explained(module: &Module, at: Vaddr, found: u32) -> bool {
    tracing::planned_words(module.sites)
        .iter()
        .any(|word| word.at == at && word.insn.insn() == Insn(found))
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

const TESTS: [Test; 3] = [
    ("registers", "an exception with r13 and r2 destroyed finds the kernel", registers),
    ("pages", "module pages come back whole", pages),
    ("heap", "heap blocks come back whole", heap),
];

/// Runs self-tests.
pub fn selftest(only: Option<&str>) -> Done {
    if let Some(name) = only
        && TESTS.iter().all(|(known, ..)| *known != name)
    {
        let names: alloc::vec::Vec<_> = TESTS.iter().map(|(name, ..)| *name).collect();
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

fn pages() -> Result<(), String> {
    let before = memory::usage().pages_free;
    let taken: alloc::vec::Vec<_> = (1..20).filter_map(|n| memory::Pages::take(n * 5000)).collect();
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
    let mut blocks: alloc::vec::Vec<_> =
        (0..50).filter_map(|n| memory::Block::take(n * 37)).collect();
    blocks.swap(3, 40);
    drop(blocks);
    let after = memory::usage().heap_used;
    if after == before { Ok(()) } else { Err(format!("{before} bytes used before, {after} after")) }
}
