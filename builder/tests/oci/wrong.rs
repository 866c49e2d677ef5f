//! Registries and images that are wrong: each is named, with a way out, and nothing of it enters the store.

use super::Site;
use super::image::{Image, digest};
use super::registry::Registry;

/// `builder fetch` fails so; the store has nothing of what was wrong.
fn refused(site: &Site, code: i32, fact: &str, hint: &str) {
    let (found, stderr) = site.fetch();
    assert!(stderr.contains(fact), "no `{fact}` in:\n{stderr}");
    assert!(stderr.contains(hint), "no `{hint}` in:\n{stderr}");
    assert_eq!(found, code, "{stderr}");
}

#[test]
fn who_may_not_ask_is_told_how_to_say_who_it_is() {
    let Some(registry) = Registry::start() else { return };
    let image = Image::new("web", &["amd64"]);
    registry.push("web:1", &image);
    let new = || Site::new(Some(&registry)).with_image(&registry.reference("web:1"), &image.digest());
    let fact = format!("`{}` refused: ", registry.address);
    let hint = format!("hint: run `docker login {}`", registry.address);
    for config in [
        // Nobody.
        "{}".to_owned(),
        // `kiln:wrong`.
        format!(r#"{{"auths":{{"{}":{{"auth":"a2lsbjp3cm9uZw=="}}}}}}"#, registry.address),
        // A helper that knows nobody there: a public image would come.
        r#"{"credsStore":"nobody"}"#.to_owned(),
    ] {
        let mut site = new();
        site.project.write("home/.docker/config.json", &config);
        site.helper("nobody", "echo 'credentials not found in native keychain'; exit 1");
        refused(&site, 2, &fact, &hint);
        assert!(site.stored(&image).is_empty());
    }
    let site = new();
    site.project.write("home/.docker/config.json", "{ no json");
    let fact = format!("gives no credentials for `{}`: it cannot be read", registry.address);
    refused(&site, 1, &fact, "DOCKER_CONFIG");
    let mut site = new();
    site.project.write("home/.docker/config.json", r#"{"credsStore":"locked"}"#);
    site.helper("locked", "echo 'the keychain is locked' >&2; exit 1");
    let fact = format!("for `{}`: its helper `docker-credential-locked` failed", registry.address);
    refused(&site, 1, &fact, "DOCKER_CONFIG");
    // An authority that this machine does not know.
    let site = new().without("SSL_CERT_FILE");
    let fact = format!("the certificate of `{}` is not accepted: ", registry.address);
    refused(&site, 2, &fact, "SSL_CERT_FILE=FILE");
    assert!(site.stored(&image).is_empty());
    // Nobody may be asked at all.
    let (code, _, stderr) = new().run(&["build", "--profile", "small", "--offline"]);
    assert!(code == 1 && stderr.contains("--offline forbids fetching it"), "{stderr}");
}

#[test]
fn what_is_not_the_image_of_the_lock_is_named() {
    let Some(registry) = Registry::start() else { return };
    let image = Image::new("web", &["arm64", "s390x"]);
    registry.push("web:1", &image);
    let reference = registry.reference("web:1");
    let of = |digest: &str| Site::new(Some(&registry)).with_image(&reference, digest);
    // Nothing for this architecture: an index says so, and the configuration beneath a manifest.
    let fact = "has nothing for linux/amd64; it has: linux/arm64, linux/s390x";
    refused(&of(&image.digest()), 1, fact, "hint: take the digest of an image for this architecture");
    let fact = "has nothing for linux/amd64; it has: linux/arm64\n";
    refused(&of(&digest(&image.manifests["arm64"])), 1, fact, "hint: take the digest");
    // Nobody has such a digest.
    let nothing = format!("sha256:{}", "0".repeat(64));
    refused(&of(&nothing), 2, &format!("{nothing} is at none of its places"), "[mirrors]");
    // The registry has a chart under this name.
    let chart = Image::of_kind("chart", &["amd64"], "application/vnd.cncf.helm.config.v1+json");
    registry.push("web:1", &chart);
    let site = of(&chart.digest());
    refused(
        &site,
        1,
        "is of the media type `application/vnd.cncf.helm.config.v1+json`",
        "artifacts are none",
    );
    // A tag that nobody has, and a reference that is none.
    for (url, fact) in [
        (format!("oci://{}", registry.reference("web:2")), "2 is at none of its places"),
        ("oci://busybox:1".to_owned(), "it names no registry"),
        (format!("oci://{}", registry.reference("web")), "it has no tag"),
    ] {
        let (code, _, stderr) = site.run(&["lock", "add", "other", &url, "--release", "upstream"]);
        assert!(code != 0 && stderr.contains(fact) && stderr.contains("hint: "), "{url}: {stderr}");
    }
    let url = format!("oci://{reference}");
    let args = ["lock", "add", "other", &url, "--release", "upstream", "--file", "x"];
    let (code, _, stderr) = site.run(&args);
    assert!(code == 1 && stderr.contains("nothing can be chosen"), "{stderr}");
}

#[test]
fn parts_that_are_damaged_at_the_registry_never_enter_the_store() {
    let Some(registry) = Registry::start() else { return };
    let image = Image::new("web", &["amd64"]);
    registry.push("web:1", &image);
    let reference = registry.reference("web:1");
    let of = || Site::new(Some(&registry)).with_image(&reference, &image.digest());
    let (layer, bytes) = image.blobs.iter().max_by_key(|(_, bytes)| bytes.len()).unwrap();
    let kept = |site: &Site, without: &str| {
        let stored = site.stored(&image);
        assert!(!stored.iter().any(|digest| digest == without), "{stored:?}");
    };

    // Other bytes, as many.
    registry.damage(layer, &vec![b'x'; bytes.len()]);
    let site = of();
    refused(&site, 2, &format!("the digest does not match\n  expected {layer}\n"), "nothing of it entered");
    kept(&site, layer);
    // Half of them. What came counts for something when the rest is there again.
    registry.damage(layer, &bytes[..bytes.len() / 2]);
    let site = of();
    refused(&site, 2, &format!("fetching {reference}: "), "it resumes where it stopped");
    kept(&site, layer);
    registry.damage(layer, bytes);
    let (code, stderr) = site.fetch();
    assert_eq!(code, 0, "{stderr}");
    assert_eq!(site.stored(&image), super::with_index(&image, "amd64"));
    // A document.
    registry.damage(&image.digest(), b"{\"schemaVersion\":2,\"manifests\":[]}");
    let site = of();
    let (code, stderr) = site.fetch();
    assert!(code == 2 && stderr.contains("hint: "), "{stderr}");
    assert!(site.stored(&image).is_empty());
}
