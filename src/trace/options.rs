//! How the trace is written: the switches of `trace_options`.
//!
//! ```text
//!   context-info  task, CPU, time     irq-info     the five flags
//!   print-parent  <-caller            sym-offset   name+0x8/0x40 [mod]
//!   annotate      ##### CPU ...       sym-addr     name <00000000040210c8>
//!   raw           numbers, no names   markers      trace_marker may be written
//!   overwrite     a full ring takes the newest and forgets the oldest
//!   func_stack_trace   who led to each call
//!   funcgraph-*   columns of function_graph; -args and -retval record more, too
//! ```
//!
//! All but those of [`Options::RECORDING`] are asked when the text is made: what was
//! recorded is the same.
//!
//! # References
//! Linux, Documentation/trace/ftrace.rst, "trace_options"; order and values at
//! the start as in Debian's 6.1, which has more of them; `funcgraph-retval` and
//! `-retval-hex` came with 6.5, `funcgraph-args` with 6.15.

use alloc::string::String;
use bitflags::bitflags;
use core::fmt::Write as _;

bitflags! {
    /// Switches that are on.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Options: u32 {
        /// The caller too.
        const PRINT_PARENT = 1;
        /// Where in the function, of what size, in which module.
        const SYM_OFFSET = 1 << 1;
        /// The address too.
        const SYM_ADDR = 1 << 2;
        /// Numbers instead of names.
        const RAW = 1 << 3;
        /// A line where a CPU's records begin later than others'.
        const ANNOTATE = 1 << 4;
        /// Task, CPU and time.
        const CONTEXT_INFO = 1 << 5;
        /// The five flags.
        const IRQ_INFO = 1 << 6;
        /// `trace_marker` may be written.
        const MARKERS = 1 << 7;
        /// A full ring gives up its oldest records, not the newest ones.
        const OVERWRITE = 1 << 8;
        /// Behind each call of the function tracer, who led there.
        const STACK_TRACE = 1 << 17;
        /// The column of the CPU.
        const GRAPH_CPU = 1 << 9;
        /// The mark for what took long.
        const GRAPH_OVERHEAD = 1 << 10;
        /// The column of the duration.
        const GRAPH_DURATION = 1 << 11;
        /// A column of the time.
        const GRAPH_ABSTIME = 1 << 12;
        /// The function's name behind every closing brace.
        const GRAPH_TAIL = 1 << 13;
        /// What functions return; names behind braces, too.
        const GRAPH_RETVAL = 1 << 14;
        /// The same always in hexadecimal.
        const GRAPH_RETVAL_HEX = 1 << 15;
        /// What functions are called with.
        const GRAPH_ARGS = 1 << 16;
    }
}

/// Every switch with its name, in Linux's order.
const NAMES: [(Options, &str); 18] = [
    (Options::PRINT_PARENT, "print-parent"),
    (Options::SYM_OFFSET, "sym-offset"),
    (Options::SYM_ADDR, "sym-addr"),
    (Options::RAW, "raw"),
    (Options::ANNOTATE, "annotate"),
    (Options::CONTEXT_INFO, "context-info"),
    (Options::OVERWRITE, "overwrite"),
    (Options::IRQ_INFO, "irq-info"),
    (Options::MARKERS, "markers"),
    (Options::STACK_TRACE, "func_stack_trace"),
    (Options::GRAPH_CPU, "funcgraph-cpu"),
    (Options::GRAPH_OVERHEAD, "funcgraph-overhead"),
    (Options::GRAPH_DURATION, "funcgraph-duration"),
    (Options::GRAPH_ABSTIME, "funcgraph-abstime"),
    (Options::GRAPH_TAIL, "funcgraph-tail"),
    (Options::GRAPH_RETVAL, "funcgraph-retval"),
    (Options::GRAPH_RETVAL_HEX, "funcgraph-retval-hex"),
    (Options::GRAPH_ARGS, "funcgraph-args"),
];

impl Default for Options {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl Options {
    /// Those that are on at first.
    pub const DEFAULT: Self = Self::PRINT_PARENT
        .union(Self::ANNOTATE)
        .union(Self::CONTEXT_INFO)
        .union(Self::IRQ_INFO)
        .union(Self::MARKERS)
        .union(Self::OVERWRITE)
        .union(Self::GRAPH_CPU)
        .union(Self::GRAPH_OVERHEAD)
        .union(Self::GRAPH_DURATION);

    /// Those that say what is recorded.
    pub const RECORDING: Self = Self::OVERWRITE.union(Self::VALUES);

    /// Those that want values beside the graph tracer's records.
    pub const VALUES: Self = Self::GRAPH_ARGS.union(Self::GRAPH_RETVAL);

    /// The switch of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        NAMES.iter().find(|(_, own)| *own == name).map(|(option, _)| *option)
    }

    /// The names of all switches.
    pub fn names() -> impl Iterator<Item = &'static str> {
        NAMES.iter().map(|(_, name)| *name)
    }

    /// One name a line, with `no` in front of those that are off.
    #[must_use]
    pub fn listed(self) -> String {
        let mut text = String::new();
        for (option, name) in NAMES {
            let _ = writeln!(text, "{}{name}", if self.contains(option) { "" } else { "no" });
        }
        text
    }

    /// With one switch as `word` says: its name, or `no` and its name.
    #[must_use]
    pub fn with(mut self, word: &str) -> Option<Self> {
        let (option, on) = match Self::named(word) {
            Some(option) => (option, true),
            None => (Self::named(word.strip_prefix("no")?)?, false),
        };
        self.set(option, on);
        Some(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The same lines, in this order, are among those of Debian's 6.1.
    #[test]
    fn options_begin_as_linuxs_do() {
        assert_eq!(
            Options::default().listed(),
            "print-parent\nnosym-offset\nnosym-addr\nnoraw\nannotate\ncontext-info\noverwrite\n\
             irq-info\nmarkers\nnofunc_stack_trace\nfuncgraph-cpu\nfuncgraph-overhead\nfuncgraph-duration\n\
             nofuncgraph-abstime\nnofuncgraph-tail\nnofuncgraph-retval\n\
             nofuncgraph-retval-hex\nnofuncgraph-args\n"
        );
    }

    #[test]
    fn a_word_switches_one_on_or_off() {
        let start = Options::default();
        let on = start.with("sym-addr").unwrap();
        assert_eq!(on, start | Options::SYM_ADDR);
        assert_eq!(on.with("nosym-addr"), Some(start));
        for bad in ["", "no", "nosuch", "nonosym-addr", "sym-addr2", "verbose"] {
            assert_eq!(start.with(bad), None, "{bad}");
        }
    }
}
