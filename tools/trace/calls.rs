//! Lines to calls: who called whom, when, for how long.
//!
//! ```text
//!   function          entries alone; the stack is rebuilt from `callee <-caller`
//!   function_graph    beginnings and ends; the depth says where a call belongs
//! ```
//!
//! **function.** Each task on each CPU has a stack. At `callee <-caller` everything
//! above the caller's topmost place has returned, and the callee goes on top of it. A
//! caller that is nowhere on the stack begins a new one: whoever called it was not
//! traced, and is not guessed. So no stack has a call that the trace does not show; a
//! traced function that calls a traced one through an untraced one gives two stacks.
//! When a function returned is not known, so there are no durations, only counts.
//!
//! **function_graph.** A call that was begun before the trace gets a nameless place
//! until its end tells the name. Without `funcgraph-abstime` each CPU's calls are laid
//! end to end from 0: durations are exact, gaps between calls are lost, and a call's own
//! time lies behind that of the calls in it. Who runs is known from `funcgraph-proc`, or
//! from the lines where a CPU goes to another task.
//!
//! # Invariants
//! - A call's parent has a lower index than the call.
//! - `stack` has no index twice, so that walking up ends.

use std::collections::{BTreeMap, HashMap};

use crate::line::{DEEPEST, Graph, Line, Part, Record, Task, What};

/// A CPU, and who ran on it if that is known.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Track {
    /// The CPU's number.
    pub cpu: u32,
    /// The task's name and number.
    pub task: Option<(String, u32)>,
}

impl Track {
    fn new(cpu: u32, task: Option<Task<'_>>) -> Self {
        Self { cpu, task: task.map(|task| (task.name.to_string(), task.pid)) }
    }
}

/// One call, or the caller of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// The function's name; none if the trace never tells it.
    pub name: Option<String>,
    /// The call in which this one lies.
    pub parent: Option<usize>,
    /// Where it ran: an index of [`Trace::tracks`].
    pub track: usize,
    /// Nanoseconds since the clock's 0.
    pub start: i64,
    /// Nanoseconds at its end; none where only entries are recorded.
    pub end: Option<i64>,
    /// How much of it the trace has.
    pub seen: Seen,
}

/// How much of a call the trace has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// Its entry, and with the graph tracer its end.
    Recorded,
    /// Only the calls in it, or its end.
    Implied,
    /// Its entry; the trace ends before the call.
    Unfinished,
}

/// Something at one moment that is no call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// What the line says.
    pub text: String,
    /// Where.
    pub track: usize,
    /// When, in nanoseconds.
    pub at: i64,
}

/// A whole trace.
#[derive(Debug, Default)]
pub struct Trace {
    /// The tracer's name, by the header.
    pub tracer: Option<String>,
    /// Where calls ran.
    pub tracks: Vec<Track>,
    /// All calls.
    pub calls: Vec<Call>,
    /// All else.
    pub marks: Vec<Mark>,
    /// Lines that were understood.
    pub records: usize,
    /// Lines between the first and the last record that were not.
    pub noise: usize,
    /// Whether calls have durations.
    pub timed: bool,
    /// How many traces the text has; this is the last that has records.
    pub traces: usize,
}

impl Trace {
    /// Reads the last trace in a text that has one. Another may stand before it, for
    /// `trace` can be shown again and again; the last has all that is still there.
    ///
    /// # Errors
    /// There is none, and why.
    pub fn read(text: &str) -> Result<Self, String> {
        let lines: Vec<Line<'_>> = text.lines().map(Line::parse).collect();
        let is_record = |line: &Line<'_>| matches!(line, Line::Record(_) | Line::Graph(_));
        let heads = lines.iter().filter(|line| matches!(line, Line::Tracer(_))).count();
        let mut pieces = Vec::new();
        let mut piece = Vec::new();
        for line in lines {
            if matches!(line, Line::Tracer(_)) {
                pieces.push(std::mem::take(&mut piece));
            }
            piece.push(line);
        }
        pieces.push(piece);
        let traces = pieces.iter().filter(|piece| piece.iter().any(is_record)).count();
        let last = pieces.into_iter().rev().find(|piece| piece.iter().any(is_record));
        let Some(last) = last else {
            return Err(match heads {
                0 => "no trace in it: neither a line `# tracer: ...` nor one in the columns of \
                      function or function_graph (in Tocsin `trace show` prints them, in Linux \
                      /sys/kernel/tracing/trace has them)"
                    .into(),
                _ => "the trace in it is empty: a header, and no line in the columns of \
                      function or function_graph (those of latency-format and \
                      nofuncgraph-duration are not read)"
                    .into(),
            });
        };
        let mut builder = Builder::new(&last);
        last.iter().for_each(|line| builder.add(line));
        Ok(Trace { traces, ..builder.finish() })
    }

    /// The names from the outermost caller to this call.
    pub fn stack(&self, mut call: usize) -> Vec<&str> {
        let mut names = Vec::new();
        while let Some(it) = self.calls.get(call) {
            names.push(it.name.as_deref().unwrap_or(UNKNOWN));
            match it.parent {
                Some(parent) if parent < call => call = parent,
                _ => break,
            }
        }
        names.reverse();
        names
    }

    /// What each call weighs in a flame graph, itself alone: nanoseconds that it spent
    /// outside the calls in it, or 1 if times are not known.
    pub fn weights(&self) -> Vec<i64> {
        if !self.timed {
            return self.calls.iter().map(|it| i64::from(it.seen == Seen::Recorded)).collect();
        }
        let took = |it: &Call| it.end.map_or(0, |end| end.saturating_sub(it.start).max(0));
        let mut own: Vec<i64> = self.calls.iter().map(took).collect();
        for call in &self.calls {
            if let Some(parent) = call.parent {
                own[parent] = own[parent].saturating_sub(took(call));
            }
        }
        for (own, call) in own.iter_mut().zip(&self.calls) {
            // Of a call without a name nothing is known but the calls in it.
            *own = if call.name.is_some() { (*own).max(0) } else { 0 };
        }
        own
    }
}

/// What a function is called whose name the trace does not tell.
pub const UNKNOWN: &str = "[unknown]";

/// Reads line after line.
#[derive(Default)]
struct Builder<'t> {
    trace: Trace,
    tracks: HashMap<Track, usize>,
    /// Open calls, by track; of the graph tracer by task, wherever it ran.
    stacks: BTreeMap<Stack, Vec<usize>>,
    /// Who runs on each CPU, if a line said so.
    running: HashMap<u32, Task<'t>>,
    /// How far each CPU's own clock is, without `funcgraph-abstime`.
    now: HashMap<u32, i64>,
    /// Noise since the last record.
    noise: usize,
    /// Whether a line had a time.
    absolute: bool,
}

/// Whose open calls: a CPU's, or a task's.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stack {
    Cpu(u32),
    Task(u32, u32),
}

impl<'t> Builder<'t> {
    /// Learns who ran on each CPU before it went to another task for the first time.
    fn new(lines: &[Line<'t>]) -> Self {
        let mut own = Self::default();
        for line in lines {
            if let Line::Switch { cpu, from, .. } = *line {
                own.running.entry(cpu).or_insert(from);
            }
        }
        own
    }

    fn add(&mut self, line: &Line<'t>) {
        match *line {
            Line::Tracer(name) => self.trace.tracer = Some(name.to_string()),
            Line::Frame => {}
            Line::Noise => self.noise += usize::from(self.trace.records > 0),
            Line::Lost { cpu } => {
                self.stacks.retain(|stack, _| match stack {
                    Stack::Cpu(own) | Stack::Task(own, _) => *own != cpu,
                });
            }
            Line::Switch { cpu, to, .. } => {
                self.running.insert(cpu, to);
            }
            Line::Record(record) => {
                self.count();
                self.record(&record);
            }
            Line::Graph(graph) => {
                self.count();
                self.graph(&graph);
            }
        }
    }

    fn count(&mut self) {
        self.trace.records += 1;
        self.trace.noise += std::mem::take(&mut self.noise);
    }

    fn track(&mut self, cpu: u32, task: Option<Task<'t>>) -> usize {
        let track = Track::new(cpu, task);
        *self.tracks.entry(track).or_insert_with_key(|track| {
            self.trace.tracks.push(track.clone());
            self.trace.tracks.len() - 1
        })
    }

    fn push(&mut self, stack: Stack, call: Call) {
        self.trace.calls.push(call);
        self.stacks.entry(stack).or_default().push(self.trace.calls.len() - 1);
    }

    fn top(&self, stack: Stack) -> Option<usize> {
        self.stacks.get(&stack).and_then(|open| open.last().copied())
    }

    fn record(&mut self, record: &Record<'t>) {
        self.absolute = true;
        let track = self.track(record.cpu, Some(record.task));
        let (callee, caller) = match record.what {
            What::Entry { callee, caller } => (callee, caller),
            What::Event(text) => {
                self.trace.marks.push(Mark { text: text.to_string(), track, at: record.at });
                return;
            }
        };
        let stack = Stack::Task(record.cpu, record.task.pid);
        let open = self.stacks.entry(stack).or_default();
        let calls = &self.trace.calls;
        let place = open.iter().rposition(|&call| calls[call].name.as_deref() == caller);
        open.truncate(place.map_or(0, |place| (place + 1).min(DEEPEST)));
        let call = |name: &str, parent, seen| Call {
            name: Some(name.to_string()),
            parent,
            track,
            start: record.at,
            end: None,
            seen,
        };
        if let Some(caller) = caller
            && place.is_none()
        {
            self.push(stack, call(caller, None, Seen::Implied));
        }
        let parent = self.top(stack);
        self.push(stack, call(callee, parent, Seen::Recorded));
    }

    fn graph(&mut self, line: &Graph<'t>) {
        self.trace.timed = true;
        let task = line.task.or_else(|| self.running.get(&line.cpu).copied());
        let track = self.track(line.cpu, task);
        // A task may go on elsewhere; idle tasks are one a CPU, and all have pid 0.
        let stack = match task {
            Some(Task { pid: 0, .. }) | None => Stack::Cpu(line.cpu),
            Some(task) => Stack::Task(u32::MAX, task.pid),
        };
        if let Some(at) = line.at {
            self.absolute = true;
            self.now.insert(line.cpu, at);
        }
        let now = self.now.get(&line.cpu).copied().unwrap_or(0);
        let took = line.took.unwrap_or(0);
        let later = |now: i64| now.saturating_add(took);
        match line.part {
            Part::Arrow => {}
            Part::Comment(text) => {
                self.trace.marks.push(Mark { text: text.to_string(), track, at: now });
            }
            Part::Begin(name) => {
                self.open(stack, track, line.depth, now);
                let parent = self.top(stack);
                let name = Some(name.to_string());
                let seen = Seen::Unfinished;
                self.push(stack, Call { name, parent, track, start: now, end: None, seen });
            }
            Part::Whole(name) => {
                self.open(stack, track, line.depth, now);
                let (name, parent, end) = (Some(name.to_string()), self.top(stack), later(now));
                let seen = Seen::Recorded;
                let call = Call { name, parent, track, start: now, end: Some(end), seen };
                self.trace.calls.push(call);
                self.now.insert(line.cpu, end);
            }
            Part::End(name) => {
                self.open(stack, track, line.depth.saturating_add(1), now);
                let Some(call) = self.stacks.get_mut(&stack).and_then(Vec::pop) else { return };
                let Some(call) = self.trace.calls.get_mut(call) else { return };
                if call.name.is_none() {
                    call.name = name.map(str::to_string);
                }
                match call.seen {
                    Seen::Implied => {
                        call.start = call.start.min(now.saturating_sub(took));
                        call.end = Some(now);
                    }
                    _ => {
                        call.seen = Seen::Recorded;
                        let end = later(call.start);
                        call.end = Some(if line.at.is_some() { end } else { end.max(now) });
                    }
                }
                let end = call.end.unwrap_or(now);
                self.now.insert(line.cpu, end.max(now));
            }
        }
    }

    /// Brings a stack to so many open calls: those above have ended unseen, those that
    /// are missing were begun before the trace.
    fn open(&mut self, stack: Stack, track: usize, depth: usize, now: i64) {
        let open = self.stacks.entry(stack).or_default();
        for call in open.drain(depth.min(open.len())..) {
            if let Some(call) = self.trace.calls.get_mut(call) {
                call.end = Some(now.max(call.start));
            }
        }
        let missing = depth - open.len();
        for _ in 0..missing {
            let (parent, seen) = (self.top(stack), Seen::Implied);
            self.push(stack, Call { name: None, parent, track, start: now, end: None, seen });
        }
    }

    fn finish(mut self) -> Trace {
        let trace = &mut self.trace;
        if trace.timed {
            for call in &mut trace.calls {
                if call.end.is_none() {
                    let cpu = trace.tracks.get(call.track).map_or(0, |track| track.cpu);
                    let now = self.now.get(&cpu).copied().unwrap_or(0);
                    call.end = Some(now.max(call.start));
                }
            }
        }
        if !self.absolute {
            // Calls that began before the trace have begun before 0.
            let first = trace.calls.iter().map(|call| call.start).min().unwrap_or(0);
            for call in &mut trace.calls {
                call.start = call.start.saturating_sub(first);
                call.end = call.end.map(|end| end.saturating_sub(first));
            }
            for mark in &mut trace.marks {
                mark.at = mark.at.saturating_sub(first);
            }
        }
        self.trace
    }
}
