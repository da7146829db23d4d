//! Two nodes with the same name, as in two clusters on one machine, are distinguished in every
//! view.

use std::time::Duration;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use netviz::{
    model::{Role, Side, Snapshot},
    sys::netns::NetNsId,
    views::{
        building::layout::Layout,
        table::{self, Style},
        tui::{Options, State, draw},
    },
};
use netviz_tests::builders::snapshot_builder::{SnapshotBuilder, end};
use ratatui::{Terminal, backend::TestBackend};

const SECOND: Duration = Duration::from_secs(1);

fn nodes_with_one_name() -> Snapshot {
    let mut builder = SnapshotBuilder::default();
    for (netns, address) in [(100, "172.18.0.2/16"), (200, "172.19.0.2/16")] {
        let node = builder.node("worker", netns, &[address]);
        builder.pod(
            node,
            "web-0",
            "10.0.0.1/32",
            &end(netns + 1, 8, "eth0"),
            &end(netns, 9, "lxcaaa"),
        );
        let vxlan = end(netns, 4, "cilium_vxlan");
        builder.door(node, Side::Node, Role::Overlay, &vxlan);
    }
    builder.snapshot()
}

#[test]
fn each_door_names_its_node() {
    let snapshot = nodes_with_one_name();
    for netns in [100, 200] {
        let doors = snapshot.doors.iter();
        let mut its = doors.filter(|door| door.node_netns == NetNsId(netns));
        assert_eq!(its.clone().count(), 3);
        assert!(its.all(|door| door.node == "worker"));
    }
    let json = serde_json::to_value(&snapshot).expect("JSON");
    assert_eq!(json["doors"][0]["node_netns"], 100);
}

#[test]
fn each_node_has_its_own_building_and_heading() {
    let snapshot = nodes_with_one_name();
    let layout = Layout::new(&snapshot);
    let buildings: Vec<_> = layout
        .buildings
        .iter()
        .map(|building| (building.name.raw(), building.netns, building.rooms.len()))
        .collect();
    assert_eq!(
        buildings,
        [("worker", NetNsId(100), 1), ("worker", NetNsId(200), 1)]
    );
    let text = table::draw(&snapshot, Style::default());
    for heading in ["worker  172.18.0.2/16", "worker  172.19.0.2/16"] {
        let headings = text.lines().filter(|line| *line == heading);
        assert_eq!(headings.count(), 1, "{text}");
    }
}

#[test]
fn live_screen_folds_one_of_them() {
    let options = Options {
        interval: SECOND,
        ..Options::default()
    };
    let mut state = State::new(options, 160, 40);
    state.update(nodes_with_one_name(), SECOND);
    let text = |state: &State| {
        let mut terminal = Terminal::new(TestBackend::new(160, 40)).expect("a terminal");
        terminal.draw(|frame| draw(frame, state)).expect("a frame");
        terminal.backend().to_string()
    };
    let pods = |text: &str| {
        text.lines()
            .filter(|line| line.contains("10.0.0.1"))
            .count()
    };
    let open = text(&state);
    assert!(
        open.contains("172.18.0.2/16") && open.contains("172.19.0.2/16"),
        "{open}"
    );
    assert_eq!(pods(&open), 2, "{open}");
    state.key(KeyEvent::new(KeyCode::Home, KeyModifiers::NONE));
    state.key(KeyEvent::new(KeyCode::Left, KeyModifiers::NONE));
    let folded = text(&state);
    assert_eq!(pods(&folded), 1, "{folded}");
}
