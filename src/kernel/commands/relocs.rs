//! relocs: a module's relocations in a list, or one of them explained.
//!
//! What is explained is `loader::explain`'s; here is added what memory has now,
//! because a call site may have been switched on meanwhile, and data written.

use alloc::format;
use core::fmt;

use super::{Done, read_memory};
use crate::addr::Vaddr;
use crate::kernel::modules::{self, find_loaded};
use crate::kernel::{symbols, tracing};
use crate::kprintln;
use crate::loader::{Layout, RelocName};
use crate::machine::memory;

/// Lists a module's relocations: number, section and offset, type, symbol and
/// addend, the word there now; `(freed)` where init code was.
#[optimize(size)]
pub fn list(word: &str, first: Option<u64>, last: Option<u64>) -> Done {
    let module = find_loaded(word)?;
    let count: u64 = module.object().relocations().iter().map(|list| list.len() as u64).sum();
    let (from, to) = (first.unwrap_or(1), last.unwrap_or(u64::MAX));
    if first.is_some() && from > to.min(count) {
        return Err(format!("{word}: relocations {from} to {to}: none, there are {count}").into());
    }
    let wanted = from..=to;
    kprintln!("number section+offset address type symbol+addend word");
    let mut number = 0;
    for list in module.object().relocations() {
        let (before, len) = (number, list.len() as u64);
        number += len;
        let Some(base) = module.layout.offset_of(list.target) else { continue };
        let section = &module.object().sections()[list.target];
        let freed = module.is_gone(Layout::group_of(section));
        let section = section.name;
        for (number, rela) in (before + 1..).zip(list.iter()) {
            if !wanted.contains(&number) {
                continue;
            }
            let at = module.address(base).offset(rela.r_offset.cast_signed());
            let (kind, symbol) = (rela.r_info as u32, (rela.r_info >> 32) as u32);
            let sign = if rela.r_addend < 0 { '-' } else { '+' };
            let now = match freed {
                true => "(freed)".into(),
                false => format!("{:08x}", memory::read_u32(at).unwrap_or(0)),
            };
            kprintln!(
                "{number} {section}+{:#x} {at} {} {}{sign}{:#x} {now}",
                rela.r_offset,
                RelocName(kind),
                module.readable_name(symbol),
                rela.r_addend.unsigned_abs(),
            );
        }
    }
    Ok(())
}

/// Explains one relocation: what went into its field, what came out, what is there.
#[optimize(size)]
pub fn explain(word: &str, number: u64) -> Done {
    let module = find_loaded(word)?;
    let home = module.name.clone();
    let name = move |to: Vaddr, f: &mut fmt::Formatter<'_>| {
        symbols::place(to, Some(&home)).map_or(Ok(()), |place| write!(f, " <{place}>"))
    };
    modules::with_lens(&module, |lens| {
        let explained = usize::try_from(number).ok().and_then(|number| lens.explain(number));
        let Some(explained) = explained else {
            return Err(format!("{word}: relocation {number}: there are {}", lens.len()));
        };
        kprintln!("{}", explained.lines(&name, &modules::name_by_number));
        let linked = explained.after.as_ref().map_or(&explained.before, |after| after);
        let width = explained.width().min(linked.len());
        if explained.kept && module.is_gone_at(explained.p) {
            kprintln!("now      (freed)");
            return Ok(());
        }
        if explained.kept && width != 0 {
            let now = read_memory(explained.p, linked.len() as u64)?;
            let site = tracing::site_at(explained.p).map(|(_, row)| row.state);
            match site {
                _ if now[..width] == linked[..width] => kprintln!("now      as linked"),
                None => kprintln!("now      {}", explained.field(&now, &name)),
                Some(state) => {
                    kprintln!("now      {}; call site, {state}", explained.field(&now, &name));
                }
            }
        }
        Ok(())
    })??;
    Ok(())
}
