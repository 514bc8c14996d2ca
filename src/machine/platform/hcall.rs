//! Hypercalls: the one instruction (`boot/hcall.S`) and the numbers used.
//!
//! Reference: LoPAPR, "Hypervisor Call Functions".

use core::arch::global_asm;

global_asm!(include_str!("../../../boot/hcall.S"));

unsafe extern "C" {
    fn hv_call(token: u64, a: u64, b: u64, c: u64, d: u64, out: &mut [u64; 4]) -> i64;
}

/// `H_GET_TERM_CHAR`: unit -> length, 16 bytes packed big-endian.
const H_GET_TERM_CHAR: u64 = 0x54;
/// `H_PUT_TERM_CHAR`: unit, length, 16 bytes packed big-endian.
const H_PUT_TERM_CHAR: u64 = 0x58;
/// `H_SET_MODE`: flags, resource.
const H_SET_MODE: u64 = 0x31c;
/// Resource of `H_SET_MODE`: the endianness of interrupts.
const MODE_LITTLE_ENDIAN: u64 = 4;

const H_SUCCESS: i64 = 0;
const H_BUSY: i64 = 1;

/// Most bytes that one console call carries.
pub const TERM_CHARS: usize = 16;

/// Calls the hypervisor with register arguments only.
fn call(token: u64, a: u64, b: u64, c: u64, d: u64) -> (i64, [u64; 4]) {
    let mut out = [0; 4];
    // SAFETY: `hv_call` keeps what the ABI asks it to keep and writes the four
    // words of `out`. The tokens used here (private constants) pass no address,
    // so the hypervisor touches none of our memory.
    let status = unsafe { hv_call(token, a, b, c, d, &mut out) };
    (status, out)
}

/// Writes at most 16 bytes to terminal `unit`; waits while the hypervisor is busy.
pub fn put_term_chars(unit: u32, bytes: &[u8]) {
    for chunk in bytes.chunks(TERM_CHARS) {
        let mut packed = [0; TERM_CHARS];
        packed[..chunk.len()].copy_from_slice(chunk);
        let packed = u128::from_be_bytes(packed);
        let (high, low) = ((packed >> 64) as u64, packed as u64);
        let unit = u64::from(unit);
        while call(H_PUT_TERM_CHAR, unit, chunk.len() as u64, high, low).0 == H_BUSY {
            core::hint::spin_loop();
        }
    }
}

/// Bytes waiting at terminal `unit`, at most 16, and how many there are.
pub fn get_term_chars(unit: u32, buffer: &mut [u8; TERM_CHARS]) -> usize {
    let (status, out) = call(H_GET_TERM_CHAR, u64::from(unit), 0, 0, 0);
    if status != H_SUCCESS {
        return 0;
    }
    let packed = u128::from(out[1]) << 64 | u128::from(out[2]);
    *buffer = packed.to_be_bytes();
    (out[0] as usize).min(TERM_CHARS)
}

/// Makes interrupts arrive in little-endian mode, on every CPU. True if it worked.
pub fn set_little_endian_interrupts() -> bool {
    call(H_SET_MODE, 1, MODE_LITTLE_ENDIAN, 0, 0).0 == H_SUCCESS
}
