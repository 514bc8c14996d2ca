//! call and buf: functions of modules with numbers, texts and buffers.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::Done;
use crate::addr::Vaddr;
use crate::kernel::call::{self, CallEnd};
use crate::kernel::modules::{self, Failure};
use crate::kernel::symbols;
use crate::machine::lock::Mutex;
use crate::machine::memory::{self, Block};
use crate::machine::text;
use crate::shell::args::{Arg, BufferLine, SymbolName};
use crate::{kprint, kprintln};

/// The buffers that `buf` made.
static NAMED: Mutex<BTreeMap<String, Block>> = Mutex::new(BTreeMap::new());

/// Where a named buffer lies, and its bytes.
pub fn named(name: &str) -> Result<(Vaddr, u64), String> {
    let buffers = NAMED.lock();
    let block =
        buffers.get(name).ok_or_else(|| format!("&{name}: no such buffer (make it with buf)"))?;
    Ok((block.start(), block.size() as u64))
}

/// A block with what a buffer argument begins with.
fn block(content: &Arg) -> Result<Block, String> {
    let (len, bytes) = match content {
        // Blocks come zeroed; a copy of so much might find no room.
        Arg::Zeroed(len) => (*len, Vec::new()),
        other => {
            let none = || "a buffer is made of a size, a text or hex:".to_string();
            let bytes = other.initial_bytes().ok_or_else(none)?;
            (bytes.len(), bytes)
        }
    };
    let mut block = Block::take(len)
        .ok_or_else(|| format!("no memory for a buffer of {len} bytes (see mem)"))?;
    block.fill(&bytes);
    Ok(block)
}

/// Makes a named buffer.
pub fn buf(name: &str, content: &Arg) -> Done {
    let block = block(content)?;
    NAMED.lock().insert(name.into(), block);
    Ok(())
}

/// Calls a function `count` times and prints the last result.
pub fn call(cpu: Option<u32>, count: u64, symbol: &SymbolName, args: &[Arg]) -> Done {
    if let Some(cpu) = cpu.filter(|cpu| *cpu != 0) {
        return Err(format!("CPU {cpu} is not running (only CPU 0 is, see cpus)").into());
    }
    let (owner, entry) = symbols::resolve(symbol)?;
    let module = owner.as_deref().and_then(modules::find);
    if let Some(module) = module.as_ref().filter(|module| module.options.link_only) {
        return Err(
            format!("{}: loaded with --link-only, so its code never runs", module.name).into()
        );
    }
    if !text::is_executable(entry) {
        return Err(format!("{}: data, not a function", symbol.name).into());
    }
    let mut blocks = Vec::new();
    let mut values = Vec::new();
    for arg in args {
        values.push(match arg {
            Arg::Int(value) => *value,
            Arg::Named(name) => named(name)?.0.0,
            _ => {
                let block = block(arg)?;
                let at = block.start().0;
                blocks.push((values.len(), block));
                at
            }
        });
    }
    let mut result = 0;
    for _ in 0..count {
        match call::run(entry, &values) {
            CallEnd::Returned(value) => result = value,
            CallEnd::Oops(cause) => return Err(Failure::Oops(format!("{}: {cause}", symbol.name))),
        }
    }
    kprintln!("= {result:#x}");
    for (index, block) in &blocks {
        if matches!(args[*index], Arg::Zeroed(_)) {
            print_buffer(index + 1, block);
        }
    }
    Ok(())
}

/// Prints a buffer as [`BufferLine`] does, in pieces: a copy might find no room.
fn print_buffer(number: usize, block: &Block) {
    kprint!("{}", BufferLine { number, bytes: &[] });
    let mut bytes = [0; 64];
    for offset in (0..block.size()).step_by(bytes.len()) {
        let len = bytes.len().min(block.size() - offset);
        memory::read(block.start().offset(offset as i64), &mut bytes[..len]);
        let hex: String = bytes[..len].iter().map(|byte| format!("{byte:02x}")).collect();
        kprint!("{hex}");
    }
    kprintln!();
}
