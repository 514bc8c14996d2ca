//! kmalloc and its relatives, and what they have handed out.
//!
//! Every block is kept here under its address, so a wrong `kfree` is noticed, and
//! what a faulting call has allocated is given back.

use alloc::format;
use alloc::vec::Vec;

use crate::addr::Vaddr;
use crate::address_map::AddressMap;
use crate::machine::lock::Mutex;
use crate::machine::memory::Block;
use crate::machine::{call, memory};

struct Held {
    block: Block,
    /// Number of the call that asked for it; 0 between calls.
    call: u64,
}

static BLOCKS: Mutex<AddressMap<Held>> = Mutex::new(AddressMap::new());

/// Gives back what the call with this number allocated: it did not return.
pub fn give_back(call: u64) {
    BLOCKS.lock().retain(|held| held.call != call);
}

/// Blocks held, and their bytes.
pub fn usage() -> (usize, usize) {
    let blocks = BLOCKS.lock();
    (blocks.len(), blocks.values().map(|held| held.block.size()).sum())
}

fn take(size: u64) -> u64 {
    take_for(size, call::current())
}

fn take_for(size: u64, call: u64) -> u64 {
    let Some(block) = usize::try_from(size).ok().and_then(Block::take) else { return 0 };
    let at = block.start().0;
    if BLOCKS.lock().insert(at, Held { block, call }).is_ok() { at } else { 0 }
}

/// A block that stays although the call that asked for it may end by a fault.
pub fn keep(size: u64) -> u64 {
    take_for(size, 0)
}

/// `__kmalloc(size, flags)`: zeroed memory, or 0.
pub extern "C" fn kmalloc(size: u64, _flags: u32) -> u64 {
    take(size)
}

/// `kmalloc_trace(cache, flags, size)`: what a constant-size `kmalloc` becomes.
pub extern "C" fn kmalloc_trace(_cache: u64, _flags: u32, size: u64) -> u64 {
    take(size)
}

/// `kmalloc_large(size, flags)`.
pub extern "C" fn kmalloc_large(size: u64, _flags: u32) -> u64 {
    take(size)
}

/// `kmalloc_node_trace(cache, flags, node, size)`.
pub extern "C" fn kmalloc_node_trace(_cache: u64, _flags: u32, _node: i32, size: u64) -> u64 {
    take(size)
}

/// `vmalloc(size)` and `vzalloc(size)`.
pub extern "C" fn vmalloc(size: u64) -> u64 {
    take(size)
}

/// `kvmalloc_node(size, flags, node)`.
pub extern "C" fn kvmalloc_node(size: u64, _flags: u32, _node: i32) -> u64 {
    take(size)
}

/// `krealloc(block, size, flags)`.
pub extern "C" fn krealloc(old: u64, size: u64, _flags: u32) -> u64 {
    if size == 0 {
        kfree(old);
        return 0;
    }
    let new = take(size);
    if old != 0 && new != 0 {
        let mut bytes = BLOCKS.lock().get(old).map(|held| held.block.bytes()).unwrap_or_default();
        bytes.truncate(size as usize);
        memory::write_for_module(Vaddr(new), &bytes);
        kfree(old);
    }
    new
}

/// `kmemdup(source, size, flags)`.
pub extern "C" fn kmemdup(source: u64, size: u64, _flags: u32) -> u64 {
    let new = take(size);
    let mut bytes = alloc::vec![0; if new == 0 { 0 } else { size as usize }];
    memory::read(Vaddr(source), &mut bytes);
    memory::write_for_module(Vaddr(new), &bytes);
    new
}

/// `kstrdup(text, flags)`.
pub extern "C" fn kstrdup(text: u64, flags: u32) -> u64 {
    let len = memory::read_cstr(Vaddr(text), 1 << 20).map(|bytes: Vec<u8>| bytes.len());
    if text == 0 { 0 } else { len.map_or(0, |len| kmemdup(text, len as u64 + 1, flags)) }
}

/// `kfree(block)`: null is allowed; what was never handed out ends the caller.
pub extern "C" fn kfree(block: u64) {
    // Linux's ZERO_SIZE_PTR is 16: kmalloc(0) of a module's own header may give it.
    if block <= 16 {
        return;
    }
    let held = BLOCKS.lock().remove(block);
    if held.is_none() {
        call::give_up(format!("kfree of {block:#x}, which kmalloc did not hand out"));
    }
}

/// `kfree_sensitive(block)`: clears it first.
pub extern "C" fn kfree_sensitive(block: u64) {
    let len = BLOCKS.lock().get(block).map_or(0, |held| held.block.size());
    memory::write_for_module(Vaddr(block), &alloc::vec![0; len]);
    kfree(block);
}

/// `ksize(block)`.
pub extern "C" fn ksize(block: u64) -> u64 {
    BLOCKS.lock().get(block).map_or(0, |held| held.block.size() as u64)
}
