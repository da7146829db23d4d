//! `netviz` without a command.

use anyhow::Result;

use super::{doors, screen};
use crate::cli::DoorsArgs;

/// Shows the live screen; without a terminal, or with an option that asks for other output or for an
/// end, runs `netviz doors`.
///
/// # Errors
/// As [`doors::run`].
pub async fn run(args: &DoorsArgs) -> Result<()> {
    match screen::is_wanted(args) {
        true => screen::run(args, false).await,
        false => doors::run(args).await,
    }
}
