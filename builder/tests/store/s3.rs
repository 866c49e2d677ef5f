//! `builder store push` and `pull` with an S3 server: moto's, which `./setup tests` installs, on this host alone.

#![expect(clippy::disallowed_methods, reason = "the server is a program of the host")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use fs_err as fs;

use crate::project::Project;

/// Larger than a part of an upload.
const SIZE: usize = 25 << 20;

/// The server, with the bucket `bucket`; it ends with the test.
struct Moto {
    child: Child,
    host: String,
}

impl Moto {
    fn start() -> Self {
        let folder = |name| std::env::var_os(name).map(PathBuf::from);
        let cache = folder("XDG_CACHE_HOME").or_else(|| Some(folder("HOME")?.join(".cache"))).unwrap();
        let program = cache.join("kiln-tests/python/bin/moto_server");
        let mut command = Command::new(&program);
        command.args(["-H", "127.0.0.1", "-p", "0"]).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command
            .spawn()
            .unwrap_or_else(|error| panic!("`./setup tests` installs {}: {error}", program.display()));
        // ` * Running on http://127.0.0.1:PORT`; what it says of each request nobody reads.
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
        let found = lines.by_ref().find_map(|line| Some(line.split_once("http://")?.1.trim().to_owned()));
        std::thread::spawn(move || lines.for_each(drop));
        let moto = Self { child, host: found.expect("moto says where it listens") };
        assert_eq!(moto.request("PUT", "bucket", b""), 200);
        moto
    }

    /// A request by somebody: moto wants a name, and looks at no signature.
    fn request(&self, method: &str, path: &str, body: &[u8]) -> u16 {
        let mut stream = TcpStream::connect(&self.host).unwrap();
        let me = "AWS4-HMAC-SHA256 Credential=me/20261121/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=00";
        let head = format!("{method} /{path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n", self.host);
        let head = format!("{head}Authorization: {me}\r\n");
        write!(stream, "{head}Content-Length: {}\r\n\r\n", body.len()).unwrap();
        stream.write_all(body).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        String::from_utf8_lossy(&answer).split(' ').nth(1).unwrap().parse().unwrap()
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_bucket_is_a_shared_place() {
    let (project, moto) = (Project::large(SIZE), Moto::start());
    let mirror = format!("file://{}", project.path("mirror/debian").display());
    let (code, _, stderr) = project.run(&["fetch", "--profile", "small", "--debian-mirror", &mirror]);
    assert_eq!(code, 0, "{stderr}");
    project.hello();
    let endpoint = format!("http://{}", moto.host);
    let env = [
        ("AWS_ACCESS_KEY_ID", "me"),
        ("AWS_SECRET_ACCESS_KEY", "hunter2"),
        ("AWS_ENDPOINT_URL", endpoint.as_str()),
        ("AWS_REGION", "us-east-1"),
        ("KILN_LOG", "trace"),
    ];
    let share = |env: &[(&str, &str)], verb: &str| {
        let (code, _, stderr) =
            project.run_with(env, &["store", verb, "s3://bucket/kiln", "--profile", "small"]);
        assert!(!stderr.contains("hunter2"), "{stderr}");
        (code, stderr)
    };
    let copied = format!("3 copied ({} bytes)", SIZE + 14);
    let (code, stderr) = share(&env, "push");
    assert!(code == 0 && stderr.contains(&copied), "{stderr}");
    let (code, stderr) = share(&env, "push");
    assert!(code == 0 && stderr.contains("0 copied (0 bytes), 3 there already"), "{stderr}");

    // Into an empty store, by who and where the files of AWS's tools say.
    let before = project.path("before");
    fs::rename(project.path("store"), &before).unwrap();
    project.write(".aws/credentials", "[ci]\naws_access_key_id = me\naws_secret_access_key = hunter2\n");
    project.write(".aws/config", &format!("[profile ci]\nregion = us-east-1\nendpoint_url = {endpoint}\n"));
    let home = project.path("");
    let files = [("HOME", home.to_str().unwrap()), ("AWS_PROFILE", "ci"), ("KILN_LOG", "trace")];
    let (code, stderr) = share(&files, "pull");
    assert!(code == 0 && stderr.contains(&copied), "{stderr}");
    let (code, _, stderr) = project.run(&["store", "verify"]);
    assert!(code == 0 && stderr.contains("2 files and 1 steps: 0 removed, 0 not recorded"), "{stderr}");
    for name in project.entries() {
        assert_eq!(
            fs::read(before.join(&name)).unwrap(),
            fs::read(project.path("store").join(&name)).unwrap()
        );
    }

    // What somebody else put there.
    fs::remove_dir_all(project.path("store")).unwrap();
    for name in project.entries() {
        assert_eq!(moto.request("PUT", &format!("bucket/kiln/{name}"), b"evil"), 200);
    }
    let (code, stderr) = share(&env, "pull");
    assert!(code == 2 && stderr.contains("3 of the files at s3://bucket/kiln are not what"), "{stderr}");
    project.is_empty();
    // What a person wrote wrong.
    project.write(".aws/credentials", "[hunter2\n");
    let (code, stderr) = share(&files, "pull");
    assert!(code == 1 && stderr.contains(".aws/credentials` cannot be read"), "{stderr}");
}
