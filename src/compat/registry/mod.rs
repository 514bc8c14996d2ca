//! What modules register: the structs that Linux's `*_register` functions take.
//!
//! A module fills a struct with a name and functions, and hands its address over.
//! One row here says, for one kind of struct, what lies where; everything that is
//! done with all kinds alike (keep, list, look up, drop) needs no more.
//!
//! ```text
//!   crypto_register_shash(&alg)        Row of Kind::Hash
//!     alg:  0 init ──> sha3_init         size 480
//!           8 update                     names at 280, 152
//!          88 digestsize                 fields "init@0 update@8 … digestsize@88/4"
//!         280 "sha3-256-generic"
//! ```
//!
//! The structs are in the module's memory and stay there; nothing of them is
//! written, also not the fields in which Linux links its lists.
//!
//! - [`crypto`] lays out what a hash or a cipher is called with;
//! - [`packet`] the `sk_buff` and the parameters of a packet match;
//! - [`ipv6`] finds a packet's headers;
//! - [`keys`] has the names of key codes.
//!
//! # What the layouts hold for
//! Linux 6.1 for ppc64le with Debian's configuration, from 6.1.0-50 on (upstream
//! 6.1.176): see [`holds_for`]. Sizes and places of functions were compared with
//! the data and relocations of Debian's modules, places of numbers with the loads
//! in their code. Other kernels' differ: 6.4 put `clone_tfm` into `shash_alg`, and
//! early 6.1 had no reference count in `crypto_tfm`.
//!
//! # References
//! Linux 6.1: `include/crypto/hash.h`, `include/linux/crypto.h`, `nls.h`,
//! `textsearch.h`, `netfilter/x_tables.h`, `ppp-comp.h`, `include/media/rc-map.h`,
//! `include/net/pkt_cls.h`, `net/6lowpan/nhc.h`,
//! `include/crypto/internal/scompress.h`.

pub mod crypto;
pub mod ipv6;
pub mod keys;
pub mod packet;

use alloc::string::String;
use alloc::vec::Vec;

use super::{Memory, read_str};
use crate::addr::Vaddr;

/// A kind of struct that modules register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// `shash_alg`: a message digest or a keyed one.
    Hash,
    /// `crypto_alg` with a `cipher_alg`: a block cipher.
    Cipher,
    /// `crypto_alg` with a `compress_alg`.
    Compressor,
    /// `scomp_alg`: the same, called another way.
    Scomp,
    /// `nls_table`: a character set.
    Nls,
    /// `rc_map_list`: what the keys of a remote control mean.
    Keymap,
    /// `ts_ops`: a way to search text.
    Search,
    /// `xt_match`: a test on packets.
    Match,
    /// `xt_target`: what to do with a packet.
    Target,
    /// `tcf_ematch_ops`: a test in a packet classifier.
    Ematch,
    /// `lowpan_nhc`: how 6LoWPAN compresses one next header.
    Nhc,
    /// `compressor` of PPP.
    Ppp,
}

/// Where a struct has its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Name {
    /// The text itself, in an array of so many bytes.
    Inline(u16, u16),
    /// A pointer to it; a null pointer is no name.
    Pointer(u16),
    /// No text: a 32-bit number stands for it.
    Number(u16),
}

/// What must differ from all others of the kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unique {
    /// Nothing but the address.
    Address,
    /// The first name.
    Name,
    /// The byte there.
    Byte(u16),
}

/// All that is known of one kind.
pub struct Row {
    /// How people call it.
    pub name: &'static str,
    /// Bytes of the struct: the stride of arrays.
    pub size: u16,
    /// Its names; the first is the one that is shown.
    pub names: &'static [Name],
    /// What is refused as registered already.
    pub unique: Unique,
    /// `NAME@OFFSET` for a pointer, `NAME@OFFSET/BYTES` for a number.
    fields: &'static str,
}

/// Most bytes of a name.
const MAX_NAME: usize = 128;
/// `CRYPTO_MAX_ALG_NAME`.
const CRYPTO_NAME: u16 = 128;
/// `XT_EXTENSION_MAXNAMELEN`.
const XT_NAME: u16 = 29;

macro_rules! rows {
    ($($kind:ident = $name:literal, $size:literal, $names:expr, $unique:expr, $fields:literal;)*) => {
        /// In the order of [`Kind`].
        static ROWS: &[Row] = &[$(Row {
            name: $name, size: $size, names: &$names, unique: $unique, fields: $fields,
        }),*];

        impl Kind {
            /// Every kind.
            pub const ALL: &[Self] = &[$(Self::$kind),*];
        }
    };
}

use Name::{Inline, Number, Pointer};

rows! {
    Hash = "hash", 480, [Inline(280, CRYPTO_NAME), Inline(152, CRYPTO_NAME)], Unique::Name,
        "init@0 update@8 final@16 finup@24 digest@32 export@40 import@48 setkey@56 init_tfm@64 \
         exit_tfm@72 descsize@80/4 digestsize@88/4 statesize@92/4 flags@128/4 blocksize@132/4 ctxsize@136/4 \
         priority@144/4 cra_init@448 cra_exit@456";
    Cipher = "cipher", 384, [Inline(184, CRYPTO_NAME), Inline(56, CRYPTO_NAME)], Unique::Name,
        "blocksize@36/4 ctxsize@40/4 priority@48/4 min_keysize@320/4 max_keysize@324/4 setkey@328 \
         encrypt@336 decrypt@344 cra_init@352 cra_exit@360";
    Compressor = "compressor", 384, [Inline(184, CRYPTO_NAME), Inline(56, CRYPTO_NAME)], Unique::Name,
        "ctxsize@40/4 priority@48/4 compress@320 decompress@328 cra_init@352 cra_exit@360";
    Scomp = "scomp", 416, [Inline(216, CRYPTO_NAME), Inline(88, CRYPTO_NAME)], Unique::Name,
        "alloc_ctx@0 free_ctx@8 compress@16 decompress@24";
    Nls = "nls", 64, [Pointer(0), Pointer(8)], Unique::Address,
        "uni2char@16 char2uni@24 charset2lower@32 charset2upper@40";
    Keymap = "keymap", 56, [Pointer(40)], Unique::Address, "size@24/4 protocol@36/4";
    Search = "search", 72, [Pointer(0)], Unique::Name,
        "init@8 find@16 destroy@24 get_pattern@32 get_pattern_len@40";
    Match = "match", 104, [Inline(16, XT_NAME)], Unique::Address,
        "revision@45/1 match@48 checkentry@56 destroy@64 infosize@88/4 hooks@96/4 proto@100/2 \
         family@102/2";
    Target = "target", 104, [Inline(16, XT_NAME)], Unique::Address,
        "revision@45/1 target@48 checkentry@56 destroy@64 infosize@88/4 hooks@96/4 proto@100/2 \
         family@102/2";
    Ematch = "ematch", 64, [Number(0)], Unique::Name, "datalen@4/4 change@8 match@16 destroy@24 dump@32";
    Nhc = "nhc", 48, [Pointer(0)], Unique::Byte(8),
        "nexthdr@8/1 nexthdrlen@16/4 id@24/1 idmask@25/1 uncompress@32 compress@40";
    Ppp = "ppp", 128, [Number(0)], Unique::Name,
        "comp_alloc@8 comp_free@16 comp_init@24 comp_reset@32 compress@40 comp_stat@48 decomp_alloc@56 \
         decomp_free@64 decomp_init@72 decomp_reset@80 decompress@88 incomp@96 decomp_stat@104";
}

/// A field of a struct.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// As Linux calls it, or shorter.
    pub name: &'static str,
    /// Where it is.
    pub offset: u16,
    /// Bytes of a number; `None` is the address of a function or of a table.
    pub number: Option<u8>,
}

impl Kind {
    /// What is known of it.
    #[must_use]
    pub fn row(self) -> &'static Row {
        &ROWS[self as usize]
    }

    /// The kind of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.row().name == name)
    }

    /// The field of this name. A name that is not in the row is a mistake of ours,
    /// and has no offset.
    #[must_use]
    pub fn field(self, name: &str) -> Option<Field> {
        self.row().fields().find(|field| field.name == name)
    }
}

impl Row {
    /// Its fields, in the struct's order.
    pub fn fields(&self) -> impl Iterator<Item = Field> + use<> {
        self.fields.split(' ').filter_map(|word| {
            let (name, place) = word.split_once('@')?;
            let (offset, number) = match place.split_once('/') {
                Some((offset, bytes)) => (offset, Some(bytes.parse().ok()?)),
                None => (place, None),
            };
            Some(Field { name, offset: offset.parse().ok()?, number })
        })
    }
}

/// True if the layouts here are those of the kernel that a module was built for,
/// by its `vermagic`: Debian's 6.1.0-50 and later, or an upstream 6.1.176 and later.
/// Ours (`tocsin`) are built with headers of that layout.
#[must_use]
pub fn holds_for(vermagic: &str) -> bool {
    let number = |text: &str| {
        let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        text[..end].parse::<u32>().ok()
    };
    let Some(patch) = vermagic.strip_prefix("6.1.") else {
        return vermagic.starts_with("tocsin ");
    };
    match patch.strip_prefix("0-") {
        Some(abi) => number(abi).is_some_and(|abi| abi >= 50),
        None => number(patch).is_some_and(|patch| patch >= 176),
    }
}

/// The names of the struct at `at`: at least one, the first the one to show.
///
/// `None` if the first is not there, is empty, or is no text.
#[must_use]
pub fn names(memory: &dyn Memory, row: &Row, at: Vaddr) -> Option<Vec<String>> {
    let mut names = Vec::new();
    for name in row.names {
        let offset = |offset: u16| at.offset(i64::from(offset));
        let text = match *name {
            Inline(place, max) => text(memory, offset(place), usize::from(max)),
            Pointer(place) => match memory.read_u64(offset(place))? {
                0 => None,
                name => text(memory, Vaddr(name), MAX_NAME),
            },
            Number(place) => {
                let mut bytes = [0; 4];
                let got = memory.read(offset(place), &mut bytes);
                (got == 4).then(|| alloc::format!("{}", u32::from_le_bytes(bytes)))
            }
        };
        match text {
            Some(text) => names.push(text),
            None if names.is_empty() => return None,
            None => {}
        }
    }
    Some(names)
}

/// A text of printable characters that ends within `max` bytes.
fn text(memory: &dyn Memory, at: Vaddr, max: usize) -> Option<String> {
    let mut bytes = Vec::new();
    let (len, well) = read_str(memory, at, max, &mut |piece| bytes.extend_from_slice(piece));
    let good = well && len > 0 && len < max && bytes.iter().all(|byte| matches!(byte, b' '..=b'~'));
    good.then(|| String::from_utf8(bytes).ok())?
}

#[cfg(test)]
mod tests;
