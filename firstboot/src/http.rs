//! One plain HTTP/1.1 request a connection (RFC 9112), for the metadata servers of clouds: no redirect, no proxy, no name
//! to resolve. Every answer ends in time and in size, and one that breaks off is an error. It does not
//! try again.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// The longest head of an answer, in bytes.
const LARGEST_HEAD: u64 = 16 << 10;
/// The largest body, in bytes.
pub const LARGEST_BODY: u64 = 256 << 10;

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// `GET` or `PUT`; neither has a body here.
    pub method: &'static str,
    /// Path and query.
    pub path: &'a str,
    /// Names and values of header fields.
    pub fields: &'a [(&'a str, &'a str)],
}

/// A whole answer.
#[derive(Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// Names, in lower case, and values of the header fields.
    pub fields: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

/// Sends a request and reads the answer, within `time` for all of it.
///
/// # Errors
/// The kernel's; `TimedOut` when the time is over; `UnexpectedEof` when the answer breaks off; `InvalidData` when the answer is too large or no HTTP.
pub fn send(server: SocketAddr, request: &Request<'_>, time: Duration) -> io::Result<Answer> {
    #[expect(clippy::disallowed_methods, reason = "a time-out, in no output")]
    let end = Instant::now() + time;
    let stream = TcpStream::connect_timeout(&server, time)?;
    let Request { method, path, fields } = request;
    let mut head = format!("{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n", server.ip());
    for (name, value) in *fields {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    if *method == "PUT" {
        head.push_str("Content-Length: 0\r\n");
    }
    head.push_str("\r\n");
    stream.set_write_timeout(Some(time))?;
    (&stream).write_all(head.as_bytes())?;
    let mut reader = BufReader::new(Timed { stream, end });
    let (status, fields) = read_head(&mut reader)?;
    let field = |name: &str| fields.iter().find(|(field, _)| field == name).map(|(_, value)| &**value);
    let body = match (field("transfer-encoding"), field("content-length")) {
        (Some(coding), _) if coding.eq_ignore_ascii_case("chunked") => chunks(&mut reader)?,
        (Some(_), _) => return Err(wrong("it has a transfer coding that was not asked for")),
        (None, Some(length)) => {
            let length = length.parse().map_err(|_| wrong("its length is no number"))?;
            exactly(&mut reader, length, LARGEST_BODY)?
        }
        (None, None) => {
            let mut body = Vec::new();
            reader.take(LARGEST_BODY + 1).read_to_end(&mut body)?;
            within(body.len() as u64, LARGEST_BODY)?;
            body
        }
    };
    Ok(Answer { status, fields, body })
}

/// Status and fields.
fn read_head(reader: &mut impl BufRead) -> io::Result<(u16, Vec<(String, String)>)> {
    let mut head = reader.take(LARGEST_HEAD);
    let first = line(&mut head)?;
    let mut words = first.split(' ');
    let version = words.next().filter(|version| version.starts_with("HTTP/1."));
    let status = version.and(words.next()).and_then(|status| status.parse().ok());
    let status = status.ok_or_else(|| wrong("it is no HTTP"))?;
    let mut fields = Vec::new();
    loop {
        let line = line(&mut head)?;
        if line.is_empty() {
            return Ok((status, fields));
        }
        let (name, value) = line.split_once(':').ok_or_else(|| wrong("it has a damaged head"))?;
        fields.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
}

/// A line without its end; the input may not end before it.
fn line(reader: &mut io::Take<impl BufRead>) -> io::Result<String> {
    let mut line = Vec::new();
    reader.read_until(b'\n', &mut line)?;
    let end = || if reader.limit() == 0 { wrong("a line or its head is too long") } else { broken() };
    let text = line.strip_suffix(b"\n").ok_or_else(end)?;
    let text = String::from_utf8_lossy(text);
    Ok(text.trim_end_matches('\r').to_owned())
}

/// A body in pieces, each with its length in hexadecimal before it; one of length 0 is the end.
fn chunks(reader: &mut impl BufRead) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let size = line(&mut reader.by_ref().take(LARGEST_HEAD))?;
        let size = size.split(';').next().unwrap_or_default().trim();
        let size = u64::from_str_radix(size, 16).map_err(|_| wrong("the length of a chunk is no number"))?;
        if size == 0 {
            return Ok(body);
        }
        body.extend(exactly(reader, size, LARGEST_BODY - body.len() as u64)?);
        if !line(&mut reader.by_ref().take(2))?.is_empty() {
            return Err(wrong("a chunk is longer than it says"));
        }
    }
}

fn exactly(reader: &mut impl Read, length: u64, most: u64) -> io::Result<Vec<u8>> {
    within(length, most)?;
    let mut bytes = vec![0; usize::try_from(length).map_err(io::Error::other)?];
    match reader.read_exact(&mut bytes) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(broken()),
        result => result.map(|()| bytes),
    }
}

fn within(length: u64, most: u64) -> io::Result<()> {
    if length > most { Err(wrong(&format!("it is larger than {LARGEST_BODY} bytes"))) } else { Ok(()) }
}

fn wrong(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// The server may be starting or stopping.
fn broken() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "the answer breaks off")
}

/// A connection that ends at a time, however slowly the other side sends.
struct Timed {
    stream: TcpStream,
    end: Instant,
}

impl Read for Timed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        #[expect(clippy::disallowed_methods, reason = "a time-out, in no output")]
        let left = self.end.saturating_duration_since(Instant::now());
        let over = || io::Error::new(io::ErrorKind::TimedOut, "it takes too long");
        if left.is_zero() {
            return Err(over());
        }
        self.stream.set_read_timeout(Some(left))?;
        match self.stream.read(buffer) {
            // What the kernel calls the end of the time.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(over()),
            result => result,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, Read, Write};
    use std::net::{SocketAddr, TcpListener};
    use std::thread;
    use std::time::Duration;

    use proptest::prelude::{ProptestConfig, any, prop_assert, proptest};

    use super::{Answer, LARGEST_BODY, Request, send};

    /// Sends these bytes to who asks.
    fn answer(bytes: Vec<u8>) -> io::Result<Answer> {
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
        let address = listener.local_addr()?;
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept()?;
            let mut asked = [0; 1024];
            let length = stream.read(&mut asked)?;
            let _ = stream.write_all(&bytes);
            Ok::<_, io::Error>(String::from_utf8_lossy(&asked[..length]).into_owned())
        });
        let request = Request { method: "PUT", path: "/x?y", fields: &[("Name", "value")] };
        let answer = send(address, &request, Duration::from_secs(60));
        let asked = server.join().unwrap()?;
        assert_eq!(
            asked,
            "PUT /x?y HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nName: value\r\nContent-Length: 0\r\n\r\n"
        );
        answer
    }

    #[test]
    fn a_body_ends_by_its_length_by_chunks_or_with_the_connection() {
        for text in [
            "HTTP/1.1 200 OK\r\ncontent-LENGTH: 3\r\n\r\nabcd",
            "HTTP/1.0 200 OK\n\nabc",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n1\r\na\r\n02;x\r\nbc\r\n0\r\nTrailer: x\r\n\r\n",
        ] {
            let answer = answer(text.as_bytes().to_vec()).unwrap();
            assert_eq!((answer.status, &*answer.body), (200, &b"abc"[..]), "{text}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn any_answer_is_within_its_limits_or_an_error(
            head in "(HTTP/1.1 200 OK\r\n)?((Content-Length|Transfer-Encoding|X): ?(chunked|-?[0-9]{1,20}|\\PC{0,9})\r\n){0,3}(\r\n)?",
            body in proptest::collection::vec(any::<u8>(), 0..600),
        ) {
            if let Ok(answer) = answer([head.as_bytes(), &body].concat()) {
                prop_assert!(answer.body.len() as u64 <= LARGEST_BODY);
            }
        }
    }
}
