//! Builders that are killed, and builders that run at the same time, on one store: against a slow server of this host.

#![expect(clippy::disallowed_methods, reason = "two builders at once, and one that is killed")]

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use builder::repro::sha256_hex;
use fs_err as fs;

use super::project::Project;

/// Large enough that a fetch takes a while.
const SIZE: usize = 3 << 20;

/// Sends a file in pieces, from where it is asked to; the paths that were asked for.
fn slow(folder: &Path) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/debian", listener.local_addr().unwrap());
    let asked = Arc::<Mutex<Vec<String>>>::default();
    let (log, folder) = (Arc::clone(&asked), folder.to_owned());
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (stream, log, folder) = (stream.unwrap(), Arc::clone(&log), folder.clone());
            thread::spawn(move || serve(&stream, &log, &folder));
        }
    });
    (url, asked)
}

/// A client that was killed hangs up.
fn serve(mut stream: &TcpStream, log: &Mutex<Vec<String>>, folder: &Path) -> Option<()> {
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    let path = lines.next()?.split(' ').nth(1)?.strip_prefix("/debian/")?.to_owned();
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
        thread::sleep(Duration::from_millis(8));
    }
    Some(())
}

/// A project with one large package.
fn large() -> Project {
    let project = Project::with_content();
    let package: String = "0123456789abcdef".repeat(SIZE / 16);
    let lock = fs::read_to_string(project.path("lockfile.toml")).unwrap();
    let lock = lock.replace(&sha256_hex("p".repeat(30)), &sha256_hex(&package));
    project.write("lockfile.toml", &lock.replace("size = 30", &format!("size = {SIZE}")));
    project.write("mirror/debian/pool/main/k/kmod/kmod_34.2-2_amd64.deb", &package);
    project
}

fn fetch(project: &Project, mirror: &str) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_builder"));
    command.env_clear().current_dir(project.path("")).stderr(Stdio::null()).stdin(Stdio::null());
    command
        .args(["fetch", "--profile", "small", "--store", "store", "--debian-mirror", mirror])
        .spawn()
        .unwrap()
}

fn is_clean_and_full(project: &Project) {
    let (code, _, stderr) = project.run(&["store", "verify"]);
    assert!(code == 0 && stderr.contains("3 files and 0 steps: 0 removed"), "{stderr}");
    let left = fs::read_dir(project.path("store/tmp")).unwrap().count();
    assert_eq!(left, 0, "unfinished files");
}

#[test]
fn a_fetch_that_is_killed_again_and_again_leaves_a_clean_store() {
    let project = large();
    let (mirror, asked) = slow(&project.path("mirror/debian"));
    // At moments from before the first byte to the end, in no order.
    for round in 0_u64..20 {
        let mut child = fetch(&project, &mirror);
        thread::sleep(Duration::from_millis(5 + round * 37 % 400));
        child.kill().unwrap();
        child.wait().unwrap();
        if project.path("store/in-use").exists() {
            let (code, _, stderr) = project.run(&["store", "verify"]);
            assert_eq!(code, 0, "after {round}: {stderr}");
        }
    }
    assert!(fetch(&project, &mirror).wait().unwrap().success());
    is_clean_and_full(&project);
    assert!(asked.lock().unwrap().len() > 2, "every kill came before the first request");
}

#[test]
fn two_builders_at_once_download_everything_once() {
    let project = large();
    let (mirror, asked) = slow(&project.path("mirror/debian"));
    let mut both = [fetch(&project, &mirror), fetch(&project, &mirror)];
    for child in &mut both {
        assert!(child.wait().unwrap().success());
    }
    is_clean_and_full(&project);
    let mut asked = asked.lock().unwrap().clone();
    asked.sort();
    assert_eq!(asked, ["pool/main/h/hello/hello_1.0-1.dsc", "pool/main/k/kmod/kmod_34.2-2_amd64.deb"]);
}
