//! All the other CPUs: started through the platform, each with its own PACA,
//! stacks and ticks, then left to run jobs.
//!
//! Nothing interrupts another CPU at its work: one that waits for work is asleep, and
//! [`wake`] makes it look.
//!
//! Reference: LoPAPR, "start-cpu", "H_CEDE", "H_PROD".

use alloc::vec::Vec;
use core::arch::global_asm;
use core::mem::offset_of;
use core::sync::atomic::{AtomicU64, Ordering};

use super::lock::{Mutex, Once};
use super::paca::{self, Paca, read};
use super::platform::{self, MachineFacts};
use super::spr::{self, number::SPRG0};
use super::{mmu, tick};
use crate::addr::Vaddr;

global_asm!(
    include_str!("../../boot/endian.S"),
    include_str!("../../boot/smp.S"),
    ".purgem turn_little_endian",
    SPRG0 = const SPRG0,
    KERNEL_TOC = const offset_of!(Paca, kernel_toc),
    STACK_HIGH = const offset_of!(Paca, stack_high),
    secondary_main = sym secondary_main,
);

unsafe extern "C" {
    fn secondary_start();
}

/// A CPU that runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cpu {
    /// Our number, from 0.
    pub number: u16,
    /// The platform's number.
    pub hardware: u32,
    /// Its PACA.
    pub paca: Vaddr,
}

static CPUS: Mutex<Vec<Cpu>> = Mutex::new(Vec::new());
/// The PACAs of the CPUs that run, by number, then 0: to be read without a lock.
static PACAS: [AtomicU64; 64] = [const { AtomicU64::new(0) }; 64];
static WORK: Once<fn() -> !> = Once::new();

/// Most ticks of the time base that a CPU is waited for: two seconds at 512 MHz.
const PATIENCE: u64 = 1 << 30;

/// Starts every CPU that the platform has; each goes on in `work`, with its
/// translation and its ticks on. Returns the numbers of those that did not come.
pub fn start_all(facts: &MachineFacts, work: fn() -> !) -> Vec<u32> {
    WORK.call_once(|| work);
    let boot = facts.cpus.first().copied().unwrap_or(0);
    paca::set_hardware(boot);
    add(Cpu { number: 0, hardware: boot, paca: paca::r13() });
    let mut absent = Vec::new();
    for hardware in facts.cpus.iter().copied().filter(|hardware| *hardware != boot) {
        let number = CPUS.lock().len() as u16;
        let started = paca::build_secondary(number, hardware).filter(|paca| {
            let entry = Vaddr(secondary_start as *const () as u64);
            let asked = platform::get().is_some_and(|it| it.start_cpu(hardware, entry, paca.0));
            asked && comes_online(*paca)
        });
        match started {
            Some(paca) => add(Cpu { number, hardware, paca }),
            None => absent.push(hardware),
        }
    }
    absent
}

fn add(cpu: Cpu) {
    CPUS.lock().push(cpu);
    if let Some(place) = PACAS.get(usize::from(cpu.number)) {
        place.store(cpu.paca.0, Ordering::Release);
    }
}

/// As [`cpus`], without a lock and without the heap.
pub fn visit() -> impl Iterator<Item = Cpu> {
    let pacas = PACAS.iter().map(|paca| Vaddr(paca.load(Ordering::Acquire)));
    pacas.take_while(|paca| paca.0 != 0).map(|paca| {
        let (number, hardware) = paca::numbers_of(paca);
        Cpu { number, hardware, paca }
    })
}

/// How often, for each CPU that there is, a CPU that takes no tick is looked at before
/// it is taken for deaf, and how many ticks apart. An emulator that runs one CPU at a
/// time gives each ten ticks in a row, so three times is three rounds; a busy host may
/// stop them all for long, and that is one look.
const LOOKS: u64 = 3;
const LOOKS_APART: u64 = 10;

/// Interrupts, by a system reset, the CPUs that should have ended a call and keep
/// interrupts off. To be called once a tick.
pub fn rouse_the_deaf() {
    let patience = LOOKS * visit().count() as u64;
    for cpu in visit().filter(|cpu| cpu.paca != paca::r13()) {
        if paca::is_deaf(cpu.paca, patience, LOOKS_APART * tick::period())
            && let Some(platform) = platform::get()
        {
            platform.reset_cpu(cpu.hardware);
        }
    }
}

fn comes_online(paca: Vaddr) -> bool {
    let since = spr::timebase();
    while spr::timebase() - since < PATIENCE {
        if paca::online(paca) {
            return true;
        }
        super::lock::pause();
    }
    false
}

/// The first Rust code of a CPU that was started.
extern "C" fn secondary_main() -> ! {
    spr::settle_msr();
    if let Some(platform) = platform::get() {
        platform.settle_cpu();
    }
    mmu::turn_on();
    tick::start();
    paca::set_online();
    let work = WORK.get().expect("CPUs are started with work to do");
    work()
}

/// The CPUs that run.
pub fn cpus() -> Vec<Cpu> {
    CPUS.lock().clone()
}

/// Runs `work` while the list of CPUs is locked.
pub fn while_locked(work: &mut dyn FnMut()) {
    let _list = CPUS.lock();
    work();
}

/// This CPU's number.
pub fn this_cpu() -> u16 {
    paca::cpu_number()
}

/// Makes a sleeping CPU look for work.
pub fn wake(number: u16) {
    let cpu = CPUS.lock().iter().find(|cpu| cpu.number == number).copied();
    if let (Some(cpu), Some(platform)) = (cpu, platform::get()) {
        platform.wake(cpu.hardware);
    }
}

/// Sleeps until there may be work: until a tick, or until [`wake`].
pub fn sleep() {
    if let Some(platform) = platform::get() {
        platform.sleep();
    }
}

/// Ticks that a CPU has taken.
pub fn ticks(cpu: &Cpu) -> u64 {
    paca::ticks_of(cpu.paca)
}

/// True if this CPU is inside a guarded call.
pub fn busy() -> bool {
    read!(job_sp) != 0
}
