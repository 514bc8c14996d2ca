//! Calls of OPAL, the firmware of a bare machine: the one way in (`boot/opal.S`) and
//! the numbers used.
//!
//! What a call points to are real addresses, which are ours, and numbers there are
//! big-endian.
//!
//! Reference: skiboot, doc/opal-api.

use core::arch::global_asm;

use crate::addr::Vaddr;
use crate::machine::spr::{msr, number::PIR};

global_asm!(
    include_str!("../../../boot/endian.S"),
    include_str!("../../../boot/opal.S"),
    ".purgem turn_little_endian",
    MSR_OFF = const msr::LE | msr::IR | msr::DR,
    PIR = const PIR,
    started = sym super::powernv::STARTED,
);

unsafe extern "C" {
    fn opal_call(token: u64, a: u64, b: u64, c: u64, opal: &Opal) -> i64;
}

/// `OPAL_CONSOLE_WRITE`: terminal, address of a length, bytes.
const CONSOLE_WRITE: u64 = 1;
/// `OPAL_CONSOLE_READ`: the same.
const CONSOLE_READ: u64 = 2;
/// `OPAL_CEC_POWER_DOWN`: 0 for the usual kind.
const POWER_DOWN: u64 = 5;
/// `OPAL_CEC_REBOOT`.
const REBOOT: u64 = 6;
/// `OPAL_POLL_EVENTS`: address for what is there, or 0. Gives OPAL time of its own.
const POLL_EVENTS: u64 = 10;
/// `OPAL_START_CPU`: a CPU, where to.
const START_CPU: u64 = 41;
/// `OPAL_REINIT_CPUS`: what is to change.
const REINIT_CPUS: u64 = 70;
/// Interrupts of the hypervisor are little-endian.
const REINIT_LITTLE_ENDIAN: u64 = 1 << 1;
/// What the processor sets up beforehand for a kind of translation.
const REINIT_HASH: u64 = 1 << 2;
const REINIT_RADIX: u64 = 1 << 3;
/// `OPAL_CONSOLE_FLUSH`: terminal.
const CONSOLE_FLUSH: u64 = 117;
/// `OPAL_SIGNAL_SYSTEM_RESET`: a CPU.
const SIGNAL_SYSTEM_RESET: u64 = 145;

const SUCCESS: i64 = 0;
/// Not yet: `OPAL_BUSY`, `OPAL_BUSY_EVENT`, `OPAL_PARTIAL` (which is: not all yet).
const NOT_YET: [i64; 3] = [-2, -12, -3];

/// The entry of a running OPAL.
#[repr(C)]
pub struct Opal {
    base: u64,
    entry: u64,
}

impl Opal {
    /// The firmware at `entry`.
    ///
    /// # Safety
    /// Both come from the machine's tree, this CPU is a hypervisor, and nobody writes to
    /// the memory that the tree reserves.
    pub unsafe fn new(base: u64, entry: u64) -> Self {
        Self { base, entry }
    }

    fn call(&self, token: u64, a: u64, b: u64, c: u64) -> i64 {
        // SAFETY: `opal_call` keeps what the ABI asks it to keep; the firmware is whole
        // (`new`). Addresses are passed by the functions below only, of memory that may
        // be used as the call does; they are real ones, as all of the kernel's are.
        unsafe { opal_call(token, a, b, c, self) }
    }

    /// Lets OPAL do what waits: move bytes of consoles, answer its service processor.
    pub fn poll(&self) {
        self.call(POLL_EVENTS, 0, 0, 0);
    }

    /// Writes bytes to a terminal, all of them.
    pub fn write(&self, terminal: u64, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let mut len = (bytes.len() as u64).to_be();
            let at = bytes.as_ptr() as u64;
            let status = self.call(CONSOLE_WRITE, terminal, &raw mut len as u64, at);
            if status == SUCCESS {
                bytes = bytes.get(u64::from_be(len) as usize..).unwrap_or_default();
            } else if !NOT_YET.contains(&status) {
                return;
            }
            if !bytes.is_empty() {
                self.poll();
            }
        }
        // Whatever comes next may be the end of the machine.
        while NOT_YET.contains(&self.call(CONSOLE_FLUSH, terminal, 0, 0)) {
            self.poll();
        }
    }

    /// Bytes waiting at a terminal, and how many there are.
    pub fn read(&self, terminal: u64, buffer: &mut [u8; 16]) -> usize {
        self.poll();
        let mut len = (buffer.len() as u64).to_be();
        let to = buffer.as_mut_ptr() as u64;
        let status = self.call(CONSOLE_READ, terminal, &raw mut len as u64, to);
        if status == SUCCESS { (u64::from_be(len) as usize).min(buffer.len()) } else { 0 }
    }

    /// Ends the machine. Who asks need not wait for the answer.
    pub fn power_down(&self) -> ! {
        self.end(POWER_DOWN)
    }

    /// Starts the machine again.
    pub fn reboot(&self) -> ! {
        self.end(REBOOT)
    }

    fn end(&self, token: u64) -> ! {
        while NOT_YET.contains(&self.call(token, 0, 0, 0)) {
            self.poll();
        }
        // It is asked of a service processor, which does it when it can.
        loop {
            self.poll();
        }
    }

    /// Starts a CPU at `entry`.
    pub fn start_cpu(&self, hardware: u32, entry: Vaddr) -> bool {
        self.call(START_CPU, hardware.into(), entry.0, 0) == SUCCESS
    }

    /// Makes a system reset interrupt come on a CPU, whatever it is doing.
    pub fn signal_system_reset(&self, hardware: u32) -> bool {
        self.call(SIGNAL_SYSTEM_RESET, hardware.into(), 0, 0) == SUCCESS
    }

    /// Makes interrupts of every CPU little-endian, and tells which translation is to
    /// come. No CPU but this one may have been started. What is said of translation is
    /// unknown to an OPAL for POWER8.
    pub fn prepare_cpus(&self, radix: bool) {
        let kind = if radix { REINIT_RADIX } else { REINIT_HASH };
        if self.call(REINIT_CPUS, REINIT_LITTLE_ENDIAN | kind, 0, 0) != SUCCESS {
            let status = self.call(REINIT_CPUS, REINIT_LITTLE_ENDIAN, 0, 0);
            assert!(status == SUCCESS, "the firmware has no little-endian interrupts: {status}");
        }
    }
}
