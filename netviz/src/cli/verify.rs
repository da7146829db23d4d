//! The command line of `netviz verify`.

use std::{path::PathBuf, time::Duration};

use clap::{Args, ValueEnum};

use super::{NETNS_VARIABLE, duration};
use crate::{lab::Mode, verify::collect::probe::Protocol};

/// Options of `netviz verify`.
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "Exit code: 0 verified, 1 detour or lost, 2 unclear, or it could not be found out.\n\
    Packets are few, small, marked in their payload, and sent to B alone."
)]
pub struct VerifyArgs {
    /// Who sends: namespace/pod, a pod's name, node/NAME, or an address; it has to be here.
    #[arg(value_name = "A", required_unless_present_any = ["file", "all"])]
    pub from: Option<String>,
    /// Who receives: the same, or a service's or any other address; with :port if wanted.
    #[arg(value_name = "B", required_unless_present_any = ["file", "all"])]
    pub to: Option<String>,
    /// What is sent [default: icmp]. A datagram has to be echoed by whoever listens at B's port, or
    /// the port has to be closed; of a SYN comes no connection. With --passive: what is followed.
    #[arg(long, value_enum)]
    pub proto: Option<Protocol>,
    /// B's port, for udp and tcp.
    #[arg(long)]
    pub port: Option<u16>,
    /// Send nothing: follow the packets that are there between A and B, whoever sends them.
    #[arg(long, conflicts_with_all = ["count", "interval", "size", "timeout", "watch", "file", "all"])]
    pub passive: bool,
    /// With --passive: for how long; Ctrl-C ends it sooner.
    #[arg(long = "for", value_name = "TIME", value_parser = duration, default_value = "10s", requires = "passive")]
    pub window: Duration,
    /// How many packets.
    #[arg(short, long, value_name = "NUMBER", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub count: u32,
    /// Time between two packets.
    #[arg(long, value_name = "TIME", value_parser = pause, default_value = "50ms")]
    pub interval: Duration,
    /// Length of the IP packet in bytes (tcp: always a SYN).
    #[arg(long, value_name = "BYTES", default_value_t = 84, value_parser = clap::value_parser!(u32).range(60..=9000))]
    pub size: u32,
    /// Packets may be fragmented on their way: without the DF bit.
    #[arg(long)]
    pub fragment: bool,
    /// How long an answer is waited for.
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "1s")]
    pub timeout: Duration,
    /// No answer is asked for: the way there alone is judged.
    #[arg(long)]
    pub one_way: bool,
    /// IPv6, where a name leaves that open.
    #[arg(short = '6', long)]
    pub ipv6: bool,
    /// How the cluster routes, in the place of what its agents say or its doors let one infer.
    #[arg(long, value_enum)]
    pub mode: Option<Mode>,
    /// Every pod to every other one.
    #[arg(long, conflicts_with_all = ["from", "to", "file"])]
    pub all: bool,
    /// Tests in a YAML file: who to whom, and what is expected; see docs/verify.md.
    #[arg(short, long, value_name = "FILE", conflicts_with_all = ["from", "to"])]
    pub file: Option<PathBuf>,
    /// Again and again, with this pause, until Ctrl-C; says when the path changes.
    #[arg(long, value_name = "TIME", value_parser = duration, num_args = 0..=1, default_missing_value = "1s", conflicts_with_all = ["file", "all"])]
    pub watch: Option<Duration>,
    /// Form of the output.
    #[arg(short, long, value_enum, default_value_t)]
    pub output: VerdictOutput,
    /// Every door of the way back as well, and every pair of many.
    #[arg(long)]
    pub full: bool,
    /// No sign in the text that ASCII has not.
    #[arg(long)]
    pub ascii: bool,
    /// Watch the doors of all other pods, too, on nodes that have many.
    #[arg(long)]
    pub every_door: bool,
    /// A network namespace to take for a node: a name in /run/netns, a path, or a process id
    /// [default: those that hold cilium_host].
    #[arg(
        long,
        value_name = "NAME|PATH|PID",
        env = NETNS_VARIABLE,
        value_delimiter = ','
    )]
    pub netns: Vec<String>,
    /// Ask the Kubernetes API of this kubeconfig for names: see `doors`.
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// Attach faster: see `doors`.
    #[arg(long)]
    pub fast_attach: bool,
}

/// Forms of a verdict.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum VerdictOutput {
    /// A ladder: one line for each door.
    #[default]
    Text,
    /// One verdict; of several, a list.
    Json,
    /// One verdict a line.
    Jsonl,
    /// For a CI.
    Junit,
    /// A picture.
    Svg,
    /// A diagram for a README.
    Mermaid,
}

impl VerifyArgs {
    /// What is sent.
    #[must_use]
    pub fn protocol(&self) -> Protocol {
        self.proto.unwrap_or_default()
    }
}

/// As [`duration`], and as short as a millisecond.
fn pause(text: &str) -> Result<Duration, String> {
    match text.strip_suffix("ms").map(str::parse::<u64>) {
        Some(Ok(milliseconds @ 1..=60_000)) => Ok(Duration::from_millis(milliseconds)),
        _ => duration(text),
    }
}
