//! Expected texts are what Linux's own documentation and its printf self-test
//! publish, or, for plain conversions, what any C library prints.

use super::*;
use crate::compat::Pieces;
use proptest::prelude::*;

struct List<'a>(&'a [u64]);

impl Args for List<'_> {
    fn next_u64(&mut self) -> u64 {
        let (first, rest) = self.0.split_first().expect("an argument too many was taken");
        self.0 = rest;
        *first
    }
}

/// Knows one function: `f` of module `m`, 0x1000 to 0x101f.
impl World for Pieces {
    fn write_symbol(&self, at: Vaddr, style: SymbolStyle, out: &mut dyn Sink) -> bool {
        let back = u64::from(style == SymbolStyle::Return);
        if !(0x1000..0x1020).contains(&(at.0 - back)) {
            return false;
        }
        match style {
            SymbolStyle::Name => out.put(b"f [m]"),
            _ => out.put(format!("f+{:#x}/0x20 [m]", at.0 - 0x1000).as_bytes()),
        }
        true
    }
}

fn show_with(memory: Vec<(u64, Vec<u8>)>, format: &str, args: &[u64]) -> String {
    let mut out = Vec::new();
    let mut list = List(args);
    let world = Pieces(memory);
    let printed = super::format(&mut out, Format::Bytes(format.as_bytes()), &mut list, &world);
    assert_eq!(printed.len, out.len());
    assert!(list.0.is_empty(), "{format}: arguments left over");

    // The same from memory, at an address where a chunk ends inside.
    let mut copy = world.0.clone();
    copy.push((0x9_0000, [format.as_bytes(), b"\0"].concat()));
    let mut again = Vec::new();
    super::format(&mut again, Format::At(Vaddr(0x9_0000)), &mut List(args), &Pieces(copy));
    assert_eq!(out, again, "{format}");
    String::from_utf8(out).unwrap()
}

fn show(format: &str, args: &[u64]) -> String {
    show_with(vec![], format, args)
}

fn neg(value: i64) -> u64 {
    value.cast_unsigned()
}

#[test]
fn integers_are_what_c_prints() {
    assert_eq!(
        show("%d|%03d|%3d|%+d|% d|%+d|% d", &[0, 1, 12, 123, 1234, neg(-123), neg(-1234)]),
        "0|001| 12|+123| 1234|-123|-1234"
    );
    assert_eq!(show("%-5d|%-5u|%5i", &[neg(-12), 7, 42]), "-12  |7    |   42");
    assert_eq!(show("%x %X %o %u", &[0xbeef, 0xbeef, 8, 0xffff_ffff]), "beef BEEF 10 4294967295");
    assert_eq!(show("%#x|%#X|%#o", &[0x1f, 0x1f, 8]), "0x1f|0X1F|010");
    assert_eq!(show("0x%08x|%#010x", &[0x1234, 0x1234]), "0x00001234|0x00001234");
    assert_eq!(show("%-+6d|%-06d|%+.3d", &[1, 2, 3]), "+1    |2     |+003");
    assert_eq!(show("%6.3d|%-6.3d|%.3x", &[5, 5, 10]), "   005|005   |00a");
}

#[test]
fn integers_differ_from_c_where_linux_does() {
    assert_eq!(show("%#x|%#o", &[0, 0]), "0x0|0");
    assert_eq!(show("%.2d|%.1d|%.0d|%.*d|%1.0d", &[0, 0, 0, 0, 0, 0]), "00|0|0|0|0");
    assert_eq!(show("%08.3d", &[5]), "00000005");
}

#[test]
fn each_length_takes_its_own_part_of_the_argument() {
    let wide = 0x1_2345_89ab_cdef;
    assert_eq!(show("%hhu|%hhu|%hhd|%hhd", &[257, neg(-1), 128, neg(-1)]), "1|255|-128|-1");
    assert_eq!(show("%hx|%hd", &[wide, 0x8000]), "cdef|-32768");
    assert_eq!(show("%x|%d", &[wide, 0x8000_0000]), "89abcdef|-2147483648");
    for length in ["l", "ll", "z", "t", "j", "L", "q"] {
        assert_eq!(show(&format!("%{length}x"), &[wide]), "1234589abcdef");
    }
    assert_eq!(show("%ld", &[1 << 63]), "-9223372036854775808");
    assert_eq!(show("%lu", &[u64::MAX]), "18446744073709551615");
    assert_eq!(show("%lo", &[u64::MAX]), "1777777777777777777777");
}

#[test]
fn stars_take_arguments_and_a_negative_width_turns_left() {
    assert_eq!(show("%*d|%*d|%.*x", &[4, 1, neg(-4), 2, 3, 5]), "   1|2   |005");
    assert_eq!(show("%.*s|", &[neg(-1), 0]), "|");
    assert_eq!(show("%99999999d", &[1]).len(), MAX_FIELD);
    assert_eq!(show("%*d", &[0x8000_0000, 1]).len(), MAX_FIELD);
}

#[test]
fn strings_are_cut_padded_and_checked() {
    let memory = || vec![(0x100, b"hello\0".to_vec()), (0x200, b"open".to_vec())];
    let s = |format: &str, args: &[u64]| show_with(memory(), format, args);
    assert_eq!(s("[%s]", &[0x100]), "[hello]");
    assert_eq!(s("[%7s][%-7s][%.2s]", &[0x100, 0x100, 0x100]), "[  hello][hello  ][he]");
    assert_eq!(s("[%.*s][%.0s][%.s]", &[3, 0x100, 0x100, 0x100]), "[hel][][]");
    assert_eq!(s("%.4s|%s", &[0x200, 0x200]), "open|open(efault)");
    assert_eq!(s("%s|%s|%8s", &[0, 0x666, 0]), "(null)|(efault)|  (null)");
    assert_eq!(s("%c%c|%3c|%-3c|", &[104, 0x169, 120, 121]), "hi|  x|y  |");
}

#[test]
fn a_percent_sign_is_doubled_and_a_nul_ends_the_format() {
    assert_eq!(show("100%%", &[]), "100%");
    assert_eq!(show("a\0b%d", &[]), "a");
}

#[test]
fn what_does_not_exist_ends_the_formatting_and_stores_nothing() {
    for (format, shown, letter) in
        [("a%n b%d", "a%n b%d", b'n'), ("%f %s", "%f %s", b'f'), ("50%", "50%", 0), ("%-", "%", 0)]
    {
        let mut out = Vec::new();
        let world = Pieces(vec![]);
        let format = Format::Bytes(format.as_bytes());
        let printed = super::format(&mut out, format, &mut List(&[]), &world);
        assert_eq!(out, shown.as_bytes());
        assert_eq!(printed.refused, Some(letter));
    }
}

#[test]
fn plain_pointers_have_sixteen_digits() {
    let address = 0xc000_0000_0012_3456;
    assert_eq!(show("%p|%px", &[address, 1]), "c000000000123456|0000000000000001");
    assert_eq!(show("%pK.|%#px", &[0, 0x10]), "0000000000000000.|0x0000000000000010");
    assert_eq!(show("%4px|%-4px|%pQ9z-", &[1, 1, 2]), "   1|1   |0000000000000002-");
}

#[test]
fn symbols_come_from_the_world_and_unknown_ones_are_numbers() {
    assert_eq!(show("%pS %ps", &[0x1010, 0x1010]), "f+0x10/0x20 [m] f [m]");
    assert_eq!(show("%pB", &[0x1020]), "f+0x20/0x20 [m]");
    assert_eq!(show("%pS", &[0x1020]), "0x1020");
    assert_eq!(show("%8ps|%-8ps|", &[0x1000, 0x1000]), "   f [m]|f [m]   |");
}

/// The samples of `printk-formats.rst`.
#[test]
fn bytes_hardware_addresses_and_uuids_look_as_documented() {
    let memory = || vec![(0x100, (0..=0xff).collect::<Vec<u8>>())];
    let p = |format: &str, args: &[u64]| show_with(memory(), format, args);
    assert_eq!(p("%*ph", &[3, 0x100]), "00 01 02");
    assert_eq!(p("%*phC|%*phD|%*phN", &[3, 0x100, 3, 0x100, 3, 0x100]), "00:01:02|00-01-02|000102");
    assert_eq!(p("%3ph|%ph|", &[0x101, 0x10f]), "01 02 03|0f|");
    assert_eq!(p("%*ph", &[100, 0x100]).len(), 64 * 3 - 1);
    assert_eq!(p("%*ph|", &[0, 0x100]), "|");
    assert_eq!(
        p("%pM %pMF %pm", &[0x100, 0x100, 0x100]),
        "00:01:02:03:04:05 00-01-02-03-04-05 000102030405"
    );
    assert_eq!(p("%pMR %pmR", &[0x100, 0x100]), "05:04:03:02:01:00 050403020100");
    assert_eq!(p("%pUb", &[0x100]), "00010203-0405-0607-0809-0a0b0c0d0e0f");
    assert_eq!(p("%pUB", &[0x100]), "00010203-0405-0607-0809-0A0B0C0D0E0F");
    assert_eq!(p("%pUl", &[0x100]), "03020100-0504-0706-0809-0a0b0c0d0e0f");
    assert_eq!(p("%pUL %pU", &[0x100, 0x100])[..36], *"03020100-0504-0706-0809-0A0B0C0D0E0F");
    assert_eq!(p("%pM|%4ph|%pUb", &[0, 0x1fe, 0x666]), "(null)|(efault)|(efault)");
    assert_eq!(p("%pa", &[0x100]), "0x0706050403020100");
    assert_eq!(p("%pe %pe", &[neg(-5), 0x10]), "-EIO 0000000000000010");
}

/// A `va_format` as a C compiler lays it out, nested once and in itself.
#[test]
fn nested_formats_read_their_own_arguments() {
    let quads = |values: &[u64]| values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<_>>();
    let memory = vec![
        (0x100, b"<%d %s>\0".to_vec()),
        (0x200, b"in\0".to_vec()),
        (0x300, quads(&[0x100, 0x400])), // fmt, address of the va_list
        (0x400, quads(&[0x500])),        // the va_list
        (0x500, quads(&[7, 0x200])),     // what it points at
        (0x600, b"%pV\0".to_vec()),
        (0x700, quads(&[0x600, 0x800])),
        (0x800, quads(&[0x900])),
        (0x900, quads(&[0x700])),
    ];
    assert_eq!(show_with(memory.clone(), "%pV|%pV", &[0x300, 0x300]), "<7 in>|<7 in>");
    assert_eq!(show_with(memory.clone(), "%pV", &[0x700]), "0000000000000700");
    assert_eq!(show_with(memory, "%pV", &[0x408]), "(efault)");
}

#[test]
fn a_full_buffer_is_cut_and_ended_and_the_whole_length_returned() {
    let world = Pieces(vec![]);
    let print = |size: usize, stored: bool| {
        let mut out = vec![0xaa; size];
        let format = Format::Bytes(b"num=%d");
        let mut args = List(&[123]);
        let len = match stored {
            true => vscnprintf(&mut out, format, &mut args, &world),
            false => vsnprintf(&mut out, format, &mut args, &world),
        };
        (len, out)
    };
    assert_eq!(print(0, false), (7, vec![]));
    assert_eq!(print(1, false), (7, b"\0".to_vec()));
    assert_eq!(print(7, false), (7, b"num=12\0".to_vec()));
    assert_eq!(print(8, false), (7, b"num=123\0".to_vec()));
    assert_eq!(print(10, false), (7, b"num=123\0\xaa\xaa".to_vec()));
    assert_eq!(print(0, true).0, 0);
    assert_eq!(print(1, true).0, 0);
    assert_eq!(print(7, true).0, 6);
    assert_eq!(print(8, true).0, 7);
}

struct Endless(u64);

impl Args for Endless {
    fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        self.0 >> (self.0 & 63)
    }
}

proptest! {
    #[test]
    fn no_format_and_no_arguments_stop_the_printer(
        format in prop::collection::vec(prop::sample::select(b"%%%%sdxpSVhMU*.-0#19lz\x01a\0".to_vec()), 0..30),
        seed: u64,
    ) {
        let world = Pieces(vec![(0, vec![b'%'; 64])]);
        let mut out = Count(0);
        let printed = super::format(&mut out, Format::Bytes(&format), &mut Endless(seed), &world);
        prop_assert_eq!(printed.len, out.0);
    }
}
