//! What drivers and protocol modules take from the kernel besides: delays, spin
//! locks, rate limits, random numbers, UTF-8, I2C.
//!
//! Each does what Linux's does, as far as its caller can tell. Spin locks are the
//! mutexes of `kernel`: a lock is known by its address, is waited for, and is given
//! back when its call faults. Module code never runs in an interrupt here, so the
//! forms that keep interrupts off need no more.

use alloc::format;
use core::sync::atomic::AtomicU32;

use super::kernel;
use crate::addr::Vaddr;
use crate::compat::{chacha, lz4};
use crate::kernel::call::{self, CallEnd};
use crate::machine::lock::pause;
use crate::machine::{call as guarded, memory, spr, tick};

/// `_ctype`: what each character is, in the bits of Linux's `ctype.h`: 1 upper
/// case, 2 lower, 4 digit, 8 control, 16 punctuation, 32 space, 64 hexadecimal
/// letter, 128 the blank itself. The upper half is Latin-1's.
pub(crate) static CTYPE: [u8; 256] = {
    let mut table = [0; 256];
    let mut index = 0;
    while index < 256 {
        table[index] = match index as u8 {
            b'\t'..=b'\r' => 8 | 32,
            0..=0x1f | 0x7f => 8,
            b' ' => 32 | 128,
            b'0'..=b'9' => 4,
            b'A'..=b'F' => 1 | 64,
            b'a'..=b'f' => 2 | 64,
            b'G'..=b'Z' | 0xc0..=0xd6 | 0xd8..=0xde => 1,
            b'g'..=b'z' | 0xdf..=0xf6 | 0xf8..=0xff => 2,
            0x80..=0x9f => 0,
            0xa0 => 32 | 128,
            _ => 16,
        };
        index += 1;
    }
    table
};

/// `fips_enabled`: no algorithm is forbidden.
pub(crate) static FIPS: AtomicU32 = AtomicU32::new(0);

pub(crate) extern "C" fn spin_lock(lock: u64) {
    kernel::mutex_lock(lock);
}

pub(crate) extern "C" fn spin_lock_bh(lock: u64) {
    kernel::mutex_lock(lock);
}

/// The flags that it returns are for `spin_unlock_irqrestore`, which needs none.
pub(crate) extern "C" fn spin_lock_irqsave(lock: u64) -> u64 {
    kernel::mutex_lock(lock);
    0
}

pub(crate) extern "C" fn spin_unlock(lock: u64) {
    kernel::mutex_unlock(lock);
}

pub(crate) extern "C" fn spin_unlock_bh(lock: u64) {
    kernel::mutex_unlock(lock);
}

pub(crate) extern "C" fn spin_unlock_irqrestore(lock: u64, _flags: u64) {
    kernel::mutex_unlock(lock);
}

/// `___ratelimit(state, name)`: 1 if it may go on. `ratelimit_state` counts: at 4
/// the interval in jiffies, 8 how often in one, 12 how often it was, 16 how often it
/// was not, 24 when the interval began.
pub(crate) extern "C" fn ratelimit(state: u64, _name: u64) -> i32 {
    let at = |offset: u64| Vaddr(state + offset);
    let field = |offset: u64| memory::read_u32(at(offset)).unwrap_or(0);
    let (interval, burst, mut printed, mut missed) = (field(4), field(8), field(12), field(16));
    let mut begin = memory::read_u64(at(24)).unwrap_or(0);
    if interval == 0 {
        return 1;
    }
    let now = kernel::jiffies_now();
    // Signed, as Linux compares times: they wrap.
    let over = now.wrapping_sub(begin.wrapping_add(interval.into())).cast_signed() > 0;
    if begin == 0 || over {
        (begin, printed, missed) = (now, 0, 0);
    }
    let passes = printed < burst;
    *(if passes { &mut printed } else { &mut missed }) += 1;
    let counts = u64::from(printed) | u64::from(missed) << 32;
    memory::write_for_module(at(12), &counts.to_le_bytes());
    memory::write_for_module(at(24), &begin.to_le_bytes());
    i32::from(passes)
}

/// Waits by the time base; a call that is to end does so meanwhile.
fn wait(microseconds: u64) {
    let ticks = u128::from(microseconds) * u128::from(tick::timebase_hz()) / 1_000_000;
    let end = spr::timebase().saturating_add(ticks as u64);
    while spr::timebase() < end {
        if tick::must_end() {
            guarded::give_up("ended while it slept".into());
        }
        pause();
    }
}

pub(crate) extern "C" fn udelay(microseconds: u64) {
    wait(microseconds);
}

pub(crate) extern "C" fn usleep_range_state(least: u64, _most: u64, _state: u32) {
    wait(least);
}

pub(crate) extern "C" fn msleep(milliseconds: u32) {
    wait(u64::from(milliseconds) * 1000);
}

/// Nothing interrupts it: 0 milliseconds are left.
pub(crate) extern "C" fn msleep_interruptible(milliseconds: u32) -> u64 {
    wait(u64::from(milliseconds) * 1000);
    0
}

pub(crate) extern "C" fn get_random_u32() -> u32 {
    kernel::random() as u32
}

pub(crate) extern "C" fn get_random_u8() -> u8 {
    kernel::random() as u8
}

pub(crate) extern "C" fn get_random_u32_below(ceiling: u32) -> u32 {
    ((u128::from(kernel::random()) * u128::from(ceiling)) >> 64) as u32
}

/// `utf8_to_utf32(text, len, &code)`: bytes of the first character, or -1.
pub(crate) extern "C" fn utf8_to_utf32(text: u64, len: i32, code: u64) -> i32 {
    let mut bytes = [0; 4];
    let got = memory::read_prefix(Vaddr(text), &mut bytes[..len.clamp(0, 4) as usize]);
    let first = (1..=got).find_map(|len| core::str::from_utf8(&bytes[..len]).ok()?.chars().next());
    match first {
        Some(first) => {
            memory::write_for_module(Vaddr(code), &u32::from(first).to_le_bytes());
            first.len_utf8() as i32
        }
        None => -1,
    }
}

/// `utf32_to_utf8(code, text, room)`: bytes stored, or -1.
pub(crate) extern "C" fn utf32_to_utf8(code: u32, text: u64, room: i32) -> i32 {
    let mut bytes = [0; 4];
    let fits = |bytes: &&str| bytes.len() <= room.max(0) as usize;
    match char::from_u32(code).map(|code| &*code.encode_utf8(&mut bytes)).filter(fits) {
        _ if text == 0 => 0,
        Some(bytes) => {
            memory::write_for_module(Vaddr(text), bytes.as_bytes());
            bytes.len() as i32
        }
        None => -1,
    }
}

/// `LZ4_decompress_safe(block, text, len, room)`: bytes of text, or -1.
pub(crate) extern "C" fn lz4_decompress_safe(block: u64, text: u64, len: i32, room: i32) -> i32 {
    let mut bytes = alloc::vec![0; len.max(0) as usize];
    let decoded = memory::read(Vaddr(block), &mut bytes)
        .then(|| lz4::decode(&bytes, room.max(0) as usize))
        .flatten()
        .filter(|decoded| memory::write_for_module(Vaddr(text), decoded));
    decoded.map_or(-1, |decoded| decoded.len() as i32)
}

/// `chacha_block_generic(state, stream, rounds)`: one block; its number goes up.
pub(crate) extern "C" fn chacha_block_generic(state: u64, stream: u64, rounds: u32) {
    let mut bytes = [0; 64];
    memory::read(Vaddr(state), &mut bytes);
    let mut words = [0; 16];
    for (word, bytes) in words.iter_mut().zip(bytes.chunks(4)) {
        *word = bytes.iter().rev().fold(0u32, |word, byte| word << 8 | u32::from(*byte));
    }
    memory::write_for_module(Vaddr(stream), &chacha::block(&words, rounds));
    memory::write_for_module(Vaddr(state + 48), &words[12].wrapping_add(1).to_le_bytes());
}

/// `i2c_transfer(adapter, messages, count)`: what the adapter's algorithm answers;
/// -EOPNOTSUPP if it has no `master_xfer`. Who brings the adapter brings that: there
/// is no bus here. `i2c_adapter` has its algorithm at 16, and that the function at 0.
pub(crate) extern "C" fn i2c_transfer(adapter: u64, messages: u64, count: i32) -> i32 {
    let transfer = memory::read_u64(Vaddr(adapter).offset(16))
        .and_then(|algorithm| memory::read_u64(Vaddr(algorithm)));
    let Some(transfer) = transfer else {
        guarded::give_up(format!("i2c_transfer: no adapter at {adapter:#x}"));
    };
    if transfer == 0 {
        return -95;
    }
    kernel::mutex_lock(adapter);
    let end = call::run(Vaddr(transfer), &[adapter, messages, count as u64]);
    kernel::mutex_unlock(adapter);
    match end {
        CallEnd::Returned(result) => result as i32,
        CallEnd::Oops(cause) => guarded::give_up(format!("i2c_transfer: its adapter: {cause}")),
    }
}
