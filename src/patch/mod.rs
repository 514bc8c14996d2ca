//! What to change in executable memory, and the one algorithm that changes it.
//!
//! ```text
//!   wanted state --state.rs--> words of a site, in phases
//!        sites.rs collects --> plan.rs   Batch { who, why, edits }
//!                                   | engine.rs: validate all, then write, flush
//!                                   v
//!                      CodeMem (machine/text.rs, or a model of caches in tests)
//!                                   |
//!                              journal.rs  one record a batch
//! ```
//!
//! Nothing else in the kernel stores into executable memory once it is live.
#![forbid(unsafe_code)]

pub mod engine;
pub mod journal;
#[cfg(test)]
pub(crate) mod model;
pub mod plan;
pub mod state;
