//! The command line of `netviz serve`.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use clap::{Args, ValueEnum};

use super::{SelectionArgs, duration};
use crate::views::metrics::Level;

const LISTEN: &str = "127.0.0.1:9190";

/// Options of `netviz serve`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Paths:
  /metrics                 for Prometheus
  /map                     the drawing of `netviz map`, reloaded every second
  /api/v1/snapshot         as `netviz doors --once -o json`
  /api/v1/events           a snapshot per interval, as server-sent events
  /api/v1/openapi.json     the description of the API
  /healthz, /readyz        probes; without a token")]
pub struct ServeArgs {
    /// Address and port; any but a loopback address needs --token-file or --tls-cert.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = LISTEN, env = "NETVIZ_LISTEN", help_heading = "Server")]
    pub listen: SocketAddr,
    /// Require the token in this file, as `Authorization: Bearer TOKEN`. Others must not be able to
    /// read the file.
    #[arg(long, value_name = "FILE", help_heading = "Server")]
    pub token_file: Option<PathBuf>,
    /// Serve TLS with this certificate chain (PEM).
    #[arg(
        long,
        value_name = "FILE",
        requires = "tls_key",
        help_heading = "Server"
    )]
    pub tls_cert: Option<PathBuf>,
    /// Private key of the certificate (PEM).
    #[arg(
        long,
        value_name = "FILE",
        requires = "tls_cert",
        help_heading = "Server"
    )]
    pub tls_key: Option<PathBuf>,
    /// Answer requests to this host name as well; addresses and localhost always are.
    #[arg(long, value_name = "NAME", help_heading = "Server")]
    pub host: Vec<String>,
    /// Interfaces with metrics of their own.
    #[arg(long, value_enum, default_value_t, help_heading = "Server")]
    pub metrics: MetricsLevel,
    /// Run the path tests of this YAML file again and again, for metrics; see docs/verify.md.
    #[arg(long, value_name = "FILE", help_heading = "Probes")]
    pub paths: Option<PathBuf>,
    /// Time between two runs of the path tests.
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "1m", requires = "paths", help_heading = "Probes")]
    pub every: Duration,
    /// Interval between two readings.
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "1s", help_heading = "Server")]
    pub watch: Duration,
    /// Namespaces and interfaces to use.
    #[command(flatten)]
    pub selection: SelectionArgs,
    /// Attach faster: see `netviz doors --help`.
    #[arg(long, help_heading = "Expert")]
    pub fast_attach: bool,
}

/// Interfaces with metrics of their own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum MetricsLevel {
    /// Those of nodes.
    Node,
    /// Also one per pod.
    #[default]
    Pod,
    /// All, with segments and other programs.
    Door,
}

impl From<MetricsLevel> for Level {
    fn from(level: MetricsLevel) -> Self {
        match level {
            MetricsLevel::Node => Self::Node,
            MetricsLevel::Pod => Self::Pod,
            MetricsLevel::Door => Self::Door,
        }
    }
}
