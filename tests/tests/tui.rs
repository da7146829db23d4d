//! The live screen, drawn from handmade snapshots: no kernel, no terminal.

use std::time::Duration;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers, MouseButton, MouseEvent, MouseEventKind};
use netviz::{
    model::{Chain, DoorId, Role, Side, Snapshot},
    sys::netns::NetNsId,
    views::{
        text::visible_width,
        tui::{Action, Key, Options, State, chart, draw, spark},
    },
};
use netviz_tests::builders::{
    hostile::{NAMES, check, escaped},
    snapshot_builder::{SnapshotBuilder, blog, end},
};
use ratatui::{
    Terminal,
    backend::TestBackend,
    buffer::Cell,
    style::{Color, Modifier, Style},
};

const SECOND: Duration = Duration::from_secs(1);

fn state(columns: u16, rows: u16) -> State {
    let options = Options {
        interval: SECOND,
        ..Options::default()
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
    assert_eq!(state.selected(), Some(door.clone()));
    let mut fewer = pods(4);
    fewer.cluster.doors.drain(..2);
    state.update(fewer.snapshot(), 2 * SECOND);
    assert_eq!(state.selected(), Some(door.clone()));
    let shown = text(&state, 120, 30);
    let selected = shown.lines().find(|line| line.contains("> ")).unwrap();
    assert!(selected.contains("eth0"), "{shown}");
    // Also gone: select what is at its position.
    fewer.cluster.doors.drain(..2);
    state.update(fewer.snapshot(), 3 * SECOND);
    assert!(state.selected().is_some_and(|key| key != door));
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

/// The cells of a row that hold one of the rates.
fn styles_of(state: &State, row: &str) -> Vec<Style> {
    let terminal = drawn(state, 120, 30);
    let buffer = terminal.backend().buffer();
    let lines = buffer.content().chunks(120);
    let text = |cells: &[Cell]| cells.iter().map(Cell::symbol).collect::<String>();
    let mut lines = lines.filter(|cells| text(cells).contains(row));
    let cells = lines.next().unwrap_or_else(|| panic!("no row {row}"));
    cells.iter().map(Cell::style).collect()
}

/// Idle is dim, busy is plain: nothing is inverted.
#[test]
fn idle_doors_are_dim_and_busy_ones_plain() {
    let mut builder = pods(1);
    let dim = |state: &State| {
        let styles = styles_of(state, "eth0");
        assert!(
            styles
                .iter()
                .all(|it| !it.add_modifier.contains(Modifier::REVERSED))
        );
        styles
            .iter()
            .filter(|it| it.add_modifier.contains(Modifier::DIM))
            .count()
    };
    assert!(dim(&state_with(builder.snapshot(), 120, 30)) > 10);
    builder.flow((100, 2), (1, 10), 0, 7);
    assert_eq!(dim(&state_with(builder.snapshot(), 120, 30)), 0);
}

/// Colour says what the sign says, in the six colours that every palette shows.
#[test]
fn problems_are_coloured_and_signed() {
    let options = Options {
        colour: true,
        interval: SECOND,
        ..Options::default()
    };
    let mut state = State::new(options, 120, 60);
    state.update(blog().snapshot(), SECOND);
    let terminal = drawn(&state, 120, 60);
    let of = |sign: &str| {
        let cells = terminal.backend().buffer().content();
        let mut cells = cells
            .iter()
            .filter(|cell| cell.symbol() == sign && cell.fg != Color::Reset);
        cells.next().map(|cell| cell.fg)
    };
    assert_eq!(
        (of("!"), of("?"), of("»")),
        (Some(Color::Red), Some(Color::Yellow), Some(Color::Cyan))
    );
    let six = [
        Color::Red,
        Color::Green,
        Color::Yellow,
        Color::Blue,
        Color::Magenta,
        Color::Cyan,
    ];
    for cell in terminal.backend().buffer().content() {
        assert!(
            cell.fg == Color::Reset || six.contains(&cell.fg),
            "{cell:?}"
        );
        assert_eq!(cell.bg, Color::Reset, "{cell:?}");
    }
    assert_eq!(of("✓"), None, "plain");
}

#[test]
fn header_counts_states() {
    let state = state_with(blog().snapshot(), 160, 30);
    let shown = text(&state, 160, 30);
    let header = shown.lines().next().unwrap();
    assert!(
        header.contains("27 interfaces  19 ok  1 losing  2 blind  1 bypassed  2 attaching  2 gone"),
        "{header}"
    );
    assert!(
        header.contains("mycluster-worker, mycluster-worker2   every 1 s   07:08:09"),
        "{header}"
    );
    // In few columns, the signs stay.
    let state = state_with(blog().snapshot(), 40, 20);
    let shown = text(&state, 40, 20);
    assert!(
        shown
            .lines()
            .next()
            .unwrap()
            .contains("27 ✓19 !1 ?2 »1 …2 ×2"),
        "{shown}"
    );
}

#[test]
fn next_problem_is_found_in_folded_nodes_and_wraps() {
    let mut state = state_with(blog().snapshot(), 120, 60);
    // Both nodes are folded.
    types(&mut state, "h");
    press(&mut state, KeyCode::End);
    types(&mut state, "hhhg");
    assert!(!text(&state, 120, 60).contains("lxc174c023046ff"));
    let mut found = Vec::new();
    for _ in 0..4 {
        types(&mut state, "e");
        found.push(state.selected().unwrap());
    }
    let node = 4_026_532_200;
    assert!(
        found.contains(&Key::Door(DoorId::new(NetNsId(node), 11))),
        "it loses: {found:?}"
    );
    assert!(
        found.contains(&Key::Door(DoorId::new(NetNsId(node), 13))),
        "it is blind: {found:?}"
    );
    assert_eq!(found[0], found[3], "three problems, and the first again");
    let mut state = state_with(pods(1).snapshot(), 120, 30);
    types(&mut state, "e");
    assert!(text(&state, 120, 30).contains("no interface is losing or blind"));
    types(&mut state, "j");
    assert!(!text(&state, 120, 30).contains("no interface is losing or blind"));
}

#[test]
fn filter_matches_every_field() {
    for (filter, found, hidden) in [
        ("10.10.2.121", "fwt8z", "t6ggh"),
        ("lxc73d2e1d7cf4f", "fwt8z", "t6ggh"),
        ("networking101", "x2x5k", "t6ggh"),
        ("WORKER2", "fmhwc", "t6ggh"),
        ("losing", "fmhwc", "t6ggh"),
        ("blind filter_x", "x2x4k", "x2x5k"),
        // Every word, in any of the two ends.
        ("10.10.1.164 lxc174c023046ff", "fmhwc", "x2x4k"),
        ("attaching", "new-pod", "t6ggh"),
        ("pod:*-fmhwc", "fmhwc", "x2x4k"),
        ("ns:networking101", "x2x5k", "t6ggh"),
        ("node:mycluster-worker dev:lxc7*", "fwt8z", "t6ggh"),
        ("state:losing or pod:new-pod", "new-pod", "t6ggh"),
        ("cidr:10.10.2.0/24 not ip:10.10.2.117", "fwt8z", "t6ggh"),
        ("not node:mycluster-worker", "fmhwc", "t6ggh"),
    ] {
        let mut state = state_with(blog().snapshot(), 120, 60);
        press(&mut state, KeyCode::Enter);
        types(&mut state, &format!("/{filter}"));
        let shown = text(&state, 120, 60);
        assert!(
            shown.contains(found) && !shown.contains(hidden),
            "{filter}: {shown}"
        );
    }
    let mut state = state_with(blog().snapshot(), 120, 60);
    types(&mut state, "/losing t6ggh");
    assert!(text(&state, 120, 60).contains("nothing matches"));
}

#[test]
fn wrong_filter_is_explained_and_the_last_one_stays() {
    let mut state = state_with(blog().snapshot(), 120, 60);
    press(&mut state, KeyCode::Enter);
    types(&mut state, "/fmhwc ");
    types(&mut state, "prot:tcp");
    let shown = text(&state, 120, 60);
    let line = |part: &str| shown.lines().find(|line| line.contains(part)).unwrap();
    let reason = line("unknown term \"prot:\"");
    let column = |line: &str, part: &str| visible_width(line.split(part).next().unwrap());
    assert_eq!(
        column(reason, "↓"),
        column(line("/fmhwc prot:tcp"), "prot"),
        "{shown}"
    );
    assert!(
        shown.contains("fmhwc  ") && !shown.contains("x2x4k"),
        "{shown}"
    );
    // It stays on the line until it can be read.
    press(&mut state, KeyCode::Enter);
    for _ in "prot:tcp".chars() {
        press(&mut state, KeyCode::Backspace);
    }
    press(&mut state, KeyCode::Enter);
    let shown = text(&state, 120, 60);
    assert!(
        shown.contains("/fmhwc") && !shown.contains("unknown"),
        "{shown}"
    );
}

#[test]
fn selection_survives_filters_sorts_and_compact_rows() {
    let mut state = state_with(blog().snapshot(), 120, 60);
    types(&mut state, "jj");
    let door = state.selected();
    assert!(matches!(door, Some(Key::Door(_))));
    // Another row is selected while it is hidden.
    types(&mut state, "/fmhwc");
    assert_ne!(state.selected(), door);
    press(&mut state, KeyCode::Esc);
    assert_eq!(state.selected(), door);
    for _ in 0..6 {
        types(&mut state, "s");
        assert_eq!(state.selected(), door);
    }
    types(&mut state, "c");
    let group = state.selected();
    assert!(matches!(group, Some(Key::Group(_))));
    types(&mut state, "c");
    assert_eq!(state.selected(), door);
    types(&mut state, "ut");
    assert_eq!(state.selected(), door);
}

#[test]
fn folded_node_shows_its_uplinks_and_problems() {
    let mut state = state_with(blog().snapshot(), 160, 30);
    press(&mut state, KeyCode::Left);
    press(&mut state, KeyCode::Enter);
    let shown = text(&state, 160, 30);
    let node = shown
        .lines()
        .find(|line| line.contains("▸ mycluster-worker "))
        .unwrap();
    // eth0 has 506 packets of 30 234 567 bytes in the second. The tunnel inside of it is not added.
    assert!(
        node.contains("▼ 506.0 pkt/s 242 Mbit/s  ▲ 506.0 pkt/s 242 Mbit/s"),
        "{node}"
    );
    assert!(node.contains("11 interfaces  ? 1 blind"), "{node}");
}

#[test]
fn rates_are_packets_bits_or_both() {
    let mut state = state_with(blog().snapshot(), 200, 40);
    press(&mut state, KeyCode::Enter);
    let row = |state: &State| {
        let shown = text(state, 200, 40);
        shown
            .lines()
            .find(|line| line.contains("cilium_vxlan"))
            .unwrap()
            .to_owned()
    };
    assert!(
        row(&state).contains("▼    506.0  ▲    506.0"),
        "{}",
        row(&state)
    );
    types(&mut state, "u");
    assert!(
        row(&state).contains("▼ 242 Mbit/s  ▲ 242 Mbit/s"),
        "{}",
        row(&state)
    );
    types(&mut state, "u");
    assert!(
        row(&state).contains("▼    506.0  242 Mbit/s  ▲    506.0  242 Mbit/s"),
        "{}",
        row(&state)
    );
}

#[test]
fn compact_rows_show_the_worst_state_of_a_pod() {
    let mut state = state_with(blog().snapshot(), 120, 30);
    press(&mut state, KeyCode::Enter);
    types(&mut state, "c");
    insta::assert_snapshot!("tui_compact", text(&state, 120, 30));
    // Beside the details, counters do not take the columns of a name.
    press(&mut state, KeyCode::Enter);
    types(&mut state, "t");
    let screen = text(&state, 120, 30);
    assert!(screen.contains("cilium_net ═ cilium_host "), "{screen}");
}

#[test]
fn figures_are_in_columns() {
    let options = Options {
        interval: SECOND,
        figures: true,
        ..Options::default()
    };
    let mut state = State::new(options, 120, 30);
    state.update(blog().snapshot(), SECOND);
    insta::assert_snapshot!("tui_figures", text(&state, 120, 30));
}

#[test]
fn idle_rows_can_be_hidden() {
    let mut builder = pods(3);
    builder.flow((101, 2), (1, 11), 0, 7);
    let mut state = state_with(builder.snapshot(), 120, 30);
    types(&mut state, "i");
    let shown = text(&state, 120, 30);
    assert!(
        shown.contains("pod-0001") && !shown.contains("pod-0000"),
        "{shown}"
    );
    assert!(shown.contains("2 idle hidden"), "{shown}");
    types(&mut state, "i");
    assert!(text(&state, 120, 30).contains("pod-0000"));
}

#[test]
fn position_is_shown_by_number_and_scrollbar() {
    let mut state = state_with(pods(20).snapshot(), 80, 24);
    press(&mut state, KeyCode::End);
    let shown = text(&state, 80, 24);
    assert!(shown.contains("row 61 of 61"), "{shown}");
    assert!(shown.contains('▐'), "{shown}");
    let state = state_with(pods(1).snapshot(), 80, 24);
    assert!(!text(&state, 80, 24).contains('▐'));
}

/// A pod with a hundredth of the traffic of another one has lower bars.
#[test]
fn charts_of_a_node_share_a_scale() {
    let mut builder = pods(2);
    builder.flow((100, 2), (1, 10), 0, 800);
    builder.flow((101, 2), (1, 11), 0, 100);
    let state = state_with(builder.snapshot(), 120, 30);
    let shown = text(&state, 120, 30);
    let bar = |rate: &str| {
        let row = shown.lines().find(|line| line.contains(rate)).unwrap();
        row.chars().find(|c| ('▁'..='█').contains(c))
    };
    assert_eq!(
        (bar("800.0"), bar("100.0")),
        (Some('█'), Some('▂')),
        "{shown}"
    );
}

#[test]
fn verify_audit_and_copy_use_the_selected_rows() {
    let options = Options {
        interval: SECOND,
        selection: vec!["--netns=4,5".into()],
        ..Options::default()
    };
    let mut state = State::new(options, 120, 40);
    state.update(blog().snapshot(), SECOND);
    types(&mut state, "/x2x4k");
    press(&mut state, KeyCode::Enter);
    types(&mut state, "gjjv");
    let shown = text(&state, 120, 40);
    assert!(shown.contains("select the receiver"), "{shown}");
    press(&mut state, KeyCode::Esc);
    types(&mut state, "jv");
    press(&mut state, KeyCode::Esc);
    assert!(!text(&state, 120, 40).contains("select the receiver"));
    types(&mut state, "v");
    press(&mut state, KeyCode::Char('/'));
    press(&mut state, KeyCode::Esc);
    press(&mut state, KeyCode::Home);
    press(&mut state, KeyCode::Down);
    let Action::Run(command) = press(&mut state, KeyCode::Char('v')) else {
        panic!("no command");
    };
    let long = "networking101/a-deployment-with-a-name-that-is-as-long-as-they-get-75f9-x2x4k";
    let wanted = format!("netviz verify --netns=4,5 {long} busybox-c8bbbbb84-t6ggh");
    assert_eq!(command.to_string(), wanted);
    for line in 0..100 {
        state.pane_line(&format!("line {line} \u{1b}[2J"));
    }
    state.pane_ended("exit code 1".into());
    let shown = text(&state, 120, 40);
    assert!(
        shown.contains(" netviz verify") && shown.contains("exit code 1"),
        "{shown}"
    );
    assert!(
        shown.contains("line 0 \u{fffd}[2J") && !shown.contains("line 99"),
        "{shown}"
    );
    types(&mut state, &"]".repeat(100));
    assert!(text(&state, 120, 40).contains("line 99"));
    let copied = press(&mut state, KeyCode::Char('y'));
    assert_eq!(copied, Action::Copy(wanted));
    assert_eq!(press(&mut state, KeyCode::Esc), Action::Close);
    let Action::Run(command) = press(&mut state, KeyCode::Char('a')) else {
        panic!("no command");
    };
    assert_eq!(
        command.to_string(),
        "netviz audit --netns=4,5 --node=mycluster-worker --pod=busybox-c8bbbbb84-t6ggh"
    );
    press(&mut state, KeyCode::Esc);
    press(&mut state, KeyCode::Home);
    let Action::Copy(text) = press(&mut state, KeyCode::Char('y')) else {
        panic!("no text");
    };
    assert_eq!(
        text,
        "netviz doors --once --netns=4,5 --node=mycluster-worker"
    );
}

/// Names that others chose reach a command line as one argument, or not at all.
#[test]
fn hostile_names_on_command_lines_are_quoted_or_refused() {
    for (name, wanted) in [
        ("a b; reboot", Some("'a b; reboot'")),
        ("it's", Some("'it'\\''s'")),
        ("$(reboot)", Some("'$(reboot)'")),
        ("--fast-attach", None),
        ("evil\u{1b}[2J", None),
        ("evil\nreboot", None),
    ] {
        let mut builder = pods(1);
        builder.at(100, 2).pod = Some(name.into());
        let mut state = state_with(builder.snapshot(), 120, 40);
        types(&mut state, "jv");
        let marked = text(&state, 120, 40);
        types(&mut state, "g");
        let action = press(&mut state, KeyCode::Char('v'));
        match (wanted, action) {
            (Some(wanted), Action::Run(command)) => {
                assert_eq!(
                    command.to_string(),
                    format!("netviz verify {wanted} node/node")
                );
            }
            (None, Action::Draw) => {
                assert!(
                    marked.contains("cannot be written on a command line"),
                    "{marked}"
                );
            }
            (wanted, action) => panic!("{name:?}: {wanted:?} {action:?}"),
        }
    }
}

#[test]
fn repaint_and_suspend_have_their_usual_keys() {
    let mut state = state_with(pods(1).snapshot(), 80, 24);
    let mut control = |key| state.key(KeyEvent::new(KeyCode::Char(key), KeyModifiers::CONTROL));
    assert_eq!(control('l'), Action::Repaint);
    assert_eq!(control('z'), Action::Suspend);
    // Also while a filter is typed.
    types(&mut state, "/x");
    let key = KeyEvent::new(KeyCode::Char('z'), KeyModifiers::CONTROL);
    assert_eq!(state.key(key), Action::Suspend);
}

#[test]
fn ascii_screen_has_ascii_only() {
    let options = Options {
        ascii: true,
        interval: SECOND,
        ..Options::default()
    };
    let mut state = State::new(options, 120, 40);
    state.update(pods(30).snapshot(), SECOND);
    for keys in ["", "j", "j", "?", "x/p"] {
        types(&mut state, keys);
        let shown = text(&state, 120, 40);
        assert!(shown.is_ascii(), "{shown}");
    }
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
        Some(Key::Door(DoorId::new(NetNsId(1), 10)))
    );
    // The third row of the map, below the header.
    state.mouse(wheel(MouseEventKind::Down(MouseButton::Left)));
    assert_eq!(
        state.selected(),
        Some(Key::Door(DoorId::new(NetNsId(100), 2)))
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
        spark(&[None, Some(0.0), Some(1.0), Some(8.0)], 60, 8.0).trim_start(),
        "▁▂█"
    );
    assert_eq!(spark(&[], 3, 0.0), "   ");
    assert_eq!(spark(&[Some(1.0)], 0, 1.0), "");
    assert_eq!(
        chart(&[Some(0.0), Some(8.0), Some(16.0)], 60, 2, 16.0)
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
    assert_eq!(spark(&readings, 6, 5.0), "▁▁▁▁▁█");
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
