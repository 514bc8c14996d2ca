//! The machine: every `unsafe` line and every instruction that a host cannot
//! execute. All else in the crate calls the safe functions of this folder.
//!
//! ```text
//! boot        boot/entry.S and the stack that it starts on
//! platform/   firmware and hypervisor behind one trait
//! paca        what r13 points to
//! trap        exception vectors and the frame that they save
//! ending      one CPU ends the machine, the others stop
//! faults      faults of the kernel itself, on purpose (`selftest fault`)
//! scratch     memory for the report of a fault
//! call        calling into modules such that a fault comes back
//! hooks       what a switched-on call site runs through (boot/mcount.S)
//! trigger     hooked calls that the kernel looks at (boot/trigger.S)
//! probes      what a probe counts and fetches (boot/probe.S)
//! own         the kernel's own functions as call sites
//! step        single step
//! quiesce     questions that every CPU answers about its own stack
//! smp         the other CPUs
//! tick        the decrementer
//! text        the one writer of executable memory
//! mmu         what each address may be used for
//! memory      RAM, heap, module pages, fault-safe reads
//! cstring     C's string functions
//! varargs     C functions with variable arguments
//! spr         special registers and the time base
//! ```

pub mod boot;
pub mod call;
pub mod cstring;
pub mod ending;
pub mod faults;
pub mod hooks;
pub mod lock;
pub mod memory;
pub mod mmu;
pub mod own;
pub mod paca;
pub mod platform;
pub mod probes;
pub mod quiesce;
pub mod scratch;
pub mod smp;
pub mod spr;
pub mod step;
pub mod text;
pub mod tick;
pub mod trap;
pub mod trigger;
pub mod varargs;
