//! The graph tracer: which tool hooked calls meet, and how it is set up.
//!
//! `boot/mcount.S` has the tools, `machine::hooks` the doors that lead to them;
//! `trace::graph` makes text of what the graph tracer leaves.
//!
//! # Invariants
//! - A CPU has its graph stack before the door leads to the graph tracer, and keeps
//!   it: functions that were entered return through it whatever is chosen meanwhile.
//! - One tool for all sites; those that a filter means are switched as ever.
//! - Tables of tools are never given back, but used again: a hook that was interrupted
//!   may look at an old one, and then judges one call by what was wanted before.

use alloc::borrow::ToOwned;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::sync::atomic::Ordering;

use super::pool::{Pool, Words};
use super::{records, tracing};
use crate::addr::Vaddr;
use crate::machine::hooks::{self, Tool};
use crate::machine::lock::Mutex;
use crate::machine::paca::GRAPH_ENTRIES;
use crate::machine::smp;
use crate::trace::filter::Filter;
use crate::trace::tools::{self, Special};

struct Setup {
    /// What calls meet now.
    tool: Tool,
    /// How deep calls are followed; 0 is as deep as there is room.
    depth: usize,
    /// `set_graph_function` and `set_graph_notrace`, by [`Which`].
    words: [Vec<String>; 2],
    /// The table that is used, and those that were.
    table: Option<Words>,
    retired: Pool,
}

static SETUP: Mutex<Setup> = Mutex::new(Setup {
    tool: Tool::Function,
    depth: 0,
    words: [const { Vec::new() }; 2],
    table: None,
    retired: Pool::EMPTY,
});

/// Which of two lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// The functions at which the graph tracer begins, if there are any.
    Roots,
    /// Those that it leaves out, with what they call.
    Mute,
}

impl Setup {
    /// The graph tracer as it is wanted now.
    fn graph(&self) -> Tool {
        if self.words.iter().all(Vec::is_empty) { Tool::Graph } else { Tool::GraphSome }
    }

    fn put(&mut self, tool: Tool) -> Result<(), String> {
        if self.tool != tool {
            tracing::choose(self.tool, tool)?;
            if self.tool.is_graph() != tool.is_graph() {
                records::begin_anew(tool);
            }
            self.tool = tool;
        }
        Ok(())
    }

    /// Makes the table that the lists want and puts it into use. `strict` wants every
    /// word to mean something.
    fn tabulate(&mut self, strict: bool) -> Result<(), String> {
        let mut entries: Vec<(Vaddr, Special)> = Vec::new();
        for (words, special) in self.words.iter().zip([Special::ROOT, Special::MUTE]) {
            if words.is_empty() {
                continue;
            }
            let filter = Filter::parse(words.iter().map(String::as_str));
            let filter = filter.map_err(|error| error.to_string())?;
            let hooks = tracing::hooks_of(&filter, strict)?;
            entries.extend(hooks.into_iter().map(|hook| (hook, special)));
        }
        entries.sort_unstable_by_key(|(hook, _)| *hook);
        entries.dedup_by(|next, kept| {
            let same = next.0 == kept.0;
            if same {
                kept.1 |= next.1;
            }
            same
        });
        let none = "no memory for the table of functions (see mem)";
        let words = tools::table(&entries).ok_or(none)?;
        let table = self.retired.take(words.len()).ok_or(none)?;
        table.iter().zip(words).for_each(|(to, word)| to.store(word, Ordering::Relaxed));
        let rooted = !self.words[Which::Roots as usize].is_empty();
        hooks::set_tools(smp::cpus().iter().map(|cpu| cpu.paca), Some(table), rooted);
        self.retired.put(self.table.replace(table));
        Ok(())
    }
}

/// Gives every CPU a graph stack.
fn make_stacks(depth: usize) -> Result<(), String> {
    let depth = if depth == 0 { GRAPH_ENTRIES } else { depth };
    let ready = smp::cpus().iter().all(|cpu| hooks::graph_on(cpu.paca, depth));
    if ready { Ok(()) } else { Err("no memory for the graph stacks (see mem)".into()) }
}

/// Makes the graph tracer, or the function tracer, what hooked calls meet from now on.
pub fn choose(graph: bool) -> Result<(), String> {
    let mut setup = SETUP.lock();
    if graph {
        make_stacks(setup.depth)?;
    }
    let tool = if graph { setup.graph() } else { Tool::Function };
    setup.put(tool)
}

/// Has calls return by the way that the seed's kernel had, or by ours.
pub fn set_seed_return(wrong: bool) {
    smp::cpus().iter().for_each(|cpu| hooks::set_graph_return(cpu.paca, wrong));
}

/// What `current_tracer` calls it while it is on.
pub fn tracer_name() -> &'static str {
    if SETUP.lock().tool.is_graph() { "function_graph" } else { "function" }
}

/// How deep calls are followed; 0 is as deep as there is room.
pub fn max_depth() -> usize {
    SETUP.lock().depth
}

/// Sets that.
pub fn set_max_depth(depth: usize) -> Result<(), String> {
    let mut setup = SETUP.lock();
    if setup.tool.is_graph() {
        make_stacks(depth)?;
    }
    setup.depth = depth;
    Ok(())
}

/// The words of a list.
pub fn words(which: Which) -> Vec<String> {
    SETUP.lock().words[which as usize].clone()
}

/// Writes words to a list, or adds them; all, or none if one means nothing.
pub fn set_words(which: Which, text: &str, append: bool) -> Result<(), String> {
    let mut setup = SETUP.lock();
    let before = setup.words.clone();
    let list = &mut setup.words[which as usize];
    if !append {
        list.clear();
    }
    list.extend(text.split_ascii_whitespace().map(ToOwned::to_owned));
    let mut done = setup.tabulate(true);
    if done.is_ok() && setup.tool.is_graph() {
        let tool = setup.graph();
        done = setup.put(tool);
    }
    if done.is_err() {
        setup.words = before;
    }
    done
}

/// Modules, or stubs, have come or gone: the table is made anew.
pub fn refresh() {
    let mut setup = SETUP.lock();
    if setup.graph() == Tool::GraphSome {
        // Without memory the old one stays, which knows what there was.
        let _ = setup.tabulate(false);
    }
}
