//! What upstream publishes, by its addresses: which project and version it is, and which version is the newest.
//!
//! Two publishers are known: GitHub's releases and Kubernetes' own server. Other addresses tell nothing.

use std::collections::BTreeMap;

use fs_err as fs;

use crate::fetch;
use crate::ground::error::Result;
use crate::lock::osv::semantic;
use crate::lockfile::Lock;
use crate::lockfile::format::Component;
use crate::mirror::Mirrors;

/// Addresses whose Go module is not their path.
const MODULES: [(&str, &str); 2] =
    [("https://dl.k8s.io/", "k8s.io/kubernetes"), ("https://github.com/etcd-io/etcd/", "go.etcd.io/etcd")];

const GITHUB: &str = "https://github.com/";
const KUBERNETES: &str = "https://dl.k8s.io/";

/// A component of which there is a newer version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Newer {
    /// The release of the lock.
    pub release: String,
    /// The component.
    pub component: String,
    /// The lock's version.
    pub pinned: String,
    /// Upstream's.
    pub newest: String,
}

/// The Go module and the version of a file, by its address.
#[must_use]
pub fn published(url: &str) -> Option<(String, String)> {
    let module = match MODULES.iter().find(|(start, _)| url.starts_with(start)) {
        Some((_, module)) => (*module).to_owned(),
        None => format!("github.com/{}", project(url)?),
    };
    let version = url.split('/').find(|part| part.contains('.') && semantic(part).is_some())?;
    Some((module, version.trim_start_matches('v').to_owned()))
}

/// `owner/name` of a project on GitHub.
fn project(url: &str) -> Option<String> {
    let (owner, rest) = url.strip_prefix(GITHUB)?.split_once('/')?;
    Some(format!("{owner}/{}", rest.split_once('/')?.0))
}

/// What upstream has newer than the lock, and what could not be asked.
#[must_use]
pub fn newer(lock: &Lock, mirrors: &Mirrors) -> (Vec<Newer>, Vec<String>) {
    let (mut found, mut failed) = (Vec::new(), Vec::new());
    let mut known: BTreeMap<String, Option<String>> = BTreeMap::new();
    for (release_name, release) in &lock.release {
        for (name, component) in &release.component {
            let Component::Url(downloads) = component else { continue };
            let urls = downloads.first().into_iter().flat_map(|download| &download.urls);
            let asked = urls.filter_map(|url| Some((published(url)?.1, question(url)?))).next();
            let Some((pinned, question)) = asked else {
                failed.push(format!(
                    "nobody can be asked for the newest `{name}` of the release `{release_name}`"
                ));
                continue;
            };
            let newest = known.entry(question.clone()).or_insert_with(|| {
                ask(&question, mirrors).map_err(|error| failed.push(first_line(&error))).ok()
            });
            let Some(newest) = newest.as_ref().filter(|newest| semantic(newest) > semantic(&pinned)) else {
                continue;
            };
            let (release, component) = (release_name.clone(), name.clone());
            found.push(Newer { release, component, pinned, newest: newest.clone() });
        }
    }
    (found, failed)
}

/// The address that tells the newest version: of Kubernetes the newest patch of the same minor version.
fn question(url: &str) -> Option<String> {
    if url.starts_with(KUBERNETES) {
        let version = semantic(&published(url)?.1)?;
        return Some(format!("{KUBERNETES}release/stable-{}.{}.txt", version.major, version.minor));
    }
    Some(format!("{GITHUB}{}/releases/latest", project(url)?))
}

/// GitHub redirects to the newest release; Kubernetes' server has a file with the version.
fn ask(question: &str, mirrors: &Mirrors) -> Result<String> {
    let urls = mirrors.instead(question);
    let answer = if question.starts_with(KUBERNETES) {
        let folder = tempfile::Builder::new().prefix("kiln-newest-").tempdir()?;
        let path = folder.path().join("newest");
        fetch::unverified(&urls, &path)?;
        String::from_utf8_lossy(&fs::read(path)?).trim().to_owned()
    } else {
        fetch::destination(&urls)?.rsplit('/').next().unwrap_or_default().to_owned()
    };
    match semantic(&answer) {
        Some(_) => Ok(answer.trim_start_matches('v').to_owned()),
        None => Err(std::io::Error::other(format!("{question} tells no version")).into()),
    }
}

fn first_line(error: &crate::ground::error::Error) -> String {
    error.to_string().lines().next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::{published, question};

    #[test]
    fn an_address_tells_the_project_and_the_version() {
        for (url, module, version, asked) in [
            (
                "https://dl.k8s.io/v1.34.8/kubernetes-server-linux-{arch}.tar.gz",
                "k8s.io/kubernetes",
                "1.34.8",
                "https://dl.k8s.io/release/stable-1.34.txt",
            ),
            (
                "https://github.com/etcd-io/etcd/releases/download/v3.6.14/etcd-v3.6.14-linux-{arch}.tar.gz",
                "go.etcd.io/etcd",
                "3.6.14",
                "https://github.com/etcd-io/etcd/releases/latest",
            ),
            (
                "https://github.com/containers/crun/releases/download/0.21/crun-0.21-linux-amd64",
                "github.com/containers/crun",
                "0.21",
                "https://github.com/containers/crun/releases/latest",
            ),
        ] {
            assert_eq!(published(url), Some((module.to_owned(), version.to_owned())), "{url}");
            assert_eq!(question(url).as_deref(), Some(asked));
        }
        assert_eq!(published("https://files.example/tool-1.2.3"), None);
        assert_eq!(question("https://files.example/tool-1.2.3"), None);
    }
}
