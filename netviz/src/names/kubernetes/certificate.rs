//! What a client certificate says of itself: whose it is, and until when.

use jiff::Timestamp;
use rustls::pki_types::{CertificateDer, pem::PemObject as _};
use x509_parser::{certificate::X509Certificate, prelude::FromDer as _};

/// The first certificate of a PEM file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Certificate {
    /// Common name of its subject: the user, for Kubernetes.
    pub(super) user: Option<String>,
    /// When it expires; `None` for a time that is beyond all calendars.
    pub(super) until: Option<Timestamp>,
}

impl Certificate {
    /// `None` where there is none.
    pub(super) fn read(pem: &[u8]) -> Option<Self> {
        let der = CertificateDer::from_pem_slice(pem).ok()?;
        let (_, certificate) = X509Certificate::from_der(&der).ok()?;
        let mut users = certificate.subject().iter_common_name();
        let user = users.next().and_then(|user| user.as_str().ok());
        let until = certificate.validity().not_after.timestamp();
        Some(Self {
            user: user.map(str::to_owned),
            until: Timestamp::from_second(until).ok(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_is_no_certificate_is_read_as_one() {
        for wrong in [
            "",
            "-----BEGIN CERTIFICATE-----",
            "-----BEGIN CERTIFICATE-----\n%%%\n-----END CERTIFICATE-----",
            "-----BEGIN CERTIFICATE-----\nMIIBhTCCATeg\n-----END CERTIFICATE-----",
            "-----BEGIN CERTIFICATE-----\nMIT/////\n-----END CERTIFICATE-----",
        ] {
            assert_eq!(Certificate::read(wrong.as_bytes()), None, "{wrong}");
        }
    }
}
