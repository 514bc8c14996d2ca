//! A trace as JSON for https://ui.perfetto.dev, chrome://tracing and their like.
//!
//! | in the trace | in the JSON |
//! |---|---|
//! | a CPU | a process, `CPU 0`; its `pid` is the CPU's number |
//! | a task | a thread of each CPU that it ran on; its `tid` is the task's number |
//! | a call of the graph tracer | a slice: `"ph": "X"` with `ts` and `dur` |
//! | an entry of the function tracer | an instant (`"ph": "i"`) with its caller and stack |
//! | a probe or another event | an instant of category `event` |
//!
//! Times are microseconds with three decimals, as the format wants them.
//!
//! # Invariants
//! - The slices of a track lie in each other or beside each other, never across:
//!   viewers drop those that do. `funcgraph-abstime` has whole microseconds, so that a
//!   call may seem to end after its caller; such a slice is cut to fit.
//!
//! # References
//! "Trace Event Format" (the Chromium project), "JSON Array and Object formats".

use serde_json::{Map, Value, json};

use crate::calls::{Call, Seen, Trace};

/// The JSON object that viewers open.
pub fn json(trace: &Trace) -> Value {
    let mut events = names(trace);
    let slices = slices(trace);
    let calls = slices.into_iter().enumerate();
    events.extend(calls.filter_map(|(call, slice)| event(trace, call, slice)));
    for mark in &trace.marks {
        let mut event = place(trace, mark.track);
        event.insert("name".into(), json!(mark.text));
        event.insert("cat".into(), json!("event"));
        event.insert("ph".into(), json!("i"));
        event.insert("s".into(), json!("t"));
        event.insert("ts".into(), micros(mark.at));
        events.push(Value::Object(event));
    }
    json!({
        "traceEvents": events,
        "displayTimeUnit": "ns",
        "otherData": { "tracer": trace.tracer },
    })
}

/// The same as text, one event a line.
pub fn text(trace: &Trace) -> String {
    let mut whole = json(trace);
    let events = whole["traceEvents"].take();
    let lines = events.as_array().into_iter().flatten().map(Value::to_string);
    let lines = lines.collect::<Vec<_>>().join(",\n");
    let (unit, other) = (&whole["displayTimeUnit"], &whole["otherData"]);
    format!("{{\"displayTimeUnit\":{unit},\"otherData\":{other},\"traceEvents\":[\n{lines}\n]}}\n")
}

/// What the tracks are called.
fn names(trace: &Trace) -> Vec<Value> {
    let mut events = Vec::new();
    let mut cpus: Vec<u32> = trace.tracks.iter().map(|track| track.cpu).collect();
    cpus.sort_unstable();
    cpus.dedup();
    for cpu in cpus {
        let name = format!("CPU {cpu}");
        events.push(json!({
            "ph": "M", "name": "process_name", "pid": cpu, "tid": 0, "args": { "name": name },
        }));
        events.push(json!({
            "ph": "M", "name": "process_sort_index", "pid": cpu, "tid": 0,
            "args": { "sort_index": cpu },
        }));
    }
    for (index, track) in trace.tracks.iter().enumerate() {
        let name =
            track.task.as_ref().map_or("calls".into(), |(name, pid)| format!("{name}-{pid}"));
        let mut event = place(trace, index);
        event.insert("ph".into(), json!("M"));
        event.insert("name".into(), json!("thread_name"));
        event.insert("args".into(), json!({ "name": name }));
        events.push(Value::Object(event));
    }
    events
}

/// The fields that say where an event belongs.
fn place(trace: &Trace, track: usize) -> Map<String, Value> {
    let track = trace.tracks.get(track);
    let cpu = track.map_or(0, |track| track.cpu);
    let pid = track.and_then(|track| track.task.as_ref()).map_or(0, |(_, pid)| *pid);
    Map::from_iter([("pid".into(), json!(cpu)), ("tid".into(), json!(pid))])
}

/// From when to when each call is drawn; an entry alone is a moment.
fn slices(trace: &Trace) -> Vec<(i64, i64)> {
    if !trace.timed {
        return trace.calls.iter().map(|call| (call.start, call.start)).collect();
    }
    let mut slices: Vec<(i64, i64)> = Vec::with_capacity(trace.calls.len());
    // Where the next slice in a call, or in none on a track, may begin.
    let mut free: Vec<i64> = Vec::with_capacity(trace.calls.len());
    let mut free_on = vec![i64::MIN; trace.tracks.len()];
    for call in &trace.calls {
        let mut around = call.parent;
        while let Some(parent) = around.and_then(|at| trace.calls.get(at)) {
            if parent.track == call.track {
                break;
            }
            around = parent.parent;
        }
        let last = around.and_then(|at| slices.get(at)).map_or(i64::MAX, |slice| slice.1);
        let next = match around {
            Some(at) => free.get_mut(at),
            None => free_on.get_mut(call.track),
        };
        let first = next.as_ref().map_or(i64::MIN, |next| **next);
        let took = call.end.map_or(0, |end| end.saturating_sub(call.start));
        let start = call.start.max(first).min(last);
        let end = start.saturating_add(took).min(last);
        if let Some(next) = next {
            *next = end;
        }
        free.push(start);
        slices.push((start, end));
    }
    slices
}

fn event(trace: &Trace, index: usize, (start, end): (i64, i64)) -> Option<Value> {
    let call: &Call = trace.calls.get(index)?;
    let name = call.name.as_deref()?;
    // `function [module]`, as the graph tracer prints it.
    let (name, module) = match name.strip_suffix(']').and_then(|name| name.split_once(" [")) {
        Some((name, module)) => (name, module),
        None => (name, if trace.timed { "kernel" } else { "function" }),
    };
    let mut event = place(trace, call.track);
    event.insert("name".into(), json!(name));
    event.insert("cat".into(), json!(module));
    event.insert("ts".into(), micros(start));
    if call.end.is_some() {
        event.insert("ph".into(), json!("X"));
        event.insert("dur".into(), micros(end.saturating_sub(start)));
        let note = match call.seen {
            Seen::Recorded => None,
            Seen::Implied => Some("began before the trace"),
            Seen::Unfinished => Some("goes on after the trace"),
        };
        event.extend(note.map(|note| ("args".into(), json!({ "note": note }))));
    } else if call.seen == Seen::Recorded {
        event.insert("ph".into(), json!("i"));
        event.insert("s".into(), json!("t"));
        let stack = trace.stack(index);
        let caller = stack.iter().rev().nth(1);
        event.insert("args".into(), json!({ "caller": caller, "stack": stack.join(";") }));
    } else {
        return None;
    }
    Some(Value::Object(event))
}

/// Nanoseconds as microseconds.
fn micros(nanos: i64) -> Value {
    if nanos % 1000 == 0 { json!(nanos / 1000) } else { json!(nanos as f64 / 1000.0) }
}
