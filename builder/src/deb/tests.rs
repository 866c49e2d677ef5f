//! Hostile packages: whatever they hold, nothing is written outside the folder, and nothing panics.

use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use fs_err as fs;
use proptest::prelude::{ProptestConfig, any, proptest};
use tar::EntryType::{Char, Directory, Fifo, Link, Regular, Symlink};

use crate::archive::hostile::{Entry, tarball};
use crate::deb::{DebError, control, read_files, resolve, unpack};

/// A package whose data.tar has these entries.
fn package(entries: &[Entry<'_>]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(&tarball(entries, 0o4755)).unwrap();
    let mut out = ar::Builder::new(Vec::new());
    for (name, bytes) in [("debian-binary", b"2.0\n".to_vec()), ("data.tar.gz", encoder.finish().unwrap())] {
        out.append(&ar::Header::new(name.into(), bytes.len() as u64), bytes.as_slice()).unwrap();
    }
    out.into_inner().unwrap()
}

/// A folder to unpack into, beside things that must stay as they are.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("root")).unwrap();
        fs::create_dir(folder.path().join("outside")).unwrap();
        fs::write(folder.path().join("outside/secret"), "secret").unwrap();
        Self(folder)
    }

    fn outside(&self, name: &str) -> String {
        self.0.path().join("outside").join(name).to_str().unwrap().to_owned()
    }

    fn root(&self) -> std::path::PathBuf {
        self.0.path().join("root")
    }

    fn unpack(&self, bytes: &[u8]) -> Result<(), DebError> {
        let package = self.0.path().join("x.deb");
        fs::write(&package, bytes).unwrap();
        unpack(&package, &self.root())
    }

    /// What lies beside the root is as it was.
    fn check(&self) {
        let names = |folder: &str| {
            let entries = fs::read_dir(self.0.path().join(folder)).unwrap();
            let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
            names.sort();
            names
        };
        assert_eq!(names(""), ["outside", "root", "x.deb"]);
        assert_eq!(names("outside"), ["secret"]);
        assert_eq!(fs::read(self.outside("secret")).unwrap(), b"secret");
        let links = std::os::unix::fs::MetadataExt::nlink(&fs::metadata(self.outside("secret")).unwrap());
        assert_eq!(links, 1, "a hard link leads out");
    }
}

/// Makes a package from the place of something outside.
type Hostile = fn(&dyn Fn(&str) -> String) -> Vec<u8>;

#[test]
fn an_entry_never_leaves_the_folder() {
    let cases: [(&str, Hostile, bool); 13] = [
        ("dots", |_| package(&[(Regular, "../outside/x", "x")]), false),
        ("inner dots", |_| package(&[(Regular, "usr/../../outside/x", "x")]), false),
        ("an absolute path", |at| package(&[(Regular, &at("x"), "x")]), true),
        (
            "a file through an absolute link",
            |at| package(&[(Symlink, "l", &at("")), (Regular, "l/x", "x")]),
            true,
        ),
        ("a file through dots", |_| package(&[(Symlink, "l", "../outside"), (Regular, "l/x", "x")]), true),
        ("a folder through a link", |at| package(&[(Symlink, "l", &at("")), (Directory, "l/x", "")]), true),
        ("a folder over a link", |at| package(&[(Symlink, "l", &at("x")), (Directory, "l", "")]), false),
        ("a file over a link", |at| package(&[(Symlink, "l", &at("secret")), (Regular, "l", "x")]), true),
        ("a hard link by dots", |_| package(&[(Link, "l", "../outside/secret")]), false),
        ("a hard link by an absolute path", |at| package(&[(Link, "l", &at("secret"))]), false),
        (
            "a hard link to a link, and a file over it",
            |at| package(&[(Symlink, "s", &at("secret")), (Link, "l", "s"), (Regular, "l", "x")]),
            true,
        ),
        ("a device", |_| package(&[(Char, "null", "")]), false),
        ("a pipe", |_| package(&[(Fifo, "pipe", "")]), false),
    ];
    for (name, bytes, good) in cases {
        let place = Place::new();
        let outcome = place.unpack(&bytes(&|name| place.outside(name)));
        assert_eq!(outcome.is_ok(), good, "{name}: {outcome:?}");
        place.check();
    }
}

#[test]
fn files_links_and_modes_are_unpacked() {
    let place = Place::new();
    let bytes = package(&[
        (Directory, "./", ""),
        (Directory, "./usr/bin/", ""),
        (Symlink, "./bin", "usr/bin"),
        (Regular, "./bin/su", "first"),
        (Regular, "./usr/bin/su", "second"),
        (Link, "./usr/bin/sg", "./bin/su"),
        (Directory, "./bin/", ""),
    ]);
    place.unpack(&bytes).unwrap();
    assert_eq!(fs::read_link(place.root().join("bin")).unwrap(), Path::new("usr/bin"));
    for name in ["su", "sg"] {
        let path = place.root().join("usr/bin").join(name);
        assert_eq!(fs::read(&path).unwrap(), b"second");
        // The set-user-id bit is gone.
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o755);
    }
    let package = place.0.path().join("x.deb");
    let files = read_files(&package, |path| path.ends_with("bin/su")).unwrap();
    let paths: Vec<_> = files.iter().map(|file| file.path.as_str()).collect();
    assert_eq!(paths, ["bin/su", "usr/bin/su"]);
    assert!(control(&package).unwrap_err().to_string().ends_with("it has no control.tar"));
}

#[test]
fn a_link_stands_for_the_file_that_it_leads_to() {
    let place = Place::new();
    let bytes = package(&[
        (Symlink, "./usr/lib/first.so", "libx.so.1"),
        (Regular, "./usr/lib/libx.so.1.2", "library"),
        (Symlink, "./usr/lib/libx.so.1", "libx.so.1.2"),
        (Symlink, "./usr/bin/x", "/usr/lib/../lib/./libx.so.1.2"),
        (Symlink, "./usr/lib/loop.so", "loop.so"),
        (Symlink, "./usr/lib/out.so", "../../../usr/lib/libx.so.1.2"),
        (Symlink, "./usr/lib/nowhere.so", "libx.so.2"),
    ]);
    place.unpack(&bytes).unwrap();
    let read = |wanted: &str| {
        let files = read_files(&place.0.path().join("x.deb"), |path| path == wanted).unwrap();
        files
            .into_iter()
            .map(|file| (file.path, String::from_utf8(file.content).unwrap()))
            .collect::<Vec<_>>()
    };
    for wanted in ["usr/lib/libx.so.1", "usr/lib/first.so", "usr/bin/x"] {
        assert_eq!(read(wanted), [(wanted.to_owned(), "library".to_owned())]);
    }
    for wanted in ["usr/lib/loop.so", "usr/lib/out.so", "usr/lib/nowhere.so"] {
        assert_eq!(read(wanted), [], "{wanted}");
    }
}

#[test]
fn parents_that_are_links_stay_inside_the_root() {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir_all(root.path().join("usr/bin")).unwrap();
    symlink("usr/bin", root.path().join("bin")).unwrap();
    symlink("../../../../etc", root.path().join("evil")).unwrap();
    symlink("loop", root.path().join("loop")).unwrap();
    let inside = |path: &str| resolve(root.path(), Path::new(path)).unwrap();
    assert_eq!(inside("bin/sh"), root.path().join("usr/bin/sh"));
    assert_eq!(inside("evil/passwd"), root.path().join("etc/passwd"));
    assert!(resolve(root.path(), Path::new("loop/x")).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn no_bytes_panic(magic in any::<bool>(), rest in proptest::collection::vec(any::<u8>(), 0..400)) {
        let place = Place::new();
        let mut bytes = if magic { b"!<arch>\ndata.tar        0           0     0     100644  ".to_vec() } else { Vec::new() };
        bytes.extend(rest);
        let _ = place.unpack(&bytes);
        place.check();
    }

    #[test]
    fn no_damage_panics(at in 0usize..2000, put in proptest::collection::vec(any::<u8>(), 1..40)) {
        let place = Place::new();
        let mut bytes = package(&[(Directory, "d", ""), (Regular, "d/f", "text"), (Symlink, "d/l", "f"), (Link, "h", "d/f")]);
        let at = at % bytes.len();
        let end = (at + put.len()).min(bytes.len());
        bytes.splice(at..end, put);
        let _ = place.unpack(&bytes);
        place.check();
    }
}
