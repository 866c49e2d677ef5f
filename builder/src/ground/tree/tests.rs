//! Merges of small trees, read back entry by entry.

use std::io::Read;

use tar::{Archive, Builder, EntryType};

use crate::ground::tree::{Content, Tree, Why, header, matches, merge};

const EPOCH: i64 = 1000;

/// A base: names that end in `/` are folders, `a -> b` are links, others are files that say `base`.
fn base(names: &[&str]) -> Vec<u8> {
    let mut out = Builder::new(Vec::new());
    for name in names {
        if let Some((name, target)) = name.split_once(" -> ") {
            let mut header = header(EntryType::Symlink, 0o777, 0, EPOCH + 5);
            out.append_link(&mut header, format!("./{name}"), target).unwrap();
        } else if name.ends_with('/') {
            let mut header = header(EntryType::Directory, 0o700, 0, EPOCH - 5);
            out.append_data(&mut header, format!("./{name}"), std::io::empty()).unwrap();
        } else {
            let mut header = header(EntryType::Regular, 0o600, 4, EPOCH + 5);
            header.set_uid(7);
            out.append_data(&mut header, format!("./{name}"), b"base".as_slice()).unwrap();
        }
    }
    out.into_inner().unwrap()
}

fn overlay(names: &[&str]) -> Tree {
    let mut tree = Tree::default();
    for name in names {
        match name.split_once(" -> ") {
            Some((name, target)) => tree.link(name, target, &Why::Kiln),
            None => tree.file(name, 0o755, Content::Bytes(b"over".to_vec()), &Why::Kiln),
        }
    }
    tree
}

fn merged(base: &[u8], overlay: &Tree, removed: &[&str]) -> std::io::Result<Vec<u8>> {
    let mut out = Vec::new();
    merge(base, overlay, removed, EPOCH, &mut out)?;
    Ok(out)
}

/// A line for each entry: path, mode, owner, time, content or target.
fn listing(tar: &[u8]) -> String {
    let mut text = String::new();
    for entry in Archive::new(tar).entries().unwrap() {
        let mut entry = entry.unwrap();
        let mut content = String::new();
        entry.read_to_string(&mut content).unwrap();
        if let Some(target) = entry.link_name().unwrap() {
            content = format!("-> {}", target.display());
        }
        let path = entry.path().unwrap().display().to_string();
        let header = entry.header();
        let (mode, owner, time) = (header.mode().unwrap(), header.uid().unwrap(), header.mtime().unwrap());
        text += format!("{path} {mode:o} {owner} {time} {content}").trim_end();
        text += "\n";
    }
    text
}

#[test]
fn the_overlay_replaces_and_adds_with_the_folders_that_are_missing() {
    let base = base(
        &["", "etc/", "etc/a", "etc/b", "etc/l -> a", "usr/"]
            .map(|name| if name.is_empty() { "/" } else { name }),
    );
    let over = overlay(&["/etc/a", "etc/l", "usr/x/y/1", "usr/x/y/2", "etc/n -> b"]);
    insta::assert_snapshot!(listing(&merged(&base, &over, &[]).unwrap()), @r"
    ./ 700 0 995
    etc/ 700 0 995
    etc/b 600 7 1000 base
    usr/ 700 0 995
    etc/a 755 0 1000 over
    etc/l 755 0 1000 over
    etc/n 777 0 1000 -> b
    usr/x/ 755 0 1000
    usr/x/y/ 755 0 1000
    usr/x/y/1 755 0 1000 over
    usr/x/y/2 755 0 1000 over
    ");
}

#[test]
fn what_a_recipe_removes_is_gone() {
    let base =
        base(&["etc/", "etc/keep", "etc/ssh_key1", "etc/ssh_key2", "locale/", "locale/de/", "locale/de/x"]);
    let tar = merged(&base, &Tree::default(), &["/etc/ssh_*", "/locale/*"]).unwrap();
    insta::assert_snapshot!(listing(&tar), @r"
    etc/ 700 0 995
    etc/keep 600 7 1000 base
    locale/ 700 0 995
    ");
}

#[test]
fn patterns_name_a_path_or_a_beginning() {
    assert!(matches("/a/b", "a/b") && matches("/a/*", "a/b") && matches("/a/b*", "a/bc/d"));
    assert!(!matches("/a/*", "a") && !matches("/a/b", "a/bc") && !matches("/b", "a/b"));
}

#[test]
fn nothing_lies_below_what_is_no_folder() {
    let base = base(&["bin -> usr/bin", "etc/", "etc/file"]);
    for (names, below) in [
        (vec!["bin/x"], "/bin"),
        (vec!["etc/file/x"], "/etc/file"),
        (vec!["new -> etc", "new/x"], "/new"),
        (vec!["etc/new", "etc/new/x"], "/etc/new"),
    ] {
        let error = merged(&base, &overlay(&names), &[]).unwrap_err().to_string();
        assert!(error.contains(&format!("lies below {below}, which is no folder")), "{error}");
    }
}

#[test]
fn a_folder_is_not_replaced() {
    let error = merged(&base(&["etc/"]), &overlay(&["etc -> usr"]), &[]).unwrap_err();
    assert_eq!(error.to_string(), "the overlay replaces the folder /etc of the base");
}

#[test]
fn the_same_files_give_the_same_bytes_in_any_order() {
    let base = base(&["etc/"]);
    let (one, other) = (overlay(&["etc/a", "x/b", "c"]), overlay(&["c", "x/b", "etc/a"]));
    assert_eq!(merged(&base, &one, &[]).unwrap(), merged(&base, &other, &[]).unwrap());
    assert_eq!(one.digest().unwrap(), other.digest().unwrap());
}

#[test]
fn what_comes_later_has_its_folders_and_nothing_of_the_base() {
    let base = base(&["etc/", "etc/a"]);
    let overlay = overlay(&["etc/a", "etc/l -> a", "x/b"]);
    let text = listing(&merged(&base, &overlay.without_bytes(), &[]).unwrap());
    assert_eq!(text, "etc/ 700 0 995\netc/l 777 0 1000 -> a\nx/ 755 0 1000\n");
    let later: Vec<_> = overlay.bytes().map(|(path, mode, bytes)| (path, mode, bytes.len())).collect();
    assert_eq!(later, [("etc/a", 0o755, 4), ("x/b", 0o755, 4)]);
}

#[test]
fn only_the_names_count_of_what_comes_later() {
    let digest = |name: &str, mode, bytes: &[u8]| {
        let mut tree = Tree::default();
        tree.file(name, mode, Content::Bytes(bytes.to_vec()), &Why::Kiln);
        tree.without_bytes().digest().unwrap()
    };
    assert_eq!(digest("a", 0o644, b"x"), digest("a", 0o600, b"y"));
    assert_ne!(digest("a", 0o644, b"x"), digest("b", 0o644, b"x"));
}

#[test]
fn the_digest_sees_path_mode_content_and_target() {
    let digest = |change: fn(&mut Tree)| {
        let mut tree = overlay(&["a", "l -> a"]);
        change(&mut tree);
        tree.digest().unwrap()
    };
    let digests = [
        digest(|_| ()),
        digest(|tree| assert!(tree.set_mode("a", 0o644))),
        digest(|tree| tree.file("a", 0o755, Content::Bytes(b"other".to_vec()), &Why::Kiln)),
        digest(|tree| tree.link("l", "b", &Why::Kiln)),
        digest(|tree| tree.link("a", "a", &Why::Kiln)),
        digest(|tree| tree.file("b", 0o755, Content::Bytes(Vec::new()), &Why::Kiln)),
        digest(|tree| tree.file("s", 0o755, Content::Path("steps/one/file".into()), &Why::Kiln)),
        digest(|tree| tree.file("s", 0o755, Content::Path("steps/two/file".into()), &Why::Kiln)),
    ];
    let different: std::collections::BTreeSet<_> = digests.iter().collect();
    assert_eq!(different.len(), digests.len());
}

#[test]
fn only_files_have_a_mode_of_their_own() {
    let mut tree = overlay(&["l -> a"]);
    assert!(!tree.set_mode("l", 0o600) && !tree.set_mode("none", 0o600));
}

#[test]
fn long_names_are_kept() {
    let long = format!("etc/{}/{}", "d".repeat(90), "f".repeat(120));
    let link = format!("etc/l -> {}", "t".repeat(150));
    let text = listing(
        &merged(&base(&["etc/", &long, &link]), &overlay(&[&long.replace("/f", "/g")]), &[]).unwrap(),
    );
    assert!(text.contains(&format!("./{long} 600 7 1000 base")) && text.contains(&"t".repeat(150)), "{text}");
    assert!(text.contains(&format!("./{} 755 0 1000 over", long.replace("/f", "/g"))), "{text}");
}
