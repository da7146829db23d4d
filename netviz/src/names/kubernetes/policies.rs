//! The policies that select a pod, by their objects in the Kubernetes API. They are listed only when a
//! policy has dropped packets.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    net::IpAddr,
    time::Duration,
};

use kube::{Api, Client, api::ListParams};
use tokio::time::timeout;

use super::{
    access, error_text,
    guard::PAGE,
    policy_objects::{
        CiliumClusterwideNetworkPolicy, CiliumNetworkPolicy, NamespaceObject, NetworkPolicy,
        PodObject, PolicyObject,
    },
    session,
};
use crate::{
    discover::Discovered,
    model::Direction,
    names::{
        policies::{Policy, Selecting, Unread, UnreadReason, rule::Rule, selector::Labels},
        source::SourceOptions,
    },
};

/// Time limit for all that is read about one pod: somebody waits for the verdict.
const LIMIT: Duration = Duration::from_secs(10);
/// The most pages of one kind of policies: 1 000 objects.
const PAGES: usize = 10;
/// Begins the names of labels that Cilium copies from a pod's namespace.
const NAMESPACE_LABELS: &str = "io.cilium.k8s.namespace.labels.";
const NAMESPACE: &str = "io.kubernetes.pod.namespace";
const SERVICE_ACCOUNT: &str = "io.cilium.k8s.policy.serviceaccount";
const CLUSTER: &str = "io.cilium.k8s.policy.cluster";

/// What identifies a pod in the API.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PodKey {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl PodKey {
    /// Whether Kubernetes allows such names. They go into a path.
    fn is_valid(&self) -> bool {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.');
        let valid = |name: &str| !name.is_empty() && name.chars().all(plain);
        valid(&self.namespace) && valid(&self.name)
    }
}

/// The objects about policies, each read once.
pub(crate) struct Reader {
    /// Without access there is nothing; an API that failed is not asked again.
    api: Result<Option<Connected>, Unread>,
    pods: BTreeMap<PodKey, Option<PodObject>>,
    namespaces: BTreeMap<String, Listed>,
}

#[derive(Clone)]
struct Connected {
    client: Client,
    url: String,
}

/// What concerns the pods of one namespace.
#[derive(Default)]
struct Listed {
    rules: Vec<(Policy, Rule)>,
    /// Labels of the namespace, if a rule needs them.
    labels: BTreeMap<String, String>,
    unread: Vec<Unread>,
}

impl Reader {
    /// With the access that netviz was given.
    pub(crate) async fn new(options: &SourceOptions, found: &Discovered) -> Self {
        let access = access::find(options, &access::hosts(found)).await;
        let connected = |access: access::Access| {
            let url = access.url();
            session::client(&access).map(|client| Connected { client, url })
        };
        let api = access.and_then(|access| access.map(connected).transpose());
        Self {
            api: api.map_err(|error| unread("policies", UnreadReason::Failed { error })),
            pods: BTreeMap::new(),
            namespaces: BTreeMap::new(),
        }
    }

    /// The policies that select a pod and restrict this direction; none if the API has no pod with this
    /// name and address, and so is another cluster's.
    pub(crate) async fn selecting(
        &mut self,
        key: &PodKey,
        address: IpAddr,
        direction: Direction,
    ) -> Selecting {
        let read = match timeout(LIMIT, self.read(key)).await {
            Ok(read) => read,
            Err(_) => {
                let error = format!("no answer in {} s", LIMIT.as_secs());
                Err(unread("policies", UnreadReason::Failed { error }))
            }
        };
        if let Err(unread) = read {
            self.api = Err(unread.clone());
            return Selecting {
                policies: Vec::new(),
                unread: vec![unread],
            };
        }
        let pod = self.pods.get(key).and_then(Option::as_ref);
        let pod = pod.filter(|pod| pod.addresses().any(|own| own == address));
        let listed = self.namespaces.get(&key.namespace);
        match pod.zip(listed) {
            Some((pod, listed)) => listed.selecting(key, pod, direction),
            None => Selecting::default(),
        }
    }

    /// Reads the pod, and what concerns its namespace.
    async fn read(&mut self, key: &PodKey) -> Result<(), Unread> {
        let Some(api) = self.api.clone()?.filter(|_| key.is_valid()) else {
            return Ok(());
        };
        if let Entry::Vacant(new) = self.pods.entry(key.clone()) {
            new.insert(api.pod(key).await?);
        }
        if self.pods[key].is_some()
            && let Entry::Vacant(new) = self.namespaces.entry(key.namespace.clone())
        {
            new.insert(api.listed(&key.namespace).await);
        }
        Ok(())
    }
}

impl Connected {
    /// `None` if there is no such pod.
    async fn pod(&self, key: &PodKey) -> Result<Option<PodObject>, Unread> {
        let pods = Api::<PodObject>::namespaced(self.client.clone(), &key.namespace);
        let pod = pods.get_opt(&key.name).await;
        pod.map_err(|error| self.unread("pods", &error))
    }

    async fn listed(&self, namespace: &str) -> Listed {
        let mut listed = Listed::default();
        let (plain, own, wide) = tokio::join!(
            self.rules::<NetworkPolicy>(Api::namespaced(self.client.clone(), namespace)),
            self.rules::<CiliumNetworkPolicy>(Api::namespaced(self.client.clone(), namespace)),
            self.rules::<CiliumClusterwideNetworkPolicy>(Api::all(self.client.clone())),
        );
        for (rules, unread) in [plain, own, wide] {
            listed.rules.extend(rules);
            listed.unread.extend(unread);
        }
        for (policy, rule) in &mut listed.rules {
            if let Some(selector) = &mut rule.endpoint_selector {
                // The objects of a cluster are about its own pods.
                selector.ignore(CLUSTER);
                if policy.namespace.is_some() {
                    // As Cilium does, whatever the object says.
                    selector.require(&format!("k8s:{NAMESPACE}"), namespace);
                }
            }
        }
        let selectors = listed
            .rules
            .iter()
            .filter_map(|(_, rule)| rule.endpoint_selector.as_ref());
        if selectors
            .into_iter()
            .any(|selector| selector.mentions(NAMESPACE_LABELS))
        {
            let namespaces = Api::<NamespaceObject>::all(self.client.clone());
            match namespaces.get(namespace).await {
                Ok(object) => listed.labels = object.metadata.labels.unwrap_or_default(),
                Err(error) => listed.unread.push(self.unread("namespaces", &error)),
            }
        }
        listed
    }

    /// The rules of all objects of one kind, as far as they can be read.
    async fn rules<T: PolicyObject>(&self, api: Api<T>) -> (Vec<(Policy, Rule)>, Option<Unread>) {
        let mut rules = Vec::new();
        let mut page = ListParams::default().limit(PAGE);
        for _ in 0..PAGES {
            let list = match api.list(&page).await {
                Ok(list) => list,
                Err(error) => return (rules, Some(self.unread(&T::plural(&()), &error))),
            };
            rules.extend(list.items.into_iter().flat_map(|object| {
                let policy = object.policy();
                let rules = policy.map(|policy| {
                    object
                        .rules()
                        .into_iter()
                        .map(move |it| (policy.clone(), it))
                });
                rules.into_iter().flatten()
            }));
            match list.metadata.continue_.filter(|next| !next.is_empty()) {
                Some(next) => page = page.continue_token(&next),
                None => return (rules, None),
            }
        }
        (rules, Some(unread(&T::plural(&()), UnreadReason::TooMany)))
    }

    fn unread(&self, resource: &str, error: &kube::Error) -> Unread {
        let reason = match error {
            kube::Error::Api(status) if status.code == 403 => UnreadReason::Forbidden,
            kube::Error::Api(status) if status.code == 404 => UnreadReason::NotInstalled,
            error => UnreadReason::Failed {
                error: error_text::of_request(&self.url, resource, error),
            },
        };
        unread(resource, reason)
    }
}

fn unread(resource: &str, reason: UnreadReason) -> Unread {
    let resource = resource.to_owned();
    Unread { resource, reason }
}

impl Listed {
    fn selecting(&self, key: &PodKey, pod: &PodObject, direction: Direction) -> Selecting {
        let mut labels = Labels::default();
        for (name, value) in pod.metadata.labels.iter().flatten() {
            labels.insert(name, value);
        }
        for (name, value) in &self.labels {
            labels.insert(&format!("{NAMESPACE_LABELS}{name}"), value);
        }
        labels.insert(NAMESPACE, &key.namespace);
        if let Some(account) = pod.service_account() {
            labels.insert(SERVICE_ACCOUNT, account);
        }
        let rules = self.rules.iter();
        let selecting = rules.filter(|(_, it)| it.selects(&labels) && it.restricts(direction));
        let mut policies: Vec<_> = selecting.map(|(policy, _)| policy.clone()).collect();
        policies.sort();
        policies.dedup();
        Selecting {
            policies,
            unread: self.unread.clone(),
        }
    }
}
