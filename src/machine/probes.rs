//! What a probe has on each CPU: its block, which the hooks of `boot/mcount.S` look at
//! and count in; and what `boot/probe.S` asks for those that the hooks cannot serve.
//!
//! ```text
//!   table of tools ---> Block (this CPU's) ---next---> Block ---> 0
//!   (this CPU's)          hits, what records say        another probe of the function
//!                         program ---> Fetcher, the same for all CPUs
//! ```
//!
//! # Invariants
//! - Blocks are never given back: a hook that was interrupted may hold the address of
//!   one. They are used again after many others were, and their programs go then.
//! - While [`fired`] runs, its CPU's ring is taken away: nothing that it calls is
//!   recorded, and no probe fires in it. It allocates nothing and takes no lock.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::arch::global_asm;
use core::mem::{offset_of, size_of};
use core::sync::atomic::{AtomicU8, AtomicU64, Ordering, fence};

use super::hooks;
use super::memory;
use super::paca::{self, PROBE_ENTRIES, Paca, ProbeEntry, read};
use super::spr::timebase;
use crate::addr::Vaddr;
use crate::trace::probes::Special;
use crate::trace::probes::filter::Filter;
use crate::trace::probes::program::{self, Machine, Shape, Step, TEXT_MAX};
use crate::trace::record::{self, PAYLOAD_WORDS, payload_place};
use crate::trace::ring;

global_asm!(
    include_str!("../../boot/probe.S"),
    FRAME = const size_of::<Frame>(),
    FRAME_GPR = const offset_of!(Frame, gpr),
    FRAME_LR = const offset_of!(Frame, lr),
    FRAME_CTR = const offset_of!(Frame, ctr),
    FRAME_CR = const offset_of!(Frame, cr),
    FRAME_XER = const offset_of!(Frame, xer),
    FRAME_BLOCK = const offset_of!(Frame, block),
    FRAME_PLACE = const offset_of!(Frame, place),
    FRAME_BACK = const offset_of!(Frame, back),
    FRAME_WAY = const offset_of!(Frame, way),
    PROBE_ENTRY = const size_of::<ProbeEntry>(),
    PROBE_LR = const offset_of!(ProbeEntry, lr),
    RING_BASE = const offset_of!(Paca, ring_base),
    RING_WANTED = const offset_of!(Paca, ring_wanted),
    STACK_LOW = const offset_of!(Paca, stack_low),
    BLOCK_MISSED = const offset_of!(Block, missed),
    KERNEL_TOC = const offset_of!(Paca, kernel_toc),
    fired = sym fired,
);

/// The frame of `boot/probe.S`.
#[repr(C)]
struct Frame {
    /// Back chain, and what the Rust function stores in its caller's frame.
    header: [u64; 4],
    gpr: [u64; 32],
    lr: u64,
    ctr: u64,
    cr: u64,
    xer: u64,
    block: u64,
    place: u64,
    back: u64,
    way: u64,
    /// What the hook has below r1.
    spilled: [u64; 8],
}
const _: () = assert!(size_of::<Frame>().is_multiple_of(16), "r1 stays 16-byte aligned");

/// Registers of the function that is probed, as [`Frame`] has them from `gpr` on.
#[repr(C)]
struct Registers {
    gpr: [u64; 32],
    lr: u64,
    ctr: u64,
    cr: u64,
    xer: u64,
}

/// One probe on one CPU. `boot/mcount.S` knows the offsets; `hits` is the first.
#[repr(C, align(64))]
#[derive(Default)]
pub struct Block {
    hits: AtomicU64,
    /// What its records say in [`record::Record::ip`].
    pub(super) ip: AtomicU64,
    /// The same while it is on, if it waits for returns; or 0.
    pub(super) return_ip: AtomicU64,
    /// [`RETURN`] and [`SLOW`].
    pub(super) flags: AtomicU64,
    /// Returns that there was no room to wait for.
    pub(super) missed: AtomicU64,
    /// The next probe of the same function.
    pub(super) next: AtomicU64,
    /// Address of a [`Fetcher`], if it is slow.
    fetcher: AtomicU64,
    /// Address of `left` in the first block, if so many calls only are waited for.
    pub(super) pool: AtomicU64,
    /// How many more may be under way.
    left: AtomicU64,
}
const _: () = assert!(offset_of!(Block, hits) == 0);

/// Of [`Block::flags`], in the nibble that `mtocrf` takes: it waits for the return.
const RETURN: u64 = 1 << 31;
/// The kernel fetches what it records.
const SLOW: u64 = 1 << 30;
/// So many calls only are waited for.
const LIMITED: u64 = 1 << 29;

/// What the kernel does for a probe.
pub struct Fetcher {
    /// What is fetched.
    pub steps: Vec<Step>,
    /// The address of the call site.
    pub site: Vaddr,
    /// Which records are kept, and how they are read.
    pub filter: Option<(Arc<Filter>, Arc<Shape>)>,
}

/// What a probe is to its blocks.
pub struct Setup {
    /// What its records say in [`record::Record::ip`].
    pub ip: u64,
    /// It waits for returns.
    pub at_return: bool,
    /// Of so many calls at once; 0 is as many as there is room for.
    pub active: u16,
    /// What the kernel is to fetch, if the hook cannot.
    pub fetch: Option<Fetcher>,
}

/// A probe's blocks, one for each CPU.
pub type Blocks = &'static [Block];

/// Makes blocks for so many CPUs; `None` without memory.
pub fn new_blocks(cpus: usize) -> Option<Blocks> {
    let mut blocks = Vec::new();
    blocks.try_reserve_exact(cpus).ok()?;
    blocks.resize_with(cpus, Block::default);
    Some(blocks.leak())
}

/// Makes the blocks those of a probe, with counts of 0.
pub fn set_up(blocks: Blocks, setup: Setup) {
    let Setup { ip, at_return, active, fetch } = setup;
    let flag = |on, flag| if on { flag } else { 0 };
    let flags = flag(at_return, RETURN) | flag(fetch.is_some(), SLOW) | flag(active > 0, LIMITED);
    let fetcher = fetch.map_or(0, |fetch| Box::into_raw(Box::new(fetch)) as u64);
    let pool = blocks.first().map_or(0, |block| {
        block.left.store(active.into(), Ordering::Relaxed);
        core::ptr::from_ref(&block.left) as u64
    });
    let old = blocks.first().map_or(0, |block| block.fetcher.load(Ordering::Relaxed));
    for block in blocks {
        block.return_ip.store(0, Ordering::Relaxed);
        block.hits.store(0, Ordering::Relaxed);
        block.missed.store(0, Ordering::Relaxed);
        block.next.store(0, Ordering::Relaxed);
        block.fetcher.store(fetcher, Ordering::Relaxed);
        block.pool.store(pool, Ordering::Relaxed);
        block.flags.store(flags, Ordering::Relaxed);
        block.ip.store(ip, Ordering::Release);
    }
    if old != 0 {
        // SAFETY: made by `into_raw` above when these blocks were another probe's; no
        // block has its address any more, and that probe is long off.
        drop(unsafe { Box::from_raw(old as *mut Fetcher) });
    }
}

/// Has returns that a probe waits for recorded, or not any more.
pub fn set_on(blocks: Blocks, on: bool) {
    for block in blocks {
        let ip = if on { block.ip.load(Ordering::Relaxed) } else { 0 };
        block.return_ip.store(ip, Ordering::Release);
    }
}

/// Puts the probes of one function in their order, on every CPU.
pub fn chain(probes: &[Blocks]) {
    for (place, blocks) in probes.iter().enumerate().rev() {
        for (cpu, block) in blocks.iter().enumerate() {
            let next = probes.get(place + 1).map_or(0, |next| address(next, cpu));
            block.next.store(next, Ordering::Release);
        }
    }
}

/// Address of the block for the CPU with this place among all.
pub fn address(blocks: Blocks, cpu: usize) -> u64 {
    blocks.get(cpu).map_or(0, |block| core::ptr::from_ref(block) as u64)
}

/// The call with this entry on a stack of probes does not return: if it was one of so
/// many that its probe waits for, another one may be.
#[optimize(size)]
pub fn forget(entry: Vaddr) {
    let field = |offset: usize| memory::read_u64(entry.offset(offset as i64)).unwrap_or_default();
    let [r1, block, ip] = [
        field(offset_of!(ProbeEntry, r1)),
        field(offset_of!(ProbeEntry, block)),
        field(offset_of!(ProbeEntry, ip)),
    ];
    if r1 & paca::PROBE_TAKEN != 0 {
        // SAFETY: `PUSH_PROBE` has put there the address of a block, which is for ever.
        let block = unsafe { &*(block as *const Block) };
        if block.ip.load(Ordering::Relaxed) == ip {
            let pool = block.pool.load(Ordering::Relaxed) as *const AtomicU64;
            // SAFETY: `set_up` has put there the address of a field of such a block.
            unsafe { &*pool }.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Hits and misses on all CPUs.
pub fn counts(blocks: Blocks) -> (u64, u64) {
    let sum = |count: fn(&Block) -> &AtomicU64| {
        blocks.iter().map(|block| count(block).load(Ordering::Relaxed)).sum()
    };
    (sum(|block| &block.hits), sum(|block| &block.missed))
}

/// Where the function goes on, and where it returns to, whose probe asks the kernel with
/// the frame at `stack`, to which `at` returns; `None` if that is no such frame, or one
/// that is not filled in yet.
pub fn goes_on(at: Vaddr, stack: Vaddr) -> Option<[Vaddr; 2]> {
    let field = |offset: usize| memory::read_u64(stack.offset(offset as i64)).map(Vaddr);
    let places = || Some([field(offset_of!(Frame, ctr))?, field(offset_of!(Frame, lr))?]);
    (at == hooks::probe_asked_address()).then(places).flatten()
}

/// Bytes of texts that a CPU keeps.
const TEXTS_BYTES: usize = 64 * 1024;

/// Gives the CPU with this PACA a stack of probes, and room for texts, if it has none;
/// false if there is no memory.
pub fn make_room(paca: Vaddr) -> bool {
    if paca::has_probe_stack(paca) {
        return true;
    }
    let (mut stack, mut texts) = (Vec::new(), Vec::new());
    if stack.try_reserve_exact(PROBE_ENTRIES).is_err()
        || texts.try_reserve_exact(TEXTS_BYTES).is_err()
    {
        return false;
    }
    stack.resize(PROBE_ENTRIES, ProbeEntry::default());
    texts.resize_with(TEXTS_BYTES, || AtomicU8::new(0));
    paca::texts_of(paca).0.store(texts.leak().as_ptr() as u64, Ordering::Release);
    // Kept for ever, since functions may be under way whose return address is in it.
    paca::set_probe_stack_of(paca, stack.leak().as_ptr() as u64);
    true
}

/// The room for texts of the CPU with this PACA, and how much was ever put there.
fn texts_of(paca: Vaddr) -> Option<(&'static [AtomicU8], &'static AtomicU64)> {
    let (base, head) = paca::texts_of(paca);
    let base = base.load(Ordering::Acquire);
    if base == 0 {
        return None;
    }
    // SAFETY: the field has the address of so many bytes that `make_room` has leaked; all
    // access to them is atomic.
    let texts = unsafe { core::slice::from_raw_parts(base as *const AtomicU8, TEXTS_BYTES) };
    Some((texts, head))
}

/// Of what stands for a text, the low bits that are its length.
const LENGTH_BITS: u32 = 16;

/// A text that the CPU with this PACA has kept, if it is still there.
pub fn text(paca: Vaddr, kept: u64) -> Option<Vec<u8>> {
    let (_, head) = texts_of(paca)?;
    let mut bytes = [0; TEXT_MAX];
    let len = copy_text(paca, kept, &mut bytes);
    fence(Ordering::Acquire);
    let is_there = head.load(Ordering::Relaxed).wrapping_sub(kept >> LENGTH_BITS);
    let text = bytes.get(..len).filter(|_| is_there <= TEXTS_BYTES as u64);
    text.map(<[u8]>::to_vec)
}

/// Copies it, and says how long it is.
fn copy_text(paca: Vaddr, kept: u64, to: &mut [u8; TEXT_MAX]) -> usize {
    let Some((texts, _)) = texts_of(paca) else { return 0 };
    let (start, len) = (kept >> LENGTH_BITS, kept as usize & ((1 << LENGTH_BITS) - 1));
    for (at, byte) in (start..).zip(to.iter_mut().take(len)) {
        *byte = texts[at as usize % TEXTS_BYTES].load(Ordering::Relaxed);
    }
    len.min(TEXT_MAX)
}

/// What runs on a CPU, as traces name it.
pub const fn task_of(cpu: u16) -> &'static str {
    if cpu == 0 { "shell" } else { "job" }
}

/// The machine as a program sees it.
struct Here<'r> {
    registers: &'r Registers,
    nip: Vaddr,
}

impl Machine for Here<'_> {
    fn read(&self, at: u64, to: &mut [u8]) -> usize {
        memory::read_prefix(Vaddr(at), to)
    }

    fn keep(&self, text: &[u8]) -> u64 {
        let Some((texts, head)) = texts_of(paca::r13()) else { return 0 };
        let start = head.fetch_add(text.len() as u64, Ordering::Relaxed);
        fence(Ordering::Release);
        for (at, byte) in (start..).zip(text) {
            texts[at as usize % TEXTS_BYTES].store(*byte, Ordering::Relaxed);
        }
        start << LENGTH_BITS | text.len() as u64
    }

    fn special(&self, which: Special) -> u64 {
        match which {
            Special::Nip => self.nip.0,
            Special::Link => self.registers.lr,
            Special::Ctr => self.registers.ctr,
            Special::Xer => self.registers.xer,
            Special::Ccr => self.registers.cr & 0xffff_ffff,
        }
    }
}

/// A call of a function, or its return, at which a probe wants what only the kernel can
/// fetch. `ring` is the first record of this CPU's ring, which is taken away meanwhile; 0
/// if nothing is recorded any more since the hook has looked.
extern "C" fn fired(block: &Block, registers: &Registers, ring: u64) {
    if ring == 0 {
        return;
    }
    let fetcher = block.fetcher.load(Ordering::Acquire) as *const Fetcher;
    // SAFETY: `set_up` has put there the address of a fetcher that it has leaked, before
    // it flagged the block as slow; or 0.
    let Some(fetcher) = (unsafe { fetcher.as_ref() }) else { return };
    let at_return = block.flags.load(Ordering::Relaxed) & RETURN != 0;
    let nip = if at_return { Vaddr(registers.lr) } else { fetcher.site };
    let mut words = [0; PAYLOAD_WORDS];
    let texts = paca::texts_of(paca::r13()).1.load(Ordering::Relaxed);
    program::run(&fetcher.steps, &registers.gpr, &Here { registers, nip }, &mut words);
    block.hits.fetch_add(1, Ordering::Relaxed);
    if let Some((filter, shape)) = &fetcher.filter {
        let kept = |kept, to: &mut [u8; TEXT_MAX]| copy_text(paca::r13(), kept, to);
        let task = task_of(paca::cpu_number());
        if !filter.passes(shape, &words, &kept, (fetcher.site.0, task)) {
            // Nobody will ask for its texts.
            paca::texts_of(paca::r13()).1.store(texts, Ordering::Relaxed);
            return;
        }
    }

    let slots = read!(ring_mask) as usize + 1;
    let planes = read!(payload);
    let head = paca::ring_head_of(paca::r13());
    let Some(index) = ring::reserve(head, read!(ring_limit)) else {
        paca::ring_limit_of(paca::r13()).1.fetch_add(1, Ordering::Relaxed);
        return;
    };
    fence(Ordering::Release);
    let slot = index as usize & (slots - 1);
    let store = |base: u64, word: usize, value: u64| {
        // SAFETY: the ring has `slots` records of four words, and each of the planes as
        // many; both are kept for ever, and only ever accessed atomically.
        let place = unsafe { &*(base as *const AtomicU64).add(word) };
        place.store(value, Ordering::Relaxed);
    };
    for (word, value) in words.into_iter().enumerate() {
        store(planes, payload_place(slots, slot, word), value);
    }
    let field = |offset: usize| slot * record::WORDS + offset / 8;
    store(ring, field(record::TIME), timebase());
    store(ring, field(record::IP), block.ip.load(Ordering::Relaxed));
    store(ring, field(record::PARENT), registers.lr);
    fence(Ordering::Release);
    store(ring, field(record::SEQ), index + 1);
}
