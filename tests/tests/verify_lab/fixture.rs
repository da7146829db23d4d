//! A lab, its pods, and checks of verdicts.

use aya::programs::LinkOrder;
use netviz::{
    lab::{Attach, Lab, Mode, Node, Options, Place, Pod},
    model::Direction,
    sys::netlink::Netlink,
};
use netviz_tests::{
    bpf::foreign_program::{ForeignProgram, Verdict},
    cli::verify::{VerifyOutput, verify},
};

pub(super) struct LabFixture {
    pub(super) lab: Lab,
    pub(super) mode: Mode,
}

impl LabFixture {
    pub(super) fn up(mode: Mode, ipv6: bool) -> Self {
        let options = Options {
            mode,
            ipv6,
            attach: Attach::Auto,
            ..Options::default()
        };
        let lab = Lab::up(&options).unwrap();
        Self { lab, mode }
    }

    /// Returns a pod, another pod of its node, and one of the other node.
    pub(super) fn pods(&self) -> [&Pod; 3] {
        let pods = self.lab.pods();
        let a = &pods[0];
        let b = pods[1..].iter().find(|pod| pod.node == a.node).unwrap();
        let c = pods.iter().find(|pod| pod.node != a.node).unwrap();
        [a, b, c]
    }

    pub(super) fn node(&self, pod: &Pod) -> &Node {
        let mut nodes = self.lab.nodes().iter();
        nodes.find(|node| node.name == pod.node).unwrap()
    }

    /// Returns A's node and C's node.
    pub(super) fn nodes(&self) -> [&Node; 2] {
        let [a, _, c] = self.pods();
        [self.node(a), self.node(c)]
    }

    /// Runs verify from pod A to pod C of the other node.
    pub(super) fn across(&self, args: &[&str]) -> VerifyOutput {
        let [a, _, c] = self.pods();
        let (a, c) = (a.address.to_string(), c.address.to_string());
        verify(&self.lab, &[&[a.as_str(), c.as_str()], args].concat())
    }

    /// Attaches a foreign program after netviz, which goes first.
    pub(super) fn attach(
        &self,
        place: &impl Place,
        device: &str,
        direction: Direction,
        verdict: Verdict,
    ) -> ForeignProgram {
        let netns = self.lab.netns(place).unwrap();
        ForeignProgram::tcx(&netns, device, direction, verdict, LinkOrder::first()).unwrap()
    }

    pub(super) fn netlink(&self, place: &impl Place) -> Netlink {
        Netlink::open_in(&self.lab.netns(place).unwrap()).unwrap()
    }
}

/// Checks the verdict, and returns the output.
#[track_caller]
pub(super) fn expect(result: VerifyOutput, verdict: &str) -> VerifyOutput {
    let code = match verdict {
        "verified" => 0,
        "unclear" => 2,
        _ => 1,
    };
    assert_eq!(
        (result.verdict(), result.code),
        (verdict, Some(code)),
        "{} {:#}",
        result.stderr,
        result.json
    );
    result
}

/// Checks that the request was lost after `door` (`▼ eth0`).
#[track_caller]
pub(super) fn expect_lost(result: VerifyOutput, door: &str) -> VerifyOutput {
    let result = expect(result, "lost");
    let last = format!("{door} of the request");
    assert_eq!(
        result.lost_after(),
        Some(last),
        "{} {:#}",
        result.stderr,
        result.json
    );
    result
}

/// Returns the packets delivered to B, and the replies delivered to A.
pub(super) fn arrived(result: &VerifyOutput) -> (Option<u64>, Option<u64>) {
    let number = |name: &str| result.json[name].as_u64();
    (number("delivered"), number("replied"))
}
