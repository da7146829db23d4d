//! Sinks read only a feed: recorded snapshots drive them like a live node.

use std::{
    collections::VecDeque,
    future::pending,
    io::{self, Write},
    sync::{Arc, Mutex, mpsc},
    time::Duration,
};

use anyhow::Result;
use crossterm::event::{Event, KeyCode};
use netviz::{
    app::{
        doors::Form,
        output::Output,
        screen::LiveScreen,
        sink::{Printer, Shown, drive},
    },
    feed::Feed,
    model::{Counts, Snapshot},
    views::{
        FORMATS,
        filter::Filter,
        json,
        order::Sort,
        tui::{Options, State},
    },
};
use netviz_tests::builders::snapshot_builder::blog;
use ratatui::{Terminal, backend::TestBackend};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

/// A feed of recorded snapshots.
struct Recorded {
    snapshots: VecDeque<Arc<Snapshot>>,
    /// Blocks at the end, like a live feed between two readings.
    waits: bool,
}

impl Feed for Recorded {
    async fn next(&mut self) -> Result<Option<Arc<Snapshot>>> {
        match self.snapshots.pop_front() {
            None if self.waits => pending().await,
            next => Ok(next),
        }
    }
}

/// Returns two snapshots; packets crossed a pod's door in between.
fn recorded() -> Recorded {
    let mut node = blog();
    let first = node.snapshot();
    let door = *node.now.doors.keys().next().expect("a door");
    let sample = node.now.doors.get_mut(&door).expect("its sample");
    sample.ingress = Some(Counts {
        packets: 1_234,
        segments: 1_234,
        bytes: 99_999,
    });
    // As a file of `-o jsonl` holds them.
    let mut lines = Vec::new();
    for snapshot in [first, node.snapshot()] {
        json::write_line(&snapshot, &mut lines).expect("a line");
    }
    let snapshots = lines
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty());
    let read = |line| Arc::new(serde_json::from_slice(line).expect("a snapshot"));
    Recorded {
        snapshots: snapshots.map(read).collect(),
        waits: false,
    }
}

fn run<T>(work: impl Future<Output = T>) -> T {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_all().build().expect("a runtime");
    runtime.block_on(work)
}

/// Stores what is written.
#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("no panic").write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Returns what `netviz doors` prints for the recorded snapshots in this form.
fn printed(form: Form, shown: Shown) -> String {
    let written = Written::default();
    let output = Output::to(written.clone()).expect("a thread");
    let mut printer = Printer::new(output, shown, form.printer(false));
    run(drive(&mut recorded(), &mut printer, async || {
        pending().await
    }))
    .expect("all of it printed");
    let bytes = written.0.lock().expect("no panic").clone();
    String::from_utf8(bytes).expect("text")
}

#[test]
fn recorded_snapshots_are_printed_in_every_form() {
    let form = |form| printed(form, Shown::default());
    let table = form(Form::Table);
    assert_eq!(table.matches("lxc4a891387ff1a").count(), 2, "{table}");
    let lines = form(Form::Lines);
    assert!(lines.contains("lxc4a891387ff1a"), "{lines}");
    let format = |name| {
        let format = FORMATS.iter().find(|format| format.name == name);
        format.expect("a format")
    };
    let csv = form(Form::Document(format("csv")));
    assert_eq!(csv.matches(",99999,").count(), 1, "{csv}");
    let json = form(Form::Documents(format("jsonl")));
    let packets = |line: &str| {
        let snapshot: serde_json::Value = serde_json::from_str(line).expect("JSON");
        let doors = snapshot["doors"].as_array().expect("doors").clone();
        doors
            .iter()
            .filter(|door| door["ingress"]["packets"] == 1_234)
            .count()
    };
    assert_eq!(json.lines().map(packets).collect::<Vec<_>>(), [0, 1]);
}

#[test]
fn filter_applies_to_recorded_snapshots() {
    let filter = Filter::new(&[], &[], &["lxc4a891387ff1a".into()]).expect("a pattern");
    let sort = Sort::Place;
    let table = printed(Form::Table, Shown { filter, sort });
    assert!(
        table.contains("lxc4a891387ff1a") && !table.contains("cilium_vxlan"),
        "{table}"
    );
}

fn live_screen(events: UnboundedReceiver<Event>) -> LiveScreen<TestBackend> {
    let options = Options {
        interval: Duration::from_secs(1),
        ..Options::default()
    };
    let terminal = Terminal::new(TestBackend::new(120, 60)).expect("a terminal");
    let state = State::new(options, 120, 60);
    LiveScreen::new(terminal, events, state, Filter::default())
}

#[test]
fn recorded_snapshots_are_shown_on_the_live_screen() {
    let (_keys, events) = unbounded_channel();
    let mut screen = live_screen(events);
    run(drive(&mut recorded(), &mut screen, async || {
        pending().await
    }))
    .expect("all of it shown");
    let shown = screen.terminal().backend().to_string();
    assert!(
        shown.contains("lxc4a891387ff1a") && shown.contains("1234"),
        "{shown}"
    );
}

#[test]
fn quit_key_ends_the_feed() {
    let (keys, events) = unbounded_channel();
    keys.send(Event::Key(KeyCode::Char('q').into()))
        .expect("a reader");
    let mut feed = Recorded {
        waits: true,
        ..recorded()
    };
    run(drive(&mut feed, &mut live_screen(events), async || {
        pending().await
    }))
    .expect("it ends");
}

/// Blocks until the test ends.
struct Stalled(mpsc::Receiver<()>);

impl Write for Stalled {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _ = self.0.recv();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn blocked_reader_does_not_delay_the_end() {
    let (_release, blocked) = mpsc::channel();
    let output = Output::to(Stalled(blocked)).expect("a thread");
    let mut printer = Printer::new(output, Shown::default(), Form::Table.printer(false));
    let stop = async || tokio::time::sleep(Duration::from_millis(100)).await;
    run(drive(&mut recorded(), &mut printer, stop)).expect("it ends");
}
