//! The kernel's own functions as call sites.
//!
//! `tools/rustc-patchable` has put a nop at the local entry of each of our Rust
//! functions; where functions begin, the packed symbols tell. A site's stub is its own,
//! like that of a patchable function of a module; but the hook is near, so no profiling
//! stub stands in between:
//!
//! ```text
//!   function:  addis/addi r2,r12     (left out where r2 is not used)
//!              b  stub   -->  mflr r0; bl _mcount; mtlr r0; b site+4
//! ```
//!
//! Assembly, `core` and `alloc` are compiled without the nop.
//!
//! # Invariants
//! - Stubs are made before translation is on, and are text from then on: no store
//!   reaches them, and no word of them ever changes.
//! - No site is on before r13 is set up, nor on a CPU that has not come up.
//!
//! Reference: ELFv2 ABI, "Function Prologue": what a global entry begins with.

use alloc::vec::Vec;

use super::{boot, hooks, memory};
use crate::addr::Vaddr;
use crate::isa::well_known::{MFLR_R0, MTLR_R0};
use crate::isa::{Insn, branch};
use crate::ksyms::Kind;
use crate::ksyms::decode::Table;

/// Bytes of a site's stub.
const STUB_BYTES: i64 = 16;

/// One of the kernel's functions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct OwnSite {
    /// The nop.
    pub site: Vaddr,
    /// The function's global entry.
    pub entry: Vaddr,
    /// The stub that the site branches to when it is on.
    pub stub: Vaddr,
}

/// A word of the kernel's own text.
fn word(at: Vaddr) -> Insn {
    let (start, end) = boot::text();
    assert!((start..end).contains(&at) && at.is_aligned(4), "{at} is not in the kernel's text");
    // SAFETY: aligned, and inside the text, which is mapped and is not data.
    Insn(unsafe { (at.0 as *const u32).read_volatile() })
}

/// The address behind the TOC set-up at a global entry, if it has one.
fn local_entry(entry: Vaddr) -> Vaddr {
    let high = |at, bits| word(at).0 & 0xffff_0000 == bits;
    let sets_toc = high(entry, 0x3c4c_0000) && high(entry.offset(4), 0x3842_0000);
    if sets_toc { entry.offset(8) } else { entry }
}

/// Visits the functions that begin with a nop, by rising address, each with its stub. To
/// be asked for as long as none is on.
fn each(visit: &mut dyn FnMut(OwnSite)) {
    let (image, mut stub) = (boot::image().0, boot::stubs().0);
    let mut before = None;
    for function in Table::parse(boot::ksyms()).unwrap_or(Table::EMPTY).packed() {
        let entry = image.offset(function.offset.into());
        // Functions with equal bodies are one, under several names.
        if function.kind != Kind::Text || before.replace(entry) == Some(entry) {
            continue;
        }
        let site = local_entry(entry);
        if word(site) == Insn::NOP {
            visit(OwnSite { site, entry, stub });
            stub = stub.offset(STUB_BYTES);
        }
    }
}

/// Writes the stub of every site. Called once, while nothing is protected yet.
pub fn make_stubs() {
    let (start, end) = boot::stubs();
    let mcount = hooks::mcount_address();
    each(&mut |OwnSite { site, stub, .. }| {
        let words = [
            Ok(MFLR_R0),
            branch::bl(stub.offset(4), mcount),
            Ok(MTLR_R0),
            branch::b(stub.offset(12), site.offset(4)),
        ];
        for (at, word) in (0..).map(|index| stub.offset(index * 4)).zip(words) {
            let word = word.expect("the image is smaller than a branch reaches");
            assert!((start..end).contains(&at));
            // SAFETY: in the part of the image that `linker.ld` keeps for the stubs;
            // nobody runs them before the first site is on.
            unsafe { (at.0 as *mut u32).write_volatile(word.0) };
        }
    });
    memory::publish_code(start, end.since(start).cast_unsigned());
}

/// Every function that can be traced, by rising address of its site. (The table
/// refuses sites in another order.)
pub fn sites() -> Vec<OwnSite> {
    let mut sites = Vec::new();
    each(&mut |site| sites.push(site));
    sites
}
