//! hash, cipher, compress: Linux's crypto algorithms, driven as its API does.

use alloc::format;

use super::{Bytes, Done, Room, Used, print_hex};
use crate::addr::Vaddr;
use crate::compat::registry::{Kind, crypto};
use crate::kernel::modules::Failure;
use crate::shell::args::Arg;

/// Most bytes that a decompressed text may have.
const MOST: usize = 1 << 20;

/// Prints a digest: init, update, final; before them the key, if there is one.
pub fn hash(room: &mut Room, name: &str, data: &Arg, key: Option<&Arg>) -> Done {
    let hash = Used::get(Kind::Hash, name)?;
    let optional = hash.field("flags") & crypto::OPTIONAL_KEY != 0;
    if key.is_none() && hash.field("setkey") != 0 && !optional {
        return Err(hash.refuse(format_args!("it wants a key")));
    }
    let (descsize, digestsize) = (hash.size("descsize")?, hash.size("digestsize")?);
    let tfm = crypto::shash(hash.entry.at, hash.size("ctxsize")?, descsize as u32);
    let tfm = room.put(tfm)?.at;
    let base = tfm.offset(crypto::SHASH_TFM.into());
    let (data, out) = (room.of(data)?, room.zeroed(digestsize)?);
    hash.optional("init_tfm", &[tfm.0])?;
    hash.optional("cra_init", &[base.0])?;
    if let Some(key) = key {
        set_key(&hash, tfm, room.of(key)?)?;
    }
    let desc = room.put(crypto::desc(tfm, descsize))?.at.0;
    hash.checked("init", &[desc])?;
    hash.checked("update", &[desc, data.at.0, data.len as u64])?;
    hash.checked("final", &[desc, out.at.0])?;
    hash.end("cra_exit", base)?;
    hash.end("exit_tfm", tfm)?;
    print_hex(&out.read(digestsize));
    Ok(())
}

/// Gives it a key; which lengths a hash takes, only its own function knows.
#[inline(never)]
#[optimize(size)]
fn set_key(used: &Used, tfm: Vaddr, key: Bytes) -> Done {
    let set = used.checked("setkey", &[tfm.0, key.at.0, key.len as u64]);
    match set {
        Err(Failure::Refused(why)) => {
            Err(format!("{why} for a key of {} bytes (give another length)", key.len).into())
        }
        other => other.map(|_| ()),
    }
}

/// A `crypto_tfm` for a cipher or a compressor.
#[inline(never)]
fn tfm(room: &mut Room, used: &Used) -> Result<Bytes, Failure> {
    let tfm = room.put(crypto::tfm(used.entry.at, used.size("ctxsize")?))?;
    used.optional("cra_init", &[tfm.at.0])?;
    Ok(tfm)
}

/// Encrypts or decrypts block by block.
pub fn cipher(room: &mut Room, name: &str, back: bool, key: &Arg, data: &Arg) -> Done {
    let cipher = Used::get(Kind::Cipher, name)?;
    let (key, data) = (room.of(key)?, room.of(data)?);
    let block = cipher.size("blocksize")?.max(1);
    if !data.len.is_multiple_of(block) {
        let len = data.len;
        return Err(cipher.refuse(format_args!("{len} bytes are not whole blocks of {block}")));
    }
    let out = room.zeroed(data.len)?;
    let (least, most) = (cipher.field("min_keysize"), cipher.field("max_keysize"));
    if !(least..=most).contains(&(key.len as u64)) {
        return Err(cipher.refuse(format_args!("a key has {least} to {most} bytes")));
    }
    let tfm = tfm(room, &cipher)?.at;
    set_key(&cipher, tfm, key)?;
    let function = if back { "decrypt" } else { "encrypt" };
    for at in (0..data.len as u64).step_by(block) {
        cipher.call(function, &[tfm.0, out.at.0 + at, data.at.0 + at])?;
    }
    cipher.end("cra_exit", tfm)?;
    print_hex(&out.read(out.len));
    Ok(())
}

/// Compresses or decompresses.
pub fn compress(room: &mut Room, name: &str, back: bool, data: &Arg) -> Done {
    let compressor = Used::get(Kind::Compressor, name)?;
    let data = room.of(data)?;
    // What no compressor can make smaller grows by less than this.
    let most = if back { MOST } else { data.len + data.len / 16 + 64 };
    let (out, len) = (room.zeroed(most)?, room.put((most as u32).to_le_bytes().to_vec())?);
    let tfm = tfm(room, &compressor)?.at;
    let function = if back { "decompress" } else { "compress" };
    let args = [tfm.0, data.at.0, data.len as u64, out.at.0, len.at.0];
    let done = compressor.checked(function, &args);
    compressor.end("cra_exit", tfm)?;
    done?;
    let len = len.read(4).iter().rev().fold(0, |len, byte| len << 8 | usize::from(*byte));
    print_hex(&out.read(len));
    Ok(())
}
