//! What a door's rates were, and how they are drawn in a few characters.

use std::collections::VecDeque;

use crate::model::DoorState;

/// How many readings are kept.
const KEPT: usize = 60;
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// The last 60 readings of one door, in packets per second; `None` where nothing was known.
#[derive(Clone, Debug, Default)]
pub struct History {
    ingress: VecDeque<Option<f64>>,
    egress: VecDeque<Option<f64>>,
}

impl History {
    /// Adds a reading, and forgets the oldest one.
    pub fn push(&mut self, door: &DoorState) {
        for (readings, traffic) in [
            (&mut self.ingress, &door.ingress),
            (&mut self.egress, &door.egress),
        ] {
            if readings.len() == KEPT {
                readings.pop_front();
            }
            readings.push_back(traffic.packets_per_second);
        }
    }

    /// Into the device.
    #[must_use]
    pub fn ingress(&self) -> Vec<Option<f64>> {
        self.ingress.iter().copied().collect()
    }

    /// Out of the device.
    #[must_use]
    pub fn egress(&self) -> Vec<Option<f64>> {
        self.egress.iter().copied().collect()
    }

    /// The busier direction of each reading.
    #[must_use]
    pub fn busier(&self) -> Vec<Option<f64>> {
        let pairs = self.ingress.iter().zip(&self.egress);
        pairs
            .map(|pair| match pair {
                (Some(a), Some(b)) => Some(a.max(*b)),
                (a, b) => a.or(*b),
            })
            .collect()
    }
}

/// A line of bars `width` columns wide, the newest reading on the right. What is not known is a
/// blank; where there is too little room, each bar is the highest of several readings.
#[must_use]
pub fn spark(readings: &[Option<f64>], width: usize) -> String {
    chart(readings, width, 1).concat()
}

/// As [`spark`], in `height` lines, the uppermost first.
#[must_use]
pub fn chart(readings: &[Option<f64>], width: usize, height: usize) -> Vec<String> {
    let columns = columns(readings, width);
    let most = columns.iter().flatten().copied().fold(0.0, f64::max);
    let steps = height * BARS.len();
    let levels: Vec<_> = columns
        .iter()
        .map(|value| value.map(|value| level(value, most, steps)))
        .collect();
    (0..height)
        .rev()
        .map(|line| {
            let bar = |level: &Option<usize>| match level {
                None => ' ',
                Some(level) => match level.saturating_sub(line * BARS.len()) {
                    0 => ' ',
                    part => BARS[part.min(BARS.len()) - 1],
                },
            };
            let pad = width.saturating_sub(levels.len());
            " ".repeat(pad) + &levels.iter().map(bar).collect::<String>()
        })
        .collect()
}

/// 1 is nothing; what crossed at all stands above that.
fn level(value: f64, most: f64, steps: usize) -> usize {
    if value > 0.0 && most > 0.0 {
        ((value / most * steps as f64).ceil() as usize).clamp(2, steps.max(2))
    } else {
        1
    }
}

/// At most `width` values; each the highest of as many readings as it takes.
fn columns(readings: &[Option<f64>], width: usize) -> Vec<Option<f64>> {
    if width == 0 {
        return Vec::new();
    }
    let each = KEPT.div_ceil(width).max(1);
    // From the right, so that a bar does not change as it moves.
    let mut columns: Vec<_> = readings
        .rchunks(each)
        .take(width)
        .map(|chunk| chunk.iter().flatten().copied().reduce(f64::max))
        .collect();
    columns.reverse();
    columns
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars() {
        assert_eq!(
            spark(&[None, Some(0.0), Some(1.0), Some(8.0)], 60).trim_start(),
            "▁▂█"
        );
        assert_eq!(spark(&[], 3), "   ");
        assert_eq!(spark(&[Some(1.0)], 0), "");
        assert_eq!(
            chart(&[Some(0.0), Some(8.0), Some(16.0)], 60, 2)
                .iter()
                .map(|line| line.trim_start())
                .collect::<Vec<_>>(),
            ["█", "▁██"]
        );
    }

    #[test]
    fn many_readings_in_little_room_keep_their_peaks() {
        let mut readings = vec![Some(0.0); KEPT];
        readings[KEPT - 2] = Some(5.0);
        assert_eq!(spark(&readings, 6), "▁▁▁▁▁█");
    }
}
