//! Compressed files, made by `xz` and `zstd`, unpacked by us: the same bytes come
//! out, and what is cut or changed is refused.
//!
//! Without the two programs (Debian's `xz-utils` and `zstd`) these tests fail.

mod loader_common;

use loader_common::{modules_dir, packed, walk_modules};
use tocsin::unpack::{Pack, UnpackError};

fn unpack(bytes: &[u8]) -> Result<Vec<u8>, UnpackError> {
    unpack_at_most(1 << 26, bytes)
}

fn unpack_at_most(limit: u64, bytes: &[u8]) -> Result<Vec<u8>, UnpackError> {
    let pack = Pack::of(bytes).ok_or(UnpackError::Unsupported("no compression"))?;
    // What the buffer held must not matter.
    let mut out = vec![0x5a; pack.plan(bytes, limit)?];
    let len = pack.unpack(bytes, &mut out)?;
    out.truncate(len);
    Ok(out)
}

/// Presets, dictionaries, filters, checks, blocks; levels, windows, no checksum.
const LINES: [&str; 14] = [
    "xz -c",
    "xz -0c --check=none",
    "xz -9ec --check=crc64",
    "xz -c --check=crc32 --lzma2=dict=1MiB",
    "xz -c --powerpc --lzma2=dict=4KiB,lc=0,lp=4,pb=0",
    "xz -c --powerpc=start=4096 --lzma2=dict=4KiB,lc=4,lp=0,pb=4",
    "xz -c --block-size=10000",
    "zstd -c",
    "zstd -1c --no-check",
    "zstd -12c",
    "zstd --ultra -22c",
    "zstd --fast=9 -c",
    "zstd -c --zstd=wlog=10",
    "zstd -c --no-compress-literals",
];

/// Bytes without order: literals that are stored as they are.
fn noise(len: usize) -> Vec<u8> {
    let mut seed = 1_u64;
    let next = || {
        seed = seed.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
        (seed >> 56) as u8
    };
    std::iter::repeat_with(next).take(len).collect()
}

#[test]
fn what_xz_and_zstd_pack_comes_out_as_it_went_in() {
    let text = include_bytes!("gnu_as.rs");
    let far = [&noise(3000), &text[..], &noise(200_000), &text[..]].concat();
    let files: [&[u8]; 8] =
        [b"", b"a", b"abc", text, &far, &vec![0; 400_000], &noise(70_000), &far[..4096]];
    for file in files {
        for line in LINES {
            let packed = packed(line, file);
            assert!(unpack(&packed).as_deref() == Ok(file), "{line}, {} bytes", file.len());
        }
    }
}

/// The checksum's last steps differ with the length.
#[test]
fn zstds_checksum_is_right_for_every_remainder() {
    for len in 1..70 {
        let file = noise(len);
        assert_eq!(unpack(&packed("zstd -c", &file)), Ok(file));
    }
}

#[test]
fn a_real_module_comes_out_as_it_went_in() {
    let Some(dir) = modules_dir() else { return };
    let path = walk_modules(&dir).into_iter().find(|path| path.ends_with("btrfs.ko"));
    let file = std::fs::read(path.expect("in the package")).expect("readable");
    for line in ["xz -1c --check=crc32", "zstd -c"] {
        assert!(unpack(&packed(line, &file)).as_deref() == Ok(&file[..]), "{line}");
    }
}

/// A few blocks of text: small enough to be spoiled at every byte.
fn sample() -> Vec<u8> {
    include_bytes!("gnu_as.rs")[..3000].to_vec()
}

#[test]
fn a_file_that_ends_anywhere_too_early_is_refused() {
    for line in LINES {
        let whole = packed(line, &sample()[..1200]);
        assert!(unpack(&whole).is_ok());
        for len in 0..whole.len() {
            assert!(unpack(&whole[..len]).is_err(), "{line}: {len} of {} bytes", whole.len());
        }
    }
}

#[test]
fn a_file_with_one_byte_changed_is_refused_or_comes_out_right() {
    let right = &sample()[..1200];
    for line in LINES {
        if line.contains("no-check") || line.contains("check=none") {
            continue; // nobody can tell
        }
        let whole = packed(line, right);
        let mut refused = 0;
        for at in 0..whole.len() {
            for change in [0x01, 0x80, 0xff] {
                let mut spoiled = whole.clone();
                spoiled[at] ^= change;
                match unpack_at_most(1 << 18, &spoiled) {
                    Ok(out) => assert!(out == *right, "{line}: byte {at} ^ {change:#x}"),
                    Err(_) => refused += 1,
                }
            }
        }
        assert!(refused > whole.len() * 2, "{line}: {refused}");
    }
}

#[test]
fn the_limit_is_compared_before_anything_is_unpacked() {
    for line in ["xz -c", "zstd -c", "zstd -c --zstd=wlog=10"] {
        let whole = packed(line, &sample());
        let pack = Pack::of(&whole).expect("compressed");
        let len = pack.plan(&whole, u64::MAX).expect("fits") as u64;
        assert!(len >= 3000 && (pack == Pack::Zstd || len == 3000));
        assert_eq!(pack.plan(&whole, len), Ok(len as usize));
        let limit = len - 1;
        assert_eq!(pack.plan(&whole, limit), Err(UnpackError::TooLong { len, limit }));
    }
}

#[test]
fn a_buffer_that_is_too_short_is_never_left() {
    for line in LINES {
        let whole = packed(line, &sample());
        let pack = Pack::of(&whole).expect("compressed");
        for len in [0, 1, 1000, 2999] {
            assert!(pack.unpack(&whole, &mut vec![0; len]).is_err(), "{line} {len}");
        }
    }
}

#[test]
fn what_no_module_is_packed_with_is_said() {
    for (line, what) in [
        ("xz -c --check=sha256", "a check that is neither CRC32 nor CRC64"),
        ("xz -c --x86 --lzma2", "a filter that is for no PowerPC module"),
        ("xz -c --delta --lzma2", "a filter that is for no PowerPC module"),
    ] {
        assert_eq!(unpack(&packed(line, &sample())), Err(UnpackError::Unsupported(what)));
    }
}

#[test]
fn frames_may_follow_each_other_and_some_are_skipped() {
    let (one, two) = (packed("zstd -c", b"one "), packed("zstd -19c", b"two"));
    let skipped = [&0x184d_2a57_u32.to_le_bytes()[..], &3_u32.to_le_bytes(), b"any"].concat();
    assert_eq!(unpack(&[&one[..], &skipped, &two].concat()), Ok(b"one two".to_vec()));
    assert_eq!(
        unpack(&[&one[..], &two[..9]].concat()),
        Err(UnpackError::Truncated { len: one.len() as u64 + 9 })
    );
    let at = one.len() as u64;
    assert_eq!(unpack(&[&one[..], b"tail"].concat()), Err(UnpackError::Damaged { at }));
}

/// As `cat` joins them; expected is what `xz` and `zstd` make of the same file.
#[test]
fn streams_and_frames_that_are_joined_come_out_as_xz_and_zstd_unpack_them() {
    let text = &sample()[..];
    let streams = ["xz -c", "xz -0c --check=none", "xz -c --check=crc64 --block-size=1000"]
        .map(|line| packed(line, text));
    let [one, two, three] = &streams;
    let nothing = packed("xz -c", b"");
    for joined in [
        [&one[..], two, three].concat(),
        [&one[..], &[0; 4], two, &[0; 400], three, &[0; 8]].concat(),
        [&nothing[..], one, &nothing, &[0; 4], &nothing].concat(),
    ] {
        assert!(unpack(&joined) == Ok(packed("xz -dc", &joined)));
    }
    let skipped = |number: u32, bytes: &[u8]| {
        let magic = (0x184d_2a50 + number).to_le_bytes();
        [&magic[..], &(bytes.len() as u32).to_le_bytes(), bytes].concat()
    };
    let frames = ["zstd -c", "zstd -19c --no-check"].map(|line| packed(line, text));
    for joined in [
        [&skipped(0, b"")[..], &frames[0]].concat(),
        [&skipped(15, b"words in front")[..], &frames[1], &skipped(7, b"x"), &frames[0]].concat(),
        frames.concat(),
    ] {
        assert!(unpack(&joined) == Ok(packed("zstd -dc", &joined)));
    }
}

#[test]
fn between_xz_streams_only_zeros_may_stand() {
    let whole = packed("xz -c", b"one");
    assert_eq!(unpack(&[&whole[..], &[0; 8]].concat()), Ok(b"one".to_vec()));
    assert!(unpack(&[&whole[..], &[0; 3]].concat()).is_err());
    assert!(unpack(&[&whole[..], &[0; 3], &whole[..]].concat()).is_err());
    assert!(unpack(&[&whole[..], b"1234", &whole[..]].concat()).is_err());
    assert!(unpack(&[&whole[1..], &whole[..]].concat()).is_err());
    assert!(unpack(&[&whole[..], &whole[..whole.len() - 1]].concat()).is_err());
    // The first of two cut: the second one's index leads to its own start.
    let cut = [&whole[..whole.len() - 4], &whole[..]].concat();
    assert!(matches!(unpack(&cut), Err(UnpackError::Damaged { .. })), "{:?}", unpack(&cut));
}
