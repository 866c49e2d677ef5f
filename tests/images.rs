//! The built images as files: sound, whole, free of secrets, and with the programs that they promise.

use std::collections::BTreeSet;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use crate::support::{
    BUILDER, PROFILE, bare, build, builder, debugfs, fresh, on_record, program, project, raw, secret, text,
    tools,
};
use aho_corasick::AhoCorasick;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use builder::disk;
use builder::disk::changes::Changes;
use builder::disk::file::DiskFile;
use builder::lockfile::Lock;
use builder::results::cluster::ClusterJson;
use builder::sandbox::Sandbox;
use fs_err as fs;
use fs_err::os::unix::fs::FileExt as _;

/// Files that hold secrets, once a node has its identity: none may be in an image's root file system.
const SECRET_FILES: [&str; 4] = [
    "/var/lib/kubelet/kubelet.key",
    "/var/lib/kubernetes/ca.key",
    "/var/lib/kubernetes/encryption-config.yaml",
    "/etc/ssh/ssh_host_ed25519_key",
];

#[test]
fn images_are_sound_and_hold_what_they_promise() {
    let out = fresh("images");
    let results = out.join(PROFILE);
    let killed = results.join(".new-killed");
    fs::create_dir_all(&killed).unwrap();
    fs::write(killed.join("worker.qcow2"), "half of one, with keys").unwrap();
    let printed = build(&out);
    assert!(!killed.exists(), "what a killed build left");
    let cluster = ClusterJson::load(&results).unwrap();
    let lines: Vec<String> = cluster
        .images
        .iter()
        .map(|image| format!("sha256:{}  {}\n", image.sha256, results.join(&image.path).display()))
        .collect();
    assert_eq!(printed, lines.concat(), "standard output is a line for each image");
    for file in ["admin.kubeconfig", "control-plane.qcow2", "worker.qcow2"] {
        let mode = fs::metadata(results.join(file)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file} holds secrets");
    }
    let tools = tools();
    for image in &cluster.images {
        let path = results.join(&image.path);
        tools.clone().show(&path, "/tmp/image").run(["qemu-img", "check", "/tmp/image"]).unwrap();
        let raw = raw(&tools, &path, &out);
        check_partitions(&raw);
        check_file_system(&tools, &raw);
        let found =
            hex::encode(disk::content_sha256(&DiskFile::open(&raw).unwrap(), &Changes::new()).unwrap());
        assert_eq!(found, image.content_sha256.as_str(), "content_sha256 of {}", image.role);
        check_content(&tools, &raw);
        check_bytes(&raw, &out);
        if image.role == "worker" {
            check_kubectl(&tools, &raw, &out);
        }
        fs::remove_file(raw).unwrap();
    }
    expect_content(&cluster);
}

/// Whoever builds them: their bytes depend on no secret, which is on the seeds.
#[test]
fn images_for_seeds_are_the_same_for_everybody() {
    let out = fresh("images-for-seeds");
    let build = |byte: u8| {
        let folder = out.join(byte.to_string());
        let secret = secret(&out, byte);
        let seed = ["--identity", "seed", "--secret", text(&secret), "--out", text(&folder)];
        builder(&[&["build", "--profile", PROFILE], &seed[..]].concat());
        let results = folder.join(PROFILE);
        (ClusterJson::load(&results).unwrap(), results)
    };
    let ((ours, here), (theirs, there)) = (build(7), build(8));
    assert_eq!(ours, theirs, "images and cluster.json");
    for image in &ours.images {
        let path = here.join(&image.path);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o644);
        let raw = raw(&tools(), &path, &out);
        assert!(
            content(&raw, &partition(&raw, "kiln-identity")).iter().all(|byte| *byte == 0),
            "something is in the identity partition of {}",
            image.role
        );
        let found =
            hex::encode(disk::content_sha256(&DiskFile::open(&raw).unwrap(), &Changes::new()).unwrap());
        assert_eq!(found, image.content_sha256.as_str(), "content_sha256 of {}", image.role);
        fs::remove_file(raw).unwrap();
    }
    for node in &ours.nodes {
        let seed = node.seed.as_ref().expect("a node has a seed");
        let (ours, theirs) = (fs::read(here.join(seed)).unwrap(), fs::read(there.join(seed)).unwrap());
        assert!(ours != theirs, "the seed of {} depends on the secret", node.name);
        assert_eq!(fs::metadata(here.join(seed)).unwrap().permissions().mode() & 0o777, 0o600);
        let again = out.join("again.iso");
        let secret = out.join("secret-07");
        let arguments = ["--secret", text(&secret), "--output", text(&again)];
        builder(&[&["seed", "--profile", PROFILE, &node.name], &arguments[..]].concat());
        assert!(fs::read(again).unwrap() == ours, "`builder seed` writes what `build` wrote");
    }
}

#[test]
fn the_image_of_a_role_that_is_gone_goes_too() {
    let out = fresh("gone");
    let profile = out.join("lab.toml");
    let secret = secret(&out, 7);
    let images = |profile_of: &str| {
        fs::copy(project().join("profiles").join(profile_of), &profile).unwrap();
        builder(&["build", "--profile", text(&profile), "--secret", text(&secret), "--out", text(&out)]);
        let files = fs::read_dir(out.join("lab")).unwrap();
        let files = files.map(|file| file.unwrap().file_name().into_string().unwrap());
        files.filter(|file| file.ends_with(".qcow2")).collect::<BTreeSet<String>>()
    };
    let files = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<String>>();
    assert_eq!(images("1cp-2workers.toml"), files(&["control-plane.qcow2", "worker.qcow2"]));
    fs::write(out.join("lab/mine.qcow2"), "nothing of a build").unwrap();
    assert_eq!(images("single.toml"), files(&["mine.qcow2", "single.qcow2"]));
}

/// The same content as when this was last written down, on whatever machine and day that was. A change of the lock or
/// the recipes changes it: `builder hash --profile 1cp-2workers --write` writes it anew.
fn expect_content(cluster: &ClusterJson) {
    let found = cluster.images.iter().map(|image| (image.role.clone(), image.content_sha256.clone()));
    on_record().check(&found.collect()).unwrap();
    let known =
        cluster.images.iter().map(|image| format!("sha256:{}  {}\n", image.content_sha256, image.role));
    assert_eq!(builder(&["hash", "--profile", PROFILE]), known.collect::<String>());
}

/// What `images.lock` has is made, or nothing is.
#[test]
fn frozen_images_are_those_on_record_or_none() {
    let out = fresh("frozen");
    let project = bare(&out);
    let secret = secret(&out, 7);
    let results = out.join("bare");
    let run = |args: &[&str]| {
        let mut command = assert_cmd::Command::new(BUILDER);
        command.args(["--project", text(&project)]).args(args).args(["--profile", "bare"]);
        let output = command.output().unwrap();
        let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap()).concat();
        (output.status.code(), said)
    };
    let build = ["build", "--out", text(&out), "--secret", text(&secret)];
    let frozen = [&build[..], &["--frozen"]].concat();
    let empty = tempfile::tempdir().unwrap();
    let (code, said) = run(&["hash", "--store", text(&empty.path().join("store"))]);
    assert!(code == Some(1) && said.contains("build --profile bare`, then ask again"), "{said}");
    let (code, said) = run(&frozen);
    assert!(code == Some(1) && said.contains("images.lock has no image of the profile `bare`"), "{said}");
    assert!(!results.exists(), "nothing was made");
    let (code, said) = run(&build);
    assert_eq!(code, Some(0), "{said}");
    // An unchanged build looks, too.
    assert_eq!(run(&frozen).0, Some(1));
    let (code, said) = run(&["hash", "--write"]);
    assert_eq!(code, Some(0), "{said}");
    let record = fs::read_to_string(project.join("images.lock")).unwrap();
    assert_eq!(run(&frozen).0, Some(0));
    let image = fs::read_link(results.join("set")).unwrap();
    let role = project.join("images/bare");
    fs::create_dir_all(role.join("files/etc")).unwrap();
    fs::write(role.join("files/etc/motd"), "another image\n").unwrap();
    let (code, said) = run(&frozen);
    assert!(
        code == Some(1) && said.contains("the image of `bare` is not the one that images.lock has"),
        "{said}"
    );
    assert_eq!(fs::read_link(results.join("set")).unwrap(), image, "the results are those from before");
    assert_eq!(run(&["hash", "--write"]).0, Some(0), "the store knows what was refused");
    assert_ne!(fs::read_to_string(project.join("images.lock")).unwrap(), record);
    assert_eq!(run(&frozen).0, Some(0));
}

#[expect(clippy::disallowed_methods, reason = "the host's sgdisk is the independent judge")]
fn check_partitions(raw: &Path) {
    let output =
        Command::new("sgdisk").args(["--verify", text(raw)]).output().expect("sgdisk (package gdisk)");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("No problems found"), "{said}");
}

fn check_file_system(tools: &Sandbox, raw: &Path) {
    let root = partition(raw, "kiln-root");
    let end = root.end - root.start;
    // e2fsck takes no offset: the partition is copied out.
    let folder = raw.with_extension("parts");
    fs::create_dir_all(&folder).unwrap();
    let tools = tools.clone().show(raw, "/tmp/disk.raw").lend(&folder, "/kiln/work");
    let (skip, count) = (format!("skip={}", root.start >> 20), format!("count={}", end >> 20));
    let copy = [
        "dd",
        "if=/tmp/disk.raw",
        "of=/kiln/work/root",
        "bs=1M",
        &skip,
        &count,
        "conv=sparse",
        "status=none",
    ];
    tools.run(copy).unwrap();
    tools.run(["e2fsck", "-fn", "/kiln/work/root"]).unwrap();
    fs::remove_dir_all(folder).unwrap();
}

fn partition(raw: &Path, name: &str) -> std::ops::Range<u64> {
    let partitions = disk::layout::read(&mut fs::File::open(raw).unwrap()).unwrap();
    partitions.into_iter().find(|partition| partition.name == name).unwrap().range
}

/// The bytes of a partition.
fn content(raw: &Path, range: &std::ops::Range<u64>) -> Vec<u8> {
    let mut bytes = vec![0; (range.end - range.start) as usize];
    fs::File::open(raw).unwrap().read_exact_at(&mut bytes, range.start).unwrap();
    bytes
}

/// What identities and the administrator have is nowhere on the disk but in the identity partition: not in a file, nor in what was
/// deleted, nor behind the end of one. As text, and as the bytes that the text stands for.
fn check_bytes(raw: &Path, out: &Path) {
    let identity = partition(raw, "kiln-identity");
    let (disk, stream) = (fs::File::open(raw).unwrap(), content(raw, &identity));
    let mut secrets = Vec::new();
    for entry in tar::Archive::new(stream.as_slice()).entries().unwrap() {
        let mut entry = entry.unwrap();
        let name = entry.path().unwrap().display().to_string();
        let mut text = String::new();
        if ["key", "kubeconfig", "yaml"].iter().any(|end| name.ends_with(end)) {
            entry.read_to_string(&mut text).unwrap();
            secrets.extend(private_parts(&text));
        }
    }
    let own = fs::read_to_string(out.join("secret-07")).unwrap();
    let admin = fs::read_to_string(out.join(PROFILE).join("admin.kubeconfig")).unwrap();
    let ssh = fs::read_to_string(out.join(PROFILE).join("ssh.key")).unwrap();
    // Its bytes are all the same here, as those of tables in programs are.
    secrets.push(own.trim().as_bytes().to_vec());
    secrets.extend([admin, ssh].iter().flat_map(|text| private_parts(text)));
    assert!(secrets.len() > 20, "only {} secrets were found", secrets.len());
    let search = AhoCorasick::new(&secrets).unwrap();
    assert!(search.is_match(&stream), "the search finds nothing where everything is");
    // Pieces overlap by the longest secret.
    let longest = secrets.iter().map(Vec::len).max().unwrap_or_default();
    let (mut piece, mut at, size) = (vec![0; 4 << 20], 0, fs::metadata(raw).unwrap().len());
    while at < size {
        if identity.contains(&at) {
            at = identity.end;
        }
        let end = if at < identity.start { identity.start } else { size };
        let length = piece.len().min((end - at) as usize);
        disk.read_exact_at(&mut piece[..length], at).unwrap();
        if piece[..length].iter().any(|byte| *byte != 0) {
            let found = search.find(&piece[..length]).map(|found| at + found.start() as u64);
            assert_eq!(found, None, "a secret at this byte of {}", raw.display());
        }
        at += (if at + length as u64 == end { length } else { length - longest }) as u64;
    }
}

/// The private parts of PEM files, kubeconfigs and encryption configurations: each line of base64, and what it stands for.
fn private_parts(text: &str) -> Vec<Vec<u8>> {
    let mut parts = Vec::new();
    let mut is_private = false;
    for line in text.lines() {
        if line.contains("-----") {
            is_private = line.contains("BEGIN") && line.contains("PRIVATE KEY");
            continue;
        }
        let value = line.trim().rsplit(' ').next().unwrap_or_default();
        let is_named = ["client-key-data:", "secret:", "token:"].iter().any(|key| line.contains(key));
        // The first line of a key of OpenSSH or PKCS #8 is the same for all.
        let is_its_own =
            value.len() >= 32 && !value.starts_with("b3BlbnNzaC1rZXktdjE") && !value.starts_with("MI");
        if (is_private || is_named) && is_its_own {
            parts.push(value.as_bytes().to_vec());
            parts.extend(STANDARD.decode(value).ok().filter(|bytes| bytes.len() >= 24));
        }
        // A kubeconfig holds a whole file of PEM.
        if line.contains("client-key-data:")
            && let Ok(pem) = STANDARD.decode(value)
        {
            parts.extend(private_parts(&String::from_utf8_lossy(&pem)));
        }
    }
    parts
}

fn check_content(tools: &Sandbox, raw: &Path) {
    assert!(debugfs(tools, raw, "cat /etc/machine-id").is_empty(), "a machine id in the image");
    let secrets = SECRET_FILES.iter().filter(|path| !debugfs(tools, raw, &format!("cat {path}")).is_empty());
    assert_eq!(secrets.collect::<Vec<_>>(), Vec::<&&str>::new(), "secrets in the root file system");
    let table = debugfs(tools, raw, "cat /usr/lib/kiln/cluster.json");
    firstboot::schema::Cluster::parse(&table).expect("the node table");
    let sources = String::from_utf8(debugfs(tools, raw, "ls -p /etc/apt/sources.list.d")).unwrap();
    assert!(!sources.contains("kiln"), "the build's own repository is left in the image: {sources}");
    let list = debugfs(tools, raw, "cat /etc/apt/sources.list");
    assert!(
        !String::from_utf8_lossy(&list).contains("/kiln/"),
        "the build's own repository is left in the image"
    );
}

fn check_kubectl(tools: &Sandbox, raw: &Path, out: &Path) {
    let kubectl = out.join("kubectl");
    program(tools, raw, "/usr/local/bin/kubectl", &kubectl);
    let said =
        tools.clone().show(&kubectl, "/tmp/kubectl").run(["/tmp/kubectl", "version", "--client"]).unwrap();
    let said = String::from_utf8(said).unwrap();
    let lock = Lock::load(&project().join("lockfile.toml")).unwrap();
    let version = &lock.release[&lock.default_release].kubernetes;
    assert!(said.contains(&format!("Client Version: v{version}\n")), "{said}");
}
