//! Files that are not Debian's: of unknown size, with a SHA-512, on this machine.

use std::net::TcpStream;

use builder::fetch::Origin;
use builder::ground::hash::Hash;
use fs_err as fs;

use super::server::{CONTENT, Case, Server, answer, cut, not_there, rest, whole, wrong};

/// `sha512sum` of the content.
const SHA512: &str = "465e3dd38901750ef2011bd23df90b6e920af3fb4039e20c8ce4b5d5be8f8611df8daf4b7ac151bef21e4ca74699e3a1a8b3ddb38ce78d3a29a3ec3c2cc70fff";

/// A file whose size the lock does not say.
fn of_unknown_size(urls: Vec<String>) -> Case {
    let mut case = Case::new(urls);
    (case.item.size, case.item.origin) = (None, Origin::Upstream);
    case
}

#[test]
fn a_file_of_unknown_size_is_fetched_and_resumed() {
    let server = Server::new(vec![cut, rest]);
    of_unknown_size(vec![server.url("/x")]).succeed();
    assert_eq!(server.ranges(), [None, Some("bytes=5-".to_owned())]);
}

#[test]
fn a_complete_partial_file_of_unknown_size_needs_no_server() {
    let case = of_unknown_size(vec!["http://127.0.0.1:9/x".to_owned()]);
    fs::write(case.store.partial(&case.item.hash), CONTENT).unwrap();
    case.succeed();
}

#[test]
fn a_complete_but_damaged_partial_file_of_unknown_size_is_fetched_anew() {
    fn unsatisfiable(stream: &mut TcpStream) {
        answer(stream, "416 Range Not Satisfiable\r\nContent-Range: bytes */12\r\nContent-Length: 0", b"");
    }
    let server = Server::new(vec![unsatisfiable, whole]);
    let case = of_unknown_size(vec![server.url("/x")]);
    fs::write(case.store.partial(&case.item.hash), b"TWELVE BYTES").unwrap();
    case.succeed();
    assert_eq!(server.ranges(), [Some("bytes=12-".to_owned()), None]);
}

#[test]
fn a_sha512_is_as_good() {
    let server = Server::new(vec![wrong, whole]);
    let mut case = of_unknown_size(vec![server.url("/x"), server.url("/y")]);
    case.item.hash = Hash::Sha512(SHA512.parse().unwrap());
    case.succeed();
    assert_eq!(server.requests(), 2);
}

#[test]
fn wrong_bytes_of_upstream_are_named_with_the_kind_of_checksum() {
    let server = Server::new(vec![wrong]);
    let mut case = of_unknown_size(vec![server.url("/x")]);
    case.item.hash = Hash::Sha512(SHA512.parse().unwrap());
    insta::assert_snapshot!(case.fail());
}

#[test]
fn what_upstream_does_not_have_is_named() {
    let server = Server::new(vec![not_there]);
    insta::assert_snapshot!(of_unknown_size(vec![server.url("/x")]).fail());
}

#[test]
fn a_host_that_does_not_answer_is_named() {
    let said = of_unknown_size(vec!["http://127.0.0.1:9/x".to_owned()]).fail();
    insta::with_settings!({ filters => [(r"error sending .* \(tried", "CAUSE (tried")] }, {
        insta::assert_snapshot!(said);
    });
}

#[test]
fn a_file_of_this_machine_is_no_network() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x");
    fs::write(&path, CONTENT).unwrap();
    let mut case =
        of_unknown_size(vec!["http://127.0.0.1:9/x".to_owned(), format!("file://{}", path.display())]);
    case.offline = true;
    case.succeed();
    let mut case = of_unknown_size(vec!["http://127.0.0.1:9/x".to_owned()]);
    case.offline = true;
    let error = case.fetch().unwrap_err();
    assert_eq!(error.exit_code(), 1);
    assert!(error.to_string().contains("--offline forbids fetching it (1 files are missing)"), "{error}");
}
