//! Fetching against a server of this host that answers each request by a script.

mod server;
mod site;
mod upstream;
pub(crate) mod web;

use std::io::Write;
use std::net::TcpStream;

use fs_err as fs;

use server::{
    CONTENT, Case, Server, answer, broken, busy, closed, crawl, cut, not_there, rest, silent, whole, wrong,
};

#[test]
fn a_cut_download_goes_on_where_it_stopped() {
    let server = Server::new(vec![cut, rest]);
    Case::new(vec![server.url("/x")]).succeed();
    assert_eq!(server.ranges(), [None, Some("bytes=5-".to_owned())]);
}

#[test]
fn a_download_that_an_earlier_run_left_goes_on() {
    let server = Server::new(vec![rest]);
    let case = Case::new(vec![server.url("/x")]);
    fs::write(case.store.partial(&case.item.hash), &CONTENT[..5]).unwrap();
    case.succeed();
    assert_eq!(server.ranges(), [Some("bytes=5-".to_owned())]);
}

#[test]
fn a_complete_partial_file_needs_no_server() {
    let case = Case::new(vec!["http://127.0.0.1:9/x".to_owned()]);
    fs::write(case.store.partial(&case.item.hash), CONTENT).unwrap();
    case.succeed();
}

#[test]
fn a_damaged_partial_file_is_fetched_anew() {
    let server = Server::new(vec![rest, whole]);
    let case = Case::new(vec![server.url("/x")]);
    fs::write(case.store.partial(&case.item.hash), b"TWELV").unwrap();
    case.succeed();
    assert_eq!(server.ranges(), [Some("bytes=5-".to_owned()), None]);
}

#[test]
fn a_partial_file_that_is_too_long_is_fetched_anew() {
    let server = Server::new(vec![whole]);
    let case = Case::new(vec![server.url("/x")]);
    fs::write(case.store.partial(&case.item.hash), b"much more than twelve bytes").unwrap();
    case.succeed();
    assert_eq!(server.ranges(), [None]);
}

#[test]
fn a_server_that_does_not_resume_sends_it_all_again() {
    let server = Server::new(vec![cut, whole]);
    Case::new(vec![server.url("/x")]).succeed();
}

#[test]
fn a_part_that_was_not_asked_for_is_not_taken() {
    fn other_part(stream: &mut TcpStream) {
        answer(
            stream,
            "206 Partial Content\r\nContent-Range: bytes 4-11/12\r\nContent-Length: 8",
            &CONTENT[4..],
        );
    }
    let server = Server::new(vec![cut, other_part, whole]);
    Case::new(vec![server.url("/x")]).succeed();
    assert_eq!(server.ranges(), [None, Some("bytes=5-".to_owned()), None]);
}

#[test]
fn a_range_that_cannot_be_satisfied_starts_again() {
    fn unsatisfiable(stream: &mut TcpStream) {
        answer(stream, "416 Range Not Satisfiable\r\nContent-Range: bytes */3\r\nContent-Length: 0", b"");
    }
    let server = Server::new(vec![cut, unsatisfiable, whole]);
    Case::new(vec![server.url("/x")]).succeed();
    assert_eq!(server.ranges(), [None, Some("bytes=5-".to_owned()), None]);
}

#[test]
fn the_next_address_is_asked_for_what_one_does_not_have() {
    let (first, second) = (Server::new(vec![not_there]), Server::new(vec![whole]));
    Case::new(vec![first.url("/x"), second.url("/x")]).succeed();
    assert_eq!((first.requests(), second.requests()), (1, 1));
}

#[test]
fn the_next_address_is_asked_when_one_has_something_else() {
    let (first, second) = (Server::new(vec![wrong]), Server::new(vec![whole]));
    Case::new(vec![first.url("/x"), second.url("/x")]).succeed();
}

#[test]
fn a_server_that_stumbles_is_asked_again() {
    let server = Server::new(vec![broken, whole]);
    Case::new(vec![server.url("/x")]).succeed();
}

#[test]
fn a_busy_server_is_asked_again_when_it_says() {
    let server = Server::new(vec![busy, busy, whole]);
    Case::new(vec![server.url("/x")]).succeed();
    assert_eq!(server.requests(), 3);
    let server = Server::new(vec![closed; 3]);
    insta::assert_snapshot!(Case::new(vec![server.url("/x")]).fail(), @r"
    fetching thing 1.0: URL/x answered 503 Service Unavailable, to be asked again after 3600 s (tried URL/x)

    hint: run the same command again: it resumes where it stopped
    ");
}

#[test]
fn a_folder_with_a_space_is_a_mirror_in_both_spellings() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("my mirror")).unwrap();
    fs::write(folder.path().join("my mirror/x"), CONTENT).unwrap();
    for name in ["my mirror", "my%20mirror"] {
        Case::new(vec![format!("file://{}/{name}/x", folder.path().display())]).succeed();
    }
}

#[test]
fn a_server_that_falls_silent_is_given_up() {
    let server = Server::new(vec![silent, rest]);
    Case::new(vec![server.url("/x")]).succeed();
    assert_eq!(server.ranges(), [None, Some("bytes=5-".to_owned())]);
}

/// It sends a byte before each time-out, for as long as anybody listens.
#[test]
fn a_server_that_crawls_is_given_up_and_the_next_one_asked() {
    let (slow, fast) = (Server::new(vec![crawl]), Server::new(vec![whole]));
    Case::new(vec![slow.url("/x"), fast.url("/x")]).succeed();
    let server = Server::new(vec![crawl]);
    insta::assert_snapshot!(Case::new(vec![server.url("/x")]).fail());
    assert_eq!((slow.requests(), fast.requests(), server.requests()), (3, 1, 3));
}

#[test]
fn a_file_that_nobody_has_any_more_is_named() {
    let server = Server::new(vec![not_there]);
    insta::assert_snapshot!(Case::new(vec![server.url("/x"), server.url("/y")]).fail());
}

#[test]
fn a_server_that_stays_broken_is_named() {
    let server = Server::new(vec![broken]);
    insta::assert_snapshot!(Case::new(vec![server.url("/x")]).fail());
    assert_eq!(server.requests(), 3);
}

#[test]
fn wrong_bytes_do_not_enter_the_store() {
    let server = Server::new(vec![wrong]);
    let case = Case::new(vec![server.url("/x")]);
    insta::assert_snapshot!(case.fail());
    assert!(!case.store.partial(&case.item.hash).exists());
}

#[test]
fn a_body_without_end_is_read_to_one_byte_too_many() {
    fn endless(stream: &mut TcpStream) {
        answer(stream, "200 OK", b"");
        // Ends when the client hangs up.
        while stream.write_all(&[b'x'; 1 << 16]).is_ok() {}
    }
    let server = Server::new(vec![endless]);
    insta::assert_snapshot!(Case::new(vec![server.url("/x")]).fail());
    assert_eq!(server.requests(), 1);
}

#[test]
fn a_smaller_file_is_another_file() {
    fn smaller(stream: &mut TcpStream) {
        answer(stream, "200 OK\r\nContent-Length: 3", b"few");
    }
    let server = Server::new(vec![smaller]);
    insta::assert_snapshot!(Case::new(vec![server.url("/x")]).fail());
    assert_eq!(server.requests(), 1);
}

#[test]
fn a_larger_file_is_another_file() {
    fn larger(stream: &mut TcpStream) {
        answer(stream, "200 OK\r\nContent-Length: 13", b"twelve bytes!");
    }
    let server = Server::new(vec![larger]);
    insta::assert_snapshot!(Case::new(vec![server.url("/x")]).fail());
}

#[test]
fn redirects_that_lead_nowhere_end() {
    fn around(stream: &mut TcpStream) {
        answer(stream, "302 Found\r\nLocation: /x\r\nContent-Length: 0", b"");
    }
    let server = Server::new(vec![around]);
    insta::assert_snapshot!(Case::new(vec![server.url("/x")]).fail());
}

#[test]
fn a_redirect_is_followed() {
    fn elsewhere(stream: &mut TcpStream) {
        answer(stream, "302 Found\r\nLocation: /y\r\nContent-Length: 0", b"");
    }
    let server = Server::new(vec![elsewhere, whole]);
    Case::new(vec![server.url("/x")]).succeed();
    assert_eq!(server.seen.lock().unwrap()[1].0, "/y");
}
