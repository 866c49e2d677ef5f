//! The root partition: an ext4 file system filled from a tar stream. It adds GRUB's menu to the stream, because only
//! here the kernel in the tree and the ids of the disk are both known; it decides nothing else about the files.

use std::collections::BTreeSet;
use std::io::{self, Read, Write};

use crate::disk::boot;
use crate::disk::error::DiskError;
use crate::disk::layout::Layout;
use crate::disk::work::{DISK, Spec, file_system_id};
use crate::ground::repro;
use crate::sandbox::Sandbox;

/// Label of the file system and of its partition.
const LABEL: &str = "kiln-root";

/// Makes the file system in place on the disk.
///
/// It fills its partition, which fills the disk: empty space costs nothing in a sparse file or a qcow2, and nothing
/// has to grow at first boot unless the disk was enlarged.
pub(super) fn fill(tools: &Sandbox, layout: &Layout, spec: &Spec, tree: impl Read) -> Result<(), DiskError> {
    // Every choice that mke2fs would derive from the size of the file or its configuration's usage types is given.
    let options = format!(
        "offset={},hash_seed={},root_owner=0:0,lazy_itable_init=0,lazy_journal_init=0",
        layout.root.range.start,
        repro::uuid(&spec.key, "root-hash"),
    );
    let uuid = file_system_id(spec).to_string();
    let blocks = format!("{}k", layout.root.size() / 1024);
    let argv = [
        "mke2fs", "-q", "-F", "-t", "ext4", "-b", "4096", "-I", "256", "-i", "16384", "-m", "1", "-L", LABEL,
        "-U", &uuid, "-E", &options, "-d", "-", DISK, &blocks,
    ];
    let mut fault = None;
    let made = tools.run_with(argv, |stdin| {
        splice(tree, stdin, layout, spec).map_err(|error| {
            let message = io::Error::other(error.to_string());
            fault = Some(error);
            message
        })
    });
    match fault {
        // When mke2fs stopped reading, its own words say why.
        Some(DiskError::Tree(cause)) if cause.kind() == io::ErrorKind::BrokenPipe => {}
        Some(error) => return Err(error),
        None => {}
    }
    made.map(drop).map_err(DiskError::Root)
}

/// Copies the tree's archive entry by entry, unchanged, and appends GRUB's menu before the end mark.
fn splice(tree: impl Read, mut out: impl Write, layout: &Layout, spec: &Spec) -> Result<(), DiskError> {
    let mut archive = tar::Archive::new(tree);
    let mut boot_files = BTreeSet::new();
    // Raw: extended headers are entries of their own, so nothing in them is interpreted or lost.
    for entry in archive.entries().map_err(DiskError::Tree)?.raw(true) {
        let mut entry = entry.map_err(DiskError::Tree)?;
        if let Some(name) = boot_file(&entry.path_bytes()) {
            boot_files.insert(name);
        }
        out.write_all(entry.header().as_bytes()).map_err(DiskError::Tree)?;
        let size = io::copy(&mut entry, &mut out).map_err(DiskError::Tree)?;
        let padding = size.next_multiple_of(512) - size;
        out.write_all(&[0; 512][..padding as usize]).map_err(DiskError::Tree)?;
    }
    let kernel = kernel(&boot_files)?;
    let mut own = tar::Builder::new(out);
    for folder in ["", "grub"] {
        if !boot_files.contains(folder) {
            append(&mut own, spec, &format!("./boot/{folder}"), None)?;
        }
    }
    append(&mut own, spec, "./boot/grub/grub.cfg", Some(&boot::menu(layout, spec, kernel)))?;
    own.into_inner().and_then(|mut out| out.flush()).map_err(DiskError::Tree)
}

/// The path below /boot, for what lies there; the empty string for /boot itself.
fn boot_file(path: &[u8]) -> Option<String> {
    let path = std::str::from_utf8(path).ok()?;
    let path = path.strip_prefix("./").unwrap_or(path).trim_end_matches('/');
    if path == "boot" { Some(String::new()) } else { path.strip_prefix("boot/").map(str::to_owned) }
}

/// The release of the one kernel in /boot that has its initramfs.
fn kernel(boot_files: &BTreeSet<String>) -> Result<&str, DiskError> {
    let kernels = boot_files.iter().filter_map(|name| name.strip_prefix("vmlinuz-"));
    let bootable: Vec<&str> =
        kernels.filter(|release| boot_files.contains(&format!("initrd.img-{release}"))).collect();
    match bootable[..] {
        [release] => Ok(release),
        _ => Err(DiskError::Kernels { found: bootable.iter().map(|&release| release.to_owned()).collect() }),
    }
}

/// Appends a file, or a folder when there is no text.
fn append(
    archive: &mut tar::Builder<impl Write>,
    spec: &Spec,
    path: &str,
    text: Option<&str>,
) -> Result<(), DiskError> {
    let mut header = tar::Header::new_ustar();
    let kind = if text.is_some() { tar::EntryType::Regular } else { tar::EntryType::Directory };
    header.set_entry_type(kind);
    header.set_mode(if text.is_some() { 0o644 } else { 0o755 });
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(spec.epoch);
    let bytes = text.unwrap_or_default().as_bytes();
    header.set_size(bytes.len() as u64);
    archive.append_data(&mut header, path, bytes).map_err(DiskError::Tree)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::io::Read;

    use insta::assert_snapshot;

    use super::{append, splice};
    use crate::disk::error::DiskError;
    use crate::disk::layout::Layout;
    use crate::disk::work::Spec;
    use crate::ground::arch::Arch;

    fn spec() -> Spec {
        let cmdline = "quiet".to_owned();
        let grub = crate::disk::work::GRUB.to_owned();
        Spec { arch: Arch::Amd64, grub, size: 64 << 20, key: [7; 32], epoch: 1_750_000_000, cmdline }
    }

    fn tree(paths: &[&str]) -> Vec<u8> {
        let mut archive = tar::Builder::new(Vec::new());
        for path in paths {
            let text = (!path.ends_with('/')).then_some("content");
            append(&mut archive, &spec(), path, text).unwrap();
        }
        archive.into_inner().unwrap()
    }

    fn spliced(tree: &[u8]) -> Result<BTreeMap<String, String>, DiskError> {
        let layout = Layout::new(Arch::Amd64, spec().size, &spec().key).unwrap();
        let mut bytes = Vec::new();
        splice(tree, &mut bytes, &layout, &spec())?;
        let mut files = BTreeMap::new();
        for entry in tar::Archive::new(&bytes[..]).entries().unwrap() {
            let mut entry = entry.unwrap();
            let mut text = String::new();
            entry.read_to_string(&mut text).unwrap();
            let path = entry.path().unwrap().to_string_lossy().trim_start_matches("./").to_owned();
            assert!(files.insert(path, text).is_none(), "an entry twice");
        }
        Ok(files)
    }

    #[test]
    fn the_menu_joins_the_tree() {
        let long = format!("./usr/{}", "long".repeat(60));
        let files =
            spliced(&tree(&["./", "./boot/", "./boot/vmlinuz-6.1", "./boot/initrd.img-6.1", &long])).unwrap();
        assert_eq!(files[long.trim_start_matches("./")], "content");
        let names: Vec<&str> = files.keys().map(String::as_str).filter(|name| name.len() < 100).collect();
        assert_snapshot!(names.join("\n"), @r"

        boot/
        boot/grub
        boot/grub/grub.cfg
        boot/initrd.img-6.1
        boot/vmlinuz-6.1
        ");
        assert_snapshot!(files["boot/grub/grub.cfg"], @r#"
        set timeout=0
        if [ "$grub_platform" = pc ]; then
          if serial --unit=0 --speed=115200; then
            terminal_input console serial
            terminal_output console serial
          fi
        fi
        menuentry "Linux 6.1" {
          echo "Kiln: starting Linux 6.1"
          linux /boot/vmlinuz-6.1 root=PARTUUID=3b8bed19-2cd6-8f2b-9ef4-52750afe6ff4 ro console=tty0 console=ttyS0,115200n8 quiet
          initrd /boot/initrd.img-6.1
        }
        "#);
    }

    #[test]
    fn the_kernel_must_be_one_with_its_initramfs() {
        let fault = |paths: &[&str]| spliced(&tree(paths)).unwrap_err().to_string();
        assert_snapshot!(fault(&["./boot/", "./boot/vmlinuz-6.1"]), @"the tree needs one kernel with its initramfs in /boot, and has none");
        assert_snapshot!(
            fault(&["boot/vmlinuz-6.1", "boot/initrd.img-6.1", "boot/vmlinuz-6.2", "boot/initrd.img-6.2"]),
            @"the tree needs one kernel with its initramfs in /boot, and has 6.1, 6.2"
        );
    }

    #[test]
    fn a_broken_tree_is_an_error() {
        let mut bytes = tree(&["./boot/vmlinuz-6.1", "./boot/initrd.img-6.1"]);
        assert!(matches!(spliced(&bytes[..700]), Err(DiskError::Tree(_))), "cut off in a file");
        bytes[1] ^= 1;
        assert!(matches!(spliced(&bytes), Err(DiskError::Tree(_))), "bad checksum");
    }
}
