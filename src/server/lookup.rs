// SPDX-License-Identifier: GPL-2.0

//! From a path below the document root to what is there.

use super::config::DocumentRoot;
use super::job::Task;
use crate::http::target;
use crate::linux::context::MaySleep;
use crate::linux::file::File;
use crate::linux::path::{
    Attributes,
    Kind,
    Lookup,
    Path,
    Root, //
};
use kernel::prelude::*;
use kernel::str::CStr;
use kernel::sync::Arc;

/// What is served for a directory.
pub(super) const INDEX: &[u8] = b"index.html";

/// Octets that a buffer for names needs beyond the longest name: a slash, the index, and NUL.
pub(super) const BEYOND: usize = 1 + INDEX.len() + 1;

/// Permission bits of which a file must have one to be served: others may read it.
const MODE_ALLOWED: u16 = 0o004;

/// What a path leads to.
pub(super) enum Resolution {
    /// A file that may be served.
    File(Document),
    /// A directory, whose path was written as that of a file.
    Directory,
    /// Nothing.
    NotFound,
    /// Something that must not be served.
    Forbidden,
    /// Something that can't be opened now, but may be later.
    Busy,
    /// The file system has failed.
    Failed,
}

/// An open file and its attributes.
pub(super) struct Document {
    /// The file.
    pub(super) file: Arc<File>,
    /// What was true of it when it was opened.
    pub(super) attributes: Attributes,
    /// Whether [`File::resident`] is right for it.
    pub(super) is_local: bool,
}

/// Looks a name up and opens the file, however long that takes.
pub(super) struct Open {
    root: Arc<DocumentRoot>,
    /// The name, decoded and normalized.
    name: KVVec<u8>,
    /// Whether the name is of a directory.
    is_directory: bool,
}

impl Open {
    /// To look `path` up below `root`.
    pub(super) fn new(root: &Arc<DocumentRoot>, path: &target::Path<'_>) -> Result<Self> {
        let mut name = KVVec::from_elem(0, path.name.len(), GFP_KERNEL)?;
        for (to, from) in name.iter_mut().zip(path.name) {
            *to = *from;
        }
        Ok(Self {
            root: root.clone(),
            name,
            is_directory: path.is_directory,
        })
    }
}

impl Task for Open {
    type Output = Resolution;

    fn run(self, may_sleep: &MaySleep) -> Resolution {
        let path = target::Path {
            name: &self.name,
            is_directory: self.is_directory,
        };
        let len = path.name.len().saturating_add(BEYOND);
        let Ok(mut buffer) = KVVec::from_elem(0, len, GFP_KERNEL) else {
            return Resolution::Busy;
        };
        let root = self.root.root();
        let resolution = resolve(root, &path, Lookup::MayBlock, &mut buffer, may_sleep);
        resolution.unwrap_or(Resolution::Busy)
    }
}

/// Looks `path` up, with the credentials of the caller. For a directory that is written as one, its
/// index is looked up. `buffer` has [`BEYOND`] octets more than the name.
///
/// `None` means that this can't be told without waiting, if `mode` is [`Lookup::Cached`].
pub(super) fn resolve(
    root: &Root,
    path: &target::Path<'_>,
    mode: Lookup,
    buffer: &mut [u8],
    may_sleep: &MaySleep,
) -> Option<Resolution> {
    let result = if path.is_directory {
        index(root, path.name, mode, buffer, may_sleep)
    } else {
        one(root, path.name, mode, buffer, may_sleep)
    };
    match result {
        Ok(resolution) => resolution,
        Err(error) => Some(refusal(error)),
    }
}

/// What an error of a lookup means for the client.
fn refusal(error: Error) -> Resolution {
    if error == ENOENT || error == ENOTDIR || error == ENAMETOOLONG || error == ELOOP {
        Resolution::NotFound
    } else if error == EACCES || error == EPERM {
        Resolution::Forbidden
    } else if [ENOMEM, EAGAIN, EBUSY, ENFILE, EMFILE].contains(&error) {
        Resolution::Busy
    } else {
        Resolution::Failed
    }
}

/// Looks up `name` as it is.
fn one(
    root: &Root,
    name: &[u8],
    mode: Lookup,
    buffer: &mut [u8],
    may_sleep: &MaySleep,
) -> Result<Option<Resolution>> {
    let Some(found) = find(root, &[name, b"\0"], mode, buffer, may_sleep)? else {
        return Ok(None);
    };
    let attributes = found.attributes(may_sleep)?;
    match attributes.kind {
        Kind::Regular => open(&found, attributes, mode, may_sleep),
        Kind::Directory => Ok(Some(Resolution::Directory)),
        Kind::Other => Ok(Some(Resolution::Forbidden)),
    }
}

/// Looks up the index of the directory `name`.
fn index(
    root: &Root,
    name: &[u8],
    mode: Lookup,
    buffer: &mut [u8],
    may_sleep: &MaySleep,
) -> Result<Option<Resolution>> {
    let slash: &[u8] = if name.is_empty() { b"" } else { b"/" };
    match find(root, &[name, slash, INDEX, b"\0"], mode, buffer, may_sleep) {
        Ok(Some(found)) => {
            let attributes = found.attributes(may_sleep)?;
            open(&found, attributes, mode, may_sleep)
        }
        Ok(None) => Ok(None),
        Err(error) if error == ENOENT => {
            // A directory without an index, or no directory.
            let found = find(root, &[name, slash, b"\0"], mode, buffer, may_sleep)?;
            Ok(found.map(|_| Resolution::Forbidden))
        }
        Err(error) => Err(error),
    }
}

/// Looks up the name that `parts` make, the last of which is NUL. It is put together in `buffer`.
fn find(
    root: &Root,
    parts: &[&[u8]],
    mode: Lookup,
    buffer: &mut [u8],
    may_sleep: &MaySleep,
) -> Result<Option<Path>> {
    let mut len: usize = 0;
    for (to, from) in buffer.iter_mut().zip(parts.iter().copied().flatten()) {
        *to = *from;
        len = len.saturating_add(1);
    }
    let name = buffer.get(..len).ok_or(ENAMETOOLONG)?;
    let name = CStr::from_bytes_with_nul(name).map_err(|_| ENAMETOOLONG)?;
    let found = root.lookup(name, mode, may_sleep)?;
    // A file whose attributes may have to be asked for elsewhere is as good as not cached.
    Ok(found.filter(|found| mode == Lookup::MayBlock || found.is_local()))
}

/// Opens what was found, if it may be served.
fn open(
    found: &Path,
    attributes: Attributes,
    mode: Lookup,
    may_sleep: &MaySleep,
) -> Result<Option<Resolution>> {
    if attributes.kind != Kind::Regular || attributes.mode & MODE_ALLOWED == 0 {
        return Ok(Some(Resolution::Forbidden));
    }
    let is_local = found.is_local();
    let Some(file) = found.open(mode, may_sleep)? else {
        return Ok((mode == Lookup::MayBlock).then_some(Resolution::Busy));
    };
    Ok(Some(Resolution::File(Document {
        file: Arc::new(file, GFP_KERNEL)?,
        attributes,
        is_local,
    })))
}
