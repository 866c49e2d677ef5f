//! Secrets that lie on a disk in the clear: private keys, kubeconfigs, tokens and password hashes, in files, in what was
//! deleted, and in what no file has.
//!
//! A secret is known by its form. What is compressed or encrypted is not looked into, and a secret without a form (a
//! word, a bare number) is not found.

mod forms;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};

use aho_corasick::AhoCorasick;
use serde::Serialize;

use crate::disk::file::DiskRange;
use crate::ground::repro::sha256_hex;
use crate::inspect::files::{FileSystem, Files, Kind, shown};
use crate::inspect::secrets::forms::{FORMS, Form};

/// Bytes that are searched at once.
const PART: usize = 1 << 20;

/// Bytes behind the begin of a secret that tell whether it is one.
const TELLING: usize = 160;

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
    AhoCorasick::new(FORMS.map(|form| form.begin)).map_err(io::Error::other)
}

/// Where secrets begin.
fn marks(search: &AhoCorasick, bytes: &[u8]) -> Vec<(usize, Mark)> {
    let candidates = search.find_overlapping_iter(bytes).filter_map(|found| {
        let Form { kind, follows, .. } = FORMS[found.pattern().as_usize()];
        let behind = &bytes[found.end()..bytes.len().min(found.start() + TELLING)];
        follows(behind).then(|| {
            // Where a file ends, zeros follow on the disk.
            let told = behind.iter().take(48).take_while(|byte| **byte != 0).count();
            let mark = (kind, sha256_hex(&bytes[found.start()..found.end() + told]));
            (found.start(), mark)
        })
    });
    candidates.collect()
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
            (format!("-----BEGIN PGP PRIVATE KEY BLOCK-----\n\n{base64}\n"), "a private key"),
            ("root:$1$abcdefgh$0123456789012345678901:1".into(), "a password's hash"),
            (format!("x $argon2id$v=19$m=65536,t=3,p=4$c2FsdHNhbHQ${}", "a".repeat(43)), "a password's hash"),
            (
                "root:$2b$12$QOauhQNbBCuQDKes6eFzPeMqBSjb7Mr5DUmpZ/VcEd00UAV/LDeSi:".into(),
                "a password's hash",
            ),
            (format!("GITHUB_TOKEN=ghp_{}\n", "a1".repeat(18)), "a token"),
            (format!("aws_secret_access_key = {}\n", "aB3/".repeat(10)), "a token"),
            ("    token: abcdef.0123456789abcdef\n".into(), "a token"),
            ("    secret: YWJjZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXoxMjM0NTY=\n".into(), "an encryption key"),
        ] {
            assert_eq!(kinds(text.as_bytes()), [kind], "{text}");
        }
        for text in [
            "-----BEGIN EC PRIVATE KEY-----\nyour key here\n",
            "-----BEGIN EC PRIVATE KEY-----",
            "the prefix $6$ is SHA-512",
            "printf '%s $1$two' \"$1$2\"",
            // What programs have that take as long for nobody.
            "$2a$10$xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
            "$2a$00$uD709vfamulimlGcq0qq3UvuUasvEaVUrPmXD6q/nVSSp7pNDhCR9071IfIRe",
            "$2y$10$QOauhQNbBCuQDKes6eFzPeMqBSjb7Mr5DUmpZ/VcEd00UAV/LDeSifailed",
            "ghp_ and glpat-something-that-is-no-token",
            "token: a word",
            "secret: name-of-a-secret",
            "",
        ] {
            assert_eq!(kinds(text.as_bytes()), Vec::<&str>::new(), "{text}");
        }
    }

    /// As files hold them that are not text.
    #[test]
    fn keys_in_der_are_known() {
        use p256::pkcs8::EncodePrivateKey as _;
        let key = p256::SecretKey::from_slice(&[7; 32]).unwrap();
        for der in [key.to_pkcs8_der().unwrap().as_bytes().to_vec(), key.to_sec1_der().unwrap().to_vec()] {
            assert_eq!(kinds(&[&[0; 9][..], &der, &[0; 200]].concat()), ["a private key"]);
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
