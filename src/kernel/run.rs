//! Boot arguments and the shell's loop.
use crate::kprintln;
use crate::machine::platform;
use crate::machine::platform::MachineFacts;

pub fn run(facts: &MachineFacts) -> ! {
    kprintln!("{facts:x?}");
    kprintln!("selftest {}", crate::machine::trap::selftest());
    kprintln!("{:?}", crate::machine::memory::usage());
    kprintln!("tocsin: ok");
    platform::get().unwrap().power_off()
}
