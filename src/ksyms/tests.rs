//! The writer and the reader are tested together, and the reader alone with
//! damaged tables; real symbols come from this test's own executable.

use super::Kind;
use super::decode::{Table, TableError};
use super::elf::{ElfError, read_symbols};
use super::encode::{EncodeError, Symbol, encode, encode_padded, fill_sizes};
use super::{MAX_NAME, MAX_TOKENS, STRIDE};
use proptest::prelude::*;

fn symbol(name: &str, offset: u32, size: u32) -> Symbol {
    Symbol { name: name.into(), offset, size, kind: Kind::Text }
}

fn look_up(table: &Table<'_>, offset: u32) -> Option<(String, u32)> {
    let (found, into) = table.at_offset(offset)?;
    Some((found.name.as_str().into(), into))
}

fn unpack(table: &Table<'_>) -> Vec<Symbol> {
    let symbol = |found: super::decode::Found| Symbol {
        name: found.name.as_str().into(),
        offset: found.offset,
        size: found.size,
        kind: found.kind,
    };
    table.iter().map(symbol).collect()
}

#[test]
fn an_address_finds_the_symbol_that_covers_it() {
    let bytes = encode(&[symbol("b", 0x20, 8), symbol("a", 0x10, 0x10), symbol("c", 0x40, 4)]);
    let table = Table::parse(&bytes).unwrap();
    let at = |offset| look_up(&table, offset);
    assert_eq!(at(0x0f), None);
    assert_eq!(at(0x10), Some(("a".into(), 0)));
    assert_eq!(at(0x1f), Some(("a".into(), 15)));
    assert_eq!(at(0x20), Some(("b".into(), 0)));
    assert_eq!(at(0x27), Some(("b".into(), 7)));
    assert_eq!(at(0x28), None);
    assert_eq!(at(0x43), Some(("c".into(), 3)));
    assert_eq!(at(0x44), None);
    assert_eq!(at(u32::MAX), None);
}

#[test]
fn the_innermost_symbol_is_taken_and_of_aliases_the_first_with_a_size() {
    let bytes = encode(&[
        symbol("outer", 0, 100),
        symbol("inner", 20, 10),
        symbol("alias", 50, 0),
        symbol("one", 50, 10),
        symbol("two", 50, 10),
    ]);
    let table = Table::parse(&bytes).unwrap();
    let at = |offset| look_up(&table, offset).unwrap();
    assert_eq!(at(25), ("inner".into(), 5));
    assert_eq!(at(30), ("outer".into(), 30));
    assert_eq!(at(50), ("one".into(), 0));
    assert_eq!(at(60), ("outer".into(), 60));
}

#[test]
fn a_name_finds_its_address_and_half_a_name_nothing() {
    let bytes = encode(&[symbol("tocsin::a", 4, 4), symbol("tocsin::ab", 8, 4)]);
    let table = Table::parse(&bytes).unwrap();
    assert_eq!(table.by_name("tocsin::ab").map(|found| found.offset), Some(8));
    assert!(table.by_name("tocsin::").is_none());
    assert!(table.by_name("tocsin::abc").is_none());
}

#[test]
fn long_and_foreign_names_are_cut_and_replaced() {
    let long = "x".repeat(MAX_NAME + 1);
    let bytes = encode(&[symbol(&long, 0, 1), symbol("é", 1, 1)]);
    let names: Vec<_> = unpack(&Table::parse(&bytes).unwrap());
    assert_eq!(names[0].name, long[..MAX_NAME]);
    assert_eq!(names[1].name, "?");
}

#[test]
fn the_largest_numbers_survive() {
    let mut symbols = vec![symbol("end", u32::MAX, u32::MAX), symbol("", 0, 0)];
    symbols[0].kind = Kind::Data;
    let bytes = encode(&symbols);
    symbols.reverse();
    assert_eq!(unpack(&Table::parse(&bytes).unwrap()), symbols);
}

#[test]
fn a_table_is_padded_to_its_room_or_refused() {
    let symbols = [symbol("a", 0, 1)];
    let needs = encode(&symbols).len();
    let padded = encode_padded(&symbols, needs + 100).unwrap();
    assert_eq!(padded.len(), needs + 100);
    assert_eq!(unpack(&Table::parse(&padded).unwrap()), symbols);
    assert_eq!(encode_padded(&symbols, needs).unwrap().len(), needs);
    let error = encode_padded(&symbols, needs - 1).unwrap_err();
    assert_eq!(error, EncodeError::TooLarge { needs, room: needs - 1 });
    assert!(error.to_string().contains("see tools/link-kernel"));
}

#[test]
fn a_section_that_was_never_filled_has_no_table() {
    for bytes in [&[][..], &[0; 100], &super::MAGIC] {
        assert_eq!(Table::parse(bytes).unwrap_err(), TableError::NoTable);
    }
    let empty = encode(&[]);
    assert!(Table::parse(&empty).unwrap().is_empty());
}

#[test]
fn a_table_cut_short_is_refused() {
    let bytes = encode(&[symbol("abc", 0, 1)]);
    for len in 20..bytes.len() {
        let error = Table::parse(&bytes[..len]).unwrap_err();
        assert!(matches!(error, TableError::Truncated { .. }), "{len}: {error}");
    }
}

/// Its tokens: 3 bytes each from 20 on, two codes of 12 bits.
#[test]
fn a_name_that_would_never_end_is_cut() {
    let symbols: Vec<_> = (0..8).map(|i| symbol("ab", i, 1)).collect();
    let bytes = encode(&symbols);
    let pair = |first: u32, second: u32| (first | second << 12).to_le_bytes();
    assert_eq!(bytes[20..23], pair(u32::from(b'a'), u32::from(b'b'))[..3]);
    for token in [pair(0x80, 0x80), pair(0x80, 0x61), pair(0x61, 0x80), pair(0x7ff, 0x7ff)] {
        let mut damaged = bytes.clone();
        damaged[20..23].copy_from_slice(&token[..3]);
        let table = Table::parse(&damaged).unwrap();
        assert_eq!(table.iter().count(), 8);
        assert!(table.iter().all(|found| found.name.as_str().len() <= MAX_NAME));
    }
    let mut damaged = bytes;
    damaged[16..18].copy_from_slice(&(MAX_TOKENS as u16 + 1).to_le_bytes());
    let count = MAX_TOKENS as u64 + 1;
    assert_eq!(Table::parse(&damaged).unwrap_err(), TableError::TooManyTokens { count });
}

/// 2,000 names of three pairs each, which more tokens help than there are codes of one byte.
#[test]
fn tokens_with_codes_of_two_bytes_come_out_too() {
    let letters = |i: u32| [i % 26, i / 26 % 26, i / 7 % 26].map(|n| char::from(b'a' + n as u8));
    let name =
        |i: u32| [letters(i), letters(i * 3), letters(i)].iter().flatten().collect::<String>();
    let symbols: Vec<_> = (0..2000).map(|i| symbol(&name(i), 4 * i, 4)).collect();
    let bytes = encode(&symbols);
    let tokens = usize::from(u16::from_le_bytes([bytes[16], bytes[17]]));
    assert!((200..=MAX_TOKENS).contains(&tokens), "{tokens}");
    assert_eq!(unpack(&Table::parse(&bytes).unwrap()), symbols);
}

/// Beginnings of one name, of which every second letter is the same: few pairs become
/// tokens together, and the next token's first part is often the last token.
#[test]
fn tokens_do_not_nest_deeper_than_a_name_is_unpacked() {
    let letters: Vec<char> = ('!'..='y').take(MAX_NAME / 2).collect();
    let whole: String = letters.iter().flat_map(|&letter| [letter, 'z']).collect();
    let name = |i: usize| &whole[..2 + i % (whole.len() - 1)];
    let symbols: Vec<_> = (0..2000).map(|i| symbol(name(i), 4 * i as u32, 4)).collect();
    assert_eq!(unpack(&Table::parse(&encode(&symbols)).unwrap()), symbols);
}

#[test]
fn labels_without_a_size_reach_to_the_next_symbol_of_their_kind() {
    let mut symbols = [symbol("a", 0, 0), symbol("b", 8, 4), symbol("c", 16, 0)];
    symbols[1].kind = Kind::Data;
    fill_sizes(&mut symbols);
    assert_eq!(symbols.map(|s| s.size), [16, 4, 0]);
}

/// This test's executable is ELF64 as a kernel is, with symbols of Rust.
#[test]
fn symbols_of_a_real_executable_are_found_and_shrink() {
    let file = std::fs::read(std::env::current_exe().unwrap()).unwrap();
    let demangle = |raw: &[u8]| {
        let text = core::str::from_utf8(raw).ok()?;
        Some(format!("{:#}", rustc_demangle::demangle(text)))
    };
    let symbols = read_symbols(&file, &demangle).unwrap();
    let ours = "tocsin::ksyms::encode::encode";
    let expected = symbols.iter().find(|s| s.name == ours).unwrap().clone();
    let all = symbols.into_iter().take_while(|s| s.name != ours).take(3000);
    let some: Vec<_> = all.chain([expected.clone()]).collect();
    let bytes = encode(&some);
    let table = Table::parse(&bytes).unwrap();
    assert_eq!(table.len(), some.len());
    assert_eq!(table.by_name(ours).unwrap().offset, expected.offset);
    let plain: usize = some.iter().map(|s| s.name.len().min(MAX_NAME) + 8).sum();
    assert!(bytes.len() * 2 < plain, "{} of {plain}", bytes.len());

    assert_eq!(read_symbols(b"no", &demangle), Err(ElfError::NotElf64Le));
    for len in [6, 63, 64, 1000, file.len() / 2] {
        assert!(read_symbols(&file[..len], &demangle).is_err());
    }
}

fn any_symbols() -> impl Strategy<Value = Vec<Symbol>> {
    let one = ("[a-f:_]{0,12}", 0..40u32, 0..20u32, any::<bool>());
    prop::collection::vec(one, 0..4 * STRIDE).prop_map(|parts| {
        let mut offset = 0;
        let place = |(name, gap, size, text): (String, u32, u32, bool)| {
            // Aliases where the gap is 0, else no overlap.
            offset += if gap == 0 { 0 } else { gap + 20 };
            let kind = if text { Kind::Text } else { Kind::Data };
            Symbol { name, offset, size, kind }
        };
        parts.into_iter().map(place).collect()
    })
}

proptest! {
    #[test]
    fn what_goes_in_comes_out_sorted(mut symbols in any_symbols()) {
        let bytes = encode(&symbols);
        let mut out = unpack(&Table::parse(&bytes).unwrap());
        let key = |s: &Symbol| (s.offset, s.name.clone(), s.size, s.kind);
        prop_assert!(out.is_sorted_by_key(|s| s.offset));
        out.sort_by_key(key);
        symbols.sort_by_key(key);
        prop_assert_eq!(out, symbols);
    }

    /// Also where most are skipped, some lie in none, and one is asked for again.
    #[test]
    fn walking_on_finds_what_looking_up_one_by_one_does(
        symbols in any_symbols(),
        mut asked in prop::collection::vec(0..2600_u32, 0..40),
        back: prop::sample::Index,
    ) {
        let bytes = encode(&symbols);
        let table = Table::parse(&bytes).unwrap();
        asked.extend(symbols.iter().skip(asked.len() * 2).map(|s| s.offset));
        asked.sort();
        asked.extend((!asked.is_empty()).then(|| asked[back.index(asked.len())]));
        let text = |it: super::decode::Found| (it.name.as_str().to_string(), it.offset, it.size);
        let walked: Vec<_> = table.at_offsets(&asked).map(|it| Some(text(it?.found()))).collect();
        let one_by_one = asked.iter().map(|&at| Some(text(table.at_offset(at)?.0)));
        prop_assert_eq!(walked, one_by_one.collect::<Vec<_>>());
    }

    #[test]
    fn a_packed_name_begins_as_it_does_unpacked(symbols in any_symbols(), prefix in "[a-f:_]{0,3}") {
        for packed in Table::parse(&encode(&symbols)).unwrap().packed() {
            let begins = packed.name().as_str().starts_with(&prefix);
            prop_assert_eq!(packed.begins_with(prefix.as_bytes()), begins);
        }
    }

    #[test]
    fn every_byte_of_every_symbol_finds_one_that_covers_it(symbols in any_symbols(), probe: u16) {
        let bytes = encode(&symbols);
        let table = Table::parse(&bytes).unwrap();
        let covers = |s: &&Symbol, at: u32| at.checked_sub(s.offset).is_some_and(|d| d < s.size);
        for at in symbols.iter().map(|s| s.offset).chain([u32::from(probe) % 3000]) {
            let expected = symbols.iter().filter(|s| covers(s, at)).map(|s| s.offset).max();
            let found = table.at_offset(at);
            prop_assert_eq!(found.map(|(f, _)| f.offset), expected);
            if let Some((found, into)) = found {
                prop_assert_eq!(found.offset + into, at);
                prop_assert!(into < found.size);
            }
        }
    }

    #[test]
    fn a_damaged_table_never_panics(
        symbols in any_symbols(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..10),
        at: u32,
    ) {
        let mut bytes = encode(&symbols);
        for (place, value) in damage {
            let place = place.index(bytes.len());
            bytes[place] = value;
        }
        if let Ok(table) = Table::parse(&bytes) {
            prop_assert!(table.iter().count() <= table.len());
            let _ = (table.at_offset(at), table.at_offset(at % 3000), table.by_name("a"));
        }
    }

    #[test]
    fn no_file_stops_the_elf_reader(
        mut file in prop::collection::vec(any::<u8>(), 64..400),
        tables in prop::array::uniform6(0..80u8),
    ) {
        file[..6].copy_from_slice(b"\x7fELF\x02\x01");
        for (at, value) in [32, 40, 54, 56, 58, 60].into_iter().zip(tables) {
            file[at..at + if at < 50 { 8 } else { 2 }].fill(0);
            file[at] = value;
        }
        let _ = read_symbols(&file, &|raw| Some(String::from_utf8_lossy(raw).into()));
    }
}
