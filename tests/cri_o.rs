//! Machines with CRI-O give it the container images that they brought along. CRI-O itself is not in the Debian archive:
//! files that do nothing stand for it here. Debian's skopeo, its libraries, the recipe and the storage are the real ones.

use std::collections::BTreeSet;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use crate::shell::{MESSAGE, REFERENCE, Shell};
use crate::support::{debugfs, fresh, project, raw, release, text, tools};
use builder::ground::repro::sha256_hex;
use fs_err as fs;

/// What the recipe `cri-o` installs that is not in the Debian archive.
const ABSENT: [(&str, &[&str]); 2] = [("cri-o", &["conmon", "crio", "pinns"]), ("crun", &["crun"])];

/// The components that it installs besides, as they stand in the releases of the lockfile that have CRI-O.
const SKOPEO: [&str; 4] = ["libassuan = ", "libgpg-error = ", "libgpgme = ", "skopeo = "];

/// Where a sandbox has the folder that CRI-O and skopeo share.
const STORAGE: &str = "/kiln/containers";

/// An image that is made of a program.
const PAUSE: &str = "kiln.local/pause:1.0";

/// Enters a root as its machine's root would, with a folder of the host at a place in it: the kernel gives overlay file systems of
/// the usual kind to no user namespace, so the builder's sandbox is no machine for CRI-O.
const INSIDE: &str = r#"
    set -e
    mkdir -p "$2$3"
    mount --bind "$2" "$2"
    mount --bind "$1" "$2$3"
    mount -t proc proc "$2/proc"
    mount --rbind /dev "$2/dev"
    for place in tmp run var/tmp; do mount -t tmpfs tmpfs "$2/$place"; done
    root=$2
    shift 3
    exec chroot "$root" "$@"
"#;

const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

#[test]
fn container_images_are_imported_where_cri_o_keeps_them() {
    let Some(shell) = Shell::start() else { return };
    let out = fresh("cri-o");
    let lockfile = with_cri_o(&shell.lockfile(), &out);
    shell.build(text(&profile(&out)), &lockfile, &out);

    let (root, kept) = (out.join("root"), out.join("containers"));
    unpack(&out, &root);
    fs::create_dir(&kept).unwrap();
    let inside = |argv: &[&str]| {
        let places = ["--mount", "sh", "-c", INSIDE, "sh", text(&kept), text(&root), STORAGE];
        let program = duct::cmd("unshare", places.iter().chain(argv)).env("PATH", PATH).env("HOME", "/tmp");
        String::from_utf8(program.stdout_capture().run().unwrap().stdout).unwrap()
    };
    let import = || inside(&["/usr/lib/kiln/import-images"]);
    let storage = kept.join("storage");
    let images = || fs::read_to_string(storage.join("overlay-images/images.json")).unwrap();
    let has = |file: &str| {
        let layers = fs::read_dir(storage.join("overlay")).unwrap().map(|layer| layer.unwrap().path());
        layers.into_iter().any(|layer| layer.join("diff").join(file).exists())
    };

    import();
    for (name, reference) in [("pause", PAUSE), ("busybox", REFERENCE)] {
        assert!(images().contains(&format!("\"{reference}\"")), "{}", images());
        let archive = format!("oci-archive:/usr/lib/kiln/images/{name}.tar");
        let [brought, kept] = [archive, format!("containers-storage:{reference}")]
            .map(|image| inside(&["skopeo", "inspect", "--config", "--raw", &image]));
        assert!(brought.contains("\"rootfs\""), "{brought}");
        assert_eq!(kept, brought, "the configuration of {name}");
    }
    assert!(["pause", "bin/busybox", "etc/message"].into_iter().all(has), "layers are missing");

    // At the next boot they are there, and one that the kubelet removed comes back.
    let before = images();
    import();
    assert_eq!(images(), before);
    inside(&["skopeo", "delete", &format!("containers-storage:{PAUSE}")]);
    assert!(!images().contains(PAUSE) && !has("pause"), "{}", images());
    import();
    assert!(images().contains(PAUSE) && has("pause"), "{}", images());
    let message = inside(&["sh", "-c", &format!("cat {STORAGE}/storage/overlay/*/diff/etc/message")]);
    assert_eq!(message, MESSAGE);
}

/// A lockfile whose default release has CRI-O.
fn with_cri_o(lockfile: &str, out: &Path) -> String {
    let skopeo = lockfile.lines().filter(|line| SKOPEO.iter().any(|name| line.starts_with(name)));
    let mut more: String = BTreeSet::from_iter(skopeo).into_iter().flat_map(|line| [line, "\n"]).collect();
    for (component, files) in ABSENT {
        let folder = out.join(component);
        fs::create_dir(&folder).unwrap();
        let hashes = files.iter().map(|file| {
            fs::write(folder.join(file), *file).unwrap();
            format!("{file} = \"{}\"", sha256_hex(file.as_bytes()))
        });
        let hashes = Vec::from_iter(hashes).join(", ");
        let path = if files.len() == 1 { folder.join(files[0]) } else { folder };
        let path = path.display();
        more += &format!("{component} = {{ path = \"{path}\", sha256 = {{ amd64 = {{ {hashes} }} }} }}\n");
    }
    let head = format!("[release.\"{}\".component]\n", release());
    assert!(lockfile.contains(&head));
    lockfile.replace(&head, &format!("{head}{more}"))
}

/// The profile `single` with CRI-O.
fn profile(out: &Path) -> PathBuf {
    let text = fs::read_to_string(project().join("profiles/single.toml")).unwrap();
    let path = out.join("cri-o.toml");
    fs::write(&path, format!("{text}\n[options]\nruntime = \"cri-o\"\n")).unwrap();
    path
}

/// What the import needs of the root file system: programs, libraries, settings and archives.
fn unpack(out: &Path, root: &Path) {
    fs::create_dir(root).unwrap();
    let disk = raw(&tools(), &out.join("cri-o/single.qcow2"), out);
    let tools = tools().lend(root, "/kiln/root");
    for folder in ["etc", "usr"] {
        debugfs(&tools, &disk, &format!("rdump /{folder} /kiln/root"));
    }
    fs::remove_file(disk).unwrap();
    for folder in ["dev", "kiln", "proc", "run", "tmp", "var/lib", "var/tmp"] {
        fs::create_dir_all(root.join(folder)).unwrap();
    }
    for link in ["bin", "lib", "lib64", "sbin"] {
        symlink(format!("usr/{link}"), root.join(link)).unwrap();
    }
    symlink(STORAGE, root.join("var/lib/containers")).unwrap();
}
