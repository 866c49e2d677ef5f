//! The recipe of an image: `images/NAME/image.toml`, and those beneath it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use firstboot::schema::Duty;
use fs_err as fs;
use serde::{Deserialize, Serialize};

use crate::ground::arch::Arch;
use crate::ground::error::InputError;
use crate::ground::input::{self, nearest};
use crate::pki::{Authority, Certificate, Kubeconfig, Secret};
use crate::profile::{Settings, Slots};

/// The folder of a project's roles.
pub const ROLES: &str = "images";

/// The folder of addons, below that of roles.
pub const ADDONS: &str = "addons";

/// The name under which recipes install the release's container images, each as `NAME.tar`.
pub const IMAGES: &str = "images";

/// The file of a recipe.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Image {
    /// One line for people.
    pub description: String,
    /// The recipes that this one is laid over, the lowest first; `{runtime}` and other names in braces are slots, which the
    /// profile's options fill.
    #[serde(default)]
    pub parts: Vec<String>,
    /// Where it can be built; everywhere when absent.
    pub architectures: Option<BTreeSet<Arch>>,
    /// Size of the disk in MiB when a node's profile gives none; the outermost recipe's counts.
    pub disk_mib: Option<u64>,
    /// What its nodes do for the cluster, besides what its parts bring along.
    #[serde(default)]
    pub duties: BTreeSet<Duty>,
    /// Labels of its nodes' Node objects; those of the outermost recipe that has any count.
    pub labels: Option<BTreeMap<String, String>>,
    /// Taints of its nodes' Node objects, `key=value:Effect`; those of the outermost recipe that has any count.
    pub taints: Option<Vec<String>>,
    /// `component:file` (or `component:*`) → destination (a folder when it ends in `/`).
    #[serde(default)]
    pub install: BTreeMap<String, String>,
    /// systemd units.
    #[serde(default)]
    pub units: Units,
    /// Symbolic links.
    #[serde(default)]
    pub link: Vec<Link>,
    /// Paths of the base root file system that the image does not keep; a final `*` stands for any rest.
    #[serde(default)]
    pub remove: Vec<String>,
    /// Modes that differ from 0644 (0755 for what its owner may execute), in octal.
    #[serde(default)]
    pub mode: BTreeMap<String, String>,
    /// Debian packages that the base root file system of its roles has.
    #[serde(default)]
    pub packages: Packages,
    /// Certificates that its nodes have, with their keys.
    #[serde(default)]
    pub certificate: Vec<Certificate>,
    /// Authorities that its nodes believe.
    #[serde(default)]
    pub authority: Vec<Authority>,
    /// Kubeconfigs that its nodes have.
    #[serde(default)]
    pub kubeconfig: Vec<Kubeconfig>,
    /// Other secrets that its nodes have.
    #[serde(default)]
    pub secret: Vec<Secret>,
    /// Settings of the programs in its images, by program; an outer recipe's count, and the profile's above all.
    #[serde(default)]
    pub settings: Settings,
    /// What templates see as `values`; an outer recipe's count.
    #[serde(default)]
    pub values: BTreeMap<String, String>,
}

/// systemd units of a recipe.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Units {
    /// Started at boot: each by the targets of its own `[Install]` section.
    #[serde(default)]
    pub enable: Vec<String>,
    /// Never started.
    #[serde(default)]
    pub mask: Vec<String>,
}

/// A symbolic link.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Link {
    /// Where it is.
    pub path: String,
    /// What it points to.
    pub target: String,
}

/// Debian packages.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Packages {
    /// What is asked for; the lock holds what follows.
    #[serde(default)]
    pub include: Vec<String>,
}

/// One recipe.
#[derive(Debug, Clone)]
pub struct Layer {
    /// Its name: the path of its folder below [`ROLES`].
    pub name: String,
    /// Its folder.
    pub folder: PathBuf,
    /// Its file.
    pub path: PathBuf,
    /// What stands in it.
    pub image: Image,
}

impl Layer {
    /// The name of its file.
    #[must_use]
    pub fn file_name(&self) -> std::borrow::Cow<'_, str> {
        self.path.file_name().unwrap_or_default().to_string_lossy()
    }
}

/// Where recipes are looked up: in Kiln's folder, and in one of a site's own beside it.
#[derive(Debug, Clone)]
pub struct Recipes {
    /// Kiln's.
    own: PathBuf,
    site: Option<PathBuf>,
}

impl Recipes {
    /// Those of a project, with those of a site.
    #[must_use]
    pub fn of(project: &Path, site: Option<&Path>) -> Self {
        Self { own: project.join(ROLES), site: site.map(Path::to_owned) }
    }

    /// The folders, Kiln's first.
    pub fn folders(&self) -> impl Iterator<Item = &Path> {
        [Some(&self.own), self.site.as_ref()].into_iter().flatten().map(PathBuf::as_path)
    }

    /// The folder of a site.
    #[must_use]
    pub fn site(&self) -> Option<&Path> {
        self.site.as_deref()
    }

    /// The folder of a recipe or of an addon, by its path below one of the folders; in Kiln's where none has it.
    #[must_use]
    pub fn folder(&self, name: &str) -> PathBuf {
        let has = |folder: &&Path| folder.join(name).is_dir();
        self.folders().find(has).unwrap_or(&self.own).join(name)
    }

    /// The file of a recipe.
    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder(name).join("image.toml")
    }

    /// The names of all recipes, sorted.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        let folders = self.folders().flat_map(|folder| fs::read_dir(folder).into_iter().flatten().flatten());
        let recipes = folders.map(|entry| entry.path()).filter(|folder| folder.join("image.toml").exists());
        let mut names: Vec<String> =
            recipes.filter_map(|path| Some(path.file_name()?.to_str()?.to_owned())).collect();
        names.sort();
        names
    }

    /// Refuses a site's folder that is not there, and recipes and addons of it that are called as Kiln's are.
    ///
    /// # Errors
    /// [`InputError`] with the folder.
    pub fn check(&self) -> Result<(), InputError> {
        let Some(site) = &self.site else { return Ok(()) };
        if !site.is_dir() {
            let hint = "`--images` names a folder with a folder for each recipe".to_owned();
            return Err(InputError::Missing { what: "folder of recipes", path: site.clone(), hint });
        }
        for below in ["", ADDONS] {
            for entry in fs::read_dir(site.join(below)).into_iter().flatten().flatten() {
                let known = self.own.join(below).join(entry.file_name());
                if entry.file_name() != ADDONS && known.is_dir() {
                    let hint =
                        "Kiln has one of that name: call it otherwise, and put Kiln's into its `parts`";
                    return Err(InputError::Wrong {
                        path: entry.path(),
                        line: 1,
                        message: format!("`{}` is taken", entry.file_name().display()),
                        hint: Some(hint.to_owned()),
                    });
                }
            }
        }
        Ok(())
    }

    /// A recipe that is not there.
    pub(super) fn missing(&self, name: &str) -> InputError {
        let names = self.names();
        let list = names.join(", ");
        let hint = match nearest(name, names.iter().map(String::as_str)) {
            Some(close) => format!("did you mean `{close}`? the recipes are: {list}"),
            None => format!("the recipes are: {list}"),
        };
        InputError::Missing { what: "role recipe", path: self.file(name), hint }
    }
}

/// Puts a recipe with those beneath it above the `layers` that there are. `above` are the recipes that lead to it.
pub(super) fn lay(
    recipes: &Recipes,
    name: &str,
    slots: &Slots,
    above: &mut Vec<String>,
    layers: &mut Vec<Layer>,
) -> Result<(), InputError> {
    if layers.iter().any(|layer| layer.name == name) {
        return Ok(());
    }
    let path = recipes.file(name);
    let wrong = |message: String, hint: String| InputError::Wrong {
        path: path.clone(),
        line: 1,
        message,
        hint: Some(hint),
    };
    if above.iter().any(|other| other == name) {
        let slots: Vec<String> =
            slots.iter().map(|(slot, part)| format!("`{{{slot}}}` is `{part}`")).collect();
        let hint = format!("by the profile's options {}", slots.join(", "));
        return Err(wrong(format!("`parts` leads back to `{name}`"), hint));
    }
    let text = input::read(&path, || recipes.missing(name))?;
    let image: Image = input::parse(&path, &text)?;
    above.push(name.to_owned());
    for part in &image.parts {
        let part = match part.strip_prefix('{').and_then(|part| part.strip_suffix('}')) {
            None => part,
            Some(slot) => slots.get(slot).ok_or_else(|| {
                let known: Vec<String> = slots.keys().map(|slot| format!("{{{slot}}}")).collect();
                wrong(
                    format!("`parts`: there is no slot `{part}`"),
                    format!("there are: {}", known.join(", ")),
                )
            })?,
        };
        lay(recipes, part, slots, above, layers)?;
    }
    above.pop();
    layers.push(Layer { name: name.to_owned(), folder: recipes.folder(name), path: path.clone(), image });
    Ok(())
}
