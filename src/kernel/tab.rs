//! Tab at the prompt: the names that [`crate::shell::complete`] asks for, and how the
//! person sees them; and which of them was meant instead of a word that is none.

use alloc::format;
use alloc::string::String;

use super::commands::call;
use super::{console, exports, files, initrd, modules};
use crate::shell::complete;
pub use crate::shell::complete::Kind;
use crate::shell::edit::Editor;
use crate::shell::near::Nearest;
use crate::shell::table;
use crate::trace::options::Options;

/// Hands over the names of a kind.
#[optimize(size)]
fn names(kind: Kind, word: &[u8], offer: &mut dyn FnMut(&str)) {
    match kind {
        Kind::Command => table::TABLE.iter().for_each(|entry| offer(entry.name())),
        Kind::Path => files::paths().iter().for_each(|path| offer(path)),
        Kind::Archive => {
            for file in initrd::all() {
                let name = file.base_name();
                let end = name.bytes().position(|byte| byte == b'.');
                offer(name.get(..end.unwrap_or(0)).unwrap_or_default());
            }
        }
        Kind::Buffer => call::each_name(offer),
        Kind::Switch => Options::names().for_each(offer),
        Kind::Module => modules::all().iter().for_each(|module| offer(&module.name)),
        Kind::Function => {
            if !word.contains(&b':') {
                exports::table().iter().for_each(|export| offer(export.name));
            }
            for module in modules::all() {
                let named = word.contains(&b':');
                let of_it = word.strip_prefix(module.name.as_bytes());
                if !named {
                    offer(&format!("{}:", module.name));
                } else if !of_it.is_some_and(|rest| rest.starts_with(b":")) {
                    continue;
                }
                for function in module.functions() {
                    offer(&module.readable_name(function.symbol));
                }
            }
        }
    }
}

/// `did you mean NAME? ` for a word that is no such name, if it is much like one.
#[optimize(size)]
#[inline(never)]
pub fn meant(kind: Kind, word: &str) -> String {
    let mut nearest = Nearest::new(complete::behind_module(word.as_bytes()));
    names(kind, word.as_bytes(), &mut |name| {
        let whole = !name.ends_with(':');
        let _ = whole && nearest.offer(name);
    });
    nearest.remedy()
}

/// Completes the word at the cursor, or lists what it may be if it was asked for
/// `again`; true if there is something to list.
#[optimize(size)]
#[inline(never)]
pub fn pressed(
    editor: &mut Editor,
    again: bool,
    prompt: &[u8],
    echo: &mut dyn FnMut(&[u8]),
) -> bool {
    let found = complete::complete(editor.before(), &mut names);
    let tail = found.tail();
    if !tail.is_empty() {
        editor.put_in(&tail, echo);
        return false;
    }
    if found.names.is_empty() || !again {
        echo(b"\x07");
        return !found.names.is_empty();
    }
    let columns = console::columns() - 1;
    let mut column = columns;
    for name in &found.names {
        column += name.len() + 2;
        if column > columns {
            echo(b"\r\n");
            column = name.len() + 2;
        }
        echo(name.as_bytes());
        echo(b"  ");
    }
    echo(if found.more { b"...\r\n" } else { b"\r\n" });
    echo(prompt);
    editor.redraw(echo);
    true
}
