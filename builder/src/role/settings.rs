//! Settings of the programs in a role's images, given by the profile and by recipes. Which names a program takes stands in the
//! recipes, a file of `settings/` for each program; other names are refused. It does not know what they mean.

use std::collections::{BTreeMap, BTreeSet};

use fs_err as fs;
use serde_json::Value;

use crate::ground::error::InputError;
use crate::ground::input::{self, nearest};
use crate::profile::{Profile, Settings};
use crate::role::stack::Role;

/// The folder of a recipe with a file for each program that takes settings: a name a line.
const FOLDER: &str = "settings";

/// Stands for any name.
const ANY: &str = "*";

/// The names that programs take.
type Names = BTreeMap<String, BTreeSet<String>>;

impl Role {
    /// The names that its programs take.
    ///
    /// # Errors
    /// When a list cannot be read.
    fn names(&self) -> Result<Names, InputError> {
        let mut names = Names::new();
        for layer in &self.layers {
            for entry in fs::read_dir(layer.folder.join(FOLDER)).into_iter().flatten().flatten() {
                let Ok(program) = entry.file_name().into_string() else { continue };
                let path = entry.path();
                let text = input::read(&path, || InputError::Missing {
                    what: "list of settings",
                    path: path.clone(),
                    hint: "give it the names that the program takes, a line each".to_owned(),
                })?;
                let lines =
                    text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
                names.entry(program).or_default().extend(lines.map(str::to_owned));
            }
        }
        Ok(names)
    }

    /// The settings of its programs: those of its recipes, over them the profile's.
    fn resolved(&self, names: &Names, profile: &Settings) -> Result<Settings, InputError> {
        let mut settings: Settings = names.keys().map(|program| (program.clone(), BTreeMap::new())).collect();
        for layer in &self.layers {
            for (program, table) in &layer.image.settings {
                for (name, value) in table {
                    if let Some((message, hint)) = wrong(names, program, name, value) {
                        return Err(InputError::Wrong { path: layer.path.clone(), line: 1, message, hint });
                    }
                    settings.entry(program.clone()).or_default().insert(name.clone(), value.clone());
                }
            }
        }
        for (program, table) in profile {
            if let Some(settings) = settings.get_mut(program) {
                settings.extend(table.clone());
            }
        }
        Ok(settings)
    }
}

/// Gives each of a profile's roles the settings of its programs.
///
/// # Errors
/// [`InputError`] with file and key when a recipe sets what its role's programs do not take, or the profile what no role's do.
pub fn resolve(profile: &Profile, roles: &mut [Role]) -> Result<(), InputError> {
    let mut names = Names::new();
    for role in roles {
        let own = role.names()?;
        role.settings = role.resolved(&own, &profile.settings)?;
        names.extend(own);
    }
    for (program, table) in &profile.settings {
        for (name, value) in table {
            if let Some((message, hint)) = wrong(&names, program, name, value) {
                let line = profile.lines.settings.get(&(program.clone(), name.clone())).copied().unwrap_or(1);
                return Err(InputError::Wrong { path: profile.path.clone(), line, message, hint });
            }
        }
    }
    Ok(())
}

/// What is wrong with a setting, if anything, and how to mend it.
fn wrong(names: &Names, program: &str, name: &str, value: &Value) -> Option<(String, Option<String>)> {
    let list = |known: Vec<&str>| format!("there are: {}", known.join(", "));
    let Some(taken) = names.get(program) else {
        let known: Vec<&str> = names.keys().map(String::as_str).collect();
        let message =
            format!("`settings.{program}`: no role of this profile has such a program with settings");
        return Some((message, Some(list(known))));
    };
    if !taken.contains(name) && !taken.contains(ANY) {
        let close =
            nearest(name, taken.iter().map(String::as_str)).map(|close| format!("did you mean `{close}`?"));
        let hint = close
            .unwrap_or_else(|| format!("those that it takes are listed in a recipe's {FOLDER}/{program}"));
        return Some((format!("`settings.{program}`: it takes no `{name}`"), Some(hint)));
    }
    let plain = |name: &str| {
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-/".contains(&byte))
    };
    if !plain(name) || has_control(value) {
        let message = format!("`settings.{program}`: `{}` is no line of text", name.escape_default());
        return Some((message, Some("leave out line ends and other control characters".to_owned())));
    }
    None
}

/// Whether a text in a value has what no line has.
fn has_control(value: &Value) -> bool {
    match value {
        Value::String(text) => text.chars().any(char::is_control),
        Value::Array(values) => values.iter().any(has_control),
        Value::Object(table) => {
            table.iter().any(|(key, value)| key.chars().any(char::is_control) || has_control(value))
        }
        _ => false,
    }
}

/// A setting as an option of a command, for a unit's `ExecStart=` (systemd.service(5), "Command lines"). Lists are joined by
/// commas.
#[must_use]
pub fn option(name: &str, value: &Value) -> String {
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let value = match value {
        Value::Array(values) => values.iter().map(text).collect::<Vec<_>>().join(","),
        Value::Object(table) => {
            let pairs = table.iter().map(|(key, value)| format!("{key}={}", text(value)));
            pairs.collect::<Vec<_>>().join(",")
        }
        one => text(one),
    };
    let escaped = value.replace('\\', "\\\\").replace('"', "\\\"").replace('$', "$$").replace('%', "%%");
    let option = format!("--{name}={escaped}");
    if option.contains([' ', '\'', '"', ';']) { format!("\"{option}\"") } else { option }
}

/// The kernel's command line of settings: names alone, or with values.
#[must_use]
pub fn kernel(settings: &Settings) -> String {
    let mut line = String::new();
    for (name, value) in settings.get("kernel").into_iter().flatten() {
        line.push(' ');
        line.push_str(name);
        match value {
            Value::Bool(true) => {}
            Value::String(text) => line.push_str(&format!("={text}")),
            other => line.push_str(&format!("={other}")),
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{kernel, option};
    use crate::profile::Settings;

    #[test]
    fn options_survive_systemd() {
        let all = [
            option("v", &json!(2)),
            option("profiling", &json!(false)),
            option("feature-gates", &json!({ "A": true, "B": false })),
            option("tls-cipher-suites", &json!(["ONE", "TWO"])),
            option("audit-log-path", &json!("/var/log/a b/%n$x\\\"y")),
        ];
        insta::assert_snapshot!(all.join("\n"), @r#"
        --v=2
        --profiling=false
        --feature-gates=A=true,B=false
        --tls-cipher-suites=ONE,TWO
        "--audit-log-path=/var/log/a b/%%n$$x\\\"y"
        "#);
    }

    #[test]
    fn the_kernel_gets_names_with_and_without_values() {
        let settings: Settings =
            serde_json::from_value(json!({ "kernel": { "quiet": true, "mitigations": "off", "panic": 10 } }))
                .unwrap();
        assert_eq!(kernel(&settings), " mitigations=off panic=10 quiet");
        assert_eq!(kernel(&Settings::new()), "");
    }
}
