//! The live screen.
//!
//! Pure: [`State`] takes snapshots and keys, [`draw`] draws it. The loop that feeds it is
//! `app::screen`.

mod cells;
mod command_line;
mod commands;
mod details;
mod header;
mod help;
mod history;
mod keys;
mod list;
mod page;
mod pane;
mod places;
mod rows;
mod screen;
mod side;
mod state;

pub use command_line::CommandLine;
pub use history::{chart, spark};
pub use keys::Action;
pub use page::Page;
pub use rows::{Key, Mark, Row};
pub use screen::draw;
pub use state::{Options, State};
