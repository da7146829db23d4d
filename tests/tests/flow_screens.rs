//! Flows on screens and as a matrix, from handmade snapshots: no kernel, no terminal.

use std::{collections::HashSet, time::Duration};

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use netviz::{
    model::{DoorId, Role, Side, Snapshot, State as DoorCondition},
    sys::netns::NetNsId,
    views::{
        filter::Filter,
        flows::{
            PairReport, Selected, interfaces, matrix,
            screen::{FlowScreen, FlowScreenOptions},
        },
        text::visible_width,
        tui::{Action, Options, Page, State},
    },
};
use netviz_tests::builders::{
    flows::{count_flows, flow, talking},
    hostile::check,
    snapshot_builder::cluster,
};
use ratatui::{Terminal, backend::TestBackend};

const SECOND: Duration = Duration::from_secs(1);

fn text(page: &impl Page, columns: u16, rows: u16) -> String {
    let mut terminal = Terminal::new(TestBackend::new(columns, rows)).unwrap();
    terminal.draw(|frame| page.draw(frame)).unwrap();
    terminal.backend().to_string()
}

fn press(page: &mut impl Page, code: KeyCode) -> Action {
    page.key(KeyEvent::new(code, KeyModifiers::NONE))
}

fn types(page: &mut impl Page, keys: &str) {
    for key in keys.chars() {
        press(page, KeyCode::Char(key));
    }
}

fn flow_screen(snapshot: Snapshot, columns: u16, rows: u16) -> FlowScreen {
    let options = FlowScreenOptions {
        filter: Filter::default(),
        ..FlowScreenOptions::default()
    };
    let mut screen = FlowScreen::new(options, columns, rows);
    screen.update(snapshot, SECOND);
    screen
}

fn id((netns, ifindex): (u64, u32)) -> DoorId {
    DoorId::new(NetNsId(netns), ifindex)
}

#[test]
fn flow_screen_at_two_sizes() {
    for (columns, rows) in [(80, 24), (160, 40)] {
        let screen = flow_screen(talking(), columns, rows);
        insta::assert_snapshot!(
            format!("flow_screen_{columns}"),
            text(&screen, columns, rows)
        );
    }
}

#[test]
fn no_size_or_key_panics() {
    let mut screen = flow_screen(talking(), 80, 24);
    for columns in [1, 5, 20, 79, 400] {
        for rows in [1, 2, 3, 4, 9, 100] {
            screen.resize(columns, rows);
            for code in [
                KeyCode::End,
                KeyCode::PageUp,
                KeyCode::Char('b'),
                KeyCode::Char('s'),
            ] {
                press(&mut screen, code);
                text(&screen, columns, rows);
            }
        }
    }
}

#[test]
fn keys_of_the_flow_screen() {
    let mut screen = flow_screen(talking(), 160, 40);
    types(&mut screen, "/port:443");
    let shown = text(&screen, 160, 40);
    assert!(
        shown.contains(":443") && !shown.contains(":5432"),
        "{shown}"
    );
    press(&mut screen, KeyCode::Enter);
    types(&mut screen, "b");
    let shown = text(&screen, 160, 40);
    assert!(
        shown.contains("pairs by bytes") && shown.contains("outside"),
        "{shown}"
    );
    press(&mut screen, KeyCode::Esc);
    types(&mut screen, "bs");
    let shown = text(&screen, 160, 40);
    assert!(
        shown.contains("flows by packets") && shown.contains(":5432"),
        "{shown}"
    );
    types(&mut screen, "/prot:tcp");
    let shown = text(&screen, 160, 40);
    let line = |part: &str| shown.lines().find(|line| line.contains(part)).unwrap();
    let column = |line: &str, part: &str| visible_width(line.split(part).next().unwrap());
    assert_eq!(
        column(line("unknown term"), "↓"),
        column(line("/prot:tcp"), "prot"),
        "{shown}"
    );
    press(&mut screen, KeyCode::Esc);
    // The page stops, and keeps counting.
    types(&mut screen, "p");
    let mut later = talking();
    count_flows(&mut later, (2_001, 10), Vec::new());
    screen.update(later, 2 * SECOND);
    let shown = text(&screen, 160, 40);
    assert!(
        shown.contains("PAUSED") && shown.contains("icmp echo"),
        "{shown}"
    );
    assert_eq!(press(&mut screen, KeyCode::Char('q')), Action::Quit);
}

/// By default, flows are counted where paths end; otherwise at the devices that are named.
#[test]
fn ends_of_paths_or_named_devices_count_flows() {
    let mut snapshot = cluster(1, 2, true).snapshot();
    let names = |devices: &[&str]| {
        let devices: Vec<_> = devices.iter().map(|it| (*it).to_owned()).collect();
        Filter::new(&[], &[], &devices).unwrap()
    };
    let all = |snapshot: &Snapshot, filter: &Filter| interfaces(snapshot, filter);
    let (eth0, one, two, lxc) = ((1_000, 5), (1_001, 10), (1_002, 12), (1_000, 13));
    assert_eq!(
        all(&snapshot, &names(&[])),
        HashSet::from([eth0, one, two].map(id))
    );
    let vxlan = id((1_000, 4));
    assert_eq!(
        all(&snapshot, &names(&["cilium_vxlan"])),
        HashSet::from([vxlan])
    );
    assert_eq!(all(&snapshot, &names(&["*"])).len(), snapshot.doors.len());
    // A pod that cannot be entered is seen from its node.
    let far = snapshot
        .doors
        .iter_mut()
        .find(|door| door.id == id(two))
        .unwrap();
    far.netns = None;
    far.state = DoorCondition::Blind;
    assert_eq!(
        all(&snapshot, &names(&[])),
        HashSet::from([eth0, one, lxc].map(id))
    );
}

#[test]
fn flows_of_the_selected_row_are_shown_in_a_pane() {
    let options = Options {
        interval: SECOND,
        ..Options::default()
    };
    let mut state = State::new(options, 160, 50);
    state.update(talking(), SECOND);
    assert!(state.flow_doors().is_empty());
    // The first pod: its own interface, and not the node's end of the veth pair.
    types(&mut state, "j");
    press(&mut state, KeyCode::Char('f'));
    assert_eq!(state.flow_doors(), HashSet::from([id((1_001, 10))]));
    let shown = text(&state, 160, 50);
    assert!(
        shown.contains("netviz flows --node=worker1 --pod=shop-0-7d996d7884-10000"),
        "{shown}"
    );
    assert!(
        shown.contains("answered by shop-1-7d996d7884-20001:8080"),
        "{shown}"
    );
    assert!(shown.contains("120 packets of evicted flows"), "{shown}");
    // It stays where it is while another row is selected.
    types(&mut state, "jj");
    assert_eq!(state.flow_doors(), HashSet::from([id((1_001, 10))]));
    // A single interface.
    press(&mut state, KeyCode::Char('f'));
    let doors = state.flow_doors();
    assert_eq!(doors.len(), 1);
    let shown = state.flow_doors().into_iter().next().unwrap();
    let snapshot = talking();
    let door = snapshot.doors.iter().find(|door| door.id == shown).unwrap();
    assert_eq!((door.side, door.role), (Side::Node, Role::Pod));
    // Closed, nothing is counted any more.
    assert_eq!(press(&mut state, KeyCode::Esc), Action::Close);
    assert!(state.flow_doors().is_empty());
}

fn pairs(snapshot: &Snapshot) -> PairReport {
    PairReport::new(snapshot, &Selected::default())
}

#[test]
fn matrix_of_pairs() {
    let report = pairs(&talking());
    let picture = matrix::draw(&report);
    check::markup("matrix", &picture, &[check::PICTURE]);
    insta::assert_snapshot!("flow_matrix", picture);
    check::markup(
        "page",
        &matrix::page(&report),
        &[check::PICTURE, check::PAGE],
    );
}

/// A matrix of many pods has a row for the busiest, and one for the others.
#[test]
fn matrix_of_many_folds_the_others() {
    let mut snapshot = cluster(2, 120, false).snapshot();
    for pod in 0..120_u32 {
        let from = format!("10.1.0.{}", pod + 1);
        let to = format!("10.2.0.{}", (pod + 7) % 120 + 1);
        let flows = vec![flow(
            netviz::model::Direction::Egress,
            (&from, 1),
            (&to, 2),
            u64::from(pod) + 1,
        )];
        count_flows(&mut snapshot, (1_001 + u64::from(pod), 10 + 2 * pod), flows);
    }
    let picture = matrix::draw(&pairs(&snapshot));
    check::markup("matrix", &picture, &[check::PICTURE]);
    assert!(picture.contains(">200 others<"), "{picture}");
    // Nothing is lost.
    let sum: u64 = (1..=120).sum();
    let drawn = picture.split("<title>").filter_map(|part| {
        let packets = part.split(" packets").next()?.rsplit(": ").next()?;
        packets.replace(' ', "").parse::<u64>().ok()
    });
    assert_eq!(drawn.sum::<u64>(), sum);
}
