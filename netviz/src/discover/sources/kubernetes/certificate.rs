//! What a client certificate says of itself: whose it is, and until when.
//!
//! Only as much of X.509 (RFC 5280, section 4.1) as these two need.

use base64::{Engine as _, prelude::BASE64_STANDARD};

const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
/// `id-at-commonName`, 2.5.4.3, as DER has it.
const COMMON_NAME: &[u8] = &[0x06, 0x03, 0x55, 0x04, 0x03];

/// The first certificate of a PEM file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Certificate {
    /// Common name of its subject: the user, for Kubernetes.
    pub(super) user: Option<String>,
    /// When it expires: `YYYYMMDDHHMMSS`, in UTC, which is ordered as times are.
    pub(super) until: Option<String>,
}

impl Certificate {
    /// `None` where there is none.
    pub(super) fn read(pem: &[u8]) -> Option<Self> {
        let der = first_of(std::str::from_utf8(pem).ok()?)?;
        let (_, certificate, _) = element(&der)?;
        let (_, mut rest, _) = element(certificate)?;
        if rest.first() == Some(&VERSION) {
            rest = element(rest)?.2;
        }
        // Serial number, algorithm, issuer.
        for _ in 0..3 {
            rest = element(rest)?.2;
        }
        let (_, validity, rest) = element(rest)?;
        let (_, subject, _) = element(rest)?;
        let (_, _, until) = element(validity)?;
        Some(Self {
            user: common_name(subject),
            until: element(until).and_then(|(tag, text, _)| time(tag, text)),
        })
    }
}

fn first_of(pem: &str) -> Option<Vec<u8>> {
    let (_, after) = pem.split_once("-----BEGIN CERTIFICATE-----")?;
    let (body, _) = after.split_once("-----END CERTIFICATE-----")?;
    let body: String = body.split_ascii_whitespace().collect();
    BASE64_STANDARD.decode(body).ok()
}

/// Tag and content of the first element, and what follows it.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = der.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = if first < 0x80 {
        (usize::from(first), rest)
    } else {
        // Four bytes of length are more than any file that is read.
        let count = usize::from(first & 0x7f);
        if !(1..=4).contains(&count) {
            return None;
        }
        let (bytes, rest) = rest.split_at_checked(count)?;
        let length = bytes
            .iter()
            .fold(0, |length, byte| (length << 8) | usize::from(*byte));
        (length, rest)
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

/// A name is a sequence of sets of pairs (identifier, text).
fn common_name(mut names: &[u8]) -> Option<String> {
    while !names.is_empty() {
        let (_, set, rest) = element(names)?;
        names = rest;
        let (tag, pair, _) = element(set)?;
        if tag == SEQUENCE
            && let Some(text) = pair.strip_prefix(COMMON_NAME)
        {
            let (_, text, _) = element(text)?;
            return String::from_utf8(text.to_vec()).ok();
        }
    }
    None
}

fn time(tag: u8, text: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(text).ok()?.strip_suffix('Z')?;
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    match (tag, text.len()) {
        // Two digits of the year: 50 to 99 are of the last century.
        (UTC_TIME, 12) if text < "5" => Some(format!("20{text}")),
        (UTC_TIME, 12) => Some(format!("19{text}")),
        (GENERALIZED_TIME, 14) => Some(text.into()),
        _ => None,
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

    #[test]
    fn times() {
        let until = |tag, text: &str| time(tag, text.as_bytes());
        assert_eq!(
            until(UTC_TIME, "261124023000Z").as_deref(),
            Some("20261124023000")
        );
        assert_eq!(
            until(UTC_TIME, "991124023000Z").as_deref(),
            Some("19991124023000")
        );
        assert_eq!(
            until(GENERALIZED_TIME, "20501124023000Z").as_deref(),
            Some("20501124023000")
        );
        assert_eq!(until(UTC_TIME, "26112402300Z"), None);
        assert_eq!(until(UTC_TIME, "2611240230ééZ"), None);
    }
}
