//! Names of transport protocols.

/// ICMP's number.
pub(super) const ICMP: u8 = 1;
/// ICMPv6's number.
pub(super) const ICMPV6: u8 = 58;

/// The protocols that have a name here, by IANA's numbers.
pub(super) const NAMES: [(u8, &str); 9] = [
    (6, "tcp"),
    (17, "udp"),
    (ICMP, "icmp"),
    (ICMPV6, "icmpv6"),
    (132, "sctp"),
    (2, "igmp"),
    (47, "gre"),
    (50, "esp"),
    (4, "ipip"),
];

/// `tcp`, or the number of a protocol without a name.
pub(super) fn name(number: u8) -> String {
    let mut names = NAMES.iter();
    let known = names.find(|(own, _)| *own == number);
    known.map_or_else(|| number.to_string(), |(_, name)| (*name).into())
}

/// The number of a protocol, by its name or its number.
pub(super) fn number(text: &str) -> Option<u8> {
    let mut names = NAMES.iter();
    match names.find(|(_, name)| name.eq_ignore_ascii_case(text)) {
        Some((number, _)) => Some(*number),
        None => text.parse().ok(),
    }
}
