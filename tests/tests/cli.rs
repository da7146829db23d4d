//! The command line, tested with the real binary.

use std::{
    collections::BTreeSet,
    fs::{self, File, Permissions},
    io::{BufRead as _, BufReader, Read as _},
    os::unix::{fs::PermissionsExt as _, process::CommandExt as _},
    process::{Command, Output, Stdio},
    time::{Duration, Instant},
};

use assert_cmd::assert::OutputAssertExt as _;
use netviz::{
    cli::EXAMPLES,
    lab::{Lab, Options},
};
use netviz_tests::cli::{
    binary,
    netviz::{Running, command, command_for},
    schema::complaints,
    terminal::Terminal,
    wait::until,
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use predicates::{prelude::*, str::contains};
use serde_json::Value;

const LIMIT: Duration = Duration::from_secs(60);

fn lab() -> Lab {
    Lab::up(&Options::default()).unwrap_or_else(|error| panic!("{error:#}"))
}

/// Checks for exit code 2, no stdout, and one line of stderr that contains all `parts`.
fn fails(mut command: Command, parts: &[&str]) {
    let output = command.output().unwrap();
    let complaint = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{complaint}");
    assert_eq!(complaint.lines().count(), 1, "{complaint}");
    assert!(complaint.starts_with("netviz: "), "{complaint}");
    for part in parts {
        assert!(complaint.contains(part), "no {part:?} in {complaint}");
    }
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "");
}

#[test]
fn wrong_command_line() {
    for args in [
        &["frobnicate"][..],
        &["doors", "--no-such-option"],
        &["doors", "-o", "xml"],
        &["doors", "--watch", "1 fortnight"],
        &["doors", "--watch", "0"],
        &["doors", "--for", "-1s"],
        &["doors", "--once", "--for", "1s"],
        &["demo", "--mode", "bgp"],
        &["demo", "--pods", "1001"],
        &["demo", "ls"],
    ] {
        let output = command(args).assert().code(2).stdout("");
        output.stderr(contains("error: ").and(contains("--help")));
    }
    command(&["doors", "--watch", "1d"])
        .assert()
        .code(2)
        .stderr(contains(
            "\"d\" is not a unit of time; use 500ms, 1s, 2m or 1h",
        ));
}

#[test]
fn help_and_version() {
    command(&["--version"])
        .assert()
        .success()
        .stdout(format!("netviz {}\n", env!("CARGO_PKG_VERSION")));
    command(&["--help"])
        .assert()
        .success()
        .stdout(contains("Usage: netviz"))
        .stderr("");
    command(&["schema"])
        .assert()
        .success()
        .stdout(contains("\"title\": \"Snapshot\""))
        .stderr("");
}

#[test]
fn completions_for_every_shell() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let output = command(&["completions", shell]).assert().success();
        output.stdout(contains("verify").and(contains("kubeconfig")));
    }
    let script = command(&["completions", "bash"]).output().unwrap().stdout;
    let mut bash = Command::new("bash");
    let listed =
        "COMP_WORDS=(netviz ver) COMP_CWORD=1; _netviz netviz ver netviz; echo ${COMPREPLY[@]}";
    bash.args([
        "--norc",
        "-c",
        &format!("{}\n{listed}", str::from_utf8(&script).unwrap()),
    ]);
    bash.assert().success().stdout("verify\n");
}

#[test]
fn man_pages_of_every_command() {
    let directory = tempfile::tempdir().unwrap();
    command(&["man"])
        .arg(directory.path())
        .assert()
        .success()
        .stdout("")
        .stderr("");
    let pages = fs::read_dir(directory.path()).unwrap();
    let pages: BTreeSet<_> = pages.map(|page| page.unwrap().file_name()).collect();
    let help = command(&["--help"]).output().unwrap().stdout;
    let help = String::from_utf8(help).unwrap();
    let (_, commands) = help.split_once("Commands:\n").unwrap();
    let (commands, _) = commands.split_once("\n\n").unwrap();
    let names = commands.lines().filter_map(|line| line.strip_prefix("  "));
    let names = names.filter(|line| !line.starts_with(' ') && !line.starts_with("help "));
    let names = names.filter_map(|line| line.split(' ').next());
    let mut expected: BTreeSet<_> = names
        .map(|name| format!("netviz-{name}.1").into())
        .collect();
    expected.insert("netviz.1".into());
    assert_eq!(pages, expected);
    fails(
        command(&["man", "/no/such/directory"]),
        &[
            "cannot write the man pages into /no/such/directory: No such file",
            "name a directory that exists",
        ],
    );
}

/// The words of an example, with what the lab has in place of its names, and short times.
fn in_the_lab(example: &str, lab: &Lab, manual: &str) -> Vec<String> {
    let line = example
        .trim_start_matches("source <(")
        .trim_end_matches(')');
    let (line, _) = line.split_once(" >").unwrap_or((line, ""));
    let pid = lab.nodes()[0].pid.to_string();
    let paths = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/paths.yaml");
    let mut line = line.trim_start_matches("netviz").replace('\'', "");
    for (from, to) in [
        ("--netns kind-worker", &*format!("--netns {pid}")),
        ("kind-worker", "mycluster-worker"),
        ("default/web-*", "networking101/busybox-*"),
        ("default/web", "networking101/busybox-c8bbbbb84-fmhwc"),
        ("default/db", "networking101/busybox-c8bbbbb84-t6ggh"),
        ("10.96.0.10:53", "10.10.2.117:53"),
        ("--for 30s", "--for 1s"),
        ("--for 10s", "--for 1s"),
    ] {
        line = line.replace(from, to);
    }
    // These paths may have spaces.
    let word = |word: &str| match word {
        "paths.yaml" => paths.to_owned(),
        "/usr/local/share/man/man1" => manual.to_owned(),
        _ => word.to_owned(),
    };
    line.split_whitespace().map(word).collect()
}

/// Without an end of its own, the command prints until a signal comes.
fn runs_until_a_signal(mut netviz: Command, example: &str) {
    let mut running = Running::start(netviz.stdin(Stdio::null()).stdout(Stdio::piped()));
    let mut first = String::new();
    let mut stdout = BufReader::new(running.child.stdout.take().unwrap());
    stdout.read_line(&mut first).unwrap();
    assert!(!first.is_empty(), "{example}");
    running.signal(Signal::SIGTERM);
    let status = running.child.wait().unwrap();
    assert!(status.success(), "{example}: {status}");
}

#[test]
fn examples_of_the_help_run() {
    let lab = lab();
    let manual = tempfile::tempdir().unwrap();
    for (_, examples) in EXAMPLES {
        for (example, _) in *examples {
            let words = in_the_lab(example, &lab, manual.path().to_str().unwrap());
            let words: Vec<_> = words.iter().map(String::as_str).collect();
            // Its tests start it, at a port that is free.
            if words.first() == Some(&"serve") {
                continue;
            }
            let mut netviz = command_for(&lab, &words);
            let is_live = matches!(words[..], [] | ["demo"] | ["--netns" | "doors", ..]);
            let is_bounded = words.iter().any(|word| ["--once", "--for"].contains(word));
            if is_live && !is_bounded {
                runs_until_a_signal(netviz, example);
                continue;
            }
            let output = netviz.stdin(Stdio::null()).output().unwrap();
            let complaint = String::from_utf8_lossy(&output.stderr);
            // Without traffic of others, there is nothing to follow: unclear.
            let unclear = words.contains(&"--passive") && output.status.code() == Some(2);
            assert!(output.status.success() || unclear, "{example}: {complaint}");
        }
    }
    lab.down().unwrap();
}

#[test]
fn without_privileges() {
    // This user cannot access a clone in root's home directory; a copy in a public directory works.
    let public = tempfile::tempdir().unwrap();
    fs::set_permissions(public.path(), Permissions::from_mode(0o755)).unwrap();
    let copy = public.path().join("netviz");
    fs::copy(binary::netviz().unwrap(), &copy).unwrap();
    for args in [&["doors", "--once"][..], &["demo"], &[]] {
        let mut netviz = Command::new(&copy);
        netviz.args(args).uid(65534).gid(65534);
        fails(
            netviz,
            &[
                "netviz needs root",
                "CAP_BPF",
                "CAP_NET_ADMIN",
                "run sudo netviz",
            ],
        );
    }
    let mut netviz = command(&["doors", "--once"]);
    // SAFETY: one system call.
    unsafe {
        netviz.pre_exec(|| match libc::prctl(libc::PR_CAPBSET_DROP, 39, 0, 0, 0) {
            0 => Ok(()),
            _ => Err(std::io::Error::last_os_error()),
        })
    };
    fails(netviz, &["missing: CAP_BPF)", "run sudo netviz"]);
}

#[test]
fn empty_namespace() {
    let mut netviz = command(&["doors", "--once", "--netns", "/proc/thread-self/ns/net"]);
    let unshare = || Ok(nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET)?);
    // SAFETY: one system call.
    unsafe { netviz.pre_exec(unshare) };
    fails(
        netviz,
        &[
            "there is no Cilium device and no veth pair in",
            "/proc/thread-self/ns/net",
            "--netns",
            "--all",
        ],
    );
}

#[test]
fn unmatched_names_and_invalid_patterns() {
    let lab = lab();
    let pod = &lab.pods()[0];
    let wrong = format!("{}x", pod.name);
    for (option, name, parts) in [
        (
            "--node",
            "mycluster-worker9",
            &["no node", "near: mycluster-worker, mycluster-worker2"][..],
        ),
        ("--pod", wrong.as_str(), &["no pod", "near: ", &pod.name]),
        ("--device", "lxc_helth", &["no device", "near: lxc_health"]),
        (
            "--device",
            "~",
            &["no device", "found here, list them: netviz doors --once"],
        ),
        (
            "--pod",
            "busy[box",
            &["--pod: invalid pattern \"busy[box\"", "[[]"],
        ),
        (
            "--include",
            "a{b",
            &["--include: invalid pattern \"a{b\"", "[[]"],
        ),
        (
            "--exclude",
            "[z-a]",
            &["--exclude: invalid pattern \"[z-a]\"", "[[]"],
        ),
    ] {
        for output in ["table", "json", "jsonl"] {
            fails(
                command_for(
                    &lab,
                    &["doors", "--watch", "50ms", "-o", output, option, name],
                ),
                parts,
            );
        }
    }
    lab.down().unwrap();
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)))
}

#[test]
fn every_output() {
    let lab = lab();
    let schema = netviz::views::json::schema();
    let run = |args: &[&str]| {
        let output = command_for(&lab, args).output().unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        // Nothing on stderr except, with a duration, the start of the measurement.
        let stderr = String::from_utf8(output.stderr.clone()).unwrap();
        let begins = stderr.starts_with("netviz: counting at 26 doors for ");
        assert!(
            stderr.is_empty() || begins && stderr.lines().count() == 1,
            "{stderr}"
        );
        output
    };
    let snapshot = json(&run(&["doors", "-o", "json", "--watch", "100ms"]));
    assert_eq!(complaints(&schema, &snapshot), [""; 0]);
    complete(&snapshot);
    assert!((0.1..5.0).contains(&snapshot["window_seconds"].as_f64().unwrap()));

    let output = run(&["doors", "-o", "jsonl", "--watch", "100ms", "--for", "1s"]);
    let lines: Vec<Value> = output
        .stdout
        .lines()
        .map(|line| serde_json::from_str(&line.unwrap()).unwrap())
        .collect();
    assert!((3..=12).contains(&lines.len()), "{}", lines.len());
    for line in &lines {
        assert_eq!(complaints(&schema, line), [""; 0]);
        assert_eq!(line["doors"].as_array().unwrap().len(), 26);
    }

    let output = run(&["doors", "-o", "csv", "--watch", "100ms"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(
        text.lines().next().unwrap(),
        netviz::views::csv::header().join(",")
    );
    assert_eq!(text.lines().count(), 27);

    let yaml = run(&["doors", "-o", "yaml", "--watch", "100ms"]).stdout;
    let snapshot: Value = serde_saphyr::from_slice(&yaml).unwrap();
    assert_eq!(complaints(&schema, &snapshot), [""; 0]);

    let wide = String::from_utf8(run(&["doors", "-o", "wide", "--watch", "100ms"]).stdout).unwrap();
    for part in [
        "9e:80:70:0d:d9:37",
        "10.10.2.117/32",
        "1500",
        "26 interfaces: 26 ok.",
    ] {
        assert!(wide.contains(part), "no {part} in {wide}");
    }

    let table = String::from_utf8(run(&["doors", "--once", "--watch", "100ms"]).stdout).unwrap();
    assert!(table.contains("26 interfaces: 26 ok."), "{table}");
    assert!(!table.contains('\u{1b}'), "no colours in a pipe");
    // Idle interfaces are dim.
    for (variables, coloured) in [
        (&[("CLICOLOR_FORCE", "1")][..], true),
        (&[("CLICOLOR_FORCE", "0")], false),
        (&[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")], false),
    ] {
        let mut netviz = command_for(&lab, &["doors", "--once", "--watch", "100ms", "--ascii"]);
        let output = netviz.envs(variables.iter().copied()).output().unwrap();
        let table = String::from_utf8(output.stdout).unwrap();
        assert_eq!(
            table.contains("\u{1b}[2m"),
            coloured,
            "{variables:?}: {table}"
        );
        assert!(table.is_ascii(), "{table}");
    }
    let started = Instant::now();
    let table =
        String::from_utf8(run(&["doors", "--for", "2s", "--node", "*worker2"]).stdout).unwrap();
    assert!(started.elapsed() >= Duration::from_secs(2));
    assert!(
        table.contains("13 interfaces: 13 ok") && !table.contains("mycluster-worker "),
        "{table}"
    );
    lab.down().unwrap();
}

#[test]
fn characters_and_colours_in_every_command() {
    let lab = lab();
    let run = |args: &[&str], variables: &[(&str, &str)]| {
        let mut netviz = command_for(&lab, args);
        let output = netviz.envs(variables.iter().copied()).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let verify = [
        "verify",
        "busybox-c8bbbbb84-fmhwc",
        "busybox-c8bbbbb84-t6ggh",
        "-c",
        "1",
    ];
    for (args, coloured) in [
        (&["doors", "--once"][..], true),
        (&["doors", "-o", "wide"], false),
        (&["map"], true),
        (&["audit", "--full"], false),
        (&verify, true),
    ] {
        let text = run(&[args, &["--ascii"]].concat(), &[]);
        assert!(
            text.is_ascii() && text.lines().count() > 5,
            "{args:?}: {text}"
        );
        let forced = [("CLICOLOR_FORCE", "1")];
        let text = run(args, &forced);
        assert!(!coloured || text.contains('\u{1b}'), "{args:?}: {text}");
        let text = run(args, &[forced[0], ("NO_COLOR", "1")]);
        assert!(!text.contains('\u{1b}'), "{args:?}: {text}");
    }
    lab.down().unwrap();
}

fn complete(snapshot: &Value) {
    let doors = snapshot["doors"].as_array().unwrap();
    assert_eq!(doors.len(), 26);
    for door in doors {
        assert_eq!(door["state"], "counting", "{door}");
        assert!(
            door["ingress"]["packets"].is_u64() && door["egress"]["packets_per_second"].is_f64(),
            "{door}"
        );
    }
    assert_eq!(snapshot["nodes"].as_array().unwrap().len(), 2);
    assert_eq!(snapshot["pairs"].as_array().unwrap().len(), 12);
}

fn demo(args: &[&str]) -> Command {
    let mut netviz = command(&["demo", "--"]);
    netviz.args(args);
    netviz
}

#[test]
fn demo_exits_with_the_code_of_its_command() {
    demo(&["sh", "-c", "exit 7"]).assert().code(7).stdout("");
    demo(&["false"]).assert().code(1);
    demo(&["sh", "-c", "kill -9 $$"]).assert().code(137);
    demo(&["no-such-program"]).assert().code(2).stderr(
        contains("cannot run no-such-program: No such file")
            .and(contains("give a program that exists")),
    );
    // All doors that the blog's traffic crosses have counts.
    let output = demo(&["netviz", "doors", "--once", "-o", "json"])
        .output()
        .unwrap();
    let snapshot = json(&output);
    complete(&snapshot);
    let crossed = snapshot["doors"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|door| door["ingress"]["packets_per_second"].as_f64() > Some(0.0))
        .map(|door| {
            door["interface"]
                .as_str()
                .unwrap()
                .trim_end_matches(|c: char| c.is_ascii_hexdigit())
        })
        .collect::<BTreeSet<_>>();
    assert!(
        crossed.contains("lx") && crossed.contains("cilium_vxlan") && crossed.contains("eth"),
        "{crossed:?}"
    );
    for pair in snapshot["pairs"].as_array().unwrap() {
        for direction in pair["directions"].as_array().unwrap() {
            assert_eq!(
                (&direction["missing"], &direction["skipped"]),
                (&0.into(), &0.into()),
                "{direction}"
            );
        }
    }
}

#[test]
fn closed_pipe_ends_silently() {
    for form in ["jsonl", "json", "csv", "table"] {
        // The exit status and stderr of netviz itself.
        let script = format!(
            "set -o pipefail; {{ netviz doors --watch 50ms -o {form}; echo status $? >&2; }} | head -1"
        );
        let output = demo(&["bash", "-c", &script]).output().unwrap();
        let complaint = String::from_utf8(output.stderr).unwrap();
        let lines: Vec<_> = complaint
            .lines()
            .filter(|line| !line.contains("are up after"))
            .collect();
        assert_eq!(lines, ["status 0"], "{form}");
        assert_eq!(
            String::from_utf8(output.stdout).unwrap().lines().count(),
            1,
            "{form}"
        );
    }
}

#[test]
fn closed_or_full_stdout() {
    let lab = lab();
    let run = |stdout: Stdio| {
        command_for(&lab, &["doors", "--once", "--watch", "50ms", "-o", "json"])
            .stdout(stdout)
            .output()
            .unwrap()
    };
    let full = run(File::options()
        .write(true)
        .open("/dev/full")
        .unwrap()
        .into());
    let complaint = String::from_utf8(full.stderr).unwrap();
    assert_eq!(full.status.code(), Some(2), "{complaint}");
    assert!(
        complaint.contains("No space left on device") && complaint.lines().count() == 1,
        "{complaint}"
    );
    let mut closed = command_for(&lab, &["doors", "--once", "--watch", "50ms", "-o", "json"]);
    // SAFETY: one system call.
    unsafe {
        closed.pre_exec(|| match libc::close(1) {
            0 => Ok(()),
            _ => Err(std::io::Error::last_os_error()),
        })
    };
    closed.assert().success().stdout("").stderr("");
    lab.down().unwrap();
}

/// Returns the IDs of netviz's programs at the hooks of one namespace: programs named netviz_* can
/// belong to any netviz on the machine.
fn attached(lab: &Lab) -> usize {
    let pod = &lab.pods()[0];
    let node = lab
        .nodes()
        .iter()
        .find(|node| node.name == pod.node)
        .unwrap();
    let device = pod.interface.name.clone();
    let names = lab
        .netns(node)
        .unwrap()
        .run(move || {
            use aya::programs::{SchedClassifier, tc::TcAttachType};
            let on = |hook| {
                SchedClassifier::query_tcx(&device, hook)
                    .map(|(_, programs)| programs)
                    .unwrap_or_default()
            };
            let mut all = on(TcAttachType::Ingress);
            all.extend(on(TcAttachType::Egress));
            all.iter()
                .filter_map(|program| program.name_as_str().map(ToOwned::to_owned))
                .collect::<Vec<_>>()
        })
        .unwrap();
    names
        .iter()
        .filter(|name| name.starts_with("netviz_"))
        .count()
}

#[test]
fn lines_in_a_pipe_and_a_signal() {
    let lab = lab();
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
        let mut netviz = command_for(&lab, &["doors", "--watch", "100ms"]);
        netviz.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut running = Running::start(&mut netviz);
        let child = &mut running.child;
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut seen = BTreeSet::new();
        // One line per counted door, and no other line without a change.
        for line in lines.by_ref().take(26) {
            let line = line.unwrap();
            assert!(line.ends_with("  ok"), "{line}");
            seen.insert(line.split_once("  ").unwrap().1.to_owned());
        }
        assert_eq!(seen.len(), 26);
        let ours = attached(&lab);
        assert_eq!(ours, 2);
        let pod = &lab.pods()[0];
        let other = &lab.pods()[1];
        let crossed =
            netviz::lab::traffic::ping(&lab.netns(pod).unwrap(), other.address.into(), 3).unwrap();
        assert_eq!(crossed, 3);
        let line = lines.next().unwrap().unwrap();
        assert!(line.contains("▼ +") && line.contains("packets"), "{line}");
        running.signal(signal);
        let child = &mut running.child;
        let (status, took) = until("netviz ends", LIMIT, || {
            child.try_wait().unwrap().ok_or("it runs")
        });
        println!("{signal}: ended after {took:?}");
        let mut complaint = String::new();
        child
            .stderr
            .take()
            .unwrap()
            .read_to_string(&mut complaint)
            .unwrap();
        assert_eq!(
            (status.code(), complaint.as_str()),
            (Some(0), ""),
            "{signal}"
        );
        assert_eq!(attached(&lab), 0, "{signal}");
    }
    lab.down().unwrap();
}

#[test]
fn demo_ends_its_command_before_the_lab() {
    let script = "trap 'echo stopped; exit 3' TERM; echo ready; while :; do sleep 0.05; done";
    let mut command = demo(&["sh", "-c", script]);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let mut demo = Running::start(&mut command);
    let mut lines = BufReader::new(demo.child.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "ready");
    // As soon as the command runs.
    demo.signal(Signal::SIGTERM);
    assert_eq!(lines.next().map(Result::unwrap).as_deref(), Some("stopped"));
    assert_eq!(demo.child.wait().unwrap().code(), Some(3));
}

#[test]
fn screen_on_a_terminal() {
    let mut lab = lab();
    for (columns, colour) in [(80, true), (160, false)] {
        let mut netviz = command_for(&lab, &["doors"]);
        if !colour {
            netviz.env("NO_COLOR", "1");
        }
        let mut terminal = Terminal::start(netviz, columns, 50);
        let seconds = Duration::from_secs(2);
        let drawn = terminal.wait_for_screen("rows", seconds, |it| it.contains("lxc_health"));
        println!("drawn after {drawn:?}");
        let counting = terminal.wait_for_screen("all doors", LIMIT, |it| it.contains("26 ok"));
        println!("all doors after {counting:?}");
        let written = terminal.written();
        assert!(written.contains("\u{1b}[?1049h") && written.contains("\u{1b}[?25l"));
        // Colour is for what is new or wrong.
        assert!(!written.contains("\u{1b}[38;5;"), "{written:?}");
        lab.add_pod("mycluster-worker", "newcomer").unwrap();
        terminal.wait_for_screen("a new pod", LIMIT, |it| it.contains("  new"));
        let written = terminal.written();
        assert_eq!(written.contains("\u{1b}[38;5;"), colour, "{written:?}");
        lab.remove_pod("newcomer").unwrap();
        terminal.type_keys(if colour { "q" } else { "\u{3}" });
        assert_eq!(terminal.wait_for_exit(LIMIT).code(), Some(0));
        assert_eq!(terminal.complaints(), [""; 0]);
        assert_eq!(attached(&lab), 0);
    }
    lab.down().unwrap();
}

#[test]
fn terminal_is_restored_after_a_signal() {
    let lab = lab();
    for signal in [Signal::SIGTERM, Signal::SIGHUP] {
        let mut terminal = Terminal::start(command_for(&lab, &["doors"]), 100, 30);
        terminal.wait_for_text("q quit", LIMIT);
        let taken = terminal.complaints();
        assert_eq!(
            taken,
            [
                "on the alternate screen",
                "no cursor",
                "no echo",
                "no lines",
                "no signals"
            ]
        );
        kill(Pid::from_raw(terminal.child.id().cast_signed()), signal).unwrap();
        assert_eq!(terminal.wait_for_exit(LIMIT).code(), Some(0));
        assert_eq!(terminal.complaints(), [""; 0]);
    }
    // An unmatched name is reported on the main screen, not on the alternate screen that closes.
    let mut terminal = Terminal::start(command_for(&lab, &["doors", "--node", "nowhere"]), 100, 30);
    assert_eq!(terminal.wait_for_exit(LIMIT).code(), Some(2));
    assert_eq!(terminal.complaints(), [""; 0]);
    let written = terminal.written();
    let error = written.rfind("no node").expect("an error");
    assert!(Some(error) > written.rfind("\u{1b}[?1049l"), "{written:?}");
    lab.down().unwrap();
}
