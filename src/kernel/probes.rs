//! Probes: the events of `kprobe_events`, and which of them are on.
//!
//! ```text
//!   kprobe_events    p:sent demo:send len=$arg2       trace/probes/parse.rs
//!   events/kprobes/sent/enable    1
//!        |  the site of demo:send; a program, a block for each CPU
//!        v
//!   graph.rs    the table of tools has it, tracing.rs switches the site on
//!   records.rs  what it recorded, as text
//! ```
//!
//! # Invariants
//! - An event that is on cannot be taken away or changed.
//! - The table comes before the site when a probe is switched on, and after it when it
//!   is switched off.
//! - The list's lock is taken before those of the tables and sites; the lock of the
//!   shapes is taken last, and nothing is asked while it is held.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt::{self, Write as _};

use super::records::Gone;
use super::{exports, graph, ksyms, modules, own, records, symbols, tracing};
use crate::loader::Name;
use crate::loader::callsites::SiteKind;
use crate::machine::lock::Mutex;
use crate::machine::probes::{self as blocks, Blocks, Fetcher, Setup};
use crate::machine::smp;
use crate::machine::spr::timebase;
use crate::shell::args::{SymbolName, module_name_eq};
use crate::sorted::SortedMap;
use crate::trace::decode::Clock;
use crate::trace::probes::filter::{self, Filter};
use crate::trace::probes::parse::{self, Line, ProbeError};
use crate::trace::probes::program::{self, Program, Shape};
use crate::trace::probes::{Place, Probe, text};
use crate::trace::record::Kind;
use crate::trace::sites::{ModuleId, Row, SiteId};
use crate::trace::tools::Special;

/// Refusals that are kept.
const REFUSALS: usize = 8;
/// Blocks that wait until they are used again.
const BLOCKS_WAIT: usize = 16;

/// One event.
struct Event {
    /// Never given twice; what its records say.
    id: u32,
    probe: Probe,
    filter: Option<Arc<Filter>>,
    on: bool,
    /// It has been on.
    used: bool,
    /// Its function is there, and probed.
    live: Option<Live>,
    /// Hits and misses before that.
    before: (u64, u64),
}

/// A probe that is at work.
struct Live {
    site: SiteId,
    blocks: Blocks,
    alone: Special,
    /// When it was switched on, among all.
    turn: u64,
}

/// A line that was refused.
struct Refusal {
    ticks: u64,
    line: String,
    error: Box<ProbeError>,
}

struct State {
    events: Vec<Event>,
    next_id: u32,
    next_turn: u64,
    /// Blocks that no probe has, the longest without one first.
    free: Vec<Blocks>,
    /// The last refusals, the oldest first.
    refusals: Vec<Refusal>,
}

static STATE: Mutex<State> = Mutex::new(State {
    events: Vec::new(),
    next_id: 1,
    next_turn: 0,
    free: Vec::new(),
    refusals: Vec::new(),
});

/// How each event's records are read, by its number.
static SHAPES: Mutex<SortedMap<u32, Arc<Shape>>> = Mutex::new(SortedMap::new());

/// How an event's records are read.
pub fn shape(id: u32) -> Option<Arc<Shape>> {
    SHAPES.lock().get(&id).cloned()
}

/// `[MOD:]NAME` as symbols are looked up; the kernel goes by the name that filters have
/// for it, too.
#[optimize(size)]
fn symbol_of(probe: &Probe) -> Result<SymbolName, String> {
    let mut symbol =
        SymbolName::parse(probe.symbol.as_bytes()).map_err(|problem| problem.to_string())?;
    if symbol.module.as_deref() == Some(own::NAME) {
        symbol.module = Some(symbols::KERNEL.to_string());
    }
    Ok(symbol)
}

/// The site that a probe stands at; `None` if its module is not loaded.
#[optimize(size)]
fn find_site(probe: &Probe) -> Result<Option<Row>, String> {
    let symbol = symbol_of(probe)?;
    if let Some(module) = &symbol.module
        && module != symbols::KERNEL
        && modules::find(module).is_none()
    {
        return Ok(None);
    }
    let (_, entry) = symbols::resolve(&symbol)?;
    let name = &probe.symbol;
    let Some((_, row)) = tracing::site_of(entry) else {
        return Err(format!("{name}: no call site, so no probe (see available_filter_functions)"));
    };
    if row.kind == SiteKind::Late {
        return Err(format!(
            "{name}: its call site is behind the prologue, where arguments may be gone; compile with -mprofile-kernel"
        ));
    }
    Ok(Some(row))
}

/// The address of a function or of data, for `@NAME`.
#[optimize(size)]
fn address_of(word: &str) -> Option<u64> {
    let symbol = SymbolName::parse(word.as_bytes()).ok()?;
    let module = symbol.module.as_deref().filter(|module| *module != own::NAME);
    if module.is_none() || module == Some(symbols::KERNEL) {
        let own = exports::find(&Name::new(&symbol.name)).or_else(|| ksyms::address(&symbol.name));
        if let Some(own) = own {
            return Some(own.0);
        }
    }
    let meant =
        |name: &str| module.is_none_or(|wanted| module_name_eq(wanted.as_bytes(), name.as_bytes()));
    let all = modules::all();
    let mut found = all.iter().filter(|it| meant(&it.name));
    found.find_map(|it| it.named(&symbol.name).first().map(|at| at.0))
}

impl Event {
    fn path(&self) -> String {
        format!("{}/{}", self.probe.group, self.probe.event)
    }

    fn counts(&self) -> (u64, u64) {
        let (hits, missed) = self.before;
        let now = self.live.as_ref().map_or((0, 0), |live| blocks::counts(live.blocks));
        (hits + now.0, missed + now.1)
    }
}

impl State {
    /// Has all probes that are at work in the table.
    #[optimize(size)]
    fn tabulate(&self) -> Result<(), String> {
        let mut live: Vec<&Live> = Vec::new();
        for it in self.events.iter().filter_map(|event| event.live.as_ref()) {
            live.insert(live.partition_point(|other| other.turn < it.turn), it);
        }
        let mut probed: Vec<graph::Probed> = Vec::new();
        for Live { site, blocks, alone, .. } in live {
            match probed.iter_mut().find(|it| it.site == *site) {
                Some(it) => it.probes.push(blocks),
                None => {
                    let probes = [*blocks].into();
                    probed.push(graph::Probed { site: *site, probes, alone: *alone });
                }
            }
        }
        graph::set_probed(probed)
    }

    /// Has the sites on of all probes that are at work.
    fn switch(&self) -> Result<(), String> {
        let live = self.events.iter().filter_map(|event| event.live.as_ref());
        tracing::set_probed(live.map(|live| live.site))
    }

    fn take_blocks(&mut self) -> Option<Blocks> {
        if self.free.len() > BLOCKS_WAIT {
            return Some(self.free.remove(0));
        }
        blocks::new_blocks(smp::cpus().len())
    }

    /// Puts a probe to work, if its function is there.
    #[optimize(size)]
    fn begin(&mut self, place: usize) -> Result<(), String> {
        let Some(event) = self.events.get(place).filter(|event| event.live.is_none()) else {
            return Ok(());
        };
        let Some(row) = find_site(&event.probe)? else { return Ok(()) };
        let asked = event.filter.is_some();
        let (program, shape) = program::compile(&event.probe, &address_of, asked)?;
        let shape = Arc::new(shape);
        let [Some(hook), _] = tracing::hooks_at(row.id) else { return Ok(()) };
        let none = "no memory for the probe (see mem)";
        if !smp::cpus().iter().all(|cpu| blocks::make_room(cpu.paca)) {
            return Err(none.to_string());
        }
        let (at_return, active) = match event.probe.place {
            Place::Entry => (false, 0),
            Place::Return { active } => (true, active),
        };
        let alone = match &program {
            _ if active > 0 => Special::PROBES,
            _ if at_return => Special::LIGHT_RETURN,
            Program::Steps(_) => Special::PROBES,
            Program::Plain(0..=1) => Special::LIGHT,
            Program::Plain(2..=4) => Special::LIGHT | Special::WIDE,
            Program::Plain(_) => Special::LIGHT | Special::ALL,
        };
        let fetch = match program {
            Program::Steps(steps) => {
                let filter = event.filter.clone().map(|filter| (filter, shape.clone()));
                Some(Fetcher { steps, site: row.at, filter })
            }
            Program::Plain(_) => None,
        };
        let id = event.id;
        let ip = u64::from(id) << 32 | hook.0 | Kind::Probe as u64;
        let blocks = self.take_blocks().ok_or(none)?;
        blocks::set_up(blocks, Setup { ip, at_return, active, fetch });
        SHAPES.lock().insert(id, shape);
        let turn = self.next_turn;
        self.next_turn += 1;
        if let Some(event) = self.events.get_mut(place) {
            event.live = Some(Live { site: row.id, blocks, alone, turn });
            event.used = true;
        }
        blocks::set_on(blocks, true);
        let done =
            records::set_probing(true).and_then(|()| self.tabulate()).and_then(|()| self.switch());
        if done.is_err() {
            // It is the way it was, for what was there before could be done.
            let _ = self.end(&|event| event.id == id);
        }
        done
    }

    /// Ends the work of probes.
    #[optimize(size)]
    fn end(&mut self, which: &dyn Fn(&Event) -> bool) -> Result<(), String> {
        let mut ended = Vec::new();
        for event in self.events.iter_mut().filter(|event| which(event)) {
            event.before = event.counts();
            if let Some(live) = event.live.take() {
                blocks::set_on(live.blocks, false);
                ended.push(live.blocks);
            }
        }
        if ended.is_empty() {
            return Ok(());
        }
        let done = self.switch().and_then(|()| self.tabulate());
        self.free.extend(ended);
        if self.events.iter().all(|event| event.live.is_none()) {
            records::set_probing(false)?;
        }
        done
    }

    fn set_on(&mut self, place: usize, on: bool) -> Result<(), String> {
        if on {
            self.begin(place)?;
        } else {
            let id = self.events.get(place).map_or(0, |event| event.id);
            self.end(&|event| event.id == id)?;
        }
        if let Some(event) = self.events.get_mut(place) {
            event.on = on;
        }
        Ok(())
    }

    /// Has an event keep only some of its records; at once if it is on. Then its turn is
    /// the last, for it begins anew.
    #[optimize(size)]
    fn set_filter(&mut self, place: usize, text: &str) -> Result<(), String> {
        let Some(event) = self.events.get_mut(place) else { return Ok(()) };
        let filter = Filter::parse(text, &event.probe)?.map(Arc::new);
        if event.used {
            records::archive(Gone::Events(&[event.id])); // as long as it is known how to read them
        }
        let (on, before) = (event.on, core::mem::replace(&mut event.filter, filter));
        if !on {
            return Ok(());
        }
        self.set_on(place, false)?;
        let done = self.set_on(place, true);
        if done.is_err()
            && let Some(event) = self.events.get_mut(place)
        {
            event.filter = before;
        }
        done
    }

    /// The events that a name means: `EVENT`, `GROUP/EVENT`, or all for `*`.
    fn meant(&self, group: Option<&str>, event: &str) -> Vec<usize> {
        let all = self.events.iter().enumerate();
        all.filter(|(_, it)| is_meant(&it.probe, group, event)).map(|(place, _)| place).collect()
    }

    /// Takes events away, which are off.
    #[optimize(size)]
    fn take_away(&mut self, gone: &[u32]) {
        let is_gone = |event: &Event| gone.contains(&event.id);
        if self.events.iter().any(|event| event.used && is_gone(event)) {
            records::archive(Gone::Events(gone)); // as long as their names are known
        }
        while let Some(place) = self.events.iter().position(is_gone) {
            self.events.remove(place);
        }
        for id in gone {
            SHAPES.lock().remove(id);
        }
    }

    /// Keeps a refusal; what is said of it.
    fn refuse(&mut self, line: &str, error: Box<ProbeError>) -> String {
        let why = error.to_string();
        if self.refusals.len() == REFUSALS {
            self.refusals.remove(0);
        }
        self.refusals.push(Refusal { ticks: timebase(), line: line.to_string(), error });
        why
    }
}

fn is_meant(probe: &Probe, group: Option<&str>, event: &str) -> bool {
    group.is_none_or(|group| probe.group == group) && (event == "*" || probe.event == event)
}

/// What lines would do.
struct Plan<'s> {
    state: &'s State,
    /// Events that go, by their numbers.
    gone: Vec<u32>,
    new: Vec<Probe>,
}

impl Plan<'_> {
    /// The event that a line means, as far as it stays.
    fn there(&self, group: Option<&str>, event: &str) -> Option<&Event> {
        let stays = |it: &&Event| !self.gone.contains(&it.id);
        self.state.events.iter().filter(stays).find(|it| is_meant(&it.probe, group, event))
    }

    fn is_new(&self, group: Option<&str>, event: &str) -> bool {
        self.new.iter().any(|probe| is_meant(probe, group, event))
    }

    /// All that is there goes.
    fn clear(&mut self) -> Result<(), Box<ProbeError>> {
        if let Some(event) = self.state.events.iter().find(|event| event.on) {
            let group = &event.probe.group;
            let why = format_args!("it is on (echo 0 > events/{group}/enable first, or >> to add)");
            return Err(ProbeError::new(0, &event.path(), why));
        }
        self.gone.extend(self.state.events.iter().map(|event| event.id));
        Ok(())
    }

    /// Adds what a line would do, after those before it.
    #[optimize(size)]
    fn add(&mut self, line: &str) -> Result<(), Box<ProbeError>> {
        let refuse = |token: &str, why: fmt::Arguments<'_>| {
            Err(ProbeError::new(crate::text::find(line, token).unwrap_or_default(), token, why))
        };
        match parse::line(line)? {
            None => {}
            Some(Line::Add(probe)) => {
                let (group, event) = (Some(&*probe.group), &*probe.event);
                if self.there(group, event).is_some() || self.is_new(group, event) {
                    let group = &probe.group;
                    return refuse(
                        event,
                        format_args!(
                            "there is such an event already (-:{group}/{event} takes it away)"
                        ),
                    );
                }
                if let Err(why) = find_site(&probe) {
                    let said = why.strip_prefix(&*probe.symbol);
                    let said = said.and_then(|said| said.strip_prefix(": ")).unwrap_or(&why);
                    return refuse(&probe.symbol, format_args!("{said}"));
                }
                // A module's symbols may come with it.
                let known =
                    |name: &str| address_of(name).or(Some(0).filter(|_| name.contains(':')));
                if let Err(why) = program::compile(&probe, &known, false) {
                    let token = why.strip_suffix(program::NO_SYMBOL).unwrap_or(&why);
                    let token = token.strip_suffix(": ").unwrap_or(token);
                    return refuse(token, format_args!("{}", program::NO_SYMBOL));
                }
                self.new.push(probe);
            }
            Some(Line::Remove { group, event }) => {
                let group = group.as_deref();
                let gone = match self.there(group, &event) {
                    Some(it) if it.on => {
                        let path = it.path();
                        let why = format_args!("it is on (echo 0 > events/{path}/enable first)");
                        return refuse(&event, why);
                    }
                    Some(it) => it.id,
                    None => {
                        let why = match self.is_new(group, &event) {
                            true => "it is added by the same text",
                            false => "no such event (see cat kprobe_events)",
                        };
                        return refuse(&event, format_args!("{why}"));
                    }
                };
                self.gone.push(gone);
            }
        }
        Ok(())
    }
}

/// Writes lines to `kprobe_events`: all of them are done, or none.
#[optimize(size)]
pub fn write(text: &str, append: bool) -> Result<(), String> {
    let mut state = STATE.lock();
    let mut plan = Plan { state: &state, gone: Vec::new(), new: Vec::new() };
    let mut done = if append { Ok(()) } else { plan.clear() };
    let mut last = text.lines().next().unwrap_or_default();
    for line in text.lines() {
        if done.is_err() {
            break;
        }
        (last, done) = (line, plan.add(line));
    }
    let Plan { gone, new, .. } = plan;
    if let Err(error) = done {
        return Err(state.refuse(last, error));
    }
    state.take_away(&gone);
    for probe in new {
        let id = state.next_id;
        state.next_id += 1;
        let (filter, on, used, live, before) = (None, false, false, None, (0, 0));
        state.events.push(Event { id, probe, filter, on, used, live, before });
    }
    Ok(())
}

/// The events, as `kprobe_events` lists them.
pub fn listed() -> String {
    let mut text = String::new();
    for event in &STATE.lock().events {
        let _ = writeln!(text, "{}", event.probe); // to a text, which does not fail
    }
    text
}

/// Hits and misses, as `kprobe_profile` lists them.
pub fn profile() -> String {
    let mut text = String::new();
    for event in &STATE.lock().events {
        let (hits, missed) = event.counts();
        let _ = writeln!(text, "  {:<44} {hits:>15} {missed:>15}", event.probe.event);
    }
    text
}

/// The last refusals, each with a mark under what was wrong, as `error_log` shows them.
#[optimize(size)]
pub fn error_log(clock: Clock) -> String {
    let mut text = String::new();
    for Refusal { ticks, line, error } in &STATE.lock().refusals {
        let (seconds, micros) = clock.seconds(*ticks);
        let _ = writeln!(
            text,
            "[{seconds:5}.{micros:06}] trace_kprobe: error: {}\n  Command: {line}\n           {:2$}^",
            error.why, "", error.at
        );
    }
    text
}

/// Forgets them.
pub fn clear_errors() {
    STATE.lock().refusals.clear();
}

/// Hands over the files of events, below `events`; a group's once for each event.
pub fn paths(out: &mut dyn FnMut(fmt::Arguments<'_>)) {
    for event in &STATE.lock().events {
        out(format_args!("{}/enable", event.probe.group));
        for file in FILES {
            out(format_args!("{}/{}/{file}", event.probe.group, event.probe.event));
        }
    }
}

/// The files of an event.
const FILES: [&str; 4] = ["enable", "filter", "format", "id"];

/// Events of a path below `events`, and which of their files it is.
#[optimize(size)]
fn find<'p>(state: &State, path: &'p str) -> Option<(Vec<usize>, &'p str)> {
    let (of, file) = path.rsplit_once('/')?;
    let (group, event) = match of.split_once('/') {
        Some(both) => both,
        None if file == "enable" => (of, "*"),
        None => return None,
    };
    let events = state.meant(Some(group), event);
    (!events.is_empty() && FILES.contains(&file)).then_some((events, file))
}

/// What a file below `events` shows; `None` if there is no such file.
#[optimize(size)]
pub fn read(path: &str) -> Option<String> {
    let state = STATE.lock();
    let (events, file) = find(&state, path)?;
    let events: Vec<&Event> = events.iter().filter_map(|place| state.events.get(*place)).collect();
    let first = events.first()?;
    Some(match file {
        "enable" => {
            let on = events.iter().filter(|event| event.on).count();
            let all = if on == events.len() { "1" } else { "X" };
            format!("{}\n", if on == 0 { "0" } else { all })
        }
        "id" => format!("{}\n", first.id),
        "filter" => {
            let none = || filter::NONE.to_string();
            first.filter.as_ref().map_or_else(none, |filter| filter.text.clone()) + "\n"
        }
        _ => text::format_of(&first.probe, first.id),
    })
}

/// Switches events on or off, or gives one a filter.
#[optimize(size)]
pub fn write_file(
    path: &str,
    text: &str,
    switch: fn(&str) -> Result<bool, String>,
) -> Result<(), String> {
    let mut state = STATE.lock();
    let Some((events, file)) = find(&state, path) else { return Ok(()) };
    match file {
        "enable" => {
            let on = switch(text)?;
            events.into_iter().try_for_each(|place| state.set_on(place, on))
        }
        "filter" => events.into_iter().try_for_each(|place| state.set_filter(place, text)),
        _ => Err("cannot be written".to_string()),
    }
}

/// `trace probe`: adds an event and switches it on; how it is listed.
#[optimize(size)]
pub fn add(line: &str) -> Result<String, String> {
    write(line, true)?;
    let mut state = STATE.lock();
    let Some(place) = state.events.len().checked_sub(1) else { return Ok(String::new()) };
    if let Err(why) = state.set_on(place, true) {
        state.events.truncate(place);
        return Err(why);
    }
    Ok(state.events.get(place).map(|event| event.probe.to_string()).unwrap_or_default())
}

/// `trace unprobe`: switches events off and takes them away; how many.
#[optimize(size)]
pub fn remove(word: &str) -> Result<usize, String> {
    let (group, event) = match word.split_once('/') {
        Some((group, event)) => (Some(group), event),
        None => (None, word),
    };
    let mut state = STATE.lock();
    let places = state.meant(group, event);
    if places.is_empty() && word != "*" {
        return Err(format!("{word}: no such event (see trace probe)"));
    }
    places.iter().try_for_each(|place| state.set_on(*place, false))?;
    let ids = places.iter().filter_map(|place| state.events.get(*place)).map(|event| event.id);
    let gone: Vec<u32> = ids.collect();
    state.take_away(&gone);
    Ok(gone.len())
}

/// How many probes that are on stand at a site.
pub fn count_at(site: SiteId) -> usize {
    let state = STATE.lock();
    state
        .events
        .iter()
        .filter(|event| event.live.as_ref().is_some_and(|live| live.site == site))
        .count()
}

/// A module is listed: probes that wait for it begin.
pub fn module_came(name: &str) {
    let mut state = STATE.lock();
    let waits = |event: &Event| {
        let module = symbol_of(&event.probe).ok().and_then(|symbol| symbol.module);
        event.on
            && event.live.is_none()
            && module.is_some_and(|own| module_name_eq(own.as_bytes(), name.as_bytes()))
    };
    for place in 0..state.events.len() {
        if !state.events.get(place).is_some_and(waits) {
            continue;
        }
        if let Err(why) = state.begin(place) {
            let path = state.events.get(place).map(Event::path).unwrap_or_default();
            crate::kprintln!("{name}: probe {path}: {why}");
        }
    }
}

/// A module goes: its probes wait for it from now on.
pub fn module_goes(sites: ModuleId) {
    let is_there =
        |event: &Event| event.live.as_ref().is_some_and(|live| live.site.module() == sites);
    // What cannot be switched off goes with the module.
    let _ = STATE.lock().end(&is_there);
}
