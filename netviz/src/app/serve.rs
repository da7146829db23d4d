//! `netviz serve`: metrics, a drawing and an API over HTTP.

mod access;
mod connections;
mod openapi;
mod path_tests;
mod routes;
mod site;
mod tls;

use std::{
    io::{self, Write as _},
    net::TcpListener,
    ops::ControlFlow,
    sync::Arc,
};

use anyhow::{Context as _, Result, ensure};
use tokio::sync::{oneshot, watch};

use super::{
    sink::{Sink, drive, progress},
    start::open,
};
use crate::{
    cli::{DoorsArgs, ServeArgs},
    feed::Pace,
    model::Snapshot,
    sys::{descriptors, privileges, signals::Signals, threads::Worker},
};
use access::Access;
use site::{Published, Site};

/// Runs `netviz serve`.
///
/// # Errors
/// When it cannot listen, a file of its options cannot be used, or the interfaces cannot be
/// observed.
pub async fn run(args: &ServeArgs) -> Result<()> {
    let mut stop = Signals::new()?;
    let access = Access::new(args)?;
    let tls = tls::acceptor(args)?;
    ensure!(
        args.listen.ip().is_loopback() || access.has_token() || tls.is_some(),
        "--listen {}: anyone on the network could read names and traffic; add --token-file FILE or --tls-cert and --tls-key, or listen on 127.0.0.1",
        args.listen
    );
    let listener = listen(args)?;
    let address = listener.local_addr()?;
    let scheme = if tls.is_some() { "https" } else { "http" };
    let tests = args
        .paths
        .as_deref()
        .map(|file| path_tests::start(file, args));
    let (_tester, results) = tests.transpose()?.unzip();
    let (publish, published) = watch::channel(None);
    let site = Site::new(published, results, args.metrics.into(), args.watch);
    let routes = routes::router(site, access);
    let (end, ended) = oneshot::channel::<()>();
    let _server = Worker::until(end, "netviz-server", "answers requests", move || {
        privileges::keep_only(&[]);
        let served = descriptors::runtime()
            .and_then(|runtime| runtime.block_on(connections::serve(listener, tls, routes, ended)));
        if let Err(error) = served {
            log::error!("the server has ended: {error}");
        }
    })?;
    let counted = DoorsArgs {
        selection: args.selection.clone(),
        watch: args.watch,
        fast_attach: args.fast_attach,
        ..DoorsArgs::default()
    };
    let mut feed = open(&counted, Pace::Steady, None)?;
    let _ = writeln!(
        io::stderr(),
        "netviz: serving {scheme}://{address}/ (metrics at /metrics); Ctrl-C ends it"
    );
    drive(&mut feed, &mut Publisher(publish), async || {
        stop.any().await;
    })
    .await
}

fn listen(args: &ServeArgs) -> Result<TcpListener> {
    let listener = TcpListener::bind(args.listen).with_context(|| {
        format!(
            "cannot listen on {}: choose a free port of this machine with --listen",
            args.listen
        )
    })?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Gives each snapshot to the server.
struct Publisher(watch::Sender<Option<Arc<Published>>>);

impl Sink for Publisher {
    async fn show(&mut self, snapshot: Arc<Snapshot>) -> Result<ControlFlow<()>> {
        let ready = progress(&snapshot).complete();
        let published = Arc::new(Published::new(snapshot, ready));
        Ok(match self.0.send(Some(published)) {
            Ok(()) => ControlFlow::Continue(()),
            // The server has ended, with an error that it has logged.
            Err(_) => anyhow::bail!("the server has ended unexpectedly"),
        })
    }
}
