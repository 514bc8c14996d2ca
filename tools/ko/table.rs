//! Rows with named columns: printed as text, or as JSON.
//!
//! Every view of a module is such a table, so that the two outputs cannot differ
//! in what they say.

use serde_json::{Map, Value, json};

/// What stands in one column of one row.
pub enum Cell {
    /// A word or a sentence.
    Text(String),
    /// A count or a size.
    Number(u64),
    /// An address or an offset: `0x…`, in JSON as text, because a number of 64 bits
    /// is none there.
    Hex(u64),
    /// The same with a sign.
    Signed(i64),
    /// Yes or no.
    Flag(bool),
    /// Nothing to say: `-`, and null.
    None,
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::Text(text.into())
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<usize> for Cell {
    fn from(number: usize) -> Self {
        Self::Number(number as u64)
    }
}

impl<T: Into<Cell>> From<Option<T>> for Cell {
    fn from(cell: Option<T>) -> Self {
        cell.map_or(Self::None, Into::into)
    }
}

impl Cell {
    fn text(&self) -> String {
        match self {
            Self::Text(text) if text.is_empty() => "-".into(),
            Self::Text(text) => one_line(text),
            Self::Number(number) => number.to_string(),
            Self::Hex(number) => format!("{number:#x}"),
            Self::Signed(number) if *number < 0 => format!("-{:#x}", number.unsigned_abs()),
            Self::Signed(number) => format!("+{number:#x}"),
            Self::Flag(true) => "yes".into(),
            Self::Flag(false) => "no".into(),
            Self::None => "-".into(),
        }
    }

    fn json(&self) -> Value {
        match self {
            Self::Text(text) => json!(text),
            Self::Number(number) => json!(number),
            Self::Hex(_) | Self::Signed(_) => json!(self.text().trim_start_matches('+')),
            Self::Flag(flag) => json!(flag),
            Self::None => Value::Null,
        }
    }

    fn is_number(&self) -> bool {
        matches!(self, Self::Number(_) | Self::Hex(_) | Self::Signed(_))
    }
}

/// Text of a module, harmless on a terminal: no control characters.
fn one_line(text: &str) -> String {
    let plain = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.into() };
    text.chars().map(plain).collect()
}

/// Rows with named columns.
pub struct Table {
    /// What JSON calls the whole.
    pub name: &'static str,
    columns: &'static [&'static str],
    rows: Vec<Vec<Cell>>,
}

impl Table {
    /// An empty one.
    pub fn new(name: &'static str, columns: &'static [&'static str]) -> Self {
        Self { name, columns, rows: Vec::new() }
    }

    /// Adds a row, a cell for each column.
    pub fn row<const N: usize>(&mut self, cells: [Cell; N]) {
        assert_eq!(N, self.columns.len(), "{}", self.name);
        self.rows.push(cells.into());
    }

    /// As an array of objects.
    pub fn json(&self) -> Value {
        let row = |row: &Vec<Cell>| {
            let columns = self.columns.iter().map(ToString::to_string);
            Value::Object(Map::from_iter(columns.zip(row.iter().map(Cell::json))))
        };
        Value::Array(self.rows.iter().map(row).collect())
    }

    /// As lines under a line of headings, in columns; the last is as long as it is.
    pub fn text(&self) -> String {
        let rows: Vec<Vec<String>> =
            self.rows.iter().map(|row| row.iter().map(Cell::text).collect()).collect();
        let width = |column: usize| {
            let cells = rows.iter().map(|row| row[column].chars().count());
            cells.max().unwrap_or(0).max(self.columns[column].len())
        };
        let last = self.columns.len() - 1;
        let widths: Vec<usize> =
            (0..=last).map(|it| if it == last { 0 } else { width(it) }).collect();
        let right = |column: usize| {
            let mut cells = self.rows.iter().map(|row| &row[column]).peekable();
            column != last && cells.peek().is_some() && cells.all(Cell::is_number)
        };
        let right: Vec<bool> = (0..=last).map(right).collect();
        let mut text = String::new();
        let headings = self.columns.iter().map(ToString::to_string).collect();
        for row in std::iter::once(&headings).chain(&rows) {
            let mut line = String::new();
            for (column, cell) in row.iter().enumerate() {
                let width = widths[column];
                match right[column] {
                    true => line += &format!("{cell:>width$}  "),
                    false => line += &format!("{cell:<width$}  "),
                }
            }
            text += line.trim_end();
            text.push('\n');
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_in_columns_and_json_has_the_same_in_it() {
        let mut table = Table::new("things", &["at", "name", "size", "kept"]);
        table.row([Cell::Hex(16), "a\x1b[2J".into(), 7.into(), Cell::Flag(true)]);
        table.row([Cell::Signed(-2), Cell::None, 1234.into(), Cell::Flag(false)]);
        let lines = [
            "  at  name        size  kept",
            "0x10  a\\u{1b}[2J     7  yes",
            "-0x2  -           1234  no",
        ];
        assert_eq!(table.text().lines().collect::<Vec<_>>(), lines);
        let first = json!({"at": "0x10", "name": "a\x1b[2J", "size": 7, "kept": true});
        let second = json!({"at": "-0x2", "name": null, "size": 1234, "kept": false});
        assert_eq!(table.json(), json!([first, second]));
    }
}
