//! Terms joined by `and`, `or` and `not`.

use super::term::Term;

/// What a filter selects from.
pub trait Subject {
    /// Whether it meets one condition.
    fn fits(&self, term: &Term) -> bool;
}

/// A filter.
#[derive(Clone, Debug)]
pub enum Query {
    /// One condition.
    Term(Term),
    /// What the filter inside leaves out.
    Not(Box<Self>),
    /// What meets every part; without any, everything.
    All(Vec<Self>),
    /// What meets some part.
    Any(Vec<Self>),
}

impl Default for Query {
    fn default() -> Self {
        Self::All(Vec::new())
    }
}

impl Query {
    /// Whether it selects everything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        matches!(self, Self::All(parts) if parts.is_empty())
    }

    /// Whether it selects `subject`.
    #[must_use]
    pub fn fits(&self, subject: &impl Subject) -> bool {
        match self {
            Self::Term(term) => subject.fits(term),
            Self::Not(part) => !part.fits(subject),
            Self::All(parts) => parts.iter().all(|part| part.fits(subject)),
            Self::Any(parts) => parts.iter().any(|part| part.fits(subject)),
        }
    }

    /// Whether it leaves something out with `not`.
    #[must_use]
    pub fn excludes(&self) -> bool {
        match self {
            Self::Term(_) => false,
            Self::Not(_) => true,
            Self::All(parts) | Self::Any(parts) => parts.iter().any(Self::excludes),
        }
    }
}
