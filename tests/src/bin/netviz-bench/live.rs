//! The live screen with 400 doors: response time to a key while doors are being attached, and the
//! load afterwards.

use std::{
    process::Command,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use netviz_tests::{
    bpf::descriptors::HeldObjects,
    cli::{binary, terminal::Terminal},
    netns::pairs,
};

use crate::{figure::Figure, steady::processor_time};

const DOORS: usize = 400;
const WINDOW: Duration = Duration::from_secs(20);
const ATTACH_LIMIT: Duration = Duration::from_secs(180);
const ANSWER_LIMIT: Duration = Duration::from_secs(10);
/// Between two keys, as when a person types.
const PAUSE: Duration = Duration::from_millis(60);

pub(crate) fn run(report: &mut dyn FnMut(Figure)) -> Result<()> {
    let namespace = pairs(DOORS as u32 / 2)?;
    let mut command = Command::new(binary::netviz()?);
    command
        .args(["--netns", &namespace.name()])
        .env("TERM", "xterm-256color");
    let mut terminal = Terminal::start(command, 120, 40);
    let pid = terminal.child.id();
    let attached = || HeldObjects::by(pid).links.len();
    let start = Instant::now();
    while !terminal.screen().contains("attaching: ") {
        ensure!(start.elapsed() < ATTACH_LIMIT, "no screen");
        thread::sleep(Duration::from_millis(5));
    }
    let mut answers = Vec::new();
    // The response to a key that moves the selection is the moved selection.
    while attached() < 2 * DOORS {
        ensure!(start.elapsed() < ATTACH_LIMIT, "not attached to all doors");
        let key = if answers.len() % 2 == 0 { "j" } else { "k" };
        let before = selected(&terminal.screen());
        let pressed = Instant::now();
        terminal.type_keys(key);
        while selected(&terminal.screen()) == before {
            ensure!(pressed.elapsed() < ANSWER_LIMIT, "no response to {key}");
            thread::sleep(Duration::from_micros(500));
        }
        answers.push(pressed.elapsed().as_secs_f64() * 1000.0);
        thread::sleep(PAUSE);
    }
    ensure!(!answers.is_empty(), "attached before the first key");
    answers.sort_by(f64::total_cmp);
    let what = format!("response to a key while {DOORS} doors are attached");
    let median = answers[answers.len() / 2];
    let (keys, worst) = (answers.len(), answers[answers.len() - 1]);
    report(Figure::new(format!("{what}: median of {keys}"), median, "ms").goal(16.0));
    report(Figure::new(format!("{what}: the slowest"), worst, "ms").goal(50.0));
    // Wait for the work of attaching to end.
    thread::sleep(Duration::from_secs(2));
    let (before, start) = (processor_time(pid)?, Instant::now());
    thread::sleep(WINDOW);
    let used = (processor_time(pid)? - before) / start.elapsed().as_secs_f64();
    let what = format!("{DOORS} doors on the live screen: of one core");
    report(Figure::new(what, 100.0 * used, "%").goal(1.5));
    terminal.type_keys("q");
    // A detachment also takes an RCU grace period.
    terminal.wait_for_exit(ATTACH_LIMIT);
    Ok(())
}

/// Returns the position of the selected row.
fn selected(screen: &str) -> Option<usize> {
    screen.lines().position(|line| line.starts_with("> "))
}
