//! Log messages of the forwarding programs about packets to unknown pods. A separate binary,
//! because the `log` crate has one logger per process.

use std::{
    net::Ipv4Addr,
    sync::{Mutex, PoisonError},
};

use log::{LevelFilter, Log, Metadata, Record};
use netviz::lab::{Lab, Mode, Options, traffic};
use netviz_tests::cli::wait::wait_for;

static LINES: Mutex<Vec<String>> = Mutex::new(Vec::new());

struct Collect;

impl Log for Collect {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        let mut lines = LINES.lock().unwrap_or_else(PoisonError::into_inner);
        lines.push(record.args().to_string());
    }

    fn flush(&self) {}
}

#[test]
fn packet_to_no_pod_is_logged_by_the_dropping_node() {
    log::set_logger(&Collect).unwrap();
    log::set_max_level(LevelFilter::Warn);
    for mode in [Mode::Vxlan, Mode::Native] {
        let lab = Lab::up(&Options {
            mode,
            ..Options::default()
        })
        .unwrap();
        let pod = &lab.pods()[0];
        let own = lab
            .nodes()
            .iter()
            .find(|node| node.name == pod.node)
            .unwrap();
        let other = lab
            .nodes()
            .iter()
            .find(|node| node.name != pod.node)
            .unwrap();
        for node in [own, other] {
            LINES.lock().unwrap().clear();
            let [a, b, c, _] = node.pod_cidr.addr().octets();
            let nobody = Ipv4Addr::new(a, b, c, 9);
            let namespace = lab.netns(pod).unwrap();
            assert_eq!(traffic::ping(&namespace, nobody.into(), 1).unwrap(), 0);
            let wanted = format!("no such pod: {} to {nobody} at cilium_host", pod.address);
            let heard = wait_for(|| {
                let lines = LINES.lock().unwrap().clone();
                if lines == [wanted.clone()] {
                    Ok(())
                } else {
                    Err(lines)
                }
            });
            assert_eq!(heard, Ok(()), "{mode}");
        }
        lab.down().unwrap();
    }
}
