//! The live screen.
//!
//! Pure: [`State`] takes snapshots and keys, [`draw`] draws it. The loop that feeds it is
//! `app::live`.

mod details;
mod help;
mod history;
mod keys;
mod list;
mod places;
mod rows;
mod screen;
mod state;

pub use history::{chart, spark};
pub use keys::Action;
pub use places::{Places, places};
pub use rows::{Key, Mark, Row};
pub use screen::draw;
pub use state::{Options, State};
