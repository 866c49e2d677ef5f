//! What Kubernetes takes for labels and taints of a Node, and sshd for a public key: as their own validation has it. It knows
//! texts, not where they stand in a profile.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Longest name of a label or taint, and longest value
/// (<https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#syntax-and-character-set>).
const LONGEST: usize = 63;

/// Longest prefix of a name: a DNS subdomain.
const LONGEST_PREFIX: usize = 253;

/// What a taint does with pods that do not tolerate it.
const EFFECTS: [&str; 3] = ["NoSchedule", "PreferNoSchedule", "NoExecute"];

/// The types of keys that an SSH server takes, by their names in authorized_keys (sshd(8)).
const KEY_TYPES: [&str; 8] = [
    "ssh-ed25519",
    "ssh-rsa",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
    "ssh-dss",
];

/// A taint as a profile writes it: `key=value:Effect` or `key:Effect`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Taint<'a> {
    pub(super) key: &'a str,
    pub(super) value: &'a str,
    pub(super) effect: &'a str,
}

impl Taint<'_> {
    /// Whether a Node can have but one of the two (Kubernetes' validation of taints).
    pub(super) fn is_same(&self, other: &Taint<'_>) -> bool {
        (self.key, self.effect) == (other.key, other.effect)
    }
}

/// Whether a Node can have but one of two taints.
#[must_use]
pub fn is_same_taint(one: &str, other: &str) -> bool {
    taint(one).is_ok_and(|one| taint(other).is_ok_and(|other| one.is_same(&other)))
}

/// What is wrong with the key of a label or taint.
pub(super) fn key(text: &str) -> Result<(), String> {
    let (prefix, name) = match text.split_once('/') {
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, text),
    };
    if let Some(prefix) = prefix
        && (prefix.len() > LONGEST_PREFIX || !prefix.split('.').all(crate::profile::endpoint::is_label))
    {
        return Err(format!("the prefix `{prefix}` is no DNS name"));
    }
    if name.is_empty() || !is_word(name) {
        return Err(format!(
            "the name `{name}` is not one of 1 to {LONGEST} letters, digits, `-`, `_` and `.`"
        ));
    }
    Ok(())
}

/// What is wrong with the value of a label or taint. It may be empty.
pub(super) fn value(text: &str) -> Result<(), String> {
    match text.is_empty() || is_word(text) {
        true => Ok(()),
        false => Err(format!(
            "the value `{text}` is not one of at most {LONGEST} letters, digits, `-`, `_` and `.`"
        )),
    }
}

/// A taint, or what is wrong with it.
pub(super) fn taint(text: &str) -> Result<Taint<'_>, String> {
    let Some((what, effect)) = text.split_once(':') else {
        return Err(format!("it has no effect: write `{text}:NoSchedule`"));
    };
    let (taint_key, taint_value) = what.split_once('=').unwrap_or((what, ""));
    key(taint_key)?;
    value(taint_value)?;
    if !EFFECTS.contains(&effect) {
        return Err(format!("the effect `{effect}` is not one of {}", EFFECTS.join(", ")));
    }
    Ok(Taint { key: taint_key, value: taint_value, effect })
}

/// What is wrong with a line of authorized_keys: options, if any, then type, key and comment.
pub(super) fn ssh_key(line: &str) -> Result<(), String> {
    if line.chars().any(char::is_control) {
        return Err("it is more than one line".to_owned());
    }
    let mut words = line.split_whitespace().skip_while(|word| !KEY_TYPES.contains(word));
    let Some(name) = words.next() else {
        return Err(format!("it names no type of key, like `{}`", KEY_TYPES[0]));
    };
    // RFC 4253, 6.6: the type again, behind its length in four bytes.
    let blob = words.next().and_then(|word| STANDARD.decode(word).ok()).unwrap_or_default();
    let inner = blob.split_first_chunk::<4>().and_then(|(length, rest)| {
        let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
        rest.split_at_checked(length)
    });
    match inner {
        Some((kind, rest)) if kind == name.as_bytes() && !rest.is_empty() => Ok(()),
        _ => Err(format!("behind `{name}` is no key of that type")),
    }
}

/// Letters, digits, `-`, `_` and `.`, a letter or digit at each end.
fn is_word(text: &str) -> bool {
    let bytes = text.as_bytes();
    let end = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    bytes.len() <= LONGEST
        && end(bytes.first())
        && end(bytes.last())
        && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(byte))
}

#[cfg(test)]
mod tests {
    use super::{Taint, key, ssh_key, taint, value};

    #[test]
    fn keys_and_values_are_those_of_kubernetes() {
        let long = "a".repeat(63);
        for good in ["a", "A.b-c_d", "example.org/role", "node-role.kubernetes.io/worker", &long] {
            assert_eq!(key(good), Ok(()), "{good}");
        }
        let longer = "a".repeat(64);
        for bad in ["", "a b", "-a", "a-", "/a", "a/", "Example.org/a", "a/b/c", "é", &longer] {
            assert!(key(bad).is_err(), "{bad}");
        }
        assert_eq!((value(""), value("x.y")), (Ok(()), Ok(())));
        for bad in ["x y", "x\"", "-x", &longer] {
            assert!(value(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn taints_have_an_effect() {
        let dedicated = |value, effect| Ok(Taint { key: "dedicated", value, effect });
        assert_eq!(taint("dedicated=db:NoSchedule"), dedicated("db", "NoSchedule"));
        assert_eq!(taint("dedicated:NoExecute"), dedicated("", "NoExecute"));
        for bad in ["dedicated", "dedicated=db", "dedicated=db:NoSchedul", ":NoSchedule", "a=b=c:NoSchedule"]
        {
            assert!(taint(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_key_is_one_that_sshd_takes() {
        let good = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f me@here";
        assert_eq!(ssh_key(good), Ok(()));
        assert_eq!(ssh_key(&format!("from=\"10.0.0.0/8\",no-pty {good}")), Ok(()));
        let broken = good.replacen(' ', " B", 1);
        for bad in
            ["", "not a key", "ssh-ed25519", "ssh-ed25519 AAAA someone", &broken, &format!("{good}\n{good}")]
        {
            assert!(ssh_key(bad).is_err(), "{bad}");
        }
    }
}
