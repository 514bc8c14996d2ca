//! A bare machine: no hypervisor but the kernel, and OPAL for console and clean ends.
//!
//! ```text
//!  skiboot -> image's first byte, r3 = tree -> find: console -> take_over: facts
//!  memory:  vectors | image | initrd | skiboot's own | heap, pages ...
//!                                      ^ reserved in the tree: the longest gap is ours
//!
//!  PTCR -> partition table  [0] -> process table (mmu::radix), which all CPUs share
//!  LPCR    interrupts as in a guest: SRR0 and SRR1, real mode, radix
//! ```
//!
//! A CPU that has nothing to do stops (`stop`), and others ring it (`msgsnd`). OPAL can
//! send no system reset under QEMU 7.2; there a CPU that keeps interrupts off is deaf.
//!
//! # References
//! skiboot doc/device-tree, doc/opal-api; Power ISA 3.0B Book III, "Logical Partitioning
//! Control Register", "Partition Table", "Power-Saving Mode", "Directed Hypervisor
//! Doorbell Interrupt".

use alloc::format;
use alloc::string::String;
use core::arch::asm;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::opal::Opal;
use super::{HashTable, MachineFacts, Platform};
use crate::addr::Vaddr;
use crate::fdt::{self, Node, Tree};
use crate::machine::lock::pause;
use crate::machine::paca::{self, read, write};
use crate::machine::{boot, ending, memory, smp, spr};
use crate::media;
use crate::memory::largest_gap;
use crate::mmu::negotiate::{Kind, Wanted};

/// The number of the CPU that may go on, and its PACA; `boot/opal.S` reads it.
pub static STARTED: [AtomicU64; 2] = [AtomicU64::new(u64::MAX), AtomicU64::new(0)];

unsafe extern "C" {
    fn opal_secondary_start();
}

/// Ticks of the time base in which a CPU hears a doorbell: 10 ms at 512 MHz.
const HEARS: u64 = 5 << 20;

/// Bytes of a tree that are believed; skiboot's have about 20 KB, and more with devices.
const TREE_MAX: usize = 16 << 20;

/// The tree that the firmware has handed over.
///
/// # Panics
/// If there is none: then nobody knows where the console is either.
pub fn tree(at: Vaddr) -> Tree<'static> {
    // SAFETY: r3 of whoever has started the kernel and has no Open Firmware, which is a
    // tree's address: its header is RAM, and no number of it is believed unchecked.
    let header = unsafe { &*(at.0 as *const [u8; fdt::HEADER]) };
    let size = fdt::size(header).filter(|size| *size <= TREE_MAX).expect("r3 is a tree's address");
    // SAFETY: as above; nobody writes there: `take_over` keeps memory of its own clear
    // of it, and it is not used after that.
    let bytes = unsafe { core::slice::from_raw_parts(at.0 as *const u8, size) };
    Tree::new(bytes).expect("its parts are inside")
}

/// Bits of the LPCR (Book III, "Logical Partitioning Control Register").
mod lpcr {
    pub const NUMBER: u32 = 318;
    /// Storage interrupts are a hypervisor's: not those of its own.
    pub const VIRTUAL: u64 = 0xe << 60;
    /// Interrupts with translation on.
    pub const AIL: u64 = 3 << 23;
    /// Translation by a process table; the radix tree of the hypervisor itself.
    pub const TREES: u64 = 1 << 22 | 1 << 20;
    /// No external interrupts in a hypervisor; POWER9 and later.
    pub const HEIC: u64 = 1 << 4;
    /// External interrupts come through SRR0 and SRR1.
    pub const LPES: u64 = 1 << 3;
    /// Hypervisor virtualization interrupts; POWER9 and later.
    pub const HVICE: u64 = 1 << 1;
    /// The hypervisor decrementer's interrupts.
    pub const HDICE: u64 = 1;
}

/// Registers that only a hypervisor has: partition, partition table, stop's ways.
const LPID: u32 = 319;
const PTCR: u32 = 464;
const PSSCR: u32 = 855;

/// Bytes of a partition table with 256 entries, of which the first is ours. Its size
/// field is then 0.
const PARTITIONS_BYTES: u64 = 4096;

/// Both words of an entry say that they are about radix.
const RADIX: u64 = 1 << 63;

/// The platform of bare machines.
pub struct Powernv {
    opal: Opal,
    /// The console: the first, which OPAL itself prints to, or that of `console=`.
    terminal: AtomicU64,
    /// What the processor knows: radix, `stop` and doorbells to all CPUs. POWER9.
    modern: bool,
    /// The partition table, once there is one.
    partitions: AtomicU64,
    /// OPAL could not send a system reset, and would take long to find that out again.
    no_reset: AtomicBool,
}

/// Finds OPAL and the console, with which the kernel can speak and end; needs no heap.
pub fn find(tree: Tree<'static>) -> Powernv {
    let opal = tree.find(&["ibm,opal"]);
    let address = |name| opal.and_then(|node| node.number(name)).unwrap_or(0);
    // SAFETY: what the tree says of the firmware that has started this CPU; the kernel
    // keeps to the gap that reserved memory leaves (`take_over`).
    let opal = unsafe { Opal::new(address("opal-base-address"), address("opal-entry-address")) };
    let modern = spr::pvr() >> 16 >= 0x4e;
    let [terminal, partitions] = [const { AtomicU64::new(0) }; 2];
    Powernv { opal, terminal, modern, partitions, no_reset: AtomicBool::new(false) }
}

/// The memory that the image is in.
fn memory_of_image(tree: Tree<'static>) -> Option<(Vaddr, u64)> {
    let (start, end) = boot::image();
    for node in tree.below(&[]) {
        if node.text("device_type") == Some(b"memory") {
            let mut ranges = fdt::ranges(node.property("reg")?);
            let found = ranges.find(|(at, len)| *at <= start.0 && end.0 - at <= *len);
            if let Some((at, len)) = found {
                return Some((Vaddr(at), len));
            }
        }
    }
    None
}

/// Learns the rest from the tree and sets up memory. The firmware stays.
#[optimize(size)]
pub fn take_over(platform: &Powernv, tree: Tree<'static>) -> MachineFacts {
    let mut facts = MachineFacts::default();
    let chosen = tree.find(&["chosen"]);
    let number = |name| chosen.and_then(|node| node.number(name));
    let mut from = boot::image().1.0;
    if let (Some(start), Some(end)) = (number("linux,initrd-start"), number("linux,initrd-end"))
        && start < end
    {
        facts.initrd = Some((Vaddr(start), end - start));
        from = from.max(end);
    }
    facts.memory = memory_of_image(tree).expect("the image is in memory");
    let end = facts.memory.0.0 + facts.memory.1;
    let own = (tree.bytes().as_ptr() as u64, tree.bytes().len() as u64);
    let taken = tree.reserved().chain([own]);
    (facts.files_end, facts.memory_top) = largest_gap((from, end), taken).unwrap_or((end, end));
    // From here on there is a heap.
    memory::init(&facts);

    facts.archive_from = String::from("the firmware");
    let text = |node: Option<Node<'static>>, name| node.and_then(|node| node.text(name));
    facts.bootargs = text(chosen, "bootargs").unwrap_or_default().to_vec();
    facts.add_commands(None);
    let model = text(tree.find(&[]), "model").unwrap_or_default();
    facts.model = String::from_utf8_lossy(model).into_owned();
    if let Some(name) = media::value(&facts.bootargs, "console").map(String::from_utf8_lossy) {
        let wanted = name.strip_prefix("hvc").and_then(|number| number.parse().ok());
        let mut all = tree.below(&["ibm,opal", "consoles"]).filter_map(|node| node.number("reg"));
        match all.find(|terminal| Some(*terminal) == wanted) {
            Some(terminal) => platform.terminal.store(terminal, Ordering::Relaxed),
            None => facts.trouble = Some(format!("console={name}: no such terminal")),
        }
    }
    facts.console = format!("opal@{:x}", platform.terminal.load(Ordering::Relaxed));
    let wanted = Wanted::find(&facts.bootargs);
    let radix = platform.modern && wanted != Some(Wanted::Off);
    facts.translation = radix.then_some(Kind::Radix);
    if matches!(wanted, Some(Wanted::Kind(kind)) if facts.translation != Some(kind)) {
        let trouble = "mmu=: not to be had on this machine without a hypervisor";
        facts.trouble.get_or_insert(String::from(trouble));
    }
    for node in tree.below(&["cpus"]) {
        let servers = node.property("ibm,ppc-interrupt-server#s").unwrap_or_default();
        let (threads, _) = servers.as_chunks::<4>();
        facts.cpus.extend(threads.iter().map(|bytes| u32::from_be_bytes(*bytes)));
        if facts.timebase_hz == 0 {
            facts.timebase_hz = node.number("timebase-frequency").unwrap_or(0);
        }
    }
    let own = spr::pir();
    if let Some(at) = facts.cpus.iter().position(|cpu| *cpu == own) {
        facts.this_cpu(at);
    }
    facts
}

/// Reads a register that only a hypervisor has.
macro_rules! get {
    ($number:expr) => {{
        let value: u64;
        // SAFETY: reading it has no side effect, and this CPU is a hypervisor.
        unsafe {
            asm!("mfspr {}, {}", out(reg) value, const $number, options(nomem, nostack));
        }
        value
    }};
}

/// Writes one.
macro_rules! set {
    ($number:expr, $value:expr) => {
        // SAFETY: interrupts are off, and nothing that runs now depends on it: what is
        // about translation is set while that is off, PSSCR is about `stop` alone.
        unsafe {
            asm!("mtspr {}, {}", "isync", const $number, in(reg) $value, options(nostack));
        }
    };
}

impl Powernv {
    /// Says to this CPU what becomes of its interrupts and where its trees are.
    fn settle(&self) {
        let mut off = lpcr::VIRTUAL | lpcr::AIL | lpcr::HDICE;
        if self.modern {
            off |= lpcr::TREES | lpcr::HEIC | lpcr::HVICE;
        }
        let partitions = self.partitions.load(Ordering::Acquire);
        let mut trees = 0;
        set!(LPID, 0_u64);
        if partitions != 0 {
            set!(PTCR, partitions);
            trees = lpcr::TREES;
        }
        let old = get!(lpcr::NUMBER);
        set!(lpcr::NUMBER, old & !off | lpcr::LPES | trees);
        if partitions != 0 {
            // All of this partition's, of every kind: IS 3, RIC 2, with and without PRS.
            // SAFETY: forgets cached translations only.
            unsafe {
                asm!("ptesync", "tlbie {rb}, {rs}, 2, 1, 1", "tlbie {rb}, {rs}, 2, 0, 1",
                    "eieio", "tlbsync", "ptesync", "isync",
                    rb = in(reg) 3_u64 << 10, rs = in(reg) 0_u64, options(nostack));
            }
        }
    }
}

impl Platform for Powernv {
    fn console_write(&self, bytes: &[u8]) {
        self.opal.write(self.terminal.load(Ordering::Relaxed), bytes);
    }

    fn console_read(&self, buffer: &mut [u8; 16]) -> usize {
        self.opal.read(self.terminal.load(Ordering::Relaxed), buffer)
    }

    fn power_off(&self) -> ! {
        self.opal.power_down()
    }

    /// Nobody hears the reason but who reads the console.
    fn fail(&self, _: &str) -> ! {
        self.power_off()
    }

    fn reboot(&self) -> ! {
        self.opal.reboot()
    }

    /// It has come already, and waits.
    fn start_cpu(&self, hardware: u32, _: Vaddr, argument: u64) -> bool {
        STARTED[1].store(argument, Ordering::Relaxed);
        STARTED[0].store(hardware.into(), Ordering::Release);
        true
    }

    fn wake(&self, hardware: u32) {
        if self.modern {
            let message = 5 << 27 | u64::from(hardware);
            // SAFETY: interrupts that CPU, which has a handler (`trap::handle`).
            unsafe {
                asm!("sync", ".long 0x7c00019c | 3 << 11", // msgsnd r3
                    in("r3") message, options(nostack, preserves_flags));
            }
        }
    }

    fn reset_cpu(&self, hardware: u32) -> bool {
        // Whoever takes interrupts stops at this, if that is what it is about.
        self.wake(hardware);
        let since = spr::timebase();
        while ending::has_begun() && spr::timebase() - since < HEARS {
            if smp::visit().any(|cpu| cpu.hardware == hardware && paca::stopped(cpu.paca)) {
                return true;
            }
            pause();
        }
        if self.no_reset.load(Ordering::Relaxed) {
            return false;
        }
        let sent = self.opal.signal_system_reset(hardware);
        self.no_reset.store(!sent, Ordering::Relaxed);
        sent
    }

    fn sleep(&self) {
        spr::interrupts_off();
        if self.modern {
            if read!(rung) == 0 {
                // PSSCR 0: it goes on behind the instruction, with all registers.
                set!(PSSCR, 0_u64);
                // SAFETY: `stop`; the decrementer ends it, or a doorbell, also with EE off.
                unsafe { asm!(".long 0x4c0002e4", options(nostack)) };
            }
            write!(rung, 0);
            // SAFETY: what was stored before the doorbell is seen after this (msgsync).
            unsafe { asm!(".long 0x7c0006ec", "lwsync", options(nostack, preserves_flags)) };
        } else {
            pause();
        }
        spr::interrupts_on();
    }

    /// The other CPUs come at once: those that wait in the firmware cost an emulator
    /// more. Whether one has not come is seen when it is started.
    fn little_endian_exceptions(&self, facts: &MachineFacts) {
        self.opal.prepare_cpus(self.modern);
        let entry = Vaddr(opal_secondary_start as *const () as u64);
        for cpu in facts.cpus.iter().skip(1) {
            self.opal.start_cpu(*cpu, entry);
        }
        self.settle();
    }

    fn settle_cpu(&self) {
        self.settle();
    }

    fn use_trees(&self, table: u64, tree: u64) -> bool {
        let place = memory::take_for_tables(PARTITIONS_BYTES, PARTITIONS_BYTES);
        let Some(partitions) = place.filter(|_| self.modern) else { return false };
        for (index, word) in [RADIX | tree, RADIX | table].into_iter().enumerate() {
            let at = (partitions.0 as *mut u64).wrapping_add(index);
            // SAFETY: the first two words of the table, which no processor reads yet;
            // translation is off.
            unsafe { at.write_volatile(word.to_be()) };
        }
        self.partitions.store(partitions.0, Ordering::Release);
        self.settle();
        true
    }

    fn hash_table(&self) -> Option<&dyn HashTable> {
        None
    }
}
