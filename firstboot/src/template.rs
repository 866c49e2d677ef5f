//! Completes a file of the node tree: `@name@` becomes the node's value. The vocabulary is small and closed; what
//! needs logic belongs into firstboot, not into a template. A `@` that does not start `@[a-z_]+@` stays as it is.

use crate::console::shown;
use crate::facts::Facts;

/// A file of the node tree cannot be completed.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// It is not text.
    #[error("node tree: /{0} is not UTF-8 text")]
    NotText(String),
    /// A placeholder that is not in the vocabulary, or has no value on this node.
    #[error("node tree: /{path}, line {line}: {reason} `@{name}@`; the placeholders are {valid}")]
    Placeholder {
        /// The file, relative to the root.
        path: String,
        /// Line of the placeholder.
        line: usize,
        /// What is wrong.
        reason: &'static str,
        /// The placeholder without its signs.
        name: String,
        /// The vocabulary.
        valid: String,
    },
}

/// The vocabulary: each placeholder and its value on this node.
fn vocabulary(facts: &Facts) -> [(&'static str, Option<String>); 7] {
    [
        ("gateway", facts.gateway.as_ref().map(|gateway| gateway.value.to_string())),
        ("node_fqdn", Some(facts.node_fqdn.clone())),
        ("node_ip", facts.address.as_ref().map(|address| address.value.addr().to_string())),
        ("node_mac", Some(facts.mac.value.to_string())),
        ("node_name", Some(facts.node_name.value.clone())),
        ("node_prefix", facts.address.as_ref().map(|address| address.value.prefix_len().to_string())),
        ("pod_cidr", facts.pod_cidr.as_ref().map(|pods| pods.value.to_string())),
    ]
}

/// Completes the file that becomes `path` (relative to the root).
///
/// # Errors
/// It is not text, or it holds an unknown placeholder.
pub fn complete(path: &str, text: &[u8], facts: &Facts) -> Result<Vec<u8>, TemplateError> {
    let text = std::str::from_utf8(text).map_err(|_| TemplateError::NotText(path.to_owned()))?;
    let vocabulary = vocabulary(facts);
    let mut done = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('@') {
        done.push_str(before);
        let Some((name, behind)) = placeholder(after) else {
            done.push('@');
            rest = after;
            continue;
        };
        let entry = vocabulary.iter().find(|(known, _)| *known == name);
        let Some((_, Some(value))) = entry else {
            return Err(TemplateError::Placeholder {
                path: path.to_owned(),
                line: text[..text.len() - after.len()].lines().count(),
                reason: if entry.is_some() { "this node has no value for" } else { "unknown placeholder" },
                name: shown(name),
                valid: vocabulary.map(|(known, _)| format!("`@{known}@`")).join(", "),
            });
        };
        done.push_str(value);
        rest = behind;
    }
    done.push_str(rest);
    Ok(done.into_bytes())
}

/// Splits `name@rest`.
fn placeholder(after: &str) -> Option<(&str, &str)> {
    let (name, rest) = after.split_once('@')?;
    let is_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    is_name.then_some((name, rest))
}
