//! A bill in the form of [SPDX 2.3](https://spdx.github.io/spdx-spec/v2.3/).

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::sbom::parts::{Bill, Kind, Part, utc};

/// The document.
pub(super) fn document(bill: &Bill) -> Value {
    let (image, whole) = &bill.image;
    let holds = bill.all().flat_map(|(id, part)| part.holds.iter().map(move |held| (id, held)));
    let relationship = |from: &str, kind: &str, to: &str| json!({ "spdxElementId": from, "relationshipType": kind, "relatedSpdxElement": to });
    let mut relationships = vec![relationship("SPDXRef-DOCUMENT", "DESCRIBES", &reference(image))];
    relationships.extend(holds.map(|(id, held)| relationship(&reference(id), "CONTAINS", &reference(held))));
    let licences = bill.all().filter_map(|(_, part)| part.licence.as_deref()).flat_map(own_licences);
    let licences: BTreeSet<&str> = licences.collect();
    let licences: Vec<Value> = licences.into_iter().map(own_licence).collect();
    json!({
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": whole.name,
        "documentNamespace": format!("tag:kiln,2026:spdx/{}", bill.id),
        "creationInfo": {
            "created": utc(bill.epoch),
            "creators": [format!("Tool: kiln-{}", env!("CARGO_PKG_VERSION"))],
        },
        "packages": bill.all().map(|(id, part)| package(id, part)).collect::<Vec<_>>(),
        "relationships": relationships,
        "hasExtractedLicensingInfos": licences,
    })
}

fn reference(id: &str) -> String {
    format!("SPDXRef-{id}")
}

fn package(id: &str, part: &Part) -> Value {
    let purpose = match part.kind {
        Kind::Image => "OPERATING-SYSTEM",
        Kind::Package | Kind::Module | Kind::Crate => "LIBRARY",
        Kind::File => "APPLICATION",
        Kind::Container => "CONTAINER",
    };
    let mut package = json!({
        "SPDXID": reference(id),
        "name": part.name,
        "downloadLocation": "NOASSERTION",
        "filesAnalyzed": false,
        "licenseConcluded": "NOASSERTION",
        "licenseDeclared": part.licence.as_deref().unwrap_or("NOASSERTION"),
        "copyrightText": "NOASSERTION",
        "primaryPackagePurpose": purpose,
    });
    let mut put =
        |key: &str, value: Value| package.as_object_mut().map(|it| it.insert(key.to_owned(), value));
    if let Some(version) = &part.version {
        put("versionInfo", json!(version));
    }
    if let Some(sha256) = &part.sha256 {
        put("checksums", json!([{ "algorithm": "SHA256", "checksumValue": sha256 }]));
    }
    if let Some(url) = &part.url {
        let reference = json!({
            "referenceCategory": "PACKAGE-MANAGER",
            "referenceType": "purl",
            "referenceLocator": url,
        });
        put("externalRefs", json!([reference]));
    }
    if part.kind == Kind::Package {
        put("supplier", json!("Organization: Debian"));
    }
    package
}

/// The licences in an expression that SPDX does not know.
fn own_licences(expression: &str) -> impl Iterator<Item = &str> {
    let words = expression.split([' ', '(', ')']);
    words.filter(|word| word.starts_with("LicenseRef-"))
}

fn own_licence(id: &str) -> Value {
    let name = id.trim_start_matches("LicenseRef-");
    let text = format!(
        "What Debian's copyright files call `{name}`: /usr/share/doc/PACKAGE/copyright has its text."
    );
    json!({ "licenseId": id, "name": name, "extractedText": text })
}
