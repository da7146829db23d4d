//! The live screen with 1 000 pods: the work of a key, and of a reading.

use std::time::{Duration, Instant};

use anyhow::Result;
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use netviz::views::tui::{Options, State, draw};
use netviz_tests::builders::snapshot_builder::cluster;
use ratatui::{Terminal, backend::TestBackend};

use crate::figure::Figure;

const SIZE: (u16, u16) = (160, 50);
const SECOND: Duration = Duration::from_secs(1);
const READINGS: u32 = 20;
/// Walks, sorts, filters, folds, and changes the columns.
const KEYS: &str = "jjGkgeshlssssscuuutctiie/shop-1";

pub(crate) fn run(report: &mut dyn FnMut(Figure)) -> Result<()> {
    let snapshot = cluster(5, 200, true).snapshot();
    let options = Options {
        colour: true,
        interval: SECOND,
        ..Options::default()
    };
    let mut state = State::new(options, SIZE.0, SIZE.1);
    let mut terminal = Terminal::new(TestBackend::new(SIZE.0, SIZE.1))?;
    let mut spent = Duration::ZERO;
    for reading in 1..=READINGS {
        let snapshot = snapshot.clone();
        let start = Instant::now();
        state.update(snapshot, SECOND * reading);
        terminal.draw(|frame| draw(frame, &state))?;
        spent += start.elapsed();
    }
    let load = 100.0 * spent.as_secs_f64() / f64::from(READINGS);
    report(Figure::new("1 000 pods, a reading each second: of one core", load, "%").goal(1.5));
    let mut slowest = (0.0, ' ');
    for key in KEYS.chars() {
        let start = Instant::now();
        state.key(KeyEvent::new(KeyCode::Char(key), KeyModifiers::NONE));
        terminal.draw(|frame| draw(frame, &state))?;
        let spent = start.elapsed().as_secs_f64() * 1000.0;
        if spent > slowest.0 {
            slowest = (spent, key);
        }
    }
    let what = format!("1 000 pods: the slowest key, {}", slowest.1);
    report(Figure::new(what, slowest.0, "ms").goal(16.0));
    Ok(())
}
