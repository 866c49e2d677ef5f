//! The README promises nothing without the test that holds it: what its table names is there and has tests.

use std::collections::BTreeMap;
use std::path::Path;

use fs_err as fs;
use walkdir::WalkDir;

#[test]
fn every_promise_names_tests_that_are_there() {
    let project = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let text = fs::read_to_string(project.join("README.md")).unwrap();
    let (_, table) = text.split_once("| promise | test |\n|---|---|\n").unwrap();
    let rows: Vec<&str> = table.lines().take_while(|line| line.starts_with('|')).collect();
    assert!(rows.len() > 40, "{} promises", rows.len());
    for row in rows {
        let (promise, tests) = row.trim_matches(['|', ' ']).rsplit_once(" | ").unwrap();
        let places = tests
            .split('`')
            .skip(1)
            .step_by(2)
            .filter(|place| place.contains('/') && !place.starts_with("./"));
        let places: Vec<&str> = places.collect();
        assert!(!places.is_empty(), "no test: {promise}");
        for place in &places {
            assert!(project.join(place).exists(), "there is no `{place}`: {promise}");
        }
        let has_tests = |place: &&str| {
            let files = WalkDir::new(project.join(place)).into_iter().map(|entry| entry.unwrap().into_path());
            let mut sources = files.filter(|path| path.extension().is_some_and(|it| it == "rs"));
            sources.any(|path| {
                let text = fs::read_to_string(path).unwrap();
                text.contains("#[test]") || text.contains("proptest!")
            })
        };
        assert!(places.iter().any(has_tests), "none of {places:?} has a test: {promise}");
    }
}

/// Who has only the README finds every page from it.
#[test]
fn the_readme_leads_to_every_document() {
    let project = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let readme = fs::read_to_string(project.join("README.md")).unwrap();
    let pages = WalkDir::new(project.join("docs")).into_iter().map(|entry| entry.unwrap().into_path());
    let pages = pages.filter(|path| path.extension().is_some_and(|it| it == "md"));
    let missing: Vec<_> = pages
        .map(|path| path.strip_prefix(project).unwrap().display().to_string())
        .filter(|page| !readme.contains(&format!("]({page}")))
        .collect();
    assert_eq!(missing, Vec::<String>::new());
}

/// The page on conformance counts what the record has. `KILN_ACCEPT=1` writes its table anew.
#[test]
fn the_page_on_conformance_counts_what_the_record_has() {
    let project = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let record = fs::read_to_string(project.join("tests/conformance/record.tsv")).unwrap();
    let mut parts: BTreeMap<&str, [usize; 4]> = BTreeMap::new();
    for line in record.lines() {
        let [result, _, _, name] = line.split('\t').collect::<Vec<_>>()[..] else { panic!("{line}") };
        let part = name.trim_start_matches('[').split(']').next().unwrap();
        let column = ["passed", "failed", "open"].iter().position(|it| *it == result).expect(result) + 1;
        for part in [part, "~all"] {
            let counts = parts.entry(part).or_default();
            counts[0] += 1;
            counts[column] += 1;
        }
    }
    let rows = parts.iter().map(|(part, [all, passed, failed, open])| {
        format!("| {} | {all} | {passed} | {failed} | {open} |\n", part.trim_start_matches('~'))
    });
    let head = "| part | tests | passed | failed | not run yet |\n|---|---|---|---|---|\n";
    let table = head.to_owned() + &rows.collect::<String>();
    let page = project.join("docs/reference/conformance.md");
    let text = fs::read_to_string(&page).unwrap();
    let (before, rest) = text.split_once(head).unwrap();
    let after = &rest[rest.find("\n\n").unwrap() + 1..];
    let wanted = format!("{before}{table}{after}");
    if std::env::var_os("KILN_ACCEPT").is_some() {
        fs::write(&page, &wanted).unwrap();
    }
    assert_eq!(wanted, fs::read_to_string(&page).unwrap(), "docs/reference/conformance.md is not the record");
}
