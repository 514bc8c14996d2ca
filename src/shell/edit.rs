//! The line editor of a person's terminal: keys in, echo out.
//!
//! ```text
//!  key bytes ──> Editor::key ──> Event: nothing yet | Line | Interrupt | EndOfInput
//!                    │
//!                    └──> echo: what keeps the terminal's line equal to ours
//! ```
//!
//! | Key | Does |
//! |---|---|
//! | left, right, Home, End, Ctrl-A, Ctrl-E | move |
//! | Backspace, Delete, Ctrl-D | delete before, under, under the cursor |
//! | Ctrl-U, Ctrl-K | delete to the start, to the end |
//! | up, down, Ctrl-P, Ctrl-N | walk through the history |
//! | Tab | complete the word, by [`super::complete`] |
//! | Ctrl-C | drop the line; Ctrl-D on an empty line ends the input |
//!
//! # Invariants
//! - The terminal needs to know only backspace, carriage return, line feed, bell
//!   and `ESC [ K` (erase to the end of the line), as any VT100 does.
//! - The line is UTF-8 without control characters, and the cursor stands between
//!   characters. Every character is taken to be one column wide.
//! - All memory is taken when the editor is made: keys and history never
//!   allocate, and a full line rings the bell instead of growing.
//!
//! A line longer than the terminal is wide is echoed right as it is typed, but
//! backspace does not climb to the row above: the usual price of an editor that
//! does not ask the terminal for its width.

use alloc::vec::Vec;

/// Longest line, in bytes.
pub const MAX_LINE: usize = 1024;

/// Lines that the history keeps.
pub const MAX_HISTORY: usize = 32;

/// What a key led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// Go on.
    None,
    /// A line is complete: take it from [`Editor::line`] before the next key.
    Line,
    /// Tab: [`Editor::put_in`] what completes [`Editor::before`].
    Complete,
    /// Ctrl-C: the line was dropped.
    Interrupt,
    /// Ctrl-D on an empty line.
    EndOfInput,
}

/// How far an escape sequence has been read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Escape {
    None,
    /// `ESC`
    Begun,
    /// `ESC [` or `ESC O`, then this number.
    Sequence(u8),
}

/// The state of one terminal's line.
#[derive(Debug)]
pub struct Editor {
    line: Vec<u8>,
    cursor: usize,
    /// The first bytes of a character whose last has not come yet.
    partial: Vec<u8>,
    /// The line was handed out; the next key begins a new one.
    finished: bool,
    after_return: bool,
    escape: Escape,
    /// Oldest first.
    history: Vec<Vec<u8>>,
    /// Index in `history` of what is shown; its length for the person's own line.
    shown: usize,
    /// The person's own line while the history is shown.
    draft: Vec<u8>,
}

impl Default for Editor {
    fn default() -> Self {
        Self::new()
    }
}

impl Editor {
    /// An empty line with an empty history.
    #[must_use]
    pub fn new() -> Self {
        Self {
            line: Vec::with_capacity(MAX_LINE),
            cursor: 0,
            partial: Vec::with_capacity(4),
            finished: false,
            after_return: false,
            escape: Escape::None,
            history: (0..MAX_HISTORY).map(|_| Vec::with_capacity(MAX_LINE)).collect(),
            shown: MAX_HISTORY,
            draft: Vec::with_capacity(MAX_LINE),
        }
    }

    /// The line as it stands, without its line end.
    #[must_use]
    pub fn line(&self) -> &[u8] {
        &self.line
    }

    /// The line up to the cursor.
    #[must_use]
    pub fn before(&self) -> &[u8] {
        &self.line[..self.cursor]
    }

    /// Puts text in at the cursor, as if it had been typed.
    #[cfg_attr(target_os = "none", optimize(size))]
    pub fn put_in(&mut self, text: &[u8], echo: &mut dyn FnMut(&[u8])) {
        for byte in text {
            self.plain_key(*byte, echo);
        }
    }

    /// Shows the line once more, where the terminal has something else by now.
    #[cfg_attr(target_os = "none", optimize(size))]
    pub fn redraw(&self, echo: &mut dyn FnMut(&[u8])) {
        echo(&self.line);
        back(columns(&self.line[self.cursor..]), echo);
    }

    /// Takes one byte from the terminal; `echo` is handed what to send back.
    #[cfg_attr(target_os = "none", optimize(size))]
    pub fn key(&mut self, byte: u8, echo: &mut dyn FnMut(&[u8])) -> Event {
        if self.finished {
            self.finished = false;
            self.line.clear();
            self.cursor = 0;
            self.shown = MAX_HISTORY;
        }
        // A terminal that sends CR LF has ended one line, not two.
        if core::mem::replace(&mut self.after_return, byte == b'\r') && byte == b'\n' {
            return Event::None;
        }
        match (self.escape, byte) {
            (Escape::None, _) => return self.plain_key(byte, echo),
            (Escape::Begun, b'[' | b'O') => self.escape = Escape::Sequence(0),
            (Escape::Sequence(n), b'0'..=b'9') => {
                let n = n.saturating_mul(10).saturating_add(byte - b'0');
                self.escape = Escape::Sequence(n);
            }
            // Parameters of keys with Shift or Ctrl: read over.
            (Escape::Sequence(_), b' '..=b'?') => {}
            (Escape::Sequence(n), _) => {
                self.escape = Escape::None;
                self.special_key(n, byte, echo);
            }
            (Escape::Begun, _) => self.escape = Escape::None,
        }
        Event::None
    }

    #[cfg_attr(target_os = "none", optimize(size))]
    fn plain_key(&mut self, byte: u8, echo: &mut dyn FnMut(&[u8])) -> Event {
        match byte {
            b'\r' | b'\n' => {
                self.move_to(self.line.len(), echo);
                echo(b"\r\n");
                self.remember();
                self.finished = true;
                return Event::Line;
            }
            0x03 => {
                echo(b"^C\r\n");
                self.line.clear();
                self.finished = true;
                return Event::Interrupt;
            }
            0x04 if self.line.is_empty() => {
                echo(b"\r\n");
                return Event::EndOfInput;
            }
            0x01 => self.move_to(0, echo),
            0x04 => self.delete(self.cursor, self.after_cursor(), echo),
            0x05 => self.move_to(self.line.len(), echo),
            0x09 => return Event::Complete,
            0x08 | 0x7f => self.delete(self.before_cursor(), self.cursor, echo),
            0x0b => self.delete(self.cursor, self.line.len(), echo),
            0x0e => self.walk_history(self.shown.saturating_add(1), echo),
            0x10 => self.walk_history(self.shown.wrapping_sub(1), echo),
            0x15 => self.delete(0, self.cursor, echo),
            0x1b => self.escape = Escape::Begun,
            b' '..=0x7e | 0x80.. => self.insert(byte, echo),
            _ => echo(b"\x07"),
        }
        Event::None
    }

    /// `ESC [ number final`, or `ESC O final`.
    #[cfg_attr(target_os = "none", optimize(size))]
    fn special_key(&mut self, number: u8, last: u8, echo: &mut dyn FnMut(&[u8])) {
        match (last, number) {
            (b'A', _) => self.walk_history(self.shown.wrapping_sub(1), echo),
            (b'B', _) => self.walk_history(self.shown.saturating_add(1), echo),
            (b'C', _) => self.move_to(self.after_cursor(), echo),
            (b'D', _) => self.move_to(self.before_cursor(), echo),
            (b'H', _) | (b'~', 1 | 7) => self.move_to(0, echo),
            (b'F', _) | (b'~', 4 | 8) => self.move_to(self.line.len(), echo),
            (b'~', 3) => self.delete(self.cursor, self.after_cursor(), echo),
            _ => {}
        }
    }

    /// Where the character before the cursor begins.
    fn before_cursor(&self) -> usize {
        let mut before = self.line[..self.cursor].iter();
        before.rposition(|&b| !is_continuation(b)).unwrap_or(0)
    }

    /// Where the character under the cursor ends.
    fn after_cursor(&self) -> usize {
        let from = (self.cursor + 1).min(self.line.len());
        let rest = self.line[from..].iter();
        from + rest.take_while(|&&b| is_continuation(b)).count()
    }

    /// Takes one byte of a character; the last one puts the character in.
    #[cfg_attr(target_os = "none", optimize(size))]
    fn insert(&mut self, byte: u8, echo: &mut dyn FnMut(&[u8])) {
        if !is_continuation(byte) {
            self.partial.clear();
        }
        self.partial.push(byte);
        let len = match self.partial[0] {
            0xf0..=0xf7 => 4,
            0xe0..=0xef => 3,
            0xc0..=0xdf => 2,
            _ => 1,
        };
        if self.partial.len() < len {
            return;
        }
        let text = core::str::from_utf8(&self.partial).unwrap_or("\0");
        if text.contains(char::is_control) || self.line.len() + len > MAX_LINE {
            self.partial.clear();
            return echo(b"\x07");
        }
        self.line.splice(self.cursor..self.cursor, self.partial.drain(..));
        echo(&self.line[self.cursor..]);
        self.cursor += len;
        back(columns(&self.line[self.cursor..]), echo);
    }

    #[cfg_attr(target_os = "none", optimize(size))]
    fn delete(&mut self, from: usize, to: usize, echo: &mut dyn FnMut(&[u8])) {
        if from == to {
            return echo(b"\x07");
        }
        self.move_to(from, echo);
        self.line.drain(from..to);
        let tail = &self.line[from..];
        echo(tail);
        echo(b"\x1b[K");
        back(columns(tail), echo);
    }

    #[cfg_attr(target_os = "none", optimize(size))]
    fn move_to(&mut self, to: usize, echo: &mut dyn FnMut(&[u8])) {
        if to < self.cursor {
            back(columns(&self.line[to..self.cursor]), echo);
        } else {
            echo(&self.line[self.cursor..to]);
        }
        self.cursor = to;
    }

    /// Shows history entry `to`, or the person's own line one past the newest.
    #[cfg_attr(target_os = "none", optimize(size))]
    fn walk_history(&mut self, to: usize, echo: &mut dyn FnMut(&[u8])) {
        if to > MAX_HISTORY || self.history.get(to).is_some_and(Vec::is_empty) {
            return echo(b"\x07");
        }
        if self.shown == MAX_HISTORY {
            self.draft.clone_from(&self.line);
        }
        back(columns(&self.line[..self.cursor]), echo);
        self.line.clone_from(self.history.get(to).unwrap_or(&self.draft));
        self.cursor = self.line.len();
        self.shown = to;
        echo(&self.line);
        echo(b"\x1b[K");
    }

    /// Puts the finished line at the history's new end.
    #[cfg_attr(target_os = "none", optimize(size))]
    fn remember(&mut self) {
        let newest = self.history.last();
        if self.line.trim_ascii().is_empty() || newest.is_some_and(|last| *last == self.line) {
            return;
        }
        self.history.rotate_left(1);
        if let Some(last) = self.history.last_mut() {
            last.clone_from(&self.line);
        }
    }
}

fn is_continuation(byte: u8) -> bool {
    byte & 0xc0 == 0x80
}

fn columns(bytes: &[u8]) -> usize {
    bytes.iter().filter(|&&b| !is_continuation(b)).count()
}

fn back(columns: usize, echo: &mut dyn FnMut(&[u8])) {
    for _ in 0..columns {
        echo(b"\x08");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A VT100 of one row: what a person sees of the current line.
    #[derive(Default)]
    struct Terminal {
        row: Vec<char>,
        column: usize,
        pending: Vec<u8>,
        bells: usize,
    }

    impl Terminal {
        fn receive(&mut self, bytes: &[u8]) {
            self.pending.extend(bytes);
            while let Some(&first) = self.pending.first() {
                let len = match first {
                    0x1b => 3,
                    0xc0..=0xdf => 2,
                    0xe0..=0xef => 3,
                    0xf0.. => 4,
                    _ => 1,
                };
                if self.pending.len() < len {
                    return;
                }
                let unit: Vec<u8> = self.pending.drain(..len).collect();
                match unit[0] {
                    0x1b => {
                        assert_eq!(unit, b"\x1b[K");
                        self.row.truncate(self.column);
                    }
                    0x08 => self.column -= 1,
                    b'\r' => self.column = 0,
                    b'\n' => self.row.clear(),
                    0x07 => self.bells += 1,
                    _ => {
                        let c = core::str::from_utf8(&unit).unwrap().chars().next().unwrap();
                        self.row.truncate(self.row.len().max(self.column));
                        if self.column < self.row.len() {
                            self.row[self.column] = c;
                        } else {
                            self.row.push(c);
                        }
                        self.column += 1;
                    }
                }
            }
        }

        fn text(&self) -> String {
            self.row.iter().collect()
        }
    }

    struct Desk {
        editor: Editor,
        terminal: Terminal,
        lines: Vec<String>,
        last: Event,
    }

    impl Desk {
        fn new() -> Self {
            Self {
                editor: Editor::new(),
                terminal: Terminal::default(),
                lines: Vec::new(),
                last: Event::None,
            }
        }

        fn keys(&mut self, keys: &[u8]) -> &mut Self {
            for &key in keys {
                let terminal = &mut self.terminal;
                self.last = self.editor.key(key, &mut |bytes| terminal.receive(bytes));
                if self.last == Event::Line {
                    let line = core::str::from_utf8(self.editor.line()).unwrap();
                    self.lines.push(line.into());
                }
            }
            self
        }

        /// What is seen, with `|` for the cursor.
        fn seen(&self) -> String {
            let mut row = self.terminal.row.clone();
            row.insert(self.terminal.column, '|');
            row.into_iter().collect()
        }
    }

    const LEFT: &[u8] = b"\x1b[D";
    const RIGHT: &[u8] = b"\x1b[C";
    const UP: &[u8] = b"\x1b[A";
    const DOWN: &[u8] = b"\x1b[B";

    #[test]
    fn typing_moving_and_deleting_are_seen_as_they_are_done() {
        let mut desk = Desk::new();
        assert_eq!(desk.keys(b"helo").seen(), "helo|");
        assert_eq!(desk.keys(LEFT).keys(b"l").seen(), "hell|o");
        assert_eq!(desk.keys(b"\x01").keys(RIGHT).keys(b"\x7f").seen(), "|ello");
        assert_eq!(desk.keys(b"\x1b[3~\x1b[F!").seen(), "llo!|");
        assert_eq!(desk.keys(b"\x1bOH").keys(RIGHT).keys(b"\x0b").seen(), "l|");
        assert_eq!(desk.keys(b"mn\x1b[D\x15").seen(), "|n");
        assert_eq!(desk.keys(b"\x04").seen(), "|");
        assert_eq!(desk.terminal.bells, 0);
    }

    #[test]
    fn a_tab_asks_and_what_is_put_in_stands_before_the_cursor() {
        let mut desk = Desk::new();
        desk.keys(b"ins demo").keys(b"\x01").keys(RIGHT).keys(RIGHT).keys(RIGHT).keys(b"\t");
        assert_eq!((desk.last, desk.editor.before()), (Event::Complete, &b"ins"[..]));
        let terminal = &mut desk.terminal;
        desk.editor.put_in(b"mod", &mut |bytes| terminal.receive(bytes));
        assert_eq!(desk.seen(), "insmod| demo");
        let terminal = &mut desk.terminal;
        terminal.receive(b"\r\n");
        desk.editor.redraw(&mut |bytes| terminal.receive(bytes));
        assert_eq!(desk.seen(), "insmod| demo");
    }

    #[test]
    fn enter_hands_the_line_out_wherever_the_cursor_is() {
        let mut desk = Desk::new();
        desk.keys(b"abc").keys(LEFT).keys(b"\r\nx\r\r\n\n");
        assert_eq!(desk.lines, ["abc", "x", "", ""]);
        assert_eq!(desk.seen(), "|");
    }

    #[test]
    fn the_cursor_steps_over_whole_characters() {
        let mut desk = Desk::new();
        assert_eq!(desk.keys("né€".as_bytes()).keys(LEFT).keys(LEFT).seen(), "n|é€");
        assert_eq!(desk.keys(RIGHT).keys(b"\x7f").seen(), "n|€");
        assert_eq!(desk.keys("ü".as_bytes()).keys(b"\x04").seen(), "nü|");
        assert_eq!(desk.keys(b"\r").lines, ["nü"]);
    }

    #[test]
    fn the_history_is_walked_up_and_down_and_the_draft_comes_back() {
        let mut desk = Desk::new();
        desk.keys(b"one\rtwo\rtwo\r  \rdr");
        assert_eq!(desk.keys(UP).seen(), "two|");
        assert_eq!(desk.keys(UP).seen(), "one|");
        assert_eq!(desk.keys(UP).seen(), "one|");
        assert_eq!(desk.keys(DOWN).keys(DOWN).seen(), "dr|");
        assert_eq!(desk.keys(DOWN).seen(), "dr|");
        assert_eq!(desk.terminal.bells, 2);
        desk.keys(UP).keys(b"\x7f\r").keys(UP);
        assert_eq!(desk.lines.last().unwrap(), "tw");
        assert_eq!(desk.keys(UP).seen(), "two|");
    }

    #[test]
    fn the_history_keeps_its_newest_lines_only() {
        let mut desk = Desk::new();
        for n in 0..=MAX_HISTORY {
            desk.keys(format!("{n}\r").as_bytes());
        }
        for _ in 0..MAX_HISTORY {
            desk.keys(UP);
        }
        assert_eq!((desk.seen().as_str(), desk.terminal.bells), ("1|", 0));
        assert_eq!(desk.keys(UP).terminal.bells, 1);
    }

    #[test]
    fn control_c_drops_the_line_and_control_d_ends_an_empty_one() {
        let mut desk = Desk::new();
        assert_eq!(desk.keys(b"abc\x03").last, Event::Interrupt);
        assert_eq!(desk.keys(b"d").seen(), "d|");
        assert_eq!(desk.keys(b"\x7f").keys(b"\x04").last, Event::EndOfInput);
    }

    #[test]
    fn a_full_line_rings_and_does_not_grow() {
        let mut desk = Desk::new();
        desk.keys(&[b'a'; MAX_LINE]);
        assert_eq!(desk.terminal.bells, 0);
        desk.keys(b"b");
        assert_eq!((desk.terminal.bells, desk.editor.line().len()), (1, MAX_LINE));
        assert_eq!(desk.editor.line.capacity(), MAX_LINE);
    }

    #[test]
    fn keys_that_mean_nothing_here_leave_the_line_alone() {
        let mut desk = Desk::new();
        assert_eq!(desk.keys(b"ab\x1b[15~\x1b[1;5P\x1bz\x1bOQ").seen(), "ab|");
    }

    proptest! {
        #[test]
        fn what_is_seen_is_the_line_after_any_keys(
            keys in prop::collection::vec(prop::sample::select(vec![
                "a", "b", "é", "€", "\x1b[D", "\x1b[C", "\x1b[A", "\x1b[B", "\x1b[3~",
                "\x01", "\x05", "\x7f", "\x0b", "\x15", "\r", "\x03", "x\x04",
            ]), 0..60),
        ) {
            let mut desk = Desk::new();
            for key in keys {
                desk.keys(key.as_bytes());
                if !desk.editor.finished {
                    let line = String::from_utf8(desk.editor.line.clone()).unwrap();
                    prop_assert_eq!(desk.terminal.text(), line);
                    let cursor = columns(&desk.editor.line[..desk.editor.cursor]);
                    prop_assert_eq!(desk.terminal.column, cursor);
                }
            }
        }

        #[test]
        fn no_bytes_stop_the_editor(keys in prop::collection::vec(any::<u8>(), 0..300)) {
            let mut editor = Editor::new();
            for key in keys {
                editor.key(key, &mut |_| {});
            }
        }
    }
}
