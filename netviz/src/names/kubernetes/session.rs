//! Lists nodes, pods and services, then watches them.

use std::{
    collections::BTreeMap,
    panic,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

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
use tokio::{sync::Notify, task::JoinSet};

use super::{
    access::Access,
    error_text,
    guard::{ANSWER, Guard, PAGE},
    objects::{NodeSeen, Object, PodSeen, ServiceSeen},
};
use crate::{
    model::{Source, Status},
    names::{report::Report, source::Context},
};

/// The most memory for all pods, or all nodes: some 400 000 ordinary pods, more than Kubernetes
/// supports.
const BUDGET: usize = 256 << 20;

/// Objects of one kind.
pub(super) struct Set<S: Object> {
    /// The last complete list, with the changes since. It is kept while the API cannot be reached.
    kept: BTreeMap<S::Key, S::Fact>,
    /// The list that replaces it when it is complete.
    listing: BTreeMap<S::Key, S::Fact>,
    size: usize,
    listed: bool,
    trouble: Option<String>,
}

impl<S: Object> Default for Set<S> {
    fn default() -> Self {
        Self {
            kept: BTreeMap::new(),
            listing: BTreeMap::new(),
            size: 0,
            listed: false,
            trouble: None,
        }
    }
}

impl<S: Object> Set<S> {
    /// Returns whether there is something new to report.
    ///
    /// # Errors
    ///
    /// When the objects take more than [`BUDGET`].
    fn apply(&mut self, event: Event<S>) -> Result<bool, TooMuch> {
        let changed = match event {
            Event::Init => {
                self.listing.clear();
                self.size = 0;
                return Ok(false);
            }
            Event::InitApply(object) => {
                put(&mut self.listing, &mut self.size, object)?;
                return Ok(false);
            }
            Event::InitDone => {
                self.kept = std::mem::take(&mut self.listing);
                self.listed = true;
                true
            }
            Event::Apply(object) => put(&mut self.kept, &mut self.size, object)?,
            Event::Delete(object) => {
                let gone = object.key().and_then(|key| self.kept.remove(&key));
                let size = gone.as_ref().map_or(0, S::size);
                self.size = self.size.saturating_sub(size);
                gone.is_some()
            }
        };
        Ok(self.trouble.take().is_some() || changed)
    }
}

fn put<S: Object>(
    into: &mut BTreeMap<S::Key, S::Fact>,
    size: &mut usize,
    object: S,
) -> Result<bool, TooMuch> {
    let Some(key) = object.key() else {
        return Ok(false);
    };
    let fact = object.fact();
    if into.get(&key) == fact.as_ref() {
        return Ok(false);
    }
    *size += fact.as_ref().map_or(0, S::size);
    let before = match fact {
        Some(fact) => into.insert(key, fact),
        None => into.remove(&key),
    };
    *size = size.saturating_sub(before.as_ref().map_or(0, S::size));
    if *size > BUDGET {
        return Err(TooMuch);
    }
    Ok(true)
}

/// More than [`BUDGET`].
#[derive(Debug)]
struct TooMuch;

/// The objects of one API server.
pub(super) struct Watched {
    pods: Mutex<Set<PodSeen>>,
    nodes: Mutex<Set<NodeSeen>>,
    /// `None`: not requested.
    services: Option<Mutex<Set<ServiceSeen>>>,
}

impl Watched {
    pub(super) fn new(services: bool) -> Self {
        Self {
            pods: Mutex::default(),
            nodes: Mutex::default(),
            services: services.then(Mutex::default),
        }
    }

    /// `None` until there is an answer.
    fn report(&self, url: String) -> Option<Report> {
        let (pods, nodes) = (lock(&self.pods), lock(&self.nodes));
        let services = self.services.as_ref().map(lock);
        let unserved = services.as_ref().and_then(|it| it.trouble.as_ref());
        let waits = services.as_ref().is_some_and(|it| !it.listed);
        let status = if let Some(trouble) = pods.trouble.as_ref().or(nodes.trouble.as_ref()) {
            Status::failed(trouble)
        } else if !pods.listed && !nodes.listed || waits && unserved.is_none() {
            return None;
        } else {
            // The names of pods are useful without services.
            let detail = Some(match unserved {
                Some(trouble) => format!("{url}; services: {trouble}"),
                None => url,
            });
            Status::Ok { detail }
        };
        let mut report = Report::new(Source::Kubernetes, None, status);
        report.pods = pods.kept.values().cloned().collect();
        report.nodes = nodes.kept.values().cloned().collect();
        report.services = services
            .filter(|services| services.trouble.is_none())
            .map(|services| services.kept.values().cloned().collect());
        Some(report)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Watches the API as long as it lives.
pub(super) struct Session {
    pub(super) access: Access,
    pub(super) watched: Arc<Watched>,
    tasks: JoinSet<()>,
}

impl Session {
    pub(super) fn start(access: Access, watched: Arc<Watched>, context: &Context) -> Self {
        let mut tasks = JoinSet::new();
        let task = follow(access.clone(), watched.clone(), context.news.clone());
        tasks.spawn_on(task, context.runtime.handle());
        Self {
            access,
            watched,
            tasks,
        }
    }

    /// All known objects; `None` before the first answer.
    pub(super) fn report(&mut self) -> Option<Report> {
        if let Some(Err(error)) = self.tasks.try_join_next()
            && error.is_panic()
        {
            panic::resume_unwind(error.into_panic());
        }
        self.watched.report(self.access.url())
    }
}

/// Watches everything until all watches end.
async fn follow(access: Access, watched: Arc<Watched>, news: Arc<Notify>) {
    let client = match client(&access) {
        Ok(client) => client,
        Err(why) => {
            lock(&watched.pods).trouble = Some(why);
            return news.notify_one();
        }
    };
    let settings = |field: &str| {
        let settings = watcher::Config::default().page_size(PAGE);
        match &access.node {
            Some(node) => settings.fields(&format!("{field}={node}")),
            None => settings,
        }
    };
    let url = access.url();
    let services = async {
        if let Some(services) = &watched.services {
            let settings = watcher::Config::default().page_size(PAGE);
            one_kind(&client, settings, &url, services, &news).await;
        }
    };
    let (pods, nodes) = (settings("spec.nodeName"), settings("metadata.name"));
    tokio::join!(
        one_kind(&client, pods, &url, &watched.pods, &news),
        one_kind(&client, nodes, &url, &watched.nodes, &news),
        services,
    );
}

/// kube's own delays after a failure, limited because a person watches the screen.
#[derive(Default)]
struct Delays(DefaultBackoff);

/// The longest delay after a failure.
const LONGEST: Duration = Duration::from_secs(8);

impl Iterator for Delays {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        Some(self.0.next()?.min(LONGEST))
    }
}

impl Backoff for Delays {
    fn reset(&mut self) {
        self.0.reset();
    }
}

async fn one_kind<S>(
    client: &Client,
    settings: watcher::Config,
    url: &str,
    set: &Mutex<Set<S>>,
    news: &Notify,
) where
    S: Object + Clone + std::fmt::Debug + DeserializeOwned + Send + Sync + 'static,
{
    let what = S::plural(&()).into_owned();
    let events = watcher(Api::<S>::all(client.clone()), settings);
    let events = events.backoff(Delays::default());
    pin_mut!(events);
    while let Some(event) = events.next().await {
        let mut set = lock(set);
        let changed = match event.map(|event| set.apply(event)) {
            Ok(Ok(changed)) => changed,
            Ok(Err(TooMuch)) => {
                // No real list is that large: keep the previous one.
                set.listing.clear();
                set.trouble = Some(error_text::too_much(url, &what, BUDGET));
                return news.notify_one();
            }
            Err(error) => match error_text::of_watch(url, &what, &error) {
                Some(trouble) => set.trouble.replace(trouble.clone()) != Some(trouble),
                None => false,
            },
        };
        if changed {
            news.notify_one();
        }
    }
}

/// A client with these credentials.
///
/// # Errors
///
/// What is wrong with the credentials, in one line.
pub fn client(access: &Access) -> Result<Client, String> {
    let mut config = access.config.clone();
    config.connect_timeout = Some(ANSWER);
    // The watcher tries again by itself, and its errors are shown meanwhile.
    config.default_retry = false;
    // kube panics over a token that fits into no header.
    let builder = Some(config).filter(fits_into_a_header);
    let builder = builder.and_then(|config| ClientBuilder::try_from(config).ok());
    let builder = builder.ok_or_else(|| error_text::credentials(&access.origin))?;
    Ok(builder.with_layer(&Guard).build())
}

fn fits_into_a_header(config: &Config) -> bool {
    // Serialising is the only way to read the secret.
    let credentials = serde_json::to_value(&config.auth_info).unwrap_or_default();
    let token = credentials["token"].as_str().unwrap_or_default();
    HeaderValue::try_from(token).is_ok()
}
