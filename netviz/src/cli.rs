//! The command line.

use std::{ffi::OsString, path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand, ValueEnum};

mod verify;

use crate::{
    lab::{Attach, Mode},
    views::table::Sort,
};
pub use verify::{VerdictOutput, VerifyArgs};

/// Environment variable that says the same as `--netns`.
pub const NETNS_VARIABLE: &str = "NETVIZ_NETNS";

/// Shows live which doors of a Kubernetes node packets really cross.
///
/// Without a command, at a terminal: the building, live, with every node, pod and door that is
/// there. In a pipe: a line for each change, as `doors` gives.
#[derive(Debug, Parser)]
#[command(name = "netviz", version, args_conflicts_with_subcommands = true)]
pub struct Cli {
    /// What to do; the live building where nothing is said.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// Options of `doors`.
    #[command(flatten)]
    pub doors: DoorsArgs,
}

/// What netviz does.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// A table of doors: counts, rates, and what is lost or skipped between two ends.
    Doors(DoorsArgs),
    /// The building, drawn: nodes, pods, doors and veth pairs, with what crossed them.
    Map(MapArgs),
    /// Sends a few marked packets from A to B and shows which doors they really crossed, there and
    /// back, and whether those were the right ones.
    Verify(Box<VerifyArgs>),
    /// No cluster at hand: a two-node cluster in network namespaces, with traffic, and a command
    /// that looks at it. Everything is gone again when that ends.
    Demo(DemoArgs),
    /// Who stands at each door, in which order, and what that means. Reads only: attaches nothing,
    /// changes nothing.
    Audit(AuditArgs),
    /// The JSON schema of `doors -o json`, or of another command's.
    Schema(SchemaArgs),
    /// Puts a switch of the machine back, whatever becomes of netviz.
    #[command(name = crate::attach::GUARD_COMMAND, hide = true)]
    RcuGuard,
}

/// Which namespaces and interfaces.
#[derive(Clone, Debug, Default, Args)]
pub struct SelectionArgs {
    /// A network namespace to take for a node: a name in /run/netns, a path, or a process id
    /// [default: those that hold cilium_host].
    #[arg(
        long,
        value_name = "NAME|PATH|PID",
        env = NETNS_VARIABLE,
        value_delimiter = ','
    )]
    pub netns: Vec<String>,
    /// Every interface, loopback and unrelated ones included.
    #[arg(long)]
    pub all: bool,
    /// Interfaces to show besides those of Cilium and the veth pairs.
    #[arg(long, value_name = "GLOB")]
    pub include: Vec<String>,
    /// Interfaces not to touch.
    #[arg(long, value_name = "GLOB")]
    pub exclude: Vec<String>,
    /// Ask the Kubernetes API of this kubeconfig for names [default: KUBECONFIG, ~/.kube/config,
    /// the pod's service account, the node's /etc/kubernetes]. Commands in it are not run.
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
}

/// Which of the doors are shown.
#[derive(Clone, Debug, Default, Args)]
pub struct FilterArgs {
    /// Only this node (repeatable, globs).
    #[arg(long, value_name = "NODE")]
    pub node: Vec<String>,
    /// Only this pod: a name, namespace/name or an address (repeatable, globs).
    #[arg(long, value_name = "POD")]
    pub pod: Vec<String>,
    /// Only this device (repeatable, globs).
    #[arg(long, value_name = "DEVICE")]
    pub device: Vec<String>,
}

/// Options of `netviz doors`.
#[derive(Clone, Debug, Default, Args)]
pub struct DoorsArgs {
    /// Where to look.
    #[command(flatten)]
    pub selection: SelectionArgs,
    /// Count for one interval, print, end.
    #[arg(long)]
    pub once: bool,
    /// Interval between two readings.
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "1s")]
    pub watch: Duration,
    /// Count for so long, then end.
    #[arg(long = "for", value_name = "TIME", value_parser = duration, conflicts_with = "once")]
    pub period: Option<Duration>,
    /// Form of the output; json and csv are printed once.
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Output,
    /// Order of the veth pairs within their node.
    #[arg(long, value_enum, default_value_t)]
    pub sort: Sort,
    /// What to show of it.
    #[command(flatten)]
    pub filter: FilterArgs,
    /// Attach 400 times faster: has the kernel expedite RCU, a switch of the whole machine,
    /// while there is much to attach.
    #[arg(long)]
    pub fast_attach: bool,
}

/// Options of `netviz map`.
#[derive(Clone, Debug, Default, Args)]
pub struct MapArgs {
    /// Where to look.
    #[command(flatten)]
    pub selection: SelectionArgs,
    /// Form of the drawing; json is the layout with the snapshot that it is made of.
    #[arg(short, long, value_enum, default_value_t)]
    pub output: MapOutput,
    /// Count for so long before drawing [default: 1s].
    #[arg(long = "for", visible_alias = "since", value_name = "TIME", value_parser = duration)]
    pub period: Option<Duration>,
    /// Columns of the text, 80 at the least; from 160 on, nodes stand beside each other [default:
    /// those of the terminal, 100 elsewhere].
    #[arg(long, value_name = "COLUMNS")]
    pub width: Option<usize>,
    /// No sign in the text that ASCII has not.
    #[arg(long)]
    pub ascii: bool,
    /// Ethernet addresses in the text as well.
    #[arg(long)]
    pub mac: bool,
    /// What to show of it.
    #[command(flatten)]
    pub filter: FilterArgs,
    /// Attach faster: see `doors`.
    #[arg(long)]
    pub fast_attach: bool,
}

/// Forms of the drawing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum MapOutput {
    /// In characters.
    #[default]
    Text,
    /// A picture.
    Svg,
    /// A page with the picture, and the table under it.
    Html,
    /// A flowchart for a README.
    Mermaid,
    /// Graphviz.
    Dot,
    /// What stands where, and the snapshot.
    Json,
}

/// Options of `netviz audit`.
#[derive(Clone, Debug, Default, Args)]
#[command(
    after_help = "Exit code: 0 no finding at or above --fail-on, 1 some, 2 could not do its work."
)]
pub struct AuditArgs {
    /// Where to look.
    #[command(flatten)]
    pub selection: SelectionArgs,
    /// Form of the output.
    #[arg(short, long, value_enum, default_value_t)]
    pub output: AuditOutput,
    /// What to show of it; all doors are looked at, since they are judged by one another.
    #[command(flatten)]
    pub filter: FilterArgs,
    /// The least severity of a finding that makes the exit code 1.
    #[arg(long, value_name = "SEVERITY", value_enum, default_value_t)]
    pub fail_on: FailOn,
    /// In the text, every door, and all that is known of each program.
    #[arg(long, visible_alias = "verbose")]
    pub full: bool,
}

/// Forms of an audit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum AuditOutput {
    /// For a person.
    #[default]
    Text,
    /// All of it, for a program; see `netviz schema audit`.
    Json,
    /// The findings, for a CI: SARIF 2.1.0.
    Sarif,
}

/// From which severity on findings are a failure.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum FailOn {
    /// Any finding.
    Info,
    /// Warnings and errors.
    Warning,
    /// Errors alone.
    #[default]
    Error,
    /// None.
    Never,
}

/// Options of `netviz schema`.
#[derive(Clone, Copy, Debug, Default, Args)]
pub struct SchemaArgs {
    /// Of which form.
    #[arg(value_enum, default_value_t)]
    pub form: SchemaForm,
}

/// JSON forms that have a schema.
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
}

/// Options of `netviz demo`.
#[derive(Clone, Debug, Default, Args)]
pub struct DemoArgs {
    /// How the cluster routes.
    #[arg(long, value_enum, default_value_t)]
    pub mode: Mode,
    /// How the cluster's forwarding programs are attached.
    #[arg(long, value_enum, default_value_t)]
    pub attach: Attach,
    /// IPv6 beside IPv4.
    #[arg(long)]
    pub ipv6: bool,
    /// How many pods each node has besides those of the blog post.
    #[arg(long, value_name = "NUMBER", default_value_t = 0, value_parser = clap::value_parser!(u16).range(..=1000))]
    pub pods: u16,
    /// No traffic.
    #[arg(long)]
    pub quiet: bool,
    /// The command, with netviz on its PATH [default: netviz].
    #[arg(last = true, value_name = "COMMAND")]
    pub command: Vec<OsString>,
}

/// Forms of output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// A table at a terminal, refreshed in place; in a pipe one line per change.
    #[default]
    Table,
    /// One snapshot.
    Json,
    /// One snapshot per line and interval.
    Jsonl,
    /// One record per door.
    Csv,
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
                "{unit:?} is no unit of time: write 500ms, 1s, 2m or 1h"
            ));
        }
    };
    let seconds = number
        .parse::<f64>()
        .map_err(|_| "write a time as 500ms, 1s, 2m or 1h".to_owned())?
        * scale;
    if !(0.05..=86_400.0).contains(&seconds) {
        return Err("a time between 50ms and 24h is needed".into());
    }
    Ok(Duration::from_secs_f64(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("2"), Ok(Duration::from_secs(2)));
        assert_eq!(duration("1.5m"), Ok(Duration::from_secs(90)));
        for wrong in ["", "s", "0", "-1s", "1d", "1e9s", "99h", "1.2.3s"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory as _;
        Cli::command().debug_assert();
    }
}
