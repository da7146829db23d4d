//! Reasons why a door is not simply counted, and their wording.

use std::fmt::{self, Display, Formatter};

use schemars::{JsonSchema, Schema, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{
    hook::{Chain, Direction},
    list::list,
    untrusted::Untrusted,
};

/// Remedy for a process that has no file descriptors left.
pub(crate) const RAISE_FILES: &str = "raise the limit of open files (ulimit -n, fs.file-max)";

/// Why a door is not counted, or why its counts are incomplete.
///
/// Views decide by the variant; [`Display`] is the only place that words it. `{reason:#}` leaves out
/// the figures in parentheses, which differ from door to door.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(remote = "Self", tag = "code", rename_all = "snake_case")]
#[schemars(transform = require_text)]
pub enum Reason {
    /// The door waits in the queue of the attaching thread.
    Pending,
    /// The interface was removed.
    Gone,
    /// netviz was detached for a while, or another program ran ahead of it.
    Gap {
        /// Upper bound of its length.
        milliseconds: u64,
    },
    /// Segments left the peer's side of a pair and did not arrive.
    Missing {
        /// How many, at least.
        segments: u64,
        /// The interface at which they were expected.
        to: Untrusted,
        /// Programs that run after netviz at the egress hook; `null` if unknown.
        behind: Option<Vec<Untrusted>>,
    },
    /// Segments arrived at the peer without crossing this egress hook.
    Skipped {
        /// How many, at least.
        segments: u64,
        /// The BPF helper that skips the hook, if the role of the door determines it.
        helper: Option<String>,
    },
    /// Another tool's programs run ahead of netviz.
    Displaced {
        /// At which hook.
        direction: Direction,
        /// Their names, in run order.
        programs: Vec<Untrusted>,
    },
    /// Another tool detached netviz while it was attaching.
    Removed,
    /// Another tool detached netviz again and again.
    GivenUp {
        /// How often.
        times: usize,
        /// Within how many seconds; after as many netviz retries.
        seconds: u64,
    },
    /// The network namespace is known to the node by its id only.
    Unreachable {
        /// The id, `link-netnsid` in the output of `ip link`.
        nsid: i32,
    },
    /// The last file descriptors are reserved for discovery.
    TooFewFiles,
    /// A system call failed.
    Failed {
        /// What netviz tried to do.
        operation: Operation,
        /// At which hook, if it concerns one.
        direction: Option<Direction>,
        /// The kernel's error number.
        errno: Option<i32>,
        /// The error in the words of the kernel or the library.
        error: String,
        /// `RLIMIT_MEMLOCK` in KiB, where it limits BPF memory (before Linux 5.11).
        memlock_kib: Option<u64>,
    },
}

/// What netviz tried to do at a door.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    /// Open its network namespace.
    OpenNetns,
    /// Enter its network namespace.
    EnterNetns,
    /// Load the programs.
    Load,
    /// Attach a program.
    Attach,
    /// Read the counters.
    Read,
    /// List the programs at its hooks.
    List,
}

impl Display for Operation {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OpenNetns => "open its network namespace",
            Self::EnterNetns => "enter its network namespace",
            Self::Load => "load the counting programs",
            Self::Attach => "attach",
            Self::Read => "read the counters",
            Self::List => "list the programs at its hooks",
        })
    }
}

impl Reason {
    /// A failed operation.
    pub(crate) fn failed(operation: Operation, error: &std::io::Error) -> Self {
        Self::Failed {
            operation,
            direction: None,
            errno: error.raw_os_error(),
            error: error.to_string(),
            memlock_kib: None,
        }
    }

    /// Other tools' programs ahead of netviz, if there are any.
    pub(crate) fn displaced(direction: Direction, chain: Option<&Chain>) -> Option<Self> {
        let programs = chain?.foreign_ahead();
        let programs = programs.into_iter().map(Into::into).collect::<Vec<_>>();
        (!programs.is_empty()).then_some(Self::Displaced {
            direction,
            programs,
        })
    }

    /// Whether both differ in figures only, so that a view may report them once.
    pub(crate) fn resembles(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Gap { .. }, Self::Gap { .. })
            | (Self::Unreachable { .. }, Self::Unreachable { .. }) => true,
            (Self::Skipped { helper, .. }, Self::Skipped { helper: other, .. }) => helper == other,
            _ => self == other,
        }
    }
}

impl Display for Reason {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        // What `{:#}` leaves out.
        let figures = |text: String| if f.alternate() { String::new() } else { text };
        match self {
            Self::Pending => f.write_str("not attached yet"),
            Self::Gone => f.write_str("the interface was removed"),
            Self::Gap { milliseconds } => write!(
                f,
                "counting again after a gap{}: another tool detached netviz or attached ahead of it",
                figures(format!(" (up to {:.1} s)", *milliseconds as f64 / 1000.0))
            ),
            Self::Missing {
                segments,
                to,
                behind,
            } => missing(f, *segments, to, behind.as_deref()),
            Self::Skipped { segments, helper } => skipped(f, *segments, helper.as_deref()),
            Self::Displaced {
                direction,
                programs,
            } => displaced(f, *direction, programs),
            Self::Removed => {
                f.write_str("another tool detached netviz here; stop it and restart netviz")
            }
            Self::GivenUp { times, seconds } => write!(
                f,
                "another tool keeps detaching netviz{}; stop it; netviz retries in {seconds} s",
                figures(format!(" ({times} times in {seconds} s)"))
            ),
            Self::Unreachable { nsid } => write!(
                f,
                "its network namespace{} cannot be found from here: run netviz on the host, with the host's /proc and /run/netns",
                figures(format!(" (link-netnsid {nsid})"))
            ),
            Self::TooFewFiles => write!(
                f,
                "too few file descriptors left, each interface needs three; {RAISE_FILES}"
            ),
            Self::Failed {
                operation,
                direction,
                errno,
                error,
                memlock_kib,
            } => {
                write!(f, "cannot {operation}")?;
                if let Some(direction) = direction {
                    write!(f, " to {direction}")?;
                }
                write!(f, ": {error}")?;
                remedies(f, *operation, *errno, *memlock_kib)
            }
        }
    }
}

fn remedies(
    f: &mut Formatter<'_>,
    operation: Operation,
    errno: Option<i32>,
    memlock_kib: Option<u64>,
) -> fmt::Result {
    if let Some(remedy) = remedy(operation, errno) {
        write!(f, "; {remedy}")?;
    }
    if let Some(kib) = memlock_kib {
        write!(
            f,
            "; before Linux 5.11 raise RLIMIT_MEMLOCK too (ulimit -l), {kib} KiB here"
        )?;
    }
    Ok(())
}

fn skipped(f: &mut Formatter<'_>, segments: u64, helper: Option<&str>) -> fmt::Result {
    write!(f, "▲ skipped: {}", helper.unwrap_or("a redirect"))?;
    if f.alternate() {
        return Ok(());
    }
    let plural = if segments == 1 { "" } else { "s" };
    write!(
        f,
        " ({segments} segment{plural} reached the other end past this hook)"
    )
}

fn displaced(f: &mut Formatter<'_>, direction: Direction, programs: &[Untrusted]) -> fmt::Result {
    let runs = if programs.len() == 1 { "runs" } else { "run" };
    write!(
        f,
        "{} {} {runs} before netviz: packets dropped or redirected there are not counted",
        direction.sign(),
        list(programs, ", ")
    )
}

/// What went out and did not come in, with as much of the cause as is known.
fn missing(
    f: &mut Formatter<'_>,
    segments: u64,
    to: &Untrusted,
    behind: Option<&[Untrusted]>,
) -> fmt::Result {
    match behind {
        None => write!(f, "▲ {segments} did not arrive at {to}"),
        Some([]) => write!(
            f,
            "▲ {segments} lost before {to}: no program runs after netviz here, so the queue was full or the device down"
        ),
        Some(names) => {
            let names = list(names, ", ");
            write!(
                f,
                "▲ {segments} did not arrive at {to}: {names}, after netviz at this hook, redirected or dropped them"
            )
        }
    }
}

/// What an errno means for an operation, and the remedy.
fn remedy(operation: Operation, errno: Option<i32>) -> Option<&'static str> {
    match operation {
        Operation::Load | Operation::Attach => {}
        Operation::List => {
            return Some("run netviz as root, or with CAP_SYS_ADMIN and CAP_NET_ADMIN");
        }
        Operation::OpenNetns | Operation::EnterNetns | Operation::Read => return None,
    }
    Some(match errno? {
        libc::EPERM | libc::EACCES => {
            "run netviz as root, or with CAP_BPF, CAP_NET_ADMIN and CAP_SYS_ADMIN"
        }
        libc::EMFILE | libc::ENFILE => RAISE_FILES,
        libc::ENOENT | libc::EOPNOTSUPP => {
            "the kernel has neither tcx nor clsact: it needs CONFIG_NET_SCH_INGRESS and CONFIG_NET_CLS_BPF"
        }
        // BPF_MPROG_MAX, less one.
        libc::ERANGE => {
            "the hook already has 63 programs, the kernel's limit: `netviz audit` lists them"
        }
        libc::ENOMEM => {
            "no memory left for BPF: raise the memory limit, or RLIMIT_MEMLOCK before Linux 5.11"
        }
        _ => return None,
    })
}

/// In JSON, a reason has a `text` beside its code and data.
impl Serialize for Reason {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct WithText<'a> {
            #[serde(flatten, with = "Reason")]
            reason: &'a Reason,
            text: String,
        }
        let (reason, text) = (self, self.to_string());
        WithText { reason, text }.serialize(serializer)
    }
}

/// The text is derived from the rest, and not read back.
impl<'de> Deserialize<'de> for Reason {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::deserialize(deserializer)
    }
}

fn require_text(schema: &mut Schema) {
    let variants = schema.get_mut("oneOf").and_then(|all| all.as_array_mut());
    for variant in variants.into_iter().flatten() {
        let text = json_schema!({"type": "string", "description": "The reason in English."});
        variant["properties"]["text"] = text.to_value();
        if let Some(required) = variant["required"].as_array_mut() {
            required.push("text".into());
        }
    }
}
