//! Echo servers in every namespace of the lab, on one thread.

use std::{
    collections::HashMap,
    io,
    net::{self, IpAddr, SocketAddr},
};

use anyhow::{Context as _, Result};
use futures_util::{StreamExt as _, stream::FuturesUnordered};
use tokio::{
    io::AsyncWriteExt as _,
    net::{TcpListener, TcpStream, UdpSocket},
    runtime::Handle,
    sync::oneshot,
    task::JoinSet,
};

use super::{TCP_PORT, UDP_PORT};
use crate::sys::{
    descriptors,
    netns::NetNs,
    threads::{self, Worker},
};

/// All echo servers of one lab.
#[derive(Debug)]
pub(super) struct Echo {
    /// By the process in whose namespace they are: a socket keeps its namespace alive.
    servers: HashMap<i32, JoinSet<()>>,
    runtime: Handle,
    _worker: Worker<(), oneshot::Sender<()>>,
}

impl Echo {
    pub(super) fn start() -> Result<Self> {
        let runtime = descriptors::runtime()?;
        let handle = runtime.handle().clone();
        let (end, ended) = oneshot::channel::<()>();
        let serve = move || drop(runtime.block_on(ended));
        Ok(Self {
            servers: HashMap::new(),
            runtime: handle,
            _worker: Worker::until(end, "lab-echo", "serves the echo", serve)?,
        })
    }

    /// Serves `addresses` in the namespace of process `owner`. Each has its own sockets, so that a reply
    /// comes from the address of its request.
    pub(super) fn serve(
        &mut self,
        owner: i32,
        namespace: &NetNs,
        addresses: impl Iterator<Item = IpAddr> + Send,
    ) -> Result<()> {
        let sockets: io::Result<Vec<_>> = namespace.run(|| addresses.map(open).collect())?;
        let failed = "opening the echo servers' sockets";
        let servers = self.servers.entry(owner).or_default();
        let _runtime = self.runtime.enter();
        for (udp, tcp) in sockets.context(failed)? {
            servers.spawn(echo_datagrams(UdpSocket::from_std(udp)?));
            servers.spawn(echo_streams(TcpListener::from_std(tcp)?));
        }
        Ok(())
    }

    /// Closes all sockets in the namespace of process `owner`.
    pub(super) fn close(&mut self, owner: i32) -> io::Result<()> {
        let Some(mut servers) = self.servers.remove(&owner) else {
            return Ok(());
        };
        // The calling thread may have a runtime of its own.
        let close = || self.runtime.block_on(servers.shutdown());
        threads::alone("closes the echo servers", close)
    }
}

fn open(address: IpAddr) -> io::Result<(net::UdpSocket, net::TcpListener)> {
    let udp = net::UdpSocket::bind(SocketAddr::new(address, UDP_PORT))?;
    let tcp = net::TcpListener::bind(SocketAddr::new(address, TCP_PORT))?;
    udp.set_nonblocking(true)?;
    tcp.set_nonblocking(true)?;
    Ok((udp, tcp))
}

async fn echo_datagrams(socket: UdpSocket) {
    let mut datagram = vec![0; 65_536];
    loop {
        if let Ok((length, from)) = socket.recv_from(&mut datagram).await {
            // The sender notices a lost reply.
            socket.send_to(&datagram[..length], from).await.ok();
        }
    }
}

async fn echo_streams(listener: TcpListener) {
    let mut streams = FuturesUnordered::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                streams.extend(accepted.map(|(stream, _)| echo_stream(stream)));
            }
            Some(()) = streams.next() => {}
        }
    }
}

async fn echo_stream(mut stream: TcpStream) {
    let (mut from, mut to) = stream.split();
    tokio::io::copy(&mut from, &mut to).await.ok();
    to.shutdown().await.ok();
}
