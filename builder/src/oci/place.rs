//! Where the parts of an image may be had: its registry, or what prefix maps put in its place, which may be a folder of
//! this machine. It makes up places and asks none.

use std::path::PathBuf;

use oci_client::Reference;
use percent_encoding::percent_decode_str;
use reqwest::Url;

use crate::fetch::shown;
use crate::mirror::Mirrors;

/// A place that has the parts of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A repository of a registry.
    Registry(Repository),
    /// An OCI image layout (image-spec v1.1): the parts are in `blobs/sha256/`.
    Folder(PathBuf),
}

/// A repository of a registry.
#[derive(Clone, PartialEq, Eq)]
pub struct Repository {
    /// Whether it is asked by HTTPS; by HTTP only where a prefix map says so.
    pub secure: bool,
    /// Host, and port if it is not the usual one.
    pub registry: String,
    /// `coredns/coredns`.
    pub name: String,
    /// Name and password, where the address has them.
    pub user: Option<(String, String)>,
}

impl std::fmt::Debug for Repository {
    /// Without the password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self}")
    }
}

impl std::fmt::Display for Repository {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let scheme = if self.secure { "https" } else { "http" };
        write!(f, "{scheme}://{}/{}", self.registry, self.name)
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Registry(repository) => repository.fmt(f),
            Self::Folder(path) => write!(f, "file://{}", path.display()),
        }
    }
}

/// The places of a reference in the order to ask them. Prefix maps see its repository as `https://REGISTRY/NAME`.
#[must_use]
pub fn places(reference: &Reference, mirrors: &Mirrors) -> Vec<Place> {
    let own = format!("https://{}/{}", reference.registry(), reference.repository());
    mirrors.instead(&own).iter().filter_map(|url| place(url)).collect()
}

fn place(url: &str) -> Option<Place> {
    if let Some(path) = url.strip_prefix("file://") {
        return Some(Place::Folder(path.into()));
    }
    let parsed = Url::parse(url).ok()?;
    let text = |part: &str| percent_decode_str(part).decode_utf8_lossy().into_owned();
    let user = (!parsed.username().is_empty())
        .then(|| (text(parsed.username()), text(parsed.password().unwrap_or_default())));
    // The parser drops a port that is the scheme's own.
    let bare = shown(url);
    let (registry, name) = bare.split_once("://")?.1.split_once('/')?;
    let (registry, name) = (registry.to_owned(), name.to_owned());
    Some(Place::Registry(Repository { secure: parsed.scheme() == "https", registry, name, user }))
}

#[cfg(test)]
mod tests {
    use super::{Place, places};
    use crate::ground::reference::parse;
    use crate::mirror::Mirrors;

    #[test]
    fn prefix_maps_put_registries_and_folders_in_the_place_of_a_registry() {
        let reference = parse("registry.example/apps/web:1").unwrap();
        let shown = |mirrors: &Mirrors| -> Vec<String> {
            places(&reference, mirrors).iter().map(ToString::to_string).collect()
        };
        let none = Mirrors::default();
        assert_eq!(shown(&none), ["https://registry.example/apps/web"]);
        let mapped = none
            .redirecting("https://registry.example", "https://me:p%40ss@cache.example:5000/upstream")
            .redirecting("https://registry.example", "http://plain.example")
            .redirecting("https://registry.example", "file:///srv/oci");
        assert_eq!(
            shown(&mapped),
            [
                "https://cache.example:5000/upstream/apps/web",
                "http://plain.example/apps/web",
                "file:///srv/oci/apps/web"
            ]
        );
        let Place::Registry(first) = &places(&reference, &mapped)[0] else { panic!() };
        assert_eq!(first.user, Some(("me".to_owned(), "p@ss".to_owned())));
        assert!(!format!("{first:?}").contains("p@ss"));
    }
}
