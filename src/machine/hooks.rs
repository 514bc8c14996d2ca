//! What switched-on call sites run through: `boot/mcount.S` and its addresses.

use core::alloc::Layout;
use core::arch::global_asm;
use core::mem::{offset_of, size_of};
use core::sync::atomic::AtomicU64;

use super::boot;
use crate::addr::Vaddr;
use crate::isa::patch_class::PatchClass;
use crate::machine::paca::{self, GRAPH_BYTES, GraphEntry, Paca, ShadowEntry};
use crate::patch::plan::Edit;
use crate::trace::record;

unsafe extern "C" {
    fn _mcount();
    fn mcount_late();
    fn mcount_door();
    fn mcount_late_door();
    fn graph_hook();
    fn graph_late();
    fn graph_return();
    fn sibling_call();
    fn shadow_return();
    fn sibling_overflow();
    fn hook_text_start();
    fn hook_text_end();
}

global_asm!(
    include_str!("../../boot/mcount.S"),
    RING_BASE = const offset_of!(Paca, ring_base),
    RING_HEAD = const offset_of!(Paca, ring_head),
    RING_MASK = const offset_of!(Paca, ring_mask),
    RECORD_SHIFT = const record::SIZE.ilog2(),
    RECORD_TIME = const record::TIME,
    RECORD_IP = const record::IP,
    RECORD_PARENT = const record::PARENT,
    RECORD_BEGAN = const record::PARENT,
    RECORD_SEQ = const record::SEQ,
    KIND_ENTRY = const record::Kind::GraphEntry as u64,
    KIND_RETURN = const record::Kind::GraphReturn as u64,
    GRAPH_SP = const offset_of!(Paca, graph_sp),
    GRAPH_LIMIT = const offset_of!(Paca, graph_limit),
    GRAPH_RETURN = const offset_of!(Paca, graph_return),
    GRAPH_MISSED = const offset_of!(Paca, graph_missed),
    GRAPH_ENTRY = const size_of::<GraphEntry>(),
    GRAPH_LR = const offset_of!(GraphEntry, lr),
    GRAPH_R1 = const offset_of!(GraphEntry, r1),
    GRAPH_IP = const offset_of!(GraphEntry, ip),
    GRAPH_TIME = const offset_of!(GraphEntry, time),
    SHADOW_SP = const offset_of!(Paca, shadow_sp),
    SHADOW_LIMIT = const offset_of!(Paca, shadow_limit),
    SHADOW_ENTRY = const size_of::<ShadowEntry>(),
    SHADOW_LR = const offset_of!(ShadowEntry, lr),
    SHADOW_TOC = const offset_of!(ShadowEntry, toc),
    SHADOW_R1 = const offset_of!(ShadowEntry, r1),
);

/// True if the address lies in what call sites and stubs run through: it runs for a
/// module, with the module's registers, and holds nothing.
pub fn contains(at: Vaddr) -> bool {
    let (start, end) = (hook_text_start as *const () as u64, hook_text_end as *const () as u64);
    let (stubs, stubs_end) = boot::stubs();
    (start..end).contains(&at.0) || (stubs..stubs_end).contains(&at)
}

/// What a call meets at a site that is on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tool {
    /// A record of the call.
    #[default]
    Function,
    /// A record of the call and one of its return.
    Graph,
}

/// The words that put one tool in another's place: the doors of early and of late
/// sites.
pub fn change_tool(from: Tool, to: Tool) -> [Edit; 2] {
    let early = (mcount_door as *const () as u64, graph_hook as *const () as u64);
    let late = (mcount_late_door as *const () as u64, graph_late as *const () as u64);
    [early, late].map(|(door, graph)| {
        let word = |tool| match tool {
            Tool::Function => PatchClass::NOP,
            Tool::Graph => PatchClass::b(Vaddr(door), Vaddr(graph)).expect("one section's length"),
        };
        Edit::new(Vaddr(door), word(from), word(to))
    })
}

/// Where functions that the graph tracer has entered return to.
pub fn graph_return_address() -> Vaddr {
    Vaddr(graph_return as *const () as u64)
}

/// Gives the CPU with this PACA a graph stack, if it has none, and says how many of
/// its entries are used; false if there is no memory.
pub fn graph_on(paca: Vaddr, depth: usize) -> bool {
    let base = if paca::has_graph(paca) {
        0
    } else {
        let Ok(layout) = Layout::from_size_align(GRAPH_BYTES, GRAPH_BYTES) else { return false };
        // SAFETY: the layout has a size; the block is kept for ever, since functions
        // may be under way whose return address is in it.
        let block = unsafe { alloc::alloc::alloc_zeroed(layout) };
        if block.is_null() {
            return false;
        }
        block as u64
    };
    paca::set_graph_of(paca, base, depth);
    true
}

/// The tracer of early sites.
pub fn mcount_address() -> Vaddr {
    Vaddr(_mcount as *const () as u64)
}

/// The tracer of sites behind the prologue.
pub fn mcount_late_address() -> Vaddr {
    Vaddr(mcount_late as *const () as u64)
}

/// The routine behind stubs for tail calls.
pub fn sibling_call_address() -> Vaddr {
    Vaddr(sibling_call as *const () as u64)
}

/// Where redirected functions return to.
pub fn shadow_return_address() -> Vaddr {
    Vaddr(shadow_return as *const () as u64)
}

/// The trap that tells of a full shadow stack in a tail call.
pub fn sibling_overflow_address() -> Vaddr {
    Vaddr(sibling_overflow as *const () as u64)
}

/// Starts recording into `words`, a power of two of records, on the CPU with this
/// PACA.
pub fn ring_on(paca: Vaddr, words: &'static [AtomicU64]) {
    let records = words.len() / record::WORDS;
    assert!(records.is_power_of_two(), "a slot is found by a mask");
    paca::set_ring_of(paca, words.as_ptr() as u64, records as u64 - 1);
}

/// Stops recording on the CPU with this PACA; the records stay.
pub fn ring_off(paca: Vaddr) {
    paca::set_ring_of(paca, 0, 0);
}
