//! `%p` and its family.
//!
//! | Written | Shows |
//! |---|---|
//! | `%p` `%px` `%pK`, and letters not below | the address, 16 digits |
//! | `%pS` `%ps` `%pB` | symbol and offset, symbol, symbol of a return address |
//! | `%pV` | a nested format: `struct va_format { fmt, va_list * }` |
//! | `%*ph` `%*phC` `%*phD` `%*phN` | that many bytes (1 to 64), separated by blank, colon, dash, nothing |
//! | `%pM` `%pMF` `%pMR` `%pm` `%pmR` | six bytes of a hardware address |
//! | `%pUb` `%pUB` `%pUl` `%pUL` | a UUID, big- or little-endian, small or capital |
//! | `%pa` | the physical address that the argument points at |
//! | `%pe` | the name of an error in a pointer |
//!
//! What cannot be read is `(efault)`, and NULL where bytes are wanted `(null)`.

use super::spec::Spec;
use super::{Format, Sink, SymbolStyle, VaList, World, fill, format_nested, number, padded};
use crate::addr::Vaddr;
use crate::compat::errno;

/// Most bytes that `%*ph` shows.
const MAX_DUMP: usize = 64;

const LOWER: &[u8; 16] = b"0123456789abcdef";
const UPPER: &[u8; 16] = b"0123456789ABCDEF";

/// Writes the spec's argument as the letters after `%p` say.
pub(super) fn write(
    out: &mut dyn Sink,
    spec: &Spec,
    suffix: &[u8; 4],
    world: &dyn World,
    depth: u32,
) {
    let at = Vaddr(spec.value);
    match suffix {
        [b'S', ..] => symbol(out, spec, SymbolStyle::Offset, world),
        [b's', ..] => symbol(out, spec, SymbolStyle::Name, world),
        [b'B', ..] => symbol(out, spec, SymbolStyle::Return, world),
        [b'V', ..] if depth < super::MAX_DEPTH => nested(out, at, world, depth),
        [b'h', separator, ..] => dump(out, spec, *separator, world),
        [b'M' | b'm', ..] => hardware_address(out, spec, suffix, world),
        [b'U', style, ..] => uuid(out, spec, *style, world),
        [b'a', ..] => match world.read_u64(at) {
            // Always with its prefix.
            Some(value) => plain(out, &Spec { alternate: true, ..*spec }, value),
            None => out.put(b"(efault)"),
        },
        [b'e', ..] => match errno::from_pointer(spec.value).and_then(errno::name) {
            Some(name) => padded(out, spec, &|out| {
                out.put(b"-");
                out.put(name.as_bytes());
            }),
            None => plain(out, spec, spec.value),
        },
        _ => plain(out, spec, spec.value),
    }
}

/// The address itself: 16 digits unless a width says otherwise.
fn plain(out: &mut dyn Sink, spec: &Spec, value: u64) {
    let mut spec = spec.without_precision();
    if !spec.has_width {
        spec.width = if spec.alternate { 18 } else { 16 };
        spec.zero = true;
        spec.left = false;
    }
    number::write_hex(out, &spec, value);
}

fn symbol(out: &mut dyn Sink, spec: &Spec, style: SymbolStyle, world: &dyn World) {
    padded(out, spec, &|out| {
        if !world.write_symbol(Vaddr(spec.value), style, out) {
            let bare = Spec { width: 0, precision: None, alternate: true, ..*spec };
            number::write_hex(out, &bare, spec.value);
        }
    });
}

/// `%pV`; the caller's `va_list` stays where it is.
fn nested(out: &mut dyn Sink, at: Vaddr, world: &dyn World, depth: u32) {
    let list = world.read_u64(at.offset(8)).map(Vaddr);
    let (Some(format), Some(arguments)) =
        (world.read_u64(at), list.and_then(|list| world.read_u64(list)))
    else {
        return out.put(b"(efault)");
    };
    let mut arguments = VaList::new(world, Vaddr(arguments));
    format_nested(out, Format::At(Vaddr(format)), &mut arguments, world, depth + 1);
}

/// Reads `bytes.len()` bytes at the argument, or says why not.
fn fetch(out: &mut dyn Sink, spec: &Spec, bytes: &mut [u8], world: &dyn World) -> bool {
    let why: &[u8] = match spec.value {
        0 => b"(null)",
        at if world.read(Vaddr(at), bytes) == bytes.len() => return true,
        _ => b"(efault)",
    };
    out.put(why);
    false
}

fn hex_byte(byte: u8, digits: &[u8; 16]) -> [u8; 2] {
    [digits[usize::from(byte >> 4)], digits[usize::from(byte & 15)]]
}

fn dump(out: &mut dyn Sink, spec: &Spec, separator: u8, world: &dyn World) {
    let len = match (spec.has_width, spec.width) {
        (true, 0) => return,
        (true, width) => width.min(MAX_DUMP),
        (false, _) => 1,
    };
    let mut bytes = [0; MAX_DUMP];
    let bytes = &mut bytes[..len];
    if !fetch(out, spec, bytes, world) {
        return;
    }
    let separator: &[u8] = match separator {
        b'C' => b":",
        b'D' => b"-",
        b'N' => b"",
        _ => b" ",
    };
    for (i, &byte) in bytes.iter().enumerate() {
        if i > 0 {
            out.put(separator);
        }
        out.put(&hex_byte(byte, LOWER));
    }
}

fn hardware_address(out: &mut dyn Sink, spec: &Spec, suffix: &[u8; 4], world: &dyn World) {
    let mut bytes = [0; 6];
    if !fetch(out, spec, &mut bytes, world) {
        return;
    }
    if suffix[1] == b'R' {
        bytes.reverse();
    }
    let separator: &[u8] = match (suffix[0], suffix[1]) {
        (b'm', _) => b"",
        (_, b'F') => b"-",
        _ => b":",
    };
    padded(out, spec, &|out| {
        for (i, &byte) in bytes.iter().enumerate() {
            if i > 0 {
                out.put(separator);
            }
            out.put(&hex_byte(byte, LOWER));
        }
    });
}

fn uuid(out: &mut dyn Sink, spec: &Spec, style: u8, world: &dyn World) {
    let mut bytes = [0; 16];
    if !fetch(out, spec, &mut bytes, world) {
        return;
    }
    if matches!(style, b'l' | b'L') {
        // The first three groups are little-endian numbers.
        bytes[..4].reverse();
        bytes[4..6].reverse();
        bytes[6..8].reverse();
    }
    let digits = if matches!(style, b'B' | b'L') { UPPER } else { LOWER };
    padded(out, spec, &|out| {
        for (i, &byte) in bytes.iter().enumerate() {
            fill(out, b'-', usize::from(matches!(i, 4 | 6 | 8 | 10)));
            out.put(&hex_byte(byte, digits));
        }
    });
}
