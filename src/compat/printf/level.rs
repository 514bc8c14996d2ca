//! The log level at the front of a `printk` message.
//!
//! Linux's headers write `KERN_ERR "text"`, which is the bytes 1, `3` and the
//! text. The level is looked for in the finished message and not in the format,
//! because `%s` may bring one along too.

/// The byte that announces a level.
const SOH: u8 = 1;

/// How urgent a message is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Level {
    /// Nothing was said.
    #[default]
    Default,
    /// 0 (the system is unusable) to 7 (for debugging).
    Number(u8),
    /// Goes on with the line before (`KERN_CONT`).
    Continue,
}

/// Splits a finished message into its level and its text. Of several levels the
/// first number counts.
#[must_use]
pub fn split_level(message: &[u8]) -> (Level, &[u8]) {
    let mut level = Level::Default;
    let mut text = message;
    while let [SOH, mark, rest @ ..] = text {
        match (mark, level) {
            (b'0'..=b'7', Level::Number(_)) => {}
            (b'0'..=b'7', _) => level = Level::Number(mark - b'0'),
            (b'c', Level::Default) => level = Level::Continue,
            (b'c', _) => {}
            _ => break,
        }
        text = rest;
    }
    (level, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_is_taken_off_the_text() {
        assert_eq!(split_level(b"plain"), (Level::Default, &b"plain"[..]));
        assert_eq!(split_level(b"\x013error"), (Level::Number(3), &b"error"[..]));
        assert_eq!(split_level(b"\x010"), (Level::Number(0), &b""[..]));
        assert_eq!(split_level(b"\x017x"), (Level::Number(7), &b"x"[..]));
        assert_eq!(split_level(b"\x018x"), (Level::Default, &b"\x018x"[..]));
        assert_eq!(split_level(b"\x01cmore"), (Level::Continue, &b"more"[..]));
        assert_eq!(split_level(b"\x014\x016x"), (Level::Number(4), &b"x"[..]));
        assert_eq!(split_level(b"\x01"), (Level::Default, &b"\x01"[..]));
    }
}
