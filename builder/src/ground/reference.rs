//! References of container images: which are written out, by the grammar of registries.

use oci_client::{ParseError, Reference};

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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{check, is_plain, parse};

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
}
