//! dis: instructions of modules and of the kernel, as they are in memory now.
//!
//! ```text
//!  0x5208 480000f9 bl      0x5300 <stub to _mcount> ; call site, traced
//!  address word    text, as objdump has it   name of what it leads to
//! ```
//!
//! Words are read as `x` reads them: what is no memory ends the list with an
//! error, and no fault.

use alloc::format;
use alloc::string::String;
use core::fmt;

use super::Done;
use crate::addr::Vaddr;
use crate::isa::Insn;
use crate::isa::disasm::disassemble;
use crate::kernel::{modules, symbols, tracing};
use crate::kprintln;
use crate::machine::memory;
use crate::shell::command::Target;

/// Instructions from an address, if no count is given.
const COUNT: u64 = 16;

/// Where a function begins and ends, or an address and no end; refused if no
/// instruction can be there.
pub fn extent(target: &Target) -> Result<(Vaddr, Option<Vaddr>), String> {
    let (start, end) = match target {
        Target::Symbol(symbol) => {
            let (_, entry) = symbols::resolve(symbol)?;
            (entry, symbols::end(entry))
        }
        Target::Addr(at) => (*at, None),
    };
    if !start.is_aligned(4) {
        return Err(format!("{start}: instructions lie at multiples of 4"));
    }
    Ok((start, end))
}

/// Disassembles a function, or `count` instructions from its start or an address.
pub fn dis(target: &Target, count: Option<u64>) -> Done {
    let (start, end) = extent(target)?;
    let end = if count.is_some() { None } else { end };
    let mut left = if end.is_some() { u64::MAX } else { count.unwrap_or(COUNT) };
    let mut at = start;
    while left > 0 && end.is_none_or(|end| at < end) {
        at = line(at)?;
        left -= 1;
    }
    Ok(())
}

/// Prints the instruction at an address; where the next one lies.
#[optimize(size)]
pub fn line(at: Vaddr) -> Result<Vaddr, String> {
    let word = memory::read_u32(at).ok_or_else(|| format!("{at}: no memory there (see maps)"))?;
    let next = memory::read_u32(at.offset(4)).map(Insn);
    let insn = disassemble(at, Insn(word), next);
    let home = modules::containing(at).map(|module| module.name.clone());
    let name = move |to: Vaddr, f: &mut fmt::Formatter<'_>| {
        symbols::place(to, home.as_deref()).map_or(Ok(()), |place| write!(f, " <{place}>"))
    };
    let second = match next {
        Some(next) if insn.len_bytes() > 4 => format!(" {next}"),
        _ => String::new(),
    };
    let site = match tracing::site_at(at) {
        Some((_, row)) => format!(" ; call site, {}", row.state),
        None => String::new(),
    };
    kprintln!("{at} {word:08x}{second} {}{site}", insn.named(&name));
    Ok(at.offset(insn.len_bytes().cast_signed()))
}
