//! A mirror on this host that sends slowly, from where it is asked to, and remembers what it was asked for.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use fs_err as fs;

/// Serves a folder as `/debian`, with a pause after each 64 KiB; its address, and the paths that were asked for.
pub fn serve(folder: &Path, pause: Duration) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/debian", listener.local_addr().unwrap());
    let asked = Arc::<Mutex<Vec<String>>>::default();
    let (log, folder) = (Arc::clone(&asked), folder.to_owned());
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (stream, log, folder) = (stream.unwrap(), Arc::clone(&log), folder.clone());
            thread::spawn(move || answer(&stream, &log, &folder, pause));
        }
    });
    (url, asked)
}

/// A client that was killed hangs up.
fn answer(mut stream: &TcpStream, log: &Mutex<Vec<String>>, folder: &Path, pause: Duration) -> Option<()> {
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    let path = lines.next()?.split(' ').nth(1)?.strip_prefix("/debian/")?.to_owned();
    let path = percent_encoding::percent_decode_str(&path).decode_utf8().ok()?.into_owned();
    let range = lines.take_while(|line| !line.is_empty()).find_map(|line| {
        line.to_lowercase().strip_prefix("range: bytes=")?.trim_end_matches('-').parse().ok()
    });
    let bytes = fs::read(folder.join(&path)).ok()?;
    log.lock().unwrap().push(path);
    let (from, total) = (range.unwrap_or(0), bytes.len());
    let status = match range {
        Some(from) => format!("206 Partial Content\r\nContent-Range: bytes {from}-{}/{total}", total - 1),
        None => "200 OK".to_owned(),
    };
    let length = total - from;
    write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n").ok()?;
    for piece in bytes[from..].chunks(1 << 16) {
        stream.write_all(piece).ok()?;
        thread::sleep(pause);
    }
    Some(())
}
