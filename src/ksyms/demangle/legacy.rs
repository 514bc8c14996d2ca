//! The older mangling: `_ZN`, words with their lengths, the last a hash, `E`.
//!
//! ```text
//!  4core 3fmt 5write 17h0123456789abcdef E    core::fmt::write
//!  28_$LT$A$u20$as$u20$b..T$GT$1f..           <A as b::T>::f
//! ```
//!
//! `$..$` is a character that assemblers do not take, `..` is `::`.

use super::Out;

/// Writes the name that begins behind `_ZN`, and gives what is behind its `E`.
#[cfg_attr(target_os = "none", optimize(size))]
pub(super) fn read<'n>(name: &'n [u8], out: &mut Out) -> Option<&'n [u8]> {
    let mut rest = name;
    loop {
        if let Some(behind) = rest.strip_prefix(b"E") {
            return Some(behind);
        }
        let first = rest.len() == name.len();
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (len, behind) = rest.split_at(digits);
        let len: usize = str::from_utf8(len).ok()?.parse().ok()?;
        let word = behind.get(..len)?;
        rest = &behind[len..];
        if rest.starts_with(b"E") && is_hash(word) {
            continue;
        }
        if !first {
            out.text("::")?;
        }
        write(word, out)?;
    }
}

fn is_hash(word: &[u8]) -> bool {
    word.strip_prefix(b"h").is_some_and(|rest| rest.iter().all(u8::is_ascii_hexdigit))
}

/// One word of a path. What is no escape is written as it is, and all behind it too.
#[cfg_attr(target_os = "none", optimize(size))]
fn write(word: &[u8], out: &mut Out) -> Option<()> {
    // Names do not begin with `$`; a `_` keeps it from the front.
    let mut rest = if word.starts_with(b"_$") { &word[1..] } else { word };
    while let Some((&byte, behind)) = rest.split_first() {
        (rest, _) = match byte {
            b'.' => match behind.strip_prefix(b".") {
                Some(behind) => (behind, out.text("::")?),
                None => (behind, out.text(".")?),
            },
            b'$' => match escape(behind) {
                Some((letter, behind)) => (behind, out.letter(letter)?),
                None => break,
            },
            _ => (behind, out.letter(byte.into())?),
        };
    }
    out.text(str::from_utf8(rest).ok()?)
}

/// The character of an escape, and what is behind its second `$`.
#[cfg_attr(target_os = "none", optimize(size))]
fn escape(text: &[u8]) -> Option<(char, &[u8])> {
    let end = text.iter().position(|&byte| byte == b'$')?;
    let letter = match &text[..end] {
        b"SP" => '@',
        b"BP" => '*',
        b"RF" => '&',
        b"LT" => '<',
        b"GT" => '>',
        b"LP" => '(',
        b"RP" => ')',
        b"C" => ',',
        [b'u', digits @ ..] => {
            let hex = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
            let digits = str::from_utf8(digits).ok().filter(|it| it.as_bytes().iter().all(hex))?;
            let letter = char::from_u32(u32::from_str_radix(digits, 16).ok()?)?;
            Some(letter).filter(|letter| !letter.is_control())?
        }
        _ => return None,
    };
    Some((letter, &text[end + 1..]))
}
