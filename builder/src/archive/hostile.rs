//! Archives for tests, with entries that no tool writes.

use tar::EntryType::{self, Regular};

/// Kind, path, and content or link target. Paths go in as they are.
pub(crate) type Entry<'a> = (EntryType, &'a str, &'a str);

/// A tar archive with these entries.
pub(crate) fn tarball(entries: &[Entry<'_>], mode: u32) -> Vec<u8> {
    let mut data = tar::Builder::new(Vec::new());
    for (kind, path, text) in entries {
        let mut header = tar::Header::new_gnu();
        let content = if *kind == Regular { text.as_bytes() } else { b"" };
        let old = header.as_old_mut();
        old.name[..path.len()].copy_from_slice(path.as_bytes());
        if *kind != Regular {
            old.linkname[..text.len()].copy_from_slice(text.as_bytes());
        }
        header.set_entry_type(*kind);
        header.set_mode(mode);
        header.set_mtime(1_000_000_000);
        header.set_size(content.len() as u64);
        header.set_cksum();
        data.append(&header, content).unwrap();
    }
    data.into_inner().unwrap()
}
