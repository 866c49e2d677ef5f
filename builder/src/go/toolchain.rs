//! Go itself, out of its module: what `GOTOOLCHAIN` takes in the same way (<https://go.dev/doc/toolchain>).

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use fs_err as fs;

use crate::archive::inner_path;
use crate::go::module::{is_toolchain, key};
use crate::go::{GoError, cache, sum};
use crate::ground::error::Result;
use crate::ground::progress::Progress;
use crate::lockfile::Lock;
use crate::lockfile::format::{Go, Module};
use crate::store::{StepKey, Store};

/// Raised when what is unpacked changes.
const VERSION: u32 = 1;

/// Folders of Go that nothing here reads.
const LEFT_OUT: [&str; 3] = ["api", "doc", "test"];

/// The module of the lock that is the Go of a build.
pub(super) fn module<'a>(lock: &'a Lock, go: &Go) -> Option<&'a Module> {
    let version = go.toolchain_version();
    lock.go.modules.iter().find(|module| is_toolchain(module) && module.version == version)
}

/// The key of the unpacked Go of a build, when the lock has it.
pub(crate) fn folder_key(lock: &Lock, go: &Go) -> Option<StepKey> {
    Some(StepKey::new("go", VERSION, &key(module(lock, go)?)))
}

/// Unpacks the Go of a build, whose module the store has, and returns its folder.
///
/// # Errors
/// [`GoError::Toolchain`] when it is not in the lock or is no Go, or when it cannot be written.
pub(crate) fn unpack(store: &Store, lock: &Lock, go: &Go, progress: &Progress) -> Result<PathBuf> {
    let name = format!("{}@{}", crate::lockfile::go::TOOLCHAIN, go.toolchain_version());
    let wrong = |message: String| GoError::Toolchain { module: name.clone(), message };
    let module = module(lock, go).ok_or_else(|| wrong("the lockfile does not have it".to_owned()))?;
    store.step(&StepKey::new("go", VERSION, &key(module)), |folder| {
        let task = progress.task(&format!("unpacking {}", go.toolchain));
        let zip = store.made(&key(module)).unwrap_or_default().join(cache::ZIP);
        extract(&zip, &format!("{name}/"), folder).map_err(|error| wrong(error.to_string()))?;
        task.finish();
        Ok(())
    })
}

/// Writes the files of a module's zip below `folder`; programs can be executed.
fn extract(zip: &Path, prefix: &str, folder: &Path) -> io::Result<()> {
    let mut archive = sum::open(zip)?;
    for index in 0..archive.len() {
        let mut file = archive.by_index(index).map_err(io::Error::other)?;
        let name = file.name().map_err(io::Error::other)?.into_owned();
        let stray = || io::Error::other(format!("`{name}` is not below `{prefix}`"));
        let name = inner_path(Path::new(name.strip_prefix(prefix).ok_or_else(stray)?))?;
        if file.is_dir() || LEFT_OUT.iter().any(|folder| name.starts_with(folder)) {
            continue;
        }
        let path = folder.join(&name);
        fs::create_dir_all(path.parent().unwrap_or(folder))?;
        io::copy(&mut file, &mut fs::File::create_new(&path)?)?;
        if name.starts_with("bin") || name.starts_with("pkg/tool") {
            fs::set_permissions(path, std::fs::Permissions::from_mode(0o755))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::fs::PermissionsExt;

    use fs_err as fs;

    use super::extract;

    fn made(files: &[(&str, &str)]) -> (tempfile::TempDir, Result<(), String>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("go.zip");
        let mut zip = zip::ZipWriter::new(fs::File::create(&path).unwrap().into_parts().0);
        for (name, text) in files {
            zip.start_file(*name, zip::write::SimpleFileOptions::default()).unwrap();
            zip.write_all(text.as_bytes()).unwrap();
        }
        zip.finish().unwrap();
        let done = extract(&path, "go@v1/", &folder.path().join("go")).map_err(|error| error.to_string());
        (folder, done)
    }

    #[test]
    fn programs_are_programs() {
        let (folder, done) = made(&[
            ("go@v1/bin/go", "g"),
            ("go@v1/pkg/tool/linux_amd64/link", "l"),
            ("go@v1/src/a.go", "a"),
            ("go@v1/test/b", "b"),
        ]);
        done.unwrap();
        let mode = |name: &str| {
            fs::metadata(folder.path().join("go").join(name)).unwrap().permissions().mode() & 0o100
        };
        assert!(mode("bin/go") != 0 && mode("pkg/tool/linux_amd64/link") != 0 && mode("src/a.go") == 0);
        assert!(!folder.path().join("go/test").exists());
    }

    #[test]
    fn nothing_leaves_the_folder() {
        for name in ["elsewhere/bin/go", "go@v1/../../up", "/go@v1/bin/go"] {
            let (folder, done) = made(&[(name, "x")]);
            assert!(done.is_err(), "{name}");
            assert!(!folder.path().join("up").exists());
        }
    }
}
