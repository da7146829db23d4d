//! The filter language: `pod:web-* and not (port:53 or cidr:10.0.0.0/8)`.
//!
//! `netviz flows` selects flows with it, and the live screen interfaces. Terms are joined by `and`
//! (which may be left out), `or` and `not`, and grouped by parentheses; `not` binds closest, then
//! `and`. A name matches as a whole or as a glob pattern, a word without a term matches a part of any
//! name, both regardless of case.

mod error;
mod expression;
mod parse;
mod term;

pub use self::{
    error::QueryError,
    expression::{Query, Subject},
    parse::parse,
    term::{Key, Pattern, Term},
};
