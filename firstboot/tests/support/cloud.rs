//! Metadata servers for tests: a thread behind a port of the loopback, which answers as the test says.

#![allow(dead_code, reason = "each test program uses a part of it")]

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use firstboot::args::Args;
use firstboot::ops::Real;

use super::{Said, World};

/// Path and body of each thing that an EC2 server has.
pub const EC2: [(&str, &str); 6] = [
    ("/latest/meta-data/instance-id", "i-0123"),
    ("/latest/meta-data/local-hostname", "node-1.eu-west-1.compute.internal"),
    ("/latest/meta-data/local-ipv4", "192.168.122.77"),
    ("/latest/meta-data/public-keys/", "0=ada"),
    ("/latest/meta-data/public-keys/0/openssh-key", "ssh-ed25519 AAAA ada\n"),
    ("/latest/user-data", "#cloud-config\nkiln:\n  pod-cidr: 10.200.9.0/24\nruncmd: [x]\n"),
];

/// What a GCE server says of an instance.
pub const GCE: &str = r##"{
  "id": 4711,
  "hostname": "node-1.c.project.internal",
  "machineType": "projects/1/machineTypes/e2-small",
  "attributes": {
    "ssh-keys": "ada:ssh-ed25519 AAAA ada\n\nbob:ecdsa-sha2-nistp256 BBBB google-ssh {\"expireOn\":\"2021\"}",
    "user-data": "#cloud-config\nkiln: {pod-cidr: 10.200.9.0/24}\n"
  },
  "networkInterfaces": [{ "ip": "192.168.122.77", "mac": "42:01:0a:80:00:02", "network": "projects/1/networks/default" }]
}"##;

/// A server that does as it likes with each connection; it gets the head of the request.
pub fn server(mut answer: impl FnMut(&str, TcpStream) + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let stream = stream.unwrap();
            let lines = BufReader::new(stream.try_clone().unwrap()).lines();
            let head: Vec<_> = lines.map_while(Result::ok).take_while(|line| !line.is_empty()).collect();
            answer(&head.join("\n"), stream);
        }
    });
    address
}

/// An answer with a length. Whoever asked may have gone away.
pub fn reply(mut stream: TcpStream, status: &str, fields: &str, body: &[u8]) {
    let length = body.len();
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n{fields}\r\n");
    let _ = stream.write_all(&[head.as_bytes(), body].concat());
}

/// An EC2 server that has these things, and shows them to who has a token.
pub fn ec2(things: &[(&str, &str)]) -> SocketAddr {
    let things: Vec<_> = things.iter().map(|(path, body)| ((*path).to_owned(), (*body).to_owned())).collect();
    server(move |head, stream| {
        let path = head.split(' ').nth(1).unwrap();
        let field = |name: &str| head.lines().any(|line| line == name);
        if head.starts_with("PUT /latest/api/token ") {
            assert!(field("X-aws-ec2-metadata-token-ttl-seconds: 60"));
            return reply(stream, "200 OK", "", b"SECRET==");
        }
        if !field("X-aws-ec2-metadata-token: SECRET==") {
            return reply(stream, "401 Unauthorized", "", b"");
        }
        match things.iter().find(|(known, _)| known == path) {
            Some((_, body)) => reply(stream, "200 OK", "", body.as_bytes()),
            None => reply(stream, "404 Not Found", "", b"<html>no</html>"),
        }
    })
}

/// A GCE server that says this of the instance, in pieces.
pub fn gce(instance: &str) -> SocketAddr {
    let instance = instance.to_owned();
    server(move |head, mut stream| {
        if !head.lines().any(|line| line == "metadata-flavor: Google") {
            return reply(stream, "403 Forbidden", "", b"");
        }
        assert!(head.starts_with("GET /computeMetadata/v1/instance/?recursive=true "), "{head}");
        let head = "HTTP/1.1 200 OK\r\nMetadata-Flavor: Google\r\nTransfer-Encoding: chunked\r\n\r\n";
        let mut answer = head.as_bytes().to_vec();
        for piece in instance.as_bytes().chunks(100) {
            answer.extend(format!("{:x};x=y\r\n", piece.len()).as_bytes());
            answer.extend(piece);
            answer.extend(b"\r\n");
        }
        answer.extend(b"0\r\n\r\n");
        let _ = stream.write_all(&answer);
    })
}

impl World {
    /// Names the metadata server of the machine.
    pub fn metadata(&self, address: SocketAddr) {
        *self.metadata_server.lock().unwrap() = Some(address);
    }

    /// The arguments of the run that asks it, for as long as a busy machine may need.
    pub fn metadata_args(&self) -> Args {
        Args { metadata: true, wait: Duration::from_secs(60), ..self.args() }
    }

    /// The run that asks it.
    pub fn boot_metadata(&self) -> Said {
        self.boot_with(&self.metadata_args(), &mut Real)
    }
}
