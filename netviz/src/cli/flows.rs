//! The command line of `netviz flows`.

use std::time::Duration;

use clap::{Args, ValueEnum};

use super::{FilterArgs, SelectionArgs, duration};
use crate::views::{
    flows::FlowSort,
    query::{Key, Query, QueryError, parse},
};

/// Options of `netviz flows`.
#[derive(Clone, Debug, Default, Args)]
#[command(after_help = "\
Filter:
  proto:tcp  port:443  port:8000-8999  ip:10.0.0.1  cidr:10.0.0.0/8  pod:shop/web-*  ns:shop
  node:kind-worker  or a word: an address, or a part of the name of a pod, node or service.
  Join terms by and (or a space), or, not and parentheses. A term fits either end of a flow.

Flows are counted at the own interfaces of pods and at uplinks, unless --device selects others.

Exit codes:
  0  success
  2  an interface is blind (only if netviz prints once), an error, or wrong usage")]
pub struct FlowsArgs {
    /// Show only flows that match, such as: pod:web-0 and not port:53. Quote parentheses and *.
    #[arg(value_name = "FILTER")]
    pub query: Vec<String>,
    /// Namespaces and interfaces to use.
    #[command(flatten)]
    pub selection: SelectionArgs,
    /// Interfaces at which to count flows.
    #[command(flatten)]
    pub filter: FilterArgs,
    /// Show each flow, or sums by pair of pods [default: flow; pair for svg and html].
    #[arg(long, value_enum, help_heading = "Output")]
    pub by: Option<FlowRows>,
    /// Show at most this many flows of an interface, or pairs; 0 shows all [default: 20; all in json,
    /// yaml, jsonl and csv].
    #[arg(long, value_name = "NUMBER", help_heading = "Output")]
    pub top: Option<usize>,
    /// Order of flows.
    #[arg(long, value_enum, default_value_t, help_heading = "Output")]
    pub sort: FlowSort,
    /// Measure one interval, print and exit.
    #[arg(long, help_heading = "Output")]
    pub once: bool,
    /// Interval between two readings.
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "1s", help_heading = "Output")]
    pub watch: Duration,
    /// Measure for TIME, print and exit.
    #[arg(long = "for", value_name = "TIME", value_parser = duration, conflicts_with = "once", help_heading = "Output")]
    pub period: Option<Duration>,
    /// Output format; all but table at a terminal and jsonl are printed once.
    #[arg(short, long, value_enum, default_value_t, help_heading = "Output")]
    pub output: FlowsOutput,
    /// Use ASCII characters only, as with a locale without UTF-8.
    #[arg(long, help_heading = "Output")]
    pub ascii: bool,
    /// Room for this many flows of all interfaces together; what does not fit is counted as evicted.
    #[arg(
        long,
        value_name = "FLOWS",
        default_value_t = 65_536,
        value_parser = clap::value_parser!(u32).range(1_024..=1_048_576),
        help_heading = "Expert"
    )]
    pub room: u32,
    /// Attach faster: see `netviz doors --help`.
    #[arg(long, help_heading = "Expert")]
    pub fast_attach: bool,
}

/// What a row shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum FlowRows {
    /// A flow at an interface.
    Flow,
    /// Two that talk: each packet is counted once, at its sender's own interface.
    Pair,
}

/// Output formats of flows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum FlowsOutput {
    /// A table, refreshed in place at a terminal.
    #[default]
    Table,
    /// One document; see `netviz schema flows` and `netviz schema flow-pairs`.
    Json,
    /// The same as YAML.
    Yaml,
    /// One document per line and interval.
    Jsonl,
    /// One record per flow, or per direction of a pair.
    Csv,
    /// A matrix of pairs as a picture.
    Svg,
    /// A page with the matrix and the table.
    Html,
}

impl FlowsArgs {
    /// The filter.
    ///
    /// # Errors
    /// Its first mistake; [`super::parse`] has checked it.
    pub fn typed(&self) -> Result<TypedQuery, QueryError> {
        let text = self.query.join(" ");
        let query = parse(&text, &Key::OF_FLOWS)?;
        Ok(TypedQuery { query, text })
    }

    /// Whether to show pairs.
    #[must_use]
    pub fn by_pair(&self) -> bool {
        let is_picture = matches!(self.output, FlowsOutput::Svg | FlowsOutput::Html);
        self.by.map_or(is_picture, |by| by == FlowRows::Pair)
    }
}

/// A filter of flows, and as it was typed.
#[derive(Clone, Debug, Default)]
pub struct TypedQuery {
    /// The filter.
    pub query: Query,
    /// Its text.
    pub text: String,
}
