//! The load of an idle netviz: 400 doors, refreshed once a second.

use std::{
    fs,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use netviz_tests::{
    bpf::descriptors::HeldObjects,
    cli::binary::{self, Running},
    netns::pairs,
};

use crate::figure::Figure;

const DOORS: usize = 400;
const WINDOW: Duration = Duration::from_secs(20);
const ATTACH_LIMIT: Duration = Duration::from_secs(180);

pub(crate) fn run(report: &mut dyn FnMut(Figure)) -> Result<()> {
    let namespace = pairs(DOORS as u32 / 2)?;
    for (what, arguments) in [("lines", &[][..]), ("jsonl", &["-o", "jsonl"])] {
        let mut command = Command::new(binary::netviz()?);
        command
            .args(["doors", "--netns", &namespace.name(), "--fast-attach"])
            .args(arguments)
            .stdout(Stdio::null());
        let running = Running::start(&mut command)?;
        let pid = running.0.id();
        let start = Instant::now();
        while HeldObjects::by(pid).links.len() < 2 * DOORS {
            ensure!(start.elapsed() < ATTACH_LIMIT, "not attached to all doors");
            thread::sleep(Duration::from_millis(200));
        }
        // Wait for the work of attaching to end.
        thread::sleep(Duration::from_secs(2));
        let (before, start) = (processor_time(pid)?, Instant::now());
        thread::sleep(WINDOW);
        let used = (processor_time(pid)? - before) / start.elapsed().as_secs_f64();
        let refreshed = format!("{DOORS} doors, refreshed each second, {what}");
        report(Figure::new(format!("{refreshed}: of one core"), 100.0 * used, "%").goal(1.0));
        let memory = |key| resident(pid, key);
        report(Figure::new(format!("{refreshed}: resident"), memory("VmRSS:")?, "MiB").goal(32.0));
        report(Figure::new(
            format!("{refreshed}: peak resident"),
            memory("VmHWM:")?,
            "MiB",
        ));
    }
    Ok(())
}

/// Returns user and system time so far, in seconds.
pub(crate) fn processor_time(pid: u32) -> Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let (_, fields) = stat.rsplit_once(") ").context("/proc/PID/stat")?;
    let fields: Vec<_> = fields.split(' ').collect();
    let ticks = [11, 12].map(|field| fields.get(field).and_then(|it| it.parse::<u64>().ok()));
    let [Some(user), Some(system)] = ticks else {
        anyhow::bail!("/proc/PID/stat: {stat}");
    };
    // SAFETY: sysconf takes no pointer.
    let second = unsafe { libc::sysconf(libc::_SC_CLK_TCK) };
    Ok((user + system) as f64 / second as f64)
}

fn resident(pid: u32, key: &str) -> Result<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(key));
    let kibibytes = line.and_then(|line| line.split_whitespace().next());
    let kibibytes: f64 = kibibytes.context("/proc/PID/status")?.parse()?;
    Ok(kibibytes / 1024.0)
}
