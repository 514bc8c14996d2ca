//! What a packet match is called with: `sk_buff`, `xt_action_param` and others.
//!
//! ```text
//!  sk_buff                buffer
//!  200 head ────────────> 0   room, as in front of every packet
//!  208 data ────────────> 64  IP header, transport header, payload
//!  112 len, 116 data_len      (data_len 0: all of it is here)
//!  188 tail ────────────> 64 + len
//!  192 end  ────────────> then skb_shared_info, zeros: no fragments
//!  184 network_header 64   182 transport_header   186 mac_header 0xffff: none
//! ```
//!
//! A packet made here comes from nowhere: no device, no Ethernet header, no socket,
//! no route. A match that asks for the device without looking faults, as it would
//! on such a packet under Linux.
//!
//! Places are those that xt_length (len, head, data, network header), em_cmp
//! (transport and mac header, tail), xt_mark, xt_CLASSIFY, xt_mac, xt_pkttype and
//! xt_tcpudp (thoff, fragoff) of Debian's 6.1 load from.

use alloc::vec;
use alloc::vec::Vec;

use super::ipv6::{self, Header};
use crate::addr::Vaddr;

/// `NFPROTO_IPV4` and `NFPROTO_IPV6`; 0 is any.
const IPV4: u8 = 2;
/// See [`IPV4`].
const IPV6: u8 = 10;

/// Room before the packet.
const HEADROOM: usize = 64;
/// Room for an `sk_buff`, more than it has.
const SKB_SIZE: usize = 512;
/// Room for a `skb_shared_info` behind the packet, more than it has.
const SHARED: usize = 512;

/// Offsets of `sk_buff` that `skb_copy_bits` needs.
pub const SKB_LEN: i64 = 112;
/// Bytes that are not at [`SKB_DATA`] but in fragments.
pub const SKB_DATA_LEN: i64 = 116;
/// Pointer to the first byte.
pub const SKB_DATA: i64 = 208;

/// An IP packet, looked at as far as a match needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<'a> {
    bytes: &'a [u8],
    /// `NFPROTO_IPV4` or `NFPROTO_IPV6`.
    pub family: u8,
    /// Bytes before the transport header.
    thoff: u16,
    /// Where in the whole datagram this fragment begins, in units of 8 bytes.
    fragoff: u16,
}

impl<'a> Packet<'a> {
    /// Reads the IP header, and the extension headers of IPv6. `None` if the packet is
    /// shorter than its header says, or that makes no sense; what is behind it is left
    /// off, as Linux does.
    #[must_use]
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        let number = |at: usize| Some(u16::from_be_bytes([*bytes.get(at)?, *bytes.get(at + 1)?]));
        let first = *bytes.first()?;
        let (family, len) = match first >> 4 {
            4 => (IPV4, usize::from(number(2)?)),
            6 => (IPV6, usize::from(number(4)?) + ipv6::FIXED),
            _ => return None,
        };
        let bytes = bytes.get(..len)?;
        let (thoff, fragoff) = if family == IPV4 {
            let header = usize::from(first & 15) * 4;
            ((header >= 20).then_some(header)?, number(6)? & 0x1fff)
        } else {
            let header = Header { kind: *bytes.get(6)?, at: ipv6::FIXED };
            // A packet without one is asked about all the same.
            let (last, offset) = ipv6::last(bytes, header).unwrap_or((header, 0));
            (last.at, offset / 8)
        };
        let fits = thoff <= len && len <= 0xffff - HEADROOM;
        fits.then_some(Self { bytes, family, thoff: thoff as u16, fragoff })
    }

    /// The buffer: room, packet, shared info.
    #[must_use]
    pub fn buffer(&self) -> Vec<u8> {
        let mut bytes = vec![0; HEADROOM];
        bytes.extend_from_slice(self.bytes);
        bytes.resize(self.end() + SHARED, 0);
        bytes
    }

    /// The packet as it is now in its [`buffer`](Self::buffer).
    #[must_use]
    pub fn in_buffer<'b>(&self, buffer: &'b [u8]) -> &'b [u8] {
        buffer.get(HEADROOM..HEADROOM + self.bytes.len()).unwrap_or_default()
    }

    /// Where the shared info is, 8-byte aligned.
    const fn end(&self) -> usize {
        (HEADROOM + self.bytes.len()).next_multiple_of(8)
    }

    /// An `sk_buff` whose buffer is at `head`.
    #[must_use]
    pub fn skb(&self, head: Vaddr) -> Vec<u8> {
        let mut skb = vec![0; SKB_SIZE];
        let network = HEADROOM as u16;
        let ethertype: u16 = if self.family == IPV4 { 0x0800 } else { 0x86dd };
        put(&mut skb, SKB_LEN as usize, &(self.bytes.len() as u32).to_le_bytes());
        put(&mut skb, 180, &ethertype.to_be_bytes());
        put(&mut skb, 182, &(network + self.thoff).to_le_bytes());
        put(&mut skb, 184, &network.to_le_bytes());
        put(&mut skb, 186, &u16::MAX.to_le_bytes());
        put(&mut skb, 188, &((HEADROOM + self.bytes.len()) as u32).to_le_bytes());
        put(&mut skb, 192, &(self.end() as u32).to_le_bytes());
        put(&mut skb, 200, &head.0.to_le_bytes());
        put(&mut skb, SKB_DATA as usize, &(head.0 + HEADROOM as u64).to_le_bytes());
        skb
    }

    /// An `xt_action_param`: match, its info, `nf_hook_state`, where the headers are.
    #[must_use]
    pub fn action(&self, entry: Vaddr, info: Vaddr, state: Vaddr) -> Vec<u8> {
        let mut bytes = vec![0; 32];
        put(&mut bytes, 0, &entry.0.to_le_bytes());
        put(&mut bytes, 8, &info.0.to_le_bytes());
        put(&mut bytes, 16, &state.0.to_le_bytes());
        put(&mut bytes, 24, &u32::from(self.thoff).to_le_bytes());
        put(&mut bytes, 28, &self.fragoff.to_le_bytes());
        bytes
    }

    /// An `nf_hook_state`: the family, and no device.
    #[must_use]
    pub fn state(&self) -> Vec<u8> {
        let mut bytes = vec![0; 48];
        bytes[1] = self.family;
        bytes
    }
}

/// Where `sk_buff` has priority and mark, 32 bits each.
pub const SKB_PRIORITY: usize = 140;
/// See [`SKB_PRIORITY`].
pub const SKB_MARK: usize = 168;
/// Where `sk_buff` has the offset of the network header, from its head.
pub const SKB_NETWORK: i64 = 184;
/// Pointer to the start of the buffer.
pub const SKB_HEAD: i64 = 200;

/// Where `xt_action_param` says that the packet is to be dropped.
pub const HOTDROP: usize = 30;

/// An `xt_mtchk_param`: what `checkentry` is asked about. Reference: x_tables.h.
#[must_use]
pub fn check(entry: Vaddr, info: Vaddr, table: Vaddr, family: u8) -> Vec<u8> {
    let mut bytes = vec![0; 48];
    put(&mut bytes, 8, &table.0.to_le_bytes());
    put(&mut bytes, 24, &entry.0.to_le_bytes());
    put(&mut bytes, 32, &info.0.to_le_bytes());
    bytes[44] = family;
    bytes
}

/// An `xt_mtdtor_param`: what `destroy` is asked to give back.
#[must_use]
pub fn destroy(entry: Vaddr, info: Vaddr, family: u8) -> Vec<u8> {
    let mut bytes = vec![0; 32];
    put(&mut bytes, 8, &entry.0.to_le_bytes());
    put(&mut bytes, 16, &info.0.to_le_bytes());
    bytes[24] = family;
    bytes
}

/// A `tcf_ematch`, its data at `data`.
#[must_use]
pub fn ematch(ops: Vaddr, data: Vaddr, len: u32) -> Vec<u8> {
    let mut bytes = vec![0; 32];
    put(&mut bytes, 0, &ops.0.to_le_bytes());
    put(&mut bytes, 8, &data.0.to_le_bytes());
    put(&mut bytes, 16, &len.to_le_bytes());
    bytes
}

fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    bytes[at..at + value.len()].copy_from_slice(value);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_needs_a_whole_ip_header() {
        let mut v4 = vec![0; 28];
        (v4[0], v4[3]) = (0x45, 24);
        (v4[6], v4[7]) = (0x20, 0x03); // more fragments, offset 3
        let packet = Packet::parse(&v4).unwrap();
        assert_eq!((packet.family, packet.thoff, packet.fragoff), (2, 20, 3));
        assert_eq!(packet.bytes.len(), 24);
        assert!(Packet::parse(&v4[..24]).is_some());
        assert!(Packet::parse(&v4[..23]).is_none());
        v4[0] = 0x44; // a header of 16 bytes
        assert!(Packet::parse(&v4).is_none());
        v4[0] = 0x48; // of 32, in a packet of 24
        assert!(Packet::parse(&v4).is_none());
        let mut v6 = vec![0; 40];
        v6[0] = 0x60;
        assert_eq!(Packet::parse(&v6).unwrap().thoff, 40);
        assert!(Packet::parse(&v6[..39]).is_none());
        assert!(Packet::parse(&[]).is_none());
        assert!(Packet::parse(&[0x50; 64]).is_none());
    }

    #[test]
    fn the_buffer_holds_the_packet_where_the_skb_says() {
        let mut bytes = vec![7; 25];
        bytes[..4].copy_from_slice(&[0x45, 0, 0, 25]);
        let packet = Packet::parse(&bytes).unwrap();
        let (skb, buffer) = (packet.skb(Vaddr(0x1000)), packet.buffer());
        let word = |at: usize| u32::from_le_bytes(skb[at..at + 4].try_into().unwrap()) as usize;
        assert_eq!(word(208), 0x1000 + 64);
        assert_eq!(buffer[64..word(188)], bytes);
        assert_eq!((word(112), word(192)), (25, 96));
        assert_eq!(buffer.len(), 96 + 512);
    }
}
