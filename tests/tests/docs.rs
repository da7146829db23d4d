//! README and docs: links lead somewhere, command lines parse, and every option is described.
//!
//! docs/commands.md is generated. After a change of the command line:
//! `INSTA_UPDATE=always cargo test -p netviz-tests --test docs`.

use std::{
    collections::BTreeSet,
    env,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use clap::{Arg, Command};
use netviz::{
    audit::RULES,
    cli::command,
    lab::{Lab, Options},
};
use netviz_tests::cli::netviz::command_for;

/// Options of other programs in the documentation: docker, nsenter, xtask and cargo.
const OF_OTHERS: [&str; 6] = [
    "--privileged",
    "--net",
    "--only",
    "--quick",
    "--test",
    "--version",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// README, CONTRIBUTING and the pages of docs, by path from the root.
fn pages() -> Vec<(PathBuf, String)> {
    let docs = fs::read_dir(root().join("docs")).unwrap();
    let docs = docs.map(|entry| Path::new("docs").join(entry.unwrap().file_name()));
    let docs = docs.filter(|path| path.extension().is_some_and(|it| it == "md"));
    let mut paths: Vec<_> = ["README.md", "CONTRIBUTING.md"].map(PathBuf::from).into();
    paths.extend(docs);
    paths.sort();
    let read = |path: PathBuf| {
        let text = fs::read_to_string(root().join(&path)).unwrap();
        (path, text)
    };
    paths.into_iter().map(read).collect()
}

/// The name under which GitHub links a heading.
fn anchor(heading: &str) -> String {
    let kept = |c: char| c.is_alphanumeric() || " -_".contains(c);
    let lower = heading.to_lowercase();
    let name: String = lower.chars().filter(|c| kept(*c)).collect();
    name.replace(' ', "-")
}

fn anchors(text: &str) -> BTreeSet<String> {
    let headings = outside_of_blocks(text).filter(|line| line.starts_with('#'));
    headings
        .map(|line| anchor(line.trim_start_matches('#').trim()))
        .collect()
}

/// Lines that are in a fenced block, or not.
fn lines(text: &str, in_block: bool) -> impl Iterator<Item = &str> {
    let mut inside = false;
    text.lines().filter(move |line| {
        let fence = line.trim_start().starts_with("```");
        inside ^= fence;
        !fence && inside == in_block
    })
}

fn outside_of_blocks(text: &str) -> impl Iterator<Item = &str> {
    lines(text, false)
}

/// Targets of links: `[text](target)` and `[name]: target`.
fn links(text: &str) -> Vec<&str> {
    let mut links = Vec::new();
    for line in outside_of_blocks(text) {
        let inline = line.split("](").skip(1);
        links.extend(inline.filter_map(|rest| rest.split(')').next()));
        if let Some((name, target)) = line.split_once("]: ")
            && name.starts_with('[')
        {
            links.push(target);
        }
    }
    links
}

#[test]
fn relative_links_lead_to_files_and_headings() {
    for (page, text) in pages() {
        for link in links(&text) {
            if link.starts_with("https://") {
                continue;
            }
            let (path, heading) = link.split_once('#').unwrap_or((link, ""));
            let target = match path {
                "" => root().join(&page),
                path => root().join(&page).parent().unwrap().join(path),
            };
            assert!(target.exists(), "{}: {link}: no such file", page.display());
            if !heading.is_empty() {
                let text = fs::read_to_string(target).unwrap();
                let known = anchors(&text);
                assert!(
                    known.contains(heading),
                    "{}: {link}: no such heading; there are {known:?}",
                    page.display()
                );
            }
        }
    }
}

/// Code in a page: the lines of its blocks, and what is between backticks.
fn code(text: &str) -> Vec<String> {
    let blocks = lines(text, true).map(str::to_owned);
    let prose: Vec<_> = outside_of_blocks(text).collect();
    let prose = prose.join("\n");
    let inline = prose.split('`').skip(1).step_by(2);
    blocks
        .chain(inline.map(|code| code.replace('\n', " ")))
        .collect()
}

fn long_options(command: &Command) -> BTreeSet<String> {
    let mut commands: Vec<_> = command.get_subcommands().collect();
    commands.push(command);
    let arguments = commands.into_iter().flat_map(Command::get_arguments);
    let names = arguments.flat_map(|it| it.get_long_and_visible_aliases().unwrap_or_default());
    names.map(|name| format!("--{name}")).collect()
}

#[test]
fn every_option_in_the_docs_exists() {
    let mut command = command();
    command.build();
    let mut known = long_options(&command);
    known.extend(OF_OTHERS.map(str::to_owned));
    for (page, text) in pages() {
        // Generated from the options.
        if page.ends_with("commands.md") {
            continue;
        }
        for code in code(&text) {
            let is_part = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
            for word in code.split(|c| !is_part(c)) {
                let is_option = word.strip_prefix("--").is_some_and(|it| {
                    it.len() > 1 && it.starts_with(|c: char| c.is_ascii_lowercase())
                });
                assert!(
                    !is_option || known.contains(word),
                    "{}: {code}: no option {word}",
                    page.display()
                );
            }
        }
    }
}

/// The command lines of netviz in a piece of code, each as words; those with a placeholder of an
/// argument that is not text have none.
fn command_lines(code: &str) -> Vec<Vec<String>> {
    let code = code.split(" #").next().unwrap_or_default();
    let code = code.trim_start_matches(['$', '#', ' ']);
    let code = code
        .trim_start_matches("sudo ")
        .trim_start_matches("source <(");
    let code = code.split([')', '>']).next().unwrap_or_default();
    let code = code.strip_prefix("target/dist/").unwrap_or(code);
    let words: Vec<_> = code.split_whitespace().collect();
    let abstract_word = |word: &&str| word.contains(['[', '<', '…']) || word.contains("..");
    if words.first() != Some(&"netviz") || words.iter().any(abstract_word) {
        return Vec::new();
    }
    let unquoted = |word: &&str| word.trim_matches('\'').to_owned();
    let whole: Vec<_> = words.iter().map(unquoted).collect();
    // `netviz demo -- netviz ..` is two command lines.
    let inner = whole.iter().position(|word| word == "--");
    let inner = inner.map(|place| whole[place + 1..].to_vec());
    let inner = inner.filter(|words| words.first().is_some_and(|word| word == "netviz"));
    [whole].into_iter().chain(inner).collect()
}

#[test]
fn command_lines_in_the_docs_parse() {
    // Values that stand for others.
    let values = [
        ("TIME", "1s"),
        ("NUMBER", "1"),
        ("MODE", "native"),
        ("SHELL", "bash"),
    ];
    let mut parsed = 0;
    for (page, text) in pages() {
        for words in code(&text).iter().flat_map(|code| command_lines(code)) {
            let words = words.iter().map(|word| {
                let value = values.iter().find(|(name, _)| name == word);
                value.map_or(word.as_str(), |(_, value)| *value)
            });
            let words: Vec<_> = words.collect();
            // Messages of netviz also begin with its name.
            let is_command = words.get(1).is_none_or(|word| {
                word.starts_with('-') || command().find_subcommand(word).is_some()
            });
            // `netviz verify` alone names the command.
            if !is_command || words.len() == 2 {
                continue;
            }
            if let Err(error) = command().try_get_matches_from(&words)
                && error.use_stderr()
            {
                panic!("{}: {}: {error}", page.display(), words.join(" "));
            }
            parsed += 1;
        }
    }
    assert!(parsed > 30, "only {parsed} command lines were found");
}

#[test]
fn readme_is_short_and_names_every_command() {
    let text = fs::read_to_string(root().join("README.md")).unwrap();
    assert!(
        text.lines().count() <= 120,
        "{} lines",
        text.lines().count()
    );
    for name in [
        "doors",
        "map",
        "verify",
        "audit",
        "serve",
        "demo",
        "completions",
    ] {
        assert!(text.contains(&format!("netviz {name}")), "{name}");
    }
}

/// The README opens with what the tool draws over the lab.
#[test]
fn drawing_of_the_readme_is_the_tools() {
    let lab = Lab::up(&Options::default()).unwrap();
    let pods = ["busybox-c8bbbbb84-fmhwc", "busybox-c8bbbbb84-t6ggh"];
    let args = [&["verify"], &pods[..], &["-o", "map"]].concat();
    let output = command_for(&lab, &args).output().unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<_> = printed.lines().map(str::trim_end).collect();
    let begin = lines.iter().position(|it| it.starts_with('┌'));
    let end = lines.iter().position(|it| it.starts_with("══ request"));
    let drawing = lines[begin.unwrap()..=end.unwrap()].join("\n");
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    assert!(
        readme.contains(&drawing),
        "README.md does not have:\n{printed}"
    );
}

#[test]
fn every_audit_rule_is_documented() {
    let text = fs::read_to_string(root().join("docs/audit.md")).unwrap();
    for rule in RULES {
        let row = format!("| `{}` | {} | {} |", rule.id, rule.severity, rule.summary);
        assert!(text.contains(&row), "no row {row}");
    }
}

/// A cell of a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}

/// `-o`, `--output <OUTPUT>`
fn name(arg: &Arg) -> String {
    let value = arg.get_value_names().unwrap_or_default().join(" ");
    let optional = arg.get_num_args().is_some_and(|it| it.min_values() == 0);
    let value = match (arg.get_action().takes_values(), optional) {
        (false, _) => String::new(),
        (true, false) => format!(" <{value}>"),
        (true, true) => format!(" [<{value}>]"),
    };
    let Some(long) = arg.get_long() else {
        return format!("`{}`", arg.get_value_names().unwrap_or_default().join(" "));
    };
    let short = arg.get_short();
    let short = short.map_or_else(String::new, |short| format!("`-{short}`, "));
    let aliases = arg.get_visible_aliases().unwrap_or_default().into_iter();
    let aliases: String = aliases.map(|alias| format!(", `--{alias}`")).collect();
    format!("{short}`--{long}{value}`{aliases}")
}

/// What it does, its values and its default.
fn effect(arg: &Arg) -> String {
    let help = arg.get_long_help().or(arg.get_help());
    let mut effect = help.map(ToString::to_string).unwrap_or_default();
    let values = arg.get_possible_values();
    // A flag's are true and false.
    if arg.get_action().takes_values() && !values.is_empty() {
        let values = values.iter().map(|value| {
            let help = value
                .get_help()
                .map_or_else(String::new, |help| format!(" ({help})"));
            format!("`{}`{help}", value.get_name())
        });
        let values: Vec<_> = values.collect();
        let _ = write!(effect, ". Values: {}", values.join(", "));
    }
    if let Some(variable) = arg.get_env() {
        let _ = write!(effect, ". Variable: `{}`", variable.to_string_lossy());
    }
    let defaults: Vec<_> = arg
        .get_default_values()
        .iter()
        .map(|it| it.to_string_lossy())
        .collect();
    if arg.get_action().takes_values() && !defaults.is_empty() {
        let _ = write!(effect, ". Default: `{}`", defaults.join(" "));
    }
    effect
}

fn describe(page: &mut String, command: &mut Command, path: &str) {
    let about = command.get_long_about().or(command.get_about());
    let about = about.map(ToString::to_string).unwrap_or_default();
    let usage = command.render_usage().to_string();
    let usage = usage
        .trim_start_matches("Usage: ")
        .replace("\n       ", "\n");
    let _ = writeln!(page, "\n## {path}\n\n{about}.\n\n```\n{usage}\n```");
    let mut headings: Vec<Option<&str>> = Vec::new();
    for arg in command.get_arguments() {
        let heading = arg.get_help_heading();
        if !headings.contains(&heading) {
            headings.push(heading);
        }
    }
    for heading in headings {
        let args = command.get_arguments();
        let args = args.filter(|arg| arg.get_help_heading() == heading);
        let title = heading.unwrap_or("Arguments and general options");
        let _ = writeln!(page, "\n**{title}**\n\n| option | effect |\n|---|---|");
        for arg in args {
            let _ = writeln!(page, "| {} | {} |", cell(&name(arg)), cell(&effect(arg)));
        }
    }
}

/// The page of all commands and options, from the command line itself.
fn commands_page() -> String {
    let mut command = command();
    command.build();
    let mut page = String::from(
        "# Commands and options\n\nGenerated from the command line; `netviz COMMAND --help` prints the same with \
         examples.\n\nWithout a command, netviz shows the live screen and has the options of `netviz doors`.\n",
    );
    for command in command.get_subcommands_mut() {
        if command.get_name() != "help" {
            let path = format!("netviz {}", command.get_name());
            describe(&mut page, command, &path);
        }
    }
    let after = command.get_after_help().map(ToString::to_string);
    let _ = writeln!(
        page,
        "\n## Variables and exit codes\n\n```\n{}\n```",
        after.unwrap_or_default()
    );
    page
}

#[test]
fn commands_page_describes_every_option() {
    let path = root().join("docs/commands.md");
    let page = commands_page();
    let there = fs::read_to_string(&path).unwrap_or_default();
    if page != there && env::var_os("INSTA_UPDATE").is_some_and(|it| it == "always") {
        fs::write(&path, &page).unwrap();
        return;
    }
    assert!(
        page == there,
        "docs/commands.md is not what the command line has: INSTA_UPDATE=always cargo test -p netviz-tests --test docs"
    );
}
