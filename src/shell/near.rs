//! Which name was perhaps meant: the one that a slip of the finger makes of it.
//!
//! ```text
//!  insmo   unknown command (did you mean insmod? see help)
//!  rmmdo   two letters changed places: one slip too
//! ```
//!
//! Words that a command's usage line has are compared by [`of_usage`]; commands by
//! `table`; modules, functions and files by the kernel.

use alloc::string::String;
use core::cmp::min;

/// Longest name that is compared.
pub(super) const LONGEST: usize = 31;

/// Looks for the name nearest to a word: one edit away, or two if the name has more
/// than four letters.
pub struct Nearest<'w> {
    word: &'w [u8],
    edits: usize,
    name: String,
}

impl<'w> Nearest<'w> {
    /// Nothing is near yet.
    #[must_use]
    pub fn new(word: &'w [u8]) -> Self {
        Self { word, edits: usize::MAX, name: String::new() }
    }

    /// Compares another name; true if it is the nearest so far.
    #[inline(never)]
    #[cfg_attr(target_os = "none", optimize(size))]
    pub fn offer(&mut self, name: &str) -> bool {
        // Of ten thousand names most are out by their length.
        let most = min(1 + usize::from(name.len() > 4), self.edits.saturating_sub(1));
        if name.len().abs_diff(self.word.len()) > most || name.len() <= most {
            return false;
        }
        let edits = edits(self.word, name.as_bytes());
        let near = edits <= most;
        if near {
            (self.edits, self.name) = (edits, name.into());
        }
        near
    }

    /// The nearest name.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        Some(&*self.name).filter(|name| !name.is_empty())
    }

    /// The nearest name, ready for a remedy: `did you mean insmod? `, or nothing.
    #[must_use]
    pub fn remedy(&self) -> String {
        self.name().map_or(String::new(), |name| alloc::format!("did you mean {name}? "))
    }
}

/// The remedy for a word that should have been one of a usage line, for an option one
/// of those with two dashes. (Place-holders have capitals: nothing is near them.)
#[cfg_attr(target_os = "none", optimize(size))]
#[inline(never)]
pub(super) fn of_usage(word: &[u8], usage: &str) -> String {
    let mut nearest = Nearest::new(word);
    let of_word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'-';
    for name in usage.as_bytes().split(|byte| !of_word(byte)) {
        if word.starts_with(b"-") == name.starts_with(b"--") {
            let _ = nearest.offer(core::str::from_utf8(name).unwrap_or_default());
        }
    }
    nearest.remedy()
}

/// How many letters must be put in, taken out, replaced or swapped with their
/// neighbour to make `name` of `word` (optimal string alignment).
#[cfg_attr(target_os = "none", optimize(size))]
fn edits(word: &[u8], name: &[u8]) -> usize {
    if name.len() > LONGEST || word.len() > LONGEST + 2 {
        return usize::MAX;
    }
    // Three rows of the classic table, for the swap looks two rows back.
    let mut rows = [[0; LONGEST + 1]; 3];
    rows[0] = core::array::from_fn(|column| column);
    for (i, &from) in word.iter().enumerate() {
        let (row, above, above2) = ((i + 1) % 3, i % 3, (i + 2) % 3);
        rows[row][0] = i + 1;
        for (j, &to) in name.iter().enumerate() {
            let mut best = rows[above][j] + usize::from(from != to);
            best = min(best, min(rows[above][j + 1], rows[row][j]) + 1);
            if i > 0 && j > 0 && from == name[j - 1] && word[i - 1] == to {
                best = min(best, rows[above2][j - 1] + 1);
            }
            rows[row][j + 1] = best;
        }
    }
    rows[word.len() % 3][name.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn remedy(word: &str, names: &[&str]) -> String {
        let mut nearest = Nearest::new(word.as_bytes());
        for name in names {
            let _ = nearest.offer(name);
        }
        nearest.remedy()
    }

    #[test]
    fn the_nearest_name_is_meant_and_of_two_the_first() {
        let names = ["demo_user", "demo", "demo_usea", "demon", "crc7"];
        assert_eq!(remedy("dmeo", &names), "did you mean demo? ");
        assert_eq!(remedy("demo_use", &names), "did you mean demo_user? ");
        assert_eq!(remedy("demo_sue", &names), "did you mean demo_user? ");
        assert_eq!(remedy("demo_usea", &names), "did you mean demo_usea? ");
        assert_eq!(remedy("dm", &names), "");
        assert_eq!(remedy("crc", &names), "did you mean crc7? ");
        assert_eq!(remedy("rcc", &names), "");
        assert_eq!(remedy("", &names), "");
    }

    #[test]
    fn of_a_usage_line_its_words_are_compared_and_no_place_holders() {
        let usage = "it on [GLOB] | burn on|off | r2 [--link-only] [--stubs=seed|wrong] stubs -v";
        let meant = |word: &str| of_usage(word.as_bytes(), usage);
        assert_eq!(meant("onn"), "did you mean on? ");
        assert_eq!(meant("brun"), "did you mean burn? ");
        assert_eq!(meant("r3"), "did you mean r2? ");
        assert_eq!(meant("--linkonly"), "did you mean --link-only? ");
        assert_eq!(meant("wrogn"), "did you mean wrong? ");
        assert_eq!(meant("-stubs"), "did you mean --stubs? ");
        for none in ["globs", "-f", "--force", "it!!", ""] {
            assert_eq!(meant(none), "", "{none}");
        }
    }

    /// A name of one letter is no slip of another.
    #[test]
    fn short_names_are_near_nothing() {
        assert_eq!(remedy("y", &["x"]), "");
        assert_eq!(remedy("xy", &["x"]), "");
        assert_eq!(remedy("lx", &["ls"]), "did you mean ls? ");
    }

    #[test]
    fn the_longest_names_are_compared_and_longer_ones_are_not() {
        let most = "n".repeat(LONGEST);
        assert_eq!(remedy(&format!("{most}x"), &[&most]), format!("did you mean {most}? "));
        let more = format!("{most}n");
        assert_eq!(remedy(&most, &[&more]), "");
    }

    /// Distances as published for the classic pairs.
    #[test]
    fn edits_are_counted_as_in_the_textbook() {
        assert_eq!(edits(b"kitten", b"sitting"), 3);
        assert_eq!(edits(b"saturday", b"sunday"), 3);
        assert_eq!(edits(b"", b"abc"), 3);
        assert_eq!(edits(b"ca", b"abc"), 3);
        assert_eq!(edits(b"ab", b"ba"), 1);
    }
}
