//! Secrets that lie on a disk in the clear: private keys, kubeconfigs, tokens and password hashes, in files, in what was
//! deleted, and in what no file has.
//!
//! A secret is known by its form. What is compressed or encrypted is not looked into, and a secret without a form (a
//! word, a bare number) is not found.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};

use aho_corasick::AhoCorasick;
use serde::Serialize;

use crate::disk::file::DiskRange;
use crate::ground::repro::sha256_hex;
use crate::inspect::files::{FileSystem, Files, Kind, shown};

/// Bytes that are searched at once.
const PART: usize = 1 << 20;

/// Bytes behind the begin of a secret that tell whether it is one.
const TELLING: usize = 160;

/// How secrets begin, and what each kind is called.
const BEGINS: [(&[u8], &str); 17] = [
    (b"-----BEGIN PRIVATE KEY-----", KEY),
    (b"-----BEGIN ENCRYPTED PRIVATE KEY-----", KEY),
    (b"-----BEGIN EC PRIVATE KEY-----", KEY),
    (b"-----BEGIN RSA PRIVATE KEY-----", KEY),
    (b"-----BEGIN DSA PRIVATE KEY-----", KEY),
    (b"-----BEGIN OPENSSH PRIVATE KEY-----", KEY),
    // The same in base64, as kubeconfigs and Secrets hold them: the first bytes that do not depend on what follows.
    (b"LS0tLS1CRUdJTiBQUklWQVRFIEtFWS0tLS0t", KEY),
    (b"LS0tLS1CRUdJTiBFQyBQUklWQVRFIEtFWS0tLS0t", KEY),
    (b"LS0tLS1CRUdJTiBSU0EgUFJJVkFURSBLRVktLS0tL", KEY),
    (b"LS0tLS1CRUdJTiBPUEVOU1NIIFBSSVZBVEUgS0VZLS0tLS", KEY),
    (b"$y$", HASH),
    (b"$6$", HASH),
    (b"$5$", HASH),
    (b"$2b$", HASH),
    (b"eyJhbGciOi", TOKEN),
    (b"token: ", TOKEN),
    (b"secret: ", SECRET),
];

const KEY: &str = "a private key";
const HASH: &str = "a password's hash";
const TOKEN: &str = "a token";
const SECRET: &str = "an encryption key";

/// A secret, without its bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Found {
    /// What it is.
    pub kind: &'static str,
    /// The path of the file that holds it; none when none does.
    pub path: Option<String>,
    /// Where it begins, from the partition's begin; none when a file is named.
    pub byte: Option<u64>,
}

/// A kind, and the sum of its first bytes: the same secret has the same.
type Mark = (&'static str, String);

/// The secrets of a partition without a file system that is read here.
///
/// # Errors
/// When the disk cannot be read.
pub fn in_bytes(partition: &DiskRange) -> io::Result<Vec<Found>> {
    let found = raw(&search()?, partition)?.into_iter();
    Ok(found.map(|(byte, (kind, _))| Found { kind, path: None, byte: Some(byte) }).collect())
}

/// The secrets of a file system: those of each file, then those that are in none.
///
/// # Errors
/// When it is damaged.
pub fn in_files(partition: &DiskRange, fs: &FileSystem, files: &Files) -> io::Result<Vec<Found>> {
    let (search, mut found) = (search()?, Vec::new());
    // How often each mark is there, in the order of the places.
    let mut places: BTreeMap<Mark, Vec<u64>> = BTreeMap::new();
    for (byte, mark) in raw(&search, partition)? {
        places.entry(mark).or_default().push(byte);
    }
    let mut seen = BTreeSet::new();
    let regular = files.iter().filter(|(_, node)| node.kind == Kind::File && node.size > 0);
    for (path, node) in regular {
        if !seen.insert(node.inode) {
            continue;
        }
        for (kind, sum) in in_reader(&search, fs.read(path)?)? {
            found.push(Found { kind, path: Some(shown(path)), byte: None });
            // One of the places is that of this file.
            if let Some(places) = places.get_mut(&(kind, sum)) {
                places.pop();
            }
        }
    }
    let rest = places.into_iter().flat_map(|((kind, _), places)| {
        places.into_iter().map(move |byte| Found { kind, path: None, byte: Some(byte) })
    });
    found.extend(rest);
    Ok(found)
}

/// Every secret with its place, whatever it is in.
fn raw(search: &AhoCorasick, partition: &DiskRange) -> io::Result<Vec<(u64, Mark)>> {
    let mut found = Vec::new();
    for at in partition.filled(PART as u64)? {
        let length = (partition.size() - at).min((PART + TELLING) as u64) as usize;
        let mut bytes = vec![0; length];
        partition.read_at(at, &mut bytes)?;
        let marks = marks(search, &bytes).into_iter().filter(|(begin, _)| *begin < PART);
        found.extend(marks.map(|(begin, mark)| (at + begin as u64, mark)));
    }
    Ok(found)
}

/// The secrets of a stream.
fn in_reader(search: &AhoCorasick, mut reader: impl Read) -> io::Result<Vec<Mark>> {
    let (mut found, mut bytes) = (Vec::new(), Vec::new());
    loop {
        let kept = bytes.len();
        (&mut reader).take(PART as u64).read_to_end(&mut bytes)?;
        let is_last = bytes.len() == kept;
        let most = if is_last { bytes.len() } else { bytes.len().saturating_sub(TELLING) };
        let marks = marks(search, &bytes).into_iter().filter(|(begin, _)| *begin < most);
        found.extend(marks.map(|(_, mark)| mark));
        if is_last {
            return Ok(found);
        }
        bytes.drain(..most);
    }
}

fn search() -> io::Result<AhoCorasick> {
    AhoCorasick::new(BEGINS.map(|(begin, _)| begin)).map_err(io::Error::other)
}

/// Where secrets begin.
fn marks(search: &AhoCorasick, bytes: &[u8]) -> Vec<(usize, Mark)> {
    let candidates = search.find_overlapping_iter(bytes).filter_map(|found| {
        let (_, kind) = BEGINS[found.pattern().as_usize()];
        let behind = &bytes[found.end()..bytes.len().min(found.start() + TELLING)];
        is_secret(kind, &bytes[found.start()..found.end()], behind).then(|| {
            // Where a file ends, zeros follow on the disk.
            let told = behind.iter().take(48).take_while(|byte| **byte != 0).count();
            let mark = (kind, sha256_hex(&bytes[found.start()..found.end() + told]));
            (found.start(), mark)
        })
    });
    candidates.collect()
}

/// Whether what follows a begin is what a secret has there, not a sentence about it.
fn is_secret(kind: &str, begin: &[u8], behind: &[u8]) -> bool {
    let run = |bytes: &[u8], also: &[u8]| {
        bytes.iter().take_while(|byte| byte.is_ascii_alphanumeric() || also.contains(byte)).count()
    };
    match kind {
        KEY if begin.starts_with(b"-----") => {
            // The end of the line, as it is or as it stands in JSON; then base64.
            let line = behind.strip_prefix(b"\r\n").or_else(|| behind.strip_prefix(b"\n"));
            let line = line.or_else(|| behind.strip_prefix(b"\\n")).unwrap_or_default();
            let text = line.trim_ascii_start();
            run(text, b"+/") >= 40 || text.starts_with(b"Proc-Type: ")
        }
        KEY => run(behind, b"+/=") >= 40,
        // Salt and hash, with a sign between them.
        HASH => {
            let length = run(behind, b"./$=,");
            length >= 40 && behind[..length].contains(&b'$')
        }
        TOKEN if begin.starts_with(b"eyJ") => {
            let length = run(behind, b"-_.");
            length >= 60 && behind[..length].contains(&b'.')
        }
        // A bootstrap token, or a longer one.
        TOKEN => {
            let text = behind.strip_prefix(b"\"").unwrap_or(behind);
            let length = run(text, b".-_");
            length >= 32 || (length == 23 && text[6] == b'.')
        }
        _ => matches!(run(behind, b"+/="), 24 | 32 | 44),
    }
}

#[cfg(test)]
mod tests {
    use super::{PART, TELLING, in_reader, search};

    fn kinds(text: &[u8]) -> Vec<&'static str> {
        in_reader(&search().unwrap(), text).unwrap().into_iter().map(|(kind, _)| kind).collect()
    }

    #[test]
    fn secrets_are_known_by_their_form() {
        let base64 = "MHcCAQEEIIrYSSNQFaA2Hwf1duRSxKtLYX5CB04fSeQ6tF1aY/PuoAoGCCqGSM49";
        for (text, kind) in [
            (format!("-----BEGIN EC PRIVATE KEY-----\n{base64}\n"), "a private key"),
            (format!("\"-----BEGIN PRIVATE KEY-----\\n{base64}\\n"), "a private key"),
            (format!("client-key-data: LS0tLS1CRUdJTiBFQyBQUklWQVRFIEtFWS0tLS0tCk{base64}"), "a private key"),
            (
                "root:$y$j9T$F5Jx5fExrKuPp53xLKQ..1$X3DX6M94c7o.9agCG9G317fhZg9SqC.5i5rd.RhAtQ7:1".into(),
                "a password's hash",
            ),
            (
                "passwd: $6$salt$xkcdcorrecthorsebatterystaplexkcdcorrecthorsebatterystaple".into(),
                "a password's hash",
            ),
            ("    token: abcdef.0123456789abcdef\n".into(), "a token"),
            ("    secret: YWJjZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXoxMjM0NTY=\n".into(), "an encryption key"),
        ] {
            assert_eq!(kinds(text.as_bytes()), [kind], "{text}");
        }
        for text in [
            "-----BEGIN EC PRIVATE KEY-----\nyour key here\n",
            "-----BEGIN EC PRIVATE KEY-----",
            "the prefix $6$ is SHA-512",
            "token: a word",
            "secret: name-of-a-secret",
            "",
        ] {
            assert_eq!(kinds(text.as_bytes()), Vec::<&str>::new(), "{text}");
        }
    }

    #[test]
    fn where_parts_meet_it_is_found_once() {
        let secret = b"token: abcdef.0123456789abcdef\n";
        for before in [PART - 40, PART - 10, PART - TELLING, PART - TELLING - 20, PART, 3 * PART - 5] {
            let text = [&vec![b'x'; before][..], secret, &[b'\n'; 300]].concat();
            assert_eq!(kinds(&text), ["a token"], "{before}");
        }
    }
}
