//! The hashes of go.sum (<https://go.dev/ref/mod#go-sum-files>, golang.org/x/mod/sumdb/dirhash `Hash1`): the SHA-256 of a
//! list with a line for each file, `SHA-256  NAME`, sorted by name.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use sha2::{Digest, Sha256};
use zip::ZipArchive;

use crate::lockfile::format::ModuleSum;

/// Opens a module's zip.
///
/// # Errors
/// When it cannot be read, or is none.
pub(super) fn open(path: &Path) -> io::Result<ZipArchive<File>> {
    ZipArchive::new(fs_err::File::open(path)?.into_parts().0)
        .map_err(|error| io::Error::other(format!("{}: {error}", path.display())))
}

/// The hash of a module, from its zip.
///
/// # Errors
/// When it cannot be read, or is no zip.
pub(super) fn of_zip(path: &Path) -> io::Result<ModuleSum> {
    let mut archive = open(path)?;
    let mut names: Vec<(String, usize)> = Vec::new();
    for index in 0..archive.len() {
        let name = archive.name_for_index(index).ok_or_else(|| io::Error::other("a file without a name"))?;
        names.push((name.map_err(io::Error::other)?.into_owned(), index));
    }
    names.sort();
    let mut list = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    for (name, index) in names {
        let mut file = archive.by_index(index).map_err(io::Error::other)?;
        let mut digest = Sha256::new();
        loop {
            match file.read(&mut buffer)? {
                0 => break,
                read => digest.update(&buffer[..read]),
            }
        }
        list.update(line(&name, digest));
    }
    Ok(ModuleSum::of(&list.finalize().into()))
}

/// The hash of a module's go.mod, from its text.
pub(super) fn of_go_mod(text: &[u8]) -> ModuleSum {
    let mut digest = Sha256::new();
    digest.update(text);
    ModuleSum::of(&Sha256::digest(line("go.mod", digest)).into())
}

fn line(name: &str, digest: Sha256) -> String {
    format!("{}  {name}\n", hex::encode(digest.finalize()))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use proptest::prelude::{any, proptest};

    use super::{of_go_mod, of_zip};

    /// What the checksum database has of rsc.io/quote v1.0.0's go.mod, whose text is one line.
    #[test]
    fn a_go_mod_has_the_hash_that_the_database_has() {
        let sum = of_go_mod(b"module \"rsc.io/quote\"\n");
        assert_eq!(sum.as_str(), "h1:v83Ri/njykPcgJltBc/gEkJTmjTsNgtO1Y7vyIK1CQA=");
    }

    #[test]
    fn a_zip_has_one_hash_however_it_is_packed() {
        let folder = tempfile::tempdir().unwrap();
        let make = |name: &str, files: [(&str, &str); 2], method| {
            let path = folder.path().join(name);
            let mut zip = zip::ZipWriter::new(std::fs::File::create(&path).unwrap());
            let options = zip::write::SimpleFileOptions::default().compression_method(method);
            for (file, text) in files {
                zip.start_file(file, options).unwrap();
                zip.write_all(text.as_bytes()).unwrap();
            }
            zip.finish().unwrap();
            of_zip(&path).unwrap()
        };
        let (a, b) = (("m@v1/a.go", "package a\n"), ("m@v1/b.go", "package b\n"));
        let one = make("one", [a, b], zip::CompressionMethod::Stored);
        assert_eq!(make("other", [b, a], zip::CompressionMethod::Deflated), one);
        assert_ne!(make("third", [a, ("m@v1/b.go", "package c\n")], zip::CompressionMethod::Stored), one);
    }

    proptest! {
        #[test]
        fn what_is_no_zip_is_an_error(bytes: Vec<u8>, cut in any::<u16>()) {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("m.zip");
            let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
            zip.start_file("a", zip::write::SimpleFileOptions::default()).unwrap();
            zip.write_all(&bytes).unwrap();
            let mut zip = zip.finish().unwrap().into_inner();
            zip.truncate(usize::from(cut) % zip.len());
            std::fs::write(&path, zip).unwrap();
            assert!(of_zip(&path).is_err());
            std::fs::write(&path, bytes).unwrap();
            let _ = of_zip(&path);
        }
    }
}
