//! Imports point down: the modules of each crate are a graph without a circle, and its rooms are the list of
//! docs/explanation/architecture.md, in which each imports only from those below it.
//!
//! A module is a file. What a folder's own file passes on (`pub use`) counts as imported from the file that defines it. Tests do not
//! count.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use proc_macro2::{TokenStream, TokenTree};
use quote::ToTokens;
use syn::{Item, UseTree, Visibility};
use walkdir::WalkDir;

/// A module's place in its crate: `["driver", "qemu"]`.
type Name = Vec<String>;

/// What each module imports: the module that defines it, and one of the names.
type Imports<'a> = BTreeMap<&'a [String], BTreeMap<&'a [String], String>>;

/// What a file says.
#[derive(Default)]
struct Module {
    /// What its own names stand for, and whether others may use them.
    names: BTreeMap<String, (Name, bool)>,
    /// The paths that its code has, as written.
    paths: BTreeSet<Name>,
}

struct Crate {
    modules: BTreeMap<Name, Module>,
}

impl Crate {
    fn read(folder: &str) -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(folder).join("src");
        let files = WalkDir::new(&root).into_iter().map(|entry| entry.unwrap().into_path());
        let files = files.filter(|path| path.extension().is_some_and(|it| it == "rs"));
        let modules = files.filter_map(|path| Some((name_of(path.strip_prefix(&root).unwrap())?, path)));
        let modules = modules.map(|(name, path)| {
            let module = module(&name, &path);
            (name, module)
        });
        Self { modules: modules.collect() }
    }

    /// The module that defines what a path, from the crate's root on, names; none for a module itself, and for what is no path here.
    fn owner(&self, path: &[String]) -> Option<&Name> {
        let length = (0..=path.len()).rev().find(|length| self.modules.contains_key(&path[..*length]))?;
        let (name, module) = self.modules.get_key_value(&path[..length])?;
        let item = path.get(length)?;
        match module.names.get(item) {
            Some((target, true)) if target.first().is_some_and(|first| first == "crate") => {
                self.owner(&[&target[1..], &path[length + 1..]].concat())
            }
            _ => Some(name),
        }
    }

    /// What each module imports, and one of the names that it imports.
    fn imports(&self) -> Imports<'_> {
        let mut imports = Imports::new();
        for (name, module) in &self.modules {
            let own = imports.entry(name.as_slice()).or_default();
            for path in &module.paths {
                let absolute = absolute(name, &self.modules, module, path);
                if let Some(owner) =
                    absolute.and_then(|path| self.owner(&path)).filter(|owner| *owner != name)
                {
                    own.insert(owner.as_slice(), path.join("::"));
                }
            }
        }
        imports
    }
}

/// A path from the crate's root on; none if it leads out of the crate.
fn absolute(name: &Name, modules: &BTreeMap<Name, Module>, module: &Module, path: &[String]) -> Option<Name> {
    let first = path.first()?.as_str();
    let rest = &path[1..];
    match first {
        "crate" => Some(rest.to_vec()),
        "self" => Some([name, rest].concat()),
        "super" => {
            let up = path.iter().take_while(|part| *part == "super").count();
            Some([&name[..name.len().checked_sub(up)?], &path[up..]].concat())
        }
        _ => match module.names.get(first) {
            Some((target, _)) if target[0] == "crate" => Some([&target[1..], rest].concat()),
            Some(_) => None,
            None => {
                modules.contains_key(&[name.as_slice(), &path[..1]].concat()).then(|| [name, path].concat())
            }
        },
    }
}

/// The name of a file's module; none for a file of tests.
fn name_of(file: &Path) -> Option<Name> {
    let mut name: Name =
        file.with_extension("").iter().map(|part| part.to_str().unwrap().to_owned()).collect();
    if name.last().is_some_and(|last| ["mod", "lib", "main"].contains(&last.as_str())) {
        name.pop();
    }
    (!name.iter().any(|part| part == "tests")).then_some(name)
}

fn module(name: &Name, file: &PathBuf) -> Module {
    let text = fs::read_to_string(file).unwrap();
    let parsed = syn::parse_file(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let mut module = Module::default();
    for item in parsed.items.iter().filter(|item| !is_test(item)) {
        match item {
            Item::Use(it) => {
                let mut names = Vec::new();
                flatten(&it.tree, &mut Vec::new(), &mut names);
                for (own, path) in names {
                    let path = match path[0].as_str() {
                        "super" | "self" | "crate" => {
                            let absolute = absolute(name, &BTreeMap::new(), &module, &path).unwrap();
                            [vec!["crate".to_owned()], absolute].concat()
                        }
                        // A child, or another crate: told apart where all the modules are known.
                        _ if name_is_child(file, &path[0]) => {
                            [vec!["crate".to_owned()], name.clone(), path].concat()
                        }
                        _ => path,
                    };
                    if path[0] == "crate" {
                        module.paths.insert(path.clone());
                    }
                    module.names.insert(own, (path, !matches!(it.vis, Visibility::Inherited)));
                }
            }
            item => paths(item.to_token_stream(), &mut module.paths),
        }
    }
    module
}

/// Whether a file or folder of that name is a module below a file.
fn name_is_child(file: &Path, child: &str) -> bool {
    let stem = file.file_stem().unwrap();
    let folder = if ["mod", "lib", "main"].iter().any(|it| stem == *it) {
        file.parent().unwrap().to_owned()
    } else {
        file.with_extension("")
    };
    folder.join(format!("{child}.rs")).exists() || folder.join(child).join("mod.rs").exists()
}

fn is_test(item: &Item) -> bool {
    let attributes = match item {
        Item::Mod(it) => &it.attrs,
        Item::Fn(it) => &it.attrs,
        Item::Impl(it) => &it.attrs,
        Item::Use(it) => &it.attrs,
        Item::Const(it) => &it.attrs,
        _ => return false,
    };
    attributes.iter().any(|it| it.to_token_stream().to_string().replace(' ', "") == "#[cfg(test)]")
}

/// The names that a `use` brings, with their paths.
fn flatten(tree: &UseTree, path: &mut Name, names: &mut Vec<(String, Name)>) {
    match tree {
        UseTree::Path(it) => {
            path.push(it.ident.to_string());
            flatten(&it.tree, path, names);
            path.pop();
        }
        UseTree::Name(it) if it.ident == "self" => names.push((path.last().unwrap().clone(), path.clone())),
        UseTree::Name(it) => {
            names.push((it.ident.to_string(), [path.as_slice(), &[it.ident.to_string()]].concat()))
        }
        UseTree::Rename(it) => {
            names.push((it.rename.to_string(), [path.as_slice(), &[it.ident.to_string()]].concat()))
        }
        UseTree::Group(it) => it.items.iter().for_each(|it| flatten(it, path, names)),
        UseTree::Glob(_) => panic!("a glob import below {path:?}"),
    }
}

/// Every `a::b::c` of some code, macros' arguments too.
fn paths(code: TokenStream, found: &mut BTreeSet<Name>) {
    let mut path = Name::new();
    let mut colons = 0;
    for token in code {
        match &token {
            TokenTree::Punct(it) if it.as_char() == ':' => {
                colons += 1;
                continue;
            }
            TokenTree::Ident(it) if colons == 2 && !path.is_empty() => path.push(it.to_string()),
            other => {
                if path.len() > 1 {
                    found.insert(std::mem::take(&mut path));
                }
                path.clear();
                match other {
                    TokenTree::Ident(it) => path.push(it.to_string()),
                    TokenTree::Group(it) => paths(it.stream(), found),
                    _ => {}
                }
            }
        }
        colons = 0;
    }
    if path.len() > 1 {
        found.insert(path);
    }
}

/// The sets that reach each other.
fn circles<'a>(imports: &Imports<'a>) -> BTreeSet<BTreeSet<&'a [String]>> {
    let reach = |from: &'a [String]| {
        let (mut seen, mut next) = (BTreeSet::new(), vec![from]);
        while let Some(name) = next.pop() {
            next.extend(imports[name].keys().filter(|name| seen.insert(**name)));
        }
        seen
    };
    let reached: BTreeMap<&[String], BTreeSet<&[String]>> =
        imports.keys().map(|name| (*name, reach(name))).collect();
    let circle = |name: &&'a [String]| -> BTreeSet<&'a [String]> {
        reached[*name].iter().filter(|other| reached[*other].contains(*name)).copied().collect()
    };
    reached.keys().map(circle).filter(|it| !it.is_empty()).collect()
}

/// What each room, a folder of the sources or a file beside the folders, imports from others.
fn rooms<'a>(imports: &Imports<'a>) -> Imports<'a> {
    let mut rooms = Imports::new();
    for (name, imported) in imports {
        let room = rooms.entry(&name[..name.len().min(1)]).or_default();
        for (other, path) in imported.iter().filter(|(other, _)| other.first() != name.first()) {
            room.entry(&other[..other.len().min(1)])
                .or_insert_with(|| format!("{path} in {}", name.join("::")));
        }
    }
    rooms
}

fn expect_down(folder: &str) {
    let modules = Crate::read(folder);
    let imports = modules.imports();
    let told = circles_of(&imports) + &upward(&rooms(&imports), &documented(folder));
    assert!(told.is_empty(), "{folder}:\n{told}");
}

/// The rooms of the documentation, each with the number of its line: the first line is the highest.
fn documented(folder: &str) -> BTreeMap<String, usize> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/explanation/architecture.md");
    let text = fs::read_to_string(path).unwrap();
    let (_, list) = text.split_once(&format!("<!-- rooms of {folder} -->\n\n")).unwrap();
    let lines = list.lines().take_while(|line| line.starts_with("    ")).enumerate();
    lines
        .flat_map(|(number, line)| line.split_whitespace().map(move |room| (room.to_owned(), number)))
        .collect()
}

/// Rooms that the documentation does not have or that are not there, and imports that do not lead to a lower line of it.
fn upward(rooms: &Imports<'_>, documented: &BTreeMap<String, usize>) -> String {
    let mut told = String::new();
    let there: BTreeSet<&String> = rooms.keys().flat_map(|name| name.first()).collect();
    for room in documented.keys().filter(|room| !there.contains(room)) {
        told += &format!("there is no `{room}`\n");
    }
    for (name, imported) in rooms.iter().filter(|(name, _)| !name.is_empty()) {
        let Some(own) = documented.get(&name[0]) else {
            told += &format!("`{}` is not in the list\n", name[0]);
            continue;
        };
        for (other, path) in imported.iter().filter(|(other, _)| !other.is_empty()) {
            if documented.get(&other[0]).is_none_or(|below| below <= own) {
                told += &format!("{} imports {path}, which is not below it\n", name[0]);
            }
        }
    }
    told
}

/// The circles, with what closes them.
fn circles_of(imports: &Imports<'_>) -> String {
    let mut told = String::new();
    for circle in circles(imports) {
        told += &format!("a circle of {} modules:\n", circle.len());
        for name in &circle {
            for (other, path) in imports[name].iter().filter(|(other, _)| circle.contains(*other)) {
                told += &format!("  {} imports {path}, of {}\n", name.join("::"), other.join("::"));
            }
        }
    }
    told
}

#[test]
fn imports_of_builder_point_down() {
    expect_down("builder");
}

#[test]
fn imports_of_firstboot_point_down() {
    expect_down("firstboot");
}
