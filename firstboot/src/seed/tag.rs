//! Tags of YAML: those of plain types, as PyYAML's safe loader and cloud-init's own know them. What has another one is foreign:
//! its writer may stand for it where nobody reads it. What a number or a date is worth is left to who reads it.
//! <https://yaml.org/type/>

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use saphyr_parser::Tag;

use crate::console::shown;
use crate::seed::value::Value;

/// A scalar with a tag.
pub fn scalar(tag: &Tag, text: String) -> Value {
    let name = name(tag);
    match &*name {
        "!" | "!!str" | "!!int" | "!!float" | "!!bool" | "!!timestamp" | "!!python/str"
        | "!!python/unicode" => Value::Text(text),
        "!!null" => Value::Null,
        "!!binary" => {
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

/// What a list or mapping is, unless its tag is the plain one.
pub fn foreign(tag: &Tag, plain: &str) -> Option<String> {
    let name = name(tag);
    (name != "!" && name != plain).then(|| of_type(&name))
}

/// A tag as people write it: `!!str` is one of YAML's own, `!vault` another.
fn name(tag: &Tag) -> String {
    let name = format!("{}{}", tag.handle, tag.suffix);
    name.strip_prefix("tag:yaml.org,2002:").map_or_else(|| name.clone(), |own| format!("!!{own}"))
}

fn of_type(name: &str) -> String {
    format!("of the type `{}`", shown(name))
}
