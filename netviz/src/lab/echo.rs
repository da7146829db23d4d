//! Echo servers in every namespace of the laboratory, served by one thread of the owner's.

use std::{
    collections::HashMap,
    io,
    net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket},
    os::fd::AsFd,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
};

use anyhow::{Context as _, Result};
use nix::{
    errno::Errno,
    sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout},
};

use super::{TCP_PORT, UDP_PORT};
use crate::sys::{
    netns::NetNs,
    threads::{Stop, Worker},
};

/// The event that ends the thread; sockets are numbered from 1.
const STOP: u64 = 0;

/// All echo servers of one laboratory.
#[derive(Debug)]
pub(super) struct Echo {
    shared: Arc<Shared>,
    worker: Option<Worker>,
}

#[derive(Debug)]
struct Shared {
    epoll: Epoll,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    last: u64,
    servers: HashMap<u64, Server>,
    conversations: Vec<Conversation>,
}

/// `owner`: the process in whose namespace the socket is. A socket keeps its namespace alive.
#[derive(Debug)]
struct Server {
    owner: i32,
    socket: Socket,
}

#[derive(Debug)]
enum Socket {
    Udp(UdpSocket),
    Tcp(TcpListener),
}

#[derive(Debug)]
struct Conversation {
    owner: i32,
    stream: Arc<TcpStream>,
    thread: JoinHandle<()>,
}

impl Echo {
    pub(super) fn start() -> Result<Self> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        let shared = Arc::new(Shared {
            epoll,
            state: Mutex::default(),
        });
        let served = Arc::clone(&shared);
        let worker = Worker::start("lab-echo", "serves the echo", move |stop| served.run(stop))?;
        Ok(Self {
            shared,
            worker: Some(worker),
        })
    }

    /// Answers on `addresses` in the namespace of process `owner`. Each has its own sockets, so
    /// that an answer comes from where the question went.
    pub(super) fn serve(&self, owner: i32, namespace: &NetNs, addresses: &[IpAddr]) -> Result<()> {
        let sockets = namespace
            .run(|| {
                addresses
                    .iter()
                    .map(|address| open(*address))
                    .collect::<io::Result<Vec<_>>>()
            })?
            .with_context(|| format!("opening the echo servers' sockets on {addresses:?}"))?;
        let mut state = self.shared.state();
        for socket in sockets.into_iter().flatten() {
            state.last += 1;
            let number = state.last;
            let event = EpollEvent::new(EpollFlags::EPOLLIN, number);
            self.shared.epoll.add(&socket, event)?;
            state.servers.insert(number, Server { owner, socket });
        }
        Ok(())
    }

    /// Closes everything in the namespace of process `owner`.
    pub(super) fn forget(&self, owner: i32) {
        let mut state = self.shared.state();
        state.servers.retain(|_, server| server.owner != owner);
        let (ended, kept) = state
            .conversations
            .drain(..)
            .partition(|it| it.owner == owner);
        state.conversations = kept;
        drop(state);
        end(ended);
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        drop(self.worker.take());
        let mut state = self.shared.state();
        state.servers.clear();
        let ended = std::mem::take(&mut state.conversations);
        drop(state);
        end(ended);
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self, stop: &Stop) {
        let event = EpollEvent::new(EpollFlags::EPOLLIN, STOP);
        if self.epoll.add(stop, event).is_err() {
            return;
        }
        let mut events = [EpollEvent::empty(); 32];
        loop {
            let ready = match self.epoll.wait(&mut events, EpollTimeout::NONE) {
                Ok(ready) => ready,
                Err(Errno::EINTR) => continue,
                Err(_) => return,
            };
            for event in &events[..ready] {
                match event.data() {
                    STOP => return,
                    number => self.state().serve(number),
                }
            }
        }
    }
}

impl State {
    fn serve(&mut self, number: u64) {
        let Some(server) = self.servers.get(&number) else {
            return;
        };
        match &server.socket {
            Socket::Udp(socket) => echo_datagrams(socket),
            Socket::Tcp(listener) => {
                let Ok((stream, _)) = listener.accept() else {
                    return;
                };
                self.conversations.retain(|it| !it.thread.is_finished());
                if let Ok(conversation) = converse(server.owner, stream) {
                    self.conversations.push(conversation);
                }
            }
        }
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        match self {
            Self::Udp(socket) => socket.as_fd(),
            Self::Tcp(listener) => listener.as_fd(),
        }
    }
}

fn open(address: IpAddr) -> io::Result<[Socket; 2]> {
    let udp = UdpSocket::bind(SocketAddr::new(address, UDP_PORT))?;
    let tcp = TcpListener::bind(SocketAddr::new(address, TCP_PORT))?;
    udp.set_nonblocking(true)?;
    tcp.set_nonblocking(true)?;
    Ok([Socket::Udp(udp), Socket::Tcp(tcp)])
}

fn echo_datagrams(socket: &UdpSocket) {
    let mut datagram = [0; 65_536];
    while let Ok((length, from)) = socket.recv_from(&mut datagram) {
        // A lost answer is what the sender is here to find out.
        socket.send_to(&datagram[..length], from).ok();
    }
}

/// Few streams at a time, so that each may have a thread.
fn converse(owner: i32, stream: TcpStream) -> io::Result<Conversation> {
    stream.set_nonblocking(false)?;
    let stream = Arc::new(stream);
    let echoed = Arc::clone(&stream);
    let thread = thread::Builder::new()
        .name("lab-echo-tcp".into())
        .spawn(move || {
            io::copy(&mut &*echoed, &mut &*echoed).ok();
            echoed.shutdown(Shutdown::Both).ok();
        })?;
    Ok(Conversation {
        owner,
        stream,
        thread,
    })
}

fn end(conversations: Vec<Conversation>) {
    for conversation in &conversations {
        conversation.stream.shutdown(Shutdown::Both).ok();
    }
    for conversation in conversations {
        conversation.thread.join().ok();
    }
}
