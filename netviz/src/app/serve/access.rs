//! Who may ask: the host names that are answered, and the token.

use std::{
    fmt, fs,
    net::IpAddr,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::Path,
};

use anyhow::{Context as _, Result, ensure};
use axum::http::{
    HeaderMap, StatusCode,
    header::{AUTHORIZATION, HOST},
    uri::Authority,
};
use subtle::ConstantTimeEq as _;

use crate::cli::ServeArgs;

/// A shorter token could be guessed.
const SHORTEST_TOKEN: usize = 16;
/// Nobody types a longer one; the limit keeps a wrong file out of memory.
const LONGEST_TOKEN: u64 = 4096;

/// Who may ask.
#[derive(Clone)]
pub(super) struct Access {
    hosts: Vec<String>,
    token: Option<String>,
}

// The token is no business of a log.
impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Access")
            .field("hosts", &self.hosts)
            .finish_non_exhaustive()
    }
}

impl Access {
    /// Reads the token.
    ///
    /// # Errors
    /// When its file cannot be read, or others could read it.
    pub(super) fn new(args: &ServeArgs) -> Result<Self> {
        Ok(Self {
            hosts: args.host.clone(),
            token: args.token_file.as_deref().map(read_token).transpose()?,
        })
    }

    pub(super) fn has_token(&self) -> bool {
        self.token.is_some()
    }

    /// Checks a request; probes of the kubelet have no token.
    pub(super) fn check(&self, headers: &HeaderMap, is_probe: bool) -> Result<(), StatusCode> {
        if !self.knows_host(headers) {
            return Err(StatusCode::MISDIRECTED_REQUEST);
        }
        match &self.token {
            Some(token) if !is_probe && !has_token(headers, token) => Err(StatusCode::UNAUTHORIZED),
            _ => Ok(()),
        }
    }

    /// A page of another site that has rebound its name to this address sends its own name. An
    /// address cannot be rebound.
    fn knows_host(&self, headers: &HeaderMap) -> bool {
        let mut hosts = headers.get_all(HOST).iter();
        let (Some(host), None) = (hosts.next(), hosts.next()) else {
            return false;
        };
        let Some(authority) = host
            .to_str()
            .ok()
            .and_then(|it| it.parse::<Authority>().ok())
        else {
            return false;
        };
        let host = authority.host();
        let address = host.trim_start_matches('[').trim_end_matches(']');
        host.eq_ignore_ascii_case("localhost")
            || address.parse::<IpAddr>().is_ok()
            || self.hosts.iter().any(|it| it.eq_ignore_ascii_case(host))
    }
}

fn has_token(headers: &HeaderMap, token: &str) -> bool {
    let value = headers.get(AUTHORIZATION).map(|it| it.as_bytes());
    let given = value.and_then(|it| it.split_first_chunk::<7>());
    given.is_some_and(|(scheme, given)| {
        scheme.eq_ignore_ascii_case(b"Bearer ") && given.ct_eq(token.as_bytes()).into()
    })
}

fn read_token(path: &Path) -> Result<String> {
    let file = path.display();
    let metadata = fs::metadata(path).with_context(|| format!("--token-file {file}"))?;
    ensure!(metadata.is_file(), "--token-file {file}: not a file");
    let mode = metadata.permissions().mode();
    ensure!(
        mode & 0o007 == 0,
        "--token-file {file}: everyone on this machine may read it; run chmod o= {file}"
    );
    ensure!(
        metadata.size() <= LONGEST_TOKEN,
        "--token-file {file}: longer than {LONGEST_TOKEN} bytes"
    );
    let text = fs::read_to_string(path).with_context(|| format!("--token-file {file}"))?;
    let token = text.trim();
    ensure!(
        token.len() >= SHORTEST_TOKEN && token.bytes().all(|it| it.is_ascii_graphic()),
        "--token-file {file}: not a token of at least {SHORTEST_TOKEN} printable characters; make one with: openssl rand -hex 32"
    );
    Ok(token.into())
}
