//! `builder store gc`.

use std::collections::BTreeSet;

use builder::deb::roots;
use builder::ground::arch::Arch;
use builder::ground::progress::Progress;
use builder::lockfile::Lock;
use builder::reach;
use builder::stage::{base, source};
use builder::store::{StepKey, Store};
use fs_err as fs;

use crate::project::Project;

/// Something made under a key that nothing leads to.
fn stray(name: &'static str) -> StepKey {
    StepKey::new(name, 1, &"an older description")
}

fn make(store: &Store, key: &StepKey) {
    store.step(key, |out| Ok(fs::write(out.join("result"), key.digest())?)).unwrap();
}

/// The disks that the project's builds would make.
fn disks(project: &Project) -> BTreeSet<String> {
    let store = Store::open(&project.path("store")).unwrap();
    let reach = reach::of(&project.path(""), None, &store, &Progress::new()).unwrap();
    reach.steps.into_iter().filter(|step| step.starts_with("disk-")).collect()
}

fn entries(project: &Project) -> BTreeSet<String> {
    let mut entries = BTreeSet::new();
    for folder in ["files", "steps", "tmp", "records"] {
        for entry in fs::read_dir(project.path("store").join(folder)).unwrap() {
            entries.insert(format!("{folder}/{}", entry.unwrap().file_name().to_str().unwrap()));
        }
    }
    entries
}

#[test]
fn what_the_lock_reaches_stays_and_everything_else_goes() {
    let project = Project::new();
    let lock = Lock::load(&project.path("lockfile.toml")).unwrap();
    let (root, arch) = (project.path(""), Arch::Amd64);
    let store = Store::open(&project.path("store")).unwrap();
    let build = &lock.build["hello"];
    let kept = [
        roots::key(&lock, "base", arch),
        base::Packages::base(&lock, arch).key(&root, &roots::key(&lock, "tools", arch)).unwrap(),
        source::key(&root, &lock, ("hello", build), arch).unwrap(),
    ];
    kept.iter().for_each(|key| make(&store, key));
    // A package, a source, both kinds of download for both architectures, a file of this machine.
    let named = ["a", "1", "2", "3", "c", "d"].map(|digit| digit.repeat(64));
    let named: Vec<String> = named.into_iter().chain(["4".repeat(128)]).collect();
    for hash in &named {
        fs::write(store.file(hash), "x").unwrap();
    }
    fs::write(store.partial(&"a".repeat(64)), "x").unwrap();
    let before = entries(&project);

    let strays = ["root", "base", "source", "disk"].map(stray);
    strays.iter().for_each(|key| make(&store, key));
    fs::write(store.file(&"e".repeat(64)), "x".repeat(5000)).unwrap();
    fs::write(store.partial(&"e".repeat(64)), "x").unwrap();
    drop(store);
    let all = entries(&project);

    let (code, plan, stderr) = project.run(&["store", "gc", "--dry-run"]);
    assert!(code == 0 && stderr.contains("6 entries") && stderr.contains("would be removed"), "{stderr}");
    assert_eq!(entries(&project), all);
    let line = plan.lines().find(|line| line.ends_with(&format!("files/{}", "e".repeat(64)))).unwrap();
    assert!(line.split_whitespace().next().unwrap().parse::<u64>().unwrap() >= 5000, "{line}");

    let (code, done, _) = project.run(&["store", "gc"]);
    assert_eq!((code, done), (0, plan));
    assert_eq!(entries(&project), before);
    assert_eq!(project.run(&["store", "gc"]).1, "");
}

#[test]
fn a_disk_stays_until_what_is_in_it_changes() {
    let project = Project::new();
    let [disk] = disks(&project).into_iter().collect::<Vec<_>>().try_into().unwrap();
    fs::create_dir(project.path("store/steps").join(&disk)).unwrap();
    assert_eq!(project.run(&["store", "gc"]).0, 0);
    assert!(project.path("store/steps").join(&disk).exists());

    project.write("images/tiny/files/etc/motd", "another greeting\n");
    assert_ne!(disks(&project), BTreeSet::from([disk.clone()]));
    let (_, stdout, _) = project.run(&["store", "gc"]);
    assert!(stdout.ends_with(&format!("  steps/{disk}\n")), "{stdout}");
    assert!(!project.path("store/steps").join(&disk).exists());
}

#[test]
fn another_folder_of_kiln_keeps_what_it_reaches() {
    let (project, other) = (Project::new(), Project::new());
    other.write("images/tiny/files/etc/motd", "theirs\n");
    let [theirs] = disks(&other).into_iter().collect::<Vec<_>>().try_into().unwrap();
    Store::open(&project.path("store")).unwrap();
    fs::create_dir(project.path("store/steps").join(&theirs)).unwrap();
    let keep = other.path("").display().to_string();
    let (code, stdout, stderr) = project.run(&["store", "gc", "--keep", &keep]);
    assert_eq!((code, stdout.as_str()), (0, ""), "{stderr}");
    assert!(project.run(&["store", "gc"]).1.contains(&theirs));
}

#[test]
fn nothing_goes_beside_a_build_or_when_something_is_misspelt() {
    let project = Project::new();
    let build = Store::open(&project.path("store")).unwrap();
    make(&build, &stray("disk"));
    let before = entries(&project);
    let (code, stdout, stderr) = project.run(&["store", "gc"]);
    assert!(code == 2 && stdout.is_empty() && stderr.contains("is in use; nothing was removed"), "{stderr}");
    // Looking is fine.
    assert_eq!(project.run(&["store", "gc", "--dry-run"]).0, 0);
    drop(build);

    for (name, text) in [
        ("profiles/small.toml", "[cluster]\nnam = \"small\"\n"),
        ("images/tiny/image.toml", "descripton = \"x\"\n"),
        ("lockfile.toml", "version = 1\n"),
    ] {
        let good = fs::read_to_string(project.path(name)).unwrap();
        project.write(name, text);
        let (code, _, stderr) = project.run(&["store", "gc"]);
        assert!(code == 1 && stderr.contains(name.rsplit('/').next().unwrap()), "{stderr}");
        project.write(name, &good);
    }
    assert_eq!(entries(&project), before);
}
