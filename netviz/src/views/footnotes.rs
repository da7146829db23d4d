//! Reasons of doors, each once for all doors that share it.

use super::door::{Status, state, state_with};
use crate::model::{DoorState, Reason, State};

/// Footnotes in the order of their first door.
#[derive(Debug, Default)]
pub(super) struct Footnotes(Vec<Footnote>);

/// One state and reason, and the doors that have it.
#[derive(Debug)]
pub(super) struct Footnote {
    state: State,
    reason: Option<Reason>,
    /// With figures for a single door, without them for several.
    pub(super) text: String,
    /// The doors: `lxc73d2e1d7cf4f 13`.
    pub(super) places: Vec<String>,
}

impl Footnote {
    fn fits(&self, door: &DoorState) -> bool {
        let same_reason = match (&self.reason, &door.reason) {
            (Some(known), Some(reason)) => known.resembles(reason),
            (known, reason) => known == reason,
        };
        self.state == door.state && same_reason
    }
}

impl Footnotes {
    /// Adds a door. Returns the number of its footnote, from 1.
    pub(super) fn add(&mut self, door: &DoorState, place: String) -> usize {
        if let Some(known) = self.0.iter().position(|note| note.fits(door)) {
            let note = &mut self.0[known];
            let reason = note.reason.as_ref().map(|reason| format!("{reason:#}"));
            note.text = state_with(Status::new(note.state, note.reason.as_ref()), reason);
            note.places.push(place);
            return known + 1;
        }
        self.0.push(Footnote {
            state: door.state,
            reason: door.reason.clone(),
            text: state(door),
            places: vec![place],
        });
        self.0.len()
    }

    /// All of them.
    pub(super) fn all(&self) -> impl Iterator<Item = &Footnote> {
        self.0.iter()
    }
}
