//! Who one is to a service, and where it is: what the environment and the files of the service's own tools say.
//!
//! What it finds goes into requests and nowhere else: no message, log, lock or hash has it.

use std::path::{Path, PathBuf};

use configparser::ini::Ini;

use crate::share::ShareError;

/// Names and values, as `object_store` knows them.
pub(super) type Settings = Vec<(String, String)>;

/// The variables of AWS's tools, else what their files say (`~/.aws/credentials`, `~/.aws/config`).
pub(super) fn aws() -> Result<Settings, ShareError> {
    let mut settings = environment("aws_");
    let has = |settings: &Settings, name: &str| settings.iter().any(|(key, _)| key == name);
    let profile = variable("AWS_PROFILE").unwrap_or_else(|| "default".to_owned());
    let mut files = vec![("AWS_CONFIG_FILE", ".aws/config", &["region", "endpoint_url"][..])];
    // A key of the environment counts alone: a token of the file would not fit it.
    if !has(&settings, "aws_access_key_id") && !has(&settings, "aws_web_identity_token_file") {
        let keys = &["aws_access_key_id", "aws_secret_access_key", "aws_session_token"][..];
        files.push(("AWS_SHARED_CREDENTIALS_FILE", ".aws/credentials", keys));
    }
    for (name, usual, keys) in files {
        let Some(path) = file(name, usual) else { continue };
        let mut ini = Ini::new_cs();
        ini.set_inline_comment_symbols(Some(&[]));
        // What its parser says may quote a secret.
        ini.load(&path).map_err(|_| ShareError::Credentials { path: path.clone() })?;
        for key in keys {
            // The configuration file says `profile NAME`, the other one NAME.
            let value = ini.get(&profile, key).or_else(|| ini.get(&format!("profile {profile}"), key));
            let setting = format!("aws_{}", key.trim_start_matches("aws_"));
            let known =
                has(&settings, &setting) || (*key == "region" && has(&settings, "aws_default_region"));
            if let (false, Some(value)) = (known, value) {
                settings.push((setting, value));
            }
        }
    }
    Ok(settings)
}

/// The variables of Google's tools.
pub(super) fn google() -> Settings {
    environment("google_")
}

/// The variables of Azure's tools; its command line has shorter names for two of them.
pub(super) fn azure() -> Settings {
    let mut settings = environment("azure_");
    for (key, _) in &mut settings {
        let long = match key.as_str() {
            "azure_storage_account" => "azure_storage_account_name",
            "azure_storage_key" => "azure_storage_account_key",
            _ => continue,
        };
        *key = long.to_owned();
    }
    settings
}

/// Variables with a prefix, in lower case. Others are none of a service's: some name what `object_store` also takes.
fn environment(prefix: &str) -> Settings {
    let lower = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
        Some((name.to_str()?.to_ascii_lowercase(), value.into_string().ok()?))
    };
    let mut settings: Settings = std::env::vars_os()
        .filter_map(lower)
        .filter(|(name, value)| name.starts_with(prefix) && !value.is_empty())
        .collect();
    settings.sort();
    settings
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// The file that a variable names, else the usual one of the home folder when it is there.
fn file(name: &str, usual: &str) -> Option<PathBuf> {
    let usual = || Some(Path::new(&variable("HOME")?).join(usual)).filter(|path| path.exists());
    variable(name).map(PathBuf::from).or_else(usual)
}
