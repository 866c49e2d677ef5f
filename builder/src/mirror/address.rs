//! Addresses that Kiln can read from.

/// An address without its last slash, when Kiln can read from it.
pub(super) fn usable(url: &str) -> Option<String> {
    let url = url.trim().trim_end_matches('/');
    // apt writes local folders as `file:/srv/debian`, too.
    let url = match url.strip_prefix("file:/") {
        Some(path) => format!("file:///{}", path.trim_start_matches('/')),
        None => url.to_owned(),
    };
    let rest = ["http://", "https://", "file://"].iter().find_map(|scheme| url.strip_prefix(scheme))?;
    (!rest.is_empty() && !rest.contains(char::is_whitespace)).then_some(url)
}
