//! The person's settings of the go command: proxies, private modules, credentials. They reach the command in files, so
//! that no password stands on a command line.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use fs_err as fs;

/// The variables that decide where modules come from (`go help environment`), and those by which programs find proxies and
/// certificates.
const VARIABLES: [&str; 13] = [
    "GOAUTH",
    "GOINSECURE",
    "GONOPROXY",
    "GONOSUMDB",
    "GOPRIVATE",
    "GOSUMDB",
    "GOVCS",
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "NO_PROXY",
    "https_proxy",
    "http_proxy",
    "no_proxy",
];

/// Where hosts keep the certificates that they trust, as the go command looks for them.
const CERTIFICATES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// The home folder of the go command.
pub(super) const HOME: &str = "/kiln/home";

/// The file of that folder with the variables, for a shell to read.
pub(super) const ENVIRONMENT: &str = "environment";

/// What of the host the go command may read, and where it finds it.
pub(super) type Shown = Vec<(PathBuf, String)>;

/// Writes the person's settings into a folder, and says which files of the host go with them.
///
/// # Errors
/// When the folder cannot be written.
pub(super) fn write(folder: &Path) -> io::Result<Shown> {
    let variable = |name: &str| std::env::var_os(name).map(|value| value.to_string_lossy().into_owned());
    let mut shown = files(|name| variable(name).map(PathBuf::from));
    let mut values: Vec<(&str, String)> =
        VARIABLES.iter().filter_map(|name| Some((*name, variable(name)?))).collect();
    if let Some(proxies) = variable("GOPROXY").or_else(|| of_file(&shown)) {
        let (proxies, folders) = here(&proxies);
        values.push(("GOPROXY", proxies));
        shown.extend(folders);
    }
    let mut text = String::new();
    for (name, value) in values {
        let _ = writeln!(text, "export {name}='{}'", value.replace('\'', r"'\''"));
    }
    let path = folder.join(ENVIRONMENT);
    if path.exists() {
        fs::remove_file(&path)?;
    }
    let mut file = fs::OpenOptions::new();
    file.options_mut().mode(0o600);
    file.write(true).create_new(true).open(&path)?.write_all(text.as_bytes())?;
    shown.push((path, format!("{HOME}/{ENVIRONMENT}")));
    Ok(shown)
}

/// The files of the host, by the variables that name them, else where they usually are.
fn files(variable: impl Fn(&str) -> Option<PathBuf>) -> Shown {
    let home = variable("HOME");
    let below = |name: &str| Some(home.as_ref()?.join(name));
    let config = variable("XDG_CONFIG_HOME").or_else(|| below(".config"));
    let own = [
        (variable("NETRC").or_else(|| below(".netrc")), ".netrc"),
        (variable("GOENV").or_else(|| Some(config?.join("go/env"))), GOENV),
        (below(".gitconfig"), ".gitconfig"),
    ];
    let known = CERTIFICATES.iter().map(PathBuf::from);
    let certificates = variable("SSL_CERT_FILE").into_iter().chain(known).find(|path| path.is_file());
    let network = ["/etc/hosts", "/etc/nsswitch.conf", "/etc/resolv.conf"];
    let own = own.into_iter().filter_map(|(path, name)| Some((path?, format!("{HOME}/{name}"))));
    let all = own
        .chain(network.map(|path| (PathBuf::from(path), path.to_owned())))
        .chain(certificates.map(|path| (path, CERTIFICATES[0].to_owned())));
    all.filter(|(path, _)| path.is_file()).collect()
}

/// The file of `go env -w` in the home folder.
const GOENV: &str = "goenv";

/// What that file says about proxies.
fn of_file(shown: &Shown) -> Option<String> {
    let (path, _) = shown.iter().find(|(_, place)| *place == format!("{HOME}/{GOENV}"))?;
    let text = fs::read_to_string(path).ok()?;
    text.lines().find_map(|line| line.strip_prefix("GOPROXY=")).map(str::to_owned)
}

/// The same proxies, with folders of this machine where the go command finds them.
fn here(proxies: &str) -> (String, Shown) {
    let (mut text, mut shown) = (String::new(), Shown::new());
    for proxy in proxies.split_inclusive([',', '|']) {
        match proxy.trim_end_matches([',', '|']).split_once("file://") {
            Some((_, folder)) if Path::new(folder).is_dir() => {
                let place = format!("/kiln/proxy/{}", shown.len());
                text.push_str(&proxy.replace(folder, &place));
                shown.push((PathBuf::from(folder), place));
            }
            _ => text.push_str(proxy),
        }
    }
    (text, shown)
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use fs_err as fs;

    use super::{files, here};

    #[test]
    fn files_are_found_by_their_variables_or_in_their_places() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir_all(at(".config/go")).unwrap();
        for file in [".netrc", "netrc", ".config/go/env", "certificates"] {
            fs::write(at(file), "").unwrap();
        }
        let find = |names: &[(&str, PathBuf)]| {
            let found = files(|name| names.iter().find(|(known, _)| *known == name).map(|(_, path)| path.clone()));
            found.into_iter().filter(|(path, _)| path.starts_with(folder.path())).collect::<Vec<_>>()
        };
        let home = ("HOME", folder.path().to_owned());
        let usual = find(&[home.clone(), ("SSL_CERT_FILE", at("certificates"))]);
        let expected = [
            (at(".netrc"), "/kiln/home/.netrc".to_owned()),
            (at(".config/go/env"), "/kiln/home/goenv".to_owned()),
            (at("certificates"), "/etc/ssl/certs/ca-certificates.crt".to_owned()),
        ];
        assert_eq!(usual, expected);
        let named = find(&[home, ("NETRC", at("netrc")), ("GOENV", PathBuf::from("off"))]);
        assert_eq!(named, [(at("netrc"), "/kiln/home/.netrc".to_owned())]);
        assert!(find(&[("HOME", Path::new("/nonexistent").to_owned())]).is_empty());
    }

    #[test]
    fn a_folder_is_a_proxy() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().display();
        let (text, shown) = here(&format!("https://proxy.example|file://{path},file:///nonexistent,off"));
        assert_eq!(text, "https://proxy.example|file:///kiln/proxy/0,file:///nonexistent,off");
        assert_eq!(shown, [(folder.path().to_owned(), "/kiln/proxy/0".to_owned())]);
    }
}
