//! The command line.

use std::{ffi::OsString, fmt, path::PathBuf, time::Duration};

use clap::{
    Args, Parser, Subcommand, ValueEnum,
    builder::{PossibleValue, PossibleValuesParser, TypedValueParser},
};

mod examples;
mod exit;
mod flows;
mod serve;
mod verify;

use crate::{
    lab::{Attach, Mode},
    views::{FORMATS, Format, order::Sort},
};
pub use examples::{EXAMPLES, command, parse};
pub use exit::Exit;
pub use flows::{FlowRows, FlowsArgs, FlowsOutput, TypedQuery};
pub use serve::{MetricsLevel, ServeArgs};
pub use verify::{VerdictOutput, VerifyArgs};

/// Environment variable for `--netns`.
pub const NETNS_VARIABLE: &str = "NETVIZ_NETNS";

/// The variables for `--help`.
const ENVIRONMENT: &str = "\
Environment:
  NETVIZ_NETNS              namespaces for --netns, separated by commas
  NETVIZ_LOG                messages on standard error: error, warn (default), info or debug
  KUBECONFIG                kubeconfig to read names with, if --kubeconfig is not given
  NO_COLOR, CLICOLOR=0      no colours
  CLICOLOR_FORCE=1          colours also in a pipe
  LC_ALL, LC_CTYPE, LANG    a locale without UTF-8 implies --ascii at a terminal";

/// See which network interfaces your pods' packets really cross, live, with eBPF.
///
/// Without a command, at a terminal: a live screen of all nodes, pods and interfaces. In a pipe: one
/// line per change, like `netviz doors`. A door is an interface with its two hooks: ingress, into
/// the device, and egress, out of it.
#[derive(Debug, Parser)]
#[command(
    name = "netviz",
    version,
    args_conflicts_with_subcommands = true,
    after_help = format!("{ENVIRONMENT}\n\n{}", exit::HELP)
)]
pub struct Cli {
    /// What to do; the live screen by default.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// Options of `doors`.
    #[command(flatten)]
    pub doors: DoorsArgs,
}

/// What netviz does.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show a table of interfaces: counters, rates, and losses between the two ends of a pair.
    Doors(DoorsArgs),
    /// Show who talks with whom: the flows of each interface, or sums by pair of pods.
    Flows(Box<FlowsArgs>),
    /// Draw the node's interfaces, pods and links with current traffic (text, SVG, HTML, Mermaid, DOT).
    Map(MapArgs),
    /// Send a few marked packets from A to B and show every interface they crossed, both ways, and
    /// where they were lost.
    Verify(Box<VerifyArgs>),
    /// Serve metrics for Prometheus, a drawing and an API over HTTP.
    Serve(Box<ServeArgs>),
    /// Try netviz without a cluster: builds a two-node lab in network namespaces, runs COMMAND in it,
    /// and removes it.
    Demo(DemoArgs),
    /// List the BPF programs at each interface in run order, and warn of those that break Cilium.
    /// Reads only: attaches and changes nothing.
    Audit(AuditArgs),
    /// Print the JSON schema of `-o json`.
    Schema(SchemaArgs),
    /// Print a completion script for a shell.
    Completions(CompletionsArgs),
    /// Write the man pages, one per command.
    Man(ManArgs),
}

/// Namespaces and interfaces to use.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Selection")]
pub struct SelectionArgs {
    /// Treat this network namespace as a node: a name in /run/netns, a path, or a process id
    /// [default: those that hold cilium_host].
    #[arg(
        long,
        value_name = "NAME|PATH|PID",
        env = NETNS_VARIABLE,
        value_delimiter = ','
    )]
    pub netns: Vec<String>,
    /// Include every interface, also lo and unrelated ones.
    #[arg(long)]
    pub all: bool,
    /// Include these interfaces besides Cilium's and the veth pairs.
    #[arg(long, value_name = "GLOB")]
    pub include: Vec<String>,
    /// Leave these interfaces alone.
    #[arg(long, value_name = "GLOB")]
    pub exclude: Vec<String>,
    /// Read names from the Kubernetes API of this kubeconfig [default: KUBECONFIG, ~/.kube/config,
    /// or the pod's service account]. Commands in it are never run.
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// Use this context of the kubeconfig [default: its current context].
    #[arg(long, value_name = "NAME")]
    pub context: Option<String>,
}

impl SelectionArgs {
    /// The same selection as options of another command line.
    #[must_use]
    pub fn command_line(&self) -> Vec<String> {
        let option = |name: &str, values: &[String]| {
            let values = values.iter().map(|value| format!("--{name}={value}"));
            values.collect::<Vec<_>>()
        };
        let kubeconfig = self.kubeconfig.iter();
        let kubeconfig = kubeconfig.map(|file| file.to_string_lossy().into_owned());
        let netns = (!self.netns.is_empty()).then(|| self.netns.join(","));
        [
            option("netns", &Vec::from_iter(netns)),
            option("kubeconfig", &kubeconfig.collect::<Vec<_>>()),
            option("context", &Vec::from_iter(self.context.clone())),
            Vec::from_iter(self.all.then(|| "--all".to_owned())),
            option("include", &self.include),
            option("exclude", &self.exclude),
        ]
        .concat()
    }
}

/// Interfaces to show.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Selection")]
pub struct FilterArgs {
    /// Show only this node (repeatable, globs).
    #[arg(long, value_name = "NODE")]
    pub node: Vec<String>,
    /// Show only this pod: a name, namespace/name or an address (repeatable, globs).
    #[arg(long, value_name = "POD")]
    pub pod: Vec<String>,
    /// Show only this device (repeatable, globs).
    #[arg(long, value_name = "DEVICE")]
    pub device: Vec<String>,
}

/// Options of `netviz doors`.
#[derive(Clone, Debug, Default, Args)]
#[command(after_help = "\
Exit codes:
  0  success
  2  an interface is blind (only if netviz prints once: --once, or -o json or csv), an error, or wrong
     usage")]
pub struct DoorsArgs {
    /// Namespaces and interfaces to use.
    #[command(flatten)]
    pub selection: SelectionArgs,
    /// Measure one interval, print and exit.
    #[arg(long, help_heading = "Output")]
    pub once: bool,
    /// Interval between two readings.
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "1s", help_heading = "Output")]
    pub watch: Duration,
    /// Measure for TIME, print and exit.
    #[arg(long = "for", value_name = "TIME", value_parser = duration, conflicts_with = "once", help_heading = "Output")]
    pub period: Option<Duration>,
    /// Output format; all but table and jsonl are printed once.
    #[arg(short, long, value_parser = output(), default_value_t, help_heading = "Output")]
    pub output: Output,
    /// Order of the veth pairs within their node.
    #[arg(long, value_enum, default_value_t, help_heading = "Output")]
    pub sort: Sort,
    /// Use ASCII characters only, as with a locale without UTF-8.
    #[arg(long, help_heading = "Output")]
    pub ascii: bool,
    /// Interfaces to show.
    #[command(flatten)]
    pub filter: FilterArgs,
    /// Attach 400 times faster: sets /sys/kernel/rcu_expedited for a moment, which affects the whole
    /// machine.
    #[arg(long, help_heading = "Expert")]
    pub fast_attach: bool,
}

/// Options of `netviz map`.
#[derive(Clone, Debug, Default, Args)]
#[command(after_help = "\
Exit codes:
  0  success
  2  an interface is blind, an error, or wrong usage")]
pub struct MapArgs {
    /// Namespaces and interfaces to use.
    #[command(flatten)]
    pub selection: SelectionArgs,
    /// Output format; json and yaml are the layout with its snapshot.
    #[arg(short, long, value_enum, default_value_t, help_heading = "Output")]
    pub output: MapOutput,
    /// Measure for TIME before drawing [default: 1s].
    #[arg(long = "for", visible_alias = "since", value_name = "TIME", value_parser = duration, help_heading = "Output")]
    pub period: Option<Duration>,
    /// Width of the text, at least 80; from about 180 columns, nodes are drawn side by side
    /// [default: the terminal's, or 100].
    #[arg(long, value_name = "COLUMNS", help_heading = "Output")]
    pub width: Option<usize>,
    /// Use ASCII characters only, as with a locale without UTF-8.
    #[arg(long, help_heading = "Output")]
    pub ascii: bool,
    /// Show Ethernet addresses.
    #[arg(long, help_heading = "Output")]
    pub mac: bool,
    /// Draw idle pods as well, instead of their number.
    #[arg(long, help_heading = "Output")]
    pub idle: bool,
    /// Interfaces to show.
    #[command(flatten)]
    pub filter: FilterArgs,
    /// Attach faster: see `netviz doors --help`.
    #[arg(long, help_heading = "Expert")]
    pub fast_attach: bool,
}

/// Formats of the drawing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum MapOutput {
    /// Text.
    #[default]
    Text,
    /// A picture.
    Svg,
    /// A page with the picture and the table.
    Html,
    /// A flowchart for a README.
    Mermaid,
    /// Graphviz.
    Dot,
    /// The layout and the snapshot; see `netviz schema map`.
    Json,
    /// The same as YAML.
    Yaml,
}

/// Options of `netviz audit`.
#[derive(Clone, Debug, Default, Args)]
#[command(after_help = "\
Exit codes:
  0  no finding at or above --fail-on
  1  a finding at or above --fail-on
  2  could not tell: an interface that could not be inspected, an error, or wrong usage")]
pub struct AuditArgs {
    /// Namespaces and interfaces to use.
    #[command(flatten)]
    pub selection: SelectionArgs,
    /// Output format.
    #[arg(short, long, value_enum, default_value_t, help_heading = "Output")]
    pub output: AuditOutput,
    /// Interfaces to show; all are inspected, since findings depend on the others.
    #[command(flatten)]
    pub filter: FilterArgs,
    /// Lowest severity of a finding that makes the exit code 1.
    #[arg(
        long,
        value_name = "SEVERITY",
        value_enum,
        default_value_t,
        help_heading = "Output"
    )]
    pub fail_on: FailOn,
    /// Show every interface and all details of each program in the text.
    #[arg(long, visible_alias = "verbose", help_heading = "Output")]
    pub full: bool,
    /// Use ASCII characters only, as with a locale without UTF-8.
    #[arg(long, help_heading = "Output")]
    pub ascii: bool,
}

/// Formats of an audit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum AuditOutput {
    /// Text.
    #[default]
    Text,
    /// Everything; see `netviz schema audit`.
    Json,
    /// The same as YAML.
    Yaml,
    /// The findings as SARIF 2.1.0, for CI.
    Sarif,
}

/// Severity from which a finding is a failure.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum FailOn {
    /// Any finding.
    Info,
    /// Warnings and errors.
    Warning,
    /// Errors only.
    #[default]
    Error,
    /// None.
    Never,
}

/// Options of `netviz schema`.
#[derive(Clone, Copy, Debug, Default, Args)]
pub struct SchemaArgs {
    /// Which output.
    #[arg(value_enum, default_value_t)]
    pub form: SchemaForm,
}

/// Options of `netviz completions`.
#[derive(Clone, Debug, Args)]
pub struct CompletionsArgs {
    /// The shell.
    #[arg(value_enum)]
    pub shell: clap_complete::Shell,
}

/// Options of `netviz man`.
#[derive(Clone, Debug, Args)]
pub struct ManArgs {
    /// Existing directory, such as /usr/local/share/man/man1.
    #[arg(value_name = "DIRECTORY")]
    pub directory: PathBuf,
}

/// JSON outputs that have a schema.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum SchemaForm {
    /// `doors -o json`.
    #[default]
    Snapshot,
    /// `map -o json`.
    Map,
    /// `audit -o json`.
    Audit,
    /// `verify -o json`.
    Verdict,
    /// `flows -o json`.
    Flows,
    /// `flows --by pair -o json`.
    FlowPairs,
    /// `verify --watch -o jsonl`.
    Watch,
}

/// Options of `netviz demo`.
#[derive(Clone, Debug, Default, Args)]
#[command(after_help = "\
Exit code: that of COMMAND, 128 + N if signal N ended it, or 2 if it could not run.")]
pub struct DemoArgs {
    /// Routing mode of the cluster.
    #[arg(long, value_enum, default_value_t, help_heading = "Lab")]
    pub mode: Mode,
    /// How the lab attaches its forwarding programs.
    #[arg(long, value_enum, default_value_t, help_heading = "Expert")]
    pub attach: Attach,
    /// Use IPv6 as well as IPv4.
    #[arg(long, help_heading = "Lab")]
    pub ipv6: bool,
    /// Number of extra pods on each node.
    #[arg(
        long,
        value_name = "NUMBER",
        default_value_t = 0,
        value_parser = clap::value_parser!(u16).range(..=1000),
        help_heading = "Lab"
    )]
    pub pods: u16,
    /// Send no traffic.
    #[arg(long, help_heading = "Lab")]
    pub quiet: bool,
    /// Command to run, with netviz on its PATH [default: netviz].
    #[arg(last = true, value_name = "COMMAND")]
    pub command: Vec<OsString>,
}

/// Output formats.
#[derive(Clone, Copy, Debug, Default)]
pub enum Output {
    /// A table, refreshed in place at a terminal; one line per change in a pipe.
    #[default]
    Table,
    /// One of [`FORMATS`].
    Document(&'static Format),
}

impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Table => "table",
            Self::Document(format) => format.name,
        })
    }
}

/// Parses the name of an [`Output`].
fn output() -> impl TypedValueParser<Value = Output> {
    let table = PossibleValue::new("table")
        .help("A table, refreshed in place at a terminal; one line per change in a pipe");
    let documents = FORMATS.iter();
    let documents = documents.map(|format| PossibleValue::new(format.name).help(format.help));
    PossibleValuesParser::new([table].into_iter().chain(documents)).map(|name| {
        let format = FORMATS.iter().find(|format| format.name == name);
        format.map_or(Output::Table, Output::Document)
    })
}

/// `1s`, `500ms`, `2m`, or a plain number of seconds.
fn duration(text: &str) -> Result<Duration, String> {
    let split = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let scale = match unit {
        "ms" => 0.001,
        "" | "s" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3600.0,
        _ => {
            return Err(format!(
                "{unit:?} is not a unit of time; use 500ms, 1s, 2m or 1h"
            ));
        }
    };
    let seconds = number
        .parse::<f64>()
        .map_err(|_| "not a time; use 500ms, 1s, 2m or 1h".to_owned())?
        * scale;
    if !(0.05..=86_400.0).contains(&seconds) {
        return Err("out of range: use a time between 50ms and 24h".into());
    }
    Ok(Duration::from_secs_f64(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_parsed() {
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("2"), Ok(Duration::from_secs(2)));
        assert_eq!(duration("1.5m"), Ok(Duration::from_secs(90)));
        for wrong in ["", "s", "0", "-1s", "1d", "1e9s", "99h", "1.2.3s"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn command_line_is_consistent() {
        command().debug_assert();
    }
}
