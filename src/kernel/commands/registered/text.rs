//! nls, keymap, search: tables and algorithms on characters.

use alloc::string::String;
use core::fmt::Write;

use super::{Done, Hex, Room, Used};
use crate::addr::Vaddr;
use crate::compat::registry::Kind;
use crate::compat::registry::keys::Key;
use crate::kernel::compat::{heap, search};
use crate::kprintln;
use crate::machine::memory;
use crate::shell::args::Arg;

/// `GFP_KERNEL`.
const GFP_KERNEL: u64 = 0xcc0;

/// Most bytes of one character (`NLS_MAX_CHARSET_SIZE`).
const MAX_CHAR: usize = 6;

/// Bytes to characters; one that is none is shown as `-`, and the next is tried.
///
/// `char2uni(bytes, how many, &code)` returns how many it used, or an error.
pub fn to_unicode(room: &mut Room, name: &str, data: &Arg) -> Done {
    let table = Used::get(Kind::Nls, name)?;
    let (data, code) = (room.of(data)?, room.zeroed(2)?);
    let mut text = String::new();
    let mut at = 0;
    while at < data.len {
        let args = [data.at.0 + at as u64, (data.len - at) as u64, code.at.0];
        let used = table.call("char2uni", &args)? as i32;
        match usize::try_from(used) {
            Ok(used @ 1..=MAX_CHAR) => {
                let code = code.read(2);
                let _ = write!(text, " U+{:02x}{:02x}", code[1], code[0]);
                at += used;
            }
            _ => {
                text.push_str(" -");
                at += 1;
            }
        }
    }
    kprintln!("{}", text.trim_ascii_start());
    Ok(())
}

/// Characters to bytes.
///
/// `uni2char(code, &bytes, room)` returns how many there are, or an error.
pub fn to_bytes(room: &mut Room, name: &str, codes: &[Arg]) -> Done {
    let table = Used::get(Kind::Nls, name)?;
    let bytes = room.zeroed(MAX_CHAR)?;
    let mut text = String::new();
    for code in codes {
        let Arg::Int(code @ 0..=0xffff) = code else {
            return Err(String::from("a character is a number up to 0xffff here").into());
        };
        let len = table.call("uni2char", &[*code, bytes.at.0, MAX_CHAR as u64])? as i32;
        let _ = match usize::try_from(len) {
            Ok(len @ 1..=MAX_CHAR) => write!(text, " {}", Hex(&bytes.read(len))),
            _ => write!(text, " -"),
        };
    }
    kprintln!("{}", text.trim_ascii_start());
    Ok(())
}

/// Lists scan codes and keys. `rc_map` has the table's address at 16, and a line of
/// it is a scan code of 8 bytes, a key code of 4, and padding.
pub fn keymap(name: &str) -> Done {
    const TABLE: u16 = 16;
    let map = Used::get(Kind::Keymap, name)?;
    let (table, size) = (map.entry.number(TABLE, 8), map.size("size")?);
    for index in 0..size {
        let mut line = [0; 16];
        let at = Vaddr(table).offset(index as i64 * 16);
        if !map.module.pages.contains(at, 16) || !memory::read(at, &mut line) {
            return Err(map.refuse(format_args!("its table is not in its module")));
        }
        let number = |bytes: &[u8]| bytes.iter().rev().fold(0, |n, b| n << 8 | u64::from(*b));
        kprintln!("{:#x} {}", number(&line[..8]), Key(number(&line[8..12]) as u32));
    }
    Ok(())
}

/// Prints where a pattern begins, each place on a line; after one the search goes on
/// behind it.
pub fn search(room: &mut Room, name: &str, pattern: &Arg, data: &Arg) -> Done {
    let algorithm = Used::get(Kind::Search, name)?;
    let (pattern, data) = (room.of(pattern)?, room.of(data)?);
    if pattern.len == 0 {
        return Err(String::from("an empty pattern is everywhere").into());
    }
    let args = [pattern.at.0, pattern.len as u64, GFP_KERNEL, 0];
    let config = algorithm.call("init", &args)?;
    if config as i64 <= 0 {
        let error = config as i64;
        return Err(algorithm.refuse(format_args!("its init function returned {error}")));
    }
    let state = room.zeroed(search::STATE_SIZE)?;
    search::set_up(config, algorithm.entry.at, state.at, data.at, data.len as u64);
    let mut least = 0;
    loop {
        let place = algorithm.call("find", &[config, state.at.0])? as u32;
        if place < least || place as usize >= data.len {
            break;
        }
        kprintln!("{place}");
        // Boyer-Moore's does not say where to go on.
        least = place + 1;
        let after = memory::read_u32(state.at).unwrap_or(0);
        if after < least {
            search::go_on(state.at, place.saturating_add(pattern.len as u32));
        }
    }
    algorithm.end("destroy", Vaddr(config))?;
    heap::kfree(config);
    Ok(())
}
