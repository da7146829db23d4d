//! Reads a filter.

use super::{
    error::QueryError,
    expression::Query,
    term::{Key, Term},
};
use crate::model::nearest;

/// The deepest nesting of parentheses: deeper filters are no filters of people.
const DEEPEST: usize = 32;

/// Reads a filter whose terms are among `keys`; an empty text selects everything.
///
/// # Errors
/// The first mistake, and where it is.
pub fn parse(text: &str, keys: &[Key]) -> Result<Query, QueryError> {
    let mut parser = Parser {
        text,
        keys,
        rest: 0,
        depth: 0,
    };
    if parser.peek().is_none() {
        return Ok(Query::default());
    }
    let query = parser.alternatives()?;
    match parser.peek() {
        None => Ok(query),
        Some(token) => Err(parser.error(token.place, "there is no ( for this )")),
    }
}

/// A parenthesis or a word.
#[derive(Clone, Copy, Debug)]
struct Token<'a> {
    text: &'a str,
    /// Its place in bytes.
    place: (usize, usize),
}

impl Token<'_> {
    fn is(&self, text: &str) -> bool {
        self.text.eq_ignore_ascii_case(text)
    }
}

struct Parser<'a> {
    text: &'a str,
    keys: &'a [Key],
    /// Where the next token begins.
    rest: usize,
    depth: usize,
}

impl<'a> Parser<'a> {
    fn error(&self, place: (usize, usize), why: impl Into<String>) -> QueryError {
        QueryError::new(self.text, place, why)
    }

    fn peek(&self) -> Option<Token<'a>> {
        let rest = &self.text[self.rest..];
        let start = rest.find(|c: char| !c.is_whitespace())?;
        let token = &rest[start..];
        let is_end = |c: char| c.is_whitespace() || c == '(' || c == ')';
        let length = match token.find(is_end) {
            // A parenthesis is a token by itself.
            Some(0) => 1,
            Some(length) => length,
            None => token.len(),
        };
        let start = self.rest + start;
        Some(Token {
            text: &token[..length],
            place: (start, start + length),
        })
    }

    /// The next token, if it is `text`.
    fn accept(&mut self, text: &str) -> Option<Token<'a>> {
        let token = self.peek().filter(|token| token.is(text))?;
        self.rest = token.place.1;
        Some(token)
    }

    /// Parts joined by `or`.
    fn alternatives(&mut self) -> Result<Query, QueryError> {
        let mut parts = vec![self.conditions()?];
        while self.accept("or").is_some() {
            parts.push(self.conditions()?);
        }
        Ok(joined(parts, Query::Any))
    }

    /// Parts joined by `and`, or by nothing.
    fn conditions(&mut self) -> Result<Query, QueryError> {
        let mut parts = vec![self.condition()?];
        loop {
            let joined = self.accept("and").is_some();
            let ends = |token: Token<'_>| token.is("or") || token.is(")");
            if !joined && self.peek().is_none_or(ends) {
                break;
            }
            parts.push(self.condition()?);
        }
        Ok(self::joined(parts, Query::All))
    }

    /// A term or a part in parentheses, perhaps behind `not`.
    fn condition(&mut self) -> Result<Query, QueryError> {
        let mut is_negated = false;
        while self.accept("not").is_some() {
            is_negated = !is_negated;
        }
        let query = match self.accept("(") {
            Some(open) => self.inside(open)?,
            None => Query::Term(self.term()?),
        };
        Ok(match is_negated {
            true => Query::Not(Box::new(query)),
            false => query,
        })
    }

    /// What is behind `open`, until the parenthesis that closes it.
    fn inside(&mut self, open: Token<'_>) -> Result<Query, QueryError> {
        self.depth += 1;
        if self.depth > DEEPEST {
            let why = format!("more than {DEEPEST} parentheses inside of each other");
            return Err(self.error(open.place, why));
        }
        let query = self.alternatives()?;
        self.depth -= 1;
        match self.accept(")") {
            Some(_) => Ok(query),
            None => Err(self.error(open.place, "there is no ) for this (")),
        }
    }

    fn term(&mut self) -> Result<Term, QueryError> {
        let Some(token) = self.peek() else {
            let end = self.text.len();
            return Err(self.error(
                (end, end),
                format!("a term is missing; use {}", self.usage()),
            ));
        };
        if [")", "and", "or"].iter().any(|text| token.is(text)) {
            let why = format!("a term is missing before this; use {}", self.usage());
            return Err(self.error(token.place, why));
        }
        self.rest = token.place.1;
        let word = Term::word(token.text);
        // An IPv6 address has colons as well.
        if let (Term::Word(_), Some((name, value))) = (&word, token.text.split_once(':')) {
            return self.keyed(token, name, value);
        }
        Ok(word)
    }

    fn keyed(&self, token: Token<'_>, name: &str, value: &str) -> Result<Term, QueryError> {
        let (start, end) = token.place;
        let colon = start + name.len();
        let known = Key::named(name).filter(|key| self.keys.contains(key));
        let Some(key) = known else {
            return Err(self.error((start, colon), self.unknown(name)));
        };
        let place = match value.is_empty() {
            true => (start, end),
            false => (colon + 1, end),
        };
        Term::read(key, value).map_err(|why| self.error(place, why))
    }

    fn unknown(&self, name: &str) -> String {
        let names = self.keys.iter().map(|key| key.name());
        match nearest(&name.to_lowercase(), names).first() {
            Some(near) => format!("unknown term \"{name}:\"; did you mean {near}:?"),
            None => format!("unknown term \"{name}:\"; use {}", self.usage()),
        }
    }

    fn usage(&self) -> String {
        let names = self.keys.iter().map(|key| format!("{}:", key.name()));
        format!("{}, or a word", names.collect::<Vec<_>>().join(" "))
    }
}

/// One part as it is.
fn joined(mut parts: Vec<Query>, join: fn(Vec<Query>) -> Query) -> Query {
    match parts.len() {
        1 => parts.remove(0),
        _ => join(parts),
    }
}
