//! Control files of the tracer's engine: what each shows, and what a write does.
//!
//! ```text
//! tracing_on  buffer_size_kb  max_graph_depth  set_graph_function  set_graph_notrace
//! ```
//!
//! Names and words are Linux's (Documentation/trace/ftrace.rst).

use alloc::format;
use alloc::string::{String, ToString};

use super::graph::{self, Which};
use super::records;

/// Their names below `/sys/kernel/tracing`.
pub const FILES: [&str; 5] =
    ["buffer_size_kb", "max_graph_depth", "set_graph_function", "set_graph_notrace", "tracing_on"];

/// What a file shows; `None` if it is none of these.
pub fn read(file: &str) -> Option<String> {
    Some(match file {
        "buffer_size_kb" => format!("{}\n", records::size_kib()),
        "max_graph_depth" => format!("{}\n", graph::max_depth()),
        "set_graph_function" => words(Which::Roots, "#### all functions enabled ####"),
        "set_graph_notrace" => words(Which::Mute, "#### no functions disabled ####"),
        "tracing_on" => format!("{}\n", u8::from(records::recording())),
        _ => return None,
    })
}

/// Writes to a file; `None` if it is none of these.
pub fn write(file: &str, text: &str, append: bool) -> Option<Result<(), String>> {
    let word = text.trim();
    let number = || word.parse::<usize>().map_err(|_| format!("takes a number, not {word}"));
    Some(match file {
        "buffer_size_kb" => number().and_then(records::resize),
        "max_graph_depth" => number().and_then(graph::set_max_depth),
        "set_graph_function" => graph::set_words(Which::Roots, word, append),
        "set_graph_notrace" => graph::set_words(Which::Mute, word, append),
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

/// The words of a list, one a line, or what stands for none.
fn words(which: Which, none: &str) -> String {
    let words = graph::words(which);
    if words.is_empty() { format!("{none}\n") } else { words.join("\n") + "\n" }
}
