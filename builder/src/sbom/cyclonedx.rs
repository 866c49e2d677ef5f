//! A bill in the form of [CycloneDX 1.6](https://cyclonedx.org/docs/1.6/json/).

use serde_json::{Value, json};
use uuid::Uuid;

use crate::ground::repro;
use crate::sbom::parts::{Bill, Kind, Part, utc};

/// The document.
pub(super) fn document(bill: &Bill) -> Value {
    let (image, whole) = &bill.image;
    let dependency = |(id, part): (&String, &Part)| json!({ "ref": id, "dependsOn": part.holds });
    let dependencies = bill.all().map(dependency);
    let mut key = [0; 32];
    // Its digits are those of a hash.
    let _ = hex::decode_to_slice(bill.id.as_str(), &mut key);
    let serial: Uuid = repro::uuid(&key, "cyclonedx");
    json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": format!("urn:uuid:{serial}"),
        "version": 1,
        "metadata": {
            "timestamp": utc(bill.epoch),
            "tools": { "components": [
                { "type": "application", "name": "kiln", "version": env!("CARGO_PKG_VERSION") },
            ] },
            "component": component(image, whole),
        },
        "components": bill.parts.iter().map(|(id, part)| component(id, part)).collect::<Vec<_>>(),
        "dependencies": dependencies.collect::<Vec<_>>(),
    })
}

fn component(id: &str, part: &Part) -> Value {
    let kind = match part.kind {
        Kind::Image => "operating-system",
        Kind::Package | Kind::Module | Kind::Crate => "library",
        Kind::File => "application",
        Kind::Container => "container",
    };
    let mut component = json!({ "type": kind, "bom-ref": id, "name": part.name });
    let mut put =
        |key: &str, value: Value| component.as_object_mut().map(|it| it.insert(key.to_owned(), value));
    if let Some(version) = &part.version {
        put("version", json!(version));
    }
    if let Some(sha256) = &part.sha256 {
        put("hashes", json!([{ "alg": "SHA-256", "content": sha256 }]));
    }
    if let Some(licence) = &part.licence {
        put("licenses", json!([{ "expression": licence }]));
    }
    if let Some(url) = &part.url {
        put("purl", json!(url));
    }
    component
}
