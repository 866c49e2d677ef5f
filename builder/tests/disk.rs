//! Disks with the real tools: what partitions, file systems, boot loaders and compression really give.

#[path = "../../tests/support.rs"]
mod support;

use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use builder::disk::{self, Spec, layout};
use builder::error::Error;
use builder::lock::format::Arch;
use builder::sandbox::Sandbox;
use fs_err as fs;
use sha2::{Digest, Sha256};
use support::tools;

/// cap_net_raw=ep as the kernel stores it: revision 2, effective, then the permitted and inheritable sets.
const CAPABILITY: &[u8] = &[1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

fn spec() -> Spec {
    let cmdline = "quiet".to_owned();
    let grub = disk::GRUB.to_owned();
    Spec { arch: Arch::Amd64, grub, size: 128 << 20, key: [7; 32], epoch: 1_750_000_000, cmdline }
}

/// A tree with what a disk needs, a name that is not ASCII, an extended header, and `size` bytes that do not compress.
fn tree(size: usize) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    let blocks = (0..size.div_ceil(32)).flat_map(|number| Sha256::digest(number.to_le_bytes()));
    let noise: Vec<u8> = blocks.take(size).collect();
    let long = format!("./usr/{}", "long".repeat(50));
    let files: [(&str, Option<&[u8]>); 8] = [
        ("./", None),
        ("./boot/", None),
        ("./boot/vmlinuz-6.1", Some(&noise)),
        ("./boot/initrd.img-6.1", Some(b"initramfs")),
        ("./usr/", None),
        ("./usr/gr\u{fc}n", Some(b"green")),
        (&long, Some(b"long")),
        ("./usr/empty", Some(b"")),
    ];
    for (path, content) in files {
        let mut header = tar::Header::new_ustar();
        header.set_mode(if content.is_some() { 0o640 } else { 0o750 });
        header.set_entry_type(if content.is_some() {
            tar::EntryType::Regular
        } else {
            tar::EntryType::Directory
        });
        header.set_uid(0);
        header.set_gid(42);
        header.set_mtime(1_600_000_000);
        let content = content.unwrap_or_default();
        header.set_size(content.len() as u64);
        if path == "./usr/empty" {
            archive.append_pax_extensions([("SCHILY.xattr.security.capability", CAPABILITY)]).unwrap();
        }
        archive.append_data(&mut header, path, content).unwrap();
    }
    archive.into_inner().unwrap()
}

fn built(tools: &Sandbox, folder: &Path) -> PathBuf {
    let raw = folder.join("disk.raw");
    disk::build(tools, &tree(6 << 20)[..], &spec(), &raw)
        .unwrap_or_else(|error| panic!("{}", Error::from(error)));
    raw
}

fn sha256(path: &Path) -> [u8; 32] {
    Sha256::digest(fs::read(path).unwrap()).into()
}

fn debugfs(tools: &Sandbox, raw: &Path, request: &str) -> String {
    let mut disk = fs::File::open(raw).unwrap();
    let root = layout::read(&mut disk).unwrap().pop().unwrap();
    let place = format!("/kiln/disk?offset={}", root.range.start);
    let tools = tools.clone().show(raw, "/kiln/disk");
    tools.run(["e2fsck", "-fn", &place]).unwrap();
    String::from_utf8(tools.run(["debugfs", "-R", request, &place]).unwrap()).unwrap()
}

#[test]
fn a_disk_is_sound_and_the_same_again() {
    let tools = tools();
    let folder = tempfile::tempdir().unwrap();
    let raw = built(&tools, folder.path());
    let again = folder.path().join("another place");
    fs::create_dir(&again).unwrap();
    assert_eq!(sha256(&built(&tools, &again)), sha256(&raw));
    assert_eq!(disk::content_sha256(&raw).unwrap(), sha256(&raw), "an empty identity is already zeros");
    assert_eq!(fs::read_dir(&again).unwrap().count(), 1, "nothing is left beside the disk");

    let entry = debugfs(&tools, &raw, "stat /usr/gr\u{fc}n");
    for part in ["Mode:  0640", "Group:    42", "Size: 5", "mtime: 0x5f5e1000"] {
        assert!(entry.contains(part), "{part} is missing in\n{entry}");
    }
    assert!(debugfs(&tools, &raw, "ea_list /usr/empty").contains("security.capability (20)"));
    assert!(debugfs(&tools, &raw, "cat /boot/grub/grub.cfg").contains("/boot/vmlinuz-6.1"));

    let names: Vec<String> =
        layout::read(&mut fs::File::open(&raw).unwrap()).unwrap().into_iter().map(|p| p.name).collect();
    assert_eq!(names, ["bios-boot", "esp", "kiln-identity", "kiln-root"]);
    let esp = tools.show(&raw, "/kiln/disk").run(["mdir", "-b", "-/", "-i", "/kiln/disk@@2M"]).unwrap();
    assert!(String::from_utf8_lossy(&esp).contains("/EFI/BOOT/BOOTX64.EFI"));
}

#[test]
fn the_identity_joins_the_image_only() {
    let tools = tools();
    let folder = tempfile::tempdir().unwrap();
    let raw = built(&tools, folder.path());
    let before = sha256(&raw);
    let image = |name: &str, raw: &Path, identity: Option<&[u8]>| {
        let out = folder.path().join(name);
        disk::to_qcow2(&tools, raw, identity, &out).unwrap();
        out
    };
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let seed = image("seed.qcow2", &raw, None);
    let baked = image("baked.qcow2", &raw, Some(b"secret"));
    assert_eq!((mode(&seed), mode(&baked)), (0o644, 0o600));
    assert_eq!(sha256(&raw), before);
    assert_ne!(sha256(&seed), sha256(&baked));
    assert_eq!(sha256(&image("again.qcow2", &raw, Some(b"secret"))), sha256(&baked));
    assert_eq!(
        sha256(&image("empty.qcow2", &raw, Some(b""))),
        sha256(&seed),
        "three sources make the same image"
    );

    let back = folder.path().join("back.raw");
    disk::to_raw(&tools, &baked, &back).unwrap();
    assert_eq!(disk::content_sha256(&back).unwrap(), disk::content_sha256(&raw).unwrap());
    let mut disk = fs::File::open(&back).unwrap();
    let identity = layout::identity(&mut disk).unwrap();
    disk.seek(SeekFrom::Start(identity.range.start)).unwrap();
    let mut bytes = vec![1; identity.size() as usize];
    disk.read_exact(&mut bytes).unwrap();
    assert!(bytes.starts_with(b"secret") && bytes[6..].iter().all(|byte| *byte == 0));

    // Which blocks of a sparse file are holes depends on the file system that it lies on.
    let full = folder.path().join("full.raw");
    fs::File::create(&full).unwrap().write_all(&fs::read(&raw).unwrap()).unwrap();
    assert_eq!(sha256(&image("full.qcow2", &full, None)), sha256(&seed));

    let huge = vec![1; identity.size() as usize + 1];
    let error = disk::to_qcow2(&tools, &raw, Some(&huge), &folder.path().join("huge.qcow2")).unwrap_err();
    insta::assert_snapshot!(Error::from(error), @r"
    the nodes' identities take 4194305 bytes, and their partition has 4194304

    hint: build with `--identity seed`, which keeps identities outside the image
    ");
    assert!(!folder.path().join("huge.qcow2").exists());
}

#[test]
fn a_tree_that_does_not_fit_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("disk.raw");
    let error = disk::build(&tools(), &tree(150 << 20)[..], &spec(), &out).unwrap_err();
    let message = Error::from(error).to_string();
    assert!(message.contains("mke2fs") && message.ends_with("raise `disk` of the role"), "{message}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}
