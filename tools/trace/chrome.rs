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
//! # References
//! "Trace Event Format" (the Chromium project), "JSON Array and Object formats".

use serde_json::{Map, Value, json};

use crate::calls::{Call, Seen, Trace};

/// The JSON object that viewers open.
pub fn json(trace: &Trace) -> Value {
    let mut events = names(trace);
    events.extend((0..trace.calls.len()).filter_map(|call| event(trace, call)));
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

fn event(trace: &Trace, index: usize) -> Option<Value> {
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
    event.insert("ts".into(), micros(call.start));
    if let Some(end) = call.end {
        event.insert("ph".into(), json!("X"));
        event.insert("dur".into(), micros(end.saturating_sub(call.start)));
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
