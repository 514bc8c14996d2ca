//! Translation as data: what an address may be used for, and the entries that
//! say so to the processor.
//!
//! ```text
//!   Rights      read, write, execute: what a range may be used for
//!   negotiate   which of the two: what is offered, asked for and granted
//!   radix       a tree of tables, walked by the processor (POWER9 and later)
//!   hash        one large hash table, kept by the hypervisor (POWER8)
//! ```
//!
//! `machine::mmu` owns the memory of the tables and the instructions that make
//! the processor look at them again; it stores what this folder computes.
//!
//! # Invariants
//! - Effective and real addresses are equal: a mapping says what may be done at
//!   an address, never where it leads.
//! - Nothing is both writable and executable: [`Rights`] has no such value.
#![forbid(unsafe_code)]

use core::fmt;

pub mod hash;
pub mod negotiate;
pub mod radix;

/// What an address may be used for. There is no right to write and execute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rights {
    /// Constants: read.
    Read,
    /// Data: read and written.
    ReadWrite,
    /// Code: read and executed.
    ReadExecute,
}

impl fmt::Display for Rights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Read => "r--",
            Self::ReadWrite => "rw-",
            Self::ReadExecute => "r-x",
        })
    }
}
