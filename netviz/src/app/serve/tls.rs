//! TLS, from a certificate and a key.

use std::{path::Path, sync::Arc};

use anyhow::{Context as _, Result, bail};
use jiff::Timestamp;
use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};
use tokio_rustls::TlsAcceptor;
use x509_parser::{certificate::X509Certificate, prelude::FromDer as _};

use crate::cli::ServeArgs;

/// Accepts TLS connections, if there is a certificate.
///
/// # Errors
/// When the certificate or the key cannot be used; the message names the file.
pub(super) fn acceptor(args: &ServeArgs) -> Result<Option<TlsAcceptor>> {
    let (Some(certificate), Some(key)) = (&args.tls_cert, &args.tls_key) else {
        return Ok(None);
    };
    let chain =
        chain(certificate).with_context(|| format!("--tls-cert {}", certificate.display()))?;
    let private = PrivateKeyDer::from_pem_file(key)
        .with_context(|| format!("--tls-key {}: no private key in PEM form", key.display()))?;
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, private)
        .with_context(|| {
            let (certificate, key) = (certificate.display(), key.display());
            format!("--tls-cert {certificate} and --tls-key {key} do not fit together")
        })?;
    Ok(Some(TlsAcceptor::from(Arc::new(config))))
}

fn chain(path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let chain = CertificateDer::pem_file_iter(path)?.collect::<Result<Vec<_>, _>>()?;
    let Some(own) = chain.first() else {
        bail!("no certificate in PEM form");
    };
    let (_, parsed) = X509Certificate::from_der(own).context("not an X.509 certificate")?;
    let validity = parsed.validity();
    let now = Timestamp::now().as_second();
    if now > validity.not_after.timestamp() {
        bail!("expired at {}; renew it", validity.not_after);
    }
    if now < validity.not_before.timestamp() {
        bail!("not valid before {}; check the clock", validity.not_before);
    }
    Ok(chain)
}
