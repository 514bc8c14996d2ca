//! Completion: which words may stand at the cursor, and what they begin with alike.
//!
//! ```text
//!  explain call demo:an|        the line up to the cursor
//!     └─ usage: explain call [MOD:]NAME|ADDR | stub ADDR | ...
//!                            └──────┘ a function: the kernel says which there are
//! ```
//!
//! What a command can have is read from its usage line in `table`, so that it is said
//! once: small letters and what begins with `--` stand as they are, capitals are
//! place-holders.
//! Where in the line they belong is not looked at, but for the first word of a command
//! that has several forms: more would cost more than it gives.

use alloc::string::String;
use alloc::vec::Vec;

use super::table;

/// Most words that are listed.
pub const MAX_LISTED: usize = 100;

/// Things that only the kernel can name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Commands: those in `table`.
    Command,
    /// Loaded modules.
    Module,
    /// Module files of the archive, by name.
    Archive,
    /// Functions; behind `MOD:`, those of that module, and without it also each `MOD:`.
    Function,
    /// Files, without the leading slash.
    Path,
    /// Buffers that `buf` made, without the `&`.
    Buffer,
    /// Switches of `trace set`, without the `no`.
    Switch,
}

/// Hands over every name of a kind. The word as far as it is typed says of which module;
/// only what is behind its `:` or leading `/` is compared.
pub type Names<'n> = dyn FnMut(Kind, &[u8], &mut dyn FnMut(&str)) + 'n;

/// The words that fit what is typed.
#[derive(Debug, Default)]
pub struct Choices {
    word: Vec<u8>,
    /// How much of the first name all have.
    common: usize,
    /// At most [`MAX_LISTED`], in the order in which they came.
    pub names: Vec<String>,
    /// There are more than that.
    pub more: bool,
}

impl Choices {
    /// Takes a name that fits, as far as the first `/` or `=` behind the word.
    #[cfg_attr(target_os = "none", optimize(size))]
    fn offer(&mut self, name: &str) {
        // One with a blank would have to be quoted.
        let fits = name.as_bytes().starts_with(&self.word);
        if !fits || name.is_empty() || name.contains(' ') {
            return;
        }
        let rest = &name.as_bytes()[self.word.len()..];
        let end = rest.iter().position(|byte| matches!(byte, b'/' | b'='));
        let len = end.map_or(name.len(), |end| self.word.len() + end + 1);
        let name = name.get(..len).unwrap_or_default();
        match self.names.first() {
            None => self.common = len,
            Some(first) => {
                let alike = first.bytes().zip(name.bytes()).take_while(|(a, b)| a == b).count();
                self.common = self.common.min(alike);
            }
        }
        if self.names.iter().any(|other| other == name) {
            return;
        }
        self.more = self.names.len() == MAX_LISTED;
        if !self.more {
            self.names.push(name.into());
        }
    }

    /// What all of them have behind the word; with a blank if there is only one, and
    /// nothing of the same word follows.
    #[must_use]
    #[cfg_attr(target_os = "none", optimize(size))]
    pub fn tail(&self) -> Vec<u8> {
        let first = self.names.first().map(String::as_bytes).unwrap_or_default();
        let mut tail = first.get(self.word.len()..self.common).unwrap_or_default().to_vec();
        if self.names.len() == 1 && !matches!(first.last(), Some(b'/' | b':' | b'=')) {
            tail.push(b' ');
        }
        tail
    }
}

/// Place-holders of usage lines, and what they stand for: the first that fits.
const HOLDERS: [(&[u8], Kind); 8] = [
    (b"COMMAND", Kind::Command),
    (b"MOD:", Kind::Function),
    (b"FUNCTION", Kind::Function),
    (b"GLOB", Kind::Function),
    (b"FILE", Kind::Path),
    (b"DIR", Kind::Path),
    (b"NAME|PATH", Kind::Archive),
    (b"MOD", Kind::Module),
];

/// A word without the `MOD:` in front; paths of Rust have two colons.
#[must_use]
pub fn behind_module(word: &[u8]) -> &[u8] {
    match word.iter().position(|byte| *byte == b':').map(|at| &word[at + 1..]) {
        Some(behind) if behind.first() != Some(&b':') => behind,
        _ => word,
    }
}

/// What may stand at the end of `line`, with what it has there already.
#[must_use]
#[inline(never)]
#[cfg_attr(target_os = "none", optimize(size))]
pub fn complete(line: &[u8], names: &mut Names<'_>) -> Choices {
    let mut choices = Choices::default();
    let start = line.iter().rposition(|byte| *byte == b';').map_or(0, |at| at + 1);
    let statement = line[start..].trim_ascii_start();
    let statement = statement.strip_prefix(b"! ").unwrap_or(statement);
    let blank = |byte: &u8| *byte == b' ';
    let typed = &statement[statement.iter().rposition(blank).map_or(0, |at| at + 1)..];
    let compared = behind_module(typed);
    let end = statement.iter().position(blank);
    // Of these it is known at once what they are.
    let (kind, compared) = match typed {
        _ if end.is_none() => (Some(Kind::Command), compared),
        [b'&', name @ ..] => (Some(Kind::Buffer), name),
        _ if statement.starts_with(b"trace set ") => {
            (Some(Kind::Switch), typed.strip_prefix(b"no").unwrap_or(typed))
        }
        _ => (None, compared.strip_prefix(b"/").unwrap_or(compared)),
    };
    choices.word = compared.to_vec();
    if let Some(kind) = kind {
        names(kind, typed, &mut |name| choices.offer(name));
        return choices;
    }
    let usage = table::find(&statement[..end.unwrap_or(0)]).map_or("", |entry| entry.usage());
    // Behind the command: what is typed, and what its usage line has.
    let behind = end.map_or(0, |end| end + 1);
    let args = usage.as_bytes().get(behind..).unwrap_or_default();
    let said = &statement[behind..];
    let len = said.iter().position(blank).unwrap_or(said.len());
    let (first, second) = (&said[..len], len < said.len());
    // These load what is not there.
    let loads = usage.starts_with("modprobe") || first == b"enable";
    // Of a command with forms (`call ... | stub ADDR`) the first word says which one.
    let forms = args.first().is_some_and(u8::is_ascii_lowercase);
    let (mut begins, mut ours) = (forms, !forms);
    for token in args.split(blank) {
        if forms && (begins || token == b"|") {
            begins = token == b"|";
            ours = second && first == token;
            if !second && !begins {
                choices.offer(core::str::from_utf8(token).unwrap_or_default());
            }
            continue;
        }
        if !ours {
            continue;
        }
        let name = token.strip_prefix(b"[").unwrap_or(token);
        let name = if loads && matches!(name, b"NAME" | b"MOD") { b"NAME|PATH" } else { name };
        if let Some((_, kind)) = HOLDERS.iter().find(|(holder, _)| name.starts_with(holder)) {
            let path = *kind == Kind::Archive && typed.starts_with(b"/");
            let kind = if path { Kind::Path } else { *kind };
            names(kind, typed, &mut |name| choices.offer(name));
            continue;
        }
        // `--stubs=default|seed`: what is before the `=` belongs to each.
        let equals = name.iter().position(|byte| *byte == b'=').map_or(0, |at| at + 1);
        let (option, values) = name.split_at(equals);
        for value in values.split(|byte| matches!(byte, b'|' | b']')) {
            let word = [option, value].concat();
            if value.is_empty() {
                continue;
            }
            if word.starts_with(b"--") || word.iter().all(u8::is_ascii_lowercase) {
                choices.offer(core::str::from_utf8(&word).unwrap_or_default());
            }
        }
    }
    choices
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Completes a line in a small world: what is put in, and of which names.
    fn tab(line: &str) -> (String, Vec<String>) {
        let mut world = |kind: Kind, word: &[u8], offer: &mut dyn FnMut(&str)| {
            let names: &[&str] = match kind {
                Kind::Command => return table::TABLE.iter().for_each(|entry| offer(entry.name())),
                Kind::Module => &["demo", "demo_user"],
                Kind::Archive => &["crc7", "demo", "demo_fix", "hello"],
                Kind::Function if word.starts_with(b"demo:") => &["answer", "call_answer"],
                Kind::Function if word.starts_with(b"rust:") => &["rust::sum_to", "<A as B>::f"],
                Kind::Function => &["answer", "call_answer", "other", "demo:"],
                Kind::Path => &["proc/modules", "proc/kallsyms", "sys/module/demo/refcnt"],
                Kind::Buffer => &["key", "kind"],
                Kind::Switch => &["raw", "overwrite", "funcgraph-args"],
            };
            names.iter().for_each(|name| offer(name));
        };
        let choices = complete(line.as_bytes(), &mut world);
        (String::from_utf8(choices.tail()).unwrap(), choices.names)
    }

    fn put_in(line: &str) -> String {
        tab(line).0
    }

    #[test]
    fn one_candidate_is_put_in_with_a_blank_behind_it() {
        assert_eq!(put_in("ins"), "mod ");
        assert_eq!(put_in("insmod cr"), "c7 ");
        assert_eq!(put_in("echo a; ! rmmod demo_"), "user ");
        assert_eq!(put_in("help liv"), "epatch ");
        assert_eq!(put_in("livepatch en"), "able ");
        assert_eq!(put_in("livepatch enable demo_f"), "ix ");
        assert_eq!(put_in("modprobe cr"), "c7 ");
        assert_eq!(put_in("cat /proc/mo"), "dules ");
        assert_eq!(put_in("echo 1 > /proc/mo"), "dules ");
        assert_eq!(put_in("explain reloc demo_"), "user ");
        assert_eq!(put_in("call -n 3 -c 1 demo:an"), "swer ");
        assert_eq!(put_in("call rust::su"), "m_to ");
        assert_eq!(put_in("call rust:rust::su"), "m_to ");
        assert_eq!(put_in("call rust:<A"), "");
        assert_eq!(put_in("watch r2 ca"), "ll");
        assert_eq!(put_in("insmod demo --l"), "ink-only ");
        assert_eq!(put_in("insmod /proc/mo"), "dules ");
        assert_eq!(put_in("livepatch burn of"), "f ");
        assert_eq!(put_in("x &ke"), "y ");
        assert_eq!(put_in("call answer 1 &ki"), "nd ");
        assert_eq!(put_in("trace set raw func"), "graph-args ");
        assert_eq!(put_in("trace set noover"), "write ");
        assert_eq!(put_in("insmod demo --stubs=s"), "eed ");
        assert_eq!(put_in("livepatch disable demo_"), "user ");
    }

    #[test]
    fn what_goes_on_gets_no_blank() {
        assert_eq!(put_in("cat /p"), "roc/");
        assert_eq!(put_in("cat /sys/module/d"), "emo/");
        assert_eq!(put_in("call d"), "emo:");
        assert_eq!(put_in("insmod demo --s"), "tubs=");
    }

    #[test]
    fn of_several_the_common_beginning_is_put_in_and_they_are_listed_in_order() {
        let (tail, names) = tab("lsmod; rmmod d");
        assert_eq!((tail.as_str(), names), ("emo", vec!["demo".into(), "demo_user".into()]));
        let (tail, names) = tab("call answer ");
        assert_eq!((tail.as_str(), names.len()), ("", 4));
        let (tail, names) = tab("explain call o");
        assert_eq!((tail.as_str(), names), ("ther ", vec!["other".into()]));
        let values = ["--stubs=default", "--stubs=seed", "--stubs=linux", "--stubs=wrong"];
        assert_eq!(tab("insmod demo --stubs=").1, values);
        assert_eq!(tab("x &k").1, ["key", "kind"]);
        assert_eq!(tab("trace set ").1, ["raw", "overwrite", "funcgraph-args"]);
    }

    #[test]
    fn the_first_word_of_a_command_with_forms_says_which_one() {
        assert_eq!(tab("explain ").1, ["call", "stub", "reloc", "frame", "oops"]);
        assert_eq!(tab("explain reloc ").1, ["demo", "demo_user"]);
        assert_eq!(tab("! explain o").1, ["oops"]);
        assert_eq!(tab("watch ").1, ["r2"]);
        assert_eq!(tab("livepatch burn ").1, ["on", "off"]);
        assert_eq!(tab("trace o").1, ["on", "off"]);
        assert_eq!(tab("trace graph an").1, ["answer"]);
        assert_eq!(tab("insmod linu").1, [""; 0]);
    }

    #[test]
    fn nothing_is_put_in_where_nothing_is_known() {
        for line in
            ["frobnicate d", "echo \"ins", "x ke", "mem de", "call answer nos", "trace off z"]
        {
            assert_eq!(tab(line), (String::new(), vec![]), "{line}");
        }
    }

    #[test]
    fn a_long_list_is_cut_but_its_common_beginning_is_that_of_all() {
        let mut many = |_: Kind, _: &[u8], offer: &mut dyn FnMut(&str)| {
            for n in 0..=MAX_LISTED {
                offer(&format!("f{n:03}"));
            }
            offer("f_last");
        };
        let choices = complete(b"call f", &mut many);
        assert_eq!((choices.names.len(), choices.more, choices.tail()), (100, true, vec![]));
    }

    /// No usage line makes the walk stop or offer what is no word of it.
    #[test]
    fn every_command_can_be_completed_at_any_of_its_words() {
        for entry in table::TABLE {
            let mut line = String::from(entry.example());
            while !line.is_empty() {
                for name in tab(&line).1 {
                    assert!(!name.contains(['[', ']', '|', '.', ' ']), "{line}: {name}");
                }
                line.pop();
            }
        }
    }
}
