//! Connections, with limits on their number and time: slow clients cost a few kilobytes each.

use std::{io, net::TcpListener as StdListener, pin::pin, sync::Arc, time::Duration};

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
    sync::{OwnedSemaphorePermit, Semaphore, oneshot},
    time::{sleep, timeout},
};
use tokio_rustls::TlsAcceptor;

/// Connections at the same time; more wait in the kernel's queue.
const CONNECTIONS: usize = 512;
/// For the TLS handshake, and for the headers of each request.
const HEADERS: Duration = Duration::from_secs(5);
/// Bytes of a request's headers.
const HEADER_BYTES: usize = 16 << 10;
/// A connection that is older is closed between two requests: a client that reads slowly, or not at
/// all, keeps its place for no longer.
const LIFETIME: Duration = Duration::from_secs(600);
/// How long a connection may take to end.
const ENDING: Duration = Duration::from_secs(5);
/// After an error such as too many open files.
const RETRY: Duration = Duration::from_millis(200);

/// Serves until the sender of `ended` is dropped.
pub(super) async fn serve(
    listener: StdListener,
    tls: Option<TlsAcceptor>,
    routes: Router,
    mut ended: oneshot::Receiver<()>,
) -> io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let accepted = async {
            // Never closed.
            let place = Arc::clone(&places).acquire_owned().await.ok();
            (listener.accept().await, place)
        };
        let (accepted, place) = tokio::select! {
            accepted = accepted => accepted,
            _ = &mut ended => return Ok(()),
        };
        match accepted {
            Ok((stream, _)) => {
                tokio::spawn(connection(stream, tls.clone(), routes.clone(), place));
            }
            Err(error) => {
                log::debug!("cannot accept a connection: {error}");
                sleep(RETRY).await;
            }
        }
    }
}

async fn connection(
    stream: tokio::net::TcpStream,
    tls: Option<TlsAcceptor>,
    routes: Router,
    _place: Option<OwnedSemaphorePermit>,
) {
    match tls {
        None => requests(stream, routes).await,
        Some(tls) => {
            if let Ok(Ok(stream)) = timeout(HEADERS, tls.accept(stream)).await {
                requests(stream, routes).await;
            }
        }
    }
}

/// Answers requests. A client's mistake ends its connection, and is of no interest to others.
async fn requests(stream: impl AsyncRead + AsyncWrite + Unpin, routes: Router) {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(HEADERS)
        .max_buf_size(HEADER_BYTES)
        .max_headers(64);
    let service = TowerToHyperService::new(routes);
    let mut connection = pin!(http.serve_connection(TokioIo::new(stream), service));
    if timeout(LIFETIME, connection.as_mut()).await.is_err() {
        connection.as_mut().graceful_shutdown();
        let _ = timeout(ENDING, connection).await;
    }
}
