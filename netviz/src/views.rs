//! Everything that is shown: each view is a function of one snapshot, verdict or audit.

pub mod audit;
pub mod building;
pub mod csv;
mod door;
pub mod explain;
pub mod filter;
pub mod flows;
mod footnotes;
pub mod json;
pub mod lines;
pub mod metrics;
pub mod order;
mod protocol;
pub mod query;
mod sources;
mod summary;
mod svg;
pub mod table;
pub mod text;
pub mod tui;
pub mod verdict;
mod wide;
pub mod yaml;

use std::io::{self, Write};

use self::text::Style;
use crate::model::Snapshot;

/// An output format of `netviz doors`, besides its table.
#[derive(Debug)]
pub struct Format {
    /// Its name for `-o`.
    pub name: &'static str,
    /// Its help.
    pub help: &'static str,
    /// Whether it is written for each snapshot, or only for the first.
    pub repeats: bool,
    /// Writes a snapshot. Only formats for people have a style.
    pub write: fn(&Snapshot, Style, &mut dyn Write) -> io::Result<()>,
}

/// The formats of `netviz doors`: each is a row here.
pub static FORMATS: [Format; 5] = [
    Format {
        name: "wide",
        help: "A table with addresses, MAC, MTU, namespace and programs; nothing is cut",
        repeats: false,
        write: |snapshot, style, out| writeln!(out, "{}", wide::draw(snapshot, style)),
    },
    Format {
        name: "json",
        help: "One snapshot",
        repeats: false,
        write: |snapshot, _, out| json::write(snapshot, out),
    },
    Format {
        name: "yaml",
        help: "The same as YAML",
        repeats: false,
        write: |snapshot, _, out| yaml::write(snapshot, out),
    },
    Format {
        name: "jsonl",
        help: "One snapshot per line and interval",
        repeats: true,
        write: |snapshot, _, out| json::write_line(snapshot, out),
    },
    Format {
        name: "csv",
        help: "One record per door",
        repeats: false,
        write: |snapshot, _, out| csv::write(snapshot, out),
    },
];
