//! Commands that only look: sym, x, stubs, relocs, sites, cpus, paca, maps, mem.

use alloc::format;
use alloc::string::{String, ToString};

use super::{Done, read_memory};
use crate::addr::Vaddr;
use crate::kernel::compat::heap;
use crate::kernel::modules::{self, find_loaded};
use crate::kernel::{symbols, tracing};
use crate::kprint;
use crate::kprintln;
use crate::loader::{Group, RelocName, SiteKind};
use crate::machine::{boot, memory, paca as cpu, spr};
use crate::shell::command::{Place, Target};
use crate::trace::filter::Filter;

/// Name to address, or address to name.
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
pub fn stubs(word: &str) -> Done {
    let module = find_loaded(word)?;
    for entry in module.linked.stubs.iter() {
        let owner = module.symbol_name(entry.owner);
        match modules::identify_stub(&module, entry.at) {
            Some((_, Some(target), _)) => {
                kprintln!("{} {} -> {}", entry.at, entry.kind, symbols::qualified(target));
            }
            Some((_, None, _)) => kprintln!("{} {} {owner}", entry.at, entry.kind),
            None => kprintln!("{} {} {owner}: its words have been changed", entry.at, entry.kind),
        }
    }
    Ok(())
}

/// Lists a module's relocations: section and offset, type, symbol and addend,
/// the word there now.
pub fn relocs(word: &str, count: Option<u64>) -> Done {
    let module = find_loaded(word)?;
    let mut left = count.unwrap_or(u64::MAX);
    for list in module.object.relocations() {
        let Some(base) = module.layout.offset_of(list.target) else { continue };
        let section = module.object.sections()[list.target].name;
        for rela in list.iter() {
            if left == 0 {
                return Ok(());
            }
            left -= 1;
            let at = module.address(base).offset(rela.r_offset.cast_signed());
            let (kind, symbol) = (rela.r_info as u32, (rela.r_info >> 32) as u32);
            let now = memory::read_u32(at).unwrap_or(0);
            kprintln!(
                "{section}+{:#x} {at} {} {}{:+#x} {now:08x}",
                rela.r_offset,
                RelocName(kind),
                module.symbol_name(symbol),
                rela.r_addend,
            );
        }
    }
    Ok(())
}

/// Lists call sites: address, function, kind, state; then why others are none.
pub fn sites(glob: Option<&str>) -> Done {
    let filter = match glob {
        Some(word) => Some(Filter::parse([word]).map_err(|error| error.to_string())?),
        None => None,
    };
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
        if tracing::counts(Some(module.sites)).sites == 0 && !module.linked.functions.is_empty() {
            kprintln!(
                "{}: no call sites: built without -mprofile-kernel or patchable entries",
                module.name
            );
        }
        for refused in &module.linked.refused {
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

/// Lists CPUs.
pub fn cpus() -> Done {
    kprintln!("cpu 0 running pvr {:#010x} paca {}", spr::pvr(), cpu::r13());
    Ok(())
}

/// Shows a PACA: offset, field, value.
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

/// Shows what lies where.
pub fn maps() -> Done {
    let line = |name: &str, (start, end): (Vaddr, Vaddr)| {
        kprintln!("{:#018x}-{:#018x} {name}", start.0, end.0);
    };
    line("exception vectors", (Vaddr(0), Vaddr(0x3000)));
    line("kernel text", boot::text());
    line("kernel rodata", boot::rodata());
    line("kernel data", boot::data());
    for module in modules::all() {
        for (group, name) in [
            (Group::InitData, "init data"),
            (Group::InitText, "init text"),
            (Group::Text, "text"),
            (Group::Rodata, "rodata"),
            (Group::Data, "data"),
        ] {
            let span = module.layout.group(group);
            if span.len > 0 {
                line(&format!("{} {name}", module.name), module.range(span));
            }
        }
    }
    Ok(())
}

/// Shows used and free memory in bytes.
pub fn mem() -> Done {
    let usage = memory::usage();
    let (blocks, block_bytes) = heap::usage();
    kprintln!("total {}", usage.total);
    kprintln!("image {}", usage.image);
    kprintln!("heap {} used {}", usage.heap_size, usage.heap_used);
    kprintln!("modules {} used {}", usage.pages_used + usage.pages_free, usage.pages_used);
    kprintln!("kmalloc {} blocks {}", block_bytes, blocks);
    kprint!("");
    Ok(())
}
