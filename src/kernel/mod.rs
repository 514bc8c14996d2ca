//! The glue: what the pure folders plan, carried out with what the machine can do.
//!
//! ```text
//! console     lines out, bytes in, the log
//! symbols     addresses to names and back: kernel, modules, stubs
//! ksyms       the kernel's own symbols, packed in its image
//! module_file a module's bytes, unpacked if they are compressed
//! modules     the loaded modules: insmod, rmmod, use counts
//! params      parameters of modules, at insmod and through their files
//! versions    does a module fit this kernel, and what is missing
//! exports     the names that modules import from the kernel
//! compat/     the C functions behind those names
//! call        the shell's `call`: arguments, buffers, what a fault leaves
//! jobs        calls on the other CPUs
//! step/       calls that are shown one instruction at a time
//! tables      BUG, WARN, fixups after faults, static keys
//! tracing     call sites on and off
//! triggers    what happens when certain functions are called
//! own         the kernel's own functions as call sites
//! graph       the graph tracer, and which tool calls meet
//! probes      events of kprobe_events
//! records     what they recorded, as text
//! pool        memory of theirs that stays, and is used again
//! registry    what modules registered: hashes, charsets, keymaps, packet matches
//! livepatch   redirecting functions of loaded modules
//! audit       whether modules are in memory as they were linked
//! oops        what an exception means; registers and back trace
//! unwind      walking the stack through trace and patch frames
//! files       control files under /proc and /sys
//! tracefs     those under /sys/kernel/tracing
//! initrd      the files that came with the kernel
//! commands/   one body for each command of the shell
//! run         boot arguments and the shell's loop
//! tab         names for the word at the cursor
//! ```
#![forbid(unsafe_code)]

pub mod audit;
pub mod call;
pub mod commands;
pub mod compat;
pub mod console;
pub mod exports;
pub mod files;
pub mod graph;
pub mod initrd;
pub mod jobs;
pub mod ksyms;
pub mod livepatch;
pub mod module_file;
pub mod modules;
pub mod oops;
pub mod own;
pub mod params;
pub mod pool;
pub mod probes;
pub mod records;
pub mod registry;
pub mod run;
pub mod step;
pub mod symbols;
mod tab;
pub mod tables;
pub mod tracefs;
pub mod tracing;
pub mod triggers;
pub mod unwind;
pub mod versions;

/// Puts the kernel behind what the machine calls: exceptions and C names.
pub fn connect() {
    crate::machine::trap::on_exception(oops::on_trap);
    compat::print::connect();
    step::connect();
    crate::machine::trigger::connect(triggers::entered);
    crate::machine::tick::on_tick(console::look_for_interrupt);
}
