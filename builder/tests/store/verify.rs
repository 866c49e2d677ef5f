//! `builder store verify`.

use std::path::{Path, PathBuf};

use builder::ground::repro::sha256_hex;
use builder::store::{StepKey, Store};
use fs_err as fs;

use crate::project;

/// A store with one download and one step in a folder of its own.
struct Case {
    folder: tempfile::TempDir,
    file: PathBuf,
    step: PathBuf,
}

impl Case {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("store")).unwrap();
        let hash = sha256_hex("download");
        fs::write(store.partial(&hash), "download").unwrap();
        store.admit(&hash).unwrap();
        let step = store.step(&key("one"), |out| Ok(fs::write(out.join("result"), "made")?)).unwrap();
        Self { file: store.file(&hash), step, folder }
    }

    fn root(&self) -> PathBuf {
        self.folder.path().join("store")
    }

    /// `builder store` with these arguments: exit code, standard output and standard error.
    fn run(&self, args: &[&str]) -> (i32, String, String) {
        project::run(self.folder.path(), &[&["store"], args, &["--store", "store"]].concat())
    }
}

fn key(name: &str) -> StepKey {
    StepKey::new("test", 1, &name)
}

fn entry(path: &Path) -> String {
    let parts: Vec<_> = path.iter().rev().take(2).map(|part| part.to_str().unwrap()).collect();
    format!("{}/{}", parts[1], parts[0])
}

#[test]
fn a_good_store_is_good() {
    let case = Case::new();
    let (code, stdout, stderr) = case.run(&["verify"]);
    assert_eq!((code, stdout.as_str()), (0, ""), "{stderr}");
    assert!(stderr.contains("1 files and 1 steps: 0 removed, 0 not recorded"), "{stderr}");
}

#[test]
fn a_damaged_download_is_named_and_removed_when_asked() {
    let case = Case::new();
    fs::write(&case.file, "Download").unwrap();
    let (code, stdout, stderr) = case.run(&["verify"]);
    assert!(code == 2 && stderr.contains("error: 1 of 2 entries of the store are wrong"), "{stderr}");
    assert!(stderr.contains("\n\nhint: `builder --store store store verify --remove`"), "{stderr}");
    let (expected, found) = (sha256_hex("download"), sha256_hex("Download"));
    let line = format!("{}  expected sha256:{expected}, found sha256:{found}\n", entry(&case.file));
    assert_eq!(stdout, format!("wrong         {line}"));
    assert!(case.file.exists(), "verify reads only");

    let (code, stdout, _) = case.run(&["verify", "--remove"]);
    assert_eq!((code, stdout), (0, format!("removed       {line}")));
    assert!(!case.file.exists() && case.step.exists());
}

#[test]
fn a_damaged_step_is_named_and_made_again_after_its_removal() {
    let case = Case::new();
    fs::write(case.step.join("more"), "").unwrap();
    let (code, stdout, _) = case.run(&["verify", "--json"]);
    let report: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!((code, &report["files"], &report["steps"]), (2, &1.into(), &1.into()));
    let finding = &report["findings"][0];
    assert_eq!(finding["entry"], entry(&case.step).as_str());
    assert_eq!((&finding["state"], &finding["removed"]), (&"wrong".into(), &false.into()));
    assert!(report["findings"][1].is_null());

    assert_eq!(case.run(&["verify", "--remove"]).0, 0);
    let store = Store::open(&case.root()).unwrap();
    assert!(store.made(&key("one")).is_none());
    store.step(&key("one"), |out| Ok(fs::write(out.join("result"), "made")?)).unwrap();
    drop(store);
    let (code, stdout, stderr) = case.run(&["verify"]);
    assert_eq!((code, stdout.as_str()), (0, ""), "{stderr}");
}

#[test]
fn a_step_of_a_store_without_records_is_not_called_good_and_stays() {
    let case = Case::new();
    fs::remove_dir_all(case.root().join("records")).unwrap();
    for arguments in [&["verify"][..], &["verify", "--remove"]] {
        let (code, stdout, stderr) = case.run(arguments);
        assert_eq!(code, 0);
        assert!(stdout.starts_with(&format!("not recorded  {}", entry(&case.step))), "{stdout}");
        assert!(stderr.contains("1 not recorded"), "{stderr}");
    }
    assert!(case.step.exists());
}

#[test]
fn what_is_no_download_is_wrong() {
    let case = Case::new();
    fs::write(case.root().join("files/notes"), "x").unwrap();
    let (code, stdout, _) = case.run(&["verify"]);
    assert_eq!((code, stdout.as_str()), (2, "wrong         files/notes  its name is no hash\n"));
}

#[test]
fn verify_goes_on_beside_a_build_and_removing_does_not() {
    let case = Case::new();
    fs::write(&case.file, "Download").unwrap();
    let build = Store::open(&case.root()).unwrap();
    assert_eq!(case.run(&["verify"]).0, 2);
    let (code, stdout, stderr) = case.run(&["verify", "--remove"]);
    assert!(code == 2 && stdout.is_empty() && stderr.contains("is in use; nothing was removed"), "{stderr}");
    drop(build);
    assert_eq!(case.run(&["verify", "--remove"]).0, 0);
    assert!(!case.file.exists());
}

#[test]
fn a_misspelt_store_is_named_and_not_made() {
    let case = Case::new();
    fs::rename(case.root(), case.folder.path().join("elsewhere")).unwrap();
    let (code, _, stderr) = case.run(&["verify"]);
    assert!(code == 1 && stderr.contains("error: there is no store in `store`"), "{stderr}");
    assert!(!case.root().exists());
}
