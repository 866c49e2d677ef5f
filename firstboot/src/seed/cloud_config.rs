//! `user-data` and `vendor-data`: cloud-config of cloud-init, of which Kiln's images need a part, and the mapping
//! `kiln`, which is ours. <https://cloudinit.readthedocs.io/en/latest/reference/modules.html>

use crate::console::shown;
use crate::seed::error::SeedError;
use crate::seed::reader::{At, Keys};
use crate::seed::{users, yaml};
use crate::settings::interface::Account;
use crate::settings::{Settings, Sourced};

/// The keys of cloud-config that are applied. What others ask for is the image's own matter (packages, disks, time), or nothing that
/// Kiln does (scripts).
const KEYS: Keys =
    &["fqdn", "hostname", "kiln", "ssh_authorized_keys", "system_info", "user", "users", "vendor_data"];
/// The keys of `system_info`, which says who the default user is.
const SYSTEM_INFO: Keys = &["default_user"];
/// The keys of `vendor_data`, which says whether the platform's own cloud-config counts.
const VENDOR_DATA: Keys = &["enabled"];

/// An entry of `users`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum User {
    /// The word `default`.
    Default,
    /// A user of their own.
    Named(Account),
}

/// What one of the two texts says.
#[derive(Debug, Default)]
pub struct CloudConfig {
    /// The values.
    pub settings: Settings,
    /// `users`, when it is there.
    pub users: Option<Vec<Sourced<User>>>,
    /// Who the default user is.
    pub default_user: Option<Sourced<Account>>,
    /// Keys for the default user.
    pub keys: Option<Vec<Sourced<String>>>,
    /// Whether vendor-data are not wanted.
    pub without_vendor: bool,
}

impl CloudConfig {
    /// Reads a text; `origin` names it in the record. An empty one says nothing.
    pub fn parse(text: &str, origin: &str) -> Result<Self, SeedError> {
        let mut config = Self::default();
        if text.trim().is_empty() {
            return Ok(config);
        }
        // As cloud-init looks at it: in whatever case, behind empty lines, and with anything behind it. With a hyphen it is another
        // form, an archive or a patch.
        let first = text.trim_start().lines().next().unwrap_or_default().trim_end();
        let lower = first.to_ascii_lowercase();
        if lower.strip_prefix("#cloud-config").is_none_or(|rest| rest.starts_with('-')) {
            let message = format!("the first line is `{}`; only `#cloud-config` is read", shown(first));
            return Err(SeedError::new(1, message));
        }
        let node = yaml::parse(text)?;
        let mut ignored = Vec::new();
        let (mut fqdn, mut own) = (None, Settings::default());
        for (key, at) in At::whole(&node).keys(KEYS, &mut ignored)? {
            let full = format!("{origin}, {key}");
            match key {
                _ if at.is_null() => {}
                "hostname" => config.settings.hostname = Some(Sourced::new(users::host_label(&at)?, full)),
                "fqdn" => fqdn = Some(Sourced::new(users::host_label(&at)?, full)),
                "kiln" => own = kiln(&at, origin)?,
                "ssh_authorized_keys" => {
                    let keys = users::ssh_keys(&at)?.into_iter();
                    config.keys = Some(keys.map(|key| Sourced::new(key, &full)).collect());
                }
                "system_info" => {
                    for (_, at) in at.keys(SYSTEM_INFO, &mut ignored)? {
                        config.default_user = Some(default_user(&at, &full, &mut ignored)?);
                    }
                }
                "user" => config.default_user = Some(default_user(&at, &full, &mut ignored)?),
                "vendor_data" => {
                    for (_, at) in at.keys(VENDOR_DATA, &mut ignored)? {
                        config.without_vendor = !at.is_null() && !at.boolean()?;
                    }
                }
                _ => config.users = Some(listed(&at, &full, &mut ignored)?),
            }
        }
        config.settings.hostname = config.settings.hostname.or(fqdn);
        config.settings = own.or(config.settings);
        config.settings.ignored = ignored.into_iter().map(|key| format!("{origin}, {key}")).collect();
        Ok(config)
    }
}

/// Our own mapping, with the keys that every source has.
fn kiln(at: &At<'_>, origin: &str) -> Result<Settings, SeedError> {
    let mut settings = Settings::default();
    for (key, at) in at.entries()? {
        let values: Vec<_> = at.list_or_one()?.iter().map(At::text).collect::<Result<_, _>>()?;
        let one = Settings::from_pairs(origin, "kiln.", [(key, &*values.join(","))]);
        settings = settings.or(one.map_err(|error| at.error(error.to_string()))?);
    }
    Ok(settings)
}

fn default_user(at: &At<'_>, origin: &str, ignored: &mut Vec<String>) -> Result<Sourced<Account>, SeedError> {
    let account = match at.as_text() {
        Some(_) => Account { name: users::login(at)?, ..Account::default() },
        None => users::account(at, ignored)?,
    };
    Ok(Sourced::new(account, origin))
}

/// `users`: names and mappings; a text has names with commas between them.
fn listed(at: &At<'_>, origin: &str, ignored: &mut Vec<String>) -> Result<Vec<Sourced<User>>, SeedError> {
    let mut listed = Vec::new();
    // `{}` is a template's word for nobody.
    if at.entries().is_ok_and(|entries| entries.is_empty()) {
        return Ok(listed);
    }
    for at in at.list_or_one()? {
        if at.as_text().is_none() {
            listed.push(Sourced::new(User::Named(users::account(&at, ignored)?), origin));
            continue;
        }
        for name in users::logins(&at)? {
            let user = match &*name {
                "default" => User::Default,
                _ => User::Named(Account { name, ..Account::default() }),
            };
            listed.push(Sourced::new(user, origin));
        }
    }
    at.limited(listed)
}
