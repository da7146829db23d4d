//! The laboratory comes, works and goes, and leaves nothing.

use std::{net::SocketAddr, time::Instant};

use netviz::lab::{Lab, Mode, Options, TCP_PORT, UDP_PORT, traffic};

#[test]
fn everybody_reaches_everybody() {
    for mode in Mode::ALL {
        let started = Instant::now();
        let lab = Lab::up(&Options {
            mode,
            ipv6: true,
            ..Options::default()
        })
        .unwrap_or_else(|error| panic!("{mode}: {error:#}"));
        println!("{mode} up in {:?}", started.elapsed());
        let mut bad = Vec::new();
        for from in lab.pods() {
            let namespace = lab.netns(from).unwrap();
            for to in lab.pods().iter().filter(|to| to.name != from.name) {
                for address in [to.address.into(), to.address6.into()] {
                    if traffic::ping(&namespace, address, 1).unwrap() != 1 {
                        bad.push(format!("{mode}: ping {} to {address}", from.address));
                    }
                    let udp = SocketAddr::new(address, UDP_PORT);
                    if traffic::udp(&namespace, udp, 1, 100).unwrap() != 1 {
                        bad.push(format!("{mode}: udp {} to {address}", from.address));
                    }
                }
                let tcp = SocketAddr::new(to.address.into(), TCP_PORT);
                match traffic::tcp(&namespace, tcp, 500_000) {
                    Ok(500_000) => {}
                    other => bad.push(format!("{mode}: tcp {} to {tcp}: {other:?}", from.address)),
                }
            }
        }
        let started = Instant::now();
        lab.down().unwrap();
        println!("{mode} down in {:?}", started.elapsed());
        assert_eq!(bad, Vec::<String>::new());
    }
}
