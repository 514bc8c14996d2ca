//! What a registered hash or cipher is called with: `crypto_tfm`, `shash_desc`.
//!
//! ```text
//!  shash_desc        crypto_shash                    shash_alg
//!  0 tfm ──────────> 0 descsize                      0 init ...
//!  8 state, of the   8 base: crypto_tfm             96 base: crypto_alg
//!    hash's descsize    8+24 __crt_alg ───────────> ^
//!                       8+32 context, of the algorithm's ctxsize
//! ```
//! A cipher's function gets the `crypto_tfm` alone.
//!
//! Debian's michael_mic finds its key at 40 of the `crypto_shash`, crc32 its seed,
//! sha3 its algorithm at 32, fcrypt its schedule at 32 of the `crypto_tfm`.

use alloc::vec;
use alloc::vec::Vec;

use crate::addr::Vaddr;

/// Where `shash_alg` has its `crypto_alg`.
pub const HASH_BASE: u16 = 96;
/// Where `crypto_shash` has its `crypto_tfm`.
pub const SHASH_TFM: u16 = 8;
/// Where `shash_desc` has the state.
const DESC_STATE: usize = 8;
/// Where `crypto_tfm` has the address of its `crypto_alg`.
const TFM_ALG: usize = 24;
/// Where `crypto_tfm` has the algorithm's context.
const TFM_CONTEXT: usize = 32;
/// `cra_flags` of a `crypto_alg`, and the bits of it that say what it is.
pub const FLAGS: u16 = 32;
/// See [`FLAGS`].
pub const FLAGS_TYPE: u64 = 0xf;
/// Flag of a hash that has a key, but needs none.
pub const OPTIONAL_KEY: u64 = 0x4000;
/// Type of a block cipher.
pub const TYPE_CIPHER: u64 = 1;
/// Type of a compressor.
pub const TYPE_COMPRESS: u64 = 2;

/// A `crypto_tfm` for the `crypto_alg` at `alg`, with room for `context` bytes.
#[must_use]
pub fn tfm(alg: Vaddr, context: usize) -> Vec<u8> {
    let mut bytes = vec![0; TFM_CONTEXT + context];
    bytes[TFM_ALG..TFM_ALG + 8].copy_from_slice(&alg.0.to_le_bytes());
    bytes
}

/// A `crypto_shash` for the `shash_alg` at `alg`.
#[must_use]
pub fn shash(alg: Vaddr, context: usize, descsize: u32) -> Vec<u8> {
    let mut bytes = vec![0; usize::from(SHASH_TFM)];
    bytes[..4].copy_from_slice(&descsize.to_le_bytes());
    bytes.extend(tfm(alg.offset(i64::from(HASH_BASE)), context));
    bytes
}

/// A `shash_desc` for the `crypto_shash` at `tfm`.
#[must_use]
pub fn desc(tfm: Vaddr, descsize: usize) -> Vec<u8> {
    let mut bytes = vec![0; DESC_STATE + descsize];
    bytes[..8].copy_from_slice(&tfm.0.to_le_bytes());
    bytes
}
