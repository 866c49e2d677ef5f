//! Source packages of every layout, and hostile ones: nothing is written outside the folder.

use std::collections::BTreeMap;
use std::fs::Permissions;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::PathBuf;

use fs_err as fs;
use proptest::prelude::{ProptestConfig, any, proptest};
use tar::EntryType::{self, Directory, Link, Regular, Symlink};

use crate::archive::hostile::{Entry, tarball};
use crate::stage::source::unpack::lay_out;

/// A folder for the source, beside things that must stay as they are.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for name in ["work", "work/src", "outside"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        fs::write(folder.path().join("outside/secret"), "secret").unwrap();
        fs::set_permissions(folder.path().join("outside"), Permissions::from_mode(0o700)).unwrap();
        Self(folder)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn outside(&self, name: &str) -> String {
        self.path("outside").join(name).to_str().unwrap().to_owned()
    }

    fn lay_out(&self, files: &[(&str, Vec<u8>)]) -> std::io::Result<()> {
        let written = files.iter().enumerate().map(|(number, (name, bytes))| {
            let path = self.path(&format!("file-{number}"));
            fs::write(&path, bytes).unwrap();
            (*name, path)
        });
        lay_out(written, &self.path("work"), &self.path("work/src"))
    }

    /// The files of the source with their content, and the links with their targets.
    fn source(&self) -> BTreeMap<String, String> {
        let mut found = BTreeMap::new();
        for entry in walkdir::WalkDir::new(self.path("work/src")) {
            let entry = entry.unwrap();
            let name = entry.path().strip_prefix(self.path("work/src")).unwrap().display().to_string();
            if entry.file_type().is_symlink() {
                found.insert(name, fs::read_link(entry.path()).unwrap().display().to_string());
            } else if entry.file_type().is_file() {
                found.insert(name, fs::read_to_string(entry.path()).unwrap());
            }
        }
        found
    }

    /// What lies beside the source is as it was.
    fn check(&self) {
        let names: Vec<_> =
            fs::read_dir(self.path("outside")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["secret"]);
        assert_eq!(fs::read(self.path("outside/secret")).unwrap(), b"secret");
        let links = fs::metadata(self.path("outside/secret")).unwrap().nlink();
        assert_eq!(links, 1, "a hard link leads out");
        assert_eq!(fs::metadata(self.path("outside")).unwrap().mode() & 0o777, 0o700);
    }
}

fn gz(entries: &[Entry<'_>]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(&tarball(entries, 0o755)).unwrap();
    encoder.finish().unwrap()
}

fn xz(entries: &[Entry<'_>]) -> Vec<u8> {
    let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 1);
    encoder.write_all(&tarball(entries, 0o755)).unwrap();
    encoder.finish().unwrap()
}

fn expect(place: &Place, files: &[(&str, &str)]) {
    let files = files.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
    assert_eq!(place.source(), files);
}

#[test]
fn a_package_is_laid_out_as_dpkg_source_does_it() {
    let place = Place::new();
    let original = gz(&[
        (EntryType::XGlobalHeader, "pax_global_header", ""),
        (Directory, "./hello-1.0/", ""),
        (Regular, "./hello-1.0/main.c", "main"),
        (Link, "./hello-1.0/same.c", "./hello-1.0/main.c"),
        (Symlink, "./hello-1.0/doc", "share/doc"),
        (Regular, "./hello-1.0/doc/README", "through a link"),
        (Regular, "./hello-1.0/debian/control", "upstream's"),
        (Regular, "./hello-1.0/debian/more", "upstream's"),
        (Regular, "./hello-1.0/vendor/old", "upstream's"),
    ]);
    let component = xz(&[(Regular, "vendor-7/lib.c", "lib")]);
    let debian = xz(&[(Directory, "./debian/", ""), (Regular, "./debian/control", "debian's")]);
    // In the order of their names, as the lock has them.
    place
        .lay_out(&[
            ("pool/h/hello_1.0-1.debian.tar.xz", debian),
            ("pool/h/hello_1.0-1.dsc", b"text".to_vec()),
            ("pool/h/hello_1.0.orig-vendor.tar.xz", component),
            ("pool/h/hello_1.0.orig.tar.gz", original),
            ("pool/h/hello_1.0.orig.tar.gz.asc", b"text".to_vec()),
        ])
        .unwrap();
    expect(
        &place,
        &[
            ("debian/control", "debian's"),
            ("doc", "share/doc"),
            ("main.c", "main"),
            ("same.c", "main"),
            ("share/doc/README", "through a link"),
            ("vendor/lib.c", "lib"),
        ],
    );
    let file = fs::metadata(place.path("work/src/main.c")).unwrap();
    assert_eq!((file.nlink(), file.mtime(), file.mode() & 0o7777), (2, 1_000_000_000, 0o755));
}

#[test]
fn an_original_without_a_folder_of_its_own_is_taken_whole() {
    for files in [&["a/one", "b/two"][..], &["./one", "./two"], &["one"]] {
        let place = Place::new();
        let entries: Vec<Entry<'_>> = files.iter().map(|name| (Regular, *name, "text")).collect();
        place.lay_out(&[("native_1.0.tar.gz", gz(&entries))]).unwrap();
        let found: Vec<String> = place.source().into_keys().collect();
        let expected: Vec<&str> = files.iter().map(|name| name.trim_start_matches("./")).collect();
        assert_eq!(found, expected);
    }
}

#[test]
fn a_file_that_cannot_be_unpacked_is_named() {
    for name in ["hello_1.0.orig.tar.bz2", "hello_1.0-1.diff.gz", "hello_1.0.orig.tar.zst"] {
        let error = Place::new().lay_out(&[(name, Vec::new())]).unwrap_err().to_string();
        assert_eq!(error, format!("`{name}` is neither a .tar.gz nor a .tar.xz"));
    }
    assert!(Place::new().lay_out(&[("hello_1.0.orig.tar.gz", b"no archive".to_vec())]).is_err());
}

/// Makes entries from the place of something outside.
type Hostile = fn(&str) -> Vec<Entry<'_>>;

#[test]
fn an_entry_never_leaves_the_folder() {
    // The one argument is the path of what is outside.
    let cases: [(&str, &str, Hostile, bool); 8] = [
        ("dots", "", |_| vec![(Regular, "top/../../../outside/x", "x")], false),
        ("an absolute path", "x", |at| vec![(Regular, at, "x")], true),
        ("a file through a link", "", |at| vec![(Symlink, "top", at), (Regular, "top/x", "x")], true),
        (
            "a file through dots",
            "",
            |_| vec![(Symlink, "top/l", "../../../outside"), (Regular, "top/l/x", "x")],
            true,
        ),
        ("a folder over a link", "", |at| vec![(Symlink, "top", at), (Directory, "top", "")], true),
        ("a file over a link", "secret", |at| vec![(Symlink, "l", at), (Regular, "l", "x")], true),
        ("a hard link", "secret", |at| vec![(Link, "top/l", at), (Regular, "top/l", "x")], false),
        (
            "a hard link to a link",
            "secret",
            |at| vec![(Symlink, "s", at), (Link, "l", "s"), (Regular, "l", "x")],
            true,
        ),
    ];
    for (case, outside, entries, good) in cases {
        for name in ["x_1.orig.tar.gz", "x_1-1.debian.tar.gz"] {
            let place = Place::new();
            let at = place.outside(outside);
            let outcome = place.lay_out(&[(name, gz(&entries(&at)))]);
            assert_eq!(outcome.is_ok(), good, "{case}: {outcome:?}");
            place.check();
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn whatever_the_links_are_nothing_leaves_the_folder(
        entries in proptest::collection::vec((0..4_usize, 0..5_usize, 0..6_usize), 1..8)
    ) {
        let place = Place::new();
        let paths = ["a", "a/b", "a/b/x", "c", "c/secret"];
        let (outside, secret) = (place.outside(""), place.outside("secret"));
        let targets = ["a", "../outside", "../../outside", "c/secret", outside.as_str(), secret.as_str()];
        let entries: Vec<Entry<'_>> = entries
            .into_iter()
            .map(|(kind, path, target)| ([Regular, Directory, Symlink, Link][kind], paths[path], targets[target]))
            .collect();
        let _ = place.lay_out(&[("x_1.orig.tar.gz", gz(&entries))]);
        place.check();
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..2048)) {
        let place = Place::new();
        let _ = place.lay_out(&[("x_1.orig.tar.gz", bytes.clone()), ("x_1-1.debian.tar.xz", bytes)]);
        place.check();
    }
}
