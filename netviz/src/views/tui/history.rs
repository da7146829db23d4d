//! The latest rates of a door, and their charts.

use std::collections::VecDeque;

use crate::model::DoorState;

/// Readings to keep.
const KEPT: usize = 60;
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// The last 60 readings of one door, in packets per second; `None` if unknown.
#[derive(Clone, Debug, Default)]
pub(super) struct History(VecDeque<[Option<f64>; 2]>);

impl History {
    /// Adds a reading.
    pub(super) fn push(&mut self, door: &DoorState) {
        if self.0.len() == KEPT {
            self.0.pop_front();
        }
        let hooks = [&door.ingress, &door.egress];
        self.0.push_back(hooks.map(|it| it.packets_per_second));
    }

    /// The readings of both hooks, ingress first.
    pub(super) fn hooks(&self) -> [Vec<Option<f64>>; 2] {
        [0, 1].map(|hook| self.0.iter().map(|reading| reading[hook]).collect())
    }

    /// The highest reading; 0 if there is none.
    pub(super) fn most(&self) -> f64 {
        let readings = self.0.iter().flatten().flatten();
        readings.copied().fold(0.0, f64::max)
    }

    /// The busier hook of each reading.
    pub(super) fn busier(&self) -> Vec<Option<f64>> {
        let busier =
            |reading: &[Option<f64>; 2]| reading.iter().flatten().copied().reduce(f64::max);
        self.0.iter().map(busier).collect()
    }
}

/// A line of bars, `width` columns wide, with the newest reading on the right and blanks for unknown
/// readings. `most` is the rate of a full bar. In a narrow line, each bar is the highest of several
/// readings.
#[must_use]
pub fn spark(readings: &[Option<f64>], width: usize, most: f64) -> String {
    chart(readings, width, 1, most).concat()
}

/// As [`spark`], in `height` lines, the uppermost first.
#[must_use]
pub fn chart(readings: &[Option<f64>], width: usize, height: usize, most: f64) -> Vec<String> {
    let columns = columns(readings, width);
    let steps = height * BARS.len();
    let bar = |value: &Option<f64>, line: usize| {
        let level = value.map_or(0, |value| level(value, most, steps));
        match level.saturating_sub(line * BARS.len()) {
            0 => ' ',
            part => BARS[part.min(BARS.len()) - 1],
        }
    };
    let line = |line| {
        let bars: String = columns.iter().map(|value| bar(value, line)).collect();
        format!("{bars:>width$}")
    };
    (0..height).rev().map(line).collect()
}

/// 1 is an idle door; any traffic is above that.
fn level(value: f64, most: f64, steps: usize) -> usize {
    if value > 0.0 && most > 0.0 {
        ((value / most * steps as f64).ceil() as usize).clamp(2, steps.max(2))
    } else {
        1
    }
}

/// At most `width` values, each the highest of equally many readings.
fn columns(readings: &[Option<f64>], width: usize) -> Vec<Option<f64>> {
    let each = KEPT.div_ceil(width.max(1)).max(1);
    // From the right, so that a bar does not change as it moves.
    let highest = |chunk: &[Option<f64>]| chunk.iter().flatten().copied().reduce(f64::max);
    let columns = readings.rchunks(each).take(width).map(highest);
    let mut columns: Vec<_> = columns.collect();
    columns.reverse();
    columns
}
