//! A web server of this host that keeps files, as a shared place for `store push` and `pull`; it can misbehave.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// How it answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Manner {
    Good,
    /// Ends in the middle of a file.
    Cut,
    /// Sends more and more.
    Endless,
    /// Sends from one place to the next, which is the same.
    Loop,
    /// Is busy for so many requests.
    Busy(usize),
    /// Wants this header, and says what it got instead.
    Wants(String),
}

/// What it has, and what it was asked for.
#[derive(Debug, Default)]
pub struct State {
    pub files: BTreeMap<String, Vec<u8>>,
    pub asked: Vec<String>,
}

/// A running server; it ends with the test.
pub struct Web {
    /// `127.0.0.1:PORT`.
    pub host: String,
    pub state: Arc<Mutex<State>>,
}

impl Web {
    pub fn start(manner: Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let state = Arc::<Mutex<State>>::default();
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (shared, manner) = (Arc::clone(&shared), manner.clone());
                thread::spawn(move || answer(&stream.unwrap(), &shared, &manner));
            }
        });
        Self { host, state }
    }

    /// With the same files as another one.
    pub fn with(self, other: &Self) -> Self {
        self.state.lock().unwrap().files = other.state.lock().unwrap().files.clone();
        self
    }

    pub fn files(&self) -> BTreeMap<String, Vec<u8>> {
        self.state.lock().unwrap().files.clone()
    }
}

/// A client that has enough hangs up.
fn answer(mut stream: &TcpStream, state: &Mutex<State>, manner: &Manner) -> Option<()> {
    let mut reader = BufReader::new(stream);
    let mut line = || {
        let mut line = String::new();
        reader.read_line(&mut line).ok().map(|_| line.trim_end().to_owned())
    };
    let first = line()?;
    let mut headers = Vec::new();
    loop {
        match line()? {
            end if end.is_empty() => break,
            header => headers.push(header),
        }
    }
    let header = |name: &str| {
        let found = headers.iter().filter_map(|header| header.split_once(": "));
        found.filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_owned()).next()
    };
    let mut body = vec![0; header("content-length").map_or(0, |length| length.parse().unwrap())];
    reader.read_exact(&mut body).ok()?;
    let (method, target) = first.split_once(' ')?;
    let path = target.split([' ', '?']).next()?.trim_start_matches('/');
    let path = percent_encoding::percent_decode_str(path).decode_utf8().ok()?.into_owned();
    let mut state = state.lock().unwrap();
    state.asked.push(format!("{method} {path}"));
    let mut say = |status: &str, extra: &str, body: &[u8]| {
        let head = "Connection: close\r\nETag: \"1\"\r\nLast-Modified: Sat, 21 Nov 2026 00:00:00 GMT";
        let head = format!("HTTP/1.1 {status}\r\n{head}\r\nContent-Length: {}\r\n{extra}\r\n", body.len());
        stream.write_all(head.as_bytes()).ok()?;
        if method == "HEAD" { Some(()) } else { stream.write_all(body).ok() }
    };
    match manner {
        Manner::Wants(wanted) if header("authorization").as_ref() != Some(wanted) => {
            let got = headers.join(" ");
            return say("401 Unauthorized", "", format!("\x1b[31mnot you:\n{got}").as_bytes());
        }
        Manner::Busy(times) if state.asked.len() <= *times => return say("500 Busy", "", b"busy"),
        Manner::Loop => return say("302 Found", &format!("Location: /{path}\r\n"), b""),
        _ => {}
    }
    if method == "PUT" {
        state.files.insert(path, body);
        return say("201 Created", "", b"");
    }
    let Some(file) = state.files.get(&path).cloned() else { return say("404 Not Found", "", b"none") };
    drop(state);
    match manner {
        Manner::Cut => {
            stream
                .write_all(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", file.len()).as_bytes())
                .ok()?;
            stream.write_all(&file[..file.len() / 2]).ok()
        }
        Manner::Endless => {
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000000\r\n\r\n").ok()?;
            stream.write_all(&file).ok()?;
            while stream.write_all(&[0; 1 << 16]).is_ok() {}
            Some(())
        }
        _ => say("200 OK", "", &file),
    }
}
