//! explain: what is there and why, in two or three sentences with the live numbers.
//!
//! The reasons are `loader::explain::why`'s; here they get the addresses. Frames and
//! oopses: `kernel::oops::last`.

use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;

use super::{Done, dis, relocs};
use crate::addr::Vaddr;
use crate::isa::{Insn, branch};
use crate::kernel::modules::{self, Module};
use crate::kernel::{oops, symbols, tracing};
use crate::kprintln;
use crate::loader::SiteKind;
use crate::loader::explain::why;
use crate::loader::stubs::{Retarget, StubKind};
use crate::machine::{boot, memory};
use crate::patch::state::{Shape, SiteState};
use crate::shell::command::{Target, Topic};

/// Bytes of the kernel's out-of-line stubs, each of which begins at a multiple.
const OUT_OF_LINE: u64 = StubKind::OutOfLine.slot_bytes();

/// Explains what was asked for.
#[optimize(size)]
pub fn explain(topic: Topic, target: Option<&Target>, number: u64) -> Done {
    match (topic, target) {
        (Topic::Reloc, Some(Target::Symbol(module))) => {
            relocs::explain(&module.name, number, true)?
        }
        (Topic::Stub, Some(Target::Addr(at))) if stub(*at, "", false) => {}
        (Topic::Call, Some(target)) => calls(target)?,
        (Topic::Frame, _) => oops::last::explain_frame(),
        (Topic::Oops, _) => oops::last::explain(),
        _ => return Err(String::from("no stub there (see stubs MOD)").into()),
    }
    Ok(())
}

/// A branch at an address, or all calls in a function and its site.
#[optimize(size)]
fn calls(target: &Target) -> Result<(), String> {
    let (start, end) = dis::extent(target)?;
    let end = end.unwrap_or(start.offset(4));
    let (mut at, mut none) = (start, true);
    while at < end {
        let Some(word) = memory::read_u32(at) else { return dis::line(at).map(drop) };
        let word = Insn(word);
        // A branch inside the function is no call.
        let mut to = branch::target_of(word, at)
            .filter(|to| !(start..end).contains(to) || branch::is_call(word));
        let row = tracing::site_at(at).map(|(_, row)| row);
        let pointer = why::through_ctr(word);
        if row.is_some() || to.is_some() || pointer.is_some() {
            none = false;
            dis::line(at)?;
        }
        if let Some(why) = pointer {
            kprintln!("  {why}");
        }
        let (mut head, mut late) = ("  ", false);
        if let Some(row) = row {
            kprintln!("  {}", why::site(row.kind));
            late = row.kind == SiteKind::Late;
            if row.state == SiteState::OFF {
                head = "  traced, it would lead to ";
                to = Some(match row.plan.shape {
                    Shape::Patchable { ool } => ool,
                    Shape::Early | Shape::Late => row.plan.profile,
                });
            }
        }
        if let Some(to) = to {
            leads(at, to, head, late);
        }
        at = at.offset(4);
    }
    if none { Err(format!("{start}: no call there (see dis)")) } else { Ok(()) }
}

/// Where a branch at `at` leads; `late`: behind the prologue, for the hook.
#[optimize(size)]
fn leads(at: Vaddr, to: Vaddr, head: &str, late: bool) {
    if stub(to, head, late) {
        return;
    }
    let same = match (modules::containing(at), modules::containing(to)) {
        (Some(home), Some(there)) if home.number != there.number => {
            ": burnt in by a live patch, so past its redirect stub"
        }
        (Some(_), Some(there)) if there.function_at(to).is_some_and(|(_, at, _)| at != to) => {
            ": the same TOC, so no stub, and to the local entry"
        }
        (Some(_), Some(_)) => ": the same module, so no stub",
        _ => "",
    };
    kprintln!("{head}{}{same}", symbols::place(to, None).unwrap_or_default());
}

/// The module whose stub contains an address, and where the stub begins.
#[optimize(size)]
fn whose(at: Vaddr) -> Option<(Arc<Module>, Vaddr)> {
    if let Some((sites, stub)) = tracing::redirect_stub_at(at) {
        return Some((modules::by_sites(sites)?, stub));
    }
    let module = modules::containing(at)?;
    let start = module.linked().stubs.containing(at)?.at;
    Some((module, start))
}

/// Tells of the stub that contains an address, behind `head`; false if there is none.
#[inline(never)]
#[optimize(size)]
fn stub(at: Vaddr, head: &str, late: bool) -> bool {
    let (of, kind, to, start, toc) = if let Some(((of, kind, to), (module, start))) =
        symbols::stub(at).zip(whose(at))
    {
        (of, kind, to, start, module.linked().toc)
    } else {
        let (first, end) = boot::stubs();
        if !(first..end).contains(&at) {
            return false;
        }
        let slot = Vaddr(at.0 / OUT_OF_LINE * OUT_OF_LINE);
        let redirect = tracing::redirect_stub_at(at).map(|(_, stub)| (StubKind::Redirect, stub));
        let (kind, start) = redirect.unwrap_or((StubKind::OutOfLine, slot));
        (String::new(), kind, String::new(), start, boot::kernel_toc())
    };
    let found = modules::recognise(toc, start);
    if of.is_empty() && found.is_none() {
        return false; // kept for a site to come
    }
    let target = found.as_ref().and_then(|found| found.target);
    let to = target.filter(|_| to.is_empty()).map_or(to, symbols::qualified);
    let of = if of.is_empty() { "the kernel" } else { &of };
    let why = if late { why::LATE } else { why::stub(kind) };
    kprintln!("{head}{start}, {kind} stub of {of} to {to}\n  it {why}");
    if let (Some(found), Some(target)) = (found, target) {
        let (place, at) = match found.stub.retarget(start) {
            Retarget::Word(word) => ("the doubleword at ", word),
            Retarget::Branch(word) => ("its own bl at ", word),
            Retarget::Never => ("its own words from ", start),
        };
        let (through, toc) = match kind {
            StubKind::Missing | StubKind::OutOfLine => ("itself, ", start),
            _ if kind.saves_r2() || kind == StubKind::Sibling => ("r2, the module's TOC ", toc),
            _ => ("the PACA (r13), where the kernel's TOC is: ", boot::kernel_toc()),
        };
        kprintln!("  target {target} in {place}{at}, found through {through}{toc}");
        if kind == StubKind::OutOfLine {
            stub(target, "  there ", false);
        }
    }
    true
}
