//! Disks with the real tools: what partitions, file systems, boot loaders and compression really give.

use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::support::tools;
use builder::disk::changes::{self, CLUSTER, Changes, changes};
use builder::disk::file::DiskFile;
use builder::disk::{self, Compression, Encoding, Format, Spec, Stock, layout};
use builder::ground::arch::Arch;
use builder::ground::error::Error;
use builder::sandbox::Sandbox;
use fs_err as fs;
use sha2::{Digest, Sha256};

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

/// The disk in all forms, in an empty folder.
fn stock(tools: &Sandbox, folder: &Path) -> Stock {
    let raw = built(tools, folder);
    let stock = Stock { raw, skeleton: folder.join("skeleton.raw"), qcow2: folder.join("disk.qcow2") };
    changes::skeleton(tools, &stock.raw, &stock.skeleton).unwrap();
    disk::to_qcow2(tools, &stock.raw, &stock.qcow2).unwrap();
    stock
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
    let stock = stock(&tools, folder.path());
    let before = (sha256(&stock.raw), sha256(&stock.qcow2));
    let image = |name: &str, identity: Option<&[u8]>| {
        let out = folder.path().join(name);
        disk::image(&tools, &stock, &Changes::new(), identity, &out).unwrap();
        out
    };
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let seed = image("seed.qcow2", None);
    // More than one cluster, and one in the middle that is zeros.
    let secret = [&b"secret"[..], &[0; 2 * CLUSTER as usize], b"s", &[0; 9]].concat();
    let baked = image("baked.qcow2", Some(&secret));
    assert_eq!((mode(&seed), mode(&baked)), (0o644, 0o600));
    assert_eq!((sha256(&stock.raw), sha256(&stock.qcow2)), before);
    assert_ne!(sha256(&seed), sha256(&baked));
    assert_eq!(sha256(&image("again.qcow2", Some(&secret))), sha256(&baked));
    assert_eq!(sha256(&image("empty.qcow2", Some(b""))), sha256(&seed));

    let back = folder.path().join("back.raw");
    disk::to_raw(&tools, &baked, &back).unwrap();
    let content = |raw: &Path| disk::content_sha256(&DiskFile::open(raw).unwrap(), &Changes::new()).unwrap();
    assert_eq!(content(&back), content(&stock.raw));
    let mut disk = fs::File::open(&back).unwrap();
    let identity = layout::identity(&mut disk).unwrap();
    disk.seek(SeekFrom::Start(identity.range.start)).unwrap();
    let mut bytes = vec![1; identity.size() as usize];
    disk.read_exact(&mut bytes).unwrap();
    assert!(bytes.starts_with(&secret) && bytes[secret.len()..].iter().all(|byte| *byte == 0));

    // Which blocks of a sparse file are holes depends on the file system that it lies on.
    let (full, full_qcow2) = (folder.path().join("full.raw"), folder.path().join("full.qcow2"));
    fs::File::create(&full).unwrap().write_all(&fs::read(&stock.raw).unwrap()).unwrap();
    disk::to_qcow2(&tools, &full, &full_qcow2).unwrap();
    assert_eq!(sha256(&full_qcow2), sha256(&stock.qcow2));

    let huge = vec![1; identity.size() as usize + 1];
    let out = folder.path().join("huge.qcow2");
    let error = disk::image(&tools, &stock, &Changes::new(), Some(&huge), &out).unwrap_err();
    insta::assert_snapshot!(Error::from(error), @r"
    the nodes' identities take 4194305 bytes, and their partition has 4194304

    hint: build with `--identity seed`, which keeps identities outside the image
    ");
    assert!(!folder.path().join("huge.qcow2").exists());
}

#[test]
fn every_encoding_has_the_same_disk_and_the_same_bytes_twice() {
    let tools = tools();
    let folder = tempfile::tempdir().unwrap();
    let stock = stock(&tools, folder.path());
    let image = folder.path().join("image.qcow2");
    disk::image(&tools, &stock, &Changes::new(), Some(b"secret"), &image).unwrap();
    let hash = hex::encode(sha256(&image)).parse().unwrap();
    let to = |encoding: Encoding, private: bool, name: &str| {
        let out = folder.path().join(name);
        disk::convert(&tools, (&image, &hash), encoding, private, &out).unwrap();
        out
    };
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let sandbox = tools.clone().show(&image, "/kiln/image");
    let qcow2 = [Compression::Zstd, Compression::Zlib, Compression::None];
    let qcow2 = qcow2.map(|compression| Encoding::new(Format::Qcow2, Some(compression)));
    let others = [Format::Raw, Format::Vmdk, Format::Vhdx].map(|format| Encoding::new(format, None));
    let mut seen = std::collections::BTreeSet::new();
    for encoding in qcow2.into_iter().chain(others) {
        let encoding = encoding.unwrap();
        let (one, two) = (to(encoding, true, "one"), to(encoding, false, "two"));
        assert_eq!(sha256(&one), sha256(&two), "{encoding:?}");
        assert_eq!((mode(&one), mode(&two)), (0o600, 0o644));
        assert!(seen.insert(sha256(&one)), "{encoding:?} is as another one");
        let format = encoding.format().to_string();
        sandbox
            .clone()
            .show(&one, "/kiln/one")
            .run(["qemu-img", "compare", "-f", "qcow2", "-F", &format, "/kiln/image", "/kiln/one"])
            .unwrap();
    }
    // Another disk has other identifiers.
    let other = hex::encode(sha256(&stock.raw)).parse().unwrap();
    let vhdx = Encoding::new(Format::Vhdx, None).unwrap();
    let out = folder.path().join("other");
    disk::convert(&tools, (&image, &other), vhdx, false, &out).unwrap();
    assert!(seen.insert(sha256(&out)));

    let error = Encoding::new(Format::Raw, Some(Compression::None)).unwrap_err();
    insta::assert_snapshot!(Error::from(error), @r"
    `--compression` is for qcow2 images, and these become raw

    hint: leave out `--compression`, or `--format`
    ");
}

#[test]
fn files_join_a_disk_as_if_they_had_been_written_to_it() {
    let tools = tools();
    let folder = tempfile::tempdir().unwrap();
    let stock = stock(&tools, folder.path());
    let noise = tree(1 << 20);
    let zeros = vec![0; 40_000];
    let files = [
        ("boot/a \"name\"", 0o600, &b"quoted"[..]),
        ("usr/noise", 0o755, &noise),
        ("usr/nothing", 0o644, b""),
        ("usr/zeros", 0o644, &zeros),
    ];
    let found = changes(&tools, &stock, files.into_iter(), 1_750_000_000, folder.path()).unwrap();
    let bytes = found.len() as u64 * CLUSTER;
    assert!((1 << 20..3 << 20).contains(&bytes), "{bytes} bytes change");
    let whole = Stock { skeleton: stock.raw.clone(), ..stock.clone() };
    assert!(
        found == changes(&tools, &whole, files.into_iter(), 1_750_000_000, folder.path()).unwrap(),
        "not the metadata alone"
    );

    let image = folder.path().join("image.qcow2");
    disk::image(&tools, &stock, &found, None, &image).unwrap();
    tools.clone().show(&image, "/kiln/image").run(["qemu-img", "check", "/kiln/image"]).unwrap();
    let back = folder.path().join("back.raw");
    disk::to_raw(&tools, &image, &back).unwrap();
    let content = disk::content_sha256(&DiskFile::open(&stock.raw).unwrap(), &found).unwrap();
    assert_eq!(disk::content_sha256(&DiskFile::open(&back).unwrap(), &Changes::new()).unwrap(), content);
    let entry = debugfs(&tools, &back, "stat /usr/noise");
    let size = format!("Size: {}", noise.len());
    for part in ["Mode:  0755", "User:     0   Group:     0", "mtime: 0x684ee180", &size] {
        assert!(entry.contains(part), "{part} is missing in\n{entry}");
    }
    assert_eq!(debugfs(&tools, &back, r#"cat "/boot/a ""name""""#), "quoted");
    assert!(debugfs(&tools, &back, "cat /usr/zeros") == String::from_utf8(zeros).unwrap());

    let again = folder.path().join("again");
    fs::create_dir(&again).unwrap();
    changes::save(&found, &again).unwrap();
    assert!(changes::load(&again).unwrap() == found);

    let fault = |path, bytes: &[u8]| {
        let error = changes(&tools, &stock, [(path, 0o644, bytes)].into_iter(), 1_750_000_000, folder.path())
            .unwrap_err();
        Error::from(error).to_string()
    };
    insta::assert_snapshot!(fault("etc/absent", b""), @r"
    putting a file into the root file system; debugfs said: /etc: File not found by ext2_lookup

    hint: if it ran out of room, raise `disk` of the role
    ");
    insta::assert_snapshot!(fault("usr/large", &vec![1; 150 << 20]), @r"
    putting a file into the root file system; debugfs said: write: Could not allocate block in ext2 filesystem

    hint: if it ran out of room, raise `disk` of the role
    ");
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
