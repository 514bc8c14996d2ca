//! The graph tracer, and which tools hooked calls meet.
//!
//! `boot/mcount.S` has the tools, `machine::hooks` the doors that lead to them;
//! `trace::graph` makes text of what the graph tracer leaves.
//!
//! # Invariants
//! - A CPU has its graph stack before the door leads to the graph tracer, and keeps
//!   it: functions that were entered return through it whatever is chosen meanwhile.
//! - One tool for all sites, or a table of many (probes, functions at which the graph
//!   tracer begins or is silent); those that a filter means are switched as ever.
//! - Tables of tools are never given back, but used again: a hook that was interrupted
//!   may look at an old one, and then judges one call by what was wanted before.

use alloc::borrow::ToOwned;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt::Write as _;
use core::sync::atomic::{AtomicBool, Ordering};

use super::pool::{Pool, Words};
use super::{records, tracing};
use crate::addr::Vaddr;
use crate::machine::hooks::{self, Return, Tool};
use crate::machine::lock::Mutex;
use crate::machine::paca::GRAPH_ENTRIES;
use crate::machine::probes::{self, Blocks};
use crate::machine::smp;
use crate::trace::filter::Filter;
use crate::trace::options::Options;
use crate::trace::sites::SiteId;
use crate::trace::tools::{self, Entry, Special};

/// A function with probes.
pub struct Probed {
    /// Its call site.
    pub site: SiteId,
    /// Its probes in their order, each with a block for every CPU.
    pub probes: Vec<Blocks>,
    /// What the site is if there is nothing but the one probe.
    pub alone: Special,
}

struct Setup {
    /// What calls meet now.
    tool: Tool,
    /// The graph tracer was chosen.
    graph: bool,
    /// How deep calls are followed; 0 is as deep as there is room.
    depth: usize,
    /// `set_graph_function` and `set_graph_notrace`, by [`Which`].
    words: [Vec<String>; 2],
    probed: Vec<Probed>,
    /// Those of [`Options::RECORDING`].
    options: Options,
    /// CPUs whose calls alone the tracers record, a bit each; 0 means all:
    /// `set_ftrace_pid`.
    pids: u64,
    /// The tables that are used, one for each CPU, and those that were.
    tables: Vec<Words>,
    retired: Pool,
}

static SETUP: Mutex<Setup> = Mutex::new(Setup {
    tool: Tool { graph: false, many: false },
    graph: false,
    depth: 0,
    words: [const { Vec::new() }; 2],
    probed: Vec::new(),
    options: Options::OVERWRITE,
    pids: 0,
    tables: Vec::new(),
    retired: Pool::EMPTY,
});

/// A table is in use: then there is something to refresh.
static MANY: AtomicBool = AtomicBool::new(false);

/// Which of two lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// The functions at which the graph tracer begins, if there are any.
    Roots,
    /// Those that it leaves out, with what they call.
    Mute,
}

impl Setup {
    /// What calls are to meet.
    fn wanted(&self) -> Tool {
        let listed = self.graph && !self.words.iter().all(Vec::is_empty);
        // The plain hooks neither look whether there is room, nor at arguments.
        let args = self.graph && self.options.contains(Options::GRAPH_ARGS);
        let full = !self.options.contains(Options::OVERWRITE);
        let some = listed || args || full || self.pids != 0 || !self.probed.is_empty();
        Tool { graph: self.graph, many: some }
    }

    /// Makes tables, if there are any to be made, and puts the wanted tool in its place.
    #[optimize(size)]
    fn renew(&mut self) -> Result<(), String> {
        if self.tool.many || self.wanted().many {
            self.tabulate(false)?;
        }
        self.put()
    }

    /// Has calls return by the way that is wanted.
    fn aim_returns(&self, seed: bool) {
        let plain =
            self.options & (Options::OVERWRITE | Options::GRAPH_RETVAL) == Options::OVERWRITE;
        let way = match (seed, plain) {
            (true, _) => Return::Seed,
            (false, true) => Return::Plain,
            (false, false) => Return::Wide,
        };
        smp::cpus().iter().for_each(|cpu| hooks::set_graph_return(cpu.paca, way));
    }

    #[optimize(size)]
    fn put(&mut self) -> Result<(), String> {
        let tool = self.wanted();
        if self.tool != tool {
            tracing::choose(self.tool, tool)?;
            if self.tool.graph != tool.graph {
                records::begin_anew(tool);
            }
            self.tool = tool;
            MANY.store(tool.many, Ordering::Relaxed);
        }
        Ok(())
    }

    /// What is special about which hook, and its probes' first; by rising hook.
    #[optimize(size)]
    fn entries(&self, strict: bool) -> Result<Vec<(Vaddr, Special, Option<Blocks>)>, String> {
        let mut entries: Vec<(Vaddr, Special, Option<Blocks>)> = Vec::new();
        for (words, special) in self.words.iter().zip([Special::ROOT, Special::MUTE]) {
            if words.is_empty() {
                continue;
            }
            let filter = Filter::parse(words.iter().map(String::as_str));
            let filter = filter.map_err(|error| error.to_string())?;
            let hooks = tracing::hooks_of(&filter, strict)?;
            if self.graph {
                let special = special | Special::GRAPH;
                entries.extend(hooks.into_iter().map(|hook| (hook, special, None)));
            }
        }
        let overwrites = self.options.contains(Options::OVERWRITE);
        entries.sort_unstable_by_key(|(hook, ..)| *hook);
        entries.dedup_by(|next, kept| {
            let same = next.0 == kept.0;
            if same {
                kept.1 |= next.1;
            }
            same
        });
        for Probed { site, probes, alone } in &self.probed {
            let wanted = tracing::wants(*site) && (self.graph || !tracing::has_stacks(*site));
            let special = match wanted {
                true if self.graph => Special::GRAPH | Special::PROBES,
                true => Special::FUNCTION | Special::PROBES,
                // Whoever is alone does not look whether the ring is full.
                false if probes.len() == 1 && overwrites => *alone,
                false => Special::PROBES,
            };
            let first = probes.first().copied();
            for hook in tracing::hooks_at(*site).into_iter().flatten() {
                match entries.binary_search_by_key(&hook, |(hook, ..)| *hook) {
                    // What the lists say is for the graph tracer.
                    Ok(place) => {
                        if let Some((_, known, blocks)) = entries.get_mut(place) {
                            *known = if wanted { *known | special } else { special };
                            *blocks = first;
                        }
                    }
                    Err(place) => entries.insert(place, (hook, special, first)),
                }
            }
        }
        Ok(entries)
    }

    /// Makes the tables that lists and probes want and puts them into use. `strict`
    /// wants every word to mean something.
    #[optimize(size)]
    fn tabulate(&mut self, strict: bool) -> Result<(), String> {
        let entries = self.entries(strict)?;
        let usual = match tracing::is_on() {
            true if self.graph => Special::GRAPH,
            true => Special::FUNCTION,
            false => Special::empty(),
        };
        let none = "no memory for the table of functions (see mem)";
        let rooted = !self.words[Which::Roots as usize].is_empty();
        let mut tables = Vec::new();
        for (place, cpu) in smp::cpus().iter().enumerate() {
            let is_meant = self.pids == 0 || self.pids >> (place % 64) & 1 != 0;
            let tracers = if is_meant { Special::all() } else { Special::TRACERS.complement() };
            let mut own = Vec::with_capacity(entries.len());
            for (hook, special, blocks) in &entries {
                let block = blocks.map_or(0, |blocks| probes::address(blocks, place));
                own.push(Entry { hook: *hook, special: *special & tracers, block });
            }
            let words = tools::table(&own, usual & tracers).ok_or(none)?;
            let table = self.retired.take(words.len()).ok_or(none)?;
            table.iter().zip(words).for_each(|(to, word)| to.store(word, Ordering::Relaxed));
            hooks::set_tools(cpu.paca, table, rooted);
            tables.push(table);
        }
        self.retired.put(core::mem::replace(&mut self.tables, tables));
        Ok(())
    }

    /// Makes the tables anew, if they are used. Without memory the old ones stay, which
    /// know what there was.
    fn tabulate_again(&mut self) {
        if self.wanted().many {
            let _ = self.tabulate(false);
        }
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
    if !graph && !setup.graph && !setup.tool.many {
        return Ok(());
    }
    setup.aim_returns(false);
    if graph {
        make_stacks(setup.depth)?;
    }
    let before = setup.graph;
    setup.graph = graph;
    let done = setup.renew();
    if done.is_err() {
        setup.graph = before;
        setup.tabulate_again();
    }
    done
}

/// Has these functions probed, and no others. Their sites are on already, or not yet.
pub fn set_probed(probed: Vec<Probed>) -> Result<(), String> {
    let mut setup = SETUP.lock();
    probed.iter().for_each(|it| probes::chain(&it.probes));
    let before = core::mem::replace(&mut setup.probed, probed);
    let done = setup.renew();
    if done.is_err() {
        before.iter().for_each(|it| probes::chain(&it.probes));
        setup.probed = before;
        setup.tabulate_again();
    }
    done
}

/// True if the tracer is the graph tracer, whether it is on or not.
pub fn is_chosen() -> bool {
    SETUP.lock().graph
}

/// Whose calls alone are traced, a line each: `set_ftrace_pid`.
#[optimize(size)]
pub fn pids() -> String {
    let (pids, mut text) = (SETUP.lock().pids, String::new());
    for pid in (1..=u64::BITS).filter(|pid| pids >> (pid - 1) & 1 != 0) {
        let _ = writeln!(text, "{pid}"); // to a text, which does not fail
    }
    if pids == 0 { "no pid\n".to_string() } else { text }
}

/// True if this CPU's calls are traced.
pub fn is_meant() -> bool {
    let pids = SETUP.lock().pids;
    pids == 0 || pids >> (smp::this_cpu() % 64) & 1 != 0
}

/// Sets that, or adds to it; all of it or nothing.
#[optimize(size)]
pub fn set_pids(text: &str, append: bool) -> Result<(), String> {
    let mut setup = SETUP.lock();
    let most = smp::cpus().len().min(u64::BITS as usize);
    let mut pids = if append { setup.pids } else { 0 };
    for word in text.split_ascii_whitespace() {
        match word.parse::<usize>() {
            Ok(pid) if pid > 0 && pid <= most => pids |= 1 << (pid - 1),
            _ => return Err(alloc::format!("no such pid: {word} (see saved_cmdlines)")),
        }
    }
    let before = core::mem::replace(&mut setup.pids, pids);
    let done = setup.renew();
    if done.is_err() {
        setup.pids = before;
    }
    done
}

/// Has calls return by the way that the seed's kernel had, until the tracer is chosen
/// again, or a list is written: there is only one such way, and a list's functions have
/// returns of their own.
pub fn set_seed_return() -> Result<(), String> {
    let setup = SETUP.lock();
    if !setup.words.iter().all(Vec::is_empty) {
        return Err("--return=seed: empty set_graph_function and set_graph_notrace first".into());
    }
    setup.aim_returns(true);
    Ok(())
}

/// Sets the switches of `trace_options`, all or none.
#[optimize(size)]
pub fn set_options(options: Options) -> Result<(), String> {
    let before = records::options();
    records::set_options(options)?;
    let mut setup = SETUP.lock();
    setup.options = options & Options::RECORDING;
    let done = setup.renew();
    if done.is_err() {
        setup.options = before & Options::RECORDING;
        // There was room for what it was.
        let _ = records::set_options(before);
    }
    setup.aim_returns(false);
    drop(setup);
    if (options ^ before).contains(Options::STACK_TRACE) {
        tracing::set_stacks(options.contains(Options::STACK_TRACE));
        refresh(); // who writes the calls of functions with probes
    }
    done
}

/// What `current_tracer` calls it while it is on.
pub fn tracer_name() -> &'static str {
    if SETUP.lock().graph { "function_graph" } else { "function" }
}

/// How deep calls are followed; 0 is as deep as there is room.
pub fn max_depth() -> usize {
    SETUP.lock().depth
}

/// Sets that.
pub fn set_max_depth(depth: usize) -> Result<(), String> {
    let mut setup = SETUP.lock();
    if setup.graph {
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
#[optimize(size)]
pub fn set_words(which: Which, text: &str, append: bool) -> Result<(), String> {
    let mut setup = SETUP.lock();
    setup.aim_returns(false);
    let before = setup.words.clone();
    let list = &mut setup.words[which as usize];
    if !append {
        list.clear();
    }
    for word in text.split_ascii_whitespace() {
        let before = list.len();
        if let Some(word) = word.strip_prefix('!') {
            list.retain(|there| there != word);
        }
        // What takes out a word that is there need not be kept.
        if list.len() == before {
            list.push(word.to_owned());
        }
    }
    let done = setup.tabulate(true).and_then(|()| setup.put());
    if done.is_err() {
        setup.words = before;
        setup.tabulate_again();
    }
    done
}

/// Modules, or stubs, have come or gone, or a tracer or its filter: the tables are made
/// anew.
pub fn refresh() {
    if !MANY.load(Ordering::Relaxed) {
        return;
    }
    SETUP.lock().tabulate_again();
}
