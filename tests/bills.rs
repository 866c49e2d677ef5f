//! Bills of materials and provenance of built images, judged by the validators of SPDX, CycloneDX and in-toto, and by what
//! `inspect` finds in the images.

#![expect(clippy::disallowed_methods, reason = "the validators are programs of this host")]

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use fs_err as fs;
use serde_json::Value;

use crate::support::{PROFILE, build, builder, fresh, python, run, text};

/// Reads CycloneDX and fails with what its schema does not allow.
const CYCLONEDX: &str = "import sys
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
wrong = JsonStrictValidator(SchemaVersion.V1_6).validate_str(open(sys.argv[1]).read())
sys.exit(str(wrong) if wrong else 0)";

/// Reads a statement of in-toto with SLSA's provenance as their libraries do.
const PROVENANCE: &str = "import json, sys
from google.protobuf.json_format import Parse, ParseDict
from in_toto_attestation.predicates.provenance.v1 import provenance_pb2
from in_toto_attestation.v1.statement import Statement
it = json.load(open(sys.argv[1]))
predicate = ParseDict(it['predicate'], provenance_pb2.Provenance())
assert predicate.build_definition.build_type and predicate.run_details.builder.id
from in_toto_attestation.v1 import statement_pb2
statement = Statement.copy_from_pb(ParseDict(it, statement_pb2.Statement()))
statement.validate()";

#[test]
fn bills_are_valid_and_name_what_is_in_the_images() {
    let out = fresh("bills");
    build(&out);
    let results = out.join(PROFILE);
    let judge = |script: &str, file: &Path| {
        run(Command::new(python("python")).args(["-c", script, text(file)]));
    };
    judge(PROVENANCE, &results.join("provenance.json"));
    for role in ["control-plane", "worker"] {
        let (spdx, cyclonedx) =
            (results.join(format!("{role}.spdx.json")), results.join(format!("{role}.cdx.json")));
        run(Command::new(python("pyspdxtools")).args(["--infile", text(&spdx)]));
        judge(CYCLONEDX, &cyclonedx);
        let [spdx, cyclonedx] = [spdx, cyclonedx]
            .map(|file| serde_json::from_str::<Value>(&fs::read_to_string(file).unwrap()).unwrap());
        let image = results.join(format!("{role}.qcow2"));
        let found: Value = serde_json::from_str(&builder(&["inspect", "--json", text(&image)])).unwrap();
        agree(&spdx, &cyclonedx, &found);
    }
}

/// What both bills say lies in the image itself is what is found there.
fn agree(spdx: &Value, cyclonedx: &Value, found: &Value) {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let image = list(&spdx["relationships"])
        .iter()
        .find(|it| it["relationshipType"] == "DESCRIBES")
        .map(|it| word(&it["relatedSpdxElement"]))
        .unwrap();
    let relationships = list(&spdx["relationships"]);
    let held: BTreeSet<String> = relationships
        .iter()
        .filter(|it| it["spdxElementId"] == image.as_str())
        .map(|it| word(&it["relatedSpdxElement"]))
        .collect();
    let parts = list(&spdx["packages"]);
    let here: Vec<&Value> = parts.iter().filter(|it| held.contains(&word(&it["SPDXID"]))).collect();
    let of_kind = |purpose: &str| {
        let parts = here.iter().filter(|it| it["primaryPackagePurpose"] == purpose);
        parts.map(|it| (word(&it["name"]), word(&it["versionInfo"]))).collect::<BTreeSet<_>>()
    };
    let packages = list(&found["system"]["packages"]);
    let packages: BTreeSet<_> = packages.iter().map(|it| (word(&it["name"]), word(&it["version"]))).collect();
    assert!(packages.len() > 100);
    assert_eq!(of_kind("LIBRARY"), packages, "the packages of Debian");
    let programs = of_kind("APPLICATION");
    for program in list(&found["system"]["programs"]).iter().filter(|it| it["version"].is_string()) {
        let (path, version) = (word(&program["path"]), word(&program["version"]));
        let name = path.rsplit('/').next().unwrap_or_default();
        let is_it = |it: &(String, String)| it.0 == name && it.1 == version;
        assert!(programs.iter().any(is_it), "{program:#} is not among {programs:?}");
    }
    // Down to what was compiled in, with a licence where one is known.
    let has =
        |url: &str| parts.iter().any(|it| word(&it["externalRefs"][0]["referenceLocator"]).starts_with(url));
    for url in
        ["pkg:golang/k8s.io/api@v0.", "pkg:golang/stdlib@", "pkg:cargo/serde@1.", "pkg:deb/debian/libc6@2."]
    {
        assert!(has(url), "{url}");
    }
    let licences = parts.iter().filter(|it| it["licenseDeclared"] != "NOASSERTION").count();
    assert!(licences > 100, "{licences} of {} have a licence", parts.len());
    let names = |list: &[Value], key: &str| list.iter().map(|it| word(&it[key])).collect::<BTreeSet<_>>();
    let components = list(&cyclonedx["components"]);
    let mut other = names(&components, "name");
    other.insert(word(&cyclonedx["metadata"]["component"]["name"]));
    assert_eq!(names(&parts, "name"), other, "both bills name the same");
}
