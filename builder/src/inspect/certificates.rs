//! The certificates in an image: those in files of its own, and those of the identity partition.

use std::io::{self, Read};

use serde::Serialize;
use x509_cert::Certificate as X509;
use x509_cert::der::DecodePem;

use crate::disk::file::DiskRange;
use crate::ground::repro::sha256_hex;
use crate::inspect::files::{FileSystem, Files, Kind, shown};
use crate::inspect::system::packages::Owners;

/// The most bytes of a file with certificates.
const LARGEST: u64 = 1 << 20;

/// The lines around a certificate (RFC 7468).
const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const END: &str = "-----END CERTIFICATE-----";

/// A certificate.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Certificate {
    /// The file that it is in; of the identity partition `node:/path`.
    pub path: String,
    /// Whose it is.
    pub subject: String,
    /// Who signed it.
    pub issuer: String,
    /// The last day on which it holds, UTC: `2036-11-18`.
    pub ends: String,
}

/// A file of the identity partition, which is a tar archive with a folder for each node.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct IdentityFile {
    /// The node.
    pub node: String,
    /// Where it goes on the node.
    pub path: String,
    /// Permission bits.
    pub mode: u32,
    /// Bytes.
    pub size: u64,
    /// SHA-256 of its bytes; not printed, since it may be of few possible ones.
    #[serde(skip)]
    pub sha256: String,
}

/// The certificates of files that no package brought.
///
/// # Errors
/// When the file system is damaged.
pub fn of_files(fs: &FileSystem, files: &Files, owners: &Owners) -> io::Result<Vec<Certificate>> {
    let mut found = Vec::new();
    let named = files.iter().filter(|(path, node)| {
        node.kind == Kind::File
            && node.size <= LARGEST
            && [&b".crt"[..], b".pem", b".cer"].iter().any(|end| path.ends_with(end))
            && owners.of(path).is_none()
            // Made at installation, of the package with the authorities that browsers trust.
            && !path.starts_with(b"etc/ssl/certs/")
    });
    for (path, _) in named {
        let text = fs.bytes(path, LARGEST)?;
        found.extend(of_text(&shown(path), &String::from_utf8_lossy(&text)));
    }
    Ok(found)
}

/// What the identity partition holds. One that is empty has no files.
#[derive(Debug, Clone, Default)]
pub struct Identities {
    /// Its files.
    pub files: Vec<IdentityFile>,
    /// The certificates in them.
    pub certificates: Vec<Certificate>,
    /// Where the archive ends, from the partition's begin.
    pub end: u64,
}

/// Reads the identity partition.
///
/// # Errors
/// When the disk cannot be read, or what is there is no archive.
pub fn of_identities(partition: &DiskRange) -> io::Result<Identities> {
    let mut found = Identities::default();
    let mut archive = tar::Archive::new(partition.clone());
    for entry in archive.entries()? {
        let mut entry = entry?;
        let (size, mode) = (entry.size(), entry.header().mode()?);
        found.end = entry.raw_file_position().saturating_add(size);
        let path = String::from_utf8_lossy(&entry.path_bytes()).escape_debug().to_string();
        let (node, path) = path.split_once('/').unwrap_or(("", &path));
        let (node, path) = (node.to_owned(), format!("/{path}"));
        if !entry.header().entry_type().is_file() {
            continue;
        }
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes)?;
        if path.ends_with(".crt") {
            found.certificates.extend(of_text(&format!("{node}:{path}"), &String::from_utf8_lossy(&bytes)));
        }
        found.files.push(IdentityFile { node, path, mode, size, sha256: sha256_hex(&bytes) });
    }
    Ok(found)
}

/// The certificates of a text, whatever else is in it.
fn of_text<'a>(path: &'a str, text: &'a str) -> impl Iterator<Item = Certificate> {
    let blocks = text.match_indices(BEGIN).filter_map(|(from, _)| {
        let end = text[from..].find(END)?;
        text.get(from..from + end + END.len())
    });
    blocks.filter_map(move |block| {
        let certificate = X509::from_pem(format!("{block}\n")).ok()?;
        let certificate = certificate.tbs_certificate();
        let ends = certificate.validity().not_after.to_string();
        Some(Certificate {
            path: path.to_owned(),
            subject: certificate.subject().to_string().escape_debug().to_string(),
            issuer: certificate.issuer().to_string().escape_debug().to_string(),
            ends: ends.split('T').next().unwrap_or_default().to_owned(),
        })
    })
}
