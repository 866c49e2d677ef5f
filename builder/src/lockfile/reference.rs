//! The tables of docs/reference/lockfile.md, from the types that read the lockfile: what they do not say, no lockfile
//! may have. KILN_ACCEPT=1 writes the tables.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use fs_err as fs;
use serde_json::Value;

use crate::lockfile::format::Lock;

/// Every table of the file with its type, in the order of the document.
const TABLES: [(&str, &str); 14] = [
    ("Lock", "The file"),
    ("Suite", "`[suite.NAME]`"),
    ("Root", "`[root.NAME]`"),
    ("Source", "`[source.NAME]`"),
    ("SourceFile", "A file of `[source.NAME]`"),
    ("Build", "`[build.NAME]`"),
    ("Go", "`[build.NAME.go]`"),
    ("Release", "`[release.NAME]`"),
    ("Component", "A component of `[release.NAME.component]`"),
    ("Download", "`[[release.NAME.component.NAME.url]]`"),
    ("ContainerImage", "`[release.NAME.image.NAME]`"),
    ("Deb", "A line of `[deb]`"),
    ("Modules", "`[go]`"),
    ("Module", "A line of `modules` of `[go]`"),
];

/// What stands for a type that has a table of its own.
const TABLE: &str = "table";

const BEGIN: &str =
    "<!-- Made from the types by `KILN_ACCEPT=1 cargo test -p builder --lib lock::reference`. -->\n";
const END: &str = "<!-- Here the tables from the types end. -->\n";

#[test]
fn the_reference_says_what_the_types_say() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/reference/lockfile.md");
    let text = fs::read_to_string(&path).unwrap();
    let (head, rest) = text.split_once(BEGIN).unwrap();
    let (_, tail) = rest.split_once(END).unwrap();
    let made = format!("{head}{BEGIN}{}{END}{tail}", tables());
    if std::env::var_os("KILN_ACCEPT").is_some() {
        fs::write(&path, &made).unwrap();
    } else {
        assert_eq!(text, made, "docs/reference/lockfile.md is old; make it anew with KILN_ACCEPT=1");
    }
}

fn tables() -> String {
    let schema = schemars::schema_for!(Lock).to_value();
    let types = schema["$defs"].as_object().unwrap();
    let known: BTreeSet<&str> = TABLES.iter().map(|(name, _)| *name).collect();
    for (name, definition) in types.iter().filter(|(_, definition)| definition["properties"].is_object()) {
        assert!(known.contains(name.as_str()), "the type {name} has no place in the document: {definition}");
    }
    let mut text = String::new();
    for (name, heading) in TABLES {
        let definition = if name == "Lock" { &schema } else { &types[name] };
        writeln!(text, "\n### {heading}\n\n| key | value | meaning |\n|---|---|---|").unwrap();
        let required: BTreeSet<&str> =
            definition["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        for (key, property) in definition["properties"].as_object().unwrap() {
            let optional = if required.contains(key.as_str()) { "" } else { ", optional" };
            let (value, meaning) = (value(property, types), words(property));
            assert!(!meaning.is_empty(), "{name}.{key} has no documentation");
            writeln!(text, "| `{key}` | {value}{optional} | {meaning} |").unwrap();
        }
    }
    text + "\n"
}

/// The documentation of something, on one line.
fn words(schema: &Value) -> String {
    schema["description"].as_str().unwrap_or_default().replace('\n', " ").replace('|', "\\|")
}

/// What stands behind a key.
fn value(schema: &Value, types: &serde_json::Map<String, Value>) -> String {
    if let Some(name) = schema["$ref"].as_str().and_then(|path| path.rsplit('/').next()) {
        let definition = &types[name];
        return match definition["oneOf"].as_array() {
            Some(values) => choices(values),
            None if definition["enum"].is_array() => choices(std::slice::from_ref(definition)),
            None => TABLE.to_owned(),
        };
    }
    // What may be absent is itself or nothing.
    if let Some(some) = schema["anyOf"].as_array().and_then(|any| any.first()) {
        return value(some, types);
    }
    let kind = match &schema["type"] {
        Value::Array(kinds) => kinds[0].as_str(),
        kind => kind.as_str(),
    };
    match (kind, schema["format"].as_str()) {
        (Some("string"), Some(format)) => format.to_owned(),
        (Some("string"), None) => "text".to_owned(),
        (Some("integer"), _) => "number".to_owned(),
        (Some("boolean"), _) => "`true` or `false`".to_owned(),
        (Some("array"), _) => match value(&schema["items"], types).as_str() {
            TABLE => "list of tables".to_owned(),
            each => format!("list of {each}"),
        },
        (Some("object"), _) => match of_each(schema, types).as_str() {
            TABLE => "tables".to_owned(),
            each => format!("{{ … = {each} }}"),
        },
        _ => panic!("a value of a kind that the document does not know: {schema}"),
    }
}

/// What stands behind each key of a map.
fn of_each(schema: &Value, types: &serde_json::Map<String, Value>) -> String {
    let each = [&schema["additionalProperties"], &schema["patternProperties"], &schema["properties"]];
    let each = each.into_iter().find(|each| each.is_object()).unwrap();
    match each.get("type").or(each.get("$ref")).or(each.get("anyOf")) {
        Some(_) => value(each, types),
        None => value(each.as_object().unwrap().values().next().unwrap(), types),
    }
}

/// The values that may be chosen, with what they mean.
fn choices(values: &[Value]) -> String {
    let one = |value: &Value| {
        let name = value["const"].as_str().or_else(|| value["enum"][0].as_str()).unwrap().to_owned();
        match words(value) {
            meaning if meaning.is_empty() => format!("`{name}`"),
            meaning => format!("`{name}` ({})", meaning.trim_end_matches('.')),
        }
    };
    values.iter().map(one).collect::<Vec<_>>().join(", ")
}
