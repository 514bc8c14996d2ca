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
use crate::loader::explain::why;
use crate::loader::stubs::{Retarget, StubKind};
use crate::machine::memory;
use crate::patch::state::SiteState;
use crate::shell::command::{Target, Topic};

/// Explains what was asked for.
#[optimize(size)]
pub fn explain(topic: Topic, target: Option<&Target>, number: u64) -> Done {
    match (topic, target) {
        (Topic::Reloc, Some(Target::Symbol(module))) => {
            relocs::explain(&module.name, number, true)?
        }
        (Topic::Stub, Some(Target::Addr(at))) if stub(*at, "") => {}
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
        let word = Insn(memory::read_u32(at).unwrap_or(0));
        // A branch inside the function is no call.
        let to = branch::target_of(word, at)
            .filter(|to| !(start..end).contains(to) || branch::is_call(word));
        let row = tracing::site_at(at).map(|(_, row)| row);
        if row.is_some() || to.is_some() {
            none = false;
            dis::line(at)?;
        }
        let mut head = "  ";
        let mut to = to;
        if let Some(row) = row {
            kprintln!("  {}", why::site(row.kind));
            if row.state == SiteState::OFF {
                (head, to) = ("  traced, it would lead to ", Some(row.plan.profile));
            }
        }
        if let Some(to) = to {
            leads(at, to, head);
        }
        at = at.offset(4);
    }
    if none { Err(format!("{start}: no call there (see dis)")) } else { Ok(()) }
}

/// Where a branch at `at` leads.
#[optimize(size)]
fn leads(at: Vaddr, to: Vaddr, head: &str) {
    if stub(to, head) {
        return;
    }
    let home = modules::containing(at).filter(|home| home.is_code(to));
    let same =
        if home.is_some() { ": the same TOC, so no stub, and to the local entry" } else { "" };
    kprintln!("{head}{}{same}", symbols::place(to, None).unwrap_or_default());
}

/// The module whose stub contains an address, and where that begins.
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
fn stub(at: Vaddr, head: &str) -> bool {
    let (Some((of, kind, to)), Some((module, start))) = (symbols::stub(at), whose(at)) else {
        return false;
    };
    let why = why::stub(kind);
    kprintln!("{head}{start}, {kind} stub of {of} to {to}\n  it {why}");
    if let Some(found) = modules::recognise(&module, start) {
        let abi = modules::stub_abi(module.linked().toc);
        let (place, at) = match found.stub.retarget(start) {
            Retarget::Word(word) => ("the doubleword at ", word),
            Retarget::Branch(word) => ("its own bl at ", word),
            Retarget::Never => ("its own words from ", start),
        };
        let (through, toc) = match kind {
            StubKind::Missing | StubKind::OutOfLine => ("itself, ", start),
            _ if kind.saves_r2() || kind == StubKind::Sibling => {
                ("r2, the module's TOC ", abi.module_toc)
            }
            _ => ("the PACA (r13), where the kernel's TOC is: ", abi.kernel_toc),
        };
        let target = found.target.unwrap_or_default();
        kprintln!("  target {target} in {place}{at}, found through {through}{toc}");
    }
    true
}
