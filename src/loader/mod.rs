//! From the bytes of a `.ko` to an image whose every word has its final value.
//!
//! ```text
//!  file ──parse──> Object ──plan──> Layout ──place──> base ──link──> image + Linked
//!         elf.rs            layout.rs        (kernel)         relocate.rs
//! ```
//!
//! | file | does |
//! |---|---|
//! | [`elf`] | checks the file; everything later may index |
//! | [`layout`] | offsets of sections, stubs and their targets; no addresses yet |
//! | [`relocate`] | copies, binds symbols, applies relocations |
//! | [`bind`] | what each symbol stands for, and the stubs that it needs |
//! | [`fields`] | one relocation's value into its field, with the field's limits |
//! | [`stubs`], [`recognise`] | words of a stub; which stub some words are |
//! | [`callsites`] | where a function can be traced or redirected |
//! | [`symbols`] | the world outside, by name; functions, by address |
//! | [`exports`], [`modinfo`], [`params`] | what a module offers, says and takes |
//! | [`versions`], [`paca_use`] | which kernel it was built for, and does that fit |
//! | [`tables`] | what it wants done at traps, faults, static branches |
//! | [`explain`] | one relocation, for people: what went in, what came out |
//! | [`need`] | how much heap all that takes at most |
//! | [`error`] | why a module was refused, in one line |
//!
//! # Invariants
//! - Pure: bytes in, bytes out. The image is the caller's buffer; after an error
//!   it holds anything, and nothing else has changed.
//! - Linking the same file at the same base against the same exports gives the
//!   same bytes. An audit links again and compares.
//! - Time is linear in the file: at most two passes over relocations, no search by name
//!   or address inside them.
#![forbid(unsafe_code)]

pub mod bind;
pub mod borrow;
pub mod callsites;
pub mod elf;
pub mod error;
pub mod explain;
pub mod exports;
pub mod fields;
pub mod layout;
pub mod modinfo;
pub mod need;
pub mod paca_use;
pub mod params;
pub mod recognise;
mod reloc_names;
pub mod relocate;
pub mod stubs;
pub mod symbols;
pub mod tables;
pub mod versions;

use alloc::vec::Vec;

use crate::addr::Vaddr;

pub use bind::KernelAbi;
pub use callsites::{CallSite, RefusedSite, SiteFault, SiteKind};
pub use elf::Object;
pub use error::LoadError;
pub use exports::Export;
pub use layout::{Group, Layout, Span};
pub use modinfo::Modinfo;
pub use need::Need;
pub use reloc_names::RelocName;
pub use relocate::Linked;
pub use symbols::{
    Function, Functions, LinkOptions, Name, Names, Owner, Resolved, Resolver, StubStyle,
};

/// A module in a buffer of its own: the stages in order.
#[derive(Debug)]
pub struct Loaded<'a> {
    /// The file, checked.
    pub object: Object<'a>,
    /// Where everything lies.
    pub layout: Layout,
    /// What came of it.
    pub linked: Linked<'a>,
    /// The bytes that belong at [`Linked::base`].
    pub image: Vec<u8>,
}

/// Loads `file` into a buffer, to run at the base that `place` answers for the
/// layout; asked again, if the layout has to be another. Host tools and tests use it; the
/// kernel calls the stages itself, because its buffer is the module's memory.
///
/// # Errors
/// The first thing that any stage refuses.
pub fn load<'a>(
    file: &'a [u8],
    page: u64,
    mut place: impl FnMut(&Layout) -> Vaddr,
    resolver: &dyn Resolver,
    abi: &KernelAbi,
    options: &LinkOptions,
) -> Result<Loaded<'a>, LoadError> {
    let object = Object::parse(file)?;
    let mut layout = Layout::plan(&object, options, page)?;
    let mut base = place(&layout);
    let mut image = alloc::vec![0; layout.size as usize];
    let mut linked = relocate::link(&object, &layout, base, &mut image, resolver, abi, options);
    if let Err(LoadError::Recount) = linked {
        layout = Layout::plan_exactly(&object, options, page)?;
        base = place(&layout);
        image = alloc::vec![0; layout.size as usize];
        linked = relocate::link(&object, &layout, base, &mut image, resolver, abi, options);
    }
    let mut linked = linked?;
    linked.functions.index_names(&object);
    Ok(Loaded { object, layout, linked, image })
}
