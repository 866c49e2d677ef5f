//! Which steps a running program stands on: machines outlive the builder that started them, and their QEMU runs from a
//! package root in the store.

use std::collections::BTreeSet;
use std::path::Path;

use fs_err as fs;

/// Those of the folders that are mounted in some process that may be looked at (proc_pid_mountinfo(5)).
pub(super) fn held<'a>(proc: &Path, folders: &[&'a str]) -> BTreeSet<&'a str> {
    let mut held = BTreeSet::new();
    for process in fs::read_dir(proc).into_iter().flatten().flatten() {
        // A process that ended meanwhile holds nothing.
        let Ok(mounts) = std::fs::read_to_string(process.path().join("mountinfo")) else { continue };
        held.extend(folders.iter().filter(|folder| mounts.contains(**folder)));
    }
    held
}

#[cfg(test)]
mod tests {
    use super::held;

    #[test]
    fn a_mounted_step_is_held() {
        let proc = tempfile::tempdir().unwrap();
        for process in ["1", "42", "self"] {
            fs_err::create_dir(proc.path().join(process)).unwrap();
        }
        let line = "71 70 8:1 /home/ann/.cache/kiln/steps/root-aa / ro,relatime - ext4 /dev/sda1 rw\n";
        fs_err::write(proc.path().join("42/mountinfo"), line).unwrap();
        let held: Vec<&str> = held(proc.path(), &["root-aa", "root-bb"]).into_iter().collect();
        assert_eq!(held, ["root-aa"]);
    }
}
