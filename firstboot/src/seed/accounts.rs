//! Users and their keys, as user-data, vendor-data and meta-data say it together.

use crate::seed::cloud_config::{CloudConfig, User};
use crate::settings::interface::Account;
use crate::settings::{Sourced, add_account};

/// Who gets keys that name nobody, when no seed says another name.
const DEFAULT_USER: &str = "root";

/// The accounts: those that the seed lists, and the default one with the keys that name nobody.
pub fn accounts(
    user: &CloudConfig,
    vendor: &CloudConfig,
    meta_keys: &[Sourced<String>],
) -> Vec<Sourced<Account>> {
    let default = user.default_user.as_ref().or(vendor.default_user.as_ref());
    let default = default.cloned().unwrap_or_else(|| {
        let name = DEFAULT_USER.to_owned();
        Sourced::new(Account { name, ..Account::default() }, String::new())
    });
    let listed = user.users.as_ref().or(vendor.users.as_ref());
    let only_default = [Sourced::new(User::Default, String::new())];
    let listed = listed.map_or(&only_default[..], |listed| listed);
    let keys = user.keys.as_ref().or(vendor.keys.as_ref()).into_iter().flatten().chain(meta_keys);
    // As in cloud-init, keys that name nobody are root's where the list has no default user.
    let has_default = listed.iter().any(|user| user.value == User::Default);
    let holder = if has_default { default.value.name.clone() } else { DEFAULT_USER.to_owned() };
    let mut accounts: Vec<Sourced<Account>> = Vec::new();
    for user in listed {
        match &user.value {
            User::Default => add_account(&mut accounts, default.clone()),
            User::Named(account) => add_account(&mut accounts, Sourced::new(account.clone(), &user.origin)),
        }
    }
    for key in keys {
        let account = Account { name: holder.clone(), keys: vec![key.value.clone()], ..Account::default() };
        add_account(&mut accounts, Sourced::new(account, &key.origin));
    }
    // Nothing is to be done for an account of the image without keys.
    accounts.retain(|account| account.value.name != DEFAULT_USER || !account.value.keys.is_empty());
    accounts
}
