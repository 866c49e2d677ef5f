//! What a role lays over the base root file system: its recipe's files, units and links, and its components' files.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use firstboot::schema::Duty;
use fs_err as fs;
use walkdir::WalkDir;

use crate::ground::error::{InputError, Result};
use crate::ground::tree::{Content, Node, Tree, Why};
use crate::role::component::{ComponentFile, Components};
use crate::role::recipe::Layer;
use crate::role::stack::Role;
use crate::role::{Context, addon};

/// Where units go.
pub const UNITS: &str = "etc/systemd/system";

/// Builds the overlay of a role.
///
/// # Errors
/// [`InputError`] for a template that does not render, a source that no component has, a unit that is not there.
pub fn overlay(role: &Role, context: &Context, components: &Components) -> Result<Tree> {
    lay(role, context, Some(components))
}

/// What of it the recipes' own folders bring: no component has to be there for it, so that a plan can look at it.
///
/// # Errors
/// [`InputError`] for a template that does not render and a unit that is not there.
pub fn own_files(role: &Role, context: &Context) -> Result<Tree> {
    lay(role, context, None)
}

fn lay(role: &Role, context: &Context, components: Option<&Components>) -> Result<Tree> {
    let mut tree = Tree::default();
    for layer in &role.layers {
        for (folder, destination) in [("files", ""), ("units", UNITS), ("node", firstboot::schema::NODE_TREE)]
        {
            copy(layer, folder, destination, context, &mut tree)?;
        }
        if let Some(addon) = addon::name(layer).filter(|_| role.has(Duty::ApiServer)) {
            copy(layer, addon::MANIFESTS, &format!("{}/{addon}", addon::APPLIED), context, &mut tree)?;
            copy(layer, addon::CHECKS, addon::RUN, context, &mut tree)?;
        }
        if let Some(components) = components {
            install(layer, components, &mut tree)?;
        }
        for link in &layer.image.link {
            tree.link(&link.path, &link.target, &by_table(layer));
        }
        if components.is_some() {
            modes(layer, &mut tree)?;
        }
    }
    for layer in &role.layers {
        units(layer, &mut tree)?;
    }
    Ok(tree)
}

fn why(layer: &Layer, source: String, component: Option<&str>) -> Why {
    Why::Recipe { recipe: layer.name.clone(), source, component: component.map(str::to_owned) }
}

/// What a table of the recipe's own file asks for.
fn by_table(layer: &Layer) -> Why {
    why(layer, layer.file_name().into_owned(), None)
}

fn wrong(layer: &Layer, message: String) -> InputError {
    InputError::Wrong { path: layer.path.clone(), line: 1, message, hint: None }
}

/// Copies a folder of the recipe; names that end in `.j2` are rendered.
fn copy(layer: &Layer, folder: &str, destination: &str, context: &Context, tree: &mut Tree) -> Result<()> {
    let from = layer.folder.join(folder);
    if !from.is_dir() {
        return Ok(());
    }
    for entry in WalkDir::new(&from).sort_by_file_name() {
        let entry = entry.map_err(std::io::Error::from)?;
        if entry.file_type().is_dir() {
            continue;
        }
        let path = entry.path();
        let inner = path.strip_prefix(&from).unwrap_or(path).to_string_lossy().into_owned();
        let why = why(layer, format!("{folder}/{inner}"), None);
        let inside = |name: &str| {
            if destination.is_empty() { name.to_owned() } else { format!("{destination}/{name}") }
        };
        if entry.file_type().is_symlink() {
            tree.link(&inside(&inner), &fs::read_link(path)?.to_string_lossy(), &why);
            continue;
        }
        // Only the owner's execute bit counts: the rest is the umask of a checkout.
        let mode = if fs::metadata(path)?.permissions().mode() & 0o100 == 0 { 0o644 } else { 0o755 };
        let bytes = fs::read(path)?;
        let (name, bytes) = match inner.strip_suffix(".j2") {
            Some(name) => (name, render(context, path, bytes)?.into_bytes()),
            None => (inner.as_str(), bytes),
        };
        tree.file(&inside(name), mode, Content::Bytes(bytes), &why);
    }
    Ok(())
}

fn render(context: &Context, path: &Path, bytes: Vec<u8>) -> Result<String, InputError> {
    let text = String::from_utf8(bytes).map_err(|_| InputError::Wrong {
        path: path.to_owned(),
        line: 1,
        message: "a template must be UTF-8 text".to_owned(),
        hint: None,
    })?;
    context.render(path, &text)
}

fn install(layer: &Layer, components: &Components, tree: &mut Tree) -> Result<()> {
    for (source, destination) in &layer.image.install {
        let (component, file) = source
            .split_once(':')
            .ok_or_else(|| wrong(layer, format!("`install` key `{source}` is not `component:file`")))?;
        let files = components
            .get(component)
            .ok_or_else(|| wrong(layer, format!("`{source}`: the release has no component `{component}`")))?;
        let why = why(layer, layer.file_name().into_owned(), Some(component));
        let one = |name: &str, ComponentFile { path, of }: &ComponentFile, tree: &mut Tree| {
            let to =
                if destination.ends_with('/') { format!("{destination}{name}") } else { destination.clone() };
            let content = Content::Path(path.clone());
            match of {
                None => tree.file(&to, 0o755, content, &why),
                Some(program) => {
                    let folder = to.rsplit_once('/').map_or("", |(folder, _)| folder);
                    tree.file(&format!("{folder}/{program}"), 0o755, content, &why);
                    tree.link(&to, program, &why);
                }
            }
        };
        if file == "*" {
            files.iter().for_each(|(name, found)| one(name, found, tree));
        } else {
            let found = files.get(file).ok_or_else(|| {
                let there: Vec<_> = files.keys().map(String::as_str).collect();
                wrong(
                    layer,
                    format!("`{source}`: the component has no `{file}`; it has: {}", there.join(", ")),
                )
            })?;
            one(file, found, tree);
        }
    }
    Ok(())
}

fn modes(layer: &Layer, tree: &mut Tree) -> Result<(), InputError> {
    for (path, mode) in &layer.image.mode {
        let parsed = u32::from_str_radix(mode, 8).ok().filter(|mode| *mode <= 0o7777);
        let mode = parsed
            .ok_or_else(|| wrong(layer, format!("`mode` of `{path}`: `{mode}` is not an octal mode")))?;
        if !tree.set_mode(path, mode) {
            return Err(wrong(layer, format!("`mode` names `{path}`, which the recipe does not bring")));
        }
    }
    Ok(())
}

/// Enables units as `systemctl enable` would, by their `[Install]` section, and masks others.
fn units(layer: &Layer, tree: &mut Tree) -> Result<(), InputError> {
    let why = by_table(layer);
    for unit in &layer.image.units.mask {
        tree.link(&format!("{UNITS}/{unit}"), "/dev/null", &why);
    }
    for unit in &layer.image.units.enable {
        let own = format!("{UNITS}/{unit}");
        let Some(Node::File { content: Content::Bytes(bytes), .. }) = tree.get(&own).map(|entry| &entry.node)
        else {
            return Err(wrong(
                layer,
                format!("`units.enable` names `{unit}`, which is not in a `units/` folder"),
            ));
        };
        let text = String::from_utf8_lossy(bytes).into_owned();
        let mut targets = 0;
        for (key, folder) in [("WantedBy=", "wants"), ("RequiredBy=", "requires")] {
            for target in
                text.lines().filter_map(|line| line.strip_prefix(key)).flat_map(str::split_whitespace)
            {
                tree.link(&format!("{UNITS}/{target}.{folder}/{unit}"), &format!("/{own}"), &why);
                targets += 1;
            }
        }
        if targets == 0 {
            return Err(wrong(
                layer,
                format!("`units.enable` names `{unit}`, which has no WantedBy= or RequiredBy="),
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
