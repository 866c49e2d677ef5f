//! The files of two file systems, path by path.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufRead, BufReader, Read};

use crate::ground::repro::sha256_hex;
use crate::inspect::Root;
use crate::inspect::diff::difference::{ATTRIBUTES, Area, Difference, Fields, fields};
use crate::inspect::files::{Kind, Node, shown};

/// The paths that one has alone, and what differs at those that both have.
///
/// # Errors
/// When a file system is damaged.
pub(super) fn differences(first: &Root, second: &Root) -> io::Result<Vec<Difference>> {
    let paths: BTreeSet<_> = first.files.keys().chain(second.files.keys()).collect();
    let mut found = Vec::new();
    for path in paths {
        let name = shown(path);
        match (first.files.get(path), second.files.get(path)) {
            (Some(mine), Some(theirs)) => {
                found.extend(fields(Area::File, &name, &of(mine), &of(theirs)));
                if mine.kind == Kind::File && theirs.kind == Kind::File {
                    found.extend(content(&name, first, second, path)?);
                }
            }
            (mine, theirs) => {
                let line = |node: &Node| format!("{}, {} bytes", kind(node), node.size);
                found.push(Difference::only(Area::File, &name, mine.map(line), theirs.map(line)));
            }
        }
    }
    Ok(found)
}

/// Where the bytes of two files first differ.
fn content(name: &str, first: &Root, second: &Root, path: &[u8]) -> io::Result<Option<Difference>> {
    let (mut mine, mut theirs) = (buffered(first.fs.read(path)?), buffered(second.fs.read(path)?));
    let mut at = 0_u64;
    loop {
        let (left, right) = (mine.fill_buf()?, theirs.fill_buf()?);
        let length = left.len().min(right.len());
        if let Some(index) = left[..length].iter().zip(right).position(|(left, right)| left != right) {
            let field = format!("content, byte {}", at + index as u64);
            return Ok(Some(Difference::untold(Area::File, name, &field)));
        }
        // One ends here: their sizes differ, which is told.
        if length == 0 {
            return Ok(None);
        }
        at += length as u64;
        mine.consume(length);
        theirs.consume(length);
    }
}

fn buffered<R: Read>(reader: R) -> BufReader<R> {
    BufReader::with_capacity(1 << 18, reader)
}

/// What is said of a file, by the names that stat(1) and getfattr(1) have.
fn of(node: &Node) -> Fields {
    let attributes = node.attributes.keys().map(String::as_str).collect::<Vec<_>>().join(" ");
    let values: String = node.attributes.values().map(sha256_hex).collect();
    let mut fields = BTreeMap::from([
        ("type", kind(node)),
        ("mode", format!("{:04o}", node.mode)),
        ("uid", node.uid.to_string()),
        ("gid", node.gid.to_string()),
        ("mtime", format!("{}.{:09}", node.modified.0, node.modified.1)),
        ("ctime", node.changed.to_string()),
        ("crtime", node.created.map_or_else(String::new, |at| at.to_string())),
        ("links", node.links.to_string()),
        ("xattr", attributes),
        (ATTRIBUTES, values),
    ]);
    if node.kind != Kind::Folder {
        fields.insert("size", node.size.to_string());
    }
    fields
}

fn kind(node: &Node) -> String {
    match &node.kind {
        Kind::File => "file".to_owned(),
        Kind::Folder => "directory".to_owned(),
        Kind::Link(target) => format!("link to {}", String::from_utf8_lossy(target).escape_debug()),
        Kind::Device(letter, major, minor) => format!("device {letter} {major}:{minor}"),
        Kind::Pipe => "pipe".to_owned(),
        Kind::Socket => "socket".to_owned(),
    }
}
