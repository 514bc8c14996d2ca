//! Addresses to names and back: the kernel's own, the modules', their stubs.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

use super::tab::{self, Kind};
use super::{exports, livepatch, modules, tracing};
use crate::addr::Vaddr;
use crate::ksyms::readable::readable;
use crate::loader::Name;
use crate::loader::stubs::StubKind;
use crate::machine::boot;
use crate::shell::args::SymbolName;
use crate::step::story::Owner;

/// Prints an address with what it belongs to, as `0xADDR NAME+0xOFF/0xSIZE [MOD]`.
pub struct Symbolised(pub Vaddr);

impl fmt::Display for Symbolised {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match describe(self.0) {
            Some(text) => write!(f, "{:#018x} {text}", self.0.0),
            None => write!(f, "{:#018x}", self.0.0),
        }
    }
}

/// As [`Symbolised`], of the kernel's own code only, and without the heap or a lock.
pub struct Plain(pub Vaddr);

impl fmt::Display for Plain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#018x}", self.0.0)?;
        match super::ksyms::find(self.0) {
            Some((found, offset)) => {
                write!(f, " {}+{offset:#x}/{:#x}", found.name.as_str(), found.size)
            }
            None => Ok(()),
        }
    }
}

/// A place in a function.
struct Found {
    name: String,
    module: Option<String>,
    offset: u64,
    size: u64,
}

#[optimize(size)]
fn find(at: Vaddr) -> Option<Found> {
    let (image, image_end) = boot::image();
    if at >= image && at < image_end {
        let mut symbol = super::ksyms::lookup(at)?;
        // C code knows it by its C name.
        if let Some(name) = exports::name_of(at.offset(-symbol.offset.cast_signed())) {
            symbol.name = name.to_string();
        }
        return Some(Found {
            name: symbol.name,
            module: None,
            offset: symbol.offset,
            size: symbol.size,
        });
    }
    if livepatch::is_redirect_stub(at) {
        let nobodys = Found { name: "redirect stub".to_string(), module: None, offset: 0, size: 0 };
        return Some(find_redirect(at).unwrap_or(nobodys));
    }
    let module = modules::containing(at)?;
    if let Some((name, entry, size)) = module.function_at(at) {
        let offset = at.since(entry) as u64;
        return Some(Found {
            name: readable(name).into_owned(),
            module: Some(module.name.clone()),
            offset,
            size,
        });
    }
    let stub = module.linked().stubs.containing(at)?;
    let callee = match modules::identify_stub(&module, stub.at) {
        Some((_, Some(target), _)) => function(target),
        Some((_, None, symbol)) => Some(module.readable_name(symbol).into_owned()),
        None => None,
    };
    let callee = callee.unwrap_or_else(|| "?".to_string());
    Some(Found {
        name: format!("stub to {callee}"),
        module: Some(module.name.clone()),
        offset: at.since(stub.at) as u64,
        size: stub.kind.slot_bytes(),
    })
}

/// The redirect stub that contains an address, and the module that it serves.
fn find_redirect(at: Vaddr) -> Option<Found> {
    let (sites, stub) = tracing::redirect_stub_at(at)?;
    let module = modules::first(|module| module.sites == sites)?;
    let to = modules::identify_redirect(&module, stub).and_then(function);
    Some(Found {
        name: format!("redirect stub to {}", to.as_deref().unwrap_or("?")),
        module: Some(module.name.clone()),
        offset: at.since(stub) as u64,
        size: StubKind::Redirect.slot_bytes(),
    })
}

/// The stub that contains an address: the module that it serves, its kind, and the
/// name of what it leads to.
#[optimize(size)]
pub fn stub(at: Vaddr) -> Option<(String, StubKind, String)> {
    if livepatch::is_redirect_stub(at) {
        let (sites, stub) = tracing::redirect_stub_at(at)?;
        let module = modules::by_sites(sites)?;
        let to = modules::identify_redirect(&module, stub).map(qualified);
        let to = to.unwrap_or_else(|| "?".to_string());
        return Some((module.name.clone(), StubKind::Redirect, to));
    }
    let module = modules::containing(at)?;
    let stub = module.linked().stubs.containing(at)?;
    let to = match modules::identify_stub(&module, stub.at) {
        Some((_, Some(target), _)) => qualified(target),
        Some((_, None, symbol)) => module.readable_name(symbol).into_owned(),
        None => "?".to_string(),
    };
    Some((module.name.clone(), stub.kind, to))
}

/// Whose TOC a value of r2 is.
pub fn toc_owner(r2: u64) -> Owner {
    if r2 == boot::kernel_toc().0 {
        return Owner::Kernel;
    }
    let module = modules::first(|module| module.linked().toc.0 == r2);
    module.map_or(Owner::Nobody, |module| Owner::Module(module.name.clone()))
}

/// The name of the function that contains an address.
pub fn function(at: Vaddr) -> Option<String> {
    find(at).map(|found| found.name)
}

/// `NAME [MOD]`.
pub fn name(at: Vaddr) -> Option<String> {
    let found = find(at)?;
    Some(match found.module {
        Some(module) => format!("{} [{module}]", found.name),
        None => found.name,
    })
}

/// `NAME+0xOFF/0xSIZE [MOD]`.
pub fn describe(at: Vaddr) -> Option<String> {
    let found = find(at)?;
    let text = format!("{}+{:#x}/{:#x}", found.name, found.offset, found.size);
    Some(match found.module {
        Some(module) => format!("{text} [{module}]"),
        None => text,
    })
}

/// `NAME+0xOFF [MOD]`, and no `+0x0`.
pub fn inside(at: Vaddr) -> Option<String> {
    let Found { name, module, offset, .. } = find(at)?;
    let offset = if offset == 0 { String::new() } else { format!("+{offset:#x}") };
    let module = module.map_or(String::new(), |module| format!(" [{module}]"));
    Some(format!("{name}{offset}{module}"))
}

/// The end of the function that contains an address; where that is said nowhere,
/// nothing.
pub fn end(at: Vaddr) -> Option<Vaddr> {
    let Found { offset, size, .. } = find(at)?;
    let left = size.checked_sub(offset).filter(|left| *left > 0)?;
    Some(at.offset(left.cast_signed()))
}

/// `NAME+0xOFF`, with `MOD:` in front where another module than `home` has it.
pub fn place(at: Vaddr, home: Option<&str>) -> Option<String> {
    let Found { name, module, offset, .. } = find(at)?;
    let owner = module.filter(|module| Some(module.as_str()) != home);
    let owner = owner.map_or(String::new(), |module| format!("{module}:"));
    let offset = if offset == 0 { String::new() } else { format!("+{offset:#x}") };
    Some(format!("{owner}{name}{offset}"))
}

/// `MOD:NAME`, or the address if it has no name.
pub fn qualified(at: Vaddr) -> String {
    match find(at) {
        Some(Found { name, module: Some(module), offset: 0, .. }) => format!("{module}:{name}"),
        Some(Found { name, module: None, offset: 0, .. }) => name,
        _ => at.to_string(),
    }
}

/// What stands for the kernel where a module's name can.
pub const KERNEL: &str = "kernel";

/// Every function with that name: who has it, and its global entry.
#[optimize(size)]
pub fn candidates(symbol: &SymbolName) -> Vec<(Option<String>, Vaddr)> {
    let mut found = Vec::new();
    if symbol.module.as_deref().is_none_or(|module| module == KERNEL) {
        let kernel =
            exports::find(&Name::new(&symbol.name)).or_else(|| super::ksyms::address(&symbol.name));
        found.extend(kernel.map(|at| (None, at)));
    }
    for module in modules::all() {
        let named = symbol.module.as_deref().is_none_or(|wanted| {
            crate::shell::args::module_name_eq(wanted.as_bytes(), module.name.as_bytes())
        });
        if named {
            let entries = module.functions_named(&symbol.name);
            // Exported data have names too, and no entry among the functions.
            let exports =
                module.linked().exports.iter().filter(|export| export.name == symbol.name);
            let data = exports.map(|export| export.addr).filter(|addr| !entries.contains(addr));
            let all = entries.iter().copied().chain(data);
            found.extend(all.map(|at| (Some(module.name.clone()), at)));
        }
    }
    found
}

/// The one function that a name means; the error says why there is none, or which
/// there are.
#[optimize(size)]
pub fn resolve(symbol: &SymbolName) -> Result<(Option<String>, Vaddr), String> {
    let SymbolName { module, name } = symbol;
    let mut found = candidates(symbol);
    match (found.len(), module) {
        (1, _) => Ok(found.remove(0)),
        (0, Some(module)) if module != KERNEL && modules::find(module).is_none() => {
            let meant = tab::meant(Kind::Module, module);
            let remedy = if meant.is_empty() { format!("insmod {module} first") } else { meant };
            Err(format!("{module}: not loaded ({})", remedy.trim_ascii_end()))
        }
        (0, Some(module)) => {
            let meant = match module.as_str() {
                KERNEL => tab::meant(Kind::Function, name),
                _ => tab::meant(Kind::Function, &format!("{module}:{name}")),
            };
            Err(format!("{name}: no such function in {module} ({meant}see cat /proc/kallsyms)"))
        }
        (0, None) => {
            let meant = tab::meant(Kind::Function, name);
            Err(format!(
                "{name}: no such function ({meant}see cat /proc/kallsyms; is its module loaded?)"
            ))
        }
        (_, _) => {
            let places: Vec<_> = found
                .iter()
                .map(|(module, at)| {
                    format!("{}:{name} at {at}", module.as_deref().unwrap_or(KERNEL))
                })
                .collect();
            Err(format!("{name}: found {} times, say which: {}", found.len(), places.join(", ")))
        }
    }
}
