//! What switched-on call sites run through: `boot/mcount.S`, `boot/probe.S` and their
//! addresses.

use core::alloc::Layout;
use core::arch::global_asm;
use core::mem::{offset_of, size_of};
use core::sync::atomic::AtomicU64;

use super::{boot, trigger};
use crate::addr::Vaddr;
use crate::isa::patch_class::PatchClass;
use crate::machine::paca::{self, GRAPH_BYTES, GraphEntry, Paca, ProbeEntry, ShadowEntry};
use crate::machine::probes::Block;
use crate::patch::plan::Edit;
use crate::trace::record;
use crate::trace::tools::{self, Special};

unsafe extern "C" {
    fn _mcount();
    fn mcount_late();
    fn mcount_door();
    fn mcount_late_door();
    fn graph_hook();
    fn graph_late();
    fn late_many();
    fn hook_many();
    fn probe_return();
    fn probe_text_start();
    fn probe_text_end();
    fn probe_asked();
    fn graph_return();
    fn graph_return_root();
    fn graph_return_seed();
    fn graph_return_mute();
    fn graph_return_wide();
    fn graph_return_wide_root();
    fn graph_return_wide_mute();
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
    RING_LIMIT = const offset_of!(Paca, ring_limit),
    RING_DROPPED = const offset_of!(Paca, ring_dropped),
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
    TOOLS = const offset_of!(Paca, tools),
    TOOL_ENTRY = const tools::ENTRY_BYTES,
    TOOL_KEY = const tools::KEY,
    TOOL_FLAGS = const tools::FLAGS,
    TOOL_BLOCK = const tools::BLOCK,
    // The header lies before the first entry, in the form of one.
    TABLE_MASK = const tools::BLOCK as isize - tools::ENTRY_BYTES as isize,
    TOOL_FUNCTION = const Special::FUNCTION.bits(),
    TOOL_GRAPH = const Special::GRAPH.bits(),
    TOOL_PROBES = const Special::PROBES.bits(),
    BLOCK_IP = const offset_of!(Block, ip),
    BLOCK_RETURN_IP = const offset_of!(Block, return_ip),
    BLOCK_FLAGS = const offset_of!(Block, flags),
    BLOCK_MISSED = const offset_of!(Block, missed),
    BLOCK_NEXT = const offset_of!(Block, next),
    BLOCK_POOL = const offset_of!(Block, pool),
    PAYLOAD = const offset_of!(Paca, payload),
    PAYLOAD_OWNER = const record::OWNER_WORD % record::WORDS * 8,
    PLANE = const offset_of!(Paca, plane),
    PROBE_SP = const offset_of!(Paca, probe_sp),
    PROBE_LIMIT = const offset_of!(Paca, probe_limit),
    PROBE_RETURN = const offset_of!(Paca, probe_return),
    PROBE_ENTRY = const size_of::<ProbeEntry>(),
    PROBE_LR = const offset_of!(ProbeEntry, lr),
    PROBE_R1 = const offset_of!(ProbeEntry, r1),
    PROBE_BLOCK = const offset_of!(ProbeEntry, block),
    PROBE_TAKEN = const paca::PROBE_TAKEN,
    PROBE_IP = const offset_of!(ProbeEntry, ip),
    TOOL_ROOT = const Special::ROOT.bits(),
    TOOL_MUTE = const Special::MUTE.bits(),
    GRAPH_ROOTED = const offset_of!(Paca, graph_rooted),
    GRAPH_GATE = const offset_of!(Paca, graph_gate),
    GRAPH_MUTE = const offset_of!(Paca, graph_mute),
    GRAPH_ENTRY = const size_of::<GraphEntry>(),
    GRAPH_LR = const offset_of!(GraphEntry, lr),
    GRAPH_R1 = const offset_of!(GraphEntry, r1),
    GRAPH_IP = const offset_of!(GraphEntry, ip),
    GRAPH_TIME = const offset_of!(GraphEntry, time),
    SHADOW_RETURN = const offset_of!(Paca, shadow_return),
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
    (start..end).contains(&at.0)
        || is_probe(at)
        || trigger::contains(at)
        || (stubs..stubs_end).contains(&at)
}

/// True if the address lies in what asks the kernel for a probe.
pub fn is_probe(at: Vaddr) -> bool {
    let (start, end) = (probe_text_start as *const () as u64, probe_text_end as *const () as u64);
    (start..end).contains(&at.0)
}

/// What a call meets at a site that is on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tool {
    /// A record of the return too: the graph tracer.
    pub graph: bool,
    /// Whatever the table of tools says.
    pub many: bool,
}

/// The words that put one tool in another's place: the doors of early and of late
/// sites. Those that stay are left out.
pub fn change_tool(from: Tool, to: Tool) -> impl Iterator<Item = Edit> {
    let [hook, many] = [graph_hook as *const (), hook_many as *const ()];
    let [late, late_many] = [graph_late as *const (), late_many as *const ()];
    let early_word = move |door, tool: Tool| match tool {
        Tool { many: true, .. } => to_hook(door, many),
        Tool { graph: true, .. } => to_hook(door, hook),
        Tool { .. } => PatchClass::NOP,
    };
    let late_word = move |door, tool: Tool| match tool {
        Tool { many: true, .. } => to_hook(door, late_many),
        Tool { graph: true, .. } => to_hook(door, late),
        Tool { .. } => PatchClass::NOP,
    };
    let door = Vaddr(mcount_door as *const () as u64);
    let early = Edit::new(door, early_word(door, from), early_word(door, to));
    let door = Vaddr(mcount_late_door as *const () as u64);
    let late = Edit::new(door, late_word(door, from), late_word(door, to));
    [early, late].into_iter().filter(|edit| !edit.is_idle())
}

fn to_hook(door: Vaddr, hook: *const ()) -> PatchClass {
    PatchClass::b(door, Vaddr(hook as u64)).expect("one section's length")
}

/// Where functions that the graph tracer has entered return to.
pub fn graph_return_address() -> Vaddr {
    Vaddr(graph_return as *const () as u64)
}

/// How calls return that the graph tracer has entered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Return {
    /// With a record.
    Plain,
    /// With a record if the ring has room, and the result beside it if there is room.
    Wide,
    /// By the way that the seed's kernel had, which believes r2.
    Seed,
}

/// Has calls that begin from now on, on the CPU with this PACA, return by another way.
pub fn set_graph_return(paca: Vaddr, way: Return) {
    let to = match way {
        Return::Plain => graph_return as *const (),
        Return::Wide => graph_return_wide as *const (),
        Return::Seed => graph_return_seed as *const (),
    };
    paca::set_graph_return_of(paca, Vaddr(to as u64));
}

// Beside an entry the hook writes r3 to r7 and r8, four and two in a plane, and the
// owner in the second.
const _: () = assert!(record::GRAPH_ARGS == 6 && record::OWNER_WORD / record::WORDS == 1);

/// Where functions return to while a probe waits for that.
pub fn probe_return_address() -> Vaddr {
    Vaddr(probe_return as *const () as u64)
}

/// Where the kernel's answer to a probe returns to.
pub fn probe_asked_address() -> Vaddr {
    Vaddr(probe_asked as *const () as u64)
}

/// True for an address that stands for an entry of the graph stack.
pub fn is_graph_return(at: Vaddr) -> bool {
    let places = [
        graph_return as *const (),
        graph_return_root as *const (),
        graph_return_mute as *const (),
        graph_return_seed as *const (),
        graph_return_wide as *const (),
        graph_return_wide_root as *const (),
        graph_return_wide_mute as *const (),
    ];
    places.into_iter().any(|place| at == Vaddr(place as u64))
}

/// The same, or of the stack of probes.
pub fn is_hook_return(at: Vaddr) -> bool {
    is_graph_return(at) || at == probe_return_address()
}

/// Gives the CPU with this PACA another table of tools ([`crate::trace::tools::table`]).
pub fn set_tools(paca: Vaddr, table: &'static [AtomicU64], rooted: bool) {
    // The hook has the address of the first entry.
    let first = table.get(tools::HEADER..).map_or(0, |entries| entries.as_ptr() as u64);
    paca::set_tools_of(paca, first, rooted);
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
/// PACA; what probes record besides goes into `planes`.
pub fn ring_on(paca: Vaddr, words: &'static [AtomicU64], planes: Option<&'static [AtomicU64]>) {
    let records = words.len() / record::WORDS;
    assert!(records.is_power_of_two(), "a slot is found by a mask");
    if let Some(planes) = planes {
        assert!(planes.len() == words.len() * record::PLANES, "of the ring's size");
        paca::set_payload_of(paca, planes.as_ptr() as u64, (words.len() * 8) as u64);
    }
    paca::set_ring_of(paca, words.as_ptr() as u64, records as u64 - 1);
}

/// Stops recording on the CPU with this PACA; the records stay.
pub fn ring_off(paca: Vaddr) {
    paca::set_ring_of(paca, 0, 0);
}
