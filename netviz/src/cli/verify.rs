//! The command line of `netviz verify`.

use std::{path::PathBuf, time::Duration};

use clap::{Args, ValueEnum};

use super::{SelectionArgs, duration};
use crate::{lab::Mode, verify::Protocol};

/// A and B are required unless the pairs come from elsewhere; clap's own line shows neither.
const USAGE: &str = "\
netviz verify [OPTIONS] <A> <B>
       netviz verify [OPTIONS] --all-pairs
       netviz verify [OPTIONS] --file <FILE>";

/// Options of `netviz verify`.
#[derive(Clone, Debug, Args)]
#[command(override_usage = USAGE, after_help = "\
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
    #[arg(
        short,
        long,
        value_name = "NAMESPACE",
        conflicts_with = "file",
        help_heading = "Selection"
    )]
    pub namespace: Option<String>,
    /// Protocol of the probes [default: icmp, or tcp if a port is given]. udp needs an echo service
    /// or a closed port at B; tcp sends a SYN only, no connection is opened. With --passive: follow
    /// this protocol only.
    #[arg(long, value_enum, help_heading = "Probes")]
    pub proto: Option<Protocol>,
    /// B's port, for udp and tcp.
    #[arg(long, help_heading = "Probes")]
    pub port: Option<u16>,
    /// Send nothing: follow the existing traffic between A and B.
    #[arg(long, group = "lasting", conflicts_with_all = ["count", "interval", "size", "timeout", "watch", "file", "all_pairs"], help_heading = "Probes")]
    pub passive: bool,
    /// With --passive: follow traffic for TIME [default: 10s]. With --watch: end after TIME. Ctrl-C ends
    /// either sooner.
    #[arg(long = "for", value_name = "TIME", value_parser = duration, requires = "lasting", help_heading = "Probes")]
    pub window: Option<Duration>,
    /// Number of packets.
    #[arg(short, long, value_name = "NUMBER", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1000), help_heading = "Probes")]
    pub count: u32,
    /// Time between two packets.
    #[arg(long, value_name = "TIME", value_parser = pause, default_value = "50ms", help_heading = "Probes")]
    pub interval: Duration,
    /// Length of the IP packet in bytes (tcp: always a SYN).
    #[arg(long, value_name = "BYTES", default_value_t = 84, value_parser = clap::value_parser!(u32).range(60..=9000), help_heading = "Probes")]
    pub size: u32,
    /// Allow fragmentation (do not set the DF bit).
    #[arg(long, help_heading = "Probes")]
    pub fragment: bool,
    /// How long to wait for a reply.
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "1s", help_heading = "Probes")]
    pub timeout: Duration,
    /// Judge the request only; do not wait for a reply.
    #[arg(long, help_heading = "Probes")]
    pub one_way: bool,
    /// Use IPv6 addresses of names that have both.
    #[arg(short = '6', long, help_heading = "Probes")]
    pub ipv6: bool,
    /// Test every pod to every other pod.
    #[arg(long, conflicts_with_all = ["from", "to", "file"], help_heading = "Selection")]
    pub all_pairs: bool,
    /// Run the path tests of a YAML file; see docs/verify.md.
    #[arg(short, long, value_name = "FILE", conflicts_with_all = ["from", "to"], help_heading = "Selection")]
    pub file: Option<PathBuf>,
    /// Start a round every TIME, 1s by default, until Ctrl-C or --for: report outages with their length,
    /// and changes of the path. Stays attached between rounds.
    #[arg(long, group = "lasting", value_name = "TIME", value_parser = duration, num_args = 0..=1, default_missing_value = "1s", conflicts_with_all = ["file", "all_pairs"], help_heading = "Output")]
    pub watch: Option<Duration>,
    /// Output format.
    #[arg(short, long, value_enum, default_value_t, help_heading = "Output")]
    pub output: VerdictOutput,
    /// Show every door of the reply, and every pair of many.
    #[arg(long, help_heading = "Output")]
    pub full: bool,
    /// Explain the path: what each interface is, what its programs do, and why the next one is next.
    #[arg(long, conflicts_with_all = ["file", "all_pairs", "watch"], help_heading = "Output")]
    pub explain: bool,
    /// Use ASCII characters only, as with a locale without UTF-8.
    #[arg(long, help_heading = "Output")]
    pub ascii: bool,
    /// Assume this routing mode instead of detecting it.
    #[arg(long, value_enum, help_heading = "Expert")]
    pub mode: Option<Mode>,
    /// Also watch the doors of all other pods on nodes that have many.
    #[arg(long, help_heading = "Expert")]
    pub every_door: bool,
    /// Namespaces and interfaces to use.
    #[command(flatten)]
    pub selection: SelectionArgs,
    /// Attach faster: see `netviz doors --help`.
    #[arg(long, help_heading = "Expert")]
    pub fast_attach: bool,
}

/// Output formats of a verdict.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum VerdictOutput {
    /// A ladder: one line for each door.
    #[default]
    Text,
    /// One verdict, or a list; see `netviz schema verdict`.
    Json,
    /// The same as YAML.
    Yaml,
    /// One verdict per line.
    Jsonl,
    /// JUnit XML, for CI.
    Junit,
    /// The path in the building, as `netviz map` draws it.
    Map,
    /// The same as a picture.
    Svg,
    /// The picture and the ladder.
    Html,
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
