//! Looking into images as their users do: what `inspect`, `diff` and `verify` say of Kiln's images, of changed ones, and of a
//! Debian disk by other programs, judged by debugfs, sgdisk and dpkg.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{BUILDER, PROFILE, build, builder, fresh, project, raw, run, secret, text, tools};
use builder::results::cluster::ClusterJson;
use fs_err as fs;
use fs_err::os::unix::fs::FileExt as _;
use serde_json::Value;

/// What `builder` prints and its exit code.
fn outcome(args: &[&str]) -> (String, i32) {
    let output = assert_cmd::Command::new(BUILDER).current_dir(project()).args(args).output().unwrap();
    (String::from_utf8(output.stdout).unwrap(), output.status.code().unwrap())
}

fn json(args: &[&str]) -> Value {
    serde_json::from_str(&outcome(args).0).unwrap()
}

/// The host's program, with what it prints.
#[expect(clippy::disallowed_methods, reason = "the host's programs are the independent judges")]
fn host(program: &str, args: &[&str]) -> String {
    run(Command::new(program).args(args)).stdout
}

fn names(list: &Value, key: &str) -> BTreeSet<String> {
    list.as_array().unwrap().iter().map(|it| it[key].as_str().unwrap().to_owned()).collect()
}

#[test]
fn built_images_are_what_their_report_says() {
    let out = fresh("inspect");
    build(&out);
    let results = out.join(PROFILE);
    let cluster = ClusterJson::load(&results).unwrap();
    let tools = tools();
    for image in &cluster.images {
        let path = results.join(&image.path);
        let (said, code) = outcome(&["verify", "--no-secrets", "--except-identities", text(&path)]);
        assert_eq!(code, 0, "{said}");
        let (said, code) = outcome(&["verify", "--no-secrets", text(&path)]);
        assert!(
            code == 1 && said.contains("secret files in the identity partition, bytes 18874368 to"),
            "{said}"
        );
        let raw = raw(&tools, &path, &out);
        agrees_with_the_judges(&path, &raw, 4);
        let (found, code) = outcome(&["diff", text(&path), text(&raw)]);
        assert_eq!((found.as_str(), code), ("", 0), "the format of the file is no difference");
        if image.role == "worker" {
            broken_ones_are_refused(&path, &out);
        }
        fs::remove_file(raw).unwrap();
    }
    let [plane, worker] = ["control-plane", "worker"].map(|role| results.join(format!("{role}.qcow2")));
    let found = json(&["diff", "--json", text(&plane), text(&worker)]);
    let etcd = found.as_array().unwrap().iter().find(|it| it["name"] == "/usr/local/bin/etcd").unwrap();
    assert!(etcd["area"] == "program" && etcd["second"].is_null(), "{etcd}");
    let file = json(&["inspect", "--json", text(&worker), "/etc/fstab"]);
    assert!(file[0]["path"] == "/etc/fstab" && file[0]["mode"] == "-rw-r--r--", "{file}");
}

/// Images for seeds hold no secret at all.
#[test]
fn images_for_seeds_hold_no_secret() {
    let out = fresh("inspect-seeds");
    let secret = secret(&out, 7);
    let seed = ["--identity", "seed", "--secret", text(&secret), "--out", text(&out)];
    builder(&[&["build", "--profile", PROFILE], &seed[..]].concat());
    for role in ["control-plane", "worker"] {
        let image = out.join(PROFILE).join(format!("{role}.qcow2"));
        let (said, code) = outcome(&["verify", "--no-secrets", text(&image)]);
        assert_eq!(code, 0, "{said}");
    }
}

/// The partitions are those of sgdisk, the packages those of dpkg, and files those of debugfs.
fn agrees_with_the_judges(image: &Path, raw: &Path, partitions: usize) {
    let found = json(&["inspect", "--json", text(image)]);
    assert_eq!(found["partitions"].as_array().unwrap().len(), partitions);
    for partition in found["partitions"].as_array().unwrap().iter().filter(|_| found["table"] == "gpt") {
        let said = host("sgdisk", &["--info", &partition["number"].to_string(), text(raw)]);
        let field = |name: &str| {
            let line = said.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            line.split_whitespace().next().unwrap().trim_matches('\'').to_lowercase()
        };
        assert_eq!(field("Partition GUID code: "), partition["type"]);
        assert_eq!(field("Partition unique GUID: "), partition["id"]);
        assert_eq!(field("Partition name: "), partition["name"].as_str().unwrap());
        let sectors = |key: &str| (partition[key].as_u64().unwrap() / 512).to_string();
        assert_eq!((field("First sector: "), field("Partition size: ")), (sectors("start"), sectors("size")));
    }
    let root = found["partitions"].as_array().unwrap().iter().max_by_key(|it| it["size"].as_u64()).unwrap();
    let place = format!("{}?offset={}", text(raw), root["start"]);
    let debugfs = |request: &str| host("/usr/sbin/debugfs", &["-R", request, &place]);
    assert!(debugfs("stats -h").contains(root["content"]["uuid"].as_str().unwrap()));

    let admin = tempfile::tempdir().unwrap();
    let status = debugfs("cat /var/lib/dpkg/status");
    fs::write(admin.path().join("status"), status).unwrap();
    let asked = [
        "--admindir",
        text(admin.path()),
        "--show",
        "--showformat",
        "${Package} ${Version} ${Architecture}\n",
    ];
    let packages = host("dpkg-query", &asked);
    let system = &found["system"];
    let listed = system["packages"].as_array().unwrap().iter();
    let listed: Vec<String> = listed
        .map(|it| ["name", "version", "architecture"].map(|key| it[key].as_str().unwrap()).join(" "))
        .collect();
    assert!(listed.len() > 50);
    assert_eq!(listed.into_iter().collect::<BTreeSet<_>>(), packages.lines().map(str::to_owned).collect());
    for folder in ["/etc", "/etc/systemd/system", "/usr/lib/systemd"] {
        // inode / mode / uid / gid / name / size /
        let lines = debugfs(&format!("ls -p {folder}"));
        let theirs =
            lines.lines().filter(|line| !line.is_empty()).map(|line| line.split('/').collect::<Vec<_>>());
        let theirs = theirs.filter(|it| !matches!(it[5], "." | "..")).map(|it| {
            let is_folder = it[2].starts_with("04");
            (
                it[5].to_owned(),
                (it[3].to_owned(), it[4].to_owned(), if is_folder { "" } else { it[6] }.to_owned()),
            )
        });
        let mine = json(&["inspect", "--json", text(image), folder]);
        let mine = mine.as_array().unwrap().iter().map(|it| {
            let name = it["path"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
            let size = if it["type"] == "directory" { String::new() } else { it["size"].to_string() };
            (name, (it["uid"].to_string(), it["gid"].to_string(), size))
        });
        assert_eq!(mine.collect::<BTreeMap<_, _>>(), theirs.collect::<BTreeMap<_, _>>(), "{folder}");
    }
    let printed = outcome(&["inspect", text(image), "/etc/passwd"]).0;
    assert_eq!(printed, debugfs("cat /etc/passwd"));
}

/// Where the file system begins on the small disk, and its partition.
const SMALL: u64 = 1 << 20;

/// A small disk of other programs, as qcow2 and raw, in a folder of its own.
fn small() -> (tempfile::TempDir, PathBuf, PathBuf) {
    let image = project().join("builder/tests/fixtures/disks/gpt-ext4.qcow2");
    let folder = tempfile::tempdir().unwrap();
    let raw = folder.path().join("small.raw");
    host("qemu-img", &["convert", "-O", "raw", text(&image), text(&raw)]);
    (folder, image, raw)
}

/// A copy of a disk, changed by debugfs.
fn changed(raw: &Path, name: &str, requests: &[&str]) -> PathBuf {
    let copy = raw.with_file_name(name);
    fs::copy(raw, &copy).unwrap();
    for request in requests {
        host("/usr/sbin/debugfs", &["-w", "-R", request, &format!("{}?offset={SMALL}", text(&copy))]);
    }
    copy
}

/// One time, one attribute, one id: each is found, and named.
#[test]
fn changes_are_named() {
    let (_folder, image, raw) = small();
    for (request, area, name, field) in [
        ("sif /etc/os-release mtime 20200101", "file", "/etc/os-release", "mtime"),
        ("ea_set /bin/sh user.note x", "file", "/bin/sh", "xattr"),
        ("ssv hash_seed 11111111-2222-3333-4444-555555555556", "partition", "partition 3", "s_hash_seed"),
        ("sif /bin/sh mode 0100600", "file", "/bin/sh", "mode"),
        ("sif /bin/sh uid 7", "file", "/bin/sh", "uid"),
        ("rm /etc/many/a-name-that-is-rather-long-7", "file", "/etc/many/a-name-that-is-rather-long-7", ""),
    ] {
        let copy = changed(&raw, "changed.raw", &[request]);
        let (found, code) = outcome(&["diff", "--json", text(&image), text(&copy)]);
        assert_eq!(code, 1, "{request}");
        let found: Value = serde_json::from_str(&found).unwrap();
        let is_it = |it: &Value| {
            it["area"] == area && it["name"] == name && it["field"].as_str().unwrap_or("") == field
        };
        assert!(found.as_array().unwrap().iter().any(is_it), "{request}: {found:#}");
    }
    let copy = changed(&raw, "changed.raw", &[]);
    let uuid = "11111111-2222-3333-4444-555555555556";
    host("/usr/sbin/tune2fs", &["-U", uuid, &format!("{}?offset={SMALL}", text(&copy))]);
    let (found, code) = outcome(&["diff", text(&image), text(&copy)]);
    assert!(
        code == 1 && found.contains("partition 3: uuid: 11111111-2222-3333-4444-555555555555 → "),
        "{found}"
    );
    // Bytes that are in no file.
    for (at, name) in [
        (SMALL + (3 << 20) - 100, "partition 3"),
        (440, "the first sector"),
        (20 << 10, "before the first partition"),
    ] {
        let copy = changed(&raw, "changed.raw", &[]);
        let disk = fs::File::options().read(true).write(true).open(&copy).unwrap();
        let mut byte = [0];
        disk.read_exact_at(&mut byte, at).unwrap();
        disk.write_all_at(&[byte[0] ^ 1], at).unwrap();
        let (found, code) = outcome(&["diff", text(&image), text(&copy)]);
        assert!(
            code == 1
                && found.contains(&format!(
                    "  {name}: byte {}",
                    if name == "partition 3" {
                        at - SMALL
                    } else if at < 512 {
                        at
                    } else {
                        at - 512
                    }
                )),
            "{name}: {found}"
        );
    }
    assert_eq!(outcome(&["diff", text(&image), text(&raw)]), (String::new(), 0));
    assert_eq!(outcome(&["diff", text(&image), "nothing-here.qcow2"]).1, 2);
}

/// In a file, in one that was deleted, in blocks of no file.
#[test]
fn planted_secrets_are_found() {
    let (folder, image, raw) = small();
    let said = |copy: &Path| {
        let said = outcome(&["verify", "--no-secrets", text(copy)]).0;
        said.lines().find(|line| line.contains("secrets")).unwrap().to_owned()
    };
    assert!(said(&image).contains("ok     secrets  none was found"), "{}", said(&image));
    let key = folder.path().join("key");
    host("openssl", &["genpkey", "-algorithm", "ED25519", "-out", text(&key)]);
    let made = changed(&raw, "made.raw", &[&format!("write {} a-key", text(&key))]);
    assert!(said(&made).contains("a private key in /a-key"), "{}", said(&made));
    let gone = changed(&made, "gone.raw", &["rm /a-key"]);
    assert!(said(&gone).contains("a private key in no file, at byte "), "{}", said(&gone));

    let bare = changed(&raw, "bare.raw", &[]);
    let disk = fs::File::options().write(true).open(&bare).unwrap();
    let at = (2 << 20) + 777;
    disk.write_all_at(&fs::read(&key).unwrap(), SMALL + at).unwrap();
    let place = format!("a private key in no file, at byte {at} of partition 3");
    assert!(said(&bare).contains(&place), "{}", said(&bare));

    let between = changed(&raw, "between.raw", &[]);
    let disk = fs::File::options().write(true).open(&between).unwrap();
    disk.write_all_at(&fs::read(&key).unwrap(), 9000 * 512).unwrap();
    assert!(said(&between).contains("a private key in no file, at byte "), "{}", said(&between));
}

/// A changed byte, no report, and what is no image.
fn broken_ones_are_refused(image: &Path, out: &Path) {
    let folder = out.join("broken");
    fs::create_dir_all(&folder).unwrap();
    let copy = folder.join("worker.qcow2");
    fs::copy(image, &copy).unwrap();
    let (said, code) = outcome(&["verify", text(&copy)]);
    assert!(code == 1 && said.contains("no report"), "{said}");
    for file in ["cluster.json", "SHA256SUMS"] {
        fs::copy(image.with_file_name(file), folder.join(file)).unwrap();
    }
    assert_eq!(outcome(&["verify", text(&copy)]).1, 0);
    let file = fs::File::options().write(true).open(&copy).unwrap();
    file.write_all_at(b"x", file.metadata().unwrap().len() / 2).unwrap();
    let (said, code) = outcome(&["verify", text(&copy)]);
    assert!(code == 1 && said.contains("WRONG  file"), "{said}");
    assert_eq!(outcome(&["verify", text(&folder.join("SHA256SUMS"))]).1, 1);
    fs::remove_dir_all(folder).unwrap();
}

/// A Debian whose disk other programs made, as a GPT with gaps and as an MBR.
#[test]
fn disks_of_other_programs_are_looked_into() {
    let out = fresh("inspect-others");
    build(&out);
    let image = out.join(PROFILE).join("worker.qcow2");
    let tree = out.join("tree");
    for path in ["etc", "usr/lib/systemd", "usr/lib/os-release", "var/lib/dpkg"] {
        let to = tree.join(path);
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        builder(&["inspect", text(&image), path, "--out", text(&to)]);
    }
    let disk = out.join("disk.raw");
    let file_system = |offset: u64| {
        let offset = format!("offset={offset},root_owner=0:0");
        host(
            "/usr/sbin/mke2fs",
            &["-q", "-F", "-t", "ext4", "-d", text(&tree), "-E", &offset, text(&disk), "200M"],
        );
    };
    let make = |size: u64| fs::File::create(&disk).unwrap().set_len(size).unwrap();
    make(400 << 20);
    let first = ["--new=1:262144:+200M", "--typecode=1:8304", "--change-name=1:debian"];
    host("sgdisk", &[&first[..], &["--new=14:2048:+4M", "--typecode=14:ef02", text(&disk)]].concat());
    file_system(262_144 * 512);
    let theirs = out.join("gpt.qcow2");
    host("qemu-img", &["convert", "-c", "-O", "qcow2", text(&disk), text(&theirs)]);
    agrees_with_the_judges(&theirs, &disk, 2);

    make(400 << 20);
    let mbr = fs::File::options().write(true).open(&disk).unwrap();
    // One active Linux partition of 250 MiB from sector 2048 on.
    let entry =
        [&[0x80, 0, 0, 0, 0x83, 0, 0, 0][..], &2048_u32.to_le_bytes(), &512_000_u32.to_le_bytes()].concat();
    mbr.write_all_at(&entry, 446).unwrap();
    mbr.write_all_at(&[0x55, 0xaa], 510).unwrap();
    file_system(1 << 20);
    let older = out.join("mbr.qcow2");
    host("qemu-img", &["convert", "-O", "qcow2", "-o", "compat=0.10", text(&disk), text(&older)]);
    agrees_with_the_judges(&older, &disk, 1);

    let found = json(&["diff", "--json", text(&theirs), text(&older)]);
    let areas = names(&found, "area");
    assert!(areas.contains("disk") && !areas.contains("package"), "{areas:?}");
    let (said, code) = outcome(&["verify", "--no-secrets", text(&older)]);
    assert!(code == 1 && said.contains("no report") && said.contains("ok     secrets"), "{said}");
}
