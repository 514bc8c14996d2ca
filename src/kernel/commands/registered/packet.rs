//! match, target: iptables' matches and targets, and the classifiers' ematches.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::{Bytes, Done, Room, Used, nothing, print_hex};
use crate::compat::registry::Kind;
use crate::compat::registry::packet::{self, Packet};
use crate::kernel::compat::heap;
use crate::kernel::modules::Failure;
use crate::kernel::registry;
use crate::kprintln;
use crate::machine::memory;
use crate::shell::args::Arg;

/// A packet in memory, as the functions want it, and what they are asked about it.
struct Laid<'a> {
    packet: Packet<'a>,
    buffer: Bytes,
    skb: Bytes,
    info: Bytes,
}

/// Lays out a packet.
#[optimize(size)]
fn lay<'a>(room: &mut Room, bytes: &'a [u8], info: &Arg) -> Result<Laid<'a>, Failure> {
    let none = || String::from("no whole IP packet");
    let packet = Packet::parse(bytes).ok_or_else(none)?;
    let buffer = room.put(packet.buffer())?;
    let skb = room.put(packet.skb(buffer.at))?;
    Ok(Laid { packet, buffer, skb, info: room.of(info)? })
}

/// What of that kind and `NAME[/REVISION]` is for packets of this family.
#[inline(never)]
#[optimize(size)]
fn find(kind: Kind, name: &str, family: u8) -> Option<Used> {
    let mut parts = name.split('/');
    let (name, revision) = (parts.next()?, parts.next());
    let revision = revision.map(|revision| revision.parse::<u64>().unwrap_or(u64::MAX));
    let fits = |used: &Used| {
        [0, u64::from(family)].contains(&used.field("family"))
            && revision.is_none_or(|revision| revision == used.field("revision"))
    };
    registry::find(kind, name).into_iter().filter_map(Used::of).find(fits)
}

fn bytes_of(room: &mut Room, packet: &Arg) -> Result<Vec<u8>, Failure> {
    let bytes = room.of(packet)?;
    Ok(bytes.read(bytes.len))
}

/// Says whether a packet matches.
pub fn matches(room: &mut Room, name: &str, info: &Arg, packet: &Arg) -> Done {
    let bytes = bytes_of(room, packet)?;
    let laid = lay(room, &bytes, info)?;
    let (verdict, dropped) = match find(Kind::Match, name, laid.packet.family) {
        Some(used) => act(room, &used, "match", &laid)?,
        None => (classify(room, name, &laid)?, false),
    };
    kprintln!(
        "{}",
        match (verdict as u8, dropped) {
            (_, true) => "drop",
            (0, _) => "no match",
            _ => "match",
        }
    );
    Ok(())
}

/// Says what a target decides about a packet, and what it made of it.
pub fn target(room: &mut Room, name: &str, info: &Arg, packet: &Arg) -> Done {
    let bytes = bytes_of(room, packet)?;
    let laid = lay(room, &bytes, info)?;
    let used = find(Kind::Target, name, laid.packet.family).ok_or_else(|| nothing(name))?;
    let (verdict, _) = act(room, &used, "target", &laid)?;
    let word = |at: usize| memory::read_u32(laid.skb.at.offset(at as i64)).unwrap_or(0);
    let (mark, priority) = (word(packet::SKB_MARK), word(packet::SKB_PRIORITY));
    // NF_DROP, NF_ACCEPT, XT_CONTINUE; other numbers are verdicts too.
    let known = match verdict {
        0 => "drop",
        1 => "accept",
        u32::MAX => "continue",
        _ => "verdict",
    };
    let number = if known == "verdict" { format!(" {verdict:#x}") } else { String::new() };
    kprintln!("{known}{number} mark {mark:#x} priority {priority:#x}");
    print_hex(laid.packet.in_buffer(&laid.buffer.read(laid.buffer.len)));
    Ok(())
}

/// `match` or `target(skb, xt_action_param)`, with `checkentry` before and `destroy`
/// after it: the verdict, and whether the packet is to be dropped at once.
#[inline(never)]
#[optimize(size)]
fn act(
    room: &mut Room,
    used: &Used,
    function: &str,
    laid: &Laid<'_>,
) -> Result<(u32, bool), Failure> {
    // XT_ALIGN: what iptables hands over is a multiple of 8.
    let size = used.size("infosize")?.next_multiple_of(8);
    let Laid { packet, skb, info, .. } = laid;
    if info.len != size {
        return Err(used.refuse(format_args!("its INFO has {size} bytes, not {}", info.len)));
    }
    let (at, info, family) = (used.entry.at, info.at, packet.family);
    let (table, state) = (room.put(b"mangle\0".to_vec())?, room.put(packet.state())?);
    let check = room.put(packet::check(at, info, table.at, family))?;
    used.optional("checkentry", &[check.at.0])?;
    let action = room.put(packet.action(at, info, state.at))?;
    let verdict = used.call(function, &[skb.at.0, action.at.0])? as u32;
    let destroy = room.put(packet::destroy(at, info, family))?;
    used.end("destroy", destroy.at)?;
    let dropped = action.read(packet::HOTDROP + 1).last().is_some_and(|byte| *byte != 0);
    Ok((verdict, dropped))
}

/// `match(skb, tcf_ematch, info)`, with `change` before it, if that makes the data.
fn classify(room: &mut Room, name: &str, laid: &Laid<'_>) -> Result<u32, Failure> {
    let used = Used::get(Kind::Ematch, name)?;
    let (size, data) = (used.size("datalen")?, laid.info);
    if data.len < size {
        return Err(used.refuse(format_args!("its INFO has {size} bytes, not {}", data.len)));
    }
    let ematch = room.put(packet::ematch(used.entry.at, data.at, data.len as u32))?.at;
    used.optional("change", &[0, data.at.0, data.len as u64, ematch.0])?;
    let verdict = used.call("match", &[laid.skb.at.0, ematch.0, 0])? as u32;
    if used.field("destroy") == 0 && used.field("change") != 0 {
        heap::kfree(memory::read_u64(ematch.offset(8)).unwrap_or(0));
    }
    used.end("destroy", ematch)?;
    Ok(u32::from(verdict != 0))
}
