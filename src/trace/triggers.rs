//! What shall happen when a function is entered: `FUNC:traceoff:3` and its like.
//!
//! ```text
//!   Triggers                         the latest group first, as Linux lists them
//!     traceoff, counted     crc16 3 left
//!     stacktrace            scsi_add, scsi_patchable
//! ```
//!
//! `words.rs` reads the words. Who finds a site on which one is set asks [`Triggers::fire`]
//! and does what it says; nothing here does anything by itself.
//!
//! # Invariants
//! - A site has one trigger for each action without a count and one with.
//! - `>` does not take triggers away, only `!` does: as on Linux.
//!
//! # References
//! Linux, Documentation/trace/ftrace.rst, "Filter commands"; Debian's 6.1 was
//! asked about order, repetition and removal.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::sites::{Functions, Run, SiteId, SiteTable, runs};
use super::words::{Action, Limit, TriggerWord};

/// All triggers.
#[derive(Clone, Debug, Default)]
pub struct Triggers(Vec<Group>);

/// The sites that have one kind of trigger.
#[derive(Clone, Debug)]
struct Group {
    action: Action,
    counted: bool,
    /// By rising site: how often the trigger still acts.
    sites: Vec<(SiteId, Limit)>,
}

impl Triggers {
    /// No trigger.
    pub const NONE: Self = Self(Vec::new());

    /// What this is after a word was written.
    pub fn written(
        &self,
        word: &TriggerWord,
        table: &SiteTable,
        functions: &impl Functions,
    ) -> Result<Self, String> {
        let TriggerWord { negative, functions: pattern, action, limit, text } = word;
        let counted = *limit != Limit::Unlimited;
        let found = table.meant_by(pattern, functions);
        if found.is_empty() {
            return Err(table.why_none(pattern, functions));
        }
        let found = table.triggerable(&found);
        if found.is_empty() {
            return Err(format!(
                "{text}: a trigger needs a module's function whose call site is at its entry"
            ));
        }
        let mut new = self.clone();
        let place = new.0.iter().position(|it| (it.action, it.counted) == (*action, counted));
        if *negative {
            let group = place.and_then(|place| new.0.get_mut(place));
            let before = group.as_ref().map_or(0, |group| group.sites.len());
            let left = group.map_or(0, |group| {
                group.sites.retain(|(site, _)| !runs::has(&found, *site));
                group.sites.len()
            });
            new.0.retain(|group| !group.sites.is_empty());
            let what = if counted { "with a count" } else { "without a count" };
            return if left < before {
                Ok(new)
            } else {
                Err(format!("{text}: no such trigger {what} is set (see set_ftrace_filter)"))
            };
        }
        let place = place.unwrap_or_else(|| {
            new.0.insert(0, Group { action: *action, counted, sites: Vec::new() });
            0
        });
        let Some(group) = new.0.get_mut(place) else { return Ok(new) };
        let before = group.sites.len();
        for site in found.iter().flat_map(|run| run.sites()) {
            if let Err(place) = group.sites.binary_search_by_key(&site, |(site, _)| *site) {
                group.sites.insert(place, (site, *limit));
            }
        }
        if group.sites.len() == before {
            return Err(format!("{text}: such a trigger is set already (! takes it away)"));
        }
        Ok(new)
    }

    /// Every trigger, in the order in which they are listed.
    pub fn all(&self) -> impl Iterator<Item = (SiteId, Action, Limit)> {
        self.0.iter().flat_map(|it| it.sites.iter().map(|(site, left)| (*site, it.action, *left)))
    }

    /// True if there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The sites that have one, as a set.
    #[must_use]
    pub fn sites(&self) -> Vec<Run> {
        self.0.iter().fold(Vec::new(), |set, group| {
            let mut own = Vec::new();
            group.sites.iter().for_each(|(site, _)| runs::add(&mut own, *site));
            runs::union(&set, &own)
        })
    }

    /// How many triggers a site has.
    #[must_use]
    pub fn count_at(&self, site: SiteId) -> usize {
        self.all().filter(|(other, ..)| *other == site).count()
    }

    /// Sites have left the table, and their triggers go with them.
    pub fn went(&mut self, table: &SiteTable) {
        for group in &mut self.0 {
            group.sites.retain(|(site, _)| table.row(*site).is_some());
        }
        self.0.retain(|group| !group.sites.is_empty());
    }

    /// The function of `site` is entered while recording is on, or is not: `act` is
    /// told what to do, and says whether recording is on then. What would change
    /// nothing is not counted.
    pub fn fire(&mut self, site: SiteId, mut recording: bool, mut act: impl FnMut(Action) -> bool) {
        for group in &mut self.0 {
            let place = group.sites.binary_search_by_key(&site, |(site, _)| *site);
            let Some((_, limit)) = place.ok().and_then(|place| group.sites.get_mut(place)) else {
                continue;
            };
            let useful = match group.action {
                Action::Traceon => !recording,
                Action::Traceoff | Action::Stacktrace => recording,
            };
            match limit {
                _ if !useful => continue,
                Limit::Count(0) => continue,
                Limit::Count(left) => *left -= 1,
                Limit::Unlimited => {}
            }
            recording = act(group.action);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::sites::tests::{PLAIN, table};
    use crate::trace::words::Word;
    use std::string::ToString;
    use std::vec;

    fn write(triggers: &mut Triggers, word: &str) -> Result<(), String> {
        let Ok(Word::Trigger(word)) = Word::parse(word) else { panic!("{word} is no trigger") };
        *triggers = triggers.written(&word, &table(), &PLAIN)?;
        Ok(())
    }

    fn shown(triggers: &Triggers) -> Vec<String> {
        let table = table();
        let line = |(site, action, limit): (SiteId, Action, Limit)| {
            let function = table.row(site).unwrap().function;
            let name = PLAIN.name(site.module(), function);
            format!("{name}:{}:{limit}", action.name())
        };
        triggers.all().map(line).collect()
    }

    /// What Debian's 6.1 did with functions of lz4_compress in place of these.
    #[test]
    fn triggers_are_set_listed_and_taken_away() {
        let mut it = Triggers::NONE;
        write(&mut it, "scsi_add:traceoff").unwrap();
        write(&mut it, "scsi_patchable:traceon:5").unwrap();
        write(&mut it, "scsi_patchable:traceoff:3").unwrap();
        assert!(write(&mut it, "scsi_patchable:traceoff:4").is_err(), "set already");
        write(&mut it, "scsi_patchable:stacktrace").unwrap();
        write(&mut it, "scsi_patchable:stacktrace:2").unwrap();
        assert_eq!(
            shown(&it),
            [
                "scsi_patchable:stacktrace:count=2",
                "scsi_patchable:stacktrace:unlimited",
                "scsi_patchable:traceoff:count=3",
                "scsi_patchable:traceon:count=5",
                "scsi_add:traceoff:unlimited",
            ]
        );
        assert!(write(&mut it, "!scsi_patchable:traceon").is_err(), "that one has a count");
        write(&mut it, "!scsi_patchable:traceon:0").unwrap();
        write(&mut it, "!scsi_patchable:traceoff:3").unwrap();
        assert!(write(&mut it, "!scsi_patchable:traceon:0").is_err());
        assert!(write(&mut it, "nosuch:traceon").is_err());
        assert!(write(&mut it, "scsi_late:traceon").is_err(), "behind its prologue");
        write(&mut it, "!*:stacktrace").unwrap();
        write(&mut it, "scsi_[ap]*:traceoff").unwrap();
        assert_eq!(
            shown(&it),
            [
                "scsi_patchable:stacktrace:count=2",
                "scsi_add:traceoff:unlimited",
                "scsi_patchable:traceoff:unlimited",
            ]
        );
        it.went(&SiteTable::new());
        assert_eq!(shown(&it), [""; 0]);
    }

    #[test]
    fn a_count_goes_down_when_something_was_done() {
        let mut it = Triggers::NONE;
        write(&mut it, "scsi_add:traceoff:2").unwrap();
        write(&mut it, "scsi_add:stacktrace:1").unwrap();
        let site = it.all().next().unwrap().0;
        let mut fire = |recording| {
            let mut done = vec![];
            let act = |action: Action| {
                done.push(action.name().to_string());
                action != Action::Traceoff
            };
            it.fire(site, recording, act);
            done
        };
        assert_eq!(fire(false), [""; 0]);
        assert_eq!(fire(true), ["stacktrace", "traceoff"]);
        assert_eq!(fire(true), ["traceoff"]);
        assert_eq!(fire(true), [""; 0]);
        assert_eq!(shown(&it), ["scsi_add:stacktrace:count=0", "scsi_add:traceoff:count=0"]);
    }
}
