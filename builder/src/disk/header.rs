//! What the header of a qcow2 file says of it, without a tool
//! ([QEMU's description of the format](https://www.qemu.org/docs/master/interop/qcow2.html)). It reads nothing behind.

use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use fs_err as fs;

/// Every version begins so.
pub(super) const MAGIC: &[u8] = b"QFI\xfb";

/// The longest name of a backing file.
const LONGEST: u32 = 1023;

/// The bytes of the disk in a qcow2 file.
///
/// # Errors
/// When it is none, or cannot be read.
pub fn virtual_size(image: &Path) -> io::Result<u64> {
    let (_, header) = read(image)?;
    Ok(u64::from_be_bytes(field(&header, 24)))
}

/// The name of the file that a qcow2 file lies over, as it stands there: relative to its folder, or absolute.
///
/// # Errors
/// When it is no qcow2 file, or cannot be read.
pub fn backing_file(image: &Path) -> io::Result<Option<PathBuf>> {
    let (mut file, header) = read(image)?;
    let (offset, size) = (u64::from_be_bytes(field(&header, 8)), u32::from_be_bytes(field(&header, 16)));
    if offset == 0 {
        return Ok(None);
    }
    if size > LONGEST {
        return Err(wrong(image, "its backing file has a name that is too long"));
    }
    file.seek(SeekFrom::Start(offset))?;
    let mut name = vec![0; size as usize];
    file.read_exact(&mut name)?;
    let name = String::from_utf8(name).map_err(|_| wrong(image, "its backing file has no proper name"))?;
    Ok(Some(PathBuf::from(name)))
}

fn read(image: &Path) -> io::Result<(fs::File, [u8; 32])> {
    let mut file = fs::File::open(image)?;
    let mut header = [0; 32];
    match file.read_exact(&mut header) {
        Ok(()) if header.starts_with(MAGIC) => Ok((file, header)),
        Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => Err(error),
        _ => Err(wrong(image, "not a qcow2 image")),
    }
}

/// Big-endian bytes of the header.
fn field<const N: usize>(header: &[u8; 32], offset: usize) -> [u8; N] {
    let mut bytes = [0; N];
    bytes.copy_from_slice(&header[offset..offset + N]);
    bytes
}

fn wrong(image: &Path, fact: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("{}: {fact}", image.display()))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use fs_err as fs;
    use proptest::prelude::*;

    use super::{backing_file, virtual_size};

    /// A header with a backing file's name behind it.
    fn header(size: u64, backing: &str) -> Vec<u8> {
        let mut header = b"QFI\xfb".to_vec();
        header.extend(3_u32.to_be_bytes());
        header.extend(if backing.is_empty() { 0 } else { 32_u64 }.to_be_bytes());
        header.extend((backing.len() as u32).to_be_bytes());
        header.extend(16_u32.to_be_bytes());
        header.extend(size.to_be_bytes());
        header.extend(backing.as_bytes());
        header
    }

    fn with(bytes: &[u8], test: impl FnOnce(&Path)) {
        let folder = tempfile::tempdir().unwrap();
        let image = folder.path().join("x.qcow2");
        fs::write(&image, bytes).unwrap();
        test(&image);
    }

    #[test]
    fn the_header_tells_the_size_and_what_is_below() {
        with(&header(4 << 30, ""), |image| {
            assert_eq!((virtual_size(image).unwrap(), backing_file(image).unwrap()), (4 << 30, None));
        });
        with(&header(1, "../../images/00.qcow2"), |image| {
            assert_eq!(backing_file(image).unwrap().unwrap(), Path::new("../../images/00.qcow2"));
        });
        for bytes in [vec![0; 64], b"QFI\xfb".to_vec(), Vec::new()] {
            with(&bytes, |image| {
                assert!(virtual_size(image).unwrap_err().to_string().ends_with("x.qcow2: not a qcow2 image"));
            });
        }
    }

    proptest! {
        #[test]
        fn no_header_makes_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            let bytes = [b"QFI\xfb".as_slice(), &bytes].concat();
            with(&bytes, |image| {
                let _ = (virtual_size(image), backing_file(image));
            });
        }
    }
}
