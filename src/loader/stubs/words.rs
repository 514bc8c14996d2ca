//! The words of one stub, in the order they stand in memory.

use super::StubKind;
use crate::isa::Insn;
use core::fmt;

/// Words in the longest stub (Redirect).
pub const MAX_WORDS: usize = 16;

/// One slot's content: instructions, then zeros or data up to the slot's end.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct StubWords {
    words: [u32; MAX_WORDS],
    len: usize,
}

impl StubWords {
    /// A slot of `kind` that begins with `code`; the rest is 0.
    pub(super) fn new<const N: usize>(kind: StubKind, code: [Insn; N]) -> Self {
        let len = kind.words();
        debug_assert!(N <= len && len <= MAX_WORDS);
        let mut words = [0; MAX_WORDS];
        for (word, insn) in words.iter_mut().zip(code) {
            *word = insn.0;
        }
        Self { words, len }
    }

    /// The same slot with `value` as its word number `index`.
    pub(super) fn with(mut self, index: usize, value: u32) -> Self {
        debug_assert!(index < self.len);
        self.words[index] = value;
        self
    }

    /// The same slot with `value` as words `index` and `index + 1`, in the
    /// order in which a little-endian doubleword load finds them.
    pub(super) fn with_u64(self, index: usize, value: u64) -> Self {
        self.with(index, value as u32).with(index + 1, (value >> 32) as u32)
    }

    /// All words of the slot.
    #[must_use]
    pub fn as_slice(&self) -> &[u32] {
        &self.words[..self.len]
    }
}

impl core::ops::Deref for StubWords {
    type Target = [u32];

    fn deref(&self) -> &[u32] {
        self.as_slice()
    }
}

impl fmt::Debug for StubWords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter().map(|&word| Insn(word))).finish()
    }
}
