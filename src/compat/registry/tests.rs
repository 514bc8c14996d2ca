use super::*;
use crate::compat::Pieces;

#[test]
fn every_row_names_fields_inside_its_struct() {
    for kind in Kind::ALL {
        let row = kind.row();
        assert_eq!(row.fields().count(), row.fields.split(' ').count(), "{}", row.name);
        let mut end = 0;
        for field in row.fields() {
            let len = u16::from(field.number.unwrap_or(8));
            assert!(matches!(len, 1 | 2 | 4 | 8) && field.offset.is_multiple_of(len));
            assert!(field.offset >= end, "{} {}", row.name, field.name);
            end = field.offset + len;
        }
        assert!(end <= row.size && row.size.is_multiple_of(8));
        assert_eq!(Kind::named(row.name), Some(*kind));
    }
}

#[test]
fn layouts_hold_from_debians_6_1_0_50_and_upstreams_6_1_176_on() {
    for good in [
        "6.1.0-50-powerpc64le SMP mod_unload modversions ",
        "6.1.0-51-x",
        "6.1.176 SMP",
        "tocsin ppc64le elfv2",
    ] {
        assert!(holds_for(good), "{good}");
    }
    for bad in
        ["6.1.0-49-powerpc64le", "6.1.0", "6.1.175", "6.12.1", "6.10.0-50", "6.2.0-50", "", "6.1.x"]
    {
        assert!(!holds_for(bad), "{bad}");
    }
}

#[test]
fn names_are_text_that_ends() {
    let row = Kind::Nls.row();
    let mut table = vec![0; 64];
    table[0..8].copy_from_slice(&0x2000u64.to_le_bytes());
    let read = |table: &[u8], name: &[u8]| {
        let memory = Pieces(vec![(0x1000, table.to_vec()), (0x2000, name.to_vec())]);
        names(&memory, row, Vaddr(0x1000))
    };
    assert_eq!(read(&table, b"cp437\0"), Some(vec!["cp437".into()]));
    assert_eq!(read(&table, b"\0"), None);
    assert_eq!(read(&table, b"cp\x1b437\0"), None);
    assert_eq!(read(&table, b"cp437"), None); // runs out of memory
    assert_eq!(read(&table, &[b'x'; 129]), None);
    table[8..16].copy_from_slice(&0x2002u64.to_le_bytes());
    assert_eq!(read(&table, b"cp437\0"), Some(vec!["cp437".into(), "437".into()]));
    assert_eq!(read(&[0; 64], b"cp437\0"), None);
    assert_eq!(read(&table[..4], b"cp437\0"), None);
}

#[test]
fn an_inline_name_leaves_room_for_its_nul() {
    let row = Kind::Match.row();
    let read = |len: usize| {
        let mut bytes = vec![0; 104];
        bytes[16..16 + len].fill(b'a');
        names(&Pieces(vec![(0, bytes)]), row, Vaddr(0))
    };
    assert_eq!(read(28), Some(vec!["a".repeat(28)]));
    assert_eq!(read(29), None);
}

#[test]
fn a_number_can_stand_for_a_name() {
    let memory = Pieces(vec![(8, vec![3, 0, 0, 0])]);
    assert_eq!(names(&memory, Kind::Ematch.row(), Vaddr(8)), Some(vec!["3".into()]));
    assert_eq!(names(&memory, Kind::Ematch.row(), Vaddr(9)), None);
}
