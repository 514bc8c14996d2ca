//! Which pages of a module may be executed, and which written.

mod loader_common;

use loader_common::assemble_with;
use tocsin::loader::{Group, Layout, LinkOptions, Object, Span};

const PAGE: u64 = 0x1000;
const PARTS: [(&str, &str, &str); 6] = [
    ("INIT_DATA", ".init.data", "rw"),
    ("INIT_TEXT", ".init.text", "rx"),
    ("TEXT", ".text", "rx"),
    ("RODATA", ".rodata", "r"),
    ("DATA", ".data", "rw"),
    ("BSS", ".bss", "rw"),
];

/// Every subset of the sections, with sizes that end inside a page, at its end, and
/// behind it.
#[test]
fn each_page_has_the_rights_of_what_lies_in_it() {
    let sizes = [4, 36, 0x1000, 68, 0x1004, 12, 0xffc];
    for subset in 0..1 << PARTS.len() {
        let wanted = (0..PARTS.len()).filter(|part| subset >> part & 1 == 1);
        let flags = wanted.map(|part| {
            let size = sizes[(subset + 3 * part) % sizes.len()];
            format!("--defsym={}={size}", PARTS[part].0)
        });
        let flags: Vec<_> = flags.collect();
        let flags: Vec<_> = flags.iter().map(String::as_str).collect();
        let file = assemble_with("groups.S", &flags, "layout-groups.o");
        let object = Object::parse(&file).unwrap();
        let layout = Layout::plan(&object, &LinkOptions::default(), PAGE).unwrap();
        // As the machine maps it: all of it data, then text, then constants.
        let covers = |span: Span, page: u64| {
            let end = span.end().next_multiple_of(PAGE);
            span.len != 0 && (span.offset & !(PAGE - 1)..end).contains(&page)
        };
        let rights = |page: u64| match page {
            _ if covers(layout.group(Group::Rodata), page) => "r",
            _ if covers(layout.text(false), page) => "rx",
            _ => "rw",
        };
        // What the loader adds is nothing here, and lies nowhere else.
        for (own, group) in [(layout.stubs, Group::Text), (layout.targets, Group::Rodata)] {
            assert_eq!((own.len, own.offset), (0, layout.group(group).end()), "{flags:?}");
        }
        assert!(layout.stored(&object) <= layout.size, "{flags:?}");
        let sections = object.sections().iter().enumerate();
        for (index, section) in sections.filter(|(_, section)| section.size() != 0) {
            let Some(part) = PARTS.iter().find(|part| part.1 == section.name) else { continue };
            let start = u64::from(layout.offset_of(index).unwrap());
            let pages = start / PAGE..(start + section.size()).div_ceil(PAGE);
            for page in pages.map(|page| page * PAGE) {
                assert_eq!(rights(page), part.2, "{} at {page:#x} of {flags:?}", part.1);
            }
        }
    }
}
