//! Where the parts of an image may be had: its registry, or what prefix maps put in its place, which may be a folder of
//! this machine. It makes up places and asks none.

use std::path::PathBuf;

use oci_client::{ParseError, Reference};
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

/// Reads a reference that is written out: with its registry, and with a tag or a digest.
///
/// # Errors
/// The fact.
pub fn parse(reference: &str) -> Result<Reference, String> {
    let parsed: Reference = reference.parse().map_err(|error: ParseError| error.to_string())?;
    let (registry, rest) = reference.split_once('/').unwrap_or_default();
    if parsed.registry() != registry {
        return Err("it names no registry, as `docker.io/library/busybox:1.37` does".to_owned());
    }
    let tagged = rest.rsplit('/').next().is_some_and(|last| last.contains([':', '@']));
    if !tagged {
        return Err("it has no tag".to_owned());
    }
    match parsed.whole() {
        whole if whole == reference => Ok(parsed),
        whole => Err(format!("written out it is `{whole}`")),
    }
}

/// Says whether [`parse`] can read a reference. It asks it only about what is not plain: the grammar that it goes by takes
/// longer to prepare than an unchanged build.
///
/// # Errors
/// The fact.
pub fn check(reference: &str) -> Result<(), String> {
    if is_plain(reference) { Ok(()) } else { parse(reference).map(|_| ()) }
}

/// Whether a reference is like `registry.example:5000/apps/web:1.0`, in small letters but for the tag.
fn is_plain(reference: &str) -> bool {
    let small = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    // Letters and digits, with single separators between them.
    let part = |part: &str, separators: &[u8]| {
        let mut words = part.as_bytes().split(|byte| separators.contains(byte));
        words.all(|word| !word.is_empty() && word.iter().all(small))
    };
    let Some((registry, (name, tag))) =
        reference.split_once('/').and_then(|(registry, rest)| Some((registry, rest.rsplit_once(':')?)))
    else {
        return false;
    };
    let (host, port) = registry.split_once(':').unwrap_or((registry, "443"));
    // Docker's own registry has short forms.
    host.contains('.')
        && host != "docker.io"
        && host != "index.docker.io"
        && part(host, b".-")
        && (1..=5).contains(&port.len())
        && port.bytes().all(|byte| byte.is_ascii_digit())
        && name.len() < 128
        && name.split('/').all(|name| part(name, b"._-"))
        && (1..=128).contains(&tag.len())
        && part(&tag.to_ascii_lowercase(), b"._-")
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
    use proptest::prelude::*;

    use super::{Place, check, is_plain, parse, places};
    use crate::mirror::Mirrors;

    proptest! {
        #[test]
        fn what_is_plain_is_written_out(
            reference in "([a-z0-9.:-]{1,12}|docker\\.io|a\\.b)/([a-zA-Z0-9._/-]{1,16}|[a-z0-9/]{1,8}):[a-zA-Z0-9._-]{1,8}",
        ) {
            prop_assert_eq!(check(&reference).is_ok(), parse(&reference).is_ok());
        }
    }

    #[test]
    fn the_usual_references_are_plain() {
        for usual in
            ["registry.k8s.io/coredns/coredns:v1.12.1", "kiln.local/pause:3.4", "10.0.0.5:5000/a_b/c-d:x_1"]
        {
            assert!(is_plain(usual), "{usual}");
        }
    }

    #[test]
    fn a_reference_is_written_out() {
        for good in ["registry.example/a/b:v1", "localhost:5000/a:1", "docker.io/library/busybox:1.37"] {
            assert_eq!(parse(good).unwrap().whole(), good);
        }
        for (bad, fact) in [
            ("busybox:1.37", "it names no registry"),
            ("library/busybox:1.37", "it names no registry"),
            ("registry.example/a/b", "it has no tag"),
            ("registry.example:5000/a/b", "it has no tag"),
            ("registry.example/A:1", "invalid reference format"),
            ("registry.example/a b:1", "invalid reference format"),
            ("docker.io/busybox:1.37", "written out it is `docker.io/library/busybox:1.37`"),
            ("", "repository name must have"),
        ] {
            let error = parse(bad).unwrap_err();
            assert!(error.contains(fact), "{bad}: {error}");
        }
    }

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
