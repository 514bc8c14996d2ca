//! The state of one call site, the words that make it up, and the edits that
//! lead from one state to another.
//!
//! ```text
//!   early      off         nop
//!   site:      traced      bl PROFILE
//!              redirected  bl REDIRECT  --> +0 nop         (goes to the new function)
//!              both        bl REDIRECT  --> +0 bl PROFILE
//!
//!   late       off         nop                 cannot be redirected:
//!   site:      traced      bl PROFILE_LATE     its function has begun already
//!
//!   patchable  off         nop
//!   site:      on          b OOL --> mflr r0; bl X; mtlr r0; b site+4
//!                                    X is PROFILE, or REDIRECT as above
//! ```
//!
//! So a site hangs on up to three words: its own, its out-of-line stub's second,
//! and its redirect stub's first. They form a path, and the rule for the order
//! is one: a word that the new path runs through is written before whatever leads
//! to it, and a word that only the old path ran through after. Whoever comes by in
//! between finds the old state or the new one, never a third.
//!
//! # Invariants
//! - The state says what every word is: words off the path are at rest (`bl
//!   PROFILE` in the out-of-line stub, `nop` in the redirect stub). So a plan
//!   knows each old word, and the audit can explain each word found.
//! - r0 holds the caller's return address wherever `PROFILE` or `REDIRECT` is
//!   reached: LR is free to be overwritten by the `bl`.
//!
//! # References
//! `loader/callsites.rs` finds the sites, `loader/stubs.rs` builds what they lead
//! to, `boot/mcount.S` is behind it.

use bitflags::bitflags;
use core::fmt;

use super::plan::{Batch, Edit};
use crate::addr::Vaddr;
use crate::isa::patch_class::PatchClass;
use crate::isa::reach::RangeError;

bitflags! {
    /// What a site does; nothing at all when empty.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct SiteState: u8 {
        /// Calls leave a record.
        const TRACED = 1;
        /// Calls go to another function.
        const REDIRECTED = 2;
    }
}

impl SiteState {
    /// A site that does nothing: as the loader leaves it.
    pub const OFF: Self = Self::empty();
}

impl fmt::Display for SiteState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match (self.contains(Self::TRACED), self.contains(Self::REDIRECTED)) {
            (false, false) => "off",
            (true, false) => "traced",
            (false, true) => "redirected",
            (true, true) => "traced+redirected",
        })
    }
}

/// How a site is reached, as far as changing it is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// The `bl` stands at the local entry, behind `mflr r0` (and perhaps `std`).
    Early,
    /// The `bl` stands behind the prologue.
    Late,
    /// One nop stands at the local entry; its stub is out of line.
    Patchable {
        /// The stub's first word.
        ool: Vaddr,
    },
}

/// A site and the stubs that it may be led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SitePlan {
    /// The site's word.
    pub at: Vaddr,
    /// How it is reached.
    pub shape: Shape,
    /// The profiling stub in reach of it; for a late site, the one for those.
    pub profile: Vaddr,
    /// Its redirect stub, once it has one.
    pub redirect: Option<Vaddr>,
}

/// One word of a site's path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Word {
    /// Where it is.
    pub at: Vaddr,
    /// What it is.
    pub insn: PatchClass,
}

/// The words of a site in one state: its own, its out-of-line stub's second, its
/// redirect stub's first.
pub type Words = [Option<Word>; 3];

/// Why a site cannot be brought into a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StateError {
    /// A late site shall be redirected.
    Late {
        /// The site.
        at: Vaddr,
    },
    /// A site shall be redirected that has no redirect stub.
    NoRedirectStub {
        /// The site.
        at: Vaddr,
    },
    /// A stub is too far from the word that must lead to it.
    OutOfReach {
        /// The word.
        at: Vaddr,
        /// What it cannot reach, and by how much.
        range: RangeError,
    },
}

impl fmt::Display for StateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Late { at } => write!(
                f,
                "{at}: a late call site (built with -pg, without -mprofile-kernel) cannot be \
                 redirected: its function has already made its frame"
            ),
            Self::NoRedirectStub { at } => write!(f, "{at}: the site has no redirect stub"),
            Self::OutOfReach { at, range } => write!(f, "{at}: stub out of reach: {range}"),
        }
    }
}

/// The phase for a word that the new path runs through, by its place in
/// [`Words`]: the far end first.
const ENTER: [u8; 3] = [2, 1, 0];
/// The phase for a word that it no longer runs through: the near end first.
const LEAVE: [u8; 3] = [2, 3, 4];

impl SitePlan {
    /// Every word that depends on the site's state, as it is in `state`.
    pub fn words(&self, state: SiteState) -> Result<Words, StateError> {
        let Self { at, shape, profile, .. } = *self;
        let redirected = state.contains(SiteState::REDIRECTED);
        if redirected && shape == Shape::Late {
            return Err(StateError::Late { at });
        }
        if redirected && self.redirect.is_none() {
            return Err(StateError::NoRedirectStub { at });
        }
        // Where calls go first, apart from an out-of-line stub before it.
        let next = self.redirect.filter(|_| redirected).unwrap_or(profile);
        let (site, ool) = match shape {
            Shape::Early | Shape::Late if state.is_empty() => (PatchClass::NOP, None),
            Shape::Early | Shape::Late => (bl(at, next)?, None),
            Shape::Patchable { ool } => {
                let call = ool.offset(4);
                let site = if state.is_empty() { PatchClass::NOP } else { b(at, ool)? };
                (site, Some(Word { at: call, insn: bl(call, next)? }))
            }
        };
        let redirect = self.redirect.map(|stub| {
            let insn = if state.is_all() { bl(stub, profile)? } else { PatchClass::NOP };
            Ok(Word { at: stub, insn })
        });
        Ok([Some(Word { at, insn: site }), ool, redirect.transpose()?])
    }

    /// Adds to `batch` what leads from `from` to `to`; nothing if they are equal.
    ///
    /// On an error the batch is as it was.
    pub fn plan<'b>(
        &self,
        from: SiteState,
        to: SiteState,
        batch: &'b mut Batch,
    ) -> Result<&'b mut Batch, StateError> {
        let (old, new) = (self.words(from)?, self.words(to)?);
        for (place, pair) in old.into_iter().zip(new).enumerate() {
            if let (Some(old), Some(new)) = pair
                && old != new
            {
                let phases = if runs_through(place, to) { ENTER } else { LEAVE };
                batch.push(phases[place], Edit::new(new.at, old.insn, new.insn));
            }
        }
        Ok(batch)
    }
}

/// True if calls in state `state` run through the word at `place` of [`Words`].
fn runs_through(place: usize, state: SiteState) -> bool {
    match place {
        0 => true,
        1 => !state.is_empty(),
        _ => state.contains(SiteState::REDIRECTED),
    }
}

fn bl(at: Vaddr, to: Vaddr) -> Result<PatchClass, StateError> {
    PatchClass::bl(at, to).map_err(|range| StateError::OutOfReach { at, range })
}

fn b(at: Vaddr, to: Vaddr) -> Result<PatchClass, StateError> {
    PatchClass::b(at, to).map_err(|range| StateError::OutOfReach { at, range })
}

#[cfg(test)]
mod tests {
    use super::super::engine::{CodeMem, apply};
    use super::super::journal::{Journal, Why};
    use super::super::model::Model;
    use super::*;
    use crate::isa::{Insn, branch};

    const SITE: Vaddr = Vaddr(0x1_0010);
    const PROFILE: Vaddr = Vaddr(0x1_0100);
    const REDIRECT: Vaddr = Vaddr(0x1_0180);
    const OOL: Vaddr = Vaddr(0x1_0200);

    const TRACED: SiteState = SiteState::TRACED;
    const REDIRECTED: SiteState = SiteState::REDIRECTED;
    const BOTH: SiteState = SiteState::all();
    const STATES: [SiteState; 4] = [SiteState::OFF, TRACED, REDIRECTED, BOTH];

    fn site(shape: Shape) -> SitePlan {
        SitePlan { at: SITE, shape, profile: PROFILE, redirect: Some(REDIRECT) }
    }

    fn insns(shape: Shape, state: SiteState) -> [u32; 3] {
        site(shape).words(state).unwrap().map(|word| word.map_or(0, |word| word.insn.insn().0))
    }

    /// Words from GNU as, with the labels at the addresses above.
    #[test]
    fn each_state_has_the_words_that_the_assembler_makes() {
        let (nop, bl_profile, bl_redirect) = (0x6000_0000, 0x4800_00f1, 0x4800_0171);
        let stub_traces = 0x4bff_ff81; // REDIRECT: bl PROFILE
        let early = |state| insns(Shape::Early, state);
        assert_eq!(early(SiteState::OFF), [nop, 0, nop]);
        assert_eq!(early(TRACED), [bl_profile, 0, nop]);
        assert_eq!(early(REDIRECTED), [bl_redirect, 0, nop]);
        assert_eq!(early(BOTH), [bl_redirect, 0, stub_traces]);

        let (b_ool, ool_profile, ool_redirect) = (0x4800_01f0, 0x4bff_fefd, 0x4bff_ff7d);
        let patchable = |state| insns(Shape::Patchable { ool: OOL }, state);
        assert_eq!(patchable(SiteState::OFF), [nop, ool_profile, nop]);
        assert_eq!(patchable(TRACED), [b_ool, ool_profile, nop]);
        assert_eq!(patchable(REDIRECTED), [b_ool, ool_redirect, nop]);
        assert_eq!(patchable(BOTH), [b_ool, ool_redirect, stub_traces]);

        assert_eq!(insns(Shape::Late, TRACED), [bl_profile, 0, nop]);
    }

    #[test]
    fn a_late_site_is_traced_but_not_redirected() {
        let late = site(Shape::Late);
        for state in [REDIRECTED, BOTH] {
            assert_eq!(late.words(state), Err(StateError::Late { at: SITE }));
        }
    }

    #[test]
    fn a_site_without_a_redirect_stub_is_not_redirected() {
        let bare = SitePlan { redirect: None, ..site(Shape::Early) };
        assert!(bare.words(TRACED).is_ok());
        assert_eq!(bare.words(BOTH), Err(StateError::NoRedirectStub { at: SITE }));
    }

    #[test]
    fn a_stub_may_be_32_mib_below_the_site_and_one_word_less_above() {
        let far = |distance| {
            let profile = SITE.offset(distance);
            SitePlan { profile, ..site(Shape::Early) }.words(TRACED)
        };
        assert!(far(-0x200_0000).is_ok() && far(0x1ff_fffc).is_ok());
        assert!(matches!(far(-0x200_0004), Err(StateError::OutOfReach { at: SITE, .. })));
        assert!(matches!(far(0x200_0000), Err(StateError::OutOfReach { at: SITE, .. })));
    }

    /// The state that a call meets, by following the words in memory.
    fn observe(mem: &Model) -> SiteState {
        let follow = |at| branch::target_of(mem.read(at).unwrap(), at);
        let mut at = follow(SITE);
        if at == Some(OOL) {
            at = follow(OOL.offset(4));
        }
        match at {
            None => SiteState::OFF,
            Some(PROFILE) => TRACED,
            Some(REDIRECT) if follow(REDIRECT) == Some(PROFILE) => BOTH,
            Some(REDIRECT) => REDIRECTED,
            Some(other) => panic!("a call ends up at {other}"),
        }
    }

    /// From every state to every other, looking at memory after each store.
    #[test]
    fn a_call_in_between_meets_the_old_state_or_the_new() {
        for shape in [Shape::Early, Shape::Patchable { ool: OOL }] {
            let site = site(shape);
            for (from, to) in STATES.iter().flat_map(|from| STATES.map(|to| (*from, to))) {
                let start = || {
                    let text = (0x1_0000..0x1_0400).step_by(4).map(|at| (Vaddr(at), Insn::NOP));
                    let words = site.words(from).unwrap();
                    let words = words.into_iter().flatten().map(|word| (word.at, word.insn.insn()));
                    Model::new(text.chain(words))
                };
                let mut mem = start();
                let mut batch = Batch::new("test", Why::Test);
                site.plan(from, to, &mut batch).unwrap();
                assert_eq!(batch.is_empty(), from == to);
                apply(&mut mem, &mut Journal::<1>::new(), 0, batch).unwrap();
                assert_eq!(observe(&mem), to);
                assert_eq!(mem.too_early, []);
                for word in site.words(to).unwrap().into_iter().flatten() {
                    assert_eq!(mem.execute(word.at), word.insn.insn(), "{shape:?} {from} to {to}");
                }
                let mut replay = start();
                for (at, insn) in &mem.stores {
                    replay.store(*at, *insn);
                    let seen = observe(&replay);
                    assert!(seen == from || seen == to, "{shape:?} {from} to {to}: {seen}");
                }
            }
        }
    }

    #[test]
    fn tracing_a_redirected_function_changes_one_word() {
        for shape in [Shape::Early, Shape::Patchable { ool: OOL }] {
            let mut batch = Batch::new("test", Why::TraceOn);
            site(shape).plan(REDIRECTED, BOTH, &mut batch).unwrap();
            assert_eq!((batch.len(), batch.span()), (1, Some((REDIRECT, REDIRECT))));
        }
    }
}
