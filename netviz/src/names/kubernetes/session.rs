//! One way to the API: lists nodes and pods, and services where they are asked for, then watches them.

use std::{cell::RefCell, collections::BTreeMap, time::Duration};

use futures_util::{StreamExt as _, pin_mut};
use hyper::header::HeaderValue;
use kube::{
    Api, Client, Config,
    client::ClientBuilder,
    runtime::{
        WatchStreamExt as _,
        utils::Backoff,
        watcher::{self, DefaultBackoff, Event, watcher},
    },
};
use serde::de::DeserializeOwned;
use tokio::sync::Notify;

use super::{
    access::Access,
    error_text,
    guard::{ANSWER, Guard, PAGE},
    objects::{NodeSeen, PodSeen, Seen, ServiceSeen},
};
use crate::model::Status;

/// What all pods, or all nodes, may take in memory: some 400 000 ordinary pods, more than
/// Kubernetes is made for.
const BUDGET: usize = 256 << 20;

/// All that was seen of one kind.
pub(super) struct Set<S: Seen> {
    /// What is there. It is kept while the API cannot be reached.
    pub(super) kept: BTreeMap<S::Key, S::Fact>,
    /// What is being listed anew, beside what was there before.
    listing: Option<BTreeMap<S::Key, S::Fact>>,
    size: usize,
    listed: bool,
    pub(super) trouble: Option<String>,
}

impl<S: Seen> Default for Set<S> {
    fn default() -> Self {
        Self {
            kept: BTreeMap::new(),
            listing: None,
            size: 0,
            listed: false,
            trouble: None,
        }
    }
}

impl<S: Seen> Set<S> {
    /// Whether something that is shown has changed; an error when it is too much.
    fn take(&mut self, event: Event<S>) -> Result<bool, TooMuch> {
        match event {
            Event::Init => {
                self.listing = Some(BTreeMap::new());
                self.size = 0;
                Ok(false)
            }
            Event::InitApply(seen) => {
                let mut listing = self.listing.take().unwrap_or_default();
                self.put(&mut listing, seen)?;
                self.listing = Some(listing);
                Ok(false)
            }
            Event::InitDone => {
                let listing = self.listing.take().unwrap_or_default();
                let changed = !self.listed || self.trouble.is_some() || self.kept != listing;
                (self.kept, self.listed, self.trouble) = (listing, true, None);
                Ok(changed)
            }
            Event::Apply(seen) => {
                let mut kept = std::mem::take(&mut self.kept);
                let changed = self.put(&mut kept, seen);
                self.kept = kept;
                Ok(changed? | self.trouble.take().is_some())
            }
            Event::Delete(seen) => {
                let gone = seen.key().and_then(|key| self.kept.remove(&key));
                self.size = self.size.saturating_sub(gone.as_ref().map_or(0, S::size));
                Ok(gone.is_some() | self.trouble.take().is_some())
            }
        }
    }

    fn put(&mut self, into: &mut BTreeMap<S::Key, S::Fact>, seen: S) -> Result<bool, TooMuch> {
        let Some(key) = seen.key() else {
            return Ok(false);
        };
        let fact = seen.fact();
        if into.get(&key) == fact.as_ref() {
            return Ok(false);
        }
        self.size += fact.as_ref().map_or(0, S::size);
        let before = match fact {
            Some(fact) => into.insert(key, fact),
            None => into.remove(&key),
        };
        self.size = self.size.saturating_sub(before.as_ref().map_or(0, S::size));
        if self.size > BUDGET {
            return Err(TooMuch);
        }
        Ok(true)
    }
}

/// More than [`BUDGET`].
#[derive(Debug)]
struct TooMuch;

/// What one way to the API has told.
pub(super) struct Told {
    pub(super) pods: RefCell<Set<PodSeen>>,
    pub(super) nodes: RefCell<Set<NodeSeen>>,
    /// `None`: not asked for.
    pub(super) services: Option<RefCell<Set<ServiceSeen>>>,
}

impl Told {
    pub(super) fn new(services: bool) -> Self {
        Self {
            pods: RefCell::default(),
            nodes: RefCell::default(),
            services: services.then(RefCell::default),
        }
    }

    /// How it fared; `None` while there is no answer yet.
    pub(super) fn status(&self, access: &Access) -> Option<Status> {
        let (pods, nodes) = (self.pods.borrow(), self.nodes.borrow());
        if let Some(trouble) = pods.trouble.as_ref().or(nodes.trouble.as_ref()) {
            return Some(Status::failed(trouble.clone()));
        }
        let Some(services) = &self.services else {
            return (pods.listed || nodes.listed).then(|| Status::Ok {
                detail: Some(access.url()),
            });
        };
        // Pods' names are worth having without them.
        let services = services.borrow();
        let whole =
            (pods.listed || nodes.listed) && (services.listed || services.trouble.is_some());
        whole.then(|| {
            let url = access.url();
            Status::Ok {
                detail: Some(match &services.trouble {
                    Some(trouble) => format!("{url}; services: {trouble}"),
                    None => url,
                }),
            }
        })
    }
}

/// Follows nodes and pods into `told`; ends only when nothing can come any more.
pub(super) async fn follow(access: &Access, told: &Told, changed: &Notify) {
    let client = match client(access) {
        Ok(client) => client,
        Err(why) => {
            told.pods.borrow_mut().trouble = Some(why);
            changed.notify_one();
            return;
        }
    };
    let settings = |field: &str| {
        let settings = watcher::Config::default().page_size(PAGE);
        match &access.node {
            Some(node) => settings.fields(&format!("{field}={node}")),
            None => settings,
        }
    };
    let (url, pods, nodes) = (access.url(), &told.pods, &told.nodes);
    let services = async {
        if let Some(services) = &told.services {
            let settings = watcher::Config::default().page_size(PAGE);
            one_kind(&client, settings, &url, services, changed).await;
        }
    };
    tokio::join!(
        one_kind(&client, settings("spec.nodeName"), &url, pods, changed),
        one_kind(&client, settings("metadata.name"), &url, nodes, changed),
        services,
    );
}

/// kube's own way of waiting after a failure, but never for long: somebody is looking.
#[derive(Default)]
struct Patience(DefaultBackoff);

/// The longest wait after a failure.
const LONGEST: Duration = Duration::from_secs(8);

impl Iterator for Patience {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        Some(self.0.next()?.min(LONGEST))
    }
}

impl Backoff for Patience {
    fn reset(&mut self) {
        self.0.reset();
    }
}

async fn one_kind<S>(
    client: &Client,
    settings: watcher::Config,
    url: &str,
    set: &RefCell<Set<S>>,
    changed: &Notify,
) where
    S: Seen + Clone + std::fmt::Debug + DeserializeOwned + Send + Sync + 'static,
{
    let what = S::plural(&()).into_owned();
    let events = watcher(Api::<S>::all(client.clone()), settings);
    let events = events.backoff(Patience::default());
    pin_mut!(events);
    while let Some(event) = events.next().await {
        let mut set = set.borrow_mut();
        let news = match event.map(|event| set.take(event)) {
            Ok(Ok(news)) => news,
            Ok(Err(TooMuch)) => {
                // Nothing that is so large is true; what was there before stays.
                set.listing = None;
                set.trouble = Some(format!("{url}: more than {} MiB of {what}", BUDGET >> 20));
                changed.notify_one();
                return;
            }
            Err(error) => match error_text::of_watch(url, &what, &error) {
                Some(trouble) => set.trouble.replace(trouble.clone()) != Some(trouble),
                None => false,
            },
        };
        if news {
            changed.notify_one();
        }
    }
}

/// # Errors
///
/// What is wrong with the credentials, in one line.
pub(super) fn client(access: &Access) -> Result<Client, String> {
    let mut config = access.config.clone();
    config.connect_timeout = Some(ANSWER);
    // The watcher tries again by itself, and says meanwhile what is wrong.
    config.default_retry = false;
    // kube would panic over a token that fits into no header.
    let builder = Some(config).filter(has_sayable_token);
    let builder = builder.and_then(|config| ClientBuilder::try_from(config).ok());
    let builder = builder.ok_or_else(|| {
        format!(
            "the certificate, key or token in {} cannot be used: renew it",
            access.origin
        )
    })?;
    Ok(builder.with_layer(&Guard).build())
}

fn has_sayable_token(config: &Config) -> bool {
    // A secret, which it tells in this way alone.
    let credentials = serde_json::to_value(&config.auth_info).unwrap_or_default();
    let token = credentials["token"].as_str().unwrap_or_default();
    HeaderValue::try_from(token).is_ok()
}
