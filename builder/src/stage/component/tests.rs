use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use fs_err as fs;

use crate::fetch::{self, Item, Origin};
use crate::ground::arch::Arch;
use crate::ground::error::Error;
use crate::ground::progress::Progress;
use crate::ground::repro::sha256_hex;
use crate::lockfile::format::Download;
use crate::stage::component::from_urls;
use crate::store::Store;

/// A store, and a folder in which something is published.
struct Case {
    folder: tempfile::TempDir,
    store: Store,
}

impl Case {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("store")).unwrap();
        Self { folder, store }
    }

    /// Publishes bytes, fetches them as the lock's `[[…url]]` says, and takes them apart.
    fn files(&self, bytes: &[u8], rest: &str) -> Result<BTreeMap<String, PathBuf>, Error> {
        let path = self.folder.path().join("tool-amd64");
        fs::write(&path, bytes).unwrap();
        let (url, hash) = (path.display().to_string().replace("amd64", "{arch}"), sha256_hex(bytes));
        let text = format!("urls = [\"file://{url}\"]\nsha256 = {{ amd64 = \"{hash}\" }}\n{rest}");
        let download: Download = toml::from_str(&text).unwrap();
        let item = Item {
            subject: "tool".to_owned(),
            urls: download.addresses(Arch::Amd64),
            size: None,
            hash: download.hash(Arch::Amd64).unwrap(),
            origin: Origin::Upstream,
        };
        fetch::fetch(&self.store, vec![item], true, &Progress::new()).unwrap();
        from_urls(&self.store, &[download], Arch::Amd64)
    }

    fn refuse(&self, bytes: &[u8], rest: &str) -> String {
        let error = self.files(bytes, rest).unwrap_err();
        assert_eq!(fs::read_dir(self.folder.path().join("store/steps")).unwrap().count(), 0);
        error.to_string().replace(&self.folder.path().display().to_string(), "FOLDER")
    }
}

/// A tar archive of `path` → content, compressed with gzip; the paths are not looked at.
fn tar_gz(files: &[(&str, &str)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    for (path, content) in files {
        let mut header = tar::Header::new_gnu();
        header.as_gnu_mut().unwrap().name[..path.len()].copy_from_slice(path.as_bytes());
        header.set_size(content.len() as u64);
        header.set_mode(0o600);
        header.set_cksum();
        builder.append(&header, content.as_bytes()).unwrap();
    }
    builder.into_inner().unwrap().finish().unwrap()
}

fn read(files: &BTreeMap<String, PathBuf>) -> Vec<(&str, String)> {
    files.iter().map(|(name, path)| (name.as_str(), fs::read_to_string(path).unwrap())).collect()
}

#[test]
fn a_single_file_is_the_download() {
    let case = Case::new();
    let files = case.files(b"program", "file = \"tool\"").unwrap();
    assert_eq!(read(&files), [("tool", "program".to_owned())]);
}

#[test]
fn chosen_files_and_a_folder_of_an_archive_get_their_names() {
    let archive = tar_gz(&[
        ("./tool-amd64/bin/tool", "a"),
        ("tool-amd64/plugins/one", "1"),
        ("tool-amd64/plugins/deep/two", "2"),
        ("tool-amd64/README", "r"),
    ]);
    let rest = "unpack = \"tar.gz\"\nfiles = { mytool = \"tool-{arch}/bin/tool\" }\nfolder = \"./tool-{arch}/plugins/\"";
    let case = Case::new();
    let files = case.files(&archive, rest).unwrap();
    assert_eq!(read(&files), [("mytool", "a".to_owned()), ("one", "1".to_owned())]);
}

#[test]
fn the_root_of_an_archive_is_a_folder_too() {
    let archive = tar_gz(&[("./bridge", "b"), ("./.hidden", "h"), ("./sub/other", "o")]);
    let case = Case::new();
    let files = case.files(&archive, "unpack = \"tgz\"\nfolder = \".\"").unwrap();
    assert_eq!(read(&files), [(".hidden", "h".to_owned()), ("bridge", "b".to_owned())]);
}

#[test]
fn a_file_that_the_archive_does_not_have_is_named() {
    let archive = tar_gz(&[("bin/tool", "a")]);
    let said = Case::new().refuse(&archive, "unpack = \"tar.gz\"\nfiles = { tool = \"sbin/tool\" }");
    assert_eq!(said, "file://FOLDER/tool-amd64 has no file `sbin/tool`");
}

#[test]
fn what_is_no_archive_is_named() {
    let said = Case::new().refuse(b"not an archive", "unpack = \"tar.gz\"\nfolder = \".\"");
    assert!(said.starts_with("unpacking file://FOLDER/tool-amd64: "), "{said}");
}

#[test]
fn an_archive_that_leaves_its_folder_is_refused() {
    let case = Case::new();
    let said = case.refuse(&tar_gz(&[("../evil", "x")]), "unpack = \"tar.gz\"\nfolder = \".\"");
    assert!(said.contains("`../evil` leaves its folder"), "{said}");
    assert!(!Path::new(&case.folder.path().join("store/evil")).exists());
}

#[test]
fn a_download_for_another_architecture_is_no_file() {
    let text = format!(
        "urls = [\"https://dl.example/x\"]\nsha256 = {{ arm64 = \"{}\" }}\nfile = \"x\"",
        "0".repeat(64)
    );
    let download: Download = toml::from_str(&text).unwrap();
    assert!(from_urls(&Case::new().store, &[download], Arch::Amd64).unwrap().is_empty());
}
