//! See which network interfaces your pods' packets really cross.
//!
//! Data flows one way: the kernel's interfaces ([`sys`]) at the bottom, plain data ([`model`]) in
//! the middle, [`views`] at the top. See `docs/architecture.md`.

#![warn(clippy::too_many_lines)]

pub mod app;
pub mod attach;
pub mod audit;
pub mod cli;
pub mod count;
pub mod discover;
pub mod feed;
pub mod lab;
pub mod model;
pub mod names;
pub mod sys;
pub mod verify;
pub mod views;
