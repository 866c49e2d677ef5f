//! The formats of finished images, for programs that read no qcow2, or none that is compressed with zstd. The disk in them
//! is the same: its content hash does not change with the format.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::ground::error::{Class, Explain};

/// The format of an image file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// QEMU's copy-on-write format, version 3.
    #[default]
    Qcow2,
    /// The bytes of the disk, in a file with holes.
    Raw,
    /// VMware's, stream-optimized, as OVF packages hold it.
    Vmdk,
    /// Hyper-V's, dynamic.
    Vhdx,
}

/// How a qcow2 image is compressed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// By zstd, which QEMU reads since 5.1.
    #[default]
    Zstd,
    /// By zlib, which every reader of qcow2 knows.
    Zlib,
    /// Not at all.
    None,
}

/// A format with its compression.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Encoding {
    format: Format,
    compression: Compression,
}

impl Encoding {
    /// The bytes of the disk.
    pub(super) const RAW: Self = Self { format: Format::Raw, compression: Compression::None };

    /// # Errors
    /// [`NoCompression`] when the format has none to choose.
    pub fn new(format: Format, compression: Option<Compression>) -> Result<Self, NoCompression> {
        match compression {
            Some(_) if format != Format::Qcow2 => Err(NoCompression(format)),
            compression => Ok(Self { format, compression: compression.unwrap_or_default() }),
        }
    }

    /// The format.
    #[must_use]
    pub fn format(self) -> Format {
        self.format
    }

    /// The compression, where the format has a choice.
    #[must_use]
    pub fn compression(self) -> Option<Compression> {
        (self.format == Format::Qcow2).then_some(self.compression)
    }

    /// The arguments of `qemu-img convert`.
    pub(super) fn arguments(self) -> &'static [&'static str] {
        match (self.format, self.compression) {
            (Format::Qcow2, Compression::Zstd) => &["-c", "-O", "qcow2", "-o", "compression_type=zstd"],
            (Format::Qcow2, Compression::Zlib) => &["-c", "-O", "qcow2", "-o", "compression_type=zlib"],
            (Format::Qcow2, Compression::None) => &["-O", "qcow2"],
            (Format::Raw, _) => &["-O", "raw"],
            (Format::Vmdk, _) => &["-O", "vmdk", "-o", "subformat=streamOptimized"],
            (Format::Vhdx, _) => &["-O", "vhdx", "-o", "subformat=dynamic"],
        }
    }
}

impl fmt::Display for Format {
    /// As file names end.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Qcow2 => "qcow2",
            Self::Raw => "raw",
            Self::Vmdk => "vmdk",
            Self::Vhdx => "vhdx",
        })
    }
}

/// A format whose compression cannot be chosen.
#[derive(Debug, thiserror::Error)]
#[error("`--compression` is for qcow2 images, and these become {0}")]
pub struct NoCompression(Format);

impl Explain for NoCompression {
    fn class(&self) -> Class {
        Class::Input
    }

    fn hint(&self) -> Option<String> {
        Some("leave out `--compression`, or `--format`".to_owned())
    }
}
