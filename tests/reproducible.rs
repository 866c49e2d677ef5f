//! Same inputs, same bytes: two builds that share nothing but the inputs.

#![expect(clippy::disallowed_methods, reason = "the host's own programs make the other surroundings")]

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::support::{
    self, BUILDER, ORDINARY_USER, PROFILE, build, builder, fresh, long, make_ordinary_user, project, raw,
    run, secret, text, tools,
};
use crate::variations::{Place, VARIATIONS};
use builder::disk;
use builder::results::cluster::ClusterJson;
use fs_err as fs;
use nix::unistd::User;

#[test]
fn an_unchanged_build_is_a_look() {
    let out = fresh("unchanged");
    let first = build(&out);
    let secret = secret(&out, 7);
    let again = ["build", "--profile", PROFILE, "--json", "--offline", "--out", text(&out)];
    let said = builder(&[&again[..], &["--secret", text(&secret)]].concat());
    let report: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!(report["stages"].as_array().map(Vec::len), Some(0), "no stage ran: {report}");
    for image in report["images"].as_array().unwrap() {
        assert!(first.contains(image["sha256"].as_str().unwrap()), "{report}");
    }
}

#[test]
fn another_folder_user_zone_locale_umask_clock_and_core_count_give_the_same_bytes() {
    let here = fresh("here");
    build(&here);
    let ours = ClusterJson::load(&here.join(PROFILE)).unwrap();

    let there = elsewhere();
    kill_elsewhere(&there);
    let theirs = build_elsewhere(&there, 7, "out");
    assert_eq!(hashes(&ours), hashes(&theirs), "sha256 of the images");
    assert_eq!(ours.images, theirs.images);
    let provenance = |folder: &Path| fs::read_to_string(folder.join("provenance.json")).unwrap();
    assert_eq!(provenance(&here.join(PROFILE)), provenance(&there.join("out").join(PROFILE)));
    fs::remove_dir_all(there).unwrap();
}

/// Every image of every profile that this release has, in every surrounding; in each run of the tests one of them, and the
/// images of one profile with another secret.
#[test]
fn no_surroundings_change_a_byte() {
    let here = fresh("varied");
    let profiles =
        if long() { builder::profile::names(&project().join("profiles")) } else { vec![PROFILE.to_owned()] };
    let ours: Vec<(String, ClusterJson)> = profiles
        .into_iter()
        .map(|profile| {
            let secret = secret(&here, 7);
            builder(&["build", "--profile", &profile, "--out", text(&here), "--secret", text(&secret)]);
            let cluster = ClusterJson::load(&here.join(&profile)).unwrap();
            (profile, cluster)
        })
        .collect();
    let (mut table, mut wrong) = (String::new(), Vec::new());
    for variation in VARIATIONS.iter().filter(|variation| variation.always || long()) {
        let place = Place::new(variation);
        let (mut equal, mut tried) = (0, 0);
        for (profile, ours) in &ours {
            let folder = place.build(profile, 7);
            let theirs = ClusterJson::load(&folder).unwrap();
            for (one, other) in ours.images.iter().zip(&theirs.images) {
                tried += 1;
                if one == other && documents(&here.join(profile), &one.role) == documents(&folder, &one.role)
                {
                    equal += 1;
                    continue;
                }
                let images = [here.join(profile).join(&one.path), folder.join(&other.path)];
                let diff = assert_cmd::Command::new(BUILDER).arg("diff").args(images).output().unwrap();
                let first: Vec<String> =
                    String::from_utf8_lossy(&diff.stdout).lines().take(5).map(str::to_owned).collect();
                wrong.push(format!("{}: {profile}, {}: {}", variation.name, one.role, first.join("; ")));
            }
        }
        if variation.always {
            with_another_secret(&ours[0], &place);
        }
        place.remove();
        table.push_str(&format!("reproducible: {equal} of {tried} images equal with {}\n", variation.name));
        // What the next one does is no reason to lose it.
        fs::write(here.join("figures"), &table).unwrap();
    }
    assert_eq!(wrong, Vec::<String>::new(), "{table}");
}

/// What is said of a role's image.
fn documents(folder: &Path, role: &str) -> Vec<String> {
    let files = [format!("{role}.spdx.json"), format!("{role}.cdx.json"), "provenance.json".to_owned()];
    files.iter().map(|file| fs::read_to_string(folder.join(file)).unwrap()).collect()
}

/// The content is the same, the files are not.
fn with_another_secret((profile, ours): &(String, ClusterJson), place: &Place) {
    let theirs = ClusterJson::load(&place.build(profile, 8)).unwrap();
    for (ours, other) in ours.images.iter().zip(&theirs.images) {
        assert_eq!(ours.content_sha256, other.content_sha256, "content_sha256 depends on the secret");
        assert_ne!(ours.sha256, other.sha256, "the secret is in the image of {}", ours.role);
    }
}

/// What was built is what its inputs make; of an image with another time of one file `prove` says so, and which.
#[test]
fn what_is_built_again_is_the_same_and_a_changed_file_is_named() {
    let out = fresh("proved");
    build(&out);
    let results = out.join(PROFILE);
    let raw = raw(&tools(), &results.join("worker.qcow2"), &out);
    let root = {
        let partitions = disk::layout::read(&mut fs::File::open(&raw).unwrap()).unwrap();
        partitions.into_iter().find(|partition| partition.name == "kiln-root").unwrap().range.start
    };
    let at = format!("{}?offset={root}", text(&raw));
    run(Command::new("/usr/sbin/debugfs").args(["-w", "-R", "sif /etc/debian_version mtime 20200101", &at]));
    fs::remove_file(results.join("worker.qcow2")).unwrap();
    let image = results.join("worker.qcow2");
    run(Command::new("qemu-img").args(["convert", "-O", "qcow2", text(&raw), text(&image)]));
    fs::remove_file(&raw).unwrap();
    let secret = out.join("secret-07");
    let prove = ["prove", text(&results), "--secret", text(&secret), "--offline", "--json"];
    let output = assert_cmd::Command::new(BUILDER).current_dir(project()).args(prove).output().unwrap();
    let proof: serde_json::Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)));
    assert_eq!((output.status.code(), &proof["match"]), (Some(1), &false.into()), "{proof:#}");
    let [control_plane, worker] = &proof["images"].as_array().unwrap()[..] else { panic!("{proof:#}") };
    assert_eq!(control_plane["file"], "same", "{proof:#}");
    assert_eq!(control_plane["reported"], control_plane["rebuilt"]);
    assert_eq!((&worker["reported"], &worker["file"]), (&worker["rebuilt"], &"not-as-reported".into()));
    let differences = worker["differences"].as_array().unwrap();
    let is_it = |it: &serde_json::Value| it["name"] == "/etc/debian_version" && it["field"] == "mtime";
    assert!(differences.iter().any(is_it), "{proof:#}");
    let left = fs::read_dir(&out)
        .unwrap()
        .filter(|it| it.as_ref().unwrap().file_name().to_string_lossy().starts_with(".prove"));
    assert_eq!(left.count(), 0, "what was built again is gone");
}

#[test]
fn a_host_without_what_kiln_needs_is_told_the_tool_and_its_package() {
    make_ordinary_user();
    let folder = tempfile::Builder::new().prefix("kiln-doctor-").tempdir().unwrap();
    fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let builder = folder.path().join("builder");
    fs::copy(BUILDER, &builder).unwrap();
    let mut command = Command::new("runuser");
    command.args(["-u", ORDINARY_USER, "--", "env", "-i", "PATH=/nonexistent", "HOME=/nonexistent"]);
    let output = command.args([text(&builder), "--store", "/tmp", "doctor"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("`newuidmap`") && said.contains("apt-get install uidmap"), "{said}");
}

fn hashes(cluster: &ClusterJson) -> Vec<String> {
    cluster.images.iter().map(|image| format!("{} {}", image.role, image.sha256)).collect()
}

/// A second checkout with a store of its own, both the ordinary user's, in a folder with a long name.
fn elsewhere() -> PathBuf {
    make_ordinary_user();
    let folder = tempfile::Builder::new().prefix("kiln elsewhere ü-").tempdir().unwrap().keep();
    let checkout = folder.join("another-checkout");
    fs::create_dir(&checkout).unwrap();
    for part in ["lockfile.toml", "profiles", "images", "recipes"] {
        run(Command::new("cp").args(["-r", text(&project().join(part)), text(&checkout)]));
    }
    run(Command::new("cp").args([BUILDER, text(&checkout.join("builder"))]));
    let store = folder.join("store/steps");
    fs::create_dir_all(&store).unwrap();
    if !long() {
        for entry in fs::read_dir(support::store().join("steps")).unwrap() {
            let path = entry.unwrap().path();
            if path.file_name().unwrap().to_string_lossy().starts_with("source-") {
                run(Command::new("cp").args(["-r", text(&path), text(&store)]));
            }
        }
    }
    run(Command::new("chown").args(["-R", &format!("{ORDINARY_USER}:"), text(&folder)]));
    fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o755)).unwrap();
    folder
}

/// Kills the ordinary user's build while it installs the base, with folders there of accounts that the base alone has.
fn kill_elsewhere(folder: &Path) {
    let user = User::from_name(ORDINARY_USER).unwrap().unwrap().uid.as_raw();
    let mut child = command_elsewhere(folder, 7, "killed").spawn().unwrap();
    let foreign = |entry: walkdir::Result<walkdir::DirEntry>| {
        entry.is_ok_and(|entry| entry.metadata().is_ok_and(|metadata| metadata.uid() != user))
    };
    while !walkdir::WalkDir::new(folder.join("store/tmp")).into_iter().any(foreign) {
        assert!(child.try_wait().unwrap().is_none(), "it installed the base before it was killed");
        std::thread::sleep(Duration::from_millis(20));
    }
    run(Command::new("pkill").args(["--signal", "KILL", "--uid", ORDINARY_USER]));
    child.wait().unwrap();
}

/// The images of a build by the ordinary user.
fn build_elsewhere(folder: &Path, byte: u8, out: &str) -> ClusterJson {
    run(&mut command_elsewhere(folder, byte, out));
    ClusterJson::load(&folder.join(out).join(PROFILE)).unwrap()
}

/// A build by the ordinary user: one core, a clock 400 days ahead, another zone, locale, umask and home.
fn command_elsewhere(folder: &Path, byte: u8, out: &str) -> Command {
    let out = folder.join(out);
    fs::create_dir_all(&out).unwrap();
    let secret = secret(&out, byte);
    run(Command::new("chown").args(["-R", &format!("{ORDINARY_USER}:"), text(&out)]));
    let script = r#"umask 077; exec taskset --cpu-list 0 faketime -f +400d "$@""#;
    let mut command = Command::new("runuser");
    command.args(["-u", ORDINARY_USER, "--", "env", "-i"]);
    command.args([
        "PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
        "HOME=/nonexistent",
        "TZ=Asia/Kathmandu",
    ]);
    command.args(["LC_ALL=C", "LANG=C", "bash", "-c", script, "bash"]);
    command.arg(folder.join("another-checkout/builder"));
    command.args(["--store", text(&folder.join("store")), "build", "--profile", PROFILE]);
    command.args(["--out", text(&out), "--secret", text(&secret)]);
    command.current_dir(folder.join("another-checkout"));
    command
}
