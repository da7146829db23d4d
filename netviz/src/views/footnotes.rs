//! Why doors are not simply counted: what is said of many doors is said once.

/// What was said, in the order in which it came.
#[derive(Debug, Default)]
pub(super) struct Reasons(Vec<Reason>);

/// One thing, and of which doors.
#[derive(Debug)]
pub(super) struct Reason {
    /// As it was said of the first.
    pub(super) whole: String,
    /// The doors: `lxc73d2e1d7cf4f 13`.
    pub(super) places: Vec<String>,
}

impl Reason {
    /// Without the figures in brackets, which differ from door to door.
    pub(super) fn cause(&self) -> String {
        cause(&self.whole)
    }
}

impl Reasons {
    /// Adds what is said of a door. Its number, from 1.
    pub(super) fn add(&mut self, whole: &str, place: String) -> usize {
        let alike = |reason: &Reason| reason.cause() == cause(whole);
        match self.0.iter().position(alike) {
            Some(known) => {
                self.0[known].places.push(place);
                known + 1
            }
            None => {
                self.0.push(Reason {
                    whole: whole.to_owned(),
                    places: vec![place],
                });
                self.0.len()
            }
        }
    }

    /// All of them.
    pub(super) fn all(&self) -> impl Iterator<Item = &Reason> {
        self.0.iter()
    }
}

fn cause(whole: &str) -> String {
    let mut rest = whole;
    let mut cause = String::new();
    while let Some((before, (_, after))) = rest
        .split_once(" (")
        .and_then(|(before, inside)| Some((before, inside.split_once(')')?)))
    {
        cause.push_str(before);
        rest = after;
    }
    cause + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_in_figures_alone_is_said_once() {
        let mut reasons = Reasons::default();
        assert_eq!(reasons.add("skipped: x (3 segments)", "a 1".into()), 1);
        assert_eq!(reasons.add("lost (1) before b: c", "b 2".into()), 2);
        assert_eq!(reasons.add("skipped: x (4 segments)", "c 3".into()), 1);
        let all: Vec<_> = reasons.all().map(Reason::cause).collect();
        assert_eq!(all, ["skipped: x", "lost before b: c"]);
    }
}
