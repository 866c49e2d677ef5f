//! A Go program of a user's own, from its go.mod to its bytes: modules of a proxy of this test, the lock's go command and
//! Go, a compile without a network. And everything that a proxy may do wrong, named, with nothing of it in the store.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use crate::support::{self, BUILDER, fresh, project};
use builder::stage::source;
use builder::store::Store;
use fs_err as fs;
use toml_edit::{DocumentMut, Item, Table, value};
use walkdir::WalkDir;

/// The module that the program is made of.
const MODULE: &str = "greet.example/greet";

/// A project with one build: a program of its own that prints what a module and the linker say.
struct Project {
    folder: PathBuf,
}

/// What a command said, with its exit code.
struct Said {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Project {
    fn new(name: &str) -> Self {
        let folder = fresh(name);
        let recipe = folder.join("recipes/greeter");
        fs::create_dir_all(&recipe).unwrap();
        fs::create_dir(folder.join("profiles")).unwrap();
        std::os::unix::fs::symlink(project().join("images"), folder.join("images")).unwrap();
        fs::write(
            recipe.join("main.go"),
            "package main\n\nimport (\n\t\"fmt\"\n\n\t\"greet.example/greet\"\n)\n\nvar version string\n\n\
             func main() { fmt.Println(greet.Greeting, version) }\n",
        )
        .unwrap();
        fs::write(
            recipe.join("go.mod"),
            format!("module kiln.local/greeter\n\ngo 1.26\n\nrequire {MODULE} v1.2.0\n"),
        )
        .unwrap();
        let project = Self { folder };
        project.pack("Hello");
        fs::write(project.folder.join("lockfile.toml"), lockfile()).unwrap();
        project
    }

    fn recipe(&self, file: &str) -> PathBuf {
        self.folder.join("recipes/greeter").join(file)
    }

    fn proxy(&self, file: &str) -> PathBuf {
        self.folder.join("proxy").join(MODULE).join("@v").join(file)
    }

    /// Puts the module into the folder of the proxy, and its hashes into go.sum.
    fn pack(&self, greeting: &str) {
        let at = |file: &str| self.proxy(file);
        fs::create_dir_all(at("list").parent().unwrap()).unwrap();
        let go_mod = format!("module {MODULE}\n\ngo 1.26\n");
        fs::write(at("list"), "v1.2.0\n").unwrap();
        fs::write(at("v1.2.0.info"), r#"{"Version":"v1.2.0","Time":"2026-01-02T03:04:05Z"}"#).unwrap();
        fs::write(at("v1.2.0.mod"), &go_mod).unwrap();
        let code = format!("package greet\n\nconst Greeting = {greeting:?}\n");
        let mut zip = zip::ZipWriter::new(std::fs::File::create(at("v1.2.0.zip")).unwrap());
        for (name, text) in [("go.mod", &go_mod), ("greet.go", &code)] {
            let options = zip::write::SimpleFileOptions::default();
            zip.start_file(format!("{MODULE}@v1.2.0/{name}"), options).unwrap();
            zip.write_all(text.as_bytes()).unwrap();
        }
        zip.finish().unwrap();
        let sum = |files: &[(String, &String)]| {
            let lines = files
                .iter()
                .map(|(name, text)| format!("{}  {name}\n", builder::ground::repro::sha256_hex(text)));
            let digest = hex::decode(builder::ground::repro::sha256_hex(lines.collect::<String>())).unwrap();
            builder::lockfile::format::ModuleSum::of(&digest.try_into().unwrap())
        };
        let prefix = format!("{MODULE}@v1.2.0");
        let content = sum(&[(format!("{prefix}/go.mod"), &go_mod), (format!("{prefix}/greet.go"), &code)]);
        let own = sum(&[("go.mod".to_owned(), &go_mod)]);
        fs::write(
            self.recipe("go.sum"),
            format!("{MODULE} v1.2.0 {content}\n{MODULE} v1.2.0/go.mod {own}\n"),
        )
        .unwrap();
    }

    /// The environment of a person with a proxy.
    fn variables(&self, proxy: &str) -> [(&'static str, OsString); 4] {
        [
            ("HOME", self.folder.clone().into()),
            ("GOPROXY", proxy.into()),
            ("GONOSUMDB", "greet.example".into()),
            ("KILN_STORE", support::store().into()),
        ]
    }

    /// A command with a proxy.
    #[expect(clippy::disallowed_methods, reason = "the program under test")]
    fn command(&self, proxy: &str, args: &[&str]) -> std::process::Command {
        let mut command = std::process::Command::new(BUILDER);
        command.current_dir(&self.folder).args(args).envs(self.variables(proxy));
        command
    }

    /// Runs a command with a proxy.
    fn run(&self, proxy: &str, args: &[&str]) -> Said {
        let output = self.command(proxy, args).output().unwrap();
        let told = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Said { code: output.status.code(), stdout: told(&output.stdout), stderr: told(&output.stderr) }
    }

    /// The same with the folder as the proxy.
    fn good(&self, args: &[&str]) -> String {
        let said = self.run(&format!("file://{}", self.folder.join("proxy").display()), args);
        assert_eq!(said.code, Some(0), "{}", said.stderr);
        said.stdout
    }

    /// The names of the store's entries that are of this project's module or program.
    fn kept(&self) -> Vec<String> {
        let steps = fs::read_dir(support::store().join("steps")).unwrap().map(|entry| entry.unwrap().path());
        let ours = steps.filter(|path| {
            let go_mod = fs::read_to_string(path.join("go.mod")).unwrap_or_default();
            go_mod.contains(MODULE) || path.join("greeter").exists()
        });
        ours.map(|path| path.file_name().unwrap().to_string_lossy().into_owned()).collect()
    }

    fn forget(&self) {
        for step in self.kept() {
            fs::remove_dir_all(support::store().join("steps").join(step)).unwrap();
        }
    }
}

/// The project's lockfile with one build in the place of all, and no release that needs another.
fn lockfile() -> String {
    let mut lock: DocumentMut = fs::read_to_string(project().join("lockfile.toml")).unwrap().parse().unwrap();
    let lines = lock["go"]["modules"].as_array_mut().unwrap();
    let go = |line: &toml_edit::Value| {
        line.as_inline_table().is_some_and(|line| line["path"].as_str() == Some("golang.org/toolchain"))
    };
    let mut kept = lines.iter().find(|line| go(line)).unwrap().clone();
    kept.as_inline_table_mut().unwrap().insert("builds", toml_edit::Array::from_iter(["greeter"]).into());
    let toolchain = lock["build"]["pause"]["go"]["toolchain"].clone();
    lines_of(&mut lock, kept);
    let releases: Vec<String> =
        lock["release"].as_table().unwrap().iter().map(|(name, _)| name.to_owned()).collect();
    for name in releases.iter().filter(|name| *name != "debian") {
        lock["release"].as_table_mut().unwrap().remove(name);
    }
    lock["default-release"] = value("debian");
    let builds: Vec<String> =
        lock["build"].as_table().unwrap().iter().map(|(name, _)| name.to_owned()).collect();
    for name in builds.iter().filter(|name| *name != "kubernetes") {
        lock["build"].as_table_mut().unwrap().remove(name);
    }
    let mut go = Table::new();
    go["toolchain"] = toolchain;
    go["module"] = value(MODULE);
    go["programs"]["greeter"] = value(".");
    go["variables"]["main.version"] = value("{number} of {date}");
    let mut build = Table::new();
    build["recipe"] = value("greeter");
    build["root"] = value("golang");
    build["go"] = Item::Table(go);
    lock["build"]["greeter"] = Item::Table(build);
    lock.to_string()
}

fn lines_of(lock: &mut DocumentMut, line: toml_edit::Value) {
    let lines = lock["go"]["modules"].as_array_mut().unwrap();
    lines.clear();
    lines.push_formatted(line);
}

/// A web server on this machine that answers everything in one way.
fn answer(status: &'static str, body: &'static [u8]) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let asked = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&asked);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let _ = reply(stream.unwrap(), status, body, &log);
        }
    });
    (url, asked)
}

fn reply(mut stream: TcpStream, status: &str, body: &[u8], log: &Mutex<Vec<String>>) -> std::io::Result<()> {
    let mut request = vec![0; 4096];
    let read = stream.read(&mut request)?;
    let line = String::from_utf8_lossy(&request[..read]).lines().next().unwrap_or_default().to_owned();
    log.lock().unwrap().push(line);
    write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len())?;
    stream.write_all(body)
}

/// One test, so that nothing else of this file's is in the store meanwhile.
#[test]
#[expect(clippy::disallowed_methods, reason = "the program that was compiled")]
fn a_program_of_ones_own_is_fetched_pinned_compiled_and_every_fault_of_a_proxy_named() {
    let ours = Project::new("go");
    ours.forget();

    // From its go.mod to its bytes.
    let changes = ours.good(&["lock", "update", "greeter"]);
    assert!(changes.contains(&format!("module {MODULE}@v1.2.0: h1:")), "{changes}");
    let lock = fs::read_to_string(ours.folder.join("lockfile.toml")).unwrap();
    assert!(
        lock.contains("released = \"2026-01-02T03:04:05Z\"") && lock.contains("version = \"v1.2.0\""),
        "{lock}"
    );
    let said = ours.good(&["lock", "compile", "greeter"]);
    let hash = said.strip_prefix("sha256:").and_then(|rest| rest.split_once("  ")).unwrap().0.to_owned();
    let step = ours.kept().into_iter().find(|step| step.starts_with("source-")).unwrap();
    let program = support::store().join("steps").join(step).join("greeter");
    let output = std::process::Command::new(&program).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "Hello 1.2.0 of 2026-01-02T03:04:05Z\n");
    assert!(ours.good(&["lock", "update", "greeter"]).is_empty(), "a second update changes nothing");

    // Compiled anew from another folder and another proxy's zip, it has the same bytes.
    ours.forget();
    let other = Project::new("go elsewhere");
    fs::copy(ours.folder.join("lockfile.toml"), other.folder.join("lockfile.toml")).unwrap();
    assert!(other.good(&["lock", "compile", "greeter"]).contains(&hash));

    // What is wrong at a proxy, one after the other.
    let wrong = |proxy: &str, parts: &[&str]| {
        ours.forget();
        let said = ours.run(proxy, &["lock", "compile", "greeter"]);
        for part in parts {
            assert!(said.stderr.contains(part), "no `{part}` in:\n{}", said.stderr);
        }
        assert_eq!(said.code, Some(2), "{}", said.stderr);
        assert!(said.stdout.is_empty(), "{}", said.stdout);
        assert_eq!(ours.kept(), Vec::<String>::new(), "{proxy}");
    };
    let name = format!("{MODULE}@v1.2.0");
    for (status, hint) in [
        ("403 Forbidden", "hint: name another proxy with GOPROXY"),
        ("404 Not Found", "hint: name a proxy that has it"),
        ("410 Gone", "hint: name a proxy that has it"),
        ("500 Internal Server Error", "hint: run the same command again"),
    ] {
        let (url, asked) = answer(status, b"");
        wrong(&url, &["fetching the Go modules of `greeter`", &name, &url, status, hint]);
        assert!(!asked.lock().unwrap().is_empty());
    }
    let (url, _) = answer("200 OK", b"rubbish");
    wrong(&url, &["fetching the Go modules of `greeter`", &name, "hint: "]);
    wrong("http://127.0.0.1:9", &[&name, "connection refused", "hint: run the same command again"]);
    wrong("off", &[&name, "GOPROXY=off", "hint: "]);
    if support::long() {
        // It takes the connection, and then nothing comes.
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", silent.local_addr().unwrap());
        wrong(&url, &[&name, "nothing came for 120 s", "hint: run the same command again"]);
    }

    // Another content under the same version.
    let folder = format!("file://{}", ours.folder.join("proxy").display());
    let sums = fs::read(ours.recipe("go.sum")).unwrap();
    ours.pack("Goodbye");
    fs::write(ours.recipe("go.sum"), &sums).unwrap();
    wrong(&folder, &[&name, "checksum mismatch", "hint: nothing of it entered the store"]);
    ours.pack("Hello");

    // A recipe that is not the lock's.
    let refused = |parts: &[&str]| {
        let said = ours.run(&folder, &["lock", "compile", "greeter"]);
        assert_eq!(said.code, Some(1), "{}", said.stderr);
        parts.iter().for_each(|part| assert!(said.stderr.contains(part), "no `{part}` in:\n{}", said.stderr));
    };
    let digits = String::from_utf8(sums.clone()).unwrap().replace("h1:", "h1:A");
    fs::write(ours.recipe("go.sum"), digits).unwrap();
    refused(&[
        "recipes/greeter/go.sum",
        "is not the file that the lockfile was made of",
        "builder lock update greeter",
    ]);
    let said = ours.run(&folder, &["lock", "check"]);
    assert!(
        said.code == Some(1) && said.stderr.contains("recipes/greeter/go.mod or go.sum was changed"),
        "{}",
        said.stderr
    );
    fs::write(ours.recipe("go.sum"), &sums).unwrap();
    let go_mod = fs::read_to_string(ours.recipe("go.mod")).unwrap();
    fs::write(ours.recipe("go.mod"), go_mod.replace("v1.2.0", "v9.9.9")).unwrap();
    let said = ours.run(&folder, &["lock", "update", "greeter"]);
    assert_eq!(said.code, Some(1), "{}", said.stderr);
    assert!(said.stderr.contains("v9.9.9") && said.stderr.contains("go mod tidy"), "{}", said.stderr);
    fs::write(ours.recipe("go.mod"), go_mod).unwrap();

    // And then everything is right again, whatever ends a compile.
    kill_a_compile(&ours);
    fill_the_disk(&ours);
    assert!(ours.good(&["lock", "compile", "greeter"]).contains(&hash));
    ours.forget();
}

/// Go's build cache.
fn cache() -> PathBuf {
    support::store().join("scratch/go-build")
}

/// What the compiler has put into Go's build cache, by name, with when.
fn compiled() -> BTreeMap<PathBuf, SystemTime> {
    let files = WalkDir::new(cache())
        .into_iter()
        .flatten()
        .filter(|entry| entry.file_type().is_file() && entry.file_name().to_string_lossy().ends_with("-d"));
    files.map(|entry| (entry.path().to_owned(), entry.metadata().unwrap().modified().unwrap())).collect()
}

/// A compile is killed in the middle: nothing half is in the store, and what was compiled stays for the next one.
fn kill_a_compile(ours: &Project) {
    ours.forget();
    let store = Store::open(&support::store()).unwrap();
    source::go::clean(&store).unwrap();
    // As long as somebody uses the cache it stays, so that it can be looked at afterwards.
    let _used = store.share("go-build").unwrap();
    let proxy = format!("file://{}", ours.folder.join("proxy").display());
    let mut command = ours.command(&proxy, &["lock", "compile", "greeter"]);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let before = loop {
        let before = compiled();
        if before.len() > 20 {
            break before;
        }
        assert!(child.try_wait().unwrap().is_none(), "it was through before it could be killed");
        std::thread::sleep(Duration::from_millis(20));
    };
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(ours.kept().iter().all(|step| !step.starts_with("source-")), "{:?}", ours.kept());
    ours.good(&["lock", "compile", "greeter"]);
    let after = compiled();
    let kept = before.iter().filter(|(path, when)| after.get(*path) == Some(*when)).count();
    // One may have been half written.
    assert!(kept + 2 >= before.len() && after.len() > kept, "{kept} of {} were kept", before.len());
}

/// Nothing is left of a compile that the disk has no room for, and the error names the cause.
#[expect(clippy::disallowed_methods, reason = "the program under test")]
fn fill_the_disk(ours: &Project) {
    // Its modules stay.
    for step in ours.kept().iter().filter(|step| step.starts_with("source-")) {
        fs::remove_dir_all(support::store().join("steps").join(step)).unwrap();
    }
    source::go::clean(&Store::open(&support::store()).unwrap()).unwrap();
    // Where steps are made. Go itself makes do without room for its cache.
    let work = support::store().join("tmp");
    let proxy = format!("file://{}", ours.folder.join("proxy").display());
    let small = "mount -t tmpfs -o size=4m tmpfs \"$0\" && exec \"$@\"";
    let mut command = std::process::Command::new("unshare");
    command.args(["--mount", "sh", "-c", small]).arg(work).arg(BUILDER);
    command.args(["lock", "compile", "greeter"]).current_dir(&ours.folder).envs(ours.variables(&proxy));
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    let parts = ["no room on the file system of", "no space left on device", " store gc` removes"];
    assert!(parts.iter().all(|part| said.contains(part)), "{said}");
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(ours.kept().iter().all(|step| !step.starts_with("source-")), "{:?}", ours.kept());
}
