//! A trace as stacks with weights, as a flame graph, and as a table.
//!
//! A stack is a line `outermost;...;innermost WEIGHT`, which all flame graph tools read.
//! The weight is the time that the innermost function spent itself, in nanoseconds; the
//! function tracer knows no times, and there it is the number of calls. The picture is
//! inferno's work.

use std::collections::BTreeMap;

use inferno::flamegraph::{self, Options};

use crate::calls::Trace;

/// Stacks and what they weigh, sorted by name.
pub fn folded(trace: &Trace) -> Vec<String> {
    let mut sums: BTreeMap<String, i64> = BTreeMap::new();
    for (call, weight) in trace.weights().into_iter().enumerate() {
        if weight > 0 {
            // A semicolon ends a name in this form, and no name may have one.
            let names = trace.stack(call).into_iter().map(|name| name.replace(';', ","));
            *sums.entry(names.collect::<Vec<_>>().join(";")).or_default() += weight;
        }
    }
    sums.into_iter().map(|(stack, sum)| format!("{stack} {sum}")).collect()
}

/// The flame graph as an SVG document; the same trace always gives the same one.
///
/// # Errors
/// There is nothing to draw, or inferno cannot.
pub fn svg(trace: &Trace, title: &str) -> Result<Vec<u8>, String> {
    let stacks = folded(trace);
    if stacks.is_empty() {
        return Err("no call with a time or a count: nothing to draw".into());
    }
    let mut options = Options::default();
    options.title = title.into();
    options.count_name = unit(trace).into();
    options.deterministic = true;
    let mut out = Vec::new();
    flamegraph::from_lines(&mut options, stacks.iter().map(String::as_str), &mut out)
        .map_err(|why| format!("the flame graph: {why}"))?;
    Ok(out)
}

/// What a weight counts.
fn unit(trace: &Trace) -> &'static str {
    if trace.timed { "ns" } else { "calls" }
}

/// What is in the trace, and its functions: those that took most come first.
pub fn summary(trace: &Trace) -> String {
    let mut functions: BTreeMap<&str, (u64, i64, i64)> = BTreeMap::new();
    for (call, own) in trace.calls.iter().zip(trace.weights()) {
        let Some(name) = &call.name else { continue };
        let took = call.end.map_or(0, |end| end.saturating_sub(call.start));
        let sum = functions.entry(name).or_default();
        sum.0 += u64::from(call.end.is_some() || own > 0);
        sum.1 = sum.1.saturating_add(took);
        sum.2 = sum.2.saturating_add(own);
    }
    let mut rows: Vec<_> = functions.into_iter().filter(|(_, (calls, ..))| *calls > 0).collect();
    rows.sort_by_key(|(_, (calls, _, own))| std::cmp::Reverse((*own, *calls)));
    let tracer = trace.tracer.as_deref().unwrap_or("no header");
    let mut text = format!("{tracer}: {} lines, {} tracks\n", trace.records, trace.tracks.len());
    if trace.timed {
        text += "     calls    own us  total us  function\n";
    } else {
        text += "     calls  function\n";
    }
    for (name, (calls, took, own)) in rows {
        text += &if trace.timed {
            let (own, took) = (own as f64 / 1000.0, took as f64 / 1000.0);
            format!("{calls:>10} {own:>9.3} {took:>9.3}  {name}\n")
        } else {
            format!("{calls:>10}  {name}\n")
        };
    }
    text
}
