//! The mirrors that a Debian host itself uses: its apt sources (sources.list(5)).

use std::path::{Path, PathBuf};

use fs_err as fs;

use crate::deb::deb822::paragraphs;
use crate::mirror::address::usable;

/// The addresses of the sources that Kiln can read from, in apt's order of reading.
pub(super) fn uris(apt: &Path) -> Vec<String> {
    let mut files = vec![apt.join("sources.list")];
    let parts = fs::read_dir(apt.join("sources.list.d")).into_iter().flatten();
    let mut parts: Vec<PathBuf> = parts.flatten().map(|entry| entry.path()).collect();
    parts.sort();
    files.append(&mut parts);
    let mut uris = Vec::new();
    for file in files {
        let Ok(text) = fs::read_to_string(&file) else { continue };
        match file.extension().and_then(|extension| extension.to_str()) {
            Some("list") => uris.extend(list_uris(&text)),
            Some("sources") => uris.extend(sources_uris(&text)),
            _ => {}
        }
    }
    uris.iter().filter_map(|uri| usable(&first_of_list(uri))).collect()
}

/// Debian's cloud images name a file of mirrors, `mirror+file:/etc/apt/mirrors/debian.list`: its first line.
fn first_of_list(uri: &str) -> String {
    let Some(path) = uri.strip_prefix("mirror+file:") else { return uri.to_owned() };
    let text = fs::read_to_string(format!("/{}", path.trim_start_matches('/'))).unwrap_or_default();
    let line = text.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with('#'));
    line.and_then(|line| line.split_whitespace().next()).unwrap_or_default().to_owned()
}

/// One-line style: `deb [options] uri suite component…`.
pub(super) fn list_uris(text: &str) -> Vec<String> {
    text.lines().filter_map(list_uri).collect()
}

fn list_uri(line: &str) -> Option<String> {
    let line = line.split('#').next()?.trim();
    let (kind, rest) = line.split_once(char::is_whitespace)?;
    if !matches!(kind, "deb" | "deb-src") {
        return None;
    }
    let rest = rest.trim_start();
    let rest = match rest.strip_prefix('[') {
        Some(options) => options.split_once(']')?.1,
        None => rest,
    };
    rest.split_whitespace().next().map(str::to_owned)
}

/// deb822 style.
pub(super) fn sources_uris(text: &str) -> Vec<String> {
    let enabled = paragraphs(text)
        .into_iter()
        .filter(|source| !source.get("Enabled").is_some_and(|value| value.eq_ignore_ascii_case("no")));
    enabled
        .flat_map(|source| {
            let uris = source.get("URIs").unwrap_or_default();
            uris.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
        })
        .collect()
}
