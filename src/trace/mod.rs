//! The function tracer, without the machine: which call sites there are, which
//! of them a person asked for, and how what they recorded becomes text.
//!
//! ```text
//!   trace on 'scsi_*'                          trace show
//!        | filter.rs   words -> Filter              ^
//!        | words.rs    ... and triggers             |
//!        | sites.rs    Filter -> the sites          | decode.rs  records -> Linux's text
//!        v                                          |
//!   patch/  switches the sites  -->  boot/mcount.S writes  -->  ring.rs reads
//!                                    record.rs says what
//! ```
//!
//! The writer of the rings is assembly (`boot/mcount.S`), because a traced call
//! may clobber almost nothing; `ring.rs` holds the same protocol in Rust, where
//! it is described and tested.
#![forbid(unsafe_code)]

pub mod decode;
pub mod filter;
pub mod graph;
pub mod options;
pub mod probes;
pub mod record;
pub mod ring;
pub mod sites;
pub mod tools;
pub mod triggers;
pub mod words;
