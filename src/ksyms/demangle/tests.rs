//! Expected: what `rustc_demangle` makes of the same names, and the specification.
use super::*;
use proptest::prelude::*;

/// As the crate for everybody writes it; none if it says that there is a mistake.
fn theirs(raw: &str) -> Option<String> {
    let name = rustc_demangle::try_demangle(raw).ok()?;
    let text = format!("{name:#}");
    let mistaken = ["{invalid syntax}", "{recursion limit reached}", "{size limit reached}"];
    (!mistaken.iter().any(|said| text.contains(said))).then_some(text)
}

#[track_caller]
fn is(raw: &str, expected: &str) {
    assert_eq!(theirs(raw).as_deref(), Some(expected), "{raw}: the authority");
    assert_eq!(demangle(raw).as_deref(), Some(expected), "{raw}");
}

#[test]
fn paths_of_each_kind() {
    is("_RNvC6_123foo3bar", "123foo::bar");
    is("_RNvCs9DzdQh44P4I_10rust_hello6sum_to", "rust_hello::sum_to");
    is("_RNCNvC1a1bs0_0", "a::b::{closure#2}");
    is("_RNCNvC1a1b0B3_", "a::b::{closure#0}");
    is("_RNSNvC1a1bs_4once", "a::b::{shim:once#1}");
    is("_RNQNvC1a1b0", "a::b::{Q#0}");
    is("_RNvXs_C1aNtB4_1SNtC1b1T1f", "<a::S as b::T>::f");
    is("_RNvYNtC1a1SNtC1b1T1f", "<a::S as b::T>::f");
    is("_RNvMC1am1f", "<u32>::f");
    is("_RINvC1a1bmEC1c", "a::b::<u32>"); // the crate that made it
    is("_RNvC1a1b.llvm.0123@AF", "a::b");
    is("_RNvC1a1b.cold.1", "a::b.cold.1");
}

#[test]
fn types_of_each_kind() {
    let cases = [
        (
            "abcdefhijlmnopstuvxyz",
            "i8, bool, char, f64, str, f32, u8, isize, usize, i32, u32, i128, \
          u128, _, i16, u16, (), ..., i64, u64, !",
        ),
        ("RmQmPmOm", "&u32, &mut u32, *const u32, *mut u32"),
        ("RL_mQL_mRmL_", "&u32, &mut u32, &u32, '_"),
        ("SmAmj10_", "[u32], [u32; 16]"),
        ("TETmETmhE", "(), (u32,), (u32, u8)"),
        ("FEuFmhEm", "fn(), fn(u32, u8) -> u32"),
        ("FUKCEuFK8vec_callEu", "unsafe extern \"C\" fn(), extern \"vec-call\" fn()"),
        ("FG_RL0_mEu", "for<'a> fn(&'a u32)"),
        (
            "FG0_RL1_mRL0_mFG_RL0_mRL1_mEuEu",
            "for<'a, 'b> fn(&'a u32, &'b u32, for<'c> fn(&'c u32, &'b u32))",
        ),
        ("DNtC1a1TEL_", "dyn a::T"),
        ("DNtC1a1TNtC1b1UEL_", "dyn a::T + b::U"),
        ("DINtC1a1TmEp3Outhp1AuEL_", "dyn a::T<u32, Out = u8, A = ()>"),
        ("DNtC1a1Tp3OuthEL_", "dyn a::T<Out = u8>"),
        ("DINtC1a1TmEEL_DB8_p1AuEL_", "dyn a::T<u32>, dyn a::T<u32, A = ()>"),
        ("INtC1a1VmE", "a::V<u32>"),
    ];
    for (mangled, expected) in cases {
        is(&format!("_RINvC1x1f{mangled}E"), &format!("x::f::<{expected}>"));
    }
}

#[test]
fn constants_of_each_kind() {
    let cases = [
        ("p", "_"),
        ("h0_", "0"),
        ("hff_", "255"),
        ("an1_", "-1"),
        ("yffffffffffffffff_", "18446744073709551615"),
        ("o1ffffffffffffffff_", "0x1ffffffffffffffff"),
        ("b0_", "false"),
        ("b1_", "true"),
        ("c61_", "'a'"),
        ("c27_", "'\\''"),
        ("c22_", "'\"'"),
        ("ca_", "'\\n'"),
        ("c1b_", "'\\u{1b}'"),
        ("c5c_", "'\\\\'"),
        ("c2603_", "'\u{2603}'"),
        ("e616263_", "{*\"abc\"}"),
        ("Re616263_", "\"abc\""),
        ("Re220a27_", "\"\\\"\\n'\""),
        ("Rh1_", "{&1}"),
        ("Qh1_", "{&mut 1}"),
        ("Ah1_h2_E", "{[1, 2]}"),
        ("Th1_E", "{(1,)}"),
        ("Th1_Re61_E", "{(1, \"a\")}"),
        ("VNtC1a1SU", "{a::S}"),
        ("VNtC1a1STh1_h2_E", "{a::S(1, 2)}"),
        ("VNtC1a1SS1fh1_1gARh2_EE", "{a::S { f: 1, g: [&2] }}"),
    ];
    for (mangled, expected) in cases {
        is(&format!("_RINvC1x1fK{mangled}E"), &format!("x::f::<{expected}>"));
    }
}

/// The second is the example of the specification.
#[test]
fn words_with_letters_that_are_not_ascii() {
    is("_RNvC1au8gdel_5qa", "a::g\u{f6}del");
    is(
        "_RNvC1au30____7hkackfecea1cbdathfdh9hlq6y",
        "a::\u{10e1}\u{10d0}\u{10ed}\u{10db}\u{10d4}\u{10da}\u{10d0}\u{10d3}_\u{10d2}\u{10d4}\u{10db}\u{10e0}\u{10d8}\u{10d4}\u{10da}\u{10d8}_\
         \u{10e1}\u{10d0}\u{10d3}\u{10d8}\u{10da}\u{10d8}",
    );
}

#[test]
fn the_older_form() {
    is("_ZN4core3fmt5write17h0123456789abcdefE", "core::fmt::write");
    is("_ZN3foo3barE", "foo::bar");
    is("_ZN26_$LT$A$u20$as$u20$b..T$GT$1f17h0123456789abcdefE", "<A as b::T>::f");
    is("_ZN13a$RF$$C$$BP$b5$u7b$E", "a&,*b::{");
    is("_ZN3a.b4$XY$3c$dE", "a.b::$XY$::c$d");
    is("_ZN1aE.llvm.12", "a");
    is("_ZN1aE.cold", "a.cold");
    is("_ZN1h1bE", "h::b");
    is("_ZN1b1hE", "b");
}

#[test]
fn what_is_no_name_of_rust_has_no_other_form() {
    let not = [
        "",
        "_",
        "_R",
        "_RN",
        "_ZN",
        "_ZN1",
        "_ZN2aE",
        "_ZN3foo3barEv",
        "_ZN99999999999999999999aE",
        "_RNvC",
        "_RNvC1",
        "_RNvC1a1b+",
        "_RNvC1a1b.\x01",
        "_RIC1aTE",
        "_RNvB9_1a",
        "printk",
        "_RINvC1x1fKc110000_E",
        "_RINvC1x1fKb2_E",
        "_RINvC1x1fKe6_E",
        "_RINvC1x1fRL0_mE",
    ];
    for raw in not {
        assert_eq!(demangle(raw), None, "{raw}");
        assert_eq!(theirs(raw), None, "{raw}: the authority");
    }
}

#[test]
fn a_name_as_deep_as_can_be_is_read_and_a_deeper_one_is_not() {
    let nested = |depth: usize| format!("_R{}C1a{}", "Nv".repeat(depth), "1b".repeat(depth));
    assert_eq!(demangle(&nested(31)), theirs(&nested(31)));
    assert!(demangle(&nested(31)).is_some());
    assert_eq!(demangle(&nested(32)), None);
}

#[test]
fn a_name_within_itself_is_seen() {
    assert_eq!(demangle("_RNvB_1a"), None);
    assert_eq!(demangle("_RINvC1a1bTB7_EE"), None);
    is("_RINvC1a1bTNtC1c1dB8_EE", "a::b::<(c::d, c::d)>");
}

#[test]
fn a_name_of_a_thousand_parts_is_too_long() {
    let with = |count: usize| format!("_RINvC1a1b{}E", "u".repeat(count));
    assert_eq!(demangle(&with(997)), theirs(&with(997)));
    assert_eq!(demangle(&with(998)), None);
}

/// As long as can be written, and one byte more.
#[test]
fn a_name_gets_as_long_as_it_may() {
    let with = |len: usize| format!("_RNvC1a{len}_{}", "b".repeat(len));
    assert_eq!(demangle(&with(LONGEST - 3)).map(|name| name.len()), Some(LONGEST));
    assert_eq!(demangle(&with(LONGEST - 2)), None);
    // Lifetimes take no parts, and a few letters ask for as many as one likes.
    assert_eq!(demangle("_RINvC1a1bFGzzzzzzzzz_EuE"), None);
}

/// The compiler's own: every name in this test, with all of `core` and `std`.
#[test]
fn every_name_of_this_program_is_read_as_others_read_it() {
    let program = std::env::current_exe().and_then(std::fs::read).expect("readable");
    let names = program.split(|&byte| byte == 0).filter_map(|name| str::from_utf8(name).ok());
    let (mut all, mut deep) = ([0, 0], Vec::new());
    for name in names.filter(|name| name.starts_with("_R") || name.starts_with("_ZN")) {
        let Some(expected) = theirs(name) else { continue };
        all[usize::from(name.starts_with("_R"))] += 1;
        match demangle(name) {
            Some(ours) => assert_eq!(ours, expected, "{name}"),
            None => deep.push(name),
        }
    }
    assert!(all[1] > 1000, "{all:?}");
    assert!(deep.len() * 100 < all[1], "{} of {all:?}: {deep:#?}", deep.len());
}

proptest! {
    /// Names made of the letters that mean something, so that many are right.
    #[test]
    fn any_name_is_read_as_others_read_it(
        rest in "(Nv|Nt|NC|I|M|X|Y|B_|B[0-9]_)?(C1a|NvC1a1b|NtC1c1d)(1b|s_1c|0|E|[a-z]|R|TE?|Tm|K[hbce][0-9a-f]{0,4}_|KA|D|L_|G_|F|[NB][v_]|[0-9]_){0,12}",
    ) {
        let raw = format!("_R{rest}");
        prop_assert_eq!(demangle(&raw), theirs(&raw), "{}", raw);
    }

    #[test]
    fn any_older_name_is_read_as_others_read_it(
        rest in "([1-6]?[a-h$._0-9]{1,6}|[34]\\$(LT|GT|C|u20|u7f)\\$){1,6}E?(\\.[a-z]{0,3})?",
    ) {
        let raw = format!("_ZN{rest}");
        prop_assert_eq!(demangle(&raw), theirs(&raw), "{}", raw);
    }

    #[test]
    fn nothing_makes_it_panic(raw in "(_R|_ZN)[A-Za-z0-9_.$]{0,40}") {
        let _ = demangle(&raw);
    }
}
