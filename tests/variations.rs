//! Surroundings in which images are built again: none of them may change a byte. What is compared, others say.

#![expect(clippy::disallowed_methods, reason = "the host's own programs make the other surroundings")]

use std::path::PathBuf;
use std::process::Command;

use builder::sandbox::LAUNCHER;
use fs_err as fs;

use crate::support::{BUILDER, another_store, project, run, secret, text};

/// Surroundings.
pub struct Variation {
    /// What is other in them.
    pub name: &'static str,
    /// Whether every run of the tests has it; else the long tier alone.
    pub always: bool,
    /// A script that runs its arguments; `$folder` is a folder of its own, with `checkout` and `store`.
    script: &'static str,
}

/// What programs that make archives, file systems and compressed files take from their environment, and zones and
/// languages with other rules.
pub const VARIATIONS: &[Variation] = &[
    Variation {
        name: "hostile environment, umask 000, another host name, no address randomization",
        always: true,
        script: "umask 000
            export SOURCE_DATE_EPOCH=1 TAR_OPTIONS='--owner=7 --sort=none' GZIP=-1 XZ_DEFAULTS=-0 ZSTD_CLEVEL=1 ZSTD_NBTHREADS=2
            export MKE2FS_CONFIG=/dev/null MTOOLSRC=/dev/null GRUB_DISABLE_OS_PROBER=false DEB_BUILD_OPTIONS=nostrip
            export TZ=America/St_Johns LANG=tr_TR.UTF-8 GOFLAGS=-race GOPROXY=off PERL_HASH_SEED=1
            exec unshare --uts bash -c 'hostname somebody-else.example; exec setarch --addr-no-randomize \"$@\"' bash \"$@\"",
    },
    Variation {
        name: "folders read in another order",
        always: false,
        script: "mkdir -p \"$folder/shuffled\"
            disorderfs --multi-user=yes --shuffle-dirents=yes --reverse-dirents=no \"$folder/checkout\" \"$folder/shuffled\" >&2
            trap 'umount \"$folder/shuffled\"' EXIT
            program=$1 && shift
            \"$program\" --project \"$folder/shuffled\" \"$@\"",
    },
    Variation {
        name: "a clock of 1999, at the other end of the world",
        always: false,
        script: "export TZ=Pacific/Kiritimati; exec faketime '1999-12-31 23:59:59' \"$@\"",
    },
    Variation {
        name: "a clock of 2037, one core",
        always: false,
        script: "exec taskset --cpu-list 0 faketime '2037-01-01 00:00:00' \"$@\"",
    },
    Variation {
        name: "no environment at all, a long path through a link",
        always: false,
        script: "long=$folder/$(printf 'a-rather-long-name-%.0s' 1 2 3 4 5)
            mkdir -p \"$long\" && ln -sfn \"$folder/checkout\" \"$long/link\"
            program=$1 && shift
            exec env -i \"$program\" --project \"$long/link\" \"$@\"",
    },
    Variation {
        name: "a store on another file system",
        always: false,
        script: "other=$folder/other
            mkdir -p \"$other\" && mount -t tmpfs tmpfs \"$other\"
            trap 'umount \"$other\"' EXIT
            mkdir \"$other/store\" && cp -r \"$folder/store/steps\" \"$other/store\" && ln -s \"$folder/store/files\" \"$other/store\"
            program=$1 && shift 3
            \"$program\" --store \"$other/store\" \"$@\"",
    },
    Variation {
        name: "another release of Debian as host",
        always: false,
        script: "root=$folder/root
            for it in \"$KILN_STORE\"/steps/root-*; do
              if [ -e \"$it/usr/bin/mmdebstrap\" ]; then mkdir -p \"$root\" && cp -r \"$it/.\" \"$root\"; fi
            done
            mkdir -p \"$root/proc\" \"$root/dev\" \"$root/sys\" \"$root/tmp\" \"$root$folder\" \"$root/etc\"
            for at in /proc /dev /sys \"$folder\"; do mount --rbind --make-rslave \"$at\" \"$root$at\"; done
            trap 'for at in /proc /dev /sys \"$folder\"; do umount --lazy \"$root$at\"; done' EXIT
            cp \"$1\" \"$root/builder\" && shift
            chroot \"$root\" /builder --project \"$folder/checkout\" \"$@\"",
    },
    Variation {
        name: "little memory for each program, low priority, no core files",
        always: false,
        script: "ulimit -c 0 -n 256 -s 4096; exec nice -n 19 ionice -c 3 \"$@\"",
    },
    Variation {
        name: "a debug build of Kiln",
        always: false,
        script: "(cd \"$KILN_SOURCES\" && cargo build --quiet --target-dir \"$folder/debug\") >&2
            shift
            exec \"$folder/debug/debug/builder\" --project \"$folder/checkout\" \"$@\"",
    },
];

/// A variation's own checkout and store, with the downloads of the shared one and its compiled programs.
pub struct Place {
    folder: PathBuf,
    script: &'static str,
}

impl Place {
    /// Makes it in a folder with spaces and letters of other languages.
    pub fn new(variation: &Variation) -> Self {
        let folder = tempfile::Builder::new().prefix("kiln varied é-").tempdir().unwrap().keep();
        fs::create_dir(folder.join("checkout")).unwrap();
        for part in ["lockfile.toml", "profiles", "images", "recipes"] {
            run(Command::new("cp").args(["-r", text(&project().join(part)), text(&folder.join("checkout"))]));
        }
        another_store(&folder);
        Self { folder, script: variation.script }
    }

    /// The results of a profile that was built here, with the secret of a byte.
    pub fn build(&self, profile: &str, byte: u8) -> PathBuf {
        let out = self.folder.join("out");
        fs::create_dir_all(&out).unwrap();
        let secret = secret(&out, byte);
        let mut command = Command::new("bash");
        command.args(["-o", "errexit", "-c", self.script, "bash", BUILDER]);
        command.args(["--store", text(&self.folder.join("store")), "build", "--profile", profile]);
        command.args(["--out", text(&out), "--secret", text(&secret), "--offline"]);
        // The program runs itself again, wherever it is.
        command.env_remove(LAUNCHER);
        command
            .env("folder", &self.folder)
            .env("KILN_SOURCES", project())
            .current_dir(self.folder.join("checkout"));
        run(&mut command);
        out.join(profile)
    }

    /// Removes it.
    pub fn remove(self) {
        fs::remove_dir_all(self.folder).unwrap();
    }
}
