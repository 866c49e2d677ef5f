//! A client of QEMU's control socket: one JSON object a line ("QEMU Machine Protocol Specification" in QEMU's
//! documentation). It knows no commands.

use std::io::{self, BufRead, BufReader, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use fs_err as fs;
use serde_json::{Value, json};
use socket2::{Domain, SockAddr, Socket, Type};

/// How long a program may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Connects to the socket `name` in a folder, through the open folder: the path of a socket may have 107 bytes, the
/// folder's may be longer. Connecting, each read and each write take at most [`PATIENCE`].
pub(super) fn connect(folder: &Path, name: &str) -> io::Result<UnixStream> {
    let folder = fs::File::open(folder)?;
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    // Set before: the time to write is also the time to wait for room in the listener's queue (unix(7), socket(7)).
    socket.set_write_timeout(Some(PATIENCE))?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.connect(&SockAddr::unix(format!("/proc/self/fd/{}/{name}", folder.file().as_raw_fd()))?)?;
    Ok(OwnedFd::from(socket).into())
}

/// A connection that has been negotiated.
#[derive(Debug)]
pub(super) struct Qmp(BufReader<UnixStream>);

impl Qmp {
    /// Connects to the socket `name` in a folder.
    pub(super) fn connect(folder: &Path, name: &str) -> io::Result<Self> {
        let mut qmp = Self(BufReader::new(connect(folder, name)?));
        qmp.read()?;
        qmp.run("qmp_capabilities")?;
        Ok(qmp)
    }

    /// Runs a command without arguments and returns its answer.
    pub(super) fn run(&mut self, command: &str) -> io::Result<Value> {
        let line = json!({ "execute": command }).to_string() + "\n";
        self.0.get_mut().write_all(line.as_bytes())?;
        loop {
            let mut answer = self.read()?;
            if let Some(value) = answer.get_mut("return") {
                return Ok(value.take());
            }
            if let Some(error) = answer.get("error") {
                return Err(io::Error::other(format!("QEMU refused `{command}`: {error}")));
            }
            // Anything else is an event.
        }
    }

    fn read(&mut self) -> io::Result<Value> {
        let mut line = String::new();
        if self.0.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        serde_json::from_str(&line).map_err(io::Error::other)
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, ErrorKind, Write};
    use std::os::unix::net::UnixListener;

    use socket2::{Domain, SockAddr, Socket, Type};

    use super::{Qmp, connect};

    #[test]
    fn events_are_skipped_and_refusals_named() {
        let folder = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(folder.path().join("qmp.sock")).unwrap();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
            stream.write_all(b"{\"QMP\":{}}\n").unwrap();
            for answer in [
                "{\"return\":{}}\n",
                "{\"event\":\"RESUME\"}\n{\"return\":{\"status\":\"running\"}}\n",
                "{\"error\":{\"desc\":\"no\"}}\n",
            ] {
                lines.next().unwrap().unwrap();
                stream.write_all(answer.as_bytes()).unwrap();
            }
        });
        let mut qmp = Qmp::connect(folder.path(), "qmp.sock").unwrap();
        assert_eq!(qmp.run("query-status").unwrap()["status"], "running");
        let refusal = qmp.run("quit").unwrap_err().to_string();
        assert_eq!(refusal, r#"QEMU refused `quit`: {"desc":"no"}"#);
        server.join().unwrap();
    }

    #[test]
    fn a_program_that_takes_no_connection_is_given_up() {
        let folder = tempfile::tempdir().unwrap();
        let listener = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
        listener.bind(&SockAddr::unix(folder.path().join("qmp.sock")).unwrap()).unwrap();
        listener.listen(0).unwrap();
        let _waiting = connect(folder.path(), "qmp.sock").unwrap();
        let error = connect(folder.path(), "qmp.sock").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::WouldBlock);
    }
}
