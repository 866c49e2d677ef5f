//! Why no bundle was written.

use std::path::PathBuf;

use crate::ground::error::{Class, Explain};

/// Why there is no bundle.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// A component's files would not be found on another machine.
    #[error("the component `{component}` has files at `{path}`, outside of the lockfile's folder")]
    Outside {
        /// The component.
        component: String,
        /// What the lock says.
        path: String,
    },
    /// What a link leads to would not be found on another machine.
    #[error("`{}` is a link to `{}`, which is not in the bundle", path.display(), target.display())]
    Link {
        /// The link.
        path: PathBuf,
        /// Where it leads.
        target: PathBuf,
    },
    /// A name that a tar archive of Kiln's cannot hold.
    #[error("the name `{}` is not UTF-8", path.display())]
    Name {
        /// The file.
        path: PathBuf,
    },
}

impl Explain for BundleError {
    fn class(&self) -> Class {
        Class::Input
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Outside { .. } => {
                Some("copy the files into the lockfile's folder and correct `path`".to_owned())
            }
            Self::Link { .. } => {
                Some("put what it leads to in its place, or link below the project's own folders".to_owned())
            }
            Self::Name { .. } => None,
        }
    }
}
