//! The graph tracer: which tool hooked calls meet, and how it is set up.
//!
//! `boot/mcount.S` has the tools, `machine::hooks` the doors that lead to them;
//! `trace::graph` makes text of what the graph tracer leaves.
//!
//! # Invariants
//! - A CPU has its graph stack before the door leads to the graph tracer, and keeps
//!   it: functions that were entered return through it whatever is chosen meanwhile.
//! - One tool for all sites; those that a filter means are switched as ever.

use alloc::string::String;

use super::{records, tracing};
use crate::machine::hooks::{self, Tool};
use crate::machine::lock::Mutex;
use crate::machine::paca::GRAPH_ENTRIES;
use crate::machine::smp;

/// What is chosen now, and how deep calls are followed; 0 is as deep as there is room.
static CHOSEN: Mutex<(Tool, usize)> = Mutex::new((Tool::Function, 0));

/// Gives every CPU a graph stack.
fn make_stacks(depth: usize) -> Result<(), String> {
    let depth = if depth == 0 { GRAPH_ENTRIES } else { depth };
    let ready = smp::cpus().iter().all(|cpu| hooks::graph_on(cpu.paca, depth));
    if ready { Ok(()) } else { Err("no memory for the graph stacks (see mem)".into()) }
}

/// Makes `tool` what hooked calls meet from now on.
pub fn choose(tool: Tool) -> Result<(), String> {
    let mut chosen = CHOSEN.lock();
    if chosen.0 != tool {
        if tool == Tool::Graph {
            make_stacks(chosen.1)?;
        }
        tracing::choose(chosen.0, tool)?;
        records::begin_anew(tool);
        chosen.0 = tool;
    }
    Ok(())
}

/// What is chosen now.
pub fn tool() -> Tool {
    CHOSEN.lock().0
}

/// What `current_tracer` calls it while it is on.
pub fn tracer_name() -> &'static str {
    match tool() {
        Tool::Function => "function",
        Tool::Graph => "function_graph",
    }
}

/// How deep calls are followed; 0 is as deep as there is room.
pub fn max_depth() -> usize {
    CHOSEN.lock().1
}

/// Sets that.
pub fn set_max_depth(depth: usize) -> Result<(), String> {
    let mut chosen = CHOSEN.lock();
    if chosen.0 == Tool::Graph {
        make_stacks(depth)?;
    }
    chosen.1 = depth;
    Ok(())
}
