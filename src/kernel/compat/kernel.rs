//! Stack protector, lists, mutexes, jiffies, random bytes, and the rest that a
//! library module asks of a kernel.

use alloc::format;
use alloc::string::{String, ToString};
use core::sync::atomic::{AtomicU64, Ordering};

use crate::addr::Vaddr;
use crate::machine::lock::{Mutex, pause};
use crate::machine::{call, memory, smp, spr, tick};
use crate::sorted::SortedMap;

/// Ticks of `jiffies` in a second, as in Debian's kernel.
const HZ: u64 = 250;

/// `jiffies`; brought up to date when a command starts.
static JIFFIES: AtomicU64 = AtomicU64::new(0);

/// `kmalloc_caches`: modules load a pointer from it and hand it back, unused.
static KMALLOC_CACHES: [AtomicU64; 256] = [const { AtomicU64::new(0) }; 256];

/// Who locked a mutex.
#[derive(Clone, Copy)]
struct Holder {
    cpu: u16,
    call: u64,
}

/// Mutexes that are locked, by address.
static LOCKED: Mutex<SortedMap<u64, Holder>> = Mutex::new(SortedMap::new());

/// Where `jiffies` is.
pub fn jiffies_address() -> Vaddr {
    Vaddr(JIFFIES.as_ptr() as u64)
}

/// Where `kmalloc_caches` is.
pub fn kmalloc_caches_address() -> Vaddr {
    Vaddr(KMALLOC_CACHES.as_ptr() as u64)
}

/// What `jiffies` would be now.
pub fn jiffies_now() -> u64 {
    spr::timebase() / (tick::timebase_hz() / HZ).max(1)
}

/// Brings `jiffies` up to date.
pub fn update_jiffies() {
    JIFFIES.store(jiffies_now(), Ordering::Relaxed);
}

/// Unlocks what the call with this number has locked: it did not return.
pub fn release_mutexes(call: u64) {
    LOCKED.lock().retain(|_, holder| holder.call != call);
}

/// Locks a mutex if it is free; who has it if not.
fn try_lock(lock: u64) -> Result<(), Holder> {
    let mut locked = LOCKED.lock();
    if let Some(holder) = locked.get(&lock) {
        return Err(*holder);
    }
    locked.insert(lock, Holder { cpu: smp::this_cpu(), call: call::current() });
    Ok(())
}

fn text(at: u64) -> String {
    memory::read_cstr(Vaddr(at), 256)
        .map_or_else(|| "?".to_string(), |bytes| String::from_utf8_lossy(&bytes).into_owned())
}

/// `__stack_chk_fail()`: a function's stack canary is gone.
pub extern "C" fn stack_chk_fail() {
    call::give_up("stack protector: a function wrote past the end of its stack buffer".to_string());
}

/// `fortify_panic(name)`: a checked string function would have overrun.
pub extern "C" fn fortify_panic(name: u64) {
    call::give_up(format!("fortify: {} would write or read past its buffer", text(name)));
}

/// `panic(format, ...)`: the module says that all is lost.
pub extern "C" fn panic(format: u64) {
    call::give_up(format!("the module called panic: {}", text(format).trim_ascii_end()));
}

/// `__list_add_valid(new, prev, next)`: true if the neighbours agree.
pub extern "C" fn list_add_valid(new: u64, prev: u64, next: u64) -> bool {
    let field = |at: u64, offset: i64| memory::read_u64(Vaddr(at).offset(offset));
    let good =
        field(next, 8) == Some(prev) && field(prev, 0) == Some(next) && new != prev && new != next;
    if !good {
        crate::kprintln!("list_add: corrupt list at {prev:#x} and {next:#x}, nothing was added");
    }
    good
}

/// `__list_del_entry_valid(entry)`: true if the neighbours agree.
pub extern "C" fn list_del_entry_valid(entry: u64) -> bool {
    let field = |at: u64, offset: i64| memory::read_u64(Vaddr(at).offset(offset));
    let (next, prev) = (field(entry, 0), field(entry, 8));
    let good = next.is_some_and(|next| field(next, 8) == Some(entry))
        && prev.is_some_and(|prev| field(prev, 0) == Some(entry));
    if !good {
        crate::kprintln!("list_del: corrupt list at {entry:#x}, nothing was removed");
    }
    good
}

/// `__mutex_init(lock, name, key)`.
pub extern "C" fn mutex_init(lock: u64, _name: u64, _key: u64) {
    LOCKED.lock().remove(&lock);
}

/// `mutex_lock(lock)`: waits while another CPU holds it. Held by this one, it will
/// never be free.
pub extern "C" fn mutex_lock(lock: u64) {
    while let Err(holder) = try_lock(lock) {
        if holder.cpu == smp::this_cpu() {
            call::give_up(format!("mutex_lock: {lock:#x} is locked already, by this job"));
        }
        if tick::must_end() {
            call::give_up(format!("ended while waiting for the mutex {lock:#x}"));
        }
        pause();
    }
}

/// `mutex_trylock(lock)`.
pub extern "C" fn mutex_trylock(lock: u64) -> i32 {
    i32::from(try_lock(lock).is_ok())
}

/// `mutex_unlock(lock)`.
pub extern "C" fn mutex_unlock(lock: u64) {
    if LOCKED.lock().remove(&lock).is_none() {
        call::give_up(format!("mutex_unlock: {lock:#x} is not locked"));
    }
}

/// A random number: a fast generator seeded from the time base. Not for secrets.
#[inline(never)]
pub fn random() -> u64 {
    static STATE: AtomicU64 = AtomicU64::new(0);
    // SplitMix64 (Steele, Lea, Flood 2014).
    let step = spr::timebase().wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = STATE.fetch_add(step, Ordering::Relaxed).wrapping_add(step);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// `get_random_bytes(buffer, len)`.
pub extern "C" fn get_random_bytes(buffer: u64, len: u64) {
    let mut bytes = alloc::vec![0; len as usize];
    for chunk in bytes.chunks_mut(8) {
        let len = chunk.len();
        chunk.copy_from_slice(&random().to_le_bytes()[..len]);
    }
    memory::write_for_module(Vaddr(buffer), &bytes);
}

/// `cond_resched()` and its kind: nothing else is waiting.
pub extern "C" fn cond_resched() -> i32 {
    0
}
