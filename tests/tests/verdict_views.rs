//! Every view of handmade verdicts: no kernel, no clock.
//!
//! After an intended change, run `INSTA_UPDATE=always cargo test -p netviz-tests --test
//! verdict_views`, and review the difference before the commit.

use std::{slice, time::Duration};

use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use netviz::{
    verify::{History, Kind, Round, TestResult, Verdict},
    views::{
        building::Origin,
        text::visible_width,
        verdict::{
            drawing::Drawing,
            explain, json, junit,
            ladder::{self, Style},
            matrix, mermaid, results,
            watch::{self, Clock, Screen},
        },
    },
};
use netviz_tests::{
    builders::{
        hostile::check,
        random::Random,
        verdicts::{
            A, B, all, arbitrary, building, circle, cross_node, detour, hidden, lost_by_policy,
            lost_reply,
        },
    },
    cli::schema::complaints,
};
use serde_json::{Value, json};

fn draw(verdict: &Verdict, width: usize) -> String {
    ladder::draw(
        verdict,
        Style {
            width: Some(width),
            ..Style::default()
        },
    )
}

#[test]
fn ladders() {
    for (name, verdict) in all() {
        insta::assert_snapshot!(format!("ladder_{name}"), draw(&verdict, 100));
    }
    insta::assert_snapshot!("ladder_lost_80", draw(&lost_by_policy(), 80));
    let style = Style {
        width: Some(80),
        ascii: true,
        full: true,
        colour: false,
    };
    let text = ladder::draw(&cross_node(), style);
    assert!(text.is_ascii(), "{text}");
    insta::assert_snapshot!("ladder_full_ascii_80", text);
}

#[test]
fn loss_is_shown_at_its_door() {
    for width in [0, 80, 100, 140] {
        let text = draw(&lost_by_policy(), width);
        let line = text
            .lines()
            .find(|line| line.contains("<- lost here"))
            .unwrap();
        assert!(
            line.contains("lxc4a891387ff1a") && line.contains("0/10"),
            "{line}"
        );
        assert!(
            text.contains("LOST      10 of 10 requests, on node mycluster-worker"),
            "{text}"
        );
        let text = draw(&lost_reply(), width);
        assert!(
            text.contains("<- 3 lost here") && text.contains("3 of 10 replies"),
            "{text}"
        );
        assert!(draw(&circle(), width).contains("in a circle until their TTL ended"));
        let text = draw(&detour(), width);
        assert!(
            text.contains("not expected") && text.contains("expected, not crossed"),
            "{text}"
        );
        let text = draw(&hidden(), width);
        assert!(
            text.contains("hidden") && text.contains("another program holds the hook"),
            "{text}"
        );
    }
}

/// To an unassigned address.
#[test]
fn without_an_expected_path_no_door_is_unexpected() {
    let mut verdict = lost_by_policy();
    for row in &mut verdict.request {
        row.expected = false;
    }
    let text = draw(&verdict, 100);
    assert!(!text.contains("not expected"), "{text}");
    let marked: Vec<_> = text.lines().filter(|line| line.starts_with('!')).collect();
    assert!(
        matches!(marked.as_slice(), [one] if one.contains("<- lost here")),
        "{text}"
    );
    verdict.request[0].expected = true;
    let text = draw(&verdict, 100);
    assert!(text.contains("not expected"), "{text}");
}

#[test]
fn only_a_correct_reply_is_folded() {
    let folded = "8 doors, mirrored, 10/10 at each";
    assert!(draw(&cross_node(), 100).contains(folded));
    let spoil: [fn(&mut Verdict); 5] = [
        |verdict| verdict.reply[3].seen = Some(9),
        |verdict| verdict.reply[3].repeated = 1,
        |verdict| verdict.reply[3].expected = false,
        |verdict| verdict.reply.swap(2, 3),
        |verdict| verdict.reply.truncate(7),
    ];
    for spoil in spoil {
        let mut verdict = cross_node();
        spoil(&mut verdict);
        assert!(
            !draw(&verdict, 100).contains("mirrored"),
            "{}",
            draw(&verdict, 100)
        );
    }
}

#[test]
fn lines_fit_the_screen_and_counts_are_aligned() {
    for (name, verdict) in all() {
        for width in 80..=130 {
            let text = draw(&verdict, width);
            for line in text.lines() {
                assert!(visible_width(line) <= width, "{name} at {width}: {line}");
            }
            let ends: std::collections::BTreeSet<_> = text
                .lines()
                .filter(|line| {
                    line.get(3..4)
                        .is_some_and(|c| c.trim().parse::<u8>().is_ok())
                })
                .filter_map(|line| Some(visible_width(&line[..line.find("/10")?])))
                .collect();
            assert!(ends.len() <= 1, "{name} at {width}: {ends:?}\n{text}");
        }
    }
}

#[test]
fn text_is_the_same_without_colours() {
    for (_, verdict) in all() {
        let coloured = ladder::draw(
            &verdict,
            Style {
                colour: true,
                width: Some(100),
                ..Style::default()
            },
        );
        assert!(coloured.contains("\u{1b}["));
        let mut plain = String::new();
        let mut inside = false;
        for c in coloured.chars() {
            inside |= c == '\u{1b}';
            if !inside {
                plain.push(c);
            }
            inside &= !c.is_ascii_alphabetic();
        }
        assert_eq!(plain, draw(&verdict, 100));
    }
}

#[test]
fn json_keeps_its_names_and_matches_its_schema() {
    let schema = json::schema();
    for (name, verdict) in all() {
        let mut out = Vec::new();
        json::write(std::slice::from_ref(&verdict), &mut out).unwrap();
        let value: Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(complaints(&schema, &value), [""; 0], "{name}");
        let names = [
            "schema",
            "verdict",
            "from",
            "to",
            "mode",
            "mode_source",
            "sent",
            "delivered",
            "replied",
            "request",
            "reply",
        ];
        for name in names {
            assert!(value.get(name).is_some(), "{name} is missing");
        }
        let crossing = &value["request"][0];
        let names = [
            "node",
            "pod",
            "interface",
            "direction",
            "expected",
            "seen",
            "skipped_by",
            "median_microseconds",
            "worst_microseconds",
            "tunnel",
        ];
        for name in names {
            assert!(crossing.get(name).is_some(), "{name} is missing");
        }
        assert_eq!(value["schema"], "netviz.verdict/2");
        assert_eq!(
            serde_json::from_value::<Verdict>(value.clone()).unwrap(),
            verdict
        );
        let mut line = Vec::new();
        json::write_line(&verdict, &mut line).unwrap();
        assert_eq!(line.iter().filter(|byte| **byte == b'\n').count(), 1);
        assert_eq!(serde_json::from_slice::<Value>(&line).unwrap(), value);
    }
    let tunnel = serde_json::to_value(&cross_node().request[2].tunnel).unwrap();
    assert_eq!(
        tunnel,
        json!({"identity": 10429, "node": "mycluster-worker"})
    );
}

#[test]
fn documented_schemas_match() {
    for (name, schema) in [
        ("verdict", json::schema()),
        ("watch", watch::json::schema()),
    ] {
        let docs = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs");
        let path = format!("{docs}/{name}.schema.json");
        let schema = serde_json::to_string_pretty(&schema).unwrap() + "\n";
        if std::env::var("INSTA_UPDATE").is_ok_and(|wish| wish == "always") {
            std::fs::write(&path, &schema).unwrap();
        }
        assert_eq!(std::fs::read_to_string(path).unwrap(), schema);
    }
}

const EVERY: Duration = Duration::from_secs(1);

/// A moment of a watch, in Nepal.
fn clock(seconds: i64) -> Clock {
    let begin: Timestamp = "2026-12-01T14:02:00Z".parse().unwrap();
    Clock {
        now: begin + SignedDuration::from_secs(seconds),
        zone: TimeZone::fixed(jiff::tz::offset(5)),
    }
}

/// The lines of a watch whose rounds have these verdicts.
fn watched(verdicts: impl IntoIterator<Item = Verdict>, style: Style) -> (History, String) {
    let (mut history, mut text) = (History::default(), String::new());
    for (verdict, second) in verdicts.into_iter().zip(1..) {
        let clock = clock(second);
        let sent = (0..10).map(|packet| clock.now + SignedDuration::from_millis(packet * 50));
        let round = Round {
            begin: clock.now,
            sent_at: sent.map(Some).collect(),
            verdict: verdict.into(),
        };
        for change in history.add(&round) {
            text += &watch::change(&change, &round.verdict, &clock, style);
        }
    }
    (history, text)
}

#[test]
fn watch_lines_summary_and_screen() {
    let verdicts = || {
        [
            cross_node(),
            lost_reply(),
            lost_by_policy(),
            cross_node(),
            detour(),
        ]
    };
    let (mut history, lines) = watched(verdicts(), Style::default());
    assert!(history.missing(clock(9).now, "no pod \"web-0\""));
    let waiting = watch::waiting("no pod \"web-0\"", &clock(9), Style::default());
    let head = watch::head(&cross_node(), EVERY, &clock(0), Style::default());
    let totals = watch::totals(&history, &clock(12), Style::default());
    insta::assert_snapshot!("watch_lines", [head, lines, waiting, totals].concat());
    let screen = Screen {
        every: EVERY,
        waiting: Some("no pod \"web-0\""),
        message: None,
        rows: 30,
    };
    let lines = watch::screen(&screen, &history, &clock(12), Style::default());
    insta::assert_snapshot!("watch_screen_waiting", lines.join("\n"));
    let (history, lines) = watched(
        verdicts(),
        Style {
            ascii: true,
            ..Style::default()
        },
    );
    assert!(lines.is_ascii(), "{lines}");
    let screen = Screen {
        waiting: None,
        ..screen
    };
    let lines = watch::screen(&screen, &history, &clock(12), Style::default());
    insta::assert_snapshot!("watch_screen", lines.join("\n"));
}

#[test]
fn watch_screen_fits_every_terminal() {
    let mut random = Random(7);
    for columns in [2, 20, 80, 200] {
        for rows in [1, 5, 60] {
            let (history, text) = watched(
                [arbitrary(&mut random), arbitrary(&mut random)],
                Style::default(),
            );
            for line in text.lines() {
                check::plain("watch", line);
            }
            let screen = Screen {
                every: EVERY,
                waiting: None,
                message: Some("a message".into()),
                rows,
            };
            let style = Style {
                width: Some(columns),
                ..Style::default()
            };
            let lines = watch::screen(&screen, &history, &clock(12), style);
            assert!(lines.len() <= rows);
            assert!(
                lines.iter().all(|line| visible_width(line) <= columns),
                "{lines:#?}"
            );
        }
    }
}

#[test]
fn pictures() {
    let snapshot = building();
    for (name, verdict) in [("cross_node", cross_node()), ("lost", lost_by_policy())] {
        let drawing = Drawing::new(&verdict, &snapshot, Origin::default());
        let style = Style {
            width: Some(104),
            ..Style::default()
        };
        insta::assert_snapshot!(format!("drawing_{name}"), drawing.text(style));
        insta::assert_snapshot!(format!("picture_{name}"), drawing.svg());
        insta::assert_snapshot!(format!("mermaid_{name}"), mermaid::draw(&verdict));
    }
    for (name, verdict) in all() {
        let text = Drawing::new(&verdict, &snapshot, Origin::default()).svg();
        let document = roxmltree::Document::parse(&text).unwrap();
        assert!(
            document
                .descendants()
                .all(|node| !node.has_tag_name("script"))
        );
        let words: Vec<_> = document
            .descendants()
            .filter_map(|node| node.text())
            .collect();
        for row in verdict.request.iter().filter(|row| row.door.is_some()) {
            assert!(
                words.iter().any(|text| text.contains(row.interface.raw())),
                "{name}"
            );
        }
    }
}

/// The doors of the request in order, a loss at its door, and all else folded.
#[test]
fn path_is_drawn_in_the_building() {
    let snapshot = building();
    let style = Style {
        width: Some(104),
        ..Style::default()
    };
    let draw = |verdict: &Verdict| Drawing::new(verdict, &snapshot, Origin::default()).text(style);
    let text = draw(&cross_node());
    for (number, direction, interface) in [
        (1, "▲", "eth0 10 ▐"),
        (2, "▼", "11 lxc174c023046ff"),
        (3, "▲", "4 cilium_vxlan"),
        (4, "▲", "5 eth0"),
        (5, "▼", "5 eth0"),
        (6, "▼", "4 cilium_vxlan"),
        (7, "▲", "9 lxc4a891387ff1a"),
        (8, "▼", "eth0 8 ▐"),
    ] {
        let stop = format!("{number} {direction} 10/10");
        let lines: Vec<_> = text.lines().collect();
        let place = lines.iter().position(|line| line.contains(&stop));
        let place = place.unwrap_or_else(|| panic!("no {stop}\n{text}"));
        let near = lines[place.saturating_sub(2)..place].concat();
        assert!(near.contains(interface), "{stop}: {interface}\n{text}");
    }
    assert!(
        text.find("mycluster-worker2 ─") < text.find("mycluster-worker ─"),
        "{text}"
    );
    assert_eq!(text.matches("+ 1 other pod").count(), 1, "{text}");
    assert_eq!(text.matches("not on this path").count(), 2, "{text}");
    assert!(!text.contains("lxc0123456789ab"), "{text}");
    assert!(
        text.contains("══ request") && text.contains("VERIFIED"),
        "{text}"
    );
    let text = draw(&lost_by_policy());
    assert!(text.contains("7 ▲ 0/10 ✗ 10 lost"), "{text}");
    let text = draw(&lost_reply());
    assert!(text.contains("✗ 3 lost"), "{text}");
}

#[test]
fn junit_names_failed_tests() {
    let verdicts: Vec<_> = all().into_iter().map(|(_, verdict)| verdict).collect();
    let mut out = Vec::new();
    junit::write(&verdicts, &mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    insta::assert_snapshot!("junit", text);
    let document = roxmltree::Document::parse(&text).unwrap();
    let number = |tag: &str| {
        document
            .descendants()
            .filter(|node| node.has_tag_name(tag))
            .count()
    };
    assert_eq!(number("testcase"), verdicts.len());
    assert_eq!((number("failure"), number("error")), (4, 2));
    // A path test expected a loss, but the packets arrived.
    let mut lost = lost_by_policy();
    lost.test = Some(TestResult {
        name: None,
        passed: true,
        why: None,
    });
    let mut out = Vec::new();
    junit::write(&[lost], &mut out).unwrap();
    assert!(!String::from_utf8(out).unwrap().contains("<failure"));
}

/// CI tells test cases apart by their names.
#[test]
fn names_of_test_cases_are_unique() {
    let mut ipv6 = cross_node();
    ipv6.to.address = Some("fd00::1".into());
    let mut port = cross_node();
    port.probes.port = Some(80);
    let verdicts = [cross_node(), ipv6, port, cross_node(), lost_by_policy()];
    let mut out = Vec::new();
    junit::write(&verdicts, &mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    let report = roxmltree::Document::parse(&text).unwrap();
    let cases = report
        .descendants()
        .filter(|it| it.has_tag_name("testcase"));
    let names: Vec<_> = cases.map(|case| case.attribute("name").unwrap()).collect();
    let pair = format!("{A} -> {B}");
    let more = ["", " (IPv6)", " port 80", " (2)", " (3)"];
    assert_eq!(names, more.map(|more| format!("{pair}{more}")));
    // Where both families failed, the text tells which is which, too.
    let failed = verdicts.map(|mut verdict| {
        verdict.verdict = Kind::Detour;
        verdict
    });
    assert!(results::draw(&failed, Style::default()).contains(&format!("{pair} (IPv6): ")));
    let wide = matrix::Style {
        width: Some(300),
        ..matrix::Style::default()
    };
    assert!(matrix::draw(&failed, wide).contains(" (IPv6)  delivered"));
}

/// Two pairs of one test: it stays visible which.
#[test]
fn name_of_a_test_is_in_every_view() {
    let why = "expected lost, got verified";
    let test = |why: Option<&str>| {
        Some(TestResult {
            name: Some("policy: <x>".into()),
            passed: why.is_none(),
            why: why.map(str::to_owned),
        })
    };
    let verdicts = [
        Verdict {
            test: test(Some(why)),
            ..cross_node()
        },
        Verdict {
            test: test(None),
            ..lost_by_policy()
        },
    ];
    let text = results::draw(&verdicts, Style::default());
    let pair =
        |verdict: &Verdict| format!("policy: <x>: {} -> {}", verdict.from.name, verdict.to.name);
    let expected = format!(
        "2 tests: 1 passed, 1 failed\n  {}: {why}\n",
        pair(&verdicts[0])
    );
    assert_eq!(text, expected);
    let ladder = draw(&verdicts[0], 120);
    assert!(
        ladder.contains("\ntest: policy: <x>: failed: expected lost, got verified\n"),
        "{ladder}"
    );
    assert!(draw(&verdicts[1], 120).contains("\ntest: policy: <x>: passed\n"));
    let wide = matrix::Style {
        width: Some(300),
        ..matrix::Style::default()
    };
    let matrix = matrix::draw(&verdicts, wide);
    assert!(matrix.contains("  (policy: <x>)\n"), "{matrix}");

    let mut out = Vec::new();
    junit::write(&verdicts, &mut out).unwrap();
    let report = String::from_utf8(out).unwrap();
    let report = roxmltree::Document::parse(&report).unwrap();
    let cases = report
        .descendants()
        .filter(|node| node.has_tag_name("testcase"));
    let names: Vec<_> = cases.map(|case| case.attribute("name").unwrap()).collect();
    let [first, second] = verdicts.each_ref().map(pair);
    assert_eq!(names, [first, format!("{second} (2)")]);
    let failure = report
        .descendants()
        .find(|node| node.has_tag_name("failure"));
    let message = failure.unwrap().attribute("message").unwrap();
    assert!(message.starts_with(why), "{message}");

    let mut out = Vec::new();
    json::write(&verdicts, &mut out).unwrap();
    let values: Value = serde_json::from_slice(&out).unwrap();
    let expected = json!({"name": "policy: <x>", "passed": false, "why": why});
    assert_eq!(values[0]["test"], expected);
    assert_eq!(values[1]["test"]["passed"], true);
    assert_eq!(
        serde_json::to_value(cross_node()).unwrap()["test"],
        Value::Null
    );
}

#[test]
fn matrix_of_many_pairs() {
    let verdicts: Vec<_> = all().into_iter().map(|(_, verdict)| verdict).collect();
    let style = matrix::Style {
        width: Some(100),
        ..matrix::Style::default()
    };
    insta::assert_snapshot!("matrix", matrix::draw(&verdicts, style));
    assert_eq!(matrix::draw(&[], style), "0 pairs");
    // Too many for a matrix: a list with the total.
    let mut many = Vec::new();
    for number in 0..300 {
        let mut verdict = if number % 3 == 0 {
            lost_by_policy()
        } else {
            cross_node()
        };
        verdict.from.name = format!("a/client-{number}").into();
        verdict.from.pod = None;
        many.push(verdict);
    }
    let text = matrix::draw(&many, style);
    assert!(
        text.ends_with("300 pairs: 200 verified, 100 lost"),
        "{text}"
    );
    assert!(text.contains("… and 50 more"), "{text}");
    assert!(!text.contains("from, to"), "{text}");
}

/// Checks all views of one verdict.
fn check_all(verdict: &Verdict) {
    for width in [0, 1, 80, 97, 200] {
        for full in [false, true] {
            let text = ladder::draw(
                verdict,
                Style {
                    width: Some(width),
                    full,
                    ..Style::default()
                },
            );
            for line in text.lines() {
                check::plain("ladder", line);
                assert!(
                    visible_width(line) <= width.clamp(80, 120),
                    "{width}: {line}"
                );
            }
        }
    }
    check::markup(
        "picture",
        &Drawing::new(verdict, &building(), Origin::default()).svg(),
        &[check::PICTURE],
    );
    check::mermaid("flowchart", &mermaid::draw(verdict));
    let mut out = Vec::new();
    junit::write(slice::from_ref(verdict), &mut out).unwrap();
    let report = std::str::from_utf8(&out).unwrap();
    check::markup("JUnit", report, &[check::REPORT]);
    let mut out = Vec::new();
    json::write_line(verdict, &mut out).unwrap();
    let value: Value = serde_json::from_slice(&out).unwrap();
    assert_eq!(complaints(&json::schema(), &value), [""; 0]);
}

#[test]
fn arbitrary_verdicts_are_rendered() {
    let mut random = Random(0x0DD_BA11);
    let mut verdicts = Vec::new();
    for _ in 0..400 {
        let verdict = arbitrary(&mut random);
        check_all(&verdict);
        verdicts.push(verdict);
    }
    for width in [0, 1, 40, 100] {
        let style = matrix::Style {
            width: Some(width),
            ..matrix::Style::default()
        };
        let text = matrix::draw(&verdicts[..30], style);
        check::plain("matrix", &text);
    }
    assert!(verdicts.iter().any(|verdict| verdict.verdict == Kind::Lost));
}

#[test]
fn explained_path() {
    let text = explain::draw(&cross_node(), Style::default());
    insta::assert_snapshot!("explained_cross_node", text);
    for (_, verdict) in all() {
        let style = Style {
            width: Some(60),
            ascii: true,
            ..Style::default()
        };
        let text = explain::draw(&verdict, style);
        assert!(text.is_ascii(), "{text}");
        assert!(text.lines().all(|line| visible_width(line) <= 60), "{text}");
    }
}
