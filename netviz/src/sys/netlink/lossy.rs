//! Rewrites messages that netlink-packet-route cannot parse.
//!
//! The kernel accepts any bytes in a name except `/`, `:` and white space; the library requires
//! UTF-8. Such a message is reduced to the attributes that netviz needs, with its name [`escaped`].

/// Size of `nlmsghdr`.
pub(super) const HEADER: usize = 16;

const NEW_LINK: u16 = libc::RTM_NEWLINK;
const DELETED_LINK: u16 = libc::RTM_DELLINK;
const NEW_ADDRESS: u16 = libc::RTM_NEWADDR;
const NEW_FILTER: u16 = libc::RTM_NEWTFILTER;
/// Size of `ifinfomsg`, of `ifaddrmsg` and of `tcmsg`.
const LINK_HEADER: usize = 16;
const ADDRESS_HEADER: usize = 8;
const FILTER_HEADER: usize = 20;
/// `IFLA_INFO_KIND`
const INFO_KIND: u16 = 1;
/// `IFLA_LINK_NETNSID`
const LINK_NETNSID: u16 = 37;
/// `TCA_KIND`, and `TCA_OPTIONS`, which mean to each kind something else.
const FILTER_KIND: u16 = 1;
const FILTER_OPTIONS: u16 = 2;
/// `TCA_BPF_NAME`, `TCA_BPF_FLAGS`, `TCA_BPF_ID`
const BPF_NAME: u16 = 7;
const BPF_FLAGS: u16 = 8;
const BPF_ID: u16 = 11;
/// Without `NLA_F_NESTED` and `NLA_F_NET_BYTEORDER`.
const KIND_MASK: u16 = 0x3fff;

/// What is kept of an attribute, if it is.
type Keep = fn(u16, &[u8]) -> Option<Vec<u8>>;

/// A message in the form that the library reads; `None` for what netviz does not need.
pub(super) fn readable(message: &[u8]) -> Option<Vec<u8>> {
    let kind = u16::from_ne_bytes(message.get(4..6)?.try_into().ok()?);
    let (fixed, keep): (_, Keep) = match kind {
        NEW_LINK | DELETED_LINK => (HEADER + LINK_HEADER, of_link),
        NEW_ADDRESS => (HEADER + ADDRESS_HEADER, of_address),
        NEW_FILTER => {
            let mut all = attributes(message.get(HEADER + FILTER_HEADER..)?);
            let is_bpf = all.any(|it| it == (FILTER_KIND, b"bpf\0"));
            let keep: Keep = if is_bpf { of_bpf } else { of_filter };
            (HEADER + FILTER_HEADER, keep)
        }
        _ => return None,
    };
    let mut readable = message.get(..fixed)?.to_vec();
    for (kind, value) in attributes(&message[fixed..]) {
        if let Some(value) = keep(kind, value) {
            append(&mut readable, kind, &value);
        }
    }
    let length = u32::try_from(readable.len()).ok()?;
    readable[..4].copy_from_slice(&length.to_ne_bytes());
    Some(readable)
}

fn of_link(kind: u16, value: &[u8]) -> Option<Vec<u8>> {
    match kind {
        libc::IFLA_IFNAME => Some(name(value)),
        libc::IFLA_ADDRESS
        | libc::IFLA_MTU
        | libc::IFLA_LINK
        | libc::IFLA_OPERSTATE
        | LINK_NETNSID => Some(value.to_vec()),
        libc::IFLA_LINKINFO => {
            let (kind, value) = attributes(value).find(|(kind, _)| *kind == INFO_KIND)?;
            let mut info = Vec::new();
            append(&mut info, kind, value);
            Some(info)
        }
        _ => None,
    }
}

/// Without the label, which begins with the interface's name.
fn of_address(kind: u16, value: &[u8]) -> Option<Vec<u8>> {
    matches!(kind, libc::IFA_ADDRESS | libc::IFA_LOCAL | libc::IFA_FLAGS).then(|| value.to_vec())
}

/// Of a filter of any kind.
fn of_filter(kind: u16, value: &[u8]) -> Option<Vec<u8>> {
    (kind == FILTER_KIND).then(|| value.to_vec())
}

/// Attributes of a filter that runs a program, whose name may be anything.
fn of_bpf(kind: u16, value: &[u8]) -> Option<Vec<u8>> {
    if kind != FILTER_OPTIONS {
        return of_filter(kind, value);
    }
    let mut options = Vec::new();
    for (kind, value) in attributes(value) {
        match kind {
            BPF_NAME => append(&mut options, kind, &name(value)),
            BPF_FLAGS | BPF_ID => append(&mut options, kind, value),
            _ => {}
        }
    }
    Some(options)
}

/// A name as the library reads it.
fn name(value: &[u8]) -> Vec<u8> {
    let mut name = escaped(value.strip_suffix(&[0]).unwrap_or(value)).into_bytes();
    name.push(0);
    name
}

/// A name with each byte that is not UTF-8 written as `\xff`.
#[must_use]
pub fn escaped(name: &[u8]) -> String {
    let mut text = String::new();
    for chunk in name.utf8_chunks() {
        text.push_str(chunk.valid());
        for byte in chunk.invalid() {
            text.push_str(&format!("\\x{byte:02x}"));
        }
    }
    text
}

/// The attributes of a message or of a nested attribute: kind and value.
pub fn attributes(mut rest: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let length = usize::from(u16::from_ne_bytes(rest.get(..2)?.try_into().ok()?));
        let kind = u16::from_ne_bytes(rest.get(2..4)?.try_into().ok()?);
        let value = rest.get(4..length)?;
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind & KIND_MASK, value))
    })
}

fn append(message: &mut Vec<u8>, kind: u16, value: &[u8]) {
    // A name grows to four times its length at the most, and the longest are those of filters, 256 bytes:
    // this never is too long.
    let length = u16::try_from(4 + value.len()).unwrap_or(u16::MAX);
    message.extend(length.to_ne_bytes());
    message.extend(kind.to_ne_bytes());
    message.extend(value);
    message.resize(message.len().next_multiple_of(4), 0);
}

#[cfg(test)]
mod tests {
    use netlink_packet_core::{NetlinkMessage, NetlinkPayload};
    use netlink_packet_route::{
        RouteNetlinkMessage,
        link::{InfoKind, LinkAttribute, LinkInfo},
        tc::{TcAttribute, TcBpfFlags, TcFilterBpfOption, TcOption},
    };

    use super::*;

    /// A veth of this name, as the kernel describes it.
    fn link(name: &[u8]) -> Vec<u8> {
        let mut message = vec![0; HEADER + LINK_HEADER];
        message[4..6].copy_from_slice(&NEW_LINK.to_ne_bytes());
        message[HEADER + 4..HEADER + 8].copy_from_slice(&7i32.to_ne_bytes());
        append(&mut message, libc::IFLA_IFNAME, &[name, &[0]].concat());
        append(&mut message, libc::IFLA_IFALIAS, b"\xff\xfe\0");
        append(&mut message, libc::IFLA_LINK, &9u32.to_ne_bytes());
        let mut info = Vec::new();
        append(&mut info, INFO_KIND, b"veth\0");
        append(&mut message, libc::IFLA_LINKINFO | 0x8000, &info);
        let length = message.len() as u32;
        message[..4].copy_from_slice(&length.to_ne_bytes());
        message
    }

    #[test]
    fn link_name_need_not_be_utf8() {
        let message = link(b"e\xff\xc3th0");
        assert!(NetlinkMessage::<RouteNetlinkMessage>::deserialize(&message).is_err());
        let readable = readable(&message).unwrap();
        let read = NetlinkMessage::<RouteNetlinkMessage>::deserialize(&readable).unwrap();
        let NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewLink(link)) = read.payload else {
            panic!("{read:?}")
        };
        assert_eq!(link.header.index, 7);
        let name = LinkAttribute::IfName("e\\xff\\xc3th0".into());
        let kind = LinkAttribute::LinkInfo(vec![LinkInfo::Kind(InfoKind::Veth)]);
        assert_eq!(link.attributes, [name, LinkAttribute::Link(9), kind]);
    }

    /// A filter of this name that runs program 77, as the kernel describes it.
    fn filter(kind: &[u8], name: &[u8]) -> Vec<u8> {
        let mut message = vec![0; HEADER + FILTER_HEADER];
        message[4..6].copy_from_slice(&NEW_FILTER.to_ne_bytes());
        message[HEADER + 4..HEADER + 8].copy_from_slice(&7i32.to_ne_bytes());
        append(&mut message, FILTER_KIND, kind);
        let mut options = Vec::new();
        append(&mut options, BPF_NAME, &[name, &[0]].concat());
        append(&mut options, BPF_FLAGS, &1u32.to_ne_bytes());
        append(&mut options, BPF_ID, &77u32.to_ne_bytes());
        append(&mut message, FILTER_OPTIONS | 0x8000, &options);
        let length = message.len() as u32;
        message[..4].copy_from_slice(&length.to_ne_bytes());
        message
    }

    /// A program ahead of netviz is found, whatever its name.
    #[test]
    fn filter_name_need_not_be_utf8() {
        let message = filter(b"bpf\0", b"cil\xff");
        assert!(NetlinkMessage::<RouteNetlinkMessage>::deserialize(&message).is_err());
        let readable = readable(&message).unwrap();
        let read = NetlinkMessage::<RouteNetlinkMessage>::deserialize(&readable).unwrap();
        let NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewTrafficFilter(filter)) =
            read.payload
        else {
            panic!("{read:?}")
        };
        let options = [
            TcFilterBpfOption::ProgName("cil\\xff".into()),
            TcFilterBpfOption::Flags(TcBpfFlags::DirectAction),
            TcFilterBpfOption::ProgId(77),
        ];
        let options = options.into_iter().map(TcOption::Bpf).collect();
        let kind = TcAttribute::Kind("bpf".into());
        assert_eq!(filter.attributes, [kind, TcAttribute::Options(options)]);
    }

    #[test]
    fn truncated_input_does_not_panic() {
        for message in [
            link(b"e\xffth0"),
            filter(b"bpf\0", b"\xff"),
            filter(b"u32\0", b"\xff"),
        ] {
            for length in 0..message.len() {
                let _ = readable(&message[..length]);
            }
        }
        // An attribute longer than the message, and one shorter than its header.
        for wrong in [[0xff, 0xff, 3, 0], [1, 0, 3, 0], [0, 0, 3, 0]] {
            assert_eq!(attributes(&wrong).count(), 0);
        }
    }

    #[test]
    fn utf8_names_are_unchanged() {
        assert_eq!(escaped("インタフ".as_bytes()), "インタフ");
        assert_eq!(escaped(b"lxc0"), "lxc0");
    }
}
