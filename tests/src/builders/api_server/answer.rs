//! The responses.

use std::{
    io::{self, Write},
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use serde_json::{Value, json};

use super::{Behaviour, State};

const TICK: Duration = Duration::from_millis(20);

pub(super) fn answer(
    out: &mut impl Write,
    target: &str,
    shared: &(Mutex<State>, Condvar),
) -> io::Result<()> {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let Resource {
        plural,
        namespace,
        name,
    } = Resource::of(path);
    let behaviour = {
        let mut state = lock(shared);
        state.asked.push(target.into());
        match state.refused.get(plural) {
            Some(code) => Behaviour::Refuse(*code),
            None => state.behaviour,
        }
    };
    match behaviour {
        Behaviour::Good if query.contains("watch=true") => watch(out, plural, query, shared),
        Behaviour::Good => match name {
            Some(name) => get(out, plural, &format!("{namespace}/{name}"), shared),
            None => list(out, (plural, namespace), query, shared),
        },
        Behaviour::Garbage => respond(out, 200, b"\x1b[31m<html>it works"),
        Behaviour::Refuse(code) => {
            let status = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure",
                "message": "the secret \u{1b}[31m", "reason": "Forbidden", "code": code});
            respond(out, code, status.to_string().as_bytes())
        }
        Behaviour::Huge => pour(out, shared),
        Behaviour::Silent => {
            while lock(shared).behaviour == Behaviour::Silent {
                std::thread::sleep(TICK);
            }
            Err(io::ErrorKind::ConnectionAborted.into())
        }
    }
}

/// What a path asks for.
struct Resource<'a> {
    plural: &'a str,
    /// Empty: of all namespaces, or of none.
    namespace: &'a str,
    /// One object only.
    name: Option<&'a str>,
}

impl<'a> Resource<'a> {
    /// `/api/v1/...`, `/apis/GROUP/VERSION/...`
    fn of(path: &'a str) -> Self {
        let parts: Vec<_> = path.trim_matches('/').split('/').collect();
        let skipped = if parts.first() == Some(&"api") { 2 } else { 3 };
        let (namespace, rest) = match parts.get(skipped..).unwrap_or_default() {
            ["namespaces", namespace, rest @ ..] if !rest.is_empty() => (*namespace, rest),
            rest => ("", rest),
        };
        Self {
            plural: rest.first().copied().unwrap_or_default(),
            namespace,
            name: rest.get(1).copied(),
        }
    }
}

fn get(
    out: &mut impl Write,
    plural: &str,
    name: &str,
    shared: &(Mutex<State>, Condvar),
) -> io::Result<()> {
    let key = (plural.to_owned(), name.to_owned());
    let object = lock(shared).objects.get(&key).cloned();
    match object {
        Some(object) => respond(out, 200, object.to_string().as_bytes()),
        None => {
            let status = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure",
                "message": "not found", "reason": "NotFound", "code": 404});
            respond(out, 404, status.to_string().as_bytes())
        }
    }
}

fn lock(shared: &(Mutex<State>, Condvar)) -> MutexGuard<'_, State> {
    shared.0.lock().unwrap_or_else(PoisonError::into_inner)
}

fn respond(out: &mut impl Write, code: u16, body: &[u8]) -> io::Result<()> {
    write!(
        out,
        "HTTP/1.1 {code} X\r\nContent-Length: {}\r\n\r\n",
        body.len()
    )?;
    out.write_all(body)?;
    out.flush()
}

fn parameter<'a>(query: &'a str, name: &str) -> Option<&'a str> {
    let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs.find(|(key, _)| *key == name).map(|(_, value)| value)
}

fn number(query: &str, name: &str) -> Option<u64> {
    parameter(query, name)?.parse().ok()
}

/// Applies the two supported field selectors, `spec.nodeName` and `metadata.name`.
fn selected(object: &Value, query: &str) -> bool {
    let Some((field, value)) = parameter(query, "fieldSelector").and_then(|s| s.split_once("%3D"))
    else {
        return true;
    };
    let field = format!("/{}", field.replace('.', "/"));
    object.pointer(&field).and_then(Value::as_str) == Some(value)
}

fn list(
    out: &mut impl Write,
    (plural, namespace): (&str, &str),
    query: &str,
    shared: &(Mutex<State>, Condvar),
) -> io::Result<()> {
    let from = number(query, "continue").unwrap_or(0) as usize;
    let limit = number(query, "limit").map_or(usize::MAX, |limit| limit as usize);
    let body = {
        let state = lock(shared);
        let objects = state.objects.iter();
        let mine: Vec<_> = objects
            .filter(|((kind, name), object)| {
                let own = name.split('/').next().unwrap_or_default();
                let is_in = namespace.is_empty() || own == namespace;
                kind == plural && is_in && selected(object, query)
            })
            .map(|(_, object)| object)
            .collect();
        let page: Vec<_> = mine.iter().skip(from).take(limit).collect();
        let next = from + page.len();
        let more = if next < mine.len() {
            next.to_string()
        } else {
            String::new()
        };
        json!({"kind": "List", "apiVersion": "v1", "items": page,
            "metadata": {"resourceVersion": state.version.to_string(), "continue": more}})
    };
    respond(out, 200, body.to_string().as_bytes())
}

fn watch(
    out: &mut impl Write,
    plural: &str,
    query: &str,
    shared: &(Mutex<State>, Condvar),
) -> io::Result<()> {
    let mut seen = number(query, "resourceVersion").unwrap_or(0);
    write!(out, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
    out.flush()?;
    let mut state = lock(shared);
    let generation = state.generation;
    loop {
        if state.generation != generation {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        let gone = seen < state.oldest;
        let mut lines = Vec::new();
        if gone {
            lines.push(
                json!({"type": "ERROR", "object": {"kind": "Status", "apiVersion": "v1",
                "status": "Failure", "message": "too old", "reason": "Expired", "code": 410}}),
            );
        }
        let news = state.events.iter().filter(|(version, ..)| *version > seen);
        for (_, kind, event) in news {
            if kind == plural && (event["type"] == "BOOKMARK" || selected(&event["object"], query))
            {
                lines.push(event.clone());
            }
        }
        seen = state.version;
        drop(state);
        for line in lines {
            let line = format!("{line}\n");
            write!(out, "{:x}\r\n{line}\r\n", line.len())?;
        }
        if gone {
            write!(out, "0\r\n\r\n")?;
            return out.flush();
        }
        out.flush()?;
        let again = shared.1.wait_timeout(lock(shared), TICK);
        state = again.unwrap_or_else(PoisonError::into_inner).0;
    }
}

/// Sends up to 100 MB.
fn pour(out: &mut impl Write, shared: &(Mutex<State>, Condvar)) -> io::Result<()> {
    write!(out, "HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n")?;
    let piece = [b' '; 10_000];
    for _ in 0..10_000 {
        out.write_all(&piece)?;
        lock(shared).sent_bytes += piece.len();
    }
    out.flush()
}
