use std::path::PathBuf;

use fs_err as fs;

use crate::fetch::local::{LocalFile, admit};
use crate::ground::repro::sha256_hex;
use crate::store::Store;

/// A folder with `bin/tool`, and a store.
struct Case {
    folder: tempfile::TempDir,
    store: Store,
}

impl Case {
    fn new(content: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("bin")).unwrap();
        fs::write(folder.path().join("bin/tool"), content).unwrap();
        let store = Store::open(&folder.path().join("store")).unwrap();
        Self { folder, store }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// `program` is what the lock expects.
    fn file(&self, path: &str, in_folder: bool) -> LocalFile {
        LocalFile {
            key: "release.r.component.c.sha256.amd64.tool".to_owned(),
            path: self.path(path),
            in_folder,
            name: "tool".to_owned(),
            sha256: sha256_hex(b"program").parse().unwrap(),
        }
    }

    fn refuse(&self, file: LocalFile) -> String {
        let error = admit(&self.store, &[file]).unwrap_err();
        assert_eq!(error.exit_code(), 1);
        assert_eq!(fs::read_dir(self.path("store/tmp")).unwrap().count(), 0);
        error.to_string().replace(&self.folder.path().display().to_string(), "FOLDER")
    }
}

#[test]
fn a_file_of_a_folder_enters_the_store() {
    let case = Case::new("program");
    let file = case.file("bin", true);
    admit(&case.store, std::slice::from_ref(&file)).unwrap();
    assert_eq!(fs::read(case.store.file(&file.sha256)).unwrap(), b"program");
    admit(&case.store, &[case.file("bin", false), case.file("bin/tool", false)]).unwrap();
}

#[test]
fn a_missing_file_is_named() {
    let case = Case::new("program");
    insta::assert_snapshot!(case.refuse(case.file("sbin", true)));
    // One of several files lies in a folder.
    assert!(case.refuse(case.file("bin/tool", true)).contains("no file `FOLDER/bin/tool/tool`"));
}

#[test]
fn a_folder_or_a_pipe_is_no_file() {
    let case = Case::new("program");
    fs::remove_file(case.path("bin/tool")).unwrap();
    fs::create_dir(case.path("bin/tool")).unwrap();
    assert!(case.refuse(case.file("bin", true)).contains("no file"));
    fs::remove_dir(case.path("bin/tool")).unwrap();
    nix::unistd::mkfifo(&case.path("bin/tool"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    assert!(case.refuse(case.file("bin", true)).contains("no file"));
}

#[test]
fn another_file_is_named_and_does_not_enter_the_store() {
    let case = Case::new("another");
    insta::assert_snapshot!(case.refuse(case.file("bin", true)));
    assert!(!case.store.file(&case.file("bin", true).sha256).exists());
}

#[test]
fn a_file_that_was_replaced_is_noticed_although_the_store_has_the_old_one() {
    let case = Case::new("program");
    admit(&case.store, &[case.file("bin", true)]).unwrap();
    fs::write(case.path("bin/tool"), "another").unwrap();
    assert!(case.refuse(case.file("bin", true)).contains("is not the one that the lockfile names"));
    assert_eq!(fs::read(case.store.file(&case.file("bin", true).sha256)).unwrap(), b"program");
}
