//! `%d %i %u %x %X %o`: one integer in its field.
//!
//! ```text
//!  │spaces│sign│prefix│zeros for the width│zeros for the precision│digits│spaces│
//! ```
//!
//! The spaces come first or last, and the zeros for the width only with the `0`
//! flag. C ignores that flag where there is a precision; Linux does not, and
//! so neither does this.

use super::spec::{Length, Spec};
use super::{Sink, fill};

/// Octal digits of 64 bits: the longest number.
const MAX_DIGITS: usize = 22;

/// Writes the spec's argument as its conversion says.
pub(super) fn write(out: &mut dyn Sink, spec: &Spec) {
    let (magnitude, negative) = value(spec);
    let base = match spec.conversion {
        b'x' | b'X' => 16,
        b'o' => 8,
        _ => 10,
    };
    let sign: &[u8] = match spec.conversion {
        b'd' | b'i' if negative => b"-",
        b'd' | b'i' if spec.plus => b"+",
        b'd' | b'i' if spec.space => b" ",
        _ => b"",
    };
    let prefix: &[u8] = match spec.conversion {
        b'x' if spec.alternate => b"0x",
        b'X' if spec.alternate => b"0X",
        b'o' if spec.alternate && magnitude != 0 => b"0",
        _ => b"",
    };
    field(out, spec, sign, prefix, magnitude, base);
}

/// Writes `magnitude` in hexadecimal, as pointers are.
pub(super) fn write_hex(out: &mut dyn Sink, spec: &Spec, magnitude: u64) {
    let prefix: &[u8] = if spec.alternate { b"0x" } else { b"" };
    field(out, spec, b"", prefix, magnitude, 16);
}

fn field(out: &mut dyn Sink, spec: &Spec, sign: &[u8], prefix: &[u8], magnitude: u64, base: u64) {
    let mut digits = [0; MAX_DIGITS];
    let mut from = MAX_DIGITS;
    let mut rest = magnitude;
    loop {
        from -= 1;
        // Below 16.
        let digit = (rest % base) as u8;
        digits[from] = match digit {
            0..=9 => b'0' + digit,
            _ if spec.conversion == b'X' => b'A' + digit - 10,
            _ => b'a' + digit - 10,
        };
        rest /= base;
        if rest == 0 {
            break;
        }
    }
    let digits = &digits[from..];
    let zeros = spec.precision.unwrap_or(0).saturating_sub(digits.len());
    let used = sign.len() + prefix.len() + zeros + digits.len();
    let pad = spec.width.saturating_sub(used);
    let (before, zero_pad, after) = match (spec.left, spec.zero) {
        (true, _) => (0, 0, pad),
        (false, true) => (0, pad, 0),
        (false, false) => (pad, 0, 0),
    };
    fill(out, b' ', before);
    out.put(sign);
    out.put(prefix);
    fill(out, b'0', zero_pad + zeros);
    out.put(digits);
    fill(out, b' ', after);
}

/// The argument cut to its length: magnitude, and whether it is negative.
fn value(spec: &Spec) -> (u64, bool) {
    let raw = spec.value;
    if matches!(spec.conversion, b'd' | b'i') {
        let signed = match spec.length {
            Length::Byte => i64::from(raw as u8 as i8),
            Length::Half => i64::from(raw as u16 as i16),
            Length::Word => i64::from(raw as u32 as i32),
            Length::Double => raw.cast_signed(),
        };
        return (signed.unsigned_abs(), signed < 0);
    }
    let cut = match spec.length {
        Length::Byte => u64::from(raw as u8),
        Length::Half => u64::from(raw as u16),
        Length::Word => u64::from(raw as u32),
        Length::Double => raw,
    };
    (cut, false)
}
