//! A web server of this host that a test tells what to answer.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// What a request asked for and said: its target and its `Authorization`.
pub type Asked = (String, Option<String>);

/// Answers by the target: the head after `HTTP/1.1 ` and the body.
pub type Answer = Box<dyn Fn(&Asked) -> (String, Vec<u8>) + Send>;

pub struct Site {
    pub url: String,
    pub asked: Arc<Mutex<Vec<Asked>>>,
}

impl Site {
    pub fn new(answer: Answer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::<Mutex<Vec<Asked>>>::default();
        let log = Arc::clone(&asked);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let request = read(&stream);
                let (head, body) = answer(&request);
                log.lock().unwrap().push(request);
                let length = body.len();
                let head =
                    format!("HTTP/1.1 {head}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
                let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body));
            }
        });
        Self { url, asked }
    }

    pub fn targets(&self) -> Vec<String> {
        let mut targets: Vec<String> =
            self.asked.lock().unwrap().iter().map(|(target, _)| target.clone()).collect();
        targets.sort();
        targets
    }
}

fn read(stream: &TcpStream) -> Asked {
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    let target = lines.next().unwrap_or_default().split(' ').nth(1).unwrap_or_default().to_owned();
    let headers: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
    let authorization = headers.iter().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("authorization").then(|| value.to_owned())
    });
    (target, authorization)
}
