//! `netviz` without a command.

use anyhow::Result;

use super::{doors, screen};
use crate::cli::{DoorsArgs, Exit};

/// Shows the live screen; without a terminal, or with an option that asks for other output or for an
/// end, runs `netviz doors`.
///
/// # Errors
/// As [`doors::run`].
pub async fn run(args: &DoorsArgs) -> Result<Exit> {
    match screen::is_wanted(args) {
        true => screen::run(args, false).await.map(|()| Exit::Success),
        false => doors::run(args).await,
    }
}
