//! The command line of `netviz verify`.

use std::{path::PathBuf, time::Duration};

use clap::{Args, ValueEnum};

use super::{SelectionArgs, duration};
use crate::{lab::Mode, verify::Protocol};

/// Options of `netviz verify`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Exit codes:
  0  verified
  1  detour or lost
  2  unclear, an error, or wrong usage

Packets are few, small, marked in their payload, and sent to B only.")]
pub struct VerifyArgs {
    /// The sender: namespace/pod, a pod's name or its unique beginning, deploy/NAME (any pod of it), a node,
    /// or an address; NODE:NAME if several nodes have it. Must run on this machine.
    #[arg(value_name = "A", required_unless_present_any = ["file", "all_pairs"])]
    pub from: Option<String>,
    /// The receiver: the same, a service or any address; optionally with :PORT.
    #[arg(value_name = "B", required_unless_present_any = ["file", "all_pairs"])]
    pub to: Option<String>,
    /// Kubernetes namespace of A and B where they have none, and of the pods of --all-pairs.
    #[arg(short, long, value_name = "NAMESPACE", conflicts_with = "file")]
    pub namespace: Option<String>,
    /// Protocol of the probes [default: icmp, or tcp if a port is given]. udp needs an echo service
    /// or a closed port at B; tcp sends a SYN only, no connection is opened. With --passive: follow
    /// this protocol only.
    #[arg(long, value_enum)]
    pub proto: Option<Protocol>,
    /// B's port, for udp and tcp.
    #[arg(long)]
    pub port: Option<u16>,
    /// Send nothing: follow the existing traffic between A and B.
    #[arg(long, conflicts_with_all = ["count", "interval", "size", "timeout", "watch", "file", "all_pairs"])]
    pub passive: bool,
    /// With --passive: follow traffic for TIME; Ctrl-C ends it sooner.
    #[arg(long = "for", value_name = "TIME", value_parser = duration, default_value = "10s", requires = "passive")]
    pub window: Duration,
    /// Number of packets.
    #[arg(short, long, value_name = "NUMBER", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub count: u32,
    /// Time between two packets.
    #[arg(long, value_name = "TIME", value_parser = pause, default_value = "50ms")]
    pub interval: Duration,
    /// Length of the IP packet in bytes (tcp: always a SYN).
    #[arg(long, value_name = "BYTES", default_value_t = 84, value_parser = clap::value_parser!(u32).range(60..=9000))]
    pub size: u32,
    /// Allow fragmentation (do not set the DF bit).
    #[arg(long)]
    pub fragment: bool,
    /// How long to wait for a reply.
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "1s")]
    pub timeout: Duration,
    /// Judge the request only; do not wait for a reply.
    #[arg(long)]
    pub one_way: bool,
    /// Use IPv6 addresses of names that have both.
    #[arg(short = '6', long)]
    pub ipv6: bool,
    /// Assume this routing mode instead of detecting it.
    #[arg(long, value_enum)]
    pub mode: Option<Mode>,
    /// Test every pod to every other pod.
    #[arg(long, conflicts_with_all = ["from", "to", "file"])]
    pub all_pairs: bool,
    /// Run the path tests of a YAML file; see docs/verify.md.
    #[arg(short, long, value_name = "FILE", conflicts_with_all = ["from", "to"])]
    pub file: Option<PathBuf>,
    /// Repeat after each TIME until Ctrl-C, and report changes of the path.
    #[arg(long, value_name = "TIME", value_parser = duration, num_args = 0..=1, default_missing_value = "1s", conflicts_with_all = ["file", "all_pairs"])]
    pub watch: Option<Duration>,
    /// Output format.
    #[arg(short, long, value_enum, default_value_t)]
    pub output: VerdictOutput,
    /// Show every door of the reply, and every pair of many.
    #[arg(long)]
    pub full: bool,
    /// Explain the path: what each interface is, what its programs do, and why the next one is next.
    #[arg(long, conflicts_with_all = ["file", "all_pairs", "watch"])]
    pub explain: bool,
    /// Use ASCII characters only.
    #[arg(long)]
    pub ascii: bool,
    /// Also watch the doors of all other pods on nodes that have many.
    #[arg(long)]
    pub every_door: bool,
    /// Namespaces and interfaces to use.
    #[command(flatten)]
    pub selection: SelectionArgs,
    /// Attach faster; see `doors`.
    #[arg(long)]
    pub fast_attach: bool,
}

/// Output formats of a verdict.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum VerdictOutput {
    /// A ladder: one line for each door.
    #[default]
    Text,
    /// One verdict, or a list.
    Json,
    /// One verdict per line.
    Jsonl,
    /// JUnit XML, for CI.
    Junit,
    /// A drawing.
    Svg,
    /// A Mermaid diagram.
    Mermaid,
}

impl VerifyArgs {
    /// The protocol of probes.
    #[must_use]
    pub fn protocol(&self) -> Protocol {
        self.proto.unwrap_or_default()
    }
}

/// Like [`duration`], from 1 ms.
fn pause(text: &str) -> Result<Duration, String> {
    match text.strip_suffix("ms").map(str::parse::<u64>) {
        Some(Ok(milliseconds @ 1..=60_000)) => Ok(Duration::from_millis(milliseconds)),
        _ => duration(text),
    }
}
