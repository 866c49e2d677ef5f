use std::path::Path;

use fs_err as fs;
use proptest::prelude::{prop_assert_eq, proptest};

use crate::mirror::host::{list_uris, sources_uris};
use crate::mirror::{Mirrors, Said};

/// A host's /etc/apt and a configuration file.
fn host(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("sources.list.d")).unwrap();
    for (name, text) in files {
        fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

fn choose(host: &Path, argument: Option<&str>, variable: Option<&str>) -> Result<Mirrors, String> {
    choose_with(host, argument, variable, None)
}

fn choose_with(
    host: &Path,
    argument: Option<&str>,
    variable: Option<&str>,
    redirects: Option<&str>,
) -> Result<Mirrors, String> {
    let config = host.join("config.toml");
    Mirrors::choose(&Said { argument, variable, redirects, config: Some(&config), apt: host })
        .map_err(|error| crate::ground::error::Error::from(error).to_string())
}

const SOURCES: &str = "Types: deb\nURIs: http://mirror.example/debian/\nSuites: trixie\n\n\
     Types: deb\nURIs: http://mirror.example/debian-security\nSuites: trixie-security\n";

#[test]
fn the_first_that_names_a_mirror_decides() {
    let host = host(&[
        ("sources.list.d/debian.sources", SOURCES),
        (
            "config.toml",
            "[mirror]\ndebian = 'http://config.example/debian'\nsnapshot = 'http://snapshot.example/'\n",
        ),
    ]);
    let first = |cli, variable| choose(host.path(), cli, variable).unwrap().current("debian", "x").concat();
    assert_eq!(
        first(Some("http://cli.example/debian"), Some("http://var.example/d")),
        "http://cli.example/debian/x"
    );
    assert_eq!(first(None, Some("file:///srv/debian/")), "file:///srv/debian/x");
    assert_eq!(first(None, None), "http://config.example/debian/x");
    fs::remove_file(host.path().join("config.toml")).unwrap();
    assert_eq!(first(None, None), "http://mirror.example/debian/x");
}

#[test]
fn candidates_end_with_the_snapshot_mirror() {
    let host = host(&[
        ("sources.list.d/debian.sources", SOURCES),
        ("config.toml", "[mirror]\nsnapshot = 'http://snapshot.example/'\n"),
    ]);
    let mirrors = choose(host.path(), None, None).unwrap();
    assert_eq!(
        mirrors.urls("debian", "20260912T075541Z", "pool/main/g/g++_1~2.deb"),
        [
            "http://mirror.example/debian/pool/main/g/g%2b%2b_1%7e2.deb",
            "http://snapshot.example/archive/debian/20260912T075541Z/pool/main/g/g%2b%2b_1%7e2.deb",
        ]
    );
    assert_eq!(
        mirrors.urls("debian-security", "20260912T075541Z", "x")[0],
        "http://mirror.example/debian-security/x"
    );
}

#[test]
fn a_folder_is_read_without_escapes() {
    let host = host(&[]);
    let mirrors = choose(host.path(), Some("file:/srv/debian"), None).unwrap();
    assert_eq!(mirrors.current("debian", "pool/g++.deb"), ["file:///srv/debian/pool/g++.deb"]);
}

#[test]
fn a_cloud_image_names_a_file_of_mirrors() {
    let host = host(&[("mirrors.list", "# cloud\nhttps://mirror.example/debian priority:1\n")]);
    let list = host.path().join("mirrors.list");
    let sources = format!("Types: deb\nURIs: mirror+file://{}\nSuites: trixie\n", list.display());
    fs::write(host.path().join("sources.list.d/debian.sources"), sources).unwrap();
    let mirrors = choose(host.path(), None, None).unwrap();
    assert_eq!(mirrors.current("debian", "x"), ["https://mirror.example/debian/x"]);
}

#[test]
fn strangers_disabled_and_unusable_sources_do_not_count() {
    let host = host(&[
        ("sources.list", "deb cdrom:[Debian 13]/ trixie main\ndeb http://mirror.example/ubuntu noble main\n"),
        ("sources.list.d/a.sources", "Enabled: no\nURIs: http://mirror.example/debian\n"),
        ("sources.list.d/b.list.disabled", "deb http://mirror.example/debian trixie main\n"),
    ]);
    assert_eq!(choose(host.path(), None, None).unwrap(), Mirrors::default());
    insta::assert_snapshot!(crate::ground::error::Error::from(super::MirrorError::None).to_string(), @r"
    no mirror of the Debian archive is configured, and this host's apt sources name none

    hint: name one: `--debian-mirror http://HOST/debian`, or KILN_DEBIAN_MIRROR=http://HOST/debian
    ");
}

#[test]
fn a_folder_may_be_called_anything() {
    for folder in ["file:///srv/my mirror/debian", "file:///srv/my%20mirror/debian"] {
        assert_eq!(super::address::usable(folder).as_deref(), Some(folder));
    }
    for none in ["http://mirror.example/my mirror", "file:///srv/a\nb", "file://"] {
        assert_eq!(super::address::usable(none), None, "{none}");
    }
}

#[test]
fn nonsense_is_named_with_its_origin() {
    let host = host(&[("config.toml", "[mirror]\ndebain = 'http://config.example/debian'\n")]);
    let wrong = choose(host.path(), None, None).unwrap_err();
    assert!(wrong.contains("config.toml:2: unknown field `debain`"), "{wrong}");
    assert!(wrong.ends_with("hint: did you mean `debian`?"), "{wrong}");
    fs::remove_file(host.path().join("config.toml")).unwrap();
    insta::assert_snapshot!(choose(host.path(), Some("mirror.example/debian"), None).unwrap_err(), @r"
    `--debian-mirror` is `mirror.example/debian`, which is no http://, https:// or file:// address

    hint: write it as `http://HOST/PATH`, `https://HOST/PATH` or `file:///FOLDER`
    ");
}

#[test]
fn several_mirrors_are_asked_in_order_and_the_snapshots_last() {
    let host = host(&[(
        "config.toml",
        "[mirror]\ndebian = ['http://one.example/debian', 'http://two.example/debian/']\n\
         snapshot = ['http://first.example', 'file:///srv/snapshot']\n",
    )]);
    assert_eq!(
        choose(host.path(), None, None).unwrap().urls("debian", "20260912T075541Z", "pool/g++.deb"),
        [
            "http://one.example/debian/pool/g%2b%2b.deb",
            "http://two.example/debian/pool/g%2b%2b.deb",
            "http://first.example/archive/debian/20260912T075541Z/pool/g%2b%2b.deb",
            "file:///srv/snapshot/archive/debian/20260912T075541Z/pool/g++.deb",
        ]
    );
}

#[test]
fn prefix_maps_redirect_every_address_and_the_variable_counts_more() {
    let host = host(&[(
        "config.toml",
        "[mirror]\ndebian = 'http://deb.example/debian'\n[mirrors]\n'https://dl.example/' = 'file:///srv/dl'\n\
         'http://deb.example' = ['https://site.example/deb', 'http://deb.example']\n",
    )]);
    let mirrors = choose(host.path(), None, None).unwrap();
    assert_eq!(mirrors.instead("https://dl.example/a/b"), ["file:///srv/dl/a/b"]);
    assert_eq!(
        mirrors.current("debian", "x"),
        ["https://site.example/deb/debian/x", "http://deb.example/debian/x"]
    );
    let said = "https://dl.example=http://one.example  https://dl.example=http://two.example";
    let mirrors = choose_with(host.path(), None, None, Some(said)).unwrap();
    assert_eq!(mirrors.instead("https://dl.example/a"), ["http://one.example/a", "http://two.example/a"]);
    assert_eq!(mirrors.instead("https://other.example/a"), ["https://other.example/a"]);
}

#[test]
fn a_configuration_that_cannot_be_read_is_not_passed_over() {
    let host = host(&[("debian.sources", SOURCES)]);
    assert!(choose(host.path(), None, None).is_ok(), "none is fine");
    fs::write(host.path().join("config.toml"), b"# caf\xe9\n").unwrap();
    let error = choose(host.path(), None, None).unwrap_err();
    assert!(error.contains("config.toml") && error.contains("UTF-8"), "{error}");
}

#[test]
fn a_wrong_redirect_is_named_without_its_password() {
    let host =
        host(&[("config.toml", "[mirrors]\n'https://dl.example' = 'ftp://me:hunter2@host.example'\n")]);
    insta::assert_snapshot!(choose(host.path(), None, None).unwrap_err(), @r#"
    `mirrors."https://dl.example"` in Kiln's configuration file is `ftp://host.example`, which is no http://, https:// or file:// address

    hint: write it as `http://HOST/PATH`, `https://HOST/PATH` or `file:///FOLDER`
    "#);
    fs::write(host.path().join("config.toml"), "[mirrors]\n'https://dl.example' = 7\n").unwrap();
    let wrong = choose(host.path(), None, None).unwrap_err();
    assert!(
        wrong.contains("config.toml:2") && wrong.contains("an address or a list of addresses"),
        "{wrong}"
    );
    fs::remove_file(host.path().join("config.toml")).unwrap();
    let said = |redirects| choose_with(host.path(), None, None, Some(redirects)).unwrap_err();
    insta::assert_snapshot!(said("https://me:hunter2@dl.example"), @r"
    KILN_MIRRORS has `https://dl.example`, which is not of the form PREFIX=URL

    hint: write KILN_MIRRORS=https://dl.k8s.io=https://HOST/dl.k8s.io
    ");
    insta::assert_snapshot!(said("dl.example=https://host.example"), @r"
    KILN_MIRRORS is `dl.example`, which is no http://, https:// or file:// address

    hint: write it as `http://HOST/PATH`, `https://HOST/PATH` or `file:///FOLDER`
    ");
}

proptest! {
    #[test]
    fn both_styles_give_back_what_was_written(
        uris in proptest::collection::vec("https?://[a-z.]{1,12}/[a-z-]{1,10}", 1..5),
        options in proptest::option::of("[a-z]{1,8}=[a-z/.,]{1,12}"),
        gap in "[ \t]{1,3}",
    ) {
        let options = options.map(|options| format!("[{options}]{gap}")).unwrap_or_default();
        let list: String =
            uris.iter().map(|uri| format!("# no\n{gap}deb{gap}{options}{uri}{gap}trixie main # yes\n")).collect();
        prop_assert_eq!(list_uris(&list), uris.clone());
        let sources: String =
            uris.iter().map(|uri| format!("Types: deb\nURIs:{gap}{uri}\nSuites: trixie\n\n")).collect();
        prop_assert_eq!(sources_uris(&sources), uris.clone());
        let one = format!("URIs: {}\n", uris.join(" \n  "));
        prop_assert_eq!(sources_uris(&one), uris);
    }

    #[test]
    fn any_text_is_read_without_panic(text in "\\PC*") {
        list_uris(&text);
        sources_uris(&text);
    }
}
