//! Compiles a source package of Debian: its recipe's `build.sh`, with the unpacked source and the date of it.

use fs_err as fs;

use crate::fetch::causes;
use crate::ground::error::Result;
use crate::stage::source::error::BuildError;
use crate::stage::source::workplace::Workplace;
use crate::stage::source::{released, unpack};

/// Runs the recipe; what it makes lies in the workplace's `out`.
pub(super) fn compile(place: &Workplace<'_>, source: &str) -> Result<()> {
    let Workplace { name, arch, lock, store, .. } = place;
    let folder = place.work.join("src");
    fs::create_dir_all(&folder)?;
    let files = lock.source.get(source).into_iter().flat_map(|source| &source.files);
    let files = files.map(|file| (file.file.as_str(), store.file(&file.sha256)));
    let released = unpack::lay_out(files, &place.work, &folder)
        .and_then(|()| released::released(&folder))
        .map_err(|error| BuildError::Source { build: (*name).to_owned(), message: causes(&error) })?;
    let task = place.progress.task(&format!("compiling {name} from source"));
    let sandbox = place
        .sandbox()
        .lend(&folder, "/kiln/src")
        .cwd("/kiln/src")
        .env("KILN_ARCH", arch.to_string())
        .env("SOURCE_DATE_EPOCH", released.to_string());
    sandbox.run(["bash", "-eu", "/kiln/recipe/build.sh"])?;
    task.finish();
    Ok(())
}
