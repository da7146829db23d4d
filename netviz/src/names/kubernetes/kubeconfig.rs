//! Kubeconfigs, with all that they refer to read into them, through a node's root.
//!
//! kube would read the files itself, from its own root, and would run the commands that a
//! kubeconfig names. netviz is root: it runs none.

use std::{
    io,
    path::{Path, PathBuf},
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use kube::config::{AuthInfo, Cluster, Kubeconfig};
use serde_json::Value;

use super::{certificate::Certificate, files::Root};

/// The current context's part of a kubeconfig.
pub(super) struct Chosen {
    /// The files.
    pub(super) origin: String,
    /// Without any reference to a file or a command.
    pub(super) kubeconfig: Kubeconfig,
    /// The user's own.
    pub(super) certificate: Option<Certificate>,
    /// Everything that was read, one after the other.
    pub(super) content: String,
}

/// Reads and merges `paths` as kubectl does, the first one winning.
///
/// # Errors
///
/// What is wrong, in one line, without anything that is in the files.
pub(super) fn read(paths: &[PathBuf], root: &Root) -> Result<Chosen, String> {
    let names: Vec<_> = paths
        .iter()
        .map(|path| path.display().to_string())
        .collect();
    let mut reader = Reader {
        root,
        origin: names.join(":"),
        content: String::new(),
    };
    let mut merged = Kubeconfig::default();
    for path in paths {
        let text = reader.text(path)?;
        let wrong = || format!("{} is no kubeconfig", path.display());
        let mut one = parse(&text).ok_or_else(wrong)?;
        anchor(&mut one, path.parent().unwrap_or(Path::new("/")));
        merged = merged.merge(one).map_err(|_| wrong())?;
    }
    let (cluster, user) = current(&merged, &reader.origin)?;
    let mut certificate = None;
    for named in &mut merged.clusters {
        if let Some(cluster) = named.cluster.as_mut().filter(|_| named.name == cluster) {
            reader.inline_cluster(cluster)?;
        }
    }
    for named in &mut merged.auth_infos {
        if let Some(info) = named.auth_info.as_mut().filter(|_| named.name == user) {
            reader.refuse_commands(info)?;
            certificate = reader.inline_user(info)?;
        }
    }
    merged.clusters.retain(|named| named.name == cluster);
    merged.auth_infos.retain(|named| named.name == user);
    Ok(Chosen {
        origin: reader.origin,
        kubeconfig: merged,
        certificate,
        content: reader.content,
    })
}

/// Every document of a text, merged: what `Kubeconfig::from_yaml` does, by way of untyped values. The
/// code that reads YAML is made anew for every type that is read by it, which here is 300 KB.
///
/// `None` without why, which might tell what is in the text.
fn parse(text: &str) -> Option<Kubeconfig> {
    let documents: Vec<Value> = serde_saphyr::from_multiple(text).ok()?;
    documents
        .into_iter()
        .try_fold(Kubeconfig::default(), |merged, document| {
            let next = serde_json::from_value(in_words(document)).ok()?;
            merged.merge(next).ok()
        })
}

/// A number is the text that it was: kubeconfigs hold none, but names and tokens may look like one.
fn in_words(value: Value) -> Value {
    match value {
        Value::Number(number) => number.to_string().into(),
        Value::Array(values) => values.into_iter().map(in_words).collect(),
        Value::Object(fields) => fields
            .into_iter()
            .map(|(name, value)| (name, in_words(value)))
            .collect(),
        other => other,
    }
}

/// Makes what is relative to a kubeconfig absolute.
fn anchor(kubeconfig: &mut Kubeconfig, directory: &Path) {
    let clusters = kubeconfig.clusters.iter_mut();
    let clusters = clusters.filter_map(|named| named.cluster.as_mut());
    let users = kubeconfig.auth_infos.iter_mut();
    let users = users.filter_map(|named| named.auth_info.as_mut());
    let of_users = users.flat_map(|info| {
        [
            &mut info.client_certificate,
            &mut info.client_key,
            &mut info.token_file,
        ]
    });
    for path in clusters
        .map(|cluster| &mut cluster.certificate_authority)
        .chain(of_users)
        .flatten()
    {
        *path = directory.join(&*path).display().to_string();
    }
}

/// Names of the current context's cluster and user.
fn current(kubeconfig: &Kubeconfig, origin: &str) -> Result<(String, String), String> {
    let name = kubeconfig.current_context.as_deref();
    let name = name.filter(|name| !name.is_empty()).ok_or_else(|| {
        format!("{origin} has no current context: kubectl config use-context NAME")
    })?;
    let mut contexts = kubeconfig.contexts.iter();
    let context = contexts.find(|named| named.name == name);
    let context = context.and_then(|named| named.context.as_ref());
    let context =
        context.ok_or_else(|| format!("{origin} does not hold its own current context"))?;
    let user = context.user.clone().unwrap_or_default();
    Ok((context.cluster.clone(), user))
}

struct Reader<'a> {
    root: &'a Root,
    origin: String,
    content: String,
}

impl Reader<'_> {
    fn bytes(&mut self, path: &Path) -> Result<Vec<u8>, String> {
        let bytes = self.root.read(path).map_err(|error| {
            let why = match error.kind() {
                io::ErrorKind::Other => "cannot be opened".into(),
                kind => kind.to_string(),
            };
            format!("cannot read {}: {why}", path.display())
        })?;
        self.content.push_str(&String::from_utf8_lossy(&bytes));
        Ok(bytes)
    }

    fn text(&mut self, path: &Path) -> Result<String, String> {
        String::from_utf8(self.bytes(path)?).map_err(|_| format!("{} is no text", path.display()))
    }

    /// The content of `path` in base64, unless `data` says it already; forgets the path.
    fn inline(
        &mut self,
        path: &mut Option<String>,
        data: Option<String>,
    ) -> Result<Option<String>, String> {
        let path = path.take();
        if data.as_ref().is_some_and(|data| !data.is_empty()) {
            return Ok(data);
        }
        let Some(path) = path.filter(|path| !path.is_empty()) else {
            return Ok(None);
        };
        Ok(Some(BASE64_STANDARD.encode(self.bytes(Path::new(&path))?)))
    }

    fn inline_cluster(&mut self, cluster: &mut Cluster) -> Result<(), String> {
        let data = cluster.certificate_authority_data.take();
        cluster.certificate_authority_data =
            self.inline(&mut cluster.certificate_authority, data)?;
        Ok(())
    }

    fn inline_user(&mut self, info: &mut AuthInfo) -> Result<Option<Certificate>, String> {
        let data = info.client_certificate_data.take();
        info.client_certificate_data = self.inline(&mut info.client_certificate, data)?;
        if info.client_key_data.is_none() {
            let key = self.inline(&mut info.client_key, None)?;
            info.client_key_data = key.map(Into::into);
        }
        info.client_key = None;
        if let Some(path) = info.token_file.take()
            && info.token.is_none()
        {
            let token = self.text(Path::new(&path))?;
            info.token = Some(token.trim().to_owned().into());
        }
        let pem = info.client_certificate_data.as_ref();
        let pem = pem.and_then(|data| BASE64_STANDARD.decode(data).ok());
        Ok(pem.and_then(|pem| Certificate::read(&pem)))
    }

    fn refuse_commands(&self, info: &AuthInfo) -> Result<(), String> {
        if info.exec.is_none() && info.auth_provider.is_none() {
            return Ok(());
        }
        Err(format!(
            "{} gets its credentials from a command, which netviz does not run as root: \
             give it a kubeconfig with a token or a certificate (--kubeconfig)",
            self.origin
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What was read, its secrets as well.
    fn read(kubeconfig: Option<Kubeconfig>) -> Option<Value> {
        serde_json::to_value(kubeconfig?).ok()
    }

    #[test]
    fn a_text_is_read_as_kube_reads_it() {
        const PLAIN: &str = "current-context: here\n\
            clusters: [{name: c, cluster: {server: 'https://s:6443', insecure-skip-tls-verify: true}}]\n\
            contexts:\n- {name: here, context: {cluster: c, user: u, namespace: 'true'}}\n\
            users:\n- name: u\n  user: {token: abc, client-key: /k}\n";
        let several = format!("{PLAIN}---\nusers: [{{name: v, user: {{token: x}}}}]\n");
        let cases = [
            "",
            "---\n",
            "{}",
            "# nothing but this\n",
            PLAIN,
            &several,
            &format!("---\n{PLAIN}---\n"),
            &format!("{PLAIN}---\n---\n{PLAIN}"),
            &PLAIN.replace("c,", "42,").replace(": u", ": 7"),
            &PLAIN.replace("abc", "'0123'"),
            &PLAIN.replace("true", "perhaps"),
            &PLAIN.replace("name: here", "name: [here]"),
            &PLAIN.replace("clusters:", "preferences: {colors: true}\nclusters:"),
            "kind: Pod\n",
            "kind: Config\nclusters: 7\n",
            "just words",
            "- a\n- b\n",
            "a: b: c",
            "users: &a [*a]",
        ];
        for text in cases {
            assert_eq!(
                read(parse(text)),
                read(Kubeconfig::from_yaml(text).ok()),
                "{text}"
            );
        }
    }
}
