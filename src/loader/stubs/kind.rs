//! The kinds of stub: names, sizes, and what a call through each one needs.

use core::fmt;

/// Every shape of stub that can be made and is recognised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StubKind {
    /// A call that leaves the module.
    External,
    /// `bl _mcount`, before the function has a frame.
    Profile,
    /// A `b` that leaves the module and never comes back here.
    Sibling,
    /// A branch of code without a TOC pointer, to elsewhere or to code with one.
    Notoc,
    /// What a one-nop call site branches to.
    OutOfLine,
    /// An import that nobody exports.
    Missing,
    /// What the call site of a live-patched function calls.
    Redirect,
    /// The seed's call stub.
    SeedExternal,
    /// The seed's profiling stub.
    SeedProfile,
    /// Linux's call stub.
    LinuxExternal,
    /// Linux's profiling stub.
    LinuxProfile,
}

impl StubKind {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::External,
        Self::Profile,
        Self::Sibling,
        Self::Notoc,
        Self::OutOfLine,
        Self::Missing,
        Self::Redirect,
        Self::SeedExternal,
        Self::SeedProfile,
        Self::LinuxExternal,
        Self::LinuxProfile,
    ];

    /// Bytes from one slot of this kind to the next.
    #[must_use]
    #[inline(always)] // asked for each relocation of a call
    pub const fn slot_bytes(self) -> u64 {
        match self {
            Self::External | Self::Profile | Self::Sibling | Self::Notoc | Self::Missing => 32,
            Self::OutOfLine => 16,
            Self::Redirect => 64,
            Self::SeedExternal | Self::SeedProfile => 40,
            Self::LinuxExternal | Self::LinuxProfile => 40,
        }
    }

    /// What a slot's address is a multiple of. Our own kinds are aligned to
    /// their size, so that one flush reaches all of a slot; the historic ones
    /// are packed, with an aligned doubleword at their end.
    #[must_use]
    pub const fn align(self) -> u64 {
        match self {
            Self::SeedExternal | Self::SeedProfile => 8,
            Self::LinuxExternal | Self::LinuxProfile => 8,
            _ => self.slot_bytes(),
        }
    }

    /// Words in one slot; all of them are written and compared.
    #[must_use]
    pub const fn words(self) -> usize {
        self.slot_bytes() as usize / 4
    }

    /// True if the target lies in a doubleword of data outside the stub.
    #[must_use]
    pub const fn has_target_word(self) -> bool {
        matches!(
            self,
            Self::External | Self::Profile | Self::Sibling | Self::Notoc | Self::Redirect
        )
    }

    /// True if the stub leaves the caller's r2 in 24(r1), so that the word
    /// behind the call has to load it back.
    #[must_use]
    pub const fn saves_r2(self) -> bool {
        matches!(self, Self::External | Self::SeedExternal | Self::LinuxExternal)
    }
}

impl fmt::Display for StubKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::External => "external",
            Self::Profile => "profile",
            Self::Sibling => "sibling",
            Self::Notoc => "notoc",
            Self::OutOfLine => "out-of-line",
            Self::Missing => "missing",
            Self::Redirect => "redirect",
            Self::SeedExternal => "seed-external",
            Self::SeedProfile => "seed-profile",
            Self::LinuxExternal => "linux-external",
            Self::LinuxProfile => "linux-profile",
        })
    }
}
