//! The live screen, drawn from handmade snapshots: no kernel, no terminal.

use std::time::Duration;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers, MouseButton, MouseEvent, MouseEventKind};
use netviz::{
    model::{Chain, Counts, DoorId, Role, Side, Snapshot},
    sys::netns::NetNsId,
    views::{
        order::Sort,
        text::visible_width,
        tui::{Action, Key, Options, State, chart, draw, spark},
    },
};
use netviz_tests::builders::{
    hostile::{NAMES, check, escaped},
    snapshot_builder::{SnapshotBuilder, blog, end},
};
use ratatui::{Terminal, backend::TestBackend, style::Modifier};

const SECOND: Duration = Duration::from_secs(1);

fn state(columns: u16, rows: u16) -> State {
    let options = Options {
        colour: false,
        interval: SECOND,
        sort: Sort::Place,
    };
    State::new(options, columns, rows)
}

fn state_with(snapshot: Snapshot, columns: u16, rows: u16) -> State {
    let mut state = state(columns, rows);
    state.update(snapshot, SECOND);
    state
}

fn drawn(state: &State, columns: u16, rows: u16) -> Terminal<TestBackend> {
    let mut terminal = Terminal::new(TestBackend::new(columns, rows)).unwrap();
    terminal.draw(|frame| draw(frame, state)).unwrap();
    terminal
}

fn text(state: &State, columns: u16, rows: u16) -> String {
    drawn(state, columns, rows).backend().to_string()
}

fn press(state: &mut State, code: KeyCode) -> Action {
    state.key(KeyEvent::new(code, KeyModifiers::NONE))
}

fn types(state: &mut State, keys: &str) {
    for key in keys.chars() {
        press(state, KeyCode::Char(key));
    }
}

/// Returns a cluster with pods, their doors, and the node's ends of their veth pairs.
fn pods(count: u32) -> SnapshotBuilder {
    let mut builder = SnapshotBuilder::default();
    let node = builder.node("node", 1, &["172.18.0.2/16"]);
    for pod in 0..count {
        let netns = 100 + u64::from(pod);
        builder.pod(
            node,
            &format!("pod-{pod:04}"),
            "10.0.0.1/32",
            &end(netns, 2, "eth0"),
            &end(1, 10 + pod, "lxc"),
        );
    }
    builder
}

#[test]
fn at_every_size() {
    for (columns, rows) in [(80, 24), (120, 40), (200, 60), (20, 5)] {
        let mut state = state_with(blog().snapshot(), columns, rows);
        for _ in 0..2 {
            press(&mut state, KeyCode::Down);
        }
        insta::assert_snapshot!(format!("tui_{columns}x{rows}"), text(&state, columns, rows));
    }
}

#[test]
fn no_size_panics() {
    let mut state = state_with(blog().snapshot(), 80, 24);
    for columns in [1, 2, 5, 9, 20, 49, 79, 109, 110, 111, 400] {
        for rows in [1, 2, 3, 4, 9, 10, 13, 14, 15, 100] {
            state.resize(columns, rows);
            for code in [
                KeyCode::Enter,
                KeyCode::End,
                KeyCode::Char('?'),
                KeyCode::Home,
            ] {
                press(&mut state, code);
                text(&state, columns, rows);
            }
        }
    }
}

#[test]
fn filter_keeps_matching_doors() {
    let mut state = state_with(blog().snapshot(), 120, 60);
    types(&mut state, "/FMHWC");
    let shown = text(&state, 120, 60);
    assert!(
        shown.contains("fmhwc") && !shown.contains("x2x4k"),
        "{shown}"
    );
    // No command while it is typed.
    types(&mut state, "q");
    assert!(text(&state, 120, 60).contains("nothing matches \"FMHWCq\""));
    press(&mut state, KeyCode::Esc);
    assert!(text(&state, 120, 60).contains("x2x4k"));
}

#[test]
fn quit_keys() {
    let mut state = state_with(blog().snapshot(), 80, 24);
    types(&mut state, "/q");
    let control = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
    assert_eq!(state.key(control), Action::Quit);
    press(&mut state, KeyCode::Esc);
    assert_eq!(press(&mut state, KeyCode::Char('x')), Action::Nothing);
    assert_eq!(press(&mut state, KeyCode::Char('q')), Action::Quit);
}

#[test]
fn help_opens_and_closes() {
    let mut state = state_with(blog().snapshot(), 80, 30);
    types(&mut state, "?");
    assert!(text(&state, 80, 30).contains("any key closes this"));
    types(&mut state, "x");
    assert!(!text(&state, 80, 30).contains("any key closes this"));
}

#[test]
fn pause_freezes_the_screen() {
    let mut state = state_with(pods(1).snapshot(), 120, 30);
    types(&mut state, "p");
    state.update(pods(2).snapshot(), 2 * SECOND);
    let shown = text(&state, 120, 30);
    assert!(
        shown.contains("PAUSED") && !shown.contains("pod-0001"),
        "{shown}"
    );
    types(&mut state, "p");
    state.update(pods(2).snapshot(), 3 * SECOND);
    assert!(text(&state, 120, 30).contains("pod-0001"));
}

#[test]
fn selection_follows_its_door() {
    let mut state = state_with(pods(3).snapshot(), 120, 30);
    // Node, pod, two doors, pod, its first door.
    for _ in 0..5 {
        press(&mut state, KeyCode::Char('j'));
    }
    let door = Key::Door(DoorId::new(NetNsId(101), 2));
    assert_eq!(state.selected(), Some(&door));
    let mut fewer = pods(4);
    fewer.cluster.doors.drain(..2);
    state.update(fewer.snapshot(), 2 * SECOND);
    assert_eq!(state.selected(), Some(&door));
    let shown = text(&state, 120, 30);
    let selected = shown.lines().find(|line| line.contains("> ")).unwrap();
    assert!(selected.contains("eth0"), "{shown}");
    // Also gone: select what is at its position.
    fewer.cluster.doors.drain(..2);
    state.update(fewer.snapshot(), 3 * SECOND);
    assert!(state.selected().is_some_and(|key| *key != door));
}

#[test]
fn new_pods_are_marked_for_a_while() {
    let mut state = state_with(pods(1).snapshot(), 120, 30);
    assert!(!text(&state, 120, 30).contains("  new"));
    state.update(pods(2).snapshot(), 2 * SECOND);
    let shown = text(&state, 120, 30);
    let new = shown.lines().filter(|line| line.contains("  new")).count();
    assert_eq!(new, 1, "{shown}");
    assert!(
        shown
            .lines()
            .any(|line| line.contains("pod-0001") && line.contains("  new"))
    );
    state.update(pods(2).snapshot(), 60 * SECOND);
    assert!(!text(&state, 120, 30).contains("  new"));
}

#[test]
fn crossed_door_flashes_once() {
    let mut builder = pods(1);
    let mut state = state_with(builder.snapshot(), 120, 30);
    let flashing = |state: &State| {
        let terminal = drawn(state, 120, 30);
        let cells = terminal.backend().buffer().content().to_vec();
        cells
            .iter()
            .filter(|cell| cell.modifier.contains(Modifier::REVERSED))
            .count()
    };
    assert_eq!(flashing(&state), 0);
    let one = Counts {
        packets: 1,
        segments: 1,
        bytes: 64,
    };
    builder.now(100, 2).ingress = Some(one);
    state.update(builder.snapshot(), 2 * SECOND);
    assert!(flashing(&state) > 0);
    state.update(builder.snapshot(), 3 * SECOND);
    assert_eq!(flashing(&state), 0);
}

/// The name is shown, and everything else keeps its position; `hostile` checks everything else.
#[test]
fn hostile_names_do_not_move_the_layout() {
    for (aim, name) in NAMES {
        let text = |name: &'static str| {
            let mut builder = pods(1);
            let door = builder.at(100, 2);
            (door.pod, door.interface) = (Some(name.into()), name.into());
            let mut state = state_with(builder.snapshot(), 160, 40);
            types(&mut state, "jj");
            text(&state, 160, 40)
        };
        let (shown, harmless) = (text(name), text("harmless"));
        check::plain(aim, &shown);
        let begin = escaped(name).chars().take(5).collect::<String>();
        assert!(shown.contains(&begin), "{aim}: {shown}");
        // The screen library draws wide letters differently, behind the row.
        let row = |row: &str| visible_width(row.split(" Hidden by").next().unwrap_or(row));
        let rows = |text: &str| text.lines().map(row).collect::<Vec<_>>();
        assert_eq!(rows(&shown), rows(&harmless), "{aim}: {shown}");
    }
}

#[test]
fn programs_are_listed_in_order() {
    let mut builder = pods(1);
    builder.now(100, 2).egress_chain = Some(Chain {
        ahead: vec!["first".into()],
        behind: vec!["cil_to".into(), "last".into()],
    });
    let mut state = state_with(builder.snapshot(), 160, 40);
    types(&mut state, "jj");
    let shown = text(&state, 160, 40);
    assert!(
        shown.contains("first (another tool's) → netviz (ours) → cil_to (Cilium's)"),
        "{shown}"
    );
}

#[test]
fn four_hundred_doors() {
    let mut state = state_with(pods(200).snapshot(), 80, 24);
    press(&mut state, KeyCode::End);
    let shown = text(&state, 80, 24);
    assert!(
        shown.contains("pod-0199") && !shown.contains("pod-0000"),
        "{shown}"
    );
    let wheel = |kind| MouseEvent {
        kind,
        column: 5,
        row: 3,
        modifiers: KeyModifiers::NONE,
    };
    press(&mut state, KeyCode::Home);
    assert_eq!(state.mouse(wheel(MouseEventKind::ScrollDown)), Action::Draw);
    assert_eq!(
        state.selected(),
        Some(&Key::Door(DoorId::new(NetNsId(1), 10)))
    );
    // The third row of the map, below the header.
    state.mouse(wheel(MouseEventKind::Down(MouseButton::Left)));
    assert_eq!(
        state.selected(),
        Some(&Key::Door(DoorId::new(NetNsId(100), 2)))
    );
}

#[test]
fn empty_cluster() {
    let state = state_with(SnapshotBuilder::default().snapshot(), 80, 24);
    assert!(text(&state, 80, 24).contains("no doors"));
    text(&self::state(80, 24), 80, 24);
}

#[test]
fn folded_node_is_unfolded_by_search() {
    let mut builder = pods(2);
    let node = builder.node("other", 2, &[]);
    builder.door(node, Side::Node, Role::Overlay, &end(2, 4, "cilium_vxlan"));
    let mut state = state_with(builder.snapshot(), 120, 30);
    press(&mut state, KeyCode::Left);
    let shown = text(&state, 120, 30);
    assert!(
        shown.contains("▸ node") && !shown.contains("pod-0000"),
        "{shown}"
    );
    assert!(shown.contains("cilium_vxlan"), "{shown}");
    press(&mut state, KeyCode::Right);
    assert!(text(&state, 120, 30).contains("pod-0000"));
}

#[test]
fn charts_are_bars() {
    assert_eq!(
        spark(&[None, Some(0.0), Some(1.0), Some(8.0)], 60).trim_start(),
        "▁▂█"
    );
    assert_eq!(spark(&[], 3), "   ");
    assert_eq!(spark(&[Some(1.0)], 0), "");
    assert_eq!(
        chart(&[Some(0.0), Some(8.0), Some(16.0)], 60, 2)
            .iter()
            .map(|line| line.trim_start())
            .collect::<Vec<_>>(),
        ["█", "▁██"]
    );
}

#[test]
fn narrow_charts_keep_their_peaks() {
    let mut readings = vec![Some(0.0); 60];
    readings[58] = Some(5.0);
    assert_eq!(spark(&readings, 6), "▁▁▁▁▁█");
}

#[test]
fn details_keep_the_ends_of_long_names() {
    let details = |namespace: &str, pod: &str| {
        let mut builder = pods(1);
        let door = builder.at(100, 2);
        (door.namespace, door.pod) = (Some(namespace.into()), Some(pod.into()));
        // 16 columns for a value.
        let mut state = state_with(builder.snapshot(), 29, 60);
        types(&mut state, "jj");
        text(&state, 29, 60)
    };
    let shown = details("networking101", "busybox-fmhwc");
    let mut lines = shown.lines();
    assert!(
        lines.any(|line| line.contains("leads to   networking101/ ")),
        "{shown}"
    );
    let next = lines.next().unwrap();
    assert!(next.contains("  busybox-fmhwc"), "{shown}");
    let shown = details("a", "deployment-with-a-long-name-x2x4k");
    let cut = |line: &str| line.contains('…') && line.contains("x2x4k");
    assert!(
        shown
            .lines()
            .skip_while(|line| !line.contains("leads to"))
            .any(cut),
        "{shown}"
    );
}

#[test]
fn message_is_shown_until_a_key_is_pressed() {
    for rows in [8, 24] {
        let mut state = state_with(pods(3).snapshot(), 80, rows);
        let before = text(&state, 80, rows);
        state.set_message("netviz: it\u{1b}[2J failed".into());
        let shown = text(&state, 80, rows);
        assert!(shown.contains("netviz: it\u{fffd}[2J failed"), "{shown}");
        assert_eq!(shown.lines().count(), before.lines().count());
        press(&mut state, KeyCode::Char('x'));
        assert_eq!(text(&state, 80, rows), before);
    }
}
