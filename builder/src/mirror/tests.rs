use std::path::Path;

use fs_err as fs;
use proptest::prelude::{prop_assert_eq, proptest};

use super::{Mirrors, list_uris, sources_uris};

/// A host's /etc/apt and a configuration file.
fn host(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("sources.list.d")).unwrap();
    for (name, text) in files {
        fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

fn choose(host: &Path, cli: Option<&str>, variable: Option<&str>) -> Result<Mirrors, String> {
    let config = host.join("config.toml");
    Mirrors::choose(cli, variable, Some(&config), host)
        .map_err(|error| crate::error::Error::from(error).to_string())
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
    let first = |cli, variable| choose(host.path(), cli, variable).unwrap().current("debian", "x").unwrap();
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
    assert_eq!(mirrors.current("debian", "pool/g++.deb").unwrap(), "file:///srv/debian/pool/g++.deb");
}

#[test]
fn a_cloud_image_names_a_file_of_mirrors() {
    let host = host(&[("mirrors.list", "# cloud\nhttps://mirror.example/debian priority:1\n")]);
    let list = host.path().join("mirrors.list");
    let sources = format!("Types: deb\nURIs: mirror+file://{}\nSuites: trixie\n", list.display());
    fs::write(host.path().join("sources.list.d/debian.sources"), sources).unwrap();
    let mirrors = choose(host.path(), None, None).unwrap();
    assert_eq!(mirrors.current("debian", "x").unwrap(), "https://mirror.example/debian/x");
}

#[test]
fn strangers_disabled_and_unusable_sources_do_not_count() {
    let host = host(&[
        ("sources.list", "deb cdrom:[Debian 13]/ trixie main\ndeb http://mirror.example/ubuntu noble main\n"),
        ("sources.list.d/a.sources", "Enabled: no\nURIs: http://mirror.example/debian\n"),
        ("sources.list.d/b.list.disabled", "deb http://mirror.example/debian trixie main\n"),
    ]);
    insta::assert_snapshot!(choose(host.path(), None, None).unwrap_err(), @r"
    no mirror of the Debian archive is configured, and this host's apt sources name none

    hint: name one: `--debian-mirror http://HOST/debian`, or KILN_DEBIAN_MIRROR=http://HOST/debian
    ");
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

    hint: name one: `--debian-mirror http://HOST/debian`, or KILN_DEBIAN_MIRROR=http://HOST/debian
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
