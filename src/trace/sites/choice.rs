//! What `set_ftrace_filter` holds: the functions chosen, and words that wait.
//!
//! ```text
//!   echo 'a*'          > F     the functions that are called so now
//!   echo 'f:mod:m'    >> F     ... of m; if m has none, or is not there: waits
//!   insmod m                   the word chooses its functions, and waits no more
//!   rmmod m                    m's functions are forgotten
//! ```
//!
//! As on Linux a word chooses once: of modules that come later only those are
//! looked at that a word waits for. What `trace on` was told is `standing`: it
//! is asked about every module that comes, also about one that comes again.
//!
//! # Invariants
//! - A write changes nothing if one of its words is refused. (On Linux the words
//!   before it hold, and `>` has emptied the filter before the first.)
//! - `chosen` is a set of runs in a table whose changes this has been told of.
//!
//! # References
//! Linux, Documentation/trace/ftrace.rst, "Dynamic ftrace"; Debian's 6.1 was
//! asked about each rule.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::{Functions, ModuleId, Run, SiteId, SiteTable, runs};
use crate::loader::callsites::SiteKind;
use crate::trace::filter::{Filter, Pattern};
use crate::trace::words::Word;

/// The functions that a person chose.
#[derive(Clone, Debug, Default)]
pub struct Choice {
    /// Nothing was chosen yet, or all of it taken back, if this is `None`.
    chosen: Option<Vec<Run>>,
    /// Words that have found no function, the latest first.
    waiting: Vec<Pattern>,
    /// Asked about every module that comes.
    standing: Option<Filter>,
}

impl Choice {
    /// Nothing chosen.
    pub const NONE: Self = Self { chosen: None, waiting: Vec::new(), standing: None };

    /// What a filter means, now and later. A word that means nothing is an error.
    pub fn of_filter(
        filter: Filter,
        table: &SiteTable,
        functions: &impl Functions,
    ) -> Result<Self, String> {
        if filter.is_everything() {
            return Ok(Self::NONE);
        }
        let selection = table.select(&filter, functions);
        if let Some(miss) = selection.misses.first() {
            return Err(miss.to_string());
        }
        Ok(Self { chosen: Some(selection.runs), waiting: Vec::new(), standing: Some(filter) })
    }

    /// What this is after words were written to its file; `append` is `>>`.
    pub fn written(
        &self,
        words: &[Word],
        append: bool,
        table: &SiteTable,
        functions: &impl Functions,
    ) -> Result<Self, String> {
        let mut new = if append { self.clone() } else { Self::NONE };
        let mut chosen = new.chosen.take().unwrap_or_default();
        for word in words {
            let (negative, found) = match word {
                Word::Trigger(_) => continue,
                Word::Line { negative, number, text } => {
                    let site = number.checked_sub(1).and_then(|number| table.nth(number));
                    let site = site.ok_or_else(|| {
                        let count = table.counts(None).sites;
                        format!("{text}: available_filter_functions has {count} lines")
                    })?;
                    (*negative, [Run::from(site)].into())
                }
                Word::Functions(pattern) => {
                    let found = table.meant_by(pattern, functions);
                    if found.is_empty() && !new.wait(pattern) {
                        return Err(table.why_none(pattern, functions));
                    }
                    if let Some(standing) = new.standing.take() {
                        new.standing = Some(standing.and(pattern.clone()));
                    }
                    (pattern.is_negative(), found)
                }
            };
            chosen =
                if negative { runs::minus(&chosen, &found) } else { runs::union(&chosen, &found) };
        }
        let nothing = chosen.is_empty() && new.waiting.is_empty();
        new.chosen = (!nothing).then_some(chosen);
        new.standing = new.standing.filter(|_| !nothing);
        Ok(new)
    }

    /// Keeps a word that found nothing, or takes out the one that it takes back.
    /// False if neither can be.
    fn wait(&mut self, pattern: &Pattern) -> bool {
        if !pattern.names_module() {
            return false;
        }
        let before = self.waiting.len();
        if pattern.is_negative() {
            let all = pattern.means_all();
            self.waiting.retain(|waiting| {
                !(waiting.is_alike(pattern) || (all && waiting.has_modules_of(pattern)))
            });
            return self.waiting.len() < before;
        }
        if !self.waiting.iter().any(|waiting| waiting.is_alike(pattern)) {
            self.waiting.insert(0, pattern.clone());
        }
        true
    }

    /// A module has come: what waited for it, and what stands, chooses from it.
    pub fn came(
        &mut self,
        id: ModuleId,
        name: &str,
        table: &SiteTable,
        functions: &impl Functions,
    ) {
        let Some(chosen) = &mut self.chosen else { return };
        if let Some(filter) = &self.standing {
            *chosen = runs::union(chosen, &table.select_of(id, filter, functions));
        }
        // A word with wildcards for modules may mean others that come yet.
        self.waiting.retain(|pattern| {
            if !pattern.covers(name) {
                return true;
            }
            let found = table.select_of(id, &Filter::of(pattern.clone()), functions);
            *chosen = runs::union(chosen, &found);
            pattern.one_module().is_none()
        });
    }

    /// Modules, or their init code, have gone from the table.
    pub fn went(&mut self, table: &SiteTable) {
        if let Some(chosen) = &mut self.chosen {
            table.clip(chosen);
        }
    }

    /// The sites chosen, or `None` if nothing was said.
    #[must_use]
    pub fn chosen(&self) -> Option<&[Run]> {
        self.chosen.as_deref()
    }

    /// True if a site was chosen; `unsaid` if nothing was said.
    #[must_use]
    pub fn has(&self, site: SiteId, unsaid: bool) -> bool {
        self.chosen.as_ref().map_or(unsaid, |chosen| runs::has(chosen, site))
    }

    /// The words that wait, the latest first.
    pub fn waiting(&self) -> impl Iterator<Item = &str> {
        self.waiting.iter().map(Pattern::text)
    }
}

impl SiteTable {
    /// The site on this line of all, counted from 0.
    #[must_use]
    pub fn nth(&self, number: u64) -> Option<SiteId> {
        let mut rest = number;
        for module in &self.modules {
            let all = module.all();
            let count = all.count() as u64;
            if rest < count {
                return Some(module.id_of(all.start + rest as u32));
            }
            rest -= count;
        }
        None
    }

    /// The sites that one word means, added or taken out.
    #[must_use]
    pub fn meant_by(&self, pattern: &Pattern, functions: &impl Functions) -> Vec<Run> {
        self.select(&Filter::of(pattern.positive()), functions).runs
    }

    /// Why a word means no site.
    pub fn why_none(&self, pattern: &Pattern, functions: &impl Functions) -> String {
        let selection = self.select(&Filter::of(pattern.positive()), functions);
        selection.misses.first().map_or_else(String::new, ToString::to_string)
    }

    /// Those of a set that a trigger can be set on: of modules, and not behind their
    /// function's prologue.
    #[must_use]
    pub fn triggerable(&self, set: &[Run]) -> Vec<Run> {
        let mut found = Vec::new();
        for site in set.iter().flat_map(|run| run.sites()) {
            let own = self.module(site.module).is_none_or(|module| module.own);
            if !own && self.row(site).is_some_and(|row| row.kind != SiteKind::Late) {
                runs::add(&mut found, site);
            }
        }
        found
    }

    /// Leaves of a set what is in the table.
    pub fn clip(&self, set: &mut Vec<Run>) {
        set.retain_mut(|run| {
            let Some(all) = self.module(run.module).map(super::Module::all) else { return false };
            run.start = run.start.max(all.start);
            run.end = run.end.min(all.end);
            run.start < run.end
        });
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{PLAIN, table};
    use super::*;
    use crate::trace::words::Word;

    /// A filter file and a table, with the words of a person.
    struct Session {
        table: SiteTable,
        choice: Choice,
    }

    impl Session {
        fn write(&mut self, words: &str, append: bool) -> Result<(), String> {
            let words: Result<Vec<_>, _> = words.split(' ').map(Word::parse).collect();
            self.choice = self.choice.written(&words.unwrap(), append, &self.table, &PLAIN)?;
            Ok(())
        }

        fn shown(&self) -> Vec<String> {
            let chosen = self.choice.chosen().unwrap_or_default();
            let sites = chosen.iter().flat_map(|run| run.sites());
            let names = sites.map(|site| {
                let function = self.table.row(site).unwrap().function;
                PLAIN.name(site.module(), function).to_string()
            });
            let waiting = self.choice.waiting().map(ToString::to_string);
            let all = (self.choice.chosen().is_none()).then(|| "all".to_string());
            names.chain(waiting).chain(all).collect()
        }
    }

    fn session() -> Session {
        Session { table: table(), choice: Choice::NONE }
    }

    /// Each line is what Debian's 6.1 answered to the same words, with functions of
    /// lz4_compress in place of these.
    #[test]
    fn words_add_and_take_out() {
        let mut it = session();
        assert_eq!(it.shown(), ["all"]);
        it.write("scsi_add scsi_late", false).unwrap();
        assert_eq!(it.shown(), ["scsi_add", "scsi_late"]);
        it.write("!scsi_patchable", true).unwrap();
        assert_eq!(it.shown(), ["scsi_add", "scsi_late"]);
        it.write("!scsi_add", true).unwrap();
        assert_eq!(it.shown(), ["scsi_late"]);
        it.write("!*late", true).unwrap();
        assert_eq!(it.shown(), ["all"], "nothing left is nothing said");
        it.write("!scsi_add", false).unwrap();
        assert_eq!(it.shown(), ["all"], "nothing can be taken out of nothing");
        it.write("scsi_*", false).unwrap();
        it.write("!:mod:scsi", true).unwrap();
        assert_eq!(it.shown(), ["all"]);
    }

    #[test]
    fn a_refused_word_leaves_the_filter_as_it_was() {
        let mut it = session();
        it.write("scsi_late", false).unwrap();
        for (bad, append) in [("scsi_add nosuch", false), ("nosuch", true), ("!nosuch", true)] {
            assert!(it.write(bad, append).is_err());
            assert_eq!(it.shown(), ["scsi_late"], "{bad}");
        }
    }

    #[test]
    fn lines_are_counted_from_one() {
        let mut it = session();
        it.write("1 0x3", false).unwrap();
        assert_eq!(it.shown(), ["scsi_add", "scsi_patchable"]);
        it.write("!1", true).unwrap();
        assert_eq!(it.shown(), ["scsi_patchable"]);
        assert!(it.write("0", false).is_err() && it.write("3", false).is_ok());
        let refused = it.write("4", false).unwrap_err();
        assert_eq!(refused, "4: available_filter_functions has 3 lines");
    }

    #[test]
    fn a_word_waits_for_its_module() {
        let mut it = session();
        it.write(":mod:notloaded", false).unwrap();
        it.write("*:mod:notloaded2", true).unwrap();
        it.write("foo*:mod:notloaded3", true).unwrap();
        assert_eq!(it.shown(), ["foo*:mod:notloaded3", "*:mod:notloaded2", ":mod:notloaded"]);
        it.write("!:mod:notloaded", true).unwrap();
        it.write("!*:mod:notloaded2", true).unwrap();
        assert_eq!(it.shown(), ["foo*:mod:notloaded3"]);
        assert!(it.write("!foo:mod:notloaded3", true).is_err());
        it.write("!:mod:notloaded3", true).unwrap();
        assert_eq!(it.shown(), ["all"]);
    }

    #[test]
    fn a_module_that_comes_is_looked_at_by_words_that_wait_and_no_others() {
        let full = table();
        let (scsi, name) = full.modules().next().unwrap();
        let came = |words: &str| {
            let mut it = Session { table: SiteTable::new(), choice: Choice::NONE };
            it.write(words, false).unwrap();
            it.choice.came(scsi, name, &full, &PLAIN);
            it.table = table();
            it.shown()
        };
        assert_eq!(came("*add:mod:scsi zzz:mod:scsi"), ["scsi_add"], "both are used up");
        assert_eq!(came("*add:mod:sc?i"), ["scsi_add", "*add:mod:sc?i"], "others may come");
        assert_eq!(came("*add:mod:scs"), ["*add:mod:scs"]);
        let mut it = session();
        it.write("scsi_late", false).unwrap();
        it.choice.went(&SiteTable::new());
        it.choice.came(scsi, name, &full, &PLAIN);
        assert_eq!(it.shown(), [""; 0], "it chose once");
    }

    #[test]
    fn what_trace_on_was_told_holds_for_modules_that_come_again() {
        let mut it = session();
        let scsi = it.table.modules().next().unwrap().0;
        let filter = Filter::parse(["scsi_*", "!scsi_late"]).unwrap();
        it.choice = Choice::of_filter(filter, &it.table, &PLAIN).unwrap();
        it.write("!scsi_add", true).unwrap();
        assert_eq!(it.shown(), ["scsi_patchable"]);
        it.choice.went(&SiteTable::new());
        assert_eq!(it.shown(), [""; 0], "nothing is left, and everything is not meant");
        it.choice.came(scsi, "scsi", &it.table, &PLAIN);
        assert_eq!(it.shown(), ["scsi_patchable"]);
    }
}
