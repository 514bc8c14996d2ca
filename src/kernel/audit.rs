//! Are modules in memory as they were linked? Everything is derived again, and
//! compared: nothing that was remembered is believed.
//!
//! | what | must be |
//! |---|---|
//! | text, stubs | as linked, or what the state of a call site says |
//! | constants, `.toc`, stubs' targets | as linked |
//! | relocated fields of other data | as linked, until the module's code has run |
//!
//! A word that is patched is explained by the site table, which knows what each
//! site should hold, and by the journal, which knows who changed it last.
//!
//! Code may write to its own data, so a field there that differs is counted and is
//! no drift, unless the module was loaded with `--link-only`: then nobody may.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

use super::modules::{self, Module};
use super::{livepatch, symbols, tracing, triggers};
use crate::addr::Vaddr;
use crate::loader::{Group, RelocName, fields};
use crate::machine::{memory, text};
use crate::patch::journal::{Entry, Why};
use crate::patch::state::{SiteState, Word};
use crate::trace::sites::Row;

/// Bytes of memory that are compared at once.
const PIECE: usize = 4096;

/// Where lines for a person go.
type Say<'s> = &'s mut dyn FnMut(&str);

/// Audits all modules: says what has drifted, and for `Some(verbose)` a summary of
/// each module, with who has patched what. Answers what is wrong as a whole.
#[optimize(size)]
pub fn all(summary: Option<bool>, say: Say<'_>) -> Vec<String> {
    let (mut drifted, mut faults) = (0, Vec::new());
    for module in modules::all() {
        let mut audit = Audit::new(&module, say);
        if let Err(why) = audit.run() {
            faults.push(why);
        }
        if let Some(verbose) = summary {
            audit.summarise(verbose);
        }
        drifted += audit.drifted;
    }
    if drifted > 0 {
        faults.push(format!("{drifted} words differ and nobody planned it (see journal)"));
    }
    faults
}

/// The audit of one module.
struct Audit<'m, 's> {
    module: &'m Arc<Module>,
    say: Say<'s>,
    /// What the states of its call sites say, by rising address.
    planned: Vec<Word>,
    /// Words of text as linked, and as planned.
    same: u64,
    patched: u64,
    /// Relocated fields of data as linked, and written since.
    fields: u64,
    written: u64,
    drifted: u64,
}

impl<'m, 's> Audit<'m, 's> {
    fn new(module: &'m Arc<Module>, say: Say<'s>) -> Self {
        let mut planned = tracing::planned_words(module.sites);
        livepatch::burn::add_words(&mut planned);
        Self { module, say, planned, same: 0, patched: 0, fields: 0, written: 0, drifted: 0 }
    }

    fn run(&mut self) -> Result<(), String> {
        let module = self.module;
        let image = modules::relink(module)?;
        for group in [Group::InitText, Group::Text] {
            if module.is_gone(group) {
                continue;
            }
            let span = module.layout.group(group);
            let bytes = image.get(span.offset as usize..span.end() as usize).unwrap_or_default();
            self.text(module.range(span).0, bytes);
        }
        let span = module.layout.targets;
        let bytes = image.get(span.offset as usize..span.end() as usize).unwrap_or_default();
        for (index, expected) in bytes.as_chunks::<8>().0.iter().enumerate() {
            let at = module.range(span).0.offset(index as i64 * 8);
            let linked = triggers::expected(module, u64::from_le_bytes(*expected));
            self.target(at, livepatch::burn::expected(at, linked));
        }
        for index in 0..module.object().sections().len() {
            self.data(index, &image);
        }
        drop(image);
        for (stub, row) in tracing::redirect_stubs(module.sites) {
            self.redirect_stub(stub, &row)?;
        }
        Ok(())
    }

    fn summarise(&mut self, verbose: bool) {
        let Self { same, patched, fields, written, .. } = *self;
        let name = &self.module.name;
        (self.say)(&format!("{name}: {same} words as linked, {patched} patched"));
        if verbose {
            let since =
                format!("{name}: {fields} fields of data as linked, {written} written since");
            (self.say)(&since);
            self.patched_sites();
            livepatch::burn::each(&mut |at, to| {
                if self.module.pages.contains(at, 4) {
                    let name = &self.module.name;
                    (self.say)(&format!("{at} {name} burnt in -> {}", symbols::qualified(to)));
                }
            });
        }
    }

    /// Who has patched which site.
    fn patched_sites(&mut self) {
        let journal = text::journal();
        for (module, name, row) in tracing::rows(None).unwrap_or_default() {
            if module.number != self.module.number || row.state == SiteState::OFF {
                continue;
            }
            let mut line = format!("{} {}:{name}", row.at, module.name);
            for (state, word, why) in [
                (SiteState::TRACED, " traced", Why::TraceOn),
                (SiteState::REDIRECTED, " redirected", Why::PatchOn),
            ] {
                if !row.state.contains(state) {
                    continue;
                }
                line += word;
                // The journal keeps the last batches only, each with its range.
                let by = |(_, entry): &&(u64, Entry)| entry.why == why && entry.covers(row.at);
                if let Some((number, entry)) = journal.iter().rev().find(by) {
                    line += &format!(" by {} (journal {number})", entry.who.as_str());
                }
            }
            if let Some(to) = self.replacement(&row) {
                line += &format!(" -> {}", symbols::qualified(to));
            }
            (self.say)(&line);
        }
    }

    fn replacement(&self, row: &Row) -> Option<Vaddr> {
        let redirected = row.state.contains(SiteState::REDIRECTED);
        let (_, entry, _) = self.module.function_at(row.at).filter(|_| redirected)?;
        livepatch::replacement(entry)
    }

    fn drift(&mut self, at: Vaddr, what: &str, expected: &str, found: Option<String>) {
        self.drifted += 1;
        let found = found.unwrap_or_else(|| "nothing readable".to_string());
        let name = &self.module.name;
        (self.say)(&format!("{at} {name}{what}: expected {expected}, found {found}"));
    }

    /// Instructions from `at` on, as linked.
    fn text(&mut self, at: Vaddr, expected: &[u8]) {
        for (index, expected) in expected.as_chunks::<4>().0.iter().enumerate() {
            self.word(at.offset(index as i64 * 4), u32::from_le_bytes(*expected));
        }
    }

    fn word(&mut self, at: Vaddr, linked: u32) {
        let found = memory::read_u32(at);
        let planned = self.planned.binary_search_by_key(&at, |word| word.at).ok();
        let expected = planned.map_or(linked, |index| self.planned[index].insn.insn().0);
        if found != Some(expected) {
            self.drift(at, "", &format!("{expected:08x}"), found.map(|word| format!("{word:08x}")));
        } else if expected == linked {
            self.same += 1;
        } else {
            self.patched += 1;
        }
    }

    /// The data word of a stub. Only words of text are counted.
    fn target(&mut self, at: Vaddr, expected: u64) {
        let found = memory::read_u64(at);
        if found != Some(expected) {
            let found = found.map(|word| format!("{word:016x}"));
            self.drift(at, "", &format!("{expected:016x}"), found);
        }
    }

    /// A section of data: all of it, if nobody may write to it, and its relocated
    /// fields in any case.
    fn data(&mut self, index: usize, image: &[u8]) {
        let (module, section) = (self.module, &self.module.object().sections()[index]);
        let Some(offset) = module.layout.offset_of(index) else { return };
        let end = offset as usize + section.data.len();
        let expected = image.get(offset as usize..end).unwrap_or_default();
        let group = crate::loader::Layout::group_of(section);
        if matches!(group, Group::Text | Group::InitText) || module.is_gone(group) {
            return;
        }
        let constant = group == Group::Rodata || section.name == ".toc";
        if constant {
            self.constant(module.address(offset), expected);
        }
        let lists = module.object().relocations().iter().filter(|list| list.target == index);
        for rela in lists.flat_map(|list| list.iter()) {
            let kind = rela.r_info as u32;
            let from = usize::try_from(rela.r_offset).unwrap_or(usize::MAX);
            let to = from.saturating_add(fields::width(kind) as usize);
            let Some(expected) = expected.get(from..to) else { continue };
            let at = module.address(offset).offset(rela.r_offset.cast_signed());
            let mut found = [0; 8];
            let found = &mut found[..expected.len()];
            let read = memory::read(at, found);
            if read && found == expected {
                self.fields += 1;
            } else if constant {
                // Said above, word by word.
            } else if module.may_have_written() {
                self.written += 1;
            } else {
                let name = module.readable_name((rela.r_info >> 32) as u32);
                let what = format!(":{}+{from:#x} {} {name}", section.name, RelocName(kind));
                self.drift(at, &what, &number(expected), read.then(|| number(found)));
            }
        }
    }

    /// Bytes that nobody may write to, four at a time if they differ.
    fn constant(&mut self, start: Vaddr, expected: &[u8]) {
        let mut piece = vec![0; PIECE];
        for (index, expected) in expected.chunks(PIECE).enumerate() {
            let at = start.offset((index * PIECE) as i64);
            let found = &mut piece[..expected.len()];
            if memory::read(at, found) && found == expected {
                continue;
            }
            for (index, expected) in expected.chunks(4).enumerate() {
                let at = at.offset(index as i64 * 4);
                let mut found = [0; 4];
                let found = &mut found[..expected.len()];
                let read = memory::read(at, found);
                if !read || found != expected {
                    self.drift(at, "", &number(expected), read.then(|| number(found)));
                }
            }
        }
    }

    /// A stub that live patching made, and where it leads while it is used.
    fn redirect_stub(&mut self, stub: Vaddr, row: &Row) -> Result<(), String> {
        let name = &self.module.name;
        let word = livepatch::islands::target_word(stub);
        let word = word.ok_or_else(|| format!("{stub} {name}: its redirect stub is gone"))?;
        let words = livepatch::islands::words(stub, word, self.module.linked().toc)
            .map_err(|error| format!("{stub} {name}: {error}"))?;
        for (at, word) in words {
            self.word(at, word.0);
        }
        if row.state.contains(SiteState::REDIRECTED) {
            let (_, entry, _) = self.module.function_at(row.at).unwrap_or_default();
            let to = match (livepatch::is_changing(entry), livepatch::islands::chooser(stub)) {
                (true, Some((chooser, _))) => chooser,
                // Behind the site, as if nobody had patched it, if no patch says so.
                _ => self.replacement(row).unwrap_or(row.at.offset(4)),
            };
            self.target(word, to.0);
        }
        Ok(())
    }
}

/// Little-endian bytes as the number that they are.
fn number(bytes: &[u8]) -> String {
    bytes.iter().rev().map(|byte| format!("{byte:02x}")).collect()
}
