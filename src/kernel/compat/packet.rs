//! Bytes and headers of packets: what modules ask of an `sk_buff`.
//!
//! Packets here (`commands::registered::packet` makes them) are in one piece, and
//! nobody else's: there is nothing to pull together and nothing to copy before it is
//! written. One in fragments ends the call that brings it.

use alloc::vec::Vec;

use crate::addr::Vaddr;
use crate::compat::registry::ipv6::{self, Header, Lost};
use crate::compat::registry::packet::{SKB_DATA, SKB_DATA_LEN, SKB_HEAD, SKB_LEN, SKB_NETWORK};
use crate::machine::call::give_up;
use crate::machine::memory;

const ENOENT: i32 = -2;
const ENOMEM: i32 = -12;
const EFAULT: i32 = -14;
const EBADMSG: i32 = -74;

/// Where a packet's bytes are, and how many.
pub fn linear(skb: u64) -> (Vaddr, u32) {
    let field = |at: i64| memory::read_u32(Vaddr(skb).offset(at));
    let data = memory::read_u64(Vaddr(skb).offset(SKB_DATA));
    match (data, field(SKB_LEN), field(SKB_DATA_LEN)) {
        (Some(data), Some(len), Some(0)) => (Vaddr(data), len),
        _ => give_up(alloc::format!("{skb:#x} is no packet in one piece")),
    }
}

/// Copies within kernel memory; 0 or -EFAULT.
fn copy(from: Vaddr, to: Vaddr, len: usize) -> i32 {
    let mut bytes = alloc::vec![0; len];
    let copied = memory::read(from, &mut bytes) && memory::write_for_module(to, &bytes);
    if copied { 0 } else { EFAULT }
}

/// Where `len` bytes of a packet begin, if it has them.
fn within(skb: u64, offset: i32, len: i32) -> Option<Vaddr> {
    let (data, all) = linear(skb);
    let end = i64::from(offset) + i64::from(len);
    let fits = offset >= 0 && len >= 0 && end <= i64::from(all);
    fits.then(|| data.offset(offset.into()))
}

/// `skb_copy_bits(skb, offset, to, len)`: 0, or -EFAULT if the packet is shorter.
pub(crate) extern "C" fn skb_copy_bits(skb: u64, offset: i32, to: u64, len: i32) -> i32 {
    within(skb, offset, len).map_or(EFAULT, |from| copy(from, Vaddr(to), len as usize))
}

/// `skb_store_bits(skb, offset, from, len)`: likewise.
pub(crate) extern "C" fn skb_store_bits(skb: u64, offset: i32, from: u64, len: i32) -> i32 {
    within(skb, offset, len).map_or(EFAULT, |to| copy(Vaddr(from), to, len as usize))
}

/// `skb_ensure_writable(skb, len)`: 0, or -ENOMEM if the packet is shorter.
pub(crate) extern "C" fn skb_ensure_writable(skb: u64, len: u32) -> i32 {
    if len <= linear(skb).1 { 0 } else { ENOMEM }
}

/// All bytes of a packet.
fn bytes(skb: u64) -> Vec<u8> {
    let (data, len) = linear(skb);
    let mut bytes = alloc::vec![0; len.min(0x1_0000) as usize];
    memory::read(data, &mut bytes);
    bytes
}

/// `ipv6_find_hdr(skb, &offset, kind, &fragment, &flags)`: the kind that was found
/// and where, or -ENOENT, -EBADMSG. An offset that is not 0 is that of the IPv6
/// header. Flags: 1 (out) fragmented; 2 stop at authentication; 4 skip routing
/// headers without segments left.
pub(crate) extern "C" fn ipv6_find_hdr(
    skb: u64,
    offset: u64,
    kind: i32,
    fragment: u64,
    flags: u64,
) -> i32 {
    let packet = bytes(skb);
    let word = |at: u64| if at == 0 { 0 } else { memory::read_u32(Vaddr(at)).unwrap_or(0) };
    let store = |at: u64, value: &[u8]| {
        if at != 0 {
            memory::write_for_module(Vaddr(at), value);
        }
    };
    store(fragment, &[0; 2]);
    let given = word(offset) as usize;
    let start = if given == 0 { network_offset(skb) } else { given };
    let fixed = packet.get(start..).and_then(|bytes| bytes.first_chunk::<{ ipv6::FIXED }>());
    let Some(fixed) = fixed.filter(|fixed| given == 0 || fixed[0] >> 4 == 6) else {
        return EBADMSG;
    };
    let first = Header { kind: fixed[6], at: start + ipv6::FIXED };
    let asked = word(flags);
    match ipv6::find(&packet, first, u8::try_from(kind).ok(), asked & 4 != 0, asked & 2 != 0) {
        Ok(found) => {
            store(offset, &(found.header.at as u32).to_le_bytes());
            store(fragment, &found.fragment.to_le_bytes());
            store(flags, &(asked | u32::from(found.fragmented)).to_le_bytes());
            found.header.kind.into()
        }
        Err(Lost::Absent) => ENOENT,
        Err(Lost::Cut) => EBADMSG,
    }
}

/// Where the network header is, from the packet's first byte.
fn network_offset(skb: u64) -> usize {
    let head = memory::read_u64(Vaddr(skb).offset(SKB_HEAD)).unwrap_or(0);
    let network = memory::read_u32(Vaddr(skb).offset(SKB_NETWORK)).unwrap_or(0) & 0xffff;
    (head + u64::from(network)).wrapping_sub(linear(skb).0.0) as usize
}

/// `ipv6_skip_exthdr(skb, start, &kind, &fragment)`: where the last header is, or -1.
pub(crate) extern "C" fn ipv6_skip_exthdr(skb: u64, start: i32, kind: u64, fragment: u64) -> i32 {
    let mut first = [0];
    memory::read(Vaddr(kind), &mut first);
    let header = Header { kind: first[0], at: start.max(0) as usize };
    let Some((last, offset)) = ipv6::last(&bytes(skb), header) else { return -1 };
    memory::write_for_module(Vaddr(kind), &[last.kind]);
    memory::write_for_module(Vaddr(fragment), &offset.to_be_bytes());
    last.at as i32
}
