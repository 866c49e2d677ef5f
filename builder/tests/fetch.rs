//! Fetching against a server of this host that answers each request by a script.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use builder::error::Error;
use builder::fetch::{Item, fetch_within};
use builder::progress::Progress;
use builder::repro::sha256_hex;
use builder::store::Store;
use fs_err as fs;

const CONTENT: &[u8] = b"twelve bytes";

/// Long enough for a busy machine, short enough to wait for.
const STALL: Duration = Duration::from_secs(2);

/// What one request got: its path and its `Range` header.
type Seen = Arc<Mutex<Vec<(String, Option<String>)>>>;

/// Serves each connection by the next of the answers, the last one for ever.
struct Server {
    url: String,
    seen: Seen,
}

impl Server {
    fn new(answers: Vec<fn(&mut TcpStream)>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let seen = Seen::default();
        let log = Arc::clone(&seen);
        thread::spawn(move || {
            for (index, stream) in listener.incoming().enumerate() {
                let mut stream = stream.unwrap();
                let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
                let path = lines.next().unwrap_or_default().split(' ').nth(1).unwrap_or_default().to_owned();
                let headers: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
                let range = headers
                    .iter()
                    .find_map(|line| line.to_lowercase().strip_prefix("range: ").map(str::to_owned));
                log.lock().unwrap().push((path, range));
                let answer = answers[index.min(answers.len() - 1)];
                thread::spawn(move || answer(&mut stream));
            }
        });
        Self { url, seen }
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }

    fn ranges(&self) -> Vec<Option<String>> {
        self.seen.lock().unwrap().iter().map(|(_, range)| range.clone()).collect()
    }

    fn requests(&self) -> usize {
        self.seen.lock().unwrap().len()
    }
}

/// A client that has what it wants hangs up; that is no failure of the server.
fn answer(stream: &mut TcpStream, head: &str, body: &[u8]) {
    let head = format!("HTTP/1.1 {head}\r\nConnection: close\r\n\r\n");
    let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body));
}

fn whole(stream: &mut TcpStream) {
    answer(stream, "200 OK\r\nContent-Length: 12", CONTENT);
}

fn cut(stream: &mut TcpStream) {
    answer(stream, "200 OK\r\nContent-Length: 12", &CONTENT[..5]);
}

fn rest(stream: &mut TcpStream) {
    answer(stream, "206 Partial Content\r\nContent-Range: bytes 5-11/12\r\nContent-Length: 7", &CONTENT[5..]);
}

fn not_there(stream: &mut TcpStream) {
    answer(stream, "404 Not Found\r\nContent-Length: 0", b"");
}

fn broken(stream: &mut TcpStream) {
    answer(stream, "500 Internal Server Error\r\nContent-Length: 0", b"");
}

fn wrong(stream: &mut TcpStream) {
    answer(stream, "200 OK\r\nContent-Length: 12", b"TWELVE BYTES");
}

fn silent(stream: &mut TcpStream) {
    answer(stream, "200 OK\r\nContent-Length: 12", &CONTENT[..5]);
    thread::sleep(STALL * 10);
}

/// A store, and one file to fetch into it.
struct Case {
    folder: tempfile::TempDir,
    store: Store,
    item: Item,
}

impl Case {
    fn new(urls: Vec<String>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let sha256 = sha256_hex(CONTENT).parse().unwrap();
        let item = Item { subject: "thing 1.0".to_owned(), urls, size: 12, sha256 };
        Self { folder, store, item }
    }

    fn fetch(&self) -> Result<(), Error> {
        fetch_within(&self.store, vec![self.item.clone()], false, STALL, &Progress::new())
    }

    /// Fetches, and what entered the store is what was wanted.
    fn succeed(&self) {
        self.fetch().unwrap();
        assert_eq!(fs::read(self.store.file(&self.item.sha256)).unwrap(), CONTENT);
        assert!(!self.store.partial(&self.item.sha256).exists());
    }

    /// Fetches in vain: nothing entered the store. The message, without this run's addresses.
    fn fail(&self) -> String {
        let error = self.fetch().unwrap_err();
        assert_eq!(error.exit_code(), 2);
        assert!(self.files().is_empty(), "{:?}", self.files());
        let mut text = error.to_string();
        for url in &self.item.urls {
            let (server, _) = url.rsplit_once('/').unwrap();
            text = text.replace(server, "URL");
        }
        text
    }

    fn files(&self) -> Vec<PathBuf> {
        let files = fs::read_dir(self.folder.path().join("files")).unwrap();
        files.map(|entry| entry.unwrap().path()).collect()
    }
}

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
    fs::write(case.store.partial(&case.item.sha256), &CONTENT[..5]).unwrap();
    case.succeed();
    assert_eq!(server.ranges(), [Some("bytes=5-".to_owned())]);
}

#[test]
fn a_complete_partial_file_needs_no_server() {
    let case = Case::new(vec!["http://127.0.0.1:9/x".to_owned()]);
    fs::write(case.store.partial(&case.item.sha256), CONTENT).unwrap();
    case.succeed();
}

#[test]
fn a_damaged_partial_file_is_fetched_anew() {
    let server = Server::new(vec![rest, whole]);
    let case = Case::new(vec![server.url("/x")]);
    fs::write(case.store.partial(&case.item.sha256), b"TWELV").unwrap();
    case.succeed();
    assert_eq!(server.ranges(), [Some("bytes=5-".to_owned()), None]);
}

#[test]
fn a_partial_file_that_is_too_long_is_fetched_anew() {
    let server = Server::new(vec![whole]);
    let case = Case::new(vec![server.url("/x")]);
    fs::write(case.store.partial(&case.item.sha256), b"much more than twelve bytes").unwrap();
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
fn a_server_that_falls_silent_is_given_up() {
    let server = Server::new(vec![silent, rest]);
    Case::new(vec![server.url("/x")]).succeed();
    assert_eq!(server.ranges(), [None, Some("bytes=5-".to_owned())]);
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
    assert!(!case.store.partial(&case.item.sha256).exists());
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
