//! One line of the result.

use std::fmt;

/// A figure, with its goal if there is one.
#[derive(Clone, Debug)]
pub(crate) struct Figure {
    pub(crate) what: String,
    pub(crate) value: f64,
    pub(crate) unit: &'static str,
    /// Upper limit.
    pub(crate) goal: Option<f64>,
    /// Name in `bench.json`.
    pub(crate) name: Option<&'static str>,
    /// The lowest and the highest value of a round.
    pub(crate) spread: Option<(f64, f64)>,
}

impl Figure {
    pub(crate) fn new(what: impl Into<String>, value: f64, unit: &'static str) -> Self {
        Self {
            what: what.into(),
            value,
            unit,
            goal: None,
            name: None,
            spread: None,
        }
    }

    /// Returns the median of a ratio's rounds, under a name in `bench.json`.
    pub(crate) fn ratio(what: String, name: &'static str, rounds: Vec<f64>) -> Self {
        let lowest = rounds.iter().copied().fold(f64::INFINITY, f64::min);
        let highest = rounds.iter().copied().fold(0.0, f64::max);
        Self {
            name: Some(name),
            spread: Some((lowest, highest)),
            ..Self::new(what, median(rounds), "x")
        }
    }

    pub(crate) fn goal(self, goal: f64) -> Self {
        Self {
            goal: Some(goal),
            ..self
        }
    }

    pub(crate) fn is_missed(&self) -> bool {
        self.goal.is_some_and(|goal| self.value > goal)
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            what, value, unit, ..
        } = self;
        let verdict = match self.goal {
            None => "    ",
            Some(_) if self.is_missed() => "FAIL",
            Some(_) => "PASS",
        };
        write!(f, "{verdict}  {what:<64} {value:>9.3} {unit}")?;
        match self.goal {
            Some(goal) => write!(f, "  (goal: at most {goal} {unit})"),
            None => Ok(()),
        }
    }
}

/// Returns the median.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
