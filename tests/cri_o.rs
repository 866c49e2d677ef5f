//! Machines with CRI-O give it the container images that they brought along. CRI-O itself is not in the Debian archive:
//! files that do nothing stand for it here. Debian's skopeo, its libraries, the recipe and the storage are the real ones.

mod support;

use std::collections::BTreeSet;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use builder::repro::sha256_hex;
use builder::sandbox::Sandbox;
use fs_err as fs;
use support::{builder, debugfs, fresh, project, raw, secret, text, tools};

/// What the recipe `cri-o` installs that is not in the Debian archive.
const ABSENT: [(&str, &[&str]); 3] =
    [("cri-o", &["conmon", "crio", "pinns"]), ("crictl", &["crictl"]), ("crun", &["crun"])];

/// Where a sandbox has the folder that CRI-O and skopeo share.
const STORAGE: &str = "/kiln/containers";

/// The release's components that it installs besides, as the lockfile has them in a release with CRI-O.
const SKOPEO: [&str; 4] = ["libassuan = ", "libgpg-error = ", "libgpgme = ", "skopeo = "];

#[test]
fn container_images_are_imported_where_cri_o_keeps_them() {
    let out = fresh("cri-o");
    let (lockfile, profile, secret) = (lockfile(&out), profile(&out), secret(&out, 7));
    let args = ["--lockfile", text(&lockfile), "--secret", text(&secret), "--out", text(&out)];
    builder(&[&["build", "--profile", text(&profile)], &args[..]].concat());

    let (root, kept) = (out.join("root"), out.join("containers"));
    unpack(&out, &root);
    fs::create_dir(&kept).unwrap();
    let image = Sandbox::new(&root).lend(&kept, STORAGE);
    let inside = |argv: &[&str]| String::from_utf8(image.run(argv).unwrap()).unwrap();
    let import = || inside(&["/usr/lib/kiln/import-images"]);

    import();
    let storage = kept.join("storage");
    let images = fs::read_to_string(storage.join("overlay-images/images.json")).unwrap();
    for (name, reference) in [("pause", "kiln.local/pause:3.4"), ("busybox", "kiln.local/busybox:1.37.0")] {
        assert!(images.contains(&format!("\"{reference}\"")), "{images}");
        let archive = format!("oci-archive:/usr/lib/kiln/images/{name}.tar");
        let [brought, kept] = [archive, format!("containers-storage:{reference}")]
            .map(|image| inside(&["skopeo", "inspect", "--config", "--raw", &image]));
        assert!(brought.contains("\"rootfs\""), "{brought}");
        assert_eq!(kept, brought, "the configuration of {name}");
    }
    let unpacked = fs::read_dir(storage.join("overlay")).unwrap().map(|layer| layer.unwrap().path());
    assert_eq!(
        unpacked.filter(|layer| layer.join("diff/pause").exists()).count(),
        1,
        "the program of `pause`"
    );

    // At the next boot they are there, and one that the kubelet removed comes back.
    let layers = || fs::read_dir(storage.join("overlay-layers")).unwrap().count();
    let before = layers();
    import();
    assert_eq!(
        (layers(), fs::read_to_string(storage.join("overlay-images/images.json")).unwrap()),
        (before, images)
    );
    inside(&["skopeo", "delete", "containers-storage:kiln.local/pause:3.4"]);
    assert!(layers() < before);
    import();
    assert_eq!(layers(), before);
}

/// The project's lockfile, whose default release has CRI-O.
fn lockfile(out: &Path) -> PathBuf {
    let text = fs::read_to_string(project().join("lockfile.toml")).unwrap();
    let skopeo = text.lines().filter(|line| SKOPEO.iter().any(|name| line.starts_with(name)));
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
        more += &format!(
            "{component} = {{ path = \"{}\", sha256 = {{ amd64 = {{ {hashes} }} }} }}\n",
            path.display()
        );
    }
    let head = "[release.debian.component]\n";
    assert!(text.contains(head));
    let path = out.join("lockfile.toml");
    fs::write(&path, text.replace(head, &format!("{head}{more}"))).unwrap();
    path
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
