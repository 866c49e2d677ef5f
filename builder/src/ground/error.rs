//! What every failure of Kiln tells its user: a fact, whose fault it is, and a hint that works when pasted.
//!
//! Each stage has an error enum of its own that implements [`Explain`]; [`Error`] carries any of them to `main`.

use std::fmt;
use std::path::PathBuf;

/// Whose doing a failure is; it decides the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// The caller's input: a profile, a lockfile, an argument. Exit code 1.
    Input,
    /// Ours, or the host's. Exit code 2.
    Host,
}

/// A failure that can say whose doing it is and what to run next.
pub trait Explain: std::error::Error + Send + Sync + 'static {
    /// Whose doing it is.
    fn class(&self) -> Class;

    /// What to do about it: one line without the word `hint`.
    fn hint(&self) -> Option<String> {
        None
    }
}

/// Any failure of Kiln, as `run` returns it.
#[derive(Debug)]
pub struct Error(Box<dyn Explain>);

/// A result of Kiln.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// The process's exit code: 1 for the caller's input, 2 for ours or the host's.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self.0.class() {
            Class::Input => 1,
            Class::Host => 2,
        }
    }

    /// The fact with its causes, without the hint.
    pub(crate) fn fact(&self) -> String {
        let causes = std::iter::successors(self.0.source(), |cause| cause.source());
        causes.fold(self.0.to_string(), |text, cause| format!("{text}: {cause}"))
    }
}

impl<E: Explain> From<E> for Error {
    fn from(error: E) -> Self {
        Self(Box::new(error))
    }
}

impl fmt::Display for Error {
    /// The fact with its causes, a blank line and the hint.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.fact())?;
        match self.0.hint() {
            Some(hint) => write!(f, "\n\nhint: {hint}"),
            None => Ok(()),
        }
    }
}

/// A file of the host could not be read or written.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct HostIo(#[from] pub std::io::Error);

impl Explain for HostIo {
    fn class(&self) -> Class {
        Class::Host
    }
}

impl From<std::io::Error> for Error {
    /// `fs_err` puts the path into the message.
    fn from(error: std::io::Error) -> Self {
        HostIo(error).into()
    }
}

/// An input file is missing or wrong.
#[derive(Debug, thiserror::Error)]
pub enum InputError {
    /// The file is not there.
    #[error("there is no {what} `{}`", path.display())]
    Missing {
        /// What kind of file it is.
        what: &'static str,
        /// Where it was looked for.
        path: PathBuf,
        /// What there is instead.
        hint: String,
    },
    /// The text is not what it should be.
    #[error("{}:{line}: {message}", path.display())]
    Wrong {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// The fact, with the key.
        message: String,
        /// How to mend it.
        hint: Option<String>,
    },
    /// The file is there, but cannot be read, or is not text.
    #[error(transparent)]
    Unreadable(std::io::Error),
}

impl Explain for InputError {
    fn class(&self) -> Class {
        Class::Input
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Missing { hint, .. } => Some(hint.clone()),
            Self::Wrong { hint, .. } => hint.clone(),
            Self::Unreadable(_) => None,
        }
    }
}
