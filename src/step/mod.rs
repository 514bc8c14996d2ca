//! One instruction at a time: what `step` does at each, and what it says.
//!
//! ```text
//!  trap after an instruction (machine/step.rs)
//!     |  kernel/step.rs: whose code comes next, which registers it finds
//!     v
//!  decide.rs     step it, run over it, run a copy of it, or stop here
//!  sequence.rs   larx ... stcx., copied with a trap at each way out
//!  story.rs      the line of what ran, and the marks: stubs, modules, r2
//!  registers.rs  what is looked at, and what of it changed
//! ```
//!
//! Nothing here steps: it is told what the machine found, and answers.
#![forbid(unsafe_code)]

pub mod decide;
pub mod registers;
pub mod sequence;
pub mod story;
