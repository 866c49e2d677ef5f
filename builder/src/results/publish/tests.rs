use std::collections::BTreeMap;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use fs_err as fs;

use crate::disk::Format;
use crate::ground::hash::Sha256Hex;
use crate::ground::repro::sha256_hex;
use crate::results::publish::{self, FreshSet, remove_unneeded};

fn image_path(sha256: &Sha256Hex) -> PathBuf {
    publish::image_path(sha256, Format::Qcow2)
}

fn sha256(content: &str) -> Sha256Hex {
    sha256_hex(content).parse().unwrap()
}

/// A build's set: an image of some content for each role, and a report that names them.
fn publish(results: &Path, images: &[(&str, &str)]) {
    let set = FreshSet::begin(results).unwrap();
    let mut report = String::new();
    for (role, content) in images {
        let (made, sha256) = (set.folder().join("made"), sha256(content));
        fs::write(&made, content).unwrap();
        let known = results.join(image_path(&sha256)).exists();
        set.image(&format!("{role}.qcow2"), (&sha256, Format::Qcow2), (!known).then_some(&made)).unwrap();
        let _ = fs::remove_file(made);
        report += &format!("{role} {sha256}\n");
    }
    fs::write(set.folder().join("report"), report).unwrap();
    fs::create_dir(set.folder().join("seeds")).unwrap();
    fs::write(set.folder().join("seeds/a.iso"), images[0].1).unwrap();
    set.publish().unwrap();
}

/// The files that a person sees, by name.
fn seen(results: &Path) -> BTreeMap<String, String> {
    let entries = fs::read_dir(results).unwrap().map(|entry| entry.unwrap());
    let files = entries.filter(|entry| fs::metadata(entry.path()).is_ok_and(|metadata| metadata.is_file()));
    files.map(|file| (name(&file.path()), fs::read_to_string(file.path()).unwrap())).collect()
}

fn name(path: &Path) -> String {
    path.file_name().unwrap().to_string_lossy().into_owned()
}

fn images(results: &Path) -> usize {
    fs::read_dir(results.join("images")).unwrap().count()
}

/// A qcow2 file that lies over an image.
fn disk(path: &Path, image: &Sha256Hex) {
    let backing = Path::new("../..").join(image_path(image)).display().to_string();
    let mut header = [b"QFI\xfb".as_slice(), &3_u32.to_be_bytes(), &32_u64.to_be_bytes()].concat();
    header.extend((backing.len() as u32).to_be_bytes());
    header.resize(32, 0);
    header.extend(backing.as_bytes());
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, header).unwrap();
}

#[test]
fn a_set_takes_the_place_of_the_one_before() {
    let folder = tempfile::tempdir().unwrap();
    let results = folder.path();
    publish(results, &[("control-plane", "one"), ("worker", "two")]);
    let files = seen(results);
    assert_eq!((files["control-plane.qcow2"].as_str(), files["worker.qcow2"].as_str()), ("one", "two"));
    assert_eq!(fs::read_to_string(results.join("seeds/a.iso")).unwrap(), "one");

    publish(results, &[("control-plane", "three"), ("single", "two")]);
    let files = seen(results);
    let names: Vec<&str> = files.keys().map(String::as_str).collect();
    assert_eq!(names, ["control-plane.qcow2", "report", "single.qcow2"]);
    assert_eq!((files["control-plane.qcow2"].as_str(), files["single.qcow2"].as_str()), ("three", "two"));
    assert_eq!((images(results), fs::read_dir(results.join("sets")).unwrap().count()), (2, 1));
    assert!(!results.join("worker.qcow2").is_symlink());

    // The same once more changes nothing.
    let before = fs::read_link(results.join("set")).unwrap();
    publish(results, &[("control-plane", "three"), ("single", "two")]);
    assert_eq!((fs::read_link(results.join("set")).unwrap(), seen(results)), (before, files));
}

#[test]
fn an_image_stays_as_long_as_a_disk_lies_over_it() {
    let folder = tempfile::tempdir().unwrap();
    let results = folder.path();
    publish(results, &[("worker", "one")]);
    let own = results.join("run/node-0/disk.qcow2");
    disk(&own, &sha256("one"));
    publish(results, &[("worker", "two")]);
    publish(results, &[("worker", "three")]);
    assert_eq!(fs::read_to_string(results.join(image_path(&sha256("one")))).unwrap(), "one");
    assert_eq!(images(results), 2);
    fs::remove_file(own).unwrap();
    remove_unneeded(results).unwrap();
    assert_eq!(images(results), 1);
    // A disk that nobody can read may need any of them.
    fs::write(results.join("run/node-0/disk.qcow2"), "no disk").unwrap();
    publish(results, &[("worker", "four")]);
    assert_eq!(images(results), 2);
}

#[test]
fn what_was_not_published_was_never_there() {
    let folder = tempfile::tempdir().unwrap();
    let results = folder.path();
    publish(results, &[("worker", "one")]);
    let before = seen(results);
    let set = FreshSet::begin(results).unwrap();
    fs::write(set.folder().join("report"), "half").unwrap();
    drop(set);
    assert_eq!(seen(results), before);
    // Killed: nobody cleaned up, and an image and a set came no further than to their places.
    fs::create_dir(results.join(".new-abc")).unwrap();
    fs::write(results.join(".new-abc/worker.qcow2"), "half").unwrap();
    fs::write(results.join(image_path(&sha256("lost"))), "lost").unwrap();
    fs::create_dir(results.join("sets/0000")).unwrap();
    // The set that comes next was there once, and was removed in part.
    publish(results, &[("worker", "next")]);
    let next = fs::read_link(results.join("set")).unwrap();
    publish(results, &[("worker", "one")]);
    fs::create_dir(results.join(&next)).unwrap();
    fs::write(results.join(&next).join("report"), "left").unwrap();
    publish(results, &[("worker", "next")]);
    assert_eq!((fs::read_link(results.join("set")).unwrap(), seen(results).len()), (next, 2));
    publish(results, &[("worker", "one")]);
    assert_eq!(seen(results), before);
    fs::write(results.join(image_path(&sha256("lost"))), "lost").unwrap();
    fs::create_dir(results.join("sets/0000")).unwrap();
    symlink("set/single.qcow2", results.join("single.qcow2")).unwrap();
    assert_eq!(seen(results), before);
    publish(results, &[("worker", "one")]);
    assert_eq!(seen(results), before);
    let names: Vec<String> =
        fs::read_dir(results).unwrap().map(|entry| name(&entry.unwrap().path())).collect();
    assert!(!names.iter().any(|name| name.starts_with(".new-") || name == "single.qcow2"), "{names:?}");
    assert_eq!((images(results), fs::read_dir(results.join("sets")).unwrap().count()), (1, 1));
}

#[test]
fn the_files_of_an_older_kiln_are_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let results = folder.path();
    fs::write(results.join("worker.qcow2"), "old").unwrap();
    fs::create_dir(results.join("seeds")).unwrap();
    fs::write(results.join("seeds/gone.iso"), "old").unwrap();
    publish(results, &[("worker", "one")]);
    assert_eq!(seen(results)["worker.qcow2"], "one");
    assert!(!results.join("seeds/gone.iso").exists());
}
