//! The examples of `--help`, by command.

use clap::{Command, CommandFactory as _, FromArgMatches as _, error::ErrorKind};

use super::Cli;

/// Defines the examples, by name of the command.
macro_rules! examples {
    ($($command:literal { $($line:literal: $what:literal;)* })*) => {
        /// Command lines and what they do, by name of the command.
        pub const EXAMPLES: &[(&str, &[(&str, &str)])] =
            &[$(($command, &[$(($line, $what)),*])),*];
    };
}

examples! {
    "netviz" {
        "netviz": "the live screen of all nodes on this machine";
        "netviz --netns kind-worker": "of one node";
        "netviz demo": "the same without a cluster";
    }
    "doors" {
        "netviz doors --once": "one table";
        "netviz doors --pod 'default/web-*' --sort rate": "the busiest interfaces of some pods";
        "netviz doors --for 10s -o json": "ten seconds, for a script";
        "netviz doors --once -o wide": "with addresses, MTU, namespaces and programs";
        "netviz doors --all --node kind-worker": "every interface of one node, also lo";
    }
    "flows" {
        "netviz flows": "top talkers of all pods and uplinks";
        "netviz flows --pod 'default/web-*' --for 10s": "those of some pods in ten seconds";
        "netviz flows port:53 and not ns:kube-system": "only some flows";
        "netviz flows --by pair --once -o json": "bytes and packets between pods, for a script";
    }
    "map" {
        "netviz map": "the drawing as text";
        "netviz map --for 10s -o svg > map.svg": "a picture of ten seconds";
    }
    "verify" {
        "netviz verify default/web default/db": "ten pings, and where they went";
        "netviz verify default/web default/db:5432": "TCP to a port; no connection is opened";
        "netviz verify default/web 10.96.0.10:53 --proto udp": "a service";
        "netviz verify default/web default/db --passive --for 30s": "send nothing, follow what is there";
        "netviz verify default/web default/db --explain": "and say why it goes that way";
        "netviz verify --all-pairs -o junit > paths.xml": "every pod to every other, for CI";
        "netviz verify -f paths.yaml": "path tests";
    }
    "audit" {
        "netviz audit": "programs at each interface, and findings";
        "netviz audit --device 'lxc*' --full": "all details of some interfaces";
        "netviz audit -o sarif --fail-on warning > audit.sarif": "for CI";
    }
    "serve" {
        "netviz serve": "for a Prometheus and a browser on this machine";
        "netviz serve --listen 0.0.0.0:9190 --token-file /etc/netviz/token": "for those who have the token";
    }
    "demo" {
        "netviz demo": "the live screen of a two-node lab";
        "netviz demo --mode native -- netviz map": "another routing mode, one drawing";
        "netviz demo -- bash": "a shell beside the lab";
    }
    "schema" {
        "netviz schema verdict > verdict.json": "of verify's -o json";
    }
    "completions" {
        "source <(netviz completions bash)": "for this shell";
    }
    "man" {
        "netviz man /usr/local/share/man/man1": "for this machine";
    }
}

/// The command line, with the examples in every long help.
#[must_use]
pub fn command() -> Command {
    let mut command = with_examples(Cli::command());
    let names: Vec<_> = command
        .get_subcommands()
        .map(|it| it.get_name().to_owned())
        .collect();
    for name in names {
        command = command.mut_subcommand(name, with_examples);
    }
    command
}

/// Reads the command line of this process; ends it if that is wrong, or asks for help.
#[must_use]
pub fn parse() -> Cli {
    let matches = command().get_matches();
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    // Its words are joined, so clap cannot read it.
    if let Some(super::Command::Flows(args)) = &cli.command
        && let Err(mistake) = args.typed()
    {
        let mut command = command();
        command.build();
        let message = format!("wrong filter: {mistake}\n");
        if let Some(flows) = command.find_subcommand_mut("flows") {
            flows.error(ErrorKind::ValueValidation, message).exit();
        }
    }
    cli
}

fn with_examples(command: Command) -> Command {
    let mut known = EXAMPLES.iter();
    let Some((_, examples)) = known.find(|(name, _)| *name == command.get_name()) else {
        return command;
    };
    let mut help = String::from("Examples:");
    for (line, what) in *examples {
        help += &format!("\n  {line}\n      {what}");
    }
    if let Some(after) = command.get_after_help() {
        help += &format!("\n\n{after}");
    }
    command.after_long_help(help)
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use super::*;

    #[test]
    fn every_command_has_examples_that_parse() {
        let command = command();
        for command in command.get_subcommands() {
            let help = command.get_after_long_help().map(ToString::to_string);
            assert!(
                help.is_some_and(|it| it.contains("Examples:")),
                "{}",
                command.get_name()
            );
        }
        for (name, examples) in EXAMPLES {
            for (line, _) in *examples {
                let line = line.trim_start_matches("source <(").trim_end_matches(')');
                let (line, _) = line.split_once(" >").unwrap_or((line, ""));
                let words = line.split(' ').map(|word| word.trim_matches('\''));
                let parsed = command.clone().try_get_matches_from(words.clone());
                assert!(parsed.is_ok(), "{line}: {parsed:?}");
                let shown = words.map(OsStr::new).any(|word| word == *name);
                assert!(shown, "{line} is not an example of {name}");
            }
        }
    }
}
