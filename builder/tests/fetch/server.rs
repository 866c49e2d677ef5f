//! The server, its answers, and a store with one file to fetch into it.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use builder::fetch::{Item, Origin, fetch_within};
use builder::ground::error::Error;
use builder::ground::hash::Hash;
use builder::ground::progress::Progress;
use builder::ground::repro::sha256_hex;
use builder::store::Store;
use fs_err as fs;

pub(crate) const CONTENT: &[u8] = b"twelve bytes";

/// Long enough for a busy machine, short enough to wait for.
const STALL: Duration = Duration::from_secs(2);

/// What one request got: its path and its `Range` header.
pub(crate) type Seen = Arc<Mutex<Vec<(String, Option<String>)>>>;

/// Serves each connection by the next of the answers, the last one for ever.
pub(crate) struct Server {
    pub(crate) url: String,
    pub(crate) seen: Seen,
}

impl Server {
    pub(crate) fn new(answers: Vec<fn(&mut TcpStream)>) -> Self {
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

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }

    pub(crate) fn ranges(&self) -> Vec<Option<String>> {
        self.seen.lock().unwrap().iter().map(|(_, range)| range.clone()).collect()
    }

    pub(crate) fn requests(&self) -> usize {
        self.seen.lock().unwrap().len()
    }
}

/// A client that has what it wants hangs up; that is no failure of the server.
pub(crate) fn answer(stream: &mut TcpStream, head: &str, body: &[u8]) {
    let head = format!("HTTP/1.1 {head}\r\nConnection: close\r\n\r\n");
    let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body));
}

pub(crate) fn whole(stream: &mut TcpStream) {
    answer(stream, "200 OK\r\nContent-Length: 12", CONTENT);
}

pub(crate) fn cut(stream: &mut TcpStream) {
    answer(stream, "200 OK\r\nContent-Length: 12", &CONTENT[..5]);
}

pub(crate) fn rest(stream: &mut TcpStream) {
    answer(stream, "206 Partial Content\r\nContent-Range: bytes 5-11/12\r\nContent-Length: 7", &CONTENT[5..]);
}

pub(crate) fn not_there(stream: &mut TcpStream) {
    answer(stream, "404 Not Found\r\nContent-Length: 0", b"");
}

pub(crate) fn broken(stream: &mut TcpStream) {
    answer(stream, "500 Internal Server Error\r\nContent-Length: 0", b"");
}

pub(crate) fn busy(stream: &mut TcpStream) {
    answer(stream, "429 Too Many Requests\r\nRetry-After: 1\r\nContent-Length: 0", b"");
}

pub(crate) fn closed(stream: &mut TcpStream) {
    answer(stream, "503 Service Unavailable\r\nRetry-After: 3600\r\nContent-Length: 0", b"");
}

pub(crate) fn wrong(stream: &mut TcpStream) {
    answer(stream, "200 OK\r\nContent-Length: 12", b"TWELVE BYTES");
}

pub(crate) fn silent(stream: &mut TcpStream) {
    answer(stream, "200 OK\r\nContent-Length: 12", &CONTENT[..5]);
    thread::sleep(STALL * 10);
}

/// Twelve bytes would come, in an hour.
pub(crate) fn crawl(stream: &mut TcpStream) {
    answer(stream, "200 OK\r\nContent-Length: 12", b"");
    for byte in CONTENT.iter().take(11) {
        thread::sleep(STALL / 4);
        let _ = stream.write_all(&[*byte]);
    }
    thread::sleep(STALL * 10);
}

/// A store, and one file to fetch into it.
pub(crate) struct Case {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) store: Store,
    pub(crate) item: Item,
    pub(crate) offline: bool,
}

impl Case {
    pub(crate) fn new(urls: Vec<String>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let hash = Hash::Sha256(sha256_hex(CONTENT).parse().unwrap());
        let (subject, size, origin) = ("thing 1.0".to_owned(), Some(12), Origin::Debian);
        let item = Item { subject, urls, size, hash, origin };
        Self { folder, store, item, offline: false }
    }

    pub(crate) fn fetch(&self) -> Result<(), Error> {
        fetch_within(&self.store, vec![self.item.clone()], self.offline, STALL, &Progress::new())
    }

    /// Fetches, and what entered the store is what was wanted.
    pub(crate) fn succeed(&self) {
        self.fetch().unwrap();
        assert_eq!(fs::read(self.store.file(&self.item.hash)).unwrap(), CONTENT);
        assert!(!self.store.partial(&self.item.hash).exists());
    }

    /// Fetches in vain: nothing entered the store. The message, without this run's addresses.
    pub(crate) fn fail(&self) -> String {
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

    pub(crate) fn files(&self) -> Vec<PathBuf> {
        let files = fs::read_dir(self.folder.path().join("files")).unwrap();
        files.map(|entry| entry.unwrap().path()).collect()
    }
}
