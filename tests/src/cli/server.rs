//! `netviz serve`, and requests to it.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    process::{Command, Stdio},
    time::Duration,
};

use crate::cli::netviz::Running;

/// Limit of one answer.
const LIMIT: Duration = Duration::from_secs(20);

/// A running server.
#[derive(Debug)]
pub struct Server {
    /// Its process.
    pub running: Running,
    /// Where it listens.
    pub address: SocketAddr,
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Status code.
    pub status: u16,
    /// Header lines, in lower case.
    pub headers: String,
    /// Body.
    pub body: String,
}

impl Server {
    /// Starts a server; `command` ends with its own `--listen`.
    ///
    /// # Panics
    /// If it does not report its address.
    #[must_use]
    pub fn start(command: &mut Command) -> Self {
        let mut running = Running::start(command.stderr(Stdio::piped()));
        let stderr = running.child.stderr.take().expect("a pipe");
        let mut lines = BufReader::new(stderr).lines();
        let mut all = Vec::new();
        let address = lines.by_ref().find_map(|line| {
            let line = line.expect("text");
            let found = line.split_once("://").map(|(_, rest)| rest.to_owned());
            all.push(line);
            found?.split('/').next()?.parse().ok()
        });
        let address = address.unwrap_or_else(|| panic!("no address: {all:?}"));
        // Nobody reads the rest; the pipe must not fill up.
        std::thread::spawn(move || lines.for_each(drop));
        Self { running, address }
    }

    /// Connects, with a limit on the time of each read.
    ///
    /// # Panics
    /// If it cannot.
    #[must_use]
    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).expect("a connection");
        stream.set_read_timeout(Some(LIMIT)).expect("a time limit");
        stream
    }

    /// Sends a GET request with more headers, each ending in `\r\n`.
    ///
    /// # Panics
    /// If there is no answer.
    #[must_use]
    pub fn get_with(&self, path: &str, headers: &str) -> Answer {
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n{headers}\r\n",
            self.address
        );
        self.request(request.as_bytes())
    }

    /// Sends a GET request.
    ///
    /// # Panics
    /// If there is no answer.
    #[must_use]
    pub fn get(&self, path: &str) -> Answer {
        self.get_with(path, "")
    }

    /// Sends bytes, and reads to the end of the connection.
    ///
    /// # Panics
    /// If there is no answer.
    #[must_use]
    pub fn request(&self, bytes: &[u8]) -> Answer {
        let mut stream = self.connect();
        // The server may refuse early.
        let _ = stream.write_all(bytes);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        Answer::parse(&answer)
    }
}

/// Sends a GET request to any server; `None` without an answer.
#[must_use]
pub fn get(address: SocketAddr, path: &str) -> Option<Answer> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(LIMIT)).ok()?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n").ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok()?;
    (!answer.is_empty()).then(|| Answer::parse(&answer))
}

impl Answer {
    /// Parses an answer.
    ///
    /// # Panics
    /// If it is none.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Self {
        let text = String::from_utf8_lossy(bytes);
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let (first, headers) = head.split_once("\r\n").unwrap_or((head, ""));
        let status = first.split(' ').nth(1).and_then(|it| it.parse().ok());
        Self {
            status: status.unwrap_or_else(|| panic!("no answer: {first:?}")),
            headers: headers.to_lowercase(),
            body: body.into(),
        }
    }
}
