//! Spoils a module: picks fields by what they mean, and gives them values at the
//! edges of what somebody may have believed.
//!
//! Blind bytes seldom get past the first check of a loader. So most changes leave
//! the file a module with one claim in it that is wrong: a section that ends one
//! byte too late, a symbol after the last, a relocation at the last byte.
//!
//! # Invariants
//! - The same file and the same numbers give the same result on every machine.
//! - The file does not grow beyond the limit.

use super::elf::{
    ENTRY, FieldAt, HEADER, HEADER_FIELDS, RELA, RELOCATION_FIELDS, SECTION_FIELDS, STRTAB,
    SYMBOL_FIELDS, SYMTAB, Section, get, put, sections,
};
use super::rng::Rng;

/// Numbers at which something changes: widths, signs, reaches of branches and of
/// halves, reserved section numbers, pages.
const EDGES: [u64; 46] = [
    0,
    1,
    2,
    3,
    4,
    7,
    8,
    9,
    12,
    24,
    64,
    0x7f,
    0x80,
    0xff,
    0x100,
    0x7fff,
    0x8000,
    0x8001,
    0xfeff,
    0xff00,
    0xff20,
    0xfff1,
    0xfff2,
    0xffff,
    0x1_0000,
    0x1_0001,
    0xff_ffff,
    0x1ff_fffc,
    0x200_0000,
    0x7000_0000,
    0x7fff_7fff,
    0x7fff_8000,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    0x1_0000_0000,
    0x1_ffff_ffff,
    0x2_0000_0000,
    0x7fff_ffff_ffff_ffff,
    0x8000_0000_0000_0000,
    0xffff_ffff_0000_0000,
    0xffff_ffff_7fff_8000,
    0xffff_ffff_fe00_0000,
    0xffff_ffff_ffff_fff8,
    0xffff_ffff_ffff_fffe,
    0xffff_ffff_ffff_ffff,
];

/// Instructions that the loader looks at: nop, bl, b, blr, bctr, mflr r0,
/// std r0,16(r1), ld r2,24(r1), addis r2,r12, addi r2,r2, ld r2,0(r12),
/// add r2,r2,r12, a prefix, cror 31,31,31, bla, bc.
const WORDS: [u32; 16] = [
    0x6000_0000,
    0x4800_0001,
    0x4800_0000,
    0x4e80_0020,
    0x4e80_0420,
    0x7c08_02a6,
    0xf801_0010,
    0xe841_0018,
    0x3c4c_0000,
    0x3842_0000,
    0xe84c_0000,
    0x7c42_6214,
    0x0410_0000,
    0x4fff_fb82,
    0x4800_0003,
    0x4182_0008,
];

/// Changes `file` in one to four ways; it does not grow beyond `max` bytes.
pub fn spoil(file: &mut Vec<u8>, rng: &mut Rng, max: usize) {
    let rounds = 1 + rng.below(8) / 2 % 4;
    for _ in 0..rounds {
        change(file, rng, max);
    }
}

fn change(file: &mut Vec<u8>, rng: &mut Rng, max: usize) {
    let all = sections(file);
    if all.is_empty() {
        return blind(file, rng, max);
    }
    match rng.below(32) {
        0 => blind(file, rng, max),
        1 => cut(file, rng, &all),
        2 => field(file, 0, rng.pick(&HEADER_FIELDS), rng),
        3..=8 => {
            let section = &all[rng.below(all.len())];
            let at = section.header;
            section_field(file, at, rng, &all);
        }
        9 => swap(file, rng, &all),
        10..=14 => symbol(file, rng, &all),
        15..=21 => relocation(file, rng, &all),
        22 => names(file, rng, &all),
        23..=25 => word_of_code(file, rng, &all),
        _ => content(file, rng, &all),
    }
}

/// A value for a field that now holds `old`.
fn value(rng: &mut Rng, old: u64, file_len: usize) -> u64 {
    let len = file_len as u64;
    match rng.below(8) {
        0 => old.wrapping_add(1),
        1 => old.wrapping_sub(1),
        2 => old ^ 1 << rng.below(64),
        3 => rng.pick(&[len, len.wrapping_sub(1), len + 1, len / 2, len * 2, len - len % 8]),
        4 => rng.next() >> rng.below(64),
        5 => old.wrapping_add(rng.pick(&EDGES)),
        _ => rng.pick(&EDGES),
    }
}

fn field(file: &mut [u8], structure: usize, (offset, len): FieldAt, rng: &mut Rng) {
    let at = structure + offset;
    let new = value(rng, get(file, at, len), file.len());
    put(file, at, len, new);
}

fn blind(file: &mut Vec<u8>, rng: &mut Rng, max: usize) {
    match rng.below(4) {
        0 => {
            let len = rng.below(file.len());
            file.truncate(len);
        }
        1 => {
            let more = rng.below(256).min(max.saturating_sub(file.len()));
            let byte = rng.pick(&[0, 0, 0xff]);
            file.resize(file.len() + more, byte);
        }
        _ => {
            for _ in 0..1 + rng.below(4) {
                let (at, byte) = (rng.below(file.len()), rng.next() as u8);
                put(file, at, 1, byte.into());
            }
        }
    }
}

/// Ends the file at, or beside, the end of one of its parts.
fn cut(file: &mut Vec<u8>, rng: &mut Rng, all: &[Section]) {
    let section = &all[rng.below(all.len())];
    let end = rng.pick(&[section.start, section.start + section.len, section.header, HEADER]);
    file.truncate((end + rng.below(3)).saturating_sub(1));
}

/// One field of a section's header, often the same field of another one.
fn section_field(file: &mut [u8], header: usize, rng: &mut Rng, all: &[Section]) {
    let (offset, len) = rng.pick(&SECTION_FIELDS);
    let new = match (rng.below(4), offset) {
        (0 | 1, _) => get(file, all[rng.below(all.len())].header + offset, len),
        (2, 40 | 44) => rng.below(all.len() + 1) as u64,
        (2, 4) => rng.below(20) as u64,
        (2, 8) => get(file, header + offset, len) ^ 1 << rng.below(12),
        _ => value(rng, get(file, header + offset, len), file.len()),
    };
    put(file, header + offset, len, new);
}

/// Exchanges two headers, or has one twice.
fn swap(file: &mut [u8], rng: &mut Rng, all: &[Section]) {
    let (a, b) = (all[rng.below(all.len())].header, all[rng.below(all.len())].header);
    let twice = rng.once_in(2);
    for at in 0..HEADER {
        let (left, right) = (get(file, a + at, 1), get(file, b + at, 1));
        put(file, a + at, 1, right);
        if !twice {
            put(file, b + at, 1, left);
        }
    }
}

/// One of the sections of this type that have bytes.
fn one_of<'s>(
    rng: &mut Rng,
    all: &'s [Section],
    fits: impl Fn(&Section) -> bool,
) -> Option<&'s Section> {
    let fitting: Vec<_> = all.iter().filter(|section| section.len > 0 && fits(section)).collect();
    (!fitting.is_empty()).then(|| fitting[rng.below(fitting.len())])
}

/// Where some entry of a table is.
fn entry(rng: &mut Rng, table: &Section) -> usize {
    table.start + rng.below(table.len / ENTRY) * ENTRY
}

fn symbol(file: &mut [u8], rng: &mut Rng, all: &[Section]) {
    let Some(table) = one_of(rng, all, |section| section.kind == SYMTAB) else { return };
    let (at, other) = (entry(rng, table), entry(rng, table));
    let (offset, len) = rng.pick(&SYMBOL_FIELDS);
    let new = match (rng.below(3), offset) {
        // Another's name, section or value: aliases, two of a name, hooks.
        (0, _) => get(file, other + offset, len),
        (1, 5) => (rng.below(8) << 5) as u64,
        (1, 6) => rng.below(all.len() + 1) as u64,
        (1, 4) => rng.pick(&[0, 1, 2, 3, 4, 6, 10, 0x10, 0x11, 0x12, 0x20, 0x22]),
        (1, 8) => all[rng.below(all.len())].len as u64,
        _ => value(rng, get(file, at + offset, len), file.len()),
    };
    put(file, at + offset, len, new);
}

fn relocation(file: &mut [u8], rng: &mut Rng, all: &[Section]) {
    let Some(table) = one_of(rng, all, |section| section.kind == RELA) else { return };
    let (at, other) = (entry(rng, table), entry(rng, table));
    let target = all.get(get(file, table.header + 44, 4) as usize).map_or(0, |it| it.len as u64);
    let symbols = all.iter().find(|it| it.kind == SYMTAB).map_or(0, |it| it.len / ENTRY);
    let (offset, len) = rng.pick(&RELOCATION_FIELDS);
    let new = match (rng.below(3), offset) {
        (0, _) => get(file, other + offset, len),
        // The last bytes of what is relocated, and the first behind it.
        (1, 0) => target.wrapping_sub(rng.below(10) as u64),
        (1, 8) => rng.below(256) as u64,
        (1, 12) => (symbols + 1).saturating_sub(rng.below(4)) as u64,
        _ => value(rng, get(file, at + offset, len), file.len()),
    };
    put(file, at + offset, len, new);
}

/// Names without an end, or that are no text.
fn names(file: &mut [u8], rng: &mut Rng, all: &[Section]) {
    let Some(table) = one_of(rng, all, |section| section.kind == STRTAB) else { return };
    let last = table.start + table.len - 1;
    let at = if rng.once_in(4) { last } else { table.start + rng.below(table.len) };
    put(file, at, 1, rng.pick(b"\0a\n\x1b\x80\xff").into());
}

/// An instruction where one is relocated, or anywhere.
fn word_of_code(file: &mut [u8], rng: &mut Rng, all: &[Section]) {
    let is_code = |section: &Section| get(file, section.header + 8, 8) & 4 != 0;
    let Some(code) = one_of(rng, all, is_code) else { return };
    let (start, len) = (code.start, code.len);
    let index = all.iter().position(|section| section.header == code.header).unwrap_or(0);
    let of_it = |section: &Section| {
        section.kind == RELA && get(file, section.header + 44, 4) == index as u64
    };
    let place = match one_of(rng, all, of_it) {
        Some(table) => get(file, entry(rng, table), 8) as usize & !3,
        None => rng.below(len) & !3,
    };
    let place = place.wrapping_add(rng.pick(&[0, 4, 0, 0_usize.wrapping_sub(4)]));
    if place < len {
        put(file, start + place, 4, rng.pick(&WORDS).into());
    }
}

/// Tables that the kernel reads out of a linked module, and words about it.
fn content(file: &mut [u8], rng: &mut Rng, all: &[Section]) {
    let is_table = |section: &Section| {
        let name = section.name.strip_prefix(b".rela").unwrap_or(&section.name);
        name.starts_with(b"__") || name == b".modinfo" || name == b".toc" || name == b".data"
    };
    let Some(table) = one_of(rng, all, is_table) else { return };
    let (start, len) = (table.start, table.len);
    if table.name == b".modinfo" {
        let byte = rng.pick(&[0, b'=', b':', b',', b'\n', 0xff, b'a']);
        return put(file, start + rng.below(len), 1, byte.into());
    }
    let width = rng.pick(&[1, 2, 4, 8]);
    field(file, start + rng.below(len) / width * width, (0, width), rng);
}
