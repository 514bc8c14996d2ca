//! A person's terminal as it is known here: how large it is, and what stands in a row.
//!
//! ```text
//!  ASK ──> the cursor goes to the far corner, says where it stands, and comes back
//!  ESC [ 24 ; 80 R     the answer, which the editor finds between what is typed, late
//!                      or not at all
//! ```

/// Asks a terminal for its size, which `Event::Size` is the answer to.
pub const ASK: &[u8] = b"\x1b7\x1b[999;999H\x1b[6n\x1b8";

/// Clears the screen, and asks again.
pub const CLEAR: &[u8] = b"\x1b[999;999H\x1b[6n\x1b[H\x1b[J";

/// Rows and columns, if nobody answers.
pub const UNKNOWN: [usize; 2] = [24, 80];

/// How many of these bytes stand in the row that has this many columns already, which
/// grow with them. Line ends are not among them, nor is what follows in the next row.
#[must_use]
#[cfg_attr(target_os = "none", optimize(size))]
pub fn row(bytes: &[u8], column: &mut usize, columns: usize) -> usize {
    let mut escape = false;
    for (at, &byte) in bytes.iter().enumerate() {
        // Colours, and the rest of a character, take no room.
        escape |= byte == 0x1b;
        if byte == b'\n' || (!escape && byte & 0xc0 != 0x80 && *column == columns) {
            return at;
        }
        if !escape && byte & 0xc0 != 0x80 {
            *column += 1;
        }
        escape &= !byte.is_ascii_alphabetic();
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_ends_at_the_edge_and_at_a_line_end() {
        let rows = |text: &str, columns| {
            let (mut rest, mut rows) = (text, Vec::new());
            while !rest.is_empty() {
                let mut column = 0;
                let (now, later) = rest.split_at(row(rest.as_bytes(), &mut column, columns));
                rows.push((now.to_string(), column));
                rest = later.strip_prefix('\n').unwrap_or(later);
            }
            rows
        };
        let row = |text: &str, column| (text.to_string(), column);
        assert_eq!(rows("abcd", 4), [row("abcd", 4)]);
        assert_eq!(rows("abcde\n\nf", 4), [row("abcd", 4), row("e", 1), row("", 0), row("f", 1)]);
        assert_eq!(rows("äöüßé", 4), [row("äöüß", 4), row("é", 1)]);
        assert_eq!(rows("\x1b[31mabcd\x1b[0m\n", 4), [row("\x1b[31mabcd\x1b[0m", 4)]);
    }

    #[test]
    fn a_row_goes_on_where_it_was_left() {
        let mut column = 3;
        assert_eq!((row(b"abc", &mut column, 5), column), (2, 5));
        assert_eq!((row(b"c", &mut column, 5), column), (0, 5));
    }
}
