//! A guest of a POWER hypervisor: console through hypercalls, ends through RTAS.
//!
//! References: LoPAPR, "Run-Time Abstraction Services"; "Virtual Terminal".

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicU32, Ordering};

use super::openfirmware::{Node, OpenFirmware, call_cells};
use super::{HashTable, MachineFacts, Platform, bootfiles, hcall};
use crate::addr::Vaddr;
use crate::initrd;
use crate::machine::lock::{Mutex, briefly};
use crate::machine::{boot, memory, spr};
use crate::media;
use crate::mmu::negotiate::{self, Kind, Offer, Wanted};

/// Bytes kept for RTAS: QEMU wants 2 KiB. PowerVM wants tens of MiB, and gets them behind
/// the image.
const RTAS_BYTES: usize = 64 * 1024;

/// How much further the next place for RTAS is that is tried.
const RTAS_STEP: u64 = 1 << 20;

/// Bytes at the top of the first memory range that firmware may still use.
const FIRMWARE_TOP: u64 = 0x260_0000;

/// Most arguments of an RTAS service that is used.
const ARGS_MAX: usize = 3;

#[repr(C, align(4096))]
struct RtasRoom(UnsafeCell<[u8; RTAS_BYTES]>);

// SAFETY: only firmware touches it.
unsafe impl Sync for RtasRoom {}

/// In `.bss`, so below 4 GiB and inside the first memory range.
static RTAS_ROOM: RtasRoom = RtasRoom(UnsafeCell::new([0; RTAS_BYTES]));

/// RTAS: its entry and the tokens of the services used.
#[derive(Clone, Copy, Debug, Default)]
struct Rtas {
    entry: u32,
    base: u32,
    power_off: Option<u32>,
    system_reboot: Option<u32>,
    os_term: Option<u32>,
    start_cpu: Option<u32>,
}

/// The platform of pseries machines.
pub struct Pseries {
    /// Unit address of the console's virtual terminal.
    vty: AtomicU32,
    rtas: Rtas,
    /// Where the memory ends that RTAS has behind the image, 0 if it has none there.
    rtas_end: u64,
    /// Held while a CPU is in RTAS.
    in_rtas: Mutex<()>,
}

/// Finds console and RTAS, with which the kernel can speak and end; needs no heap.
pub fn find(firmware: &OpenFirmware) -> Pseries {
    let stdout = stdout_terminal(firmware);
    let vty = stdout.or_else(|| terminals(firmware).next()).unwrap_or(0);

    let mut rtas = Rtas::default();
    let mut rtas_end = 0;
    if let Some(node) = firmware.find(c"/rtas")
        && let Some(size) = firmware.cell(node, c"rtas-size")
        && let Some((room, end)) = room_for_rtas(firmware, size)
    {
        let token = |name| firmware.cell(node, name).map(|token| token as u32);
        rtas.power_off = token(c"power-off");
        rtas.system_reboot = token(c"system-reboot");
        rtas.os_term = token(c"ibm,os-term");
        rtas.start_cpu = token(c"start-cpu");
        rtas.base = room;
        rtas.entry = firmware.instantiate_rtas(room).unwrap_or(0);
        rtas_end = end;
    }
    Pseries { vty: AtomicU32::new(vty), rtas, rtas_end, in_rtas: Mutex::new(()) }
}

/// Memory for RTAS, and where it ends if it lies behind the image: the first there that
/// firmware can give, below 4 GiB (LoPAPR, "instantiate-rtas"; the archive that QEMU has
/// put there is not claimed).
fn room_for_rtas(firmware: &OpenFirmware, size: u64) -> Option<(u32, u64)> {
    if size <= RTAS_BYTES as u64 {
        return Some((RTAS_ROOM.0.get() as u32, 0));
    }
    let size = size.next_multiple_of(bootfiles::GRAIN);
    let chosen = firmware.find(c"/chosen")?;
    let archive_end = firmware.cell(chosen, c"linux,initrd-end").unwrap_or(0);
    let mut at = boot::image().1.0.max(archive_end).next_multiple_of(bootfiles::GRAIN);
    while at + size <= u64::from(u32::MAX) {
        if firmware.claim(at, size) {
            return Some((at as u32, at + size));
        }
        at += RTAS_STEP;
    }
    None
}

/// The unit address of a node, if it is a terminal that hypercalls reach. (There is
/// also `hvterm-protocol`, which wants packets.)
fn terminal(firmware: &OpenFirmware, node: Node) -> Option<u32> {
    let (name, len) = firmware.property::<8>(node, c"compatible")?;
    (&name[..len] == b"hvterm1\0").then(|| firmware.cell(node, c"reg"))?.map(|unit| unit as u32)
}

/// The terminal that firmware itself prints to, if that is one.
fn stdout_terminal(firmware: &OpenFirmware) -> Option<u32> {
    let chosen = firmware.find(c"/chosen")?;
    let instance = firmware.cell(chosen, c"stdout")?;
    terminal(firmware, firmware.package(instance as u32)?)
}

/// All terminals, in the tree's order.
fn terminals(firmware: &OpenFirmware) -> impl Iterator<Item = u32> {
    let first = firmware.find(c"/vdevice").and_then(|parent| firmware.child(parent));
    core::iter::successors(first, |node| firmware.peer(*node))
        .filter_map(|node| terminal(firmware, node))
}

/// The terminal that `console=` names: `hvc0` is firmware's own, `hvc1` and so on are
/// the others in the tree's order, as Linux counts them; `vty@30000001` is a unit.
fn named_terminal(firmware: &OpenFirmware, name: &str) -> Option<u32> {
    if let Some(unit) = name.strip_prefix("vty@") {
        let unit = u32::from_str_radix(unit, 16).ok()?;
        return terminals(firmware).find(|terminal| *terminal == unit);
    }
    let index = name.strip_prefix("hvc")?.parse().ok()?;
    let stdout = stdout_terminal(firmware);
    let others = terminals(firmware).filter(|unit| Some(*unit) != stdout);
    stdout.into_iter().chain(others).nth(index)
}

/// Asks the firmware for everything else that the kernel will need, then ends it.
/// A panic in here is seen: the platform is known by now.
///
/// `handed_over`: `platform::take_over`.
#[optimize(size)]
pub fn take_over(
    platform: &Pseries,
    firmware: OpenFirmware,
    handed_over: (u64, u64),
) -> MachineFacts {
    let mut facts = MachineFacts::default();

    let chosen = firmware.find(c"/chosen");
    let number = |name| chosen.and_then(|node| firmware.cell(node, name));
    if let (Some(start), Some(end)) = (number(c"linux,initrd-start"), number(c"linux,initrd-end"))
        && start < end
    {
        facts.initrd = Some((Vaddr(start), end - start));
    }
    if let Some((bytes, len)) =
        firmware.find(c"/memory@0").and_then(|node| firmware.property::<16>(node, c"reg"))
        && len == 16
    {
        let [start, len] = [0, 8].map(|at| bytes[at..].first_chunk().copied().unwrap_or([0; 8]));
        facts.memory = (Vaddr(u64::from_be_bytes(start)), u64::from_be_bytes(len));
        facts.memory_top = (facts.memory.0.0 + facts.memory.1).saturating_sub(FIRMWARE_TOP);
    }
    let mut from = "the firmware";
    if facts.initrd.is_none() {
        // GRUB names it there and nowhere else, and so does boot/client.S.
        let (start, len) = handed_over;
        let archive = memory::begins_with(&facts, Vaddr(start), len, initrd::MAGIC);
        (facts.initrd, from) =
            (archive.then_some((Vaddr(start), len)), "whoever started the kernel");
    }
    let path = chosen.and_then(|node| firmware.property::<512>(node, c"bootpath"));
    let path = path.as_ref().map_or(&[][..], |(bytes, len)| without_nul(&bytes[..*len]));
    let mut found = bootfiles::Found::default();
    if facts.initrd.is_none() && !path.is_empty() {
        let from = Vaddr(boot::image().1.0.max(platform.rtas_end));
        found = bootfiles::find(&firmware, path, from, facts.memory_top);
        facts.initrd = found.archive.map(|file| (file.start, file.len));
    }
    facts.files_end = found.end.max(platform.rtas_end);
    // From here on there is a heap: the rest may have any length.
    memory::init(&facts);
    if let Some(archive) = &found.archive {
        from = archive.path.text();
    }
    facts.lack = (platform.rtas.entry == 0)
        .then_some("no RTAS: one CPU runs, and the kernel cannot switch the machine off");
    facts.archive_from = String::from(from);
    facts.bootpath = String::from(String::from_utf8_lossy(path));
    facts.trouble = found.trouble.map(|trouble| trouble.to_string());

    if let Some(node) = chosen {
        facts.bootargs = firmware.property_bytes(node, c"bootargs").unwrap_or_default();
        while facts.bootargs.last() == Some(&0) {
            facts.bootargs.pop();
        }
    }
    facts.add_commands(found.commands.as_ref());
    choose_console(platform, &firmware, &mut facts);
    facts.translation = agree_on_translation(&firmware, chosen, &facts.bootargs);
    facts.model = firmware
        .find(c"/")
        .and_then(|root| firmware.property_bytes(root, c"model"))
        .map(|bytes| String::from(String::from_utf8_lossy(&bytes).trim_end_matches('\0')))
        .unwrap_or_default();

    // Which of them this is; VOF does not say, and has it first.
    let own = number(c"cpu").and_then(|instance| firmware.package(instance as u32));
    let mut cpu = firmware.find(c"/cpus").and_then(|cpus| firmware.child(cpus));
    while let Some(node) = cpu {
        if let Some(servers) = firmware.property_bytes(node, c"ibm,ppc-interrupt-server#s") {
            let at = facts.cpus.len();
            let (threads, _) = servers.as_chunks::<4>();
            facts.cpus.extend(threads.iter().map(|bytes| u32::from_be_bytes(*bytes)));
            if cpu == own {
                facts.this_cpu(at);
            }
        }
        if facts.hash_table_bits == 0
            && let Some((bytes, 8)) = firmware.property::<8>(node, c"ibm,pft-size")
        {
            facts.hash_table_bits = u64::from_be_bytes(bytes) as u32;
        }
        if facts.timebase_hz == 0 {
            facts.timebase_hz = firmware.cell(node, c"timebase-frequency").unwrap_or(0);
        }
        cpu = firmware.peer(node);
    }

    firmware.quiesce();
    facts
}

fn without_nul(bytes: &[u8]) -> &[u8] {
    bytes.split(|byte| *byte == 0).next().unwrap_or(&[])
}

/// Takes the terminal that `console=` names, if it does.
fn choose_console(platform: &Pseries, firmware: &OpenFirmware, facts: &mut MachineFacts) {
    let wanted = media::value(&facts.bootargs, "console").map(String::from_utf8_lossy);
    if let Some(name) = wanted {
        match named_terminal(firmware, &name) {
            Some(unit) => platform.vty.store(unit, Ordering::Relaxed),
            None => {
                let all: Vec<_> = terminals(firmware).map(|unit| format!("vty@{unit:x}")).collect();
                let trouble = format!("console={name}: no such terminal ({})", all.join(", "));
                facts.trouble.get_or_insert(trouble);
            }
        }
    }
    facts.console = format!("vty@{:x}", platform.vty.load(Ordering::Relaxed));
}

/// Settles with the hypervisor which translation to run with. What the tree says
/// of CPUs may change by it, so they are asked for afterwards.
///
/// SLOF is not asked without need: it goes through the whole tree after the
/// answer, for 116 million instructions, and QEMU, which runs it, gives what it
/// offers also to a guest that never asked. PowerVM does not.
fn agree_on_translation(
    firmware: &OpenFirmware,
    chosen: Option<Node>,
    bootargs: &[u8],
) -> Option<Kind> {
    let wanted = match Wanted::find(bootargs) {
        Some(Wanted::Off) => return None,
        Some(Wanted::Kind(kind)) => Some(kind),
        None => None,
    };
    let kind = chosen
        .and_then(|node| firmware.property::<16>(node, c"ibm,arch-vec-5-platform-support"))
        .and_then(|(bytes, len)| Offer::of_hypervisor(&bytes[..len]))
        .unwrap_or_else(|| {
            let cpu = firmware.find(c"/cpus").and_then(|cpus| firmware.child(cpus));
            let version = cpu.and_then(|node| firmware.cell(node, c"cpu-version"));
            Offer::of_processor(version.map(|version| version as u32), spr::pvr())
        })
        .choose(wanted)
        .expect("radix is offered only with invalidation by the hypervisor, which is not done");
    let slof = || {
        let model = firmware.property::<8>(firmware.find(c"/openprom")?, c"model");
        Some(model?.0.starts_with(b"SLOF"))
    };
    let ask = negotiate::insists(bootargs) || slof() != Some(true);
    if !ask || !firmware.ask_support(&negotiate::request(kind, spr::pvr())) {
        return Some(kind);
    }
    let granted = firmware
        .find(c"/chosen")
        .and_then(|chosen| firmware.property::<32>(chosen, c"ibm,architecture-vec-5"))
        .map(|(bytes, len)| negotiate::granted(&bytes[..len]));
    Some(granted.unwrap_or(kind))
}

impl Pseries {
    /// Calls an RTAS service that has one result; waits while another CPU is in RTAS.
    /// A CPU that has not come back for long will not: the machine ends, and others
    /// have stopped.
    fn rtas(&self, token: impl Fn(&Rtas) -> Option<u32>, args: &[u32]) -> Option<u32> {
        let _only = briefly(&self.in_rtas);
        let rtas = &self.rtas;
        let token = token(rtas).filter(|_| rtas.entry != 0)?;
        // No heap: this ends the machine also when there is none.
        let mut cells = [0; 3 + ARGS_MAX];
        cells[..3].copy_from_slice(&[token, args.len() as u32, 1]);
        cells[3..3 + args.len()].copy_from_slice(args);
        let cells = &cells[..3 + args.len()];
        let mut results = [0];
        // SAFETY: entry and base are RTAS's own (instantiated at boot); the
        // services used take no address but a string in the image; the lock
        // keeps other CPUs out, or they have stopped.
        unsafe { call_cells(rtas.entry.into(), rtas.base.into(), cells, &mut results) };
        Some(results[0])
    }
}

/// A reason for `ibm,os-term`: NUL-terminated, in the image, below 4 GiB.
static TERM_REASON: Mutex<[u8; 128]> = Mutex::new([0; 128]);

impl Platform for Pseries {
    fn console_write(&self, bytes: &[u8]) {
        hcall::put_term_chars(self.vty.load(Ordering::Relaxed), bytes);
    }

    fn console_read(&self, buffer: &mut [u8; 16]) -> usize {
        hcall::get_term_chars(self.vty.load(Ordering::Relaxed), buffer)
    }

    fn power_off(&self) -> ! {
        self.rtas(|rtas| rtas.power_off, &[u32::MAX, u32::MAX]);
        loop {
            core::hint::spin_loop();
        }
    }

    fn fail(&self, reason: &str) -> ! {
        let mut text = briefly(&TERM_REASON);
        let address = match &mut text {
            Some(text) => {
                let len = reason.len().min(text.len() - 1);
                text[..len].copy_from_slice(&reason.as_bytes()[..len]);
                text[len] = 0;
                text.as_ptr() as u32
            }
            None => c"failed".as_ptr() as u32,
        };
        self.rtas(|rtas| rtas.os_term, &[address]);
        self.power_off()
    }

    fn reboot(&self) -> ! {
        self.rtas(|rtas| rtas.system_reboot, &[]);
        self.power_off()
    }

    fn start_cpu(&self, hardware: u32, entry: Vaddr, argument: u64) -> bool {
        let args = [hardware, entry.0 as u32, argument as u32];
        self.rtas(|rtas| rtas.start_cpu, &args) == Some(0)
    }

    fn wake(&self, hardware: u32) {
        hcall::prod(hardware);
    }

    fn reset_cpu(&self, hardware: u32) -> bool {
        hcall::signal_system_reset(hardware)
    }

    fn sleep(&self) {
        hcall::cede();
    }

    fn little_endian_exceptions(&self, _: &MachineFacts) {
        assert!(hcall::set_little_endian_interrupts(), "the hypervisor has no little-endian mode");
    }

    fn settle_cpu(&self) {}

    fn use_trees(&self, table: u64, _: u64) -> bool {
        hcall::register_process_table(table, 0)
    }

    fn hash_table(&self) -> Option<&dyn HashTable> {
        Some(self)
    }
}

impl HashTable for Pseries {
    fn enter(&self, slot: u64, v: u64, r: u64) -> Option<u64> {
        hcall::hash_enter(slot, v, r)
    }

    fn read_four(&self, slot: u64) -> Option<[(u64, u64); 4]> {
        hcall::hash_read_four(slot)
    }

    fn protect(&self, slot: u64, protection: u64) -> bool {
        hcall::hash_protect(slot, protection)
    }

    fn remove(&self, slot: u64) -> bool {
        hcall::hash_remove(slot)
    }
}
