//! match, target: iptables' matches and targets, and the classifiers' ematches.

use alloc::format;
use alloc::string::String;

use super::{Bytes, Done, Used, nothing, print_hex};
use crate::compat::registry::Kind;
use crate::compat::registry::packet::{self, Packet};
use crate::kernel::compat::heap;
use crate::kernel::modules::Failure;
use crate::kernel::registry;
use crate::kprintln;
use crate::machine::memory;
use crate::shell::args::Arg;

/// A packet in memory, as the functions want it.
struct Laid<'a> {
    packet: Packet<'a>,
    buffer: Bytes,
    skb: Bytes,
}

impl<'a> Laid<'a> {
    fn out(bytes: &'a [u8]) -> Result<Self, Failure> {
        let packet = Packet::parse(bytes).ok_or_else(|| String::from("no whole IP packet"))?;
        let buffer = Bytes::new(&packet.buffer())?;
        let skb = Bytes::new(&packet.skb(buffer.at))?;
        Ok(Self { packet, buffer, skb })
    }
}

/// What of that kind and `NAME[/REVISION]` is for packets of this family.
fn find(kind: Kind, name: &str, family: u8) -> Option<Used> {
    let (name, revision) = match name.rsplit_once('/') {
        Some((name, revision)) => (name, revision.parse::<u64>().ok()),
        None => (name, None),
    };
    let fits = |used: &Used| {
        [0, u64::from(family)].contains(&used.field("family"))
            && revision.is_none_or(|revision| revision == used.field("revision"))
    };
    registry::find(kind, name).into_iter().filter_map(Used::of).find(fits)
}

/// Says whether a packet matches.
pub fn matches(name: &str, info: &Arg, bytes: &Arg) -> Done {
    let (info, bytes) = (Bytes::of(info)?, Bytes::of(bytes)?);
    let bytes = bytes.read(bytes.len);
    let laid = Laid::out(&bytes)?;
    let (verdict, dropped) = match find(Kind::Match, name, laid.packet.family) {
        Some(used) => act(&used, "match", &info, &laid)?,
        None => (classify(name, &info, &laid)?, false),
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
pub fn target(name: &str, info: &Arg, bytes: &Arg) -> Done {
    let (info, bytes) = (Bytes::of(info)?, Bytes::of(bytes)?);
    let bytes = bytes.read(bytes.len);
    let laid = Laid::out(&bytes)?;
    let used = find(Kind::Target, name, laid.packet.family).ok_or_else(|| nothing(name))?;
    let (verdict, _) = act(&used, "target", &info, &laid)?;
    let skb = laid.skb.read(laid.skb.len);
    let word = |at: usize| u32::from_le_bytes([0, 1, 2, 3].map(|i| skb[at + i]));
    // NF_DROP, NF_ACCEPT, XT_CONTINUE; other numbers are verdicts too.
    let verdict = match verdict {
        0 => "drop".into(),
        1 => "accept".into(),
        u32::MAX => "continue".into(),
        other => format!("{other:#x}"),
    };
    kprintln!(
        "{verdict} mark {:#x} priority {:#x}",
        word(packet::SKB_MARK),
        word(packet::SKB_PRIORITY)
    );
    print_hex(laid.packet.in_buffer(&laid.buffer.read(laid.buffer.len)));
    Ok(())
}

/// `match` or `target(skb, xt_action_param)`, with `checkentry` before and `destroy`
/// after it: the verdict, and whether the packet is to be dropped at once.
fn act(used: &Used, function: &str, info: &Bytes, laid: &Laid<'_>) -> Result<(u32, bool), Failure> {
    // XT_ALIGN: what iptables hands over is a multiple of 8.
    let size = used.size("infosize")?.next_multiple_of(8);
    if info.len != size {
        return Err(format!("{}: its INFO has {size} bytes, not {}", used.entry, info.len).into());
    }
    let (at, family) = (used.entry.at, laid.packet.family);
    let (table, state) = (Bytes::new(b"mangle\0")?, Bytes::new(&laid.packet.state())?);
    let check = Bytes::new(&packet::check(at, info.at, table.at, family))?;
    used.optional("checkentry", &[check.at.0])?;
    let action = Bytes::new(&laid.packet.action(at, info.at, state.at))?;
    let verdict = used.call(function, &[laid.skb.at.0, action.at.0])? as u32;
    if used.field("destroy") != 0 {
        let destroy = Bytes::new(&packet::destroy(at, info.at, family))?;
        used.call("destroy", &[destroy.at.0])?;
    }
    let dropped = action.read(packet::HOTDROP + 1)[packet::HOTDROP] != 0;
    Ok((verdict, dropped))
}

/// `match(skb, tcf_ematch, info)`, with `change` before it, if that makes the data.
fn classify(name: &str, data: &Bytes, laid: &Laid<'_>) -> Result<u32, Failure> {
    let used = Used::get(Kind::Ematch, name)?;
    let size = used.size("datalen")?;
    if data.len < size {
        return Err(format!("{}: its INFO has {size} bytes, not {}", used.entry, data.len).into());
    }
    let ematch = Bytes::new(&packet::ematch(used.entry.at, data.at, data.len as u32))?;
    used.optional("change", &[0, data.at.0, data.len as u64, ematch.at.0])?;
    let verdict = used.call("match", &[laid.skb.at.0, ematch.at.0, 0])? as u32;
    if used.field("destroy") != 0 {
        used.call("destroy", &[ematch.at.0])?;
    } else if used.field("change") != 0 {
        heap::kfree(memory::read_u64(ematch.at.offset(8)).unwrap_or(0));
    }
    Ok(u32::from(verdict != 0))
}
