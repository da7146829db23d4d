//! Source of names: the Kubernetes API, read only.
//!
//! Nodes and pods, and services if requested, are listed, then watched; policies are listed when one
//! has dropped packets. Nothing is ever written. What is known is kept while the API cannot be reached.

pub mod access;
mod error_text;
mod guard;
pub mod objects;
pub(crate) mod policies;
mod policy_objects;
pub mod session;

use std::sync::Arc;

use caps::Capability;

use super::{
    report::Report,
    source::{Context, NameSource, SourceOptions},
};
use crate::{
    discover::Discovered,
    model::{Source, Status},
    sys::privileges,
};
use session::{Session, Watched};

/// The API, with the session while there is access to it.
pub(super) struct Kubernetes {
    options: SourceOptions,
    session: Option<Session>,
}

impl Kubernetes {
    /// On the thread that reads it.
    pub(super) fn new(options: &SourceOptions) -> Self {
        // Enough to read a kubeconfig of another user, or in the root of another process.
        privileges::keep_only(&[Capability::CAP_SYS_PTRACE, Capability::CAP_DAC_READ_SEARCH]);
        Self {
            options: options.clone(),
            session: None,
        }
    }
}

impl NameSource for Kubernetes {
    fn read(&mut self, context: &Context, found: &Discovered) -> Vec<Report> {
        let hosts = access::hosts(found);
        let access = access::find(&self.options, &hosts);
        let access = match context.runtime.block_on(access) {
            Ok(Some(access)) => access,
            without => {
                self.session = None;
                let status = without.map_or_else(Status::failed, |_| Status::Absent);
                return vec![Report::new(Source::Kubernetes, None, status)];
            }
        };
        let session = match self.session.take() {
            Some(session) if session.access == access => session,
            // What is known stays when credentials are renewed.
            Some(session) if session.access.origin == access.origin => {
                Session::start(access, session.watched.clone(), context)
            }
            _ => {
                let watched = Arc::new(Watched::new(self.options.services));
                Session::start(access, watched, context)
            }
        };
        let report = self.session.insert(session).report();
        report.into_iter().collect()
    }
}
