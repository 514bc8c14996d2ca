//! The shell: from bytes that a person or a script gave to typed commands.
//!
//! ```text
//!  keys ──> edit ──┐                     ┌─ unknown, wrong: one clear line
//!                  v                     │
//!  script ──────> lex ──> words ──> parse ──> Command ──> kernel/ (runs it)
//!                  ^                  │                       │
//!                  └───── batch <── table (usage, help)       │
//!                           ^                                 │
//!                           └──────── Done | Failed | Oops <──┘
//! ```
//!
//! - [`lex`] splits text into statements and words;
//! - [`args`] reads integers, `call` arguments and symbol names;
//! - [`command`] is what can be asked for; [`table`] is how it is spelled, with
//!   the help; [`parse`] turns words into a command;
//! - [`batch`] knows when a run stops and what its verdict is;
//! - [`edit`] is the line editor of a person's terminal, [`complete`] what Tab puts in,
//!   [`near`] which name was meant instead of one that is none; [`screen`] is how large
//!   the terminal is;
//! - [`error`] holds every refusal, each one line.
//!
//! Nothing here runs a command: that is `kernel/`, through [`batch::Host`].
#![forbid(unsafe_code)]

pub mod args;
pub mod batch;
pub mod command;
pub mod complete;
pub mod edit;
pub mod error;
pub mod lex;
pub mod near;
pub mod parse;
pub mod screen;
pub mod table;
