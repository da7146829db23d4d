//! tcpdump as an independent counter: it reads from `AF_PACKET`, not at the hooks.

use std::{
    io::{BufRead as _, BufReader},
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use anyhow::{Context as _, Result, ensure};
use netviz::model::Direction;

/// One tcpdump at one door, for one direction.
#[derive(Debug)]
pub struct Tcpdump {
    process: Child,
    lines: Arc<AtomicU64>,
}

impl Tcpdump {
    /// Starts tcpdump in the namespace of process `pid`, and waits until it captures.
    pub fn start(pid: i32, interface: &str, direction: Direction, filter: &str) -> Result<Self> {
        let direction = match direction {
            Direction::Ingress => "in",
            Direction::Egress => "out",
        };
        let mut process = Command::new("nsenter")
            .arg(format!("--net=/proc/{pid}/ns/net"))
            .args([
                "tcpdump", "-i", interface, "-Q", direction, "-nn", "-q", "-l",
            ])
            // The ring holds as many packets as fit at this length: 8 with tcpdump's default.
            .args(["--immediate-mode", "-s", "128", filter])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("starting tcpdump")?;
        let mut stderr_lines = BufReader::new(process.stderr.take().context("no stderr")?);
        let out = process.stdout.take().context("no stdout")?;
        let lines = Arc::new(AtomicU64::new(0));
        let tap = Self {
            process,
            lines: Arc::clone(&lines),
        };
        let mut stderr = String::new();
        while !stderr.contains("listening on") {
            let read = stderr_lines.read_line(&mut stderr)?;
            ensure!(read > 0, "tcpdump at {interface}: {}", stderr.trim());
        }
        // Both end with the process.
        thread::spawn(move || stderr_lines.lines().for_each(drop));
        thread::spawn(move || {
            for _ in BufReader::new(out).lines().map_while(Result::ok) {
                lines.fetch_add(1, Ordering::Relaxed);
            }
        });
        Ok(tap)
    }

    /// Returns the number of captured packets.
    #[must_use]
    pub fn packets(&self) -> u64 {
        self.lines.load(Ordering::Relaxed)
    }
}

impl Drop for Tcpdump {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
