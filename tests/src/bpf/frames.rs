//! Ethernet frames of every kind, valid and invalid.

pub mod flows;
pub mod packets;

use bytes::{BufMut as _, BytesMut};

/// Shortest frame that the kernel's test run accepts: a bare Ethernet header.
pub const SHORTEST: usize = 14;

const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86dd;
const VLAN: u16 = 0x8100;
const QINQ: u16 = 0x88a8;
const LLDP: u16 = 0x88cc;

/// A frame with a name for messages.
#[derive(Clone, Debug)]
pub struct Frame {
    /// Its description.
    pub name: String,
    /// Its bytes, from the Ethernet header on.
    pub bytes: BytesMut,
    /// It ends within an announced header: newer kernels refuse to run it.
    pub cut: bool,
}

/// Returns one frame of each kind.
#[must_use]
pub fn all() -> Vec<Frame> {
    let mut frames = Vec::new();
    for length in (SHORTEST..=64).chain([65, 128, 575, 1_499, 1_500, 1_514]) {
        frames.push(Frame {
            cut: length < SHORTEST + 20,
            ..named(format!("{length} bytes of IPv4"), ipv4(length))
        });
        frames.push(Frame {
            cut: length < SHORTEST + 40,
            ..named(format!("{length} bytes of IPv6"), ipv6(length))
        });
        frames.push(Frame {
            cut: length == SHORTEST,
            ..named(format!("{length} bytes of LLDP"), garbage(LLDP, length))
        });
    }
    frames.extend(odd_ipv4());
    frames.extend(odd_ipv6());
    frames.push(named("VLAN".into(), tagged(&[(VLAN, 7)])));
    frames.push(named("QinQ".into(), tagged(&[(QINQ, 100), (VLAN, 7)])));
    for ethertype in [0, IPV4, IPV6, VLAN, QINQ, LLDP, 0xffff] {
        let name = format!("garbage of type {ethertype:#06x}");
        frames.push(named(name, garbage(ethertype, 100)));
    }
    frames
}

/// Returns frames of random length and content, identical for the same seed.
#[must_use]
pub fn random(seed: u64, count: usize) -> Vec<Frame> {
    let mut random = Random(seed);
    let frame = |number| {
        let length = SHORTEST + random.below(1_500);
        let bytes = (0..length).map(|_| random.below(256) as u8).collect();
        named(format!("random frame {number} of seed {seed:#x}"), bytes)
    };
    (0..count).map(frame).collect()
}

/// Returns an IPv4 UDP datagram, truncated or padded to `length` bytes.
#[must_use]
pub fn ipv4(length: usize) -> BytesMut {
    let mut frame = ethernet(IPV4);
    frame.put_slice(&[0x45, 0]);
    frame.put_u16(length.saturating_sub(SHORTEST) as u16);
    frame.put_slice(&[0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
    frame.resize(length, 0x6e);
    frame
}

fn ipv6(length: usize) -> BytesMut {
    let mut frame = ethernet(IPV6);
    frame.put_slice(&[0x60, 0, 0, 0]);
    frame.put_u16(length.saturating_sub(SHORTEST + 40) as u16);
    frame.put_slice(&[17, 64]);
    frame.put_slice(&[0xfd; 32]);
    frame.resize(length, 0x6e);
    frame
}

/// Returns headers with too short a length, fragments, and transport headers that are truncated.
fn odd_ipv4() -> Vec<Frame> {
    const VERSION: usize = SHORTEST;
    const FRAGMENT: usize = SHORTEST + 6;
    const PROTOCOL: usize = SHORTEST + 9;
    let mut frames = Vec::new();
    let mut odd = |name: String, length: usize, at: usize, bytes: &[u8]| {
        let mut frame = ipv4(length);
        frame[at..at + bytes.len()].copy_from_slice(bytes);
        frames.push(named(name, frame));
    };
    for words in [0, 1, 4, 6, 15] {
        odd(
            format!("an IPv4 header of {words} words"),
            60,
            VERSION,
            &[0x40 | words],
        );
    }
    for (name, offset) in [
        ("the first fragment", 0x2000_u16),
        ("a fragment in the middle", 0x2001),
        ("the last fragment", 0x0001),
        ("a fragment behind the end", 0x1fff),
        ("a bit that must be zero", 0x8000),
    ] {
        odd(name.into(), 100, FRAGMENT, &offset.to_be_bytes());
    }
    for (name, protocol, length) in [
        ("half a TCP header", 6, 44),
        ("half a UDP header", 17, 38),
        ("half an ICMP header", 1, 36),
        ("an unknown protocol", 253, 100),
    ] {
        odd(name.into(), length, PROTOCOL, &[protocol]);
    }
    frames
}

/// Returns extension headers in every order, chained, and truncated.
fn odd_ipv6() -> Vec<Frame> {
    const NEXT: usize = SHORTEST + 6;
    const UDP: u8 = 17;
    const EXTENSIONS: [u8; 5] = [0, 43, 44, 60, 51];
    let chain = |kinds: &[u8], end: u8| {
        let mut frame = ipv6(SHORTEST + 40);
        frame[NEXT] = *kinds.first().unwrap_or(&end);
        for at in 0..kinds.len() {
            let next = *kinds.get(at + 1).unwrap_or(&end);
            // Eight bytes each; an authentication header counts in units of four.
            frame.put_slice(&[next, 0, 0, 0, 0, 0, 0, 0]);
        }
        frame.put_slice(&[0x6e; 24]);
        frame
    };
    let mut frames = Vec::new();
    for kind in EXTENSIONS {
        frames.push(named(format!("IPv6 extension {kind}"), chain(&[kind], UDP)));
    }
    frames.push(named("all IPv6 extensions".into(), chain(&EXTENSIONS, UDP)));
    frames.push(named(
        "a hundred IPv6 extensions".into(),
        chain(&[60; 100], UDP),
    ));
    let mut cut = chain(&[60; 10], UDP);
    cut.truncate(SHORTEST + 40 + 13);
    frames.push(named("IPv6 extensions, cut".into(), cut));
    frames
}

fn tagged(tags: &[(u16, u16)]) -> BytesMut {
    let mut frame = BytesMut::new();
    frame.put_slice(&ethernet(0)[..12]);
    for (protocol, vlan) in tags {
        frame.put_u16(*protocol);
        frame.put_u16(*vlan);
    }
    frame.put_slice(&ipv4(100)[12..]);
    frame
}

fn garbage(ethertype: u16, length: usize) -> BytesMut {
    let mut frame = ethernet(ethertype);
    let mut random = Random(u64::from(ethertype) + 1);
    while frame.len() < length {
        frame.put_u8(random.below(256) as u8);
    }
    frame
}

fn ethernet(ethertype: u16) -> BytesMut {
    let mut frame = BytesMut::new();
    frame.put_slice(&[2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1]);
    frame.put_u16(ethertype);
    frame
}

fn named(name: String, bytes: BytesMut) -> Frame {
    Frame {
        name,
        bytes,
        cut: false,
    }
}

/// xorshift64*: a failure must be reproducible.
#[derive(Clone, Debug)]
pub struct Random(pub u64);

impl Random {
    /// The next number below `limit`.
    pub fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % limit
    }
}
