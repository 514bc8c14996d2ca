//! hash, cipher, compress: Linux's crypto algorithms, driven as its API does.

use alloc::format;

use super::{Bytes, Done, Used, print_hex};
use crate::compat::registry::{Kind, crypto};
use crate::shell::args::Arg;

/// Most bytes that a decompressed text may have.
const MOST: usize = 1 << 20;

/// Prints a digest: init, update, final; before them the key, if there is one.
pub fn hash(name: &str, data: &Arg, key: Option<&Arg>) -> Done {
    let hash = Used::get(Kind::Hash, name)?;
    let optional = hash.field("flags") & crypto::OPTIONAL_KEY != 0;
    if key.is_none() && hash.field("setkey") != 0 && !optional {
        return Err(format!("{}: it wants a key", hash.entry).into());
    }
    let (descsize, digestsize) = (hash.size("descsize")?, hash.size("digestsize")?);
    let tfm = crypto::shash(hash.entry.at, hash.size("ctxsize")?, descsize as u32);
    let tfm = Bytes::new(&tfm)?;
    let base = tfm.at.offset(crypto::SHASH_TFM.into());
    let (data, out) = (Bytes::of(data)?, Bytes::zeroed(digestsize)?);
    hash.optional("init_tfm", &[tfm.at.0])?;
    hash.optional("cra_init", &[base.0])?;
    if let Some(key) = key {
        let key = Bytes::of(key)?;
        hash.checked("setkey", &[tfm.at.0, key.at.0, key.len as u64])?;
    }
    let desc = Bytes::new(&crypto::desc(tfm.at, descsize))?;
    hash.checked("init", &[desc.at.0])?;
    hash.checked("update", &[desc.at.0, data.at.0, data.len as u64])?;
    hash.checked("final", &[desc.at.0, out.at.0])?;
    hash.end("cra_exit", base.0)?;
    hash.end("exit_tfm", tfm.at.0)?;
    print_hex(&out.read(digestsize));
    Ok(())
}

/// Encrypts or decrypts block by block.
pub fn cipher(name: &str, back: bool, key: &Arg, data: &Arg) -> Done {
    let cipher = Used::get(Kind::Cipher, name)?;
    let tfm = Bytes::new(&crypto::tfm(cipher.entry.at, cipher.size("ctxsize")?))?;
    let (key, data) = (Bytes::of(key)?, Bytes::of(data)?);
    let block = cipher.size("blocksize")?.max(1);
    if !data.len.is_multiple_of(block) {
        return Err(format!(
            "{}: {} bytes are not whole blocks of {block}",
            cipher.entry, data.len
        )
        .into());
    }
    let out = Bytes::zeroed(data.len)?;
    let (least, most) = (cipher.field("min_keysize"), cipher.field("max_keysize"));
    if !(least..=most).contains(&(key.len as u64)) {
        return Err(format!("{}: a key has {least} to {most} bytes", cipher.entry).into());
    }
    cipher.optional("cra_init", &[tfm.at.0])?;
    cipher.checked("setkey", &[tfm.at.0, key.at.0, key.len as u64])?;
    let function = if back { "decrypt" } else { "encrypt" };
    for at in (0..data.len as u64).step_by(block) {
        cipher.call(function, &[tfm.at.0, out.at.0 + at, data.at.0 + at])?;
    }
    cipher.end("cra_exit", tfm.at.0)?;
    print_hex(&out.read(out.len));
    Ok(())
}

/// Compresses or decompresses.
pub fn compress(name: &str, back: bool, data: &Arg) -> Done {
    let compressor = Used::get(Kind::Compressor, name)?;
    let tfm = Bytes::new(&crypto::tfm(compressor.entry.at, compressor.size("ctxsize")?))?;
    let data = Bytes::of(data)?;
    // What no compressor can make smaller grows by less than this.
    let room = if back { MOST } else { data.len + data.len / 16 + 64 };
    let (out, len) = (Bytes::zeroed(room)?, Bytes::new(&(room as u32).to_le_bytes())?);
    compressor.optional("cra_init", &[tfm.at.0])?;
    let function = if back { "decompress" } else { "compress" };
    let args = [tfm.at.0, data.at.0, data.len as u64, out.at.0, len.at.0];
    let done = compressor.checked(function, &args);
    compressor.end("cra_exit", tfm.at.0)?;
    done?;
    let len = len.read(4).iter().rev().fold(0, |len, byte| len << 8 | usize::from(*byte));
    print_hex(&out.read(len));
    Ok(())
}

impl Used {
    /// Calls a function without result, if it has it.
    fn end(&self, function: &str, arg: u64) -> Done {
        if self.field(function) != 0 {
            self.call(function, &[arg])?;
        }
        Ok(())
    }
}
