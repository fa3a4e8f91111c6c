// SPDX-License-Identifier: GPL-2.0

//! An open file, and the way to close it.
//!
//! A file system that has its truth elsewhere may have to tell when a file is closed, and wait for
//! the answer (NFS 4, virtio-fs). Then that is done by a work item, whoever has held the file last.

use super::job::Closing;
use super::shared::Shared;
use super::storage::Place;
use crate::linux::context::MaySleep;
use crate::linux::file::File;
use crate::linux::fragment::Fragments;
use crate::linux::path::Path;
use core::mem::size_of;
use kernel::prelude::*;
use kernel::sync::Arc;

/// An open file.
pub(super) struct Held {
    /// There until this is dropped.
    file: Option<File>,
    /// How it is closed, unless at once.
    closing: Option<Closing>,
    place: Place,
}

impl Held {
    /// Of memory for one, the kernel's own included.
    pub(super) const OCTETS: usize = size_of::<Self>() + File::OCTETS;

    /// For `file`, which was opened at `path`.
    pub(super) fn new(file: File, path: &Path, shared: &Arc<Shared>) -> Result<Self> {
        let place = Place::Device(path.device());
        let closing = if path.is_local() {
            None
        } else {
            Some(Closing::new(place, shared)?)
        };
        Ok(Self {
            file: Some(file),
            closing,
            place,
        })
    }

    /// Whose file system it is that is read.
    pub(super) fn place(&self) -> Place {
        self.place
    }

    /// As [`File::resident`], where that is right.
    pub(super) fn resident(&self, offset: u64, len: usize, out: &mut Fragments) -> usize {
        match &self.file {
            Some(file) if self.closing.is_none() => file.resident(offset, len, out),
            Some(_) | None => 0,
        }
    }

    /// As [`File::resident_at_once`], where that is right.
    pub(super) fn resident_at_once(&self, offset: u64, len: usize, out: &mut Fragments) -> usize {
        match &self.file {
            Some(file) if self.closing.is_none() => file.resident_at_once(offset, len, out),
            Some(_) | None => 0,
        }
    }

    /// As [`File::read`].
    pub(super) fn read(
        &self,
        offset: u64,
        len: usize,
        out: &mut Fragments,
        context: &MaySleep,
    ) -> Result<usize> {
        let file = self.file.as_ref().ok_or(EBADF)?;
        file.read(offset, len, out, context)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let (Some(file), Some(closing)) = (self.file.take(), self.closing.take()) {
            closing.start(file);
        }
    }
}
