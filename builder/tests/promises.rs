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

/// The page counts what the record of upstream's suite has; `KILN_ACCEPT=1` writes the table anew.
#[test]
fn the_conformance_page_says_what_the_record_says() {
    let project = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let record = fs::read_to_string(project.join("tests/conformance/record.tsv")).unwrap();
    let mut counts: BTreeMap<&str, [usize; 4]> = BTreeMap::new();
    for line in record.lines() {
        let [result, _, _, name] = line.split('\t').collect::<Vec<_>>()[..] else { panic!("{line}") };
        let part = name.strip_prefix('[').and_then(|name| name.split(']').next()).unwrap();
        let results = ["passed", "failed", "skipped", "open"];
        let column = results.iter().position(|known| *known == result).expect(line);
        for part in [part, "~"] {
            counts.entry(part).or_default()[column] += 1;
        }
    }
    let mut table =
        "| part | tests | passed | failed | skipped | not run yet |\n|---|---|---|---|---|---|\n".to_owned();
    for (part, [passed, failed, skipped, open]) in &counts {
        let (part, all) = (part.replace('~', "all"), passed + failed + skipped + open);
        table += &format!("| {part} | {all} | {passed} | {failed} | {skipped} | {open} |\n");
    }
    let path = project.join("docs/reference/conformance.md");
    let page = fs::read_to_string(&path).unwrap();
    let (before, rest) = page.split_once("| part |").unwrap();
    let (_, after) = rest.split_once("\n\n").unwrap();
    let wanted = format!("{before}{table}\n{after}");
    if std::env::var_os("KILN_ACCEPT").is_some() {
        fs::write(&path, &wanted).unwrap();
    }
    assert!(page == wanted || std::env::var_os("KILN_ACCEPT").is_some(), "the table should be\n{table}");
    let failed = record.lines().filter_map(|line| line.strip_prefix("failed\t")?.rsplit('\t').next());
    let untold: Vec<&str> = failed.filter(|name| !page.contains(&name[..name.len().min(60)])).collect();
    assert!(untold.is_empty(), "docs/reference/conformance.md does not say why these failed: {untold:#?}");
}
