//! Hypercalls: the one instruction (`boot/hcall.S`) and the numbers used.
//!
//! Reference: LoPAPR, "Hypervisor Call Functions".

use core::arch::global_asm;

global_asm!(include_str!("../../../boot/hcall.S"));

/// r4 to r11 after a call.
type Results = [u64; 8];

unsafe extern "C" {
    fn hv_call(token: u64, a: u64, b: u64, c: u64, d: u64, out: &mut Results) -> i64;
}

/// `H_GET_TERM_CHAR`: unit -> length, 16 bytes packed big-endian.
const H_GET_TERM_CHAR: u64 = 0x54;
/// `H_PUT_TERM_CHAR`: unit, length, 16 bytes packed big-endian.
const H_PUT_TERM_CHAR: u64 = 0x58;
/// `H_CEDE`: sleeps with interrupts on until there is one.
const H_CEDE: u64 = 0xe0;
/// `H_PROD`: a CPU; ends its `H_CEDE`.
const H_PROD: u64 = 0xe8;
/// `H_SIGNAL_SYS_RESET`: a CPU; a system reset interrupt comes there.
const H_SIGNAL_SYS_RESET: u64 = 0x380;
/// `H_SET_MODE`: flags, resource.
const H_SET_MODE: u64 = 0x31c;
/// `H_REMOVE`: flags, entry number, page (for a flag that is not used).
const H_REMOVE: u64 = 0x4;
/// `H_ENTER`: flags, number of a group's first entry, both words -> number.
const H_ENTER: u64 = 0x8;
/// `H_READ`: flags, entry number -> both words of each entry read.
const H_READ: u64 = 0xc;
/// Four entries, the first of them a multiple of four.
const READ_FOUR: u64 = 1 << (63 - 26);
/// `H_PROTECT`: protection bits, entry number, page (not used).
const H_PROTECT: u64 = 0x18;
/// `H_REGISTER_PROC_TBL`: flags, table, 0, log2 of its pages.
const H_REGISTER_PROC_TBL: u64 = 0x37c;
/// A new table, radix, invalidation by the guest itself.
const PROC_TBL_RADIX: u64 = 0x18 | 0x4 | 0x1;

/// Resource of `H_SET_MODE`: the endianness of interrupts.
const MODE_LITTLE_ENDIAN: u64 = 4;

const H_SUCCESS: i64 = 0;
const H_BUSY: i64 = 1;

/// Most bytes that one console call carries.
pub const TERM_CHARS: usize = 16;

/// Calls the hypervisor with register arguments only.
fn call(token: u64, a: u64, b: u64, c: u64, d: u64) -> (i64, Results) {
    let mut out = [0; 8];
    // SAFETY: `hv_call` keeps what the ABI asks it to keep and writes the eight
    // words of `out`. The only address that the tokens used here (private
    // constants) pass is that of the process table, which the hypervisor reads.
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

/// Sleeps, with interrupts on, until one comes or another CPU calls [`prod`].
pub fn cede() {
    call(H_CEDE, 0, 0, 0, 0);
}

/// Ends the sleep of a CPU, or the next one that it begins.
pub fn prod(hardware: u32) {
    call(H_PROD, hardware.into(), 0, 0, 0);
}

/// Makes a system reset interrupt come on a CPU, whatever it is doing.
pub fn signal_system_reset(hardware: u32) -> bool {
    call(H_SIGNAL_SYS_RESET, hardware.into(), 0, 0, 0).0 == H_SUCCESS
}

/// Makes every CPU translate with the trees of a process table of 2^`pages_log2`
/// pages at `table`. True if the hypervisor does that.
pub fn register_process_table(table: u64, pages_log2: u64) -> bool {
    call(H_REGISTER_PROC_TBL, PROC_TBL_RADIX, table, 0, pages_log2).0 == H_SUCCESS
}

/// Enters both words into a free entry of the group that begins at `slot`: that
/// entry's number, or `None` if there is none.
pub fn hash_enter(slot: u64, v: u64, r: u64) -> Option<u64> {
    let (status, out) = call(H_ENTER, 0, slot, v, r);
    (status == H_SUCCESS).then_some(out[0])
}

/// Both words of each of four entries; `slot` is a multiple of four.
pub fn hash_read_four(slot: u64) -> Option<[(u64, u64); 4]> {
    let (status, out) = call(H_READ, READ_FOUR, slot, 0, 0);
    let entry = |entry: usize| (out[2 * entry], out[2 * entry + 1]);
    (status == H_SUCCESS).then_some([0, 1, 2, 3].map(entry))
}

/// Changes the protection of an entry, in place.
pub fn hash_protect(slot: u64, protection: u64) -> bool {
    call(H_PROTECT, protection, slot, 0, 0).0 == H_SUCCESS
}

/// Removes an entry.
pub fn hash_remove(slot: u64) -> bool {
    call(H_REMOVE, 0, slot, 0, 0).0 == H_SUCCESS
}

/// Makes interrupts arrive in little-endian mode, on every CPU. True if it worked.
pub fn set_little_endian_interrupts() -> bool {
    call(H_SET_MODE, 1, MODE_LITTLE_ENDIAN, 0, 0).0 == H_SUCCESS
}
