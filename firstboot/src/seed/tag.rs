//! Tags of YAML: those of plain types, as PyYAML's safe loader and cloud-init's own know them. What has another one is foreign:
//! its writer may stand for it where nobody reads it. What a number or a date is worth is left to who reads it.
//! <https://yaml.org/type/>

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use saphyr_parser::Tag;

use crate::console::shown;
use crate::seed::value::Value;

/// What the tags of YAML itself begin with.
const YAML: &str = "tag:yaml.org,2002:";

/// A scalar with a tag.
pub fn scalar(tag: &Tag, text: String) -> Value {
    let name = format!("{}{}", tag.handle, tag.suffix);
    match name.strip_prefix(YAML) {
        Some("str" | "int" | "float" | "bool" | "timestamp" | "python/str" | "python/unicode") => {
            Value::Text(text)
        }
        None if name == "!" => Value::Text(text),
        Some("null") => Value::Null,
        Some("binary") => {
            let digits: String = text.split_ascii_whitespace().collect();
            match STANDARD.decode(digits).map(String::from_utf8) {
                Ok(Ok(text)) => Value::Text(text),
                Ok(Err(_)) => Value::Foreign("bytes that are no text".to_owned()),
                Err(_) => Value::Foreign("`!!binary` that is no base64".to_owned()),
            }
        }
        _ => Value::Foreign(of_type(&name)),
    }
}

/// What a list or mapping is, unless its tag is this one of YAML's.
pub fn foreign(tag: &Tag, known: &str) -> Option<String> {
    let name = format!("{}{}", tag.handle, tag.suffix);
    (name != "!" && name.strip_prefix(YAML) != Some(known)).then(|| of_type(&name))
}

fn of_type(name: &str) -> String {
    let name = name.strip_prefix(YAML).map_or_else(|| name.to_owned(), |name| format!("!!{name}"));
    format!("of the type `{}`", shown(&name))
}
