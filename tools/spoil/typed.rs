//! Takes bytes through the parsers of what people type, and of the smaller formats.

use std::fmt::Write as _;

use tocsin::initrd;
use tocsin::ksyms::decode::Table;
use tocsin::ksyms::readable::readable;
use tocsin::shell::edit::{Editor, Event};
use tocsin::shell::lex::statements;
use tocsin::shell::parse::parse;
use tocsin::trace::filter::Filter;

use super::drive::Nowhere;

/// Symbols of a table that are unpacked: each takes a walk from its group's start.
const SYMBOLS_MAX: usize = 5000;

/// Reads `bytes` as everything that they might be.
pub fn typed(bytes: &[u8]) {
    let mut out = Nowhere(0);
    for statement in statements(bytes) {
        let words = match &statement {
            Ok(statement) => &statement.words,
            Err(malformed) => {
                write!(out, "{}", malformed.fault).expect("shown");
                &malformed.before.words
            }
        };
        if let (_, Err(refusal)) = parse(words) {
            let line = refusal.to_string();
            assert!(!line.contains('\n'), "{line:?}");
        }
    }
    if let Ok(text) = std::str::from_utf8(bytes) {
        if let Ok(filter) = Filter::parse(text.split_ascii_whitespace().take(64)) {
            for name in text.split_ascii_whitespace().take(8) {
                let _ = filter.wants("module", &name[..name.floor_char_boundary(512)]);
            }
        }
        let shown = readable(text);
        assert!(!shown.contains(char::is_control));
        assert!(shown.len() <= text.len() * 4 + 1024, "{} of {}", shown.len(), text.len());
    }
    assert!(initrd::files(bytes).map(|file| file.data.len()).sum::<usize>() <= bytes.len());
    if let Ok(table) = Table::parse(bytes) {
        let found = table.iter().take(SYMBOLS_MAX).count();
        assert!(found <= table.len());
        let _ = table.at_offset(0x1000);
    }
    let mut editor = Editor::new();
    for &byte in bytes.iter().take(4096) {
        let _: Event = editor.key(byte, &mut |echo| out.0 += echo.len());
    }
}
