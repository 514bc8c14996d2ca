//! The line editor of a person's terminal: keys in, echo out.
//!
//! ```text
//!  key bytes ──> Editor::key ──> Event: nothing yet | Line | Interrupt | EndOfInput
//!                    │
//!                    └──> echo: what keeps the terminal's row equal to our line
//!
//!  a line wider than the row:    tocsin> <ight nine ten eleven twe>
//!                                         └────── the window ─────┘
//! ```
//!
//! | Key | Does |
//! |---|---|
//! | left, right, Ctrl-B, Ctrl-F, Home, End, Ctrl-A, Ctrl-E | move |
//! | Backspace, Delete, Ctrl-D | delete before, under, under the cursor |
//! | Ctrl-U, Ctrl-K, Ctrl-W | delete to the start, to the end, the word before |
//! | up, down, Ctrl-P, Ctrl-N | walk through the history |
//! | Tab | complete the word, by [`super::complete`] |
//! | Ctrl-L | clear the screen |
//! | Ctrl-C | drop the line; Ctrl-D on an empty line ends the input |
//!
//! # Invariants
//! - The terminal needs to know only backspace, carriage return, line feed, bell
//!   and `ESC [ K` (erase to the end of the line), as any VT100 does.
//! - Nothing is written outside the window, whose width the owner says
//!   ([`Editor::set_window`]): so the cursor stays in one row, from which backspace
//!   reaches all that is shown. Only Enter shows a wider line whole, below which the
//!   screen goes on.
//! - The line is UTF-8 without control characters, and the cursor stands between
//!   characters. Every character is taken to be one column wide.
//! - All memory is taken when the editor is made: keys and history never
//!   allocate, and a full line rings the bell instead of growing.
//!
//! Wrapping a long line would need the column at which each terminal wraps, and rows
//! above that may have scrolled away: one row that moves is less, and cannot be wrong.

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
    /// Ctrl-L: clear the screen, then prompt and [`Editor::redraw`].
    Clear,
    /// The terminal's answer to `screen::ASK`: rows and columns, of which 255 may be more.
    Size(u8, u8),
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
    /// `ESC [` or `ESC O`, then numbers: the last but one and the last.
    Sequence(u8, u8),
}

/// The state of one terminal's line.
#[derive(Debug)]
pub struct Editor {
    line: Vec<u8>,
    cursor: usize,
    /// The first bytes of a character whose last has not come yet.
    partial: Vec<u8>,
    /// Columns that are shown of the line, beside one more for `>` or the cursor.
    window: usize,
    /// The line's column where the window begins.
    first: usize,
    /// The line's column where the terminal's cursor stands.
    column: usize,
    /// Columns of the line when it was last shown.
    shown_columns: usize,
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
            window: usize::MAX,
            first: 0,
            column: 0,
            shown_columns: 0,
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

    /// Says how many columns the terminal has behind the prompt, before a line begins or
    /// is shown once more. Until then there is no end to them.
    #[inline(never)]
    #[cfg_attr(target_os = "none", optimize(size))]
    pub fn set_window(&mut self, columns: usize) {
        // The last column stays empty, for terminals differ in when they leave it; less
        // than this much would show nothing.
        self.window = columns.saturating_sub(2).max(8);
    }

    /// Shows the line once more, where the terminal has something else by now.
    pub fn redraw(&mut self, echo: &mut dyn FnMut(&[u8])) {
        (self.first, self.column) = (0, 0);
        self.show(self.cursor, true, echo);
    }

    /// Takes one byte from the terminal; `echo` is handed what to send back.
    #[cfg_attr(target_os = "none", optimize(size))]
    pub fn key(&mut self, byte: u8, echo: &mut dyn FnMut(&[u8])) -> Event {
        if self.finished {
            self.finished = false;
            self.line.clear();
            self.cursor = 0;
            (self.first, self.column, self.shown_columns) = (0, 0, 0);
            self.shown = MAX_HISTORY;
        }
        // A terminal that sends CR LF has ended one line, not two.
        if core::mem::replace(&mut self.after_return, byte == b'\r') && byte == b'\n' {
            return Event::None;
        }
        match (self.escape, byte) {
            (Escape::None, _) => return self.plain_key(byte, echo),
            (Escape::Begun, b'[' | b'O') => self.escape = Escape::Sequence(0, 0),
            (Escape::Sequence(before, n), b'0'..=b'9') => {
                let n = n.saturating_mul(10).saturating_add(byte - b'0');
                self.escape = Escape::Sequence(before, n);
            }
            (Escape::Sequence(_, n), b';') => self.escape = Escape::Sequence(n, 0),
            (Escape::Sequence(..), b' '..=b'?') => {}
            (Escape::Sequence(before, n), _) => {
                self.escape = Escape::None;
                match (before, byte) {
                    // In less nobody can work: then it is a key, such as F3 with Shift.
                    (2.., b'R') if n >= 20 => return Event::Size(before, n),
                    (1.., b'~') => {} // with Shift or Ctrl
                    _ => self.special_key(n, byte, echo),
                }
            }
            (Escape::Begun, _) => self.escape = Escape::None,
        }
        Event::None
    }

    #[cfg_attr(target_os = "none", optimize(size))]
    fn plain_key(&mut self, byte: u8, echo: &mut dyn FnMut(&[u8])) -> Event {
        match byte {
            b'\r' | b'\n' => {
                if self.first > 0 || self.shown_columns > self.window {
                    back(self.column - self.first, echo);
                    echo(&self.line);
                } else {
                    self.move_to(self.line.len(), echo);
                }
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
            // Those that have keys of their own.
            0x01 => self.special_key(0, b'H', echo),
            0x02 => self.special_key(0, b'D', echo),
            0x05 => self.special_key(0, b'F', echo),
            0x06 => self.special_key(0, b'C', echo),
            0x0e => self.special_key(0, b'B', echo),
            0x10 => self.special_key(0, b'A', echo),
            0x04 => self.delete(self.cursor, self.after_cursor(), echo),
            0x09 => return Event::Complete,
            0x0c => return Event::Clear,
            0x08 | 0x7f => self.delete(self.before_cursor(), self.cursor, echo),
            0x0b => self.delete(self.cursor, self.line.len(), echo),
            0x15 => self.delete(0, self.cursor, echo),
            0x17 => self.delete(self.before_word(), self.cursor, echo),
            0x1b => self.escape = Escape::Begun,
            b' '..=0x7e | 0x80.. => self.insert(byte, echo),
            _ => echo(b"\x07"),
        }
        Event::None
    }

    /// `ESC [ number final`, or `ESC O final`.
    #[inline(never)]
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

    /// Where the word before the cursor begins.
    #[cfg_attr(target_os = "none", optimize(size))]
    fn before_word(&self) -> usize {
        let mut at = self.cursor;
        for word in [false, true] {
            at = self.line[..at].iter().rposition(|b| (*b == b' ') == word).map_or(0, |at| at + 1);
        }
        at
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
        let at = self.cursor;
        for (place, byte) in (at..).zip(&self.partial) {
            self.line.insert(place, *byte);
        }
        self.partial.clear();
        self.show(at + len, true, echo);
    }

    #[cfg_attr(target_os = "none", optimize(size))]
    fn delete(&mut self, from: usize, to: usize, echo: &mut dyn FnMut(&[u8])) {
        if from == to {
            return echo(b"\x07");
        }
        self.line.drain(from..to);
        self.show(from, true, echo);
    }

    #[inline(never)]
    fn move_to(&mut self, to: usize, echo: &mut dyn FnMut(&[u8])) {
        self.show(to, false, echo);
    }

    /// Puts the cursor before this byte and the window where it is seen. If the line has
    /// `changed`, then behind the old place of the cursor and the new one.
    #[inline(never)]
    #[cfg_attr(target_os = "none", optimize(size))]
    fn show(&mut self, cursor: usize, mut changed: bool, echo: &mut dyn FnMut(&[u8])) {
        self.cursor = cursor;
        let goal = columns(&self.line[..cursor]);
        // What is before the cursor is seen too, beside the `<`.
        if (self.first > 0 && goal < self.first + 2) || goal - self.first > self.window {
            back(self.column - self.first, echo);
            self.first = goal.saturating_sub(self.window / 2);
            self.column = self.first;
            if self.first > 0 {
                echo(b"<");
                self.column += 1;
            }
            changed = true;
            self.shown_columns = usize::MAX;
        }
        let start = self.column.min(goal);
        let all = columns(&self.line);
        let most = if changed { self.first.saturating_add(self.window) } else { goal };
        let mut end = all.min(most);
        back(self.column - start, echo);
        echo(&self.line[place(&self.line, start)..place(&self.line, end)]);
        if changed {
            if end < all {
                echo(b">");
                end += 1;
            } else if all < self.shown_columns {
                echo(b"\x1b[K");
            }
            self.shown_columns = all;
        }
        back(end - goal, echo);
        self.column = goal;
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
        self.line.clone_from(self.history.get(to).unwrap_or(&self.draft));
        self.shown = to;
        self.cursor = self.line.len();
        back(self.column - self.first, echo);
        self.redraw(echo);
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

#[inline(never)]
#[cfg_attr(target_os = "none", optimize(size))]
fn columns(bytes: &[u8]) -> usize {
    bytes.iter().filter(|&&b| !is_continuation(b)).count()
}

/// Where the character of this column begins.
#[inline(never)]
#[cfg_attr(target_os = "none", optimize(size))]
fn place(line: &[u8], mut column: usize) -> usize {
    for (at, byte) in line.iter().enumerate() {
        if !is_continuation(*byte) {
            if column == 0 {
                return at;
            }
            column -= 1;
        }
    }
    line.len()
}

#[inline(never)]
#[cfg_attr(target_os = "none", optimize(size))]
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

    /// What a window shows of a line: what is left out on either side is marked.
    fn framed(editor: &Editor) -> String {
        let line = String::from_utf8(editor.line.clone()).unwrap();
        let mut text: String = line.chars().skip(editor.first).take(editor.window).collect();
        if editor.first > 0 {
            let rest: String = text.chars().skip(1).collect();
            text = format!("<{rest}");
        }
        if line.chars().count() > editor.first.saturating_add(editor.window) {
            text.push('>');
        }
        text
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

    /// Ten words in a window of 20 columns, as they are taken away again: at no time is
    /// something seen that is gone.
    #[test]
    fn of_a_line_wider_than_the_window_the_part_round_the_cursor_is_seen() {
        let mut desk = Desk::new();
        desk.editor.set_window(22);
        assert_eq!(desk.keys(b"one two three four f").seen(), "one two three four f|");
        assert_eq!(desk.keys(b"i").seen(), "<e four fi|");
        assert_eq!(desk.keys(b"ve six sev").seen(), "<e four five six sev|");
        assert_eq!(desk.keys(&[0x7f; 14]).seen(), "<e fou|");
        assert_eq!(desk.keys(&[0x7f; 5]).seen(), "< two thre|");
        assert_eq!(desk.keys(b"e four five six\x01").seen(), "|one two three four f>");
        assert_eq!(desk.keys(b"\x1b[3~").seen(), "|ne two three four fi>");
        assert_eq!(desk.keys(b"\r").lines, ["ne two three four five six"]);
        assert_eq!(desk.keys(b"short").keys(UP).seen(), "< five six|");
        assert_eq!(desk.keys(DOWN).seen(), "short|");
    }

    /// What is run stands on the screen, though it was wider than the window.
    #[test]
    fn enter_shows_a_wide_line_whole() {
        let mut desk = Desk::new();
        desk.editor.set_window(12);
        let mut sent = Vec::new();
        desk.keys(b"one two three");
        desk.editor.key(b'\r', &mut |bytes| sent.extend_from_slice(bytes));
        assert_eq!(sent, b"\x08\x08\x08\x08\x08\x08\x08one two three\r\n");
    }

    #[test]
    fn a_word_goes_at_once_and_keys_move_that_have_no_arrows() {
        let mut desk = Desk::new();
        assert_eq!(desk.keys(b"one two  \x17").seen(), "one |");
        assert_eq!(desk.keys(b"\x02\x02\x06x").seen(), "onex| ");
        assert_eq!(desk.keys(b"\x17\x17").seen(), "| ");
        assert_eq!(desk.terminal.bells, 1);
        assert_eq!(desk.keys(b"\x0c").last, Event::Clear);
    }

    /// Whenever it comes; keys that are like it are none.
    #[test]
    fn the_terminals_answer_is_found_and_no_part_of_the_line() {
        let mut desk = Desk::new();
        assert_eq!(desk.keys(b"a\x1b[24;80R").last, Event::Size(24, 80));
        assert_eq!(desk.keys(b"\x1b[2;20R").last, Event::Size(2, 20));
        assert_eq!(desk.keys(b"\x1b[999;9999R").last, Event::Size(255, 255));
        for key in ["\x1bOR", "\x1b[R", "\x1b[80R", "\x1b[1;80R", "\x1b[24;19R", "\x1b[1;2R"] {
            assert_eq!(desk.keys(key.as_bytes()).last, Event::None, "{key:?}");
        }
        assert_eq!(desk.keys(b"b\x1b[3;5~").seen(), "ab|");
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
                "one two three",
            ]), 0..60),
            window in prop::sample::select(vec![usize::MAX, 10, 11, 30]),
        ) {
            let mut desk = Desk::new();
            desk.editor.set_window(window);
            for key in keys {
                desk.keys(key.as_bytes());
                if !desk.editor.finished {
                    let Editor { first, window, .. } = desk.editor;
                    prop_assert_eq!(desk.terminal.text(), framed(&desk.editor));
                    let cursor = columns(&desk.editor.line[..desk.editor.cursor]);
                    prop_assert_eq!(desk.terminal.column, cursor - first);
                    // The cursor is in the window, and so is what is before it.
                    prop_assert!(cursor - first <= window);
                    prop_assert!(first == 0 || cursor > first + 1);
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
