//! Checkpoints of [C2SP tlog-checkpoint](https://c2sp.org/tlog-checkpoint): a log's name, size and root.
//!
//! In scope: the text. Out of scope: signatures (module [`note`](crate::note)) and whether a checkpoint is believed.

use std::fmt;

use thiserror::Error;

use crate::{
    decimal,
    hash::{Hash, HashError},
};

/// The head of a log at one size.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Checkpoint {
    origin: String,
    size: u64,
    root: Hash,
    extensions: Vec<String>,
}

impl Checkpoint {
    /// A checkpoint without extension lines, which the specification does not recommend.
    pub fn new(origin: impl Into<String>, size: u64, root: Hash) -> Result<Self, CheckpointError> {
        let origin = origin.into();
        check_origin(&origin)?;
        Ok(Self { origin, size, root, extensions: Vec::new() })
    }

    /// The same with extension lines, each not empty and without a newline.
    pub fn with_extensions(self, extensions: Vec<String>) -> Result<Self, CheckpointError> {
        extensions.iter().try_for_each(|line| check_extension(line))?;
        Ok(Self { extensions, ..self })
    }

    /// Parses the text of a note. Inverse of [`Checkpoint::body`].
    pub fn parse(text: &str) -> Result<Self, CheckpointError> {
        let body = text.strip_suffix('\n').ok_or(CheckpointError::Unterminated)?;
        let mut lines = body.split('\n');
        let (Some(origin), Some(size), Some(root)) = (lines.next(), lines.next(), lines.next()) else {
            return Err(CheckpointError::TooShort);
        };
        let size = decimal::parse(size).ok_or(CheckpointError::Size)?;
        let extensions = lines.map(ToOwned::to_owned).collect();
        Self::new(origin, size, Hash::parse_base64(root)?)?.with_extensions(extensions)
    }

    /// The log's unique name.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Leaves in the tree.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Root of the tree.
    pub const fn root(&self) -> &Hash {
        &self.root
    }

    /// Lines after the root, opaque here.
    pub fn extensions(&self) -> &[String] {
        &self.extensions
    }

    /// The text that is signed. Inverse of [`Checkpoint::parse`].
    pub fn body(&self) -> String {
        self.to_string()
    }
}

impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n{}\n{}", self.origin, self.size, self.root)?;
        self.extensions.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

/// Why a text is not a checkpoint.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum CheckpointError {
    /// An extension line is empty or has a control character.
    #[error("checkpoint extension line is empty or has a control character")]
    Extension,
    /// The origin is empty or has a control character.
    #[error("checkpoint origin is empty or has a control character")]
    Origin,
    /// The root is not a hash.
    #[error("checkpoint root: {0}")]
    Root(#[from] HashError),
    /// The size is not a canonical decimal of 64 bits.
    #[error("checkpoint size is not a decimal without leading zeros")]
    Size,
    /// Fewer than three lines.
    #[error("checkpoint has fewer than 3 lines")]
    TooShort,
    /// The last line has no newline.
    #[error("checkpoint does not end in a newline")]
    Unterminated,
}

fn check_origin(origin: &str) -> Result<(), CheckpointError> {
    if is_line(origin) { Ok(()) } else { Err(CheckpointError::Origin) }
}

fn check_extension(line: &str) -> Result<(), CheckpointError> {
    if is_line(line) { Ok(()) } else { Err(CheckpointError::Extension) }
}

/// What a note allows in one line.
fn is_line(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c >= ' ')
}
