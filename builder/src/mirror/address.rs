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
    // A folder of this machine may be called anything but what ends a line.
    let bad =
        |letter: char| if url.starts_with("file://") { letter.is_control() } else { letter.is_whitespace() };
    (!rest.is_empty() && !rest.contains(bad)).then_some(url)
}
