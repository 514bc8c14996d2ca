//! Who changed text, when, why and where: the last records of the text engine.
//!
//! ```text
//!   [ batch 7 ][ batch 8 ][ batch 5 ][ batch 6 ]     the oldest makes room
//! ```
//!
//! One record a batch, of text or of retargeted stubs. `audit` explains with it (and
//! with the site table) every word that differs from what the loader wrote.
//!
//! Records are of fixed size and copied: the journal must work while the heap is
//! not usable, and outlives the modules that it names.

use core::fmt;

use crate::addr::Vaddr;

/// What a batch was for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// A module's text is made ready, before it is live.
    Load,
    /// Call sites begin to record.
    TraceOn,
    /// Call sites stop to record.
    TraceOff,
    /// A live patch takes functions over.
    PatchOn,
    /// A live patch gives functions back.
    PatchOff,
    /// Calls of replaced functions are aimed at their replacements.
    BurnIn,
    /// They go through the redirect again.
    BurnOut,
    /// A module has turned one of its static keys.
    StaticKey,
    /// What `step` runs as one is copied, before it is live.
    Step,
    /// A self-test.
    Test,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Load => "load",
            Self::TraceOn => "trace on",
            Self::TraceOff => "trace off",
            Self::PatchOn => "patch on",
            Self::PatchOff => "patch off",
            Self::BurnIn => "burn in",
            Self::BurnOut => "burn out",
            Self::StaticKey => "static key",
            Self::Step => "step",
            Self::Test => "test",
        })
    }
}

/// What kind of word was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Instructions.
    Text,
    /// The data word that a stub takes its target from.
    Target,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Text => "text",
            Self::Target => "target",
        })
    }
}

/// Bytes of a [`Label`].
pub const LABEL_MAX: usize = 31;

/// A short name, kept by value; what is longer is cut.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Label {
    len: u8,
    bytes: [u8; LABEL_MAX],
}

impl Label {
    /// The beginning of `text`, at most [`LABEL_MAX`] bytes, cut between characters.
    #[must_use]
    pub fn new(text: &str) -> Self {
        let text = &text[..text.floor_char_boundary(LABEL_MAX)];
        let mut bytes = [0; LABEL_MAX];
        bytes[..text.len()].copy_from_slice(text.as_bytes());
        Self { len: text.len() as u8, bytes }
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // Only `new` fills the bytes, and from a `str`.
        core::str::from_utf8(&self.bytes[..usize::from(self.len)]).unwrap_or_default()
    }
}

impl fmt::Debug for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// One applied batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Timebase when it was applied.
    pub time: u64,
    /// The command or module that asked for it.
    pub who: Label,
    /// What for.
    pub why: Why,
    /// Lowest address changed.
    pub first: Vaddr,
    /// Highest address changed.
    pub last: Vaddr,
    /// Words changed.
    pub count: u64,
    /// Which kind of word.
    pub kind: Kind,
}

impl Entry {
    /// None. All its bytes are 0, so that a journal takes no room in the kernel's image.
    const BLANK: Self = Self {
        time: 0,
        who: Label { len: 0, bytes: [0; LABEL_MAX] },
        why: Why::Load,
        first: Vaddr(0),
        last: Vaddr(0),
        count: 0,
        kind: Kind::Text,
    };

    /// True if `at` lies between the first and the last word changed.
    #[must_use]
    pub fn covers(&self, at: Vaddr) -> bool {
        (self.first..=self.last).contains(&at)
    }
}

/// The last `N` entries.
#[derive(Debug)]
pub struct Journal<const N: usize> {
    /// Those behind the first `written` are blank.
    entries: [Entry; N],
    written: u64,
}

impl<const N: usize> Journal<N> {
    /// An empty journal.
    #[must_use]
    pub const fn new() -> Self {
        const { assert!(N > 0, "a journal keeps something") };
        Self { entries: [Entry::BLANK; N], written: 0 }
    }

    /// Adds an entry, over the oldest when full.
    pub fn push(&mut self, entry: Entry) {
        self.entries[(self.written % N as u64) as usize] = entry;
        self.written += 1;
    }

    /// Entries ever added.
    #[must_use]
    pub const fn written(&self) -> u64 {
        self.written
    }

    /// What is kept, oldest first, each with its number from 0.
    pub fn entries(&self) -> impl DoubleEndedIterator<Item = (u64, &Entry)> {
        let kept = self.written.saturating_sub(N as u64)..self.written;
        kept.map(|number| (number, &self.entries[(number % N as u64) as usize]))
    }
}

impl<const N: usize> Default for Journal<N> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    fn entry(time: u64) -> Entry {
        Entry {
            time,
            who: Label::new("test"),
            why: Why::Test,
            first: Vaddr(0x100),
            last: Vaddr(0x200),
            count: 2,
            kind: Kind::Text,
        }
    }

    #[test]
    fn a_full_journal_forgets_the_oldest_and_keeps_the_count() {
        let mut journal = Journal::<3>::new();
        assert_eq!(journal.entries().count(), 0);
        (0..3).for_each(|time| journal.push(entry(time)));
        assert_eq!(journal.entries().next().map(|(n, e)| (n, e.time)), Some((0, 0)));
        journal.push(entry(3));
        let kept: Vec<_> = journal.entries().map(|(n, e)| (n, e.time)).collect();
        assert_eq!((kept, journal.written()), ([(1, 1), (2, 2), (3, 3)].into(), 4));
    }

    #[test]
    fn an_entry_covers_its_first_and_last_word() {
        let entry = entry(0);
        assert!(entry.covers(Vaddr(0x100)) && entry.covers(Vaddr(0x200)));
        assert!(!entry.covers(Vaddr(0xff)) && !entry.covers(Vaddr(0x201)));
    }

    #[test]
    fn a_long_label_is_cut_between_characters() {
        assert_eq!(Label::new(&"x".repeat(31)).as_str().len(), 31);
        assert_eq!(Label::new(&"x".repeat(32)).as_str().len(), 31);
        assert_eq!(Label::new(&"é".repeat(16)).as_str(), "é".repeat(15));
        assert_eq!(Label::new("").as_str(), "");
    }
}
