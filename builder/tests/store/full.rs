//! A store on a file system without room: a small one of the kernel's memory, which only these tests see.

use std::path::Path;
use std::time::Duration;

use builder::ground::repro::sha256_hex;
use builder::store::{StepKey, Store};
use fs_err as fs;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};

use super::slow::serve;
use crate::oci::image::{CONFIG, Image, Layer};
use crate::project::Project;

const SIZE: usize = 3 << 20;

/// Makes this thread, and what it starts, see a file system of so many bytes in a folder; false when that needs a
/// right that this user does not have.
fn small(folder: &Path, size: usize) -> bool {
    fs::create_dir_all(folder).unwrap();
    let none = None::<&str>;
    if unshare(CloneFlags::CLONE_NEWNS).is_err() {
        return false;
    }
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).unwrap();
    resize(folder, size, MsFlags::empty());
    true
}

fn resize(folder: &Path, size: usize, flags: MsFlags) {
    mount(Some("tmpfs"), folder, Some("tmpfs"), flags, Some(format!("size={size}").as_str())).unwrap();
}

/// A namespace is a thread's; the folder goes when nothing is mounted on it any more.
fn with_a_small_store(size: usize, test: impl FnOnce(&Project) + Send) {
    let project = Project::large(SIZE);
    let run = || {
        if small(&project.path("store"), size) {
            test(&project);
        } else {
            crate::skip::skip("only root may mount a small file system");
        }
    };
    std::thread::scope(|scope| scope.spawn(run).join()).unwrap();
}

fn fetch(project: &Project, mirror: &str) -> (i32, String) {
    let (code, _, stderr) = project.run(&["fetch", "--profile", "small", "--debian-mirror", mirror]);
    (code, stderr)
}

fn is_clean_and_full(project: &Project) {
    let (code, _, stderr) = project.run(&["store", "verify"]);
    assert!(code == 0 && stderr.contains("3 files and 0 steps: 0 removed"), "{stderr}");
}

#[test]
fn what_cannot_fit_is_refused_with_the_room_that_it_needs() {
    with_a_small_store(1 << 20, |project| {
        let (mirror, asked) = serve(&project.path("mirror/debian"), Duration::ZERO);
        let (code, stderr) = fetch(project, &mirror);
        let store = fs::canonicalize(project.path("store")).unwrap();
        let fact = format!(
            "no room on the file system of `{}`: 1 MB free, 4 MB needed for the downloads",
            store.display()
        );
        assert!(code == 2 && stderr.contains(&fact), "{stderr}");
        assert!(stderr.contains(" store gc` removes") && stderr.contains("`--store DIR`"), "{stderr}");
        assert!(asked.lock().unwrap().is_empty(), "the mirror was asked");
        // The hint works: a larger place.
        resize(&project.path("store"), 2 * SIZE, MsFlags::MS_REMOUNT);
        let (code, stderr) = fetch(project, &mirror);
        assert_eq!(code, 0, "{stderr}");
        is_clean_and_full(project);
    });
}

#[test]
fn a_disk_that_fills_up_during_a_download_is_named_and_the_download_goes_on_later() {
    with_a_small_store(SIZE + (1 << 20), |project| {
        let (mirror, asked) = serve(&project.path("mirror/debian"), Duration::from_millis(10));
        let filler = project.path("store/filler");
        let (code, stderr) = std::thread::scope(|scope| {
            let fetched = scope.spawn(|| fetch(project, &mirror));
            // Something else takes the room once the fetch has begun.
            while !asked.lock().unwrap().iter().any(|path| path.ends_with(".deb")) {
                std::thread::sleep(Duration::from_millis(5));
            }
            // As much of it as there is.
            let _ = fs::write(&filler, vec![1; SIZE]);
            fetched.join().unwrap()
        });
        assert!(code == 2 && stderr.contains("No space left on device"), "{stderr}");
        assert!(
            stderr.contains("no room on the file system of `") && stderr.contains("4 MB needed"),
            "{stderr}"
        );
        assert_eq!(project.run(&["store", "verify"]).0, 0);
        fs::remove_file(filler).unwrap();
        let (code, stderr) = fetch(project, &mirror);
        assert_eq!(code, 0, "{stderr}");
        is_clean_and_full(project);
    });
}

/// An image of the lock, which is in a folder of this machine; the environment that says so.
fn with_image(project: &Project) -> String {
    let layers = |_: &str| [vec![1; SIZE], vec![2; SIZE]].map(Layer::plain);
    let image = Image::of_layers(&["amd64"], layers, CONFIG);
    for (digest, bytes) in image.all() {
        let path = project.path("layouts/web/blobs/sha256").join(&digest[7..]);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    let lock = fs::read_to_string(project.path("lockfile.toml")).unwrap();
    let entry = format!(
        "[release.upstream.image.web]\nreference = \"registry.example/web:1\"\ndigest = {{ amd64 = \"{}\" }}\n\n[deb]",
        image.digest()
    );
    project.write("lockfile.toml", &lock.replacen("[deb]", &entry, 1));
    let role = fs::read_to_string(project.path("images/tiny/image.toml")).unwrap();
    project.write("images/tiny/image.toml", &format!("{role}\"images:web.tar\" = \"/web.tar\"\n"));
    format!("https://registry.example=file://{}", project.path("layouts").display())
}

#[test]
fn a_container_image_that_cannot_fit_is_refused_and_a_full_disk_is_not_the_network() {
    with_a_small_store(2 * SIZE, |project| {
        let mirror = format!("file://{}", project.path("mirror/debian").display());
        assert_eq!(fetch(project, &mirror).0, 0);
        let maps = with_image(project);
        let args = ["fetch", "--profile", "small", "--debian-mirror", &mirror];
        let fetch = || {
            let (code, _, stderr) = project.run_with(&[("KILN_MIRRORS", &maps)], &args);
            (code, stderr)
        };
        let filler = project.path("store/filler");
        // As much of it as there is.
        let _ = fs::write(&filler, vec![1; 2 * SIZE]);
        let (code, stderr) = fetch();
        assert!(code == 2 && stderr.contains("0 MB free, 0 MB needed for a download\n"), "{stderr}");
        assert!(
            stderr.contains("No space left on device") && stderr.contains(" store gc` removes"),
            "{stderr}"
        );
        fs::remove_file(filler).unwrap();
        let before = fs::read_dir(project.path("store/files")).unwrap().count();
        let (code, stderr) = fetch();
        assert!(code == 2 && stderr.contains("3 MB free, 7 MB needed for the downloads\n"), "{stderr}");
        // Its three documents.
        assert_eq!(fs::read_dir(project.path("store/files")).unwrap().count(), before + 3);
        resize(&project.path("store"), 5 * SIZE, MsFlags::MS_REMOUNT);
        let (code, stderr) = fetch();
        assert_eq!(code, 0, "{stderr}");
        assert_eq!(fs::read_dir(project.path("store/files")).unwrap().count(), before + 5);
    });
}

#[test]
fn a_file_of_this_machine_that_cannot_fit_is_refused() {
    with_a_small_store(SIZE, |project| {
        let lock = fs::read_to_string(project.path("lockfile.toml")).unwrap();
        let tool = "tool".repeat(SIZE / 4);
        project.write("lockfile.toml", &lock.replace(&sha256_hex("tool"), &sha256_hex(&tool)));
        project.write("bin/amd64", &tool);
        project.write("store/filler", "x");
        let (code, stderr) = fetch(project, "file:///nowhere");
        assert!(code == 2 && stderr.contains("MB needed for a file of this machine\n"), "{stderr}");
        assert_eq!(fs::read_dir(project.path("store/tmp")).unwrap().count(), 0);
    });
}

#[test]
fn a_step_without_room_leaves_nothing_and_is_made_later() {
    with_a_small_store(1 << 20, |project| {
        let store = Store::open(&project.path("store")).unwrap();
        let key = StepKey::new("test", 1, &"a step");
        let make = |out: &Path| Ok(fs::write(out.join("large"), vec![1; SIZE])?);
        let error = store.step(&key, make).unwrap_err().to_string();
        assert!(error.contains("0 MB free, 12885 MB needed for a whole build\n  failed to write"), "{error}");
        assert!(
            error.contains("No space left on device") && error.contains("hint: `builder store gc`"),
            "{error}"
        );
        assert!(store.made(&key).is_none());
        assert_eq!(fs::read_dir(project.path("store/tmp")).unwrap().count(), 0);
        resize(&project.path("store"), 2 * SIZE, MsFlags::MS_REMOUNT);
        assert!(store.step(&key, make).unwrap().join("large").exists());
    });
}
