//! Firmware and hypervisor behind one trait.
//!
//! Everything that differs between a pseries guest (Open Firmware, RTAS,
//! hypercalls) and a bare machine (FDT, OPAL) is asked for here; the rest of the
//! kernel knows only [`Platform`].
//!
//! ```text
//! pseries         a hypervisor's guest: console and clean ends by hypercalls and RTAS
//!   openfirmware  the client interface: properties and files, before quiesce
//!   bootfiles     modules and commands, from where the kernel came from
//!   hcall         the hypercall instruction and the numbers used
//! powernv         a bare machine: what a tree says (`fdt`), what a hypervisor sets up
//!   opal          calls of its firmware, and the numbers used
//! ```

pub mod bootfiles;
pub mod hcall;
pub mod opal;
pub mod openfirmware;
pub mod powernv;
pub mod pseries;

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use crate::addr::Vaddr;
use crate::initrd;
use crate::machine::lock::Once;
use crate::machine::memory;
use crate::media::{self, COMMANDS_INSIDE};
use crate::mmu::negotiate::Kind;

/// What the firmware said of the machine, read once at boot.
#[derive(Clone, Debug, Default)]
pub struct MachineFacts {
    /// `model` of the root node.
    pub model: String,
    /// The first range of memory, which holds the image: start and length in
    /// bytes. The kernel uses no other: stubs reach 2 GiB, and so does this.
    pub memory: (Vaddr, u64),
    /// The first address of it that is left to the firmware, to its end.
    pub memory_top: u64,
    /// The archive of modules, if there is one: the initial ramdisk.
    pub initrd: Option<(Vaddr, u64)>,
    /// Who loaded it, or the path that it was read from.
    pub archive_from: String,
    /// The first address behind whatever else must stay as it is (files from the boot
    /// medium, the firmware's own); 0 if there is nothing.
    pub files_end: u64,
    /// What firmware says the kernel came from; empty if it does not say.
    pub bootpath: String,
    /// The terminal that is the console.
    pub console: String,
    /// Something that came with the kernel and cannot be used: no command is run.
    pub trouble: Option<String>,
    /// What firmware has not given, and what becomes of that.
    pub lack: Option<&'static str>,
    /// The boot arguments as bytes, without the final NUL.
    pub bootargs: Vec<u8>,
    /// Ticks of the time base in a second.
    pub timebase_hz: u64,
    /// The translation that was agreed with the hypervisor; `None` to run without.
    pub translation: Option<Kind>,
    /// Log2 of the bytes of the hash table that the hypervisor keeps for us.
    pub hash_table_bits: u32,
    /// Hardware numbers of the CPUs (`ibm,ppc-interrupt-server#s`), this one's first.
    pub cpus: Vec<u32>,
}

impl MachineFacts {
    /// Puts the CPU that this runs on first: that of this index, if there is one.
    #[inline(never)]
    fn this_cpu(&mut self, at: usize) {
        if at < self.cpus.len() {
            self.cpus.swap(0, at);
        }
    }

    /// Adds commands to the boot arguments: those beside the archive, or else those in it.
    #[optimize(size)]
    fn add_commands(&mut self, beside: Option<&bootfiles::Loaded>) {
        let inside = || {
            let (start, len) = self.initrd?;
            initrd::files(memory::initrd_bytes(start, len))
                .find(|file| file.path == COMMANDS_INSIDE)
        };
        let (name, script) = match (beside, inside()) {
            (Some(file), _) => (file.path.text(), memory::initrd_bytes(file.start, file.len)),
            (None, Some(file)) => (file.path, file.data),
            (None, None) => return,
        };
        if let Some(why) = media::merge(&mut self.bootargs, script) {
            self.trouble.get_or_insert_with(|| format!("{name}: {why}"));
        }
    }
}

/// A hash table of translations that a hypervisor keeps.
pub trait HashTable: Sync {
    /// Enters both words into a free entry of the group that begins at `slot`: that
    /// entry's number, or `None` if there is none.
    fn enter(&self, slot: u64, v: u64, r: u64) -> Option<u64>;

    /// Both words of each of four entries; `slot` is a multiple of four.
    fn read_four(&self, slot: u64) -> Option<[(u64, u64); 4]>;

    /// Changes the protection of an entry, in place, on every CPU.
    fn protect(&self, slot: u64, protection: u64) -> bool;

    /// Removes an entry, on every CPU.
    fn remove(&self, slot: u64) -> bool;
}

/// What every platform can do once the kernel has taken over.
pub trait Platform: Sync {
    /// Writes bytes to the console, all of them.
    fn console_write(&self, bytes: &[u8]);

    /// Bytes typed since the last call, at most 16; 0 if none.
    fn console_read(&self, buffer: &mut [u8; 16]) -> usize;

    /// Ends the machine with success.
    fn power_off(&self) -> !;

    /// Ends the machine with failure, telling `reason` to whoever can hear it. Also
    /// after a fault that left locks behind.
    fn fail(&self, reason: &str) -> !;

    /// Starts the machine again.
    fn reboot(&self) -> !;

    /// Starts another CPU at `entry` with `argument` in r3; false if it cannot.
    fn start_cpu(&self, hardware: u32, entry: Vaddr, argument: u64) -> bool;

    /// Makes a CPU return from [`sleep`](Self::sleep).
    fn wake(&self, hardware: u32);

    /// Interrupts a CPU by a system reset, whatever it is doing; false if the platform
    /// cannot.
    fn reset_cpu(&self, hardware: u32) -> bool;

    /// Lets this CPU sleep until an interrupt or a [`wake`](Self::wake).
    fn sleep(&self);

    /// Makes exceptions arrive in little-endian mode on every CPU. Called once, while
    /// the others are the firmware's.
    fn little_endian_exceptions(&self, facts: &MachineFacts);

    /// Brings a CPU that was started into the state that the kernel runs in.
    fn settle_cpu(&self);

    /// Makes every CPU translate with the trees of the process table, a page, at
    /// `table`; `tree` is one of its entries. False if it cannot.
    fn use_trees(&self, table: u64, tree: u64) -> bool;

    /// The hash table for translations, if somebody keeps one for us.
    fn hash_table(&self) -> Option<&dyn HashTable>;
}

/// All that there are.
enum Found {
    Pseries(pseries::Pseries),
    Powernv(powernv::Powernv),
}

static PLATFORM: Once<Found> = Once::new();

/// The platform; `None` before it was found.
#[inline(never)] // asked for in many places, seldom
pub fn get() -> Option<&'static dyn Platform> {
    Some(match PLATFORM.get()? {
        Found::Pseries(platform) => platform,
        Found::Powernv(platform) => platform,
    })
}

/// Learns what the firmware knows, sets up memory, and takes the machine over.
///
/// `firmware` is what came in r5 at boot: Open Firmware's entry, or 0. `handed_over` is
/// what came in r3 and r4: perhaps an archive of modules and its bytes; without Open
/// Firmware the device tree.
///
/// # Panics
/// If called twice, or if no firmware called us that is known.
#[optimize(size)]
pub fn take_over(firmware: u64, handed_over: (u64, u64)) -> (&'static dyn Platform, MachineFacts) {
    assert!(PLATFORM.get().is_none());
    // SAFETY: r5 at boot, if it is not 0, and this is the first call: the firmware is
    // whole.
    let open = (firmware != 0).then(|| unsafe { openfirmware::OpenFirmware::new(firmware) });
    let tree = || powernv::tree(Vaddr(handed_over.0));
    let found = PLATFORM.call_once(|| match &open {
        Some(firmware) => Found::Pseries(pseries::find(firmware)),
        None => Found::Powernv(powernv::find(tree())),
    });
    match (found, open) {
        (Found::Pseries(platform), Some(firmware)) => {
            (platform, pseries::take_over(platform, firmware, handed_over))
        }
        (Found::Powernv(platform), _) => (platform, powernv::take_over(platform, tree())),
        (Found::Pseries(_), None) => unreachable!("found through its firmware"),
    }
}
