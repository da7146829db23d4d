//! Sends packets from a node or a pod of the cluster.
//!
//! Programs at the node's cgroup translate a service's address in the sender's socket. The sender
//! is therefore a process in that cgroup: this program, started again.

use std::{
    ffi::OsString,
    fs,
    io::Write as _,
    net::IpAddr,
    os::unix::process::CommandExt as _,
    path::PathBuf,
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};
use netviz::{
    lab::{UDP_PORT, traffic},
    sys::netns::NetNs,
};
use serde::{Deserialize, Serialize};

use super::{CiliumLab, Node};

/// First argument that makes this program send.
const WORD: &str = "send-packets";
/// Bytes in each datagram.
const SIZE: usize = 99;

/// What to send.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Sending<'a> {
    /// `udp` or `icmp`.
    pub protocol: &'a str,
    /// Destination; for UDP, the port of the echo servers.
    pub to: IpAddr,
    /// Number of packets. Each is sent when the previous one is answered or has timed out.
    pub packets: u16,
}

/// Number of replies.
pub type Sent = u16;

impl CiliumLab {
    /// Sends from `netns` on the node `home`, and waits for the replies.
    pub fn send(&self, home: &Node, netns: &NetNs, what: Sending<'_>) -> Result<Sent> {
        let mut command = Command::new(std::env::current_exe()?);
        command
            .arg(WORD)
            .arg(serde_json::to_string(&what)?)
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        enter_cgroup(home, &mut command)?;
        let output = netns.run(|| command.output())??;
        ensure!(output.status.success(), "the sender: {}", output.status);
        Ok(String::from_utf8_lossy(&output.stdout).trim().parse()?)
    }
}

/// Sends and exits, if this program was started for that.
pub fn send_if_asked(arguments: &[OsString]) -> Result<Option<Sent>> {
    let [_, word, what] = arguments else {
        return Ok(None);
    };
    if word != WORD {
        return Ok(None);
    }
    let what: Sending<'_> = serde_json::from_str(what.to_str().context("not UTF-8")?)?;
    let here = NetNs::current()?;
    let answered = match what.protocol {
        "icmp" => traffic::ping(&here, what.to, what.packets)?,
        _ => traffic::udp(&here, (what.to, UDP_PORT).into(), what.packets, SIZE)?,
    };
    Ok(Some(answered))
}

/// Starts a program in a node's cgroup, like `docker exec`.
pub fn enter_cgroup(node: &Node, command: &mut Command) -> Result<()> {
    let procs = cgroup(node.pid)?.join("cgroup.procs");
    let place = fs::OpenOptions::new()
        .write(true)
        .open(&procs)
        .with_context(|| procs.display().to_string())?;
    // SAFETY: a single write to a file that was opened before the fork.
    unsafe {
        command.pre_exec(move || (&place).write_all(b"0"));
    }
    Ok(())
}

/// Returns the directory of a process's cgroup in the unified hierarchy.
fn cgroup(pid: i32) -> Result<PathBuf> {
    let own = fs::read_to_string(format!("/proc/{pid}/cgroup"))?;
    let path = own.lines().find_map(|line| line.strip_prefix("0::/"));
    let mounts = fs::read_to_string("/proc/self/mounts")?;
    let root = mounts.lines().find_map(|line| {
        let mut words = line.split(' ');
        let place = words.nth(1)?;
        (words.next() == Some("cgroup2")).then_some(place)
    });
    let root = root.context("no cgroup2 is mounted")?;
    Ok(PathBuf::from(root).join(path.with_context(|| format!("{pid} is in no cgroup"))?))
}
