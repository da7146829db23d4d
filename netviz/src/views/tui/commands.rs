//! Command lines that show the same, or more, about the selected row.

use std::collections::HashSet;

use super::{
    command_line::{CommandLine, Operand},
    keys::Action,
    pane::Pane,
    rows::Row,
    state::State,
};
use crate::{
    model::{DoorId, DoorState, NetNsId, Role, Side, Snapshot, Untrusted, is_harmless},
    views::flows,
};

const UNPRINTABLE: &str = "this name cannot be written on a command line";

/// What a row stands for.
struct Target<'a> {
    node: &'a Untrusted,
    netns: NetNsId,
    /// A door of the pod or pair, if it is not a node.
    door: Option<&'a DoorState>,
    /// Whether the door itself is selected.
    single: bool,
}

impl State {
    fn target(&self) -> Option<(&Snapshot, Target<'_>)> {
        let (snapshot, row) = (self.shown.as_ref()?, self.row()?);
        let of = |door: usize, single| {
            let door = &snapshot.doors[door];
            Target {
                node: &door.node,
                netns: door.node_netns,
                door: Some(door),
                single,
            }
        };
        let target = match row {
            Row::Node { name, netns, .. } => Target {
                node: name,
                netns: *netns,
                door: None,
                single: false,
            },
            Row::Group { doors, .. } => of(doors[0], false),
            Row::Door { door, .. } => of(*door, true),
        };
        Some((snapshot, target))
    }

    /// The selected row as an end of a path.
    fn operand(&self) -> Result<Operand, String> {
        let (snapshot, target) = self.target().ok_or("nothing is selected")?;
        let pod = target.door.and_then(|door| {
            let label = door.pod_label()?;
            Some((door, label))
        });
        let text = match (pod, target.door) {
            (Some((door, label)), _) => {
                let twin = |other: &DoorState| {
                    other.node_netns != door.node_netns
                        && other.pod_label().as_ref() == Some(&label)
                };
                match snapshot.doors.iter().any(twin) {
                    true => format!("{}:{}", target.node.raw(), label.raw()),
                    false => label.raw().to_owned(),
                }
            }
            // Cilium's health endpoint and unnamed pods have addresses only.
            (None, Some(door)) if matches!(door.role, Role::Pod | Role::Health) => {
                let ends = snapshot.doors.iter().filter(|it| {
                    it.id == door.id
                        || it.node_netns == door.node_netns
                            && it.side == Side::Pod
                            && it.peer_ifindex == Some(door.ifindex)
                });
                let mut addresses = ends.flat_map(|end| &end.addresses);
                let address = addresses
                    .next()
                    .ok_or("this pod has no name and no address")?;
                address.addr().to_string()
            }
            _ => format!("node/{}", target.node.raw()),
        };
        // It must not be read as an option.
        match text.starts_with('-') {
            true => Err(UNPRINTABLE.into()),
            false => printable(vec![text]).map(|mut operands| operands.remove(0)),
        }
    }

    /// Marks the sender of a path, or verifies the path from it to the selected row.
    pub(super) fn verify(&mut self) -> Action {
        match (self.operand(), self.sender.take()) {
            (Err(why), sender) => {
                self.sender = sender;
                self.message = Some(why);
                Action::Draw
            }
            (Ok(sender), None) => {
                self.sender = Some(sender);
                Action::Draw
            }
            (Ok(receiver), Some(sender)) => {
                let operands = [self.options.selection.clone(), vec![sender, receiver]];
                self.run("verify", operands.concat())
            }
        }
    }

    /// Audits the selected row.
    pub(super) fn audit(&mut self) -> Action {
        self.with_filters(|state, filters| state.run("audit", filters))
    }

    /// Shows the flows of the selected row. They are counted as long as they are shown.
    pub(super) fn flows(&mut self) -> Action {
        self.with_filters(|state, filters| {
            let command = CommandLine([vec!["flows".into()], filters].concat());
            let doors = state.flow_ends();
            state.pane = Some(Pane::of_flows(command, doors));
            state.settle();
            // A command that runs.
            Action::Close
        })
    }

    /// The selected door, or the ends of paths of the selected pod, veth pair or node.
    fn flow_ends(&self) -> HashSet<DoorId> {
        let (Some(snapshot), Some(row)) = (&self.shown, self.row()) else {
            return HashSet::new();
        };
        match row {
            Row::Node { netns, .. } => flows::ends(snapshot, |door| door.node_netns == *netns),
            Row::Group { doors, .. } => {
                let all: HashSet<_> = doors.iter().map(|door| snapshot.doors[*door].id).collect();
                match flows::ends(snapshot, |door| all.contains(&door.id)) {
                    // Such as Cilium's own devices.
                    ends if ends.is_empty() => all,
                    ends => ends,
                }
            }
            Row::Door { door, .. } => HashSet::from([snapshot.doors[*door].id]),
        }
    }

    /// Copies the command that shows what the pane or the selected row does.
    pub(super) fn copy(&mut self) -> Action {
        if let Some(pane) = &self.pane {
            return Action::Copy(pane.command.to_string());
        }
        self.with_filters(|_, filters| {
            let mut arguments = vec!["doors".into(), "--once".into()];
            arguments.extend(filters);
            Action::Copy(CommandLine(arguments).to_string())
        })
    }

    fn run(&mut self, command: &str, operands: Vec<String>) -> Action {
        let command = CommandLine([vec![command.to_owned()], operands].concat());
        self.pane = Some(Pane::new(command.clone()));
        self.settle();
        Action::Run(command)
    }

    fn with_filters(&mut self, then: impl FnOnce(&mut Self, Vec<String>) -> Action) -> Action {
        match self.filters() {
            Ok(filters) => then(self, filters),
            Err(why) => {
                self.message = Some(why);
                Action::Draw
            }
        }
    }

    /// Options that select what this screen shows, and of that the selected row.
    fn filters(&self) -> Result<Vec<String>, String> {
        let (snapshot, target) = self.target().ok_or("nothing is selected")?;
        let mut filters = self.options.selection.clone();
        // One node needs no option.
        if snapshot.nodes.iter().any(|node| node.netns != target.netns) {
            filters.push(format!("--node={}", target.node.raw()));
        }
        if let Some(pod) = target.door.and_then(DoorState::pod_label) {
            filters.push(format!("--pod={}", pod.raw()));
        }
        let pair = target.door.is_some_and(|door| door.pod.is_none());
        if let Some(door) = target.door.filter(|_| target.single || pair)
            && let Some(interface) = &door.interface
        {
            filters.push(format!("--device={}", interface.raw()));
        }
        printable(filters)
    }
}

/// Refuses names that a terminal cannot show.
fn printable(arguments: Vec<String>) -> Result<Vec<String>, String> {
    let harmless = |argument: &String| argument.chars().all(is_harmless);
    match arguments.iter().all(harmless) {
        true => Ok(arguments),
        false => Err(UNPRINTABLE.into()),
    }
}
