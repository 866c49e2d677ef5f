//! A machine without QEMU.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixListener;
use std::path::Path;

use fs_err as fs;

use crate::driver::qemu::places::QMP_SOCKET;
use crate::driver::qemu::process::{self, Control, Process};

/// A machine without QEMU: its log, held as long as it runs, and a control socket that tells one status.
pub(super) struct Machine {
    folder: tempfile::TempDir,
    _log: Option<fs::File>,
}

impl Machine {
    /// One that runs, and whose QEMU said something.
    pub(super) fn running(status: &'static str, said: &str) -> Self {
        let mut machine = Self::ended(said);
        let log = fs::File::open(machine.folder().join(process::LOG)).unwrap();
        log.lock().unwrap();
        machine._log = Some(log);
        let listener = UnixListener::bind(machine.folder().join(QMP_SOCKET)).unwrap();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let commands = BufReader::new(stream.try_clone().unwrap()).lines();
                stream.write_all(b"{\"QMP\":{}}\n").unwrap();
                // The answer to `qmp_capabilities` is not read.
                for _ in commands.map_while(Result::ok) {
                    writeln!(stream, "{{\"return\":{{\"status\":\"{status}\"}}}}").unwrap();
                }
            }
        });
        machine
    }

    /// One whose QEMU has ended.
    pub(super) fn ended(said: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(process::LOG), said).unwrap();
        Self { folder, _log: None }
    }

    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(super) fn process(&self) -> Process {
        Process { name: "server".to_owned(), folder: self.folder().to_owned(), control: Control::Qmp }
    }
}
