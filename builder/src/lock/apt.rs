//! apt on a private root: it verifies an archive's signatures and follows dependencies; nothing is installed.
//!
//! The indexes are downloaded beforehand, so apt itself needs no network and runs in the sandbox like everything else.
//! It knows suites and packages, not the lockfile's text.

use std::path::{Path, PathBuf};

use fs_err as fs;
use percent_encoding::percent_decode_str;
use tempfile::TempDir;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

use crate::deb::deb822::{Paragraph, paragraphs};
use crate::fetch;
use crate::ground::arch::Arch;
use crate::ground::error::{Class, Error, Explain, Result};
use crate::ground::hash::Sha256Hex;
use crate::lockfile::format::{Closure, Source, SourceFile, Suite};
use crate::mirror::Mirrors;
use crate::sandbox::{Sandbox, host};

/// Debian's archive keys, in the tool root and on a Debian host.
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// Where the sandbox shows the work folder.
const INSIDE: &str = "/kiln/lock";

/// Why the archive gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum AptError {
    /// No mirror serves the archive.
    #[error("the suite `{suite}` is in the archive `{archive}`, for which no mirror is configured")]
    NoMirror {
        /// The suite.
        suite: String,
        /// Its archive.
        archive: String,
    },
    /// The indexes are not what the archive signed.
    #[error("the indexes of the suite `{suite}` are not accepted: {cause}")]
    Indexes {
        /// The suite.
        suite: String,
        /// apt's words.
        cause: String,
    },
    /// A request has no answer.
    #[error("`{subject}` does not resolve in the suite `{suite}`: {cause}")]
    Request {
        /// The root or source.
        subject: String,
        /// The suite.
        suite: String,
        /// apt's words.
        cause: String,
    },
    /// apt's output, or an index, is not as expected.
    #[error("apt gave something unexpected: {0}")]
    Output(String),
}

impl Explain for AptError {
    fn class(&self) -> Class {
        match self {
            Self::NoMirror { .. } | Self::Request { .. } => Class::Input,
            Self::Indexes { .. } | Self::Output(_) => Class::Host,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::NoMirror { archive, .. } => {
                Some(format!("set `{archive}` under `[mirror]` in Kiln's configuration file"))
            }
            Self::Indexes { .. } => {
                Some("if the mirror was just being updated, run the same command again; or try `--debian-mirror URL`".to_owned())
            }
            Self::Request { .. } => Some("the request stands in the lockfile, or in images/base/image.toml".to_owned()),
            Self::Output(_) => None,
        }
    }
}

/// A work folder with the indexes of suites, and the apt that reads them.
#[derive(Debug)]
pub(super) struct Work<'a> {
    folder: TempDir,
    tools: Option<&'a Path>,
}

/// A package as apt lists it: everything that the lock holds but its roots.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Listed {
    pub name: String,
    pub version: String,
    pub file: String,
    pub size: u64,
    pub sha256: Sha256Hex,
}

/// A verified suite for one architecture.
#[derive(Debug)]
pub(super) struct Opened<'a> {
    work: &'a Work<'a>,
    suite: String,
    base: String,
    /// apt's private root.
    root: PathBuf,
    /// The archive's own date of it.
    pub date: OffsetDateTime,
}

impl<'a> Work<'a> {
    /// An empty folder. apt is the one in the unpacked tool root, else the host's.
    pub(super) fn new(tools: Option<&'a Path>) -> Result<Self> {
        Ok(Self { folder: tempfile::Builder::new().prefix("kiln-lock-").tempdir()?, tools })
    }

    /// Downloads a suite's indexes, that of source packages too when `sources` is set, and has apt verify them.
    pub(super) fn open(
        &'a self,
        name: &str,
        suite: &Suite,
        arch: Arch,
        sources: bool,
        mirrors: &Mirrors,
    ) -> Result<Opened<'a>> {
        let archive = self.folder.path().join("archive").join(&suite.archive);
        let dist = format!("dists/{name}");
        let packages = format!("main/binary-{arch}/Packages.xz");
        let indexes = ["InRelease", &packages].into_iter().chain(sources.then_some("main/source/Sources.xz"));
        for index in indexes {
            let file = format!("{dist}/{index}");
            let path = archive.join(&file);
            let urls = mirrors.current(&suite.archive, &file);
            if urls.is_empty() {
                let (suite, archive) = (name.to_owned(), suite.archive.clone());
                return Err(AptError::NoMirror { suite, archive }.into());
            }
            path.parent().map_or(Ok(()), fs::create_dir_all)?;
            fetch::unverified(&urls, &path)?;
        }
        let root = PathBuf::from(format!("apt/{name}-{arch}"));
        let base = format!("file:{}/archive/{}", self.seen().display(), suite.archive);
        self.configure(&root, &base, name, arch, sources)?;
        let date = release_date(&fs::read_to_string(archive.join(dist).join("InRelease"))?)?;
        let opened = Opened { work: self, suite: name.to_owned(), base, root, date };
        opened.run("apt-get", &["--error-on=any", "update"]).map_err(|error| {
            Error::from(AptError::Indexes { suite: name.to_owned(), cause: error.to_string() })
        })?;
        Ok(opened)
    }

    /// The folder as apt sees it.
    fn seen(&self) -> &Path {
        if self.tools.is_some() { Path::new(INSIDE) } else { self.folder.path() }
    }

    fn configure(&self, root: &Path, base: &str, suite: &str, arch: Arch, sources: bool) -> Result<()> {
        let folder = self.folder.path().join(root);
        for path in ["state/lists/partial", "cache/archives/partial", "etc/apt.conf.d", "etc/preferences.d"] {
            fs::create_dir_all(folder.join(path))?;
        }
        fs::write(folder.join("status"), "")?;
        let kinds = ["deb"].into_iter().chain(sources.then_some("deb-src"));
        let list: String = kinds
            .map(|kind| {
                format!(
                    "{kind} [signed-by={KEYRING}] {base} {suite} main
"
                )
            })
            .collect();
        fs::write(folder.join("etc/sources.list"), list)?;
        let seen = self.seen().join(root);
        let seen = seen.display();
        let configuration = format!(
            r#"Dir "{seen}";
Dir::Etc "{seen}/etc";
Dir::State "{seen}/state";
Dir::State::status "{seen}/status";
Dir::Cache "{seen}/cache";
APT::Architecture "{arch}";
APT::Architectures {{ "{arch}"; }};
APT::Install-Recommends "false";
APT::Sandbox::User "root";
Acquire::By-Hash "no";
Acquire::ForceHash "SHA256";
Acquire::Languages "none";
"#
        );
        fs::write(folder.join("apt.conf"), configuration)?;
        Ok(())
    }
}

impl Opened<'_> {
    /// The packages of a root, sorted by name.
    pub(super) fn packages(&self, root: &str, request: &[String], closure: Closure) -> Result<Vec<Listed>> {
        let mut args = match closure {
            Closure::None => vec!["download", "--print-uris"],
            Closure::Depends | Closure::System => vec!["install", "--yes", "--print-uris"],
        };
        args.extend(request.iter().map(String::as_str));
        if closure == Closure::System {
            args.extend(["apt", "?essential", "?priority(required)"]);
        }
        let output =
            self.run("apt-get", &args).map_err(|error| self.refused(&format!("root.{root}"), &error))?;
        let text = String::from_utf8_lossy(&output);
        let mut listed = text
            .lines()
            .filter(|line| line.starts_with('\''))
            .map(|line| self.listed(line))
            .collect::<Result<Vec<_>, _>>()?;
        listed.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(listed)
    }

    /// A source package: the one that the suite's binaries are built from.
    pub(super) fn source(&self, name: &str) -> Result<Source> {
        let subject = format!("source.{name}");
        let output = self
            .run("apt-cache", &["showsrc", "--only-source", name])
            .map_err(|error| self.refused(&subject, &error))?;
        let text = String::from_utf8_lossy(&output);
        let mut found: Vec<Paragraph> = paragraphs(&text);
        // Versions that only an older binary still refers to.
        found.retain(|source| source.get("Extra-Source-Only").is_none_or(|value| value != "yes"));
        match found.as_slice() {
            [source] => Ok(source_entry(source, &self.suite)?),
            others => {
                let cause = format!("there are {} source packages of that name", others.len());
                Err(AptError::Request { subject, suite: self.suite.clone(), cause }.into())
            }
        }
    }

    fn refused(&self, subject: &str, error: &Error) -> Error {
        let (subject, suite) = (subject.to_owned(), self.suite.clone());
        AptError::Request { subject, suite, cause: error.to_string() }.into()
    }

    fn run(&self, program: &str, args: &[&str]) -> Result<Vec<u8>> {
        let configuration = self.work.seen().join(&self.root).join("apt.conf");
        match self.work.tools {
            Some(tools) => {
                let sandbox = Sandbox::new(tools)
                    .lend(self.work.folder.path(), INSIDE)
                    .env("APT_CONFIG", configuration.display().to_string());
                Ok(sandbox.run([program].iter().chain(args))?)
            }
            None => Ok(host::apt(program, args, &configuration)?),
        }
    }

    /// A line of `--print-uris`: `'file:/…/pool/main/k/kmod/kmod_34.2-2_amd64.deb' kmod_34.2-2_amd64.deb 60000 SHA256:…`.
    fn listed(&self, line: &str) -> Result<Listed, AptError> {
        let parse = || {
            let (uri, rest) = line.strip_prefix('\'')?.split_once("' ")?;
            let file = decode(uri.strip_prefix(&self.base)?.strip_prefix('/')?)?;
            let mut fields = rest.split_whitespace();
            // The pool's name leaves the version's epoch out, this one has it.
            let full = decode(fields.next()?.strip_suffix(".deb")?)?;
            let size = fields.next()?.parse().ok()?;
            let sha256 = fields.next()?.strip_prefix("SHA256:")?.parse().ok()?;
            let mut parts = full.split('_');
            let (name, version) = (parts.next()?.to_owned(), parts.next()?.to_owned());
            Some(Listed { name, version, file, size, sha256 })
        };
        parse().ok_or_else(|| AptError::Output(line.to_owned()))
    }
}

fn decode(text: &str) -> Option<String> {
    percent_decode_str(text).decode_utf8().ok().map(std::borrow::Cow::into_owned)
}

/// The `Date` of an InRelease file.
fn release_date(text: &str) -> Result<OffsetDateTime, AptError> {
    let release = paragraphs(text).into_iter().find_map(|paragraph| paragraph.get("Date").map(str::to_owned));
    let date = release.ok_or_else(|| AptError::Output("a Release file without a date".to_owned()))?;
    // The archive names the zone `UTC`, which RFC 2822 does not know.
    let numeric = date.replace("UTC", "+0000");
    OffsetDateTime::parse(&numeric, &Rfc2822).map_err(|_| AptError::Output(format!("Date: {date}")))
}

/// A paragraph of a Sources index.
fn source_entry(source: &Paragraph, suite: &str) -> Result<Source, AptError> {
    let field = |name: &str| {
        source.get(name).ok_or_else(|| AptError::Output(format!("a source package without the field {name}")))
    };
    let folder = field("Directory")?;
    let mut files = Vec::new();
    for line in field("Checksums-Sha256")?.lines() {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let entry = match fields.as_slice() {
            [sha256, size, name] => sha256
                .parse()
                .ok()
                .zip(size.parse().ok())
                .map(|(sha256, size)| SourceFile { file: format!("{folder}/{name}"), size, sha256 }),
            _ => None,
        };
        files.push(entry.ok_or_else(|| AptError::Output(line.to_owned()))?);
    }
    files.sort_by(|a, b| a.file.cmp(&b.file));
    Ok(Source { version: field("Version")?.to_owned(), suite: suite.to_owned(), files })
}

#[cfg(test)]
mod tests {
    use super::{Opened, Path, PathBuf, Work, paragraphs, release_date, source_entry};

    #[test]
    fn a_release_is_dated_as_the_archive_writes_it() {
        let text = "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\nOrigin: Debian\nDate: Sat, 12 Sep 2026 07:55:41 UTC\n";
        assert_eq!(release_date(text).unwrap().unix_timestamp(), 1_789_199_741);
        assert_eq!(
            release_date("Date: today\n").unwrap_err().to_string(),
            "apt gave something unexpected: Date: today"
        );
    }

    #[test]
    fn a_listed_package_has_the_epoch_of_its_version_and_a_plain_file_name() {
        let work = Work::new(Some(Path::new("/tools"))).unwrap();
        let base = "file:/kiln/lock/archive/debian".to_owned();
        let date = time::OffsetDateTime::UNIX_EPOCH;
        let opened = Opened { work: &work, suite: "trixie".to_owned(), base, root: PathBuf::new(), date };
        let hash = "0".repeat(64);
        let line = format!(
            "'file:/kiln/lock/archive/debian/pool/main/b/busybox/busybox_1.37.0-6%2bb9_amd64.deb' busybox_1%3a1.37.0-6+b9_amd64.deb 955316 SHA256:{hash}"
        );
        let listed = opened.listed(&line).unwrap();
        assert_eq!((listed.name.as_str(), listed.version.as_str()), ("busybox", "1:1.37.0-6+b9"));
        assert_eq!(listed.file, "pool/main/b/busybox/busybox_1.37.0-6+b9_amd64.deb");
        assert!(opened.listed(&line.replace("SHA256", "MD5Sum")).is_err());
        assert!(opened.listed(&line.replace("/archive/", "/elsewhere/")).is_err());
    }

    #[test]
    fn a_source_has_the_dsc_and_its_files() {
        let hash = "a".repeat(64);
        let text = format!(
            "Package: hello\nVersion: 1:2-3\nDirectory: pool/main/h/hello\nChecksums-Sha256:\n {hash} 20 hello_2.orig.tar.gz\n {hash} 10 hello_2-3.dsc\n"
        );
        let source = source_entry(&paragraphs(&text)[0], "trixie").unwrap();
        assert_eq!(source.version, "1:2-3");
        let files: Vec<&str> = source.files.iter().map(|file| file.file.as_str()).collect();
        assert_eq!(files, ["pool/main/h/hello/hello_2-3.dsc", "pool/main/h/hello/hello_2.orig.tar.gz"]);
        assert!(source_entry(&paragraphs("Package: hello\n")[0], "trixie").is_err());
    }
}
