//! Calling a function of a module such that a fault in it comes back here.

use alloc::string::String;
use alloc::vec::Vec;
use core::arch::global_asm;
use core::mem::offset_of;
use core::sync::atomic::{AtomicU64, Ordering};

use super::paca::{self, Paca, read, write};
use super::spr::number::SPRG0;
use super::{spr, tick};
use crate::addr::Vaddr;

/// Bytes of `guarded_call`'s frame: header, request and outer job, 18 registers.
const FRAME: usize = 32 + 16 + 18 * 8;
const _: () = assert!(FRAME.is_multiple_of(16));

/// What `guarded_call` reads and writes.
#[repr(C)]
struct Request {
    entry: u64,
    argc: u64,
    argv: *const u64,
    result: u64,
}

unsafe extern "C" {
    fn guarded_call(request: &mut Request) -> u64;
    fn guarded_abort();
    fn guarded_return();
}

global_asm!(
    include_str!("../../boot/call.S"),
    FRAME = const FRAME,
    JOB_SP = const offset_of!(Paca, job_sp),
    KERNEL_MSR = const offset_of!(Paca, kernel_msr),
    REQUEST_ENTRY = const offset_of!(Request, entry),
    REQUEST_ARGC = const offset_of!(Request, argc),
    REQUEST_ARGV = const offset_of!(Request, argv),
    REQUEST_RESULT = const offset_of!(Request, result),
    SPRG0 = const SPRG0,
);

/// Registers that carry arguments (ELFv2 ABI, "Parameter Passing").
const REGISTER_ARGS: usize = 8;

/// Most arguments of one call.
pub const MAX_ARGS: usize = 32;

/// The called function did not return: a fault ended it, and was reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended;

/// Calls the function whose global entry is `entry`; its r3.
///
/// The first 8 arguments go into r3 to r10, all of them into the parameter save
/// area. Module code is kernel code: it can do what it likes to memory. What this
/// promises is that a fault the CPU reports does not end more than the call, and
/// that the shadow stack is then as deep as before.
///
/// # Panics
/// With more than [`MAX_ARGS`] arguments.
pub fn guarded(
    entry: Vaddr,
    args: &[u64],
    limit: Option<u64>,
    number: impl FnOnce(u64),
) -> Result<u64, Ended> {
    static CALLS: AtomicU64 = AtomicU64::new(0);
    let mut argv = [0; MAX_ARGS];
    argv[..args.len()].copy_from_slice(args);
    let argc = args.len().max(REGISTER_ARGS) as u64;
    let mut request = Request { entry: entry.0, argc, argv: argv.as_ptr(), result: 0 };
    let marks = paca::marks();
    let outer = read!(call_number);
    let outer_entry = read!(call_entry);
    let own = CALLS.fetch_add(1, Ordering::Relaxed) + 1;
    number(own);
    write!(call_number, own);
    write!(call_entry, entry.0);
    let outer_limit = tick::set_limit(limit);
    let interrupts = spr::interrupts_on();
    // SAFETY: `guarded_call` keeps every register that Rust relies on, also
    // when the called code does not; `argv` has at least `argc` entries; the
    // code at `entry` was loaded as part of this kernel by its user's wish.
    let ended = unsafe { guarded_call(&mut request) };
    spr::interrupts_restore(interrupts);
    tick::restore_limit(outer_limit);
    write!(call_number, outer);
    write!(call_entry, outer_entry);
    // Also where it has returned: calls that a `longjmp` went past have not.
    paca::rewind(marks);
    if ended != 0 {
        paca::give_ring_back();
        return Err(Ended);
    }
    Ok(request.result)
}

/// The number of the call that runs on this CPU, 0 if none does.
pub fn current() -> u64 {
    read!(call_number)
}

/// The function that the call on this CPU began with.
pub fn current_entry() -> Vaddr {
    Vaddr(read!(call_entry))
}

/// True while a guarded call runs on this CPU.
pub fn job_runs() -> bool {
    read!(job_sp) != 0
}

/// Where the trap handler goes on to end the innermost guarded call: address and r1.
pub fn abort_point() -> Option<(Vaddr, u64)> {
    let job = read!(job_sp);
    (job != 0).then_some((Vaddr(guarded_abort as *const () as u64), job))
}

/// The address that guarded calls return to: the end of a module's back trace.
pub fn return_address() -> Vaddr {
    Vaddr(guarded_return as *const () as u64)
}

global_asm!(
    ".section .text.give_up, \"ax\", @progbits",
    ".balign 16",
    // Ends the running job from kernel code that a module called. In: nothing.
    // Never returns: the trap handler ends the job here.
    ".global give_up_trap",
    ".type give_up_trap, @function",
    "give_up_trap:",
    "trap",
    "b give_up_trap",
    ".size give_up_trap, . - give_up_trap",
);

unsafe extern "C" {
    fn give_up_trap() -> !;
}

/// Why kernel code ended the job that called it, by the call's number.
static GIVEN_UP: super::lock::Mutex<Vec<(u64, String)>> = super::lock::Mutex::new(Vec::new());

/// Ends the running job: a C function was told by its module that all is lost.
pub fn give_up(reason: String) -> ! {
    GIVEN_UP.lock().push((current(), reason));
    // SAFETY: traps; the handler knows the place and ends the job (or the
    // machine, if none runs).
    unsafe { give_up_trap() }
}

/// The reason, if the trap at `nip` is the one of [`give_up`].
pub fn given_up(nip: Vaddr) -> Option<String> {
    if nip != Vaddr(give_up_trap as *const () as u64) {
        return None;
    }
    let mut reasons = GIVEN_UP.lock();
    let mine = reasons.iter().position(|(call, _)| *call == current())?;
    let reason = reasons.swap_remove(mine).1;
    if reasons.is_empty() {
        *reasons = Vec::new(); // `mem` is the same before and after
    }
    Some(reason)
}
