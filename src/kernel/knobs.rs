//! Control files of the tracer's engine: what each shows, and what a write does.
//!
//! ```text
//! tracing_on  buffer_size_kb  max_graph_depth
//! ```
//!
//! Names and words are Linux's (Documentation/trace/ftrace.rst).

use alloc::format;
use alloc::string::{String, ToString};

use super::{graph, records};

/// Their names below `/sys/kernel/tracing`.
pub const FILES: [&str; 3] = ["buffer_size_kb", "max_graph_depth", "tracing_on"];

/// What a file shows; `None` if it is none of these.
pub fn read(file: &str) -> Option<String> {
    Some(match file {
        "buffer_size_kb" => format!("{}\n", records::size_kib()),
        "max_graph_depth" => format!("{}\n", graph::max_depth()),
        "tracing_on" => format!("{}\n", u8::from(records::recording())),
        _ => return None,
    })
}

/// Writes to a file; `None` if it is none of these.
pub fn write(file: &str, text: &str) -> Option<Result<(), String>> {
    let word = text.trim();
    let number = || word.parse::<usize>().map_err(|_| format!("takes a number, not {word}"));
    Some(match file {
        "buffer_size_kb" => number().and_then(records::resize),
        "max_graph_depth" => number().and_then(graph::set_max_depth),
        "tracing_on" => match word {
            "0" | "1" => {
                records::set_recording(word == "1");
                Ok(())
            }
            _ => Err("takes 0 or 1, not ".to_string() + word),
        },
        _ => return None,
    })
}
