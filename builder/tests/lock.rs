//! The project's own lockfile, and lockfiles that must be refused.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use builder::ground::arch::Arch;
use builder::ground::error::Error;
use builder::ground::progress::Progress;
use builder::lock::{self, Changes};
use builder::lockfile::Lock;
use builder::lockfile::format::{Component, Content};
use builder::mirror::Mirrors;
use builder::role::Recipes;
use builder::store::Store;
use fs_err as fs;
use proptest::prelude::{ProptestConfig, prop_assert_eq, proptest};

const GOOD: &str = include_str!("fixtures/good-lock.toml");

/// The checkout.
fn project() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// A project with nothing but a base recipe and a lockfile.
struct Project(tempfile::TempDir);

impl Project {
    fn new(lock: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("images/base")).unwrap();
        let recipe = "description = \"a base\"\n[packages]\ninclude = [\"kmod\"]\n";
        fs::write(folder.path().join("images/base/image.toml"), recipe).unwrap();
        let firstboot = builder::embedded::sha256(Arch::Amd64);
        fs::write(folder.path().join("lockfile.toml"), lock.replace(&"f".repeat(64), &firstboot)).unwrap();
        Self(folder)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn lockfile(&self) -> PathBuf {
        self.path().join("lockfile.toml")
    }

    fn check(&self) -> Result<Lock, String> {
        let wrong = |error: Error| error.to_string().replace(&self.path().display().to_string(), "");
        lock::check(self.path(), &Recipes::of(self.path(), None), &self.lockfile()).map_err(wrong)
    }
}

#[test]
fn the_projects_lock_is_up_to_date() {
    let lockfile = project().join("lockfile.toml");
    // What CI shows of a stale lock is the difference.
    lock::check(project(), &Recipes::of(project(), None), &lockfile)
        .unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn a_recipe_with_packages_of_its_own_has_a_root_of_its_own() {
    let project = Project::new(GOOD);
    assert_eq!(project.check().map(drop), Ok(()));
    fs::create_dir(project.path().join("images/balancer")).unwrap();
    let recipe = "description = \"a balancer\"\nparts = [\"base\"]\n[packages]\ninclude = [\"haproxy\"]\n";
    fs::write(project.path().join("images/balancer/image.toml"), recipe).unwrap();
    let said = project.check().unwrap_err();
    assert!(said.contains("+ root base-balancer: haproxy"), "{said}");
    assert!(said.contains("! root base-balancer: `haproxy` has no package for amd64"), "{said}");
    assert!(said.ends_with("hint: builder lock update"), "{said}");
}

#[test]
fn bad_locks_are_refused_by_name() {
    let folder = project().join("builder/tests/fixtures/bad-locks");
    let mut paths: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let mut messages = String::new();
    for path in paths {
        let name = path.file_name().unwrap();
        let error = Lock::parse(Path::new(name), &fs::read_to_string(&path).unwrap()).unwrap_err();
        let error = Error::from(error);
        assert_eq!(error.exit_code(), 1);
        writeln!(messages, "{error}\n").unwrap();
    }
    insta::assert_snapshot!(messages);
}

/// The lockfiles of a corpus, and the project's own: a file there adds a test.
fn good_locks() -> Vec<(PathBuf, String)> {
    let fixtures = project().join("builder/tests/fixtures");
    let corpus = fs::read_dir(fixtures.join("good-locks")).unwrap().map(|entry| entry.unwrap().path());
    let paths = corpus.chain([fixtures.join("good-lock.toml"), project().join("lockfile.toml")]);
    paths.map(|path| (path.clone(), fs::read_to_string(path).unwrap())).collect()
}

/// However a person lays it out, comments it and quotes names, the update would not change a byte of it.
#[test]
fn a_good_lock_is_up_to_date() {
    for (path, text) in good_locks().into_iter().filter(|(path, _)| !path.ends_with("lockfile.toml")) {
        Project::new(&text).check().unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }
}

#[test]
fn a_good_lock_says_the_same_when_it_was_written_anew() {
    for (path, text) in good_locks() {
        let lock = Lock::parse(&path, &text).unwrap();
        let again = toml::to_string(&lock).unwrap();
        assert_eq!(Lock::parse(&path, &again).unwrap(), lock, "{}", path.display());
    }
}

/// What the releases say of themselves goes with the addresses and digests of their components and images.
#[test]
fn the_releases_of_the_projects_lock_are_what_they_say() {
    let lock = Lock::load(&project().join("lockfile.toml")).unwrap();
    for (name, release) in lock.release.iter().filter(|(name, _)| name.starts_with('v')) {
        assert!(
            release.kubernetes.starts_with(&format!("{}.", &name[1..])),
            "{name}: {}",
            release.kubernetes
        );
        for (component, version) in [("kubernetes", &release.kubernetes), ("containerd", &release.containerd)]
        {
            let downloads = match &release.component[component] {
                Component::Url(downloads) => downloads,
                Component::Build { build } => {
                    let go = lock.build[build].go().unwrap();
                    assert_eq!(go.version, format!("v{version}"), "{name}: {component}");
                    continue;
                }
                other => panic!("{name} {component}: {other:?}"),
            };
            for url in downloads.iter().flat_map(|download| &download.urls) {
                assert!(url.contains(&format!("v{version}/")), "{name}: {component} {version} is at {url}");
            }
        }
        for (component, from) in &release.component {
            let Component::Url(downloads) = from else { continue };
            for download in downloads {
                assert!(download.hash(Arch::Amd64).is_some(), "{name}: {component} has none for amd64");
                for arch in [Arch::Amd64, Arch::Arm64] {
                    let addresses = download.addresses(arch);
                    assert!(addresses.iter().all(|url| url.starts_with("https://") && !url.contains('{')));
                }
            }
        }
        for (image, made) in &release.image {
            let Content::Registry(digests) = &made.content else { continue };
            assert_eq!(digests.len(), 2, "{name}: {image}");
        }
    }
}

#[test]
fn a_lock_that_no_longer_follows_from_the_project_is_refused_with_the_difference() {
    let project = Project::new(&GOOD.replace(&"f".repeat(64), &"0".repeat(64)));
    let recipe = "description = \"a base\"\n[packages]\ninclude = [\"socat\", \"kmod\"]\n";
    fs::write(project.path().join("images/base/image.toml"), recipe).unwrap();
    let found = builder::embedded::sha256(Arch::Amd64);
    insta::assert_snapshot!(project.check().unwrap_err().replace(&found[..12], "HASH"));
    let project = Project::new(&GOOD.replace("  \"kmod\",\n]", "  \"kmod\",\n  \"socat\",\n]"));
    fs::write(project.path().join("images/base/image.toml"), recipe).unwrap();
    insta::assert_snapshot!(project.check().unwrap_err());
}

#[test]
fn a_lock_that_was_laid_out_by_hand_is_refused() {
    let project = Project::new(&GOOD.replace("size = 30", "size  =  30"));
    insta::assert_snapshot!(project.check().unwrap_err());
}

#[test]
fn changes_are_a_line_each() {
    let parse = |text: &str| Lock::parse(Path::new("lockfile.toml"), text).unwrap();
    let old = parse(GOOD);
    let newer = GOOD
        .replace("34.2-2", "34.2-3")
        .replace(&"d".repeat(64), &"e".repeat(64))
        .replace("1789199741", "1789199742");
    insta::assert_snapshot!(Changes::between(&old, &parse(&newer)));
    assert!(Changes::between(&old, &old).is_empty());
}

/// An archive whose Release file nobody signed.
#[test]
fn an_unsigned_archive_is_refused_and_the_lock_stays() {
    if !Path::new("/usr/bin/apt-get").exists() {
        return;
    }
    let project = Project::new(GOOD);
    let archive = project.path().join("debian/dists/trixie");
    for folder in ["main/binary-amd64", "main/source"] {
        fs::create_dir_all(archive.join(folder)).unwrap();
    }
    fs::write(
        archive.join("InRelease"),
        "Origin: Debian\nCodename: trixie\nDate: Sat, 12 Sep 2026 07:55:41 UTC\nSHA256:\n",
    )
    .unwrap();
    for index in ["main/binary-amd64/Packages.xz", "main/source/Sources.xz"] {
        fs::write(archive.join(index), "").unwrap();
    }
    let mirror = format!("file://{}", project.path().join("debian").display());
    let mirrors = Mirrors::find(Some(&mirror)).unwrap();
    let before = fs::read_to_string(project.lockfile()).unwrap();
    let (store, progress) = (Store::open(&project.path().join("store")).unwrap(), Progress::new());
    let places = (project.path(), &Recipes::of(project.path(), None));
    let update = lock::update(places, &project.lockfile(), &[], &mirrors, None, (&store, &progress));
    let error = update.unwrap_err();
    assert!(error.to_string().starts_with("the indexes of the suite `trixie` are not accepted"), "{error}");
    assert_eq!(fs::read_to_string(project.lockfile()).unwrap(), before);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Whatever a hand does to a lock, it is read or refused, never a panic; and what is read means what it says.
    #[test]
    fn a_mutated_lock_never_panics(at in 0..GOOD.len(), length in 0usize..40, put in "[\\PC\n]{0,6}") {
        let mut bytes = GOOD.as_bytes().to_vec();
        bytes.splice(at..(at + length).min(GOOD.len()), put.bytes());
        if let Ok(lock) = Lock::parse(Path::new("lockfile.toml"), &String::from_utf8_lossy(&bytes)) {
            let text = toml::to_string(&lock).unwrap();
            prop_assert_eq!(Lock::parse(Path::new("lockfile.toml"), &text).unwrap(), lock);
        }
    }
}
