//! Source builds in the real sandbox; this machine's own shell stands in for a package root.

use crate::again::ran_again;
use std::path::{Path, PathBuf};

use assert_cmd::Command;
use builder::deb::{self, roots};
use builder::ground::arch::Arch;
use builder::ground::error::Error;
use builder::ground::progress::Progress;
use builder::ground::repro::sha256_hex;
use builder::lockfile::Lock;
use builder::sandbox::probe;
use builder::stage::source;
use builder::store::Store;
use fs_err as fs;

use crate::project::Project;

/// The root of the build of `hello`: a shell with the libraries that it wants.
fn shell(project: &Project, store: &Store) {
    let libraries = Command::new("ldd").arg("/bin/bash").output().unwrap().stdout;
    let libraries = String::from_utf8(libraries).unwrap();
    let paths = libraries.split_whitespace().filter(|word| word.starts_with('/')).chain(["/bin/bash"]);
    let make = |root: &Path| {
        for path in paths {
            let place = root.join(path.trim_start_matches('/'));
            fs::create_dir_all(place.parent().unwrap())?;
            fs::copy(path, place)?;
        }
        Ok(deb::finish_root(root)?)
    };
    store.step(&roots::key(&project.lock(), "base", Arch::HOST), make).unwrap();
}

/// A source of `hello` that says when it was released, in the store.
fn released(project: &Project, store: &Store) {
    let changelog =
        "hello (1.0-1) unstable; urgency=low\n\n -- A <a@example.org>  Sat, 12 Sep 2026 07:55:41 +0000\n";
    let mut header = tar::Header::new_gnu();
    header.set_size(changelog.len() as u64);
    header.set_mode(0o644);
    let mut archive = tar::Builder::new(liblzma::write::XzEncoder::new(Vec::new(), 0));
    archive.append_data(&mut header, "debian/changelog", changelog.as_bytes()).unwrap();
    let archive = archive.into_inner().unwrap().finish().unwrap();
    let sha256 = sha256_hex(&archive);
    let lock = fs::read_to_string(project.path("lockfile.toml")).unwrap();
    let dsc = "  { file = \"pool/main/h/hello/hello_1.0-1.dsc\"";
    let file = format!(
        "  {{ file = \"pool/main/h/hello/hello_1.0-1.debian.tar.xz\", size = {}, sha256 = \"{sha256}\" }},\n",
        archive.len()
    );
    assert!(lock.contains(dsc));
    project.write("lockfile.toml", &lock.replacen(dsc, &format!("{file}{dsc}"), 1));
    fs::write(store.file(&sha256), archive).unwrap();
}

fn compile(project: &Project, store: &Store) -> Result<PathBuf, Error> {
    let lock = project.lock();
    let build = ("hello", &lock.build["hello"]);
    source::build(&project.path(""), store, &lock, build, Arch::Amd64, &Progress::new())
}

/// The hash that an error says was found.
fn found(error: &Error) -> String {
    let text = error.to_string();
    assert!(text.contains("the source build `hello` made another `hello`"), "{text}");
    text.split("found    sha256:").nth(1).unwrap().lines().next().unwrap().to_owned()
}

#[test]
fn what_is_not_the_locks_is_compiled_again() {
    if ran_again("store::compile::what_is_not_the_locks_is_compiled_again") {
        return;
    }
    if let Err(error) = probe() {
        crate::skip::skip(&error.to_string());
        return;
    }
    let project = Project::with_content();
    let store = Store::open(&project.path("store")).unwrap();
    shell(&project, &store);
    released(&project, &store);
    project.write("recipes/hello/build.sh", "echo $RANDOM$RANDOM$RANDOM >/kiln/out/hello\n");
    let [one, other] = [(), ()].map(|()| found(&compile(&project, &store).unwrap_err()));
    assert_ne!(one, other, "the recipe was not run again");

    project.write("recipes/hello/build.sh", "echo $SOURCE_DATE_EPOCH >/kiln/out/hello\n");
    let error = compile(&project, &store).unwrap_err();
    let hash = sha256_hex("1789199741\n");
    assert_eq!(found(&error), hash);
    assert!(error.to_string().contains("write the found hash into the lockfile; the next build"), "{error}");
    let lock = fs::read_to_string(project.path("lockfile.toml")).unwrap();
    let expected = sha256_hex("made");
    project.write("lockfile.toml", &lock.replace(&expected, &hash));
    let made = compile(&project, &store).unwrap();
    assert_eq!(fs::read(made.join("hello")).unwrap(), b"1789199741\n");

    // It stays when the lock says something else later, and the error says where.
    project.write("lockfile.toml", &lock);
    let error = compile(&project, &store).unwrap_err();
    assert_eq!(found(&error), hash);
    let hint = format!("else remove `{}`, and the next build compiles it", made.display());
    assert!(error.to_string().contains(&hint), "{error}");
    fs::remove_dir_all(&made).unwrap();
    compile(&project, &store).unwrap_err();
    assert!(!made.exists());
}

#[test]
fn a_newer_lock_compiles_nothing_anew() {
    let project = Project::with_content();
    let key = |lock: &Lock| {
        source::key(&project.path(""), lock, ("hello", &lock.build["hello"]), Arch::Amd64).unwrap().folder()
    };
    let mut lock = project.lock();
    let before = key(&lock);
    lock.epoch += 1;
    assert_eq!(key(&lock), before);
    lock.source.get_mut("hello").unwrap().files.clear();
    assert_ne!(key(&lock), before);
}
