//! Why it is as it is: a sentence for each kind of stub, site and relocation.
//!
//! The shell's `explain` puts the live numbers before these; what is where, and how
//! it is found out, is in `stubs`, `callsites` and [`super::formula`].

use super::formula::{Field, Value};
use super::{Explained, Origin};
use crate::isa::Insn;
use crate::loader::callsites::SiteKind;
use crate::loader::stubs::StubKind;

/// What a stub does with the caller's r2, and why.
#[must_use]
#[cfg_attr(target_os = "none", optimize(size))]
pub const fn stub(kind: StubKind) -> &'static str {
    match kind {
        StubKind::External | StubKind::SeedExternal | StubKind::LinuxExternal => {
            "saves r2 at 24(r1), for the callee has another TOC; ld r2,24(r1) behind the call takes it back"
        }
        StubKind::Profile | StubKind::SeedProfile | StubKind::LinuxProfile => {
            "does not save r2: there is no frame yet, and 24(r1) is the caller's, with its TOC; _mcount keeps r2"
        }
        StubKind::Sibling => {
            "keeps r2 and LR on the shadow stack: a tail call has no ld r2,24(r1) behind it"
        }
        StubKind::Notoc => {
            "does not save r2: such code has no TOC; the callee makes its own from r12"
        }
        StubKind::OutOfLine => {
            "does not save r2: it keeps LR in r0, which a site of one word cannot, and calls the target"
        }
        StubKind::Redirect => {
            "keeps r2 and LR on the shadow stack: a frame here would move the arguments on the stack"
        }
        StubKind::Missing => "traps: nobody exports the name",
    }
}

/// The same of the stub of sites behind the prologue.
pub const LATE: &str =
    "does not save r2: there is a frame, but no ld r2,24(r1) behind this call; the hook keeps r2";

/// Why a branch to where ctr says stands there, if it is one.
#[must_use]
#[cfg_attr(target_os = "none", optimize(size))]
pub const fn through_ctr(word: Insn) -> Option<&'static str> {
    match word.0 {
        0x4e80_0421 => Some(
            "through a pointer, so ctr and r12 hold the global entry; code with a TOC saves r2 before, and takes it back behind",
        ),
        0x4e80_0420 => Some("to where ctr says: a tail call through a pointer, or a switch"),
        _ => None,
    }
}

/// Which code a site stands in.
#[must_use]
#[cfg_attr(target_os = "none", optimize(size))]
pub const fn site(kind: SiteKind) -> &'static str {
    match kind {
        SiteKind::Profile => "profile: behind mflr r0, before there is a frame",
        SiteKind::ProfileStd => {
            "profile-std: behind mflr r0 and std r0,16(r1), before there is a frame"
        }
        SiteKind::Late => "late: behind the prologue; it cannot be redirected",
        SiteKind::Patchable => "patchable: one nop at the local entry, with a stub out of line",
    }
}

impl Explained<'_> {
    /// Why this type is used here.
    #[must_use]
    #[cfg_attr(target_os = "none", optimize(size))]
    pub fn reason(&self) -> &'static str {
        let Some((value, field)) = self.formula else { return "none" };
        match value {
            Value::Branch if matches!(self.origin, Origin::Missing | Origin::Weak) => {
                "nobody exports it: so to a stub that traps, T"
            }
            Value::Branch if self.is_site() => "this call is a nop until somebody traces",
            Value::Branch if self.stub.is_some() => {
                "the callee has another TOC and may be far: so through a stub, T"
            }
            Value::Branch if self.local_entry != 0 => {
                "both have one TOC: so L bytes past the words that set r2"
            }
            Value::Branch => "the callee sets no r2: so straight there",
            Value::FromToc => "data is found from r2, the TOC; ha and lo reach 2 GiB either way",
            Value::FromPlace if matches!(self.origin, Origin::Toc) => match field {
                Field::Doubleword => "how far the TOC is, for an entry that adds it to r12",
                _ => "at the global entry r12 is this function's address; r2 is made of it",
            },
            Value::FromPlace | Value::Word => "a distance from here needs no TOC",
            Value::Sum => "a whole address",
            Value::Toc | Value::TocFromPlace => "the module's own r2",
            Value::Nothing => "a mark for tools",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `StubKind::saves_r2`, by which the loader asks for the word behind a call.
    #[test]
    fn exactly_the_stubs_that_save_r2_in_the_frame_are_said_to() {
        for kind in StubKind::ALL {
            assert_eq!(stub(kind).starts_with("saves r2 at 24(r1)"), kind.saves_r2(), "{kind}");
            let shadow = matches!(kind, StubKind::Sibling | StubKind::Redirect);
            assert_eq!(stub(kind).contains("shadow stack"), shadow, "{kind}");
        }
    }

    #[test]
    fn a_site_is_called_by_its_kind_as_in_the_list_of_sites() {
        let kinds = [SiteKind::Profile, SiteKind::ProfileStd, SiteKind::Late, SiteKind::Patchable];
        let names = ["profile", "profile-std", "late", "patchable"];
        for (kind, name) in kinds.into_iter().zip(names) {
            assert!(site(kind).starts_with(&format!("{name}: ")));
        }
    }
}
