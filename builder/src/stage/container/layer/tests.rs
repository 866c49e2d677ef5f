use std::collections::BTreeMap;
use std::io::Read;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use fs_err as fs;
use tar::{Archive, EntryType};

use crate::ground::error::Error;
use crate::lockfile::format::{ContainerImage, Content, Made, Program};
use crate::stage::container::layer::{check_loader, of_program, of_root};

/// The entries of a layer by name: kind, mode and bytes, or where a link leads.
fn read(layer: &[u8]) -> BTreeMap<String, (EntryType, u32, String)> {
    let mut files = BTreeMap::new();
    for entry in Archive::new(layer).entries().unwrap() {
        let mut entry = entry.unwrap();
        let header = entry.header().clone();
        assert_eq!((header.uid().unwrap(), header.gid().unwrap(), header.mtime().unwrap()), (0, 0, 1000));
        let mut text = String::new();
        entry.read_to_string(&mut text).unwrap();
        if let Some(target) = entry.link_name().unwrap() {
            text = target.display().to_string();
        }
        let name = entry.path().unwrap().display().to_string();
        files.insert(name, (header.entry_type(), header.mode().unwrap(), text));
    }
    files
}

/// A root as packages unpack to one, with a mode that an ordinary user's umask gives a folder.
fn root(folder: &Path) {
    for name in ["usr/bin", "usr/lib64", "tmp", "usr/share/doc/curl", "usr/share/man/man1"] {
        fs::create_dir_all(folder.join(name)).unwrap();
    }
    let documents = ["doc/curl/copyright", "doc/curl/README", "man/man1/curl.1.gz"];
    let documents = documents.map(|name| format!("usr/share/{name}"));
    let programs = ["usr/bin/curl", "usr/bin/nc.openbsd", "usr/lib64/ld-linux-x86-64.so.2"];
    for name in programs.into_iter().chain(documents.iter().map(String::as_str)) {
        fs::write(folder.join(name), "ELF").unwrap();
    }
    for (name, mode) in [("usr", 0o700), ("usr/bin/curl", 0o755)] {
        fs::set_permissions(folder.join(name), std::fs::Permissions::from_mode(mode)).unwrap();
    }
    symlink("usr/bin", folder.join("bin")).unwrap();
    symlink("usr/lib64", folder.join("lib64")).unwrap();
}

fn program() -> Program {
    let links = vec!["/agnhost".to_owned()];
    Program {
        program: "e2e:agnhost".to_owned(),
        path: "/bin/agnhost".to_owned(),
        links,
        files: BTreeMap::new(),
    }
}

#[test]
fn a_root_becomes_a_layer_in_which_everything_is_root_s() {
    let folder = tempfile::tempdir().unwrap();
    root(folder.path());
    let files = read(&of_root(folder.path(), 1000).unwrap());
    assert_eq!(files["usr/bin/curl"], (EntryType::Regular, 0o755, "ELF".to_owned()));
    assert_eq!(files["usr/bin/nc"], (EntryType::Symlink, 0o777, "nc.openbsd".to_owned()));
    assert_eq!(files["bin"], (EntryType::Symlink, 0o777, "usr/bin".to_owned()));
    assert_eq!((files["usr/"].1, files["tmp/"].1), (0o755, 0o1777));
    // Of documentation the licences.
    let documents = files.keys().filter(|name| name.starts_with("usr/share/") && !name.ends_with('/'));
    assert_eq!(documents.collect::<Vec<_>>(), ["usr/share/doc/curl/copyright"]);
}

#[test]
fn a_program_s_layer_keeps_the_links_of_what_is_below() {
    let folder = tempfile::tempdir().unwrap();
    root(folder.path());
    let files = BTreeMap::from([("/bin/agnhost", b"ELF".to_vec())]);
    let alone = read(&of_program(&program(), &files, None, 1000).unwrap());
    assert_eq!(alone.keys().collect::<Vec<_>>(), ["agnhost", "bin/", "bin/agnhost", "tmp/"]);
    let above = read(&of_program(&program(), &files, Some(folder.path()), 1000).unwrap());
    assert_eq!(above.keys().collect::<Vec<_>>(), ["agnhost", "bin/agnhost"]);
}

#[test]
fn a_program_without_its_loader_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    root(folder.path());
    let made = Made { root: None, program: None, entrypoint: Vec::new() };
    let image = ContainerImage { reference: "example.local/e2e:1".to_owned(), content: Content::Made(made) };
    let check = |bytes: &[u8], root| check_loader(&image, "e2e:agnhost", bytes, root);
    let dynamic = with_loader(b"/lib64/ld-linux-x86-64.so.2\0");
    assert!(check(&dynamic, Some(folder.path())).is_ok());
    assert!(check(b"#!/bin/sh\n", None).is_ok());
    assert!(check(&with_loader(b"/lib/ld-musl-x86_64.so.1\0"), Some(folder.path())).is_err());
    let error = Error::from(check(&dynamic, None).unwrap_err()).to_string();
    insta::assert_snapshot!(error, @r"
    the program `e2e:agnhost` of the container image `example.local/e2e:1` needs the loader `/lib64/ld-linux-x86-64.so.2`, which is not in it

    hint: compile it without C, or give the image a `root` whose packages have it: libc6
    ");
}

/// An ELF file of 64 bits with one segment, the name of a loader (elf(5)).
fn with_loader(name: &[u8]) -> Vec<u8> {
    let size = name.len() as u64;
    let mut file = vec![0x7f, b'E', b'L', b'F', 2, 1, 1];
    file.resize(16, 0);
    file.extend([2_u16, 62].map(u16::to_le_bytes).concat());
    file.extend(1_u32.to_le_bytes());
    file.extend([0_u64, 64, 0].map(u64::to_le_bytes).concat());
    file.extend(0_u32.to_le_bytes());
    file.extend([64_u16, 56, 1, 64, 0, 0].map(u16::to_le_bytes).concat());
    file.extend([3_u32, 4].map(u32::to_le_bytes).concat());
    file.extend([120, 0, 0, size, size, 1].map(u64::to_le_bytes).concat());
    file.extend(name);
    file
}
