//! Looking into texts, with little code rather than fast: for what people wait for.
//!
//! `str` looks for a text within a text in time that is linear for any two, by three
//! kilobytes of code; here nobody looks for more than a word in a line.
#![forbid(unsafe_code)]

/// Where `what` first stands in `text`, in bytes.
#[must_use]
#[inline(never)]
pub fn find(text: &str, what: &str) -> Option<usize> {
    let (text, what) = (text.as_bytes(), what.as_bytes());
    let Some((first, rest)) = what.split_first() else { return Some(0) };
    // Most places are out by their first byte, and cost no call.
    (0..text.len()).find(|&at| text[at] == *first && text[at + 1..].starts_with(rest))
}

/// The name of `number` in a list of words, each of which has the number after its
/// predecessor's; the first has 0, and `=N` sets the number of the word that follows.
///
/// A list of texts has 16 bytes more for each.
#[must_use]
#[cfg_attr(target_os = "none", optimize(size))]
pub fn numbered(names: &'static str, number: u32) -> Option<&'static str> {
    let mut next = 0;
    for word in names.split(' ') {
        match word.strip_prefix('=') {
            Some(set) => next = set.parse().ok()?,
            None if next == number => return Some(word),
            None => next += 1,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_found_as_the_library_finds_it() {
        let texts = ["", "a", "ab", "aab", "abab", "hello.ko.xz", "\u{e9}t\u{e9}"];
        for text in texts {
            for what in texts.into_iter().chain(["b", "ba", ".ko", "t", "t\u{e9}"]) {
                assert_eq!(find(text, what), text.find(what), "{what} in {text}");
            }
        }
    }

    #[test]
    fn a_number_has_the_word_at_its_place_if_there_is_one() {
        let names = "NONE ONE =4 FOUR FIVE =3 THREE";
        let found = [0, 1, 2, 3, 4, 5, 6].map(|number| numbered(names, number));
        let expected =
            [Some("NONE"), Some("ONE"), None, Some("THREE"), Some("FOUR"), Some("FIVE"), None];
        assert_eq!(found, expected);
    }
}
