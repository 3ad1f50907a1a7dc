//! What goes to stdout, and nothing else does.

use std::io::{self, ErrorKind, Write};

use clap::ValueEnum;
use serde::Serialize;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// For whom a report is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    #[default]
    Text,
    /// For machines: an object on each line.
    Json,
}

/// Writes to stdout. Who reads it may have seen enough and left: that is no failure.
pub(crate) fn print(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    match stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush())
    {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

/// Writes a line of text, or an object on a line.
pub(crate) fn print_as(format: Format, text: &str, object: &impl Serialize) -> io::Result<()> {
    match format {
        Format::Text => print(&format!("{text}\n")),
        Format::Json => print(&format!("{}\n", serde_json::to_string(object)?)),
    }
}

/// Lines up the cells of each column; the last one is left as it is.
pub(crate) fn table(rows: &[Vec<String>]) -> String {
    let mut widths = Vec::new();
    for row in rows {
        widths.resize(widths.len().max(row.len()), 0);
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    let lines = rows.iter().map(|row| {
        let cells = row.iter().zip(&widths);
        let line: String = cells
            .map(|(cell, &width)| format!("{cell:width$}  "))
            .collect();
        format!("{}\n", line.trim_end())
    });
    lines.collect()
}

/// As RFC 3339 has it, to the second.
pub(crate) fn instant(instant: OffsetDateTime) -> String {
    let whole = instant.replace_nanosecond(0).unwrap_or(instant);
    whole.format(&Rfc3339).unwrap_or_else(|_| whole.to_string())
}
