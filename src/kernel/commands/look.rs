//! Commands that only look: sym, x, stubs, sites, cpus, paca, maps, mem.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::{Done, read_memory};
use crate::addr::Vaddr;
use crate::kernel::compat::heap;
use crate::kernel::modules::{self, find_loaded};
use crate::kernel::{exports, jobs, livepatch, own, symbols, tracing};
use crate::kprintln;
use crate::loader::stubs::StubKind;
use crate::loader::{Group, Name, SiteKind};
use crate::machine::{boot, memory, mmu, paca as cpu, smp, spr};
use crate::shell::args::SymbolName;
use crate::shell::command::{Place, Target};
use crate::trace::filter::Filter;

/// Name to address, or address to name.
#[optimize(size)]
pub fn sym(target: &Target) -> Done {
    match target {
        Target::Addr(at) => {
            let text = symbols::describe(*at);
            kprintln!("{at} {}", text.ok_or_else(|| format!("{at}: no symbol there"))?);
        }
        Target::Symbol(symbol) => {
            let found = symbols::candidates(symbol);
            if found.is_empty() {
                symbols::resolve(symbol)?;
            }
            for (module, at) in found {
                match module {
                    Some(module) => kprintln!("{at} {module}:{}", symbol.name),
                    None => kprintln!("{at} {}", symbol.name),
                }
            }
        }
    }
    Ok(())
}

/// Dumps memory, 16 bytes a line.
#[optimize(size)]
pub fn examine(place: &Place, len: Option<u64>) -> Done {
    let (at, len) = match place {
        Place::Addr(at) => (*at, len.unwrap_or(64)),
        Place::Buffer(name) => {
            let (at, size) = super::call::named(name)?;
            (at, len.unwrap_or(size))
        }
    };
    for offset in (0..len).step_by(16) {
        let at = at.offset(offset.cast_signed());
        let bytes = read_memory(at, (len - offset).min(16))?;
        let hex: String = bytes.iter().map(|byte| format!(" {byte:02x}")).collect();
        kprintln!("{at}:{hex}");
    }
    Ok(())
}

/// Lists a module's stubs: address, kind, where it leads.
#[optimize(size)]
pub fn stubs(word: &str) -> Done {
    let module = find_loaded(word)?;
    let (mut none, name) = (true, &module.name);
    for entry in module.linked().stubs.iter() {
        none = false;
        let owner = module.readable_name(entry.owner);
        match modules::identify_stub(&module, entry.at) {
            // One of several names of an address (kfree, vfree): the one that it called.
            Some((_, Some(target), _)) if exports::find(&Name::new(&owner)) == Some(target) => {
                kprintln!("{} {} -> {owner}", entry.at, entry.kind);
            }
            Some((_, Some(target), _)) => {
                kprintln!("{} {} -> {}", entry.at, entry.kind, symbols::qualified(target));
            }
            Some((_, None, _)) => kprintln!("{} {} {owner}", entry.at, entry.kind),
            None => kprintln!("{} {} {owner}: its words have been changed", entry.at, entry.kind),
        }
    }
    // Those that live patches gave it; they stay when the patch goes.
    for (stub, row) in tracing::redirect_stubs(module.sites) {
        none = false;
        let kind = StubKind::Redirect;
        match modules::identify_redirect(&module, stub) {
            Some(target) => kprintln!("{stub} {kind} -> {}", symbols::qualified(target)),
            None => {
                let owner = module.readable_name(row.function);
                kprintln!("{stub} {kind} {owner}: its words have been changed");
            }
        }
    }
    if none {
        kprintln!("{name}: no stubs: no call leaves it");
    }
    Ok(())
}

/// Lists call sites: address, function, kind, state; then why others are none.
#[optimize(size)]
pub fn sites(glob: Option<&str>) -> Done {
    // A module's name, if no function has it, means all of the module.
    let whole = glob.filter(|word| {
        let name = SymbolName { module: None, name: (*word).into() };
        modules::find(word).is_some() && symbols::candidates(&name).is_empty()
    });
    let whole = whole.map(|word| format!("{word}:*"));
    let filter = match whole.as_deref().or(glob) {
        Some(word) => Some(Filter::parse([word]).map_err(|error| error.to_string())?),
        None => None,
    };
    let own = filter.as_ref().map(tracing::own_rows).unwrap_or_default();
    for (name, row) in own {
        kprintln!("{} {}:{name} patchable {}", row.at, own::NAME, row.state);
    }
    for (module, name, row) in tracing::rows(filter.as_ref())? {
        let kind = match row.kind {
            SiteKind::Profile => "profile",
            SiteKind::ProfileStd => "profile-std",
            SiteKind::Late => "late",
            SiteKind::Patchable => "patchable",
        };
        kprintln!("{} {}:{name} {kind} {}", row.at, module.name, row.state);
    }
    if filter.is_some() {
        return Ok(());
    }
    for module in modules::all() {
        if tracing::counts(Some(module.sites)).sites == 0 && !module.linked().functions.is_empty() {
            kprintln!(
                "{}: no call sites in its file: compiled without -mprofile-kernel or patchable entries",
                module.name
            );
        }
        for refused in &module.linked().refused {
            kprintln!(
                "{} {}: not used: {}",
                module.address(refused.at),
                module.name,
                refused.fault
            );
        }
    }
    Ok(())
}

/// Lists CPUs: number, what each does, its ticks, its PACA.
#[optimize(size)]
pub fn cpus() -> Done {
    for it in smp::cpus() {
        let (number, hardware, paca) = (it.number, it.hardware, it.paca);
        let doing = jobs::doing(number);
        kprintln!("cpu {number} hardware {hardware} {doing} ticks {} paca {paca}", smp::ticks(&it));
    }
    kprintln!("pvr {:#010x}", spr::pvr());
    Ok(())
}

/// Shows a PACA: offset, field, value.
#[optimize(size)]
pub fn paca(which: Option<u32>) -> Done {
    if let Some(number) = which.filter(|number| *number != 0) {
        return Err(format!("CPU {number} is not running (see cpus)").into());
    }
    kprintln!("paca {} cpu 0", cpu::r13());
    for (name, offset, value) in cpu::fields() {
        kprintln!("+{offset:<5} {:<17} {value:#018x}", name.trim_start_matches('_'));
    }
    Ok(())
}

/// Shows what may be done at each address, as the live tables say: range, rights,
/// what lies there. What is not listed cannot be reached.
#[optimize(size)]
pub fn maps() -> Done {
    let known = places();
    let Some(kind) = mmu::kind() else {
        return Err("translation is off: everything may be done everywhere".to_string().into());
    };
    kprintln!("translation {kind}");
    let mut worst = 0;
    mmu::regions(|region| {
        let end = region.start.offset(region.len.cast_signed());
        let mut at = region.start;
        while at < end {
            // Up to where the next known thing begins or this one ends.
            let here = known.iter().find(|(start, stop, _)| at >= *start && at < *stop);
            let next = known.iter().flat_map(|(start, stop, _)| [*start, *stop]);
            let stop = next.filter(|edge| *edge > at).min().unwrap_or(end).min(end);
            let name = here.map_or("translation tables", |(.., name)| name.as_str());
            let rights = region.rights.map_or("???".to_string(), |rights| rights.to_string());
            worst += u64::from(region.rights.is_none());
            let note = if region.to == region.start { "" } else { ", which leads elsewhere" };
            kprintln!("{:#018x}-{:#018x} {rights} {name}{note}", at.0, stop.0);
            at = stop;
        }
    });
    if worst > 0 {
        return Err(format!("{worst} ranges have rights that nobody gave").into());
    }
    Ok(())
}

/// What lies where, in whole pages: start, end, name; by rising address.
#[optimize(size)]
fn places() -> Vec<(Vaddr, Vaddr, String)> {
    let mut places = Vec::new();
    let mut add = |name: &str, (start, end): (Vaddr, Vaddr)| {
        let page = crate::memory::PAGE;
        let (start, end) = (Vaddr(start.0 & !(page - 1)), Vaddr(end.0.next_multiple_of(page)));
        if start < end {
            places.push((start, end, name.to_string()));
        }
    };
    add("kernel text", boot::text());
    add("kernel rodata", boot::rodata());
    // The stubs of the kernel's own call sites are in the middle of its data.
    let ((start, end), stubs) = (boot::data(), boot::stubs());
    add("kernel data", (start, stubs.0));
    add("kernel stubs", stubs);
    add("kernel data", (stubs.1, end));
    add("initrd", crate::kernel::initrd::range());
    add("heap", memory::heap_range());
    for (number, start, end) in cpu::kept() {
        add(&format!("stacks of cpu {number}"), (start, end));
    }
    for module in modules::all() {
        let target_end = module.layout.targets.end();
        for (group, name) in [
            (Group::InitData, "init data"),
            (Group::InitText, "init text"),
            (Group::Text, "text"),
            (Group::Rodata, "rodata"),
            (Group::Data, "data"),
        ] {
            if module.is_gone(group) {
                continue;
            }
            let mut span = module.layout.group(group);
            if group == Group::Rodata && target_end > span.end() {
                span.len = target_end - span.offset;
            }
            if span.len > 0 {
                add(&format!("{} {name}", module.name), module.range(span));
            }
        }
    }
    for (name, stubs, words) in livepatch::islands() {
        add(&format!("{name} redirect stubs"), stubs);
        add(&format!("{name} redirect targets"), words);
    }
    // By insertion: the code of a general sort for these few would take 7 KB.
    let mut sorted: Vec<_> = Vec::with_capacity(places.len());
    for place in places {
        sorted.insert(sorted.partition_point(|other| *other < place), place);
    }
    sorted
}

/// Shows used and free memory in bytes: what of the first range of RAM is used at
/// all, and for what.
#[optimize(size)]
pub fn mem() -> Done {
    let usage = memory::usage();
    let (blocks, block_bytes) = heap::usage();
    kprintln!("total {} usable {}", usage.total, usage.usable);
    kprintln!("image {}", usage.image);
    kprintln!("tables {}", usage.tables);
    kprintln!("cpus {}", usage.cpus);
    kprintln!("heap {} used {}", usage.heap_size, usage.heap_used);
    kprintln!("modules {} used {}", usage.pages_used + usage.pages_free, usage.pages_used);
    kprintln!("kmalloc {} blocks {}", block_bytes, blocks);
    Ok(())
}
