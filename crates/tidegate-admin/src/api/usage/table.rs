//! A table to be written in any format: named, typed columns and rows of cells.

use tidegate_types::{NanoUsd, Timestamp};

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Text.
    Text,
    /// A count.
    Count,
    /// An amount in USD, nine places.
    Money,
    /// A point in time.
    Time,
}

/// A column.
pub(super) type Column = (&'static str, Kind);

/// A cell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Cell {
    /// Nothing.
    Null,
    /// Text.
    Text(String),
    /// A count.
    Count(i64),
    /// An amount.
    Money(NanoUsd),
    /// A point in time.
    Time(Timestamp),
}

impl Cell {
    /// Text, or nothing.
    pub(super) fn text<T: ToString>(value: Option<T>) -> Self {
        value.map_or(Self::Null, |value| Self::Text(value.to_string()))
    }

    /// A count.
    pub(super) fn count(value: u64) -> Self {
        Self::Count(i64::try_from(value).unwrap_or(i64::MAX))
    }
}

/// The first line of a CSV file (RFC 4180).
pub(super) fn csv_head(columns: &[Column]) -> String {
    let names: Vec<&str> = columns.iter().map(|(name, _)| *name).collect();
    names.join(",") + "\r\n"
}

/// One line of a CSV file.
pub(super) fn csv_line(out: &mut String, cells: &[Cell]) {
    for (place, cell) in cells.iter().enumerate() {
        if place > 0 {
            out.push(',');
        }
        match cell {
            Cell::Null => {}
            Cell::Text(text) => csv_text(out, text),
            Cell::Count(count) => out.push_str(&count.to_string()),
            Cell::Money(amount) => out.push_str(&amount.to_string()),
            Cell::Time(at) => out.push_str(&at.to_string()),
        }
    }
    out.push_str("\r\n");
}

/// Quoted where it must be. What a spreadsheet would take for a formula gets an apostrophe: labels
/// are the callers' own words.
fn csv_text(out: &mut String, text: &str) {
    let formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    if !formula && !text.contains(['"', ',', '\r', '\n']) {
        return out.push_str(text);
    }
    out.push('"');
    if formula {
        out.push('\'');
    }
    out.push_str(&text.replace('"', "\"\""));
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn callers_words_cannot_break_out_of_their_cell() {
        let cell = |text: &str| {
            let mut out = String::new();
            csv_line(&mut out, &[Cell::Text(text.into()), Cell::Null, Cell::Count(-1)]);
            out
        };
        assert_eq!(cell("plain"), "plain,,-1\r\n");
        assert_eq!(cell("a,\"b\"\n"), "\"a,\"\"b\"\"\n\",,-1\r\n");
        assert_eq!(cell("=HYPERLINK(1)"), "\"'=HYPERLINK(1)\",,-1\r\n");
    }

    #[test]
    fn money_is_written_to_the_nano_dollar() {
        for (nano, text) in [
            (1 << 53, "9007199.254740992"),
            ((1 << 53) + 1, "9007199.254740993"),
            (100_000_000_000_001, "100000.000000001"),
        ] {
            let mut out = String::new();
            csv_line(&mut out, &[Cell::Money(NanoUsd::new(nano))]);
            assert_eq!(out, format!("{text}\r\n"));
        }
    }
}
