// SPDX-License-Identifier: GPL-2.0

//! An open file, and the way to close it.
//!
//! A file system that has its truth elsewhere may have to tell when a file is closed, and wait for
//! the answer (NFS 4, virtio-fs). Then that is done by a work item, whoever has held the file last.
//! The same for a local file that has octets for the disk, or was deleted: to close it may be to
//! write it out, or to free its blocks.

use super::job::{
    Closing,
    Task, //
};
use super::shared::Shared;
use super::storage::Place;
use crate::linux::context::MaySleep;
use crate::linux::file::File;
use crate::linux::fragment::Fragments;
use crate::linux::path::Path;
use core::mem::size_of;
use kernel::prelude::*;
use kernel::sync::atomic::{
    Atomic,
    Relaxed, //
};
use kernel::sync::Arc;

/// The length of a piece that is used as a whole, as a power of two: what is sent in a turn.
const PIECE_SHIFT: u32 = 20;

/// An open file.
pub(super) struct Held {
    /// There until this is dropped.
    file: Option<File>,
    /// How it is closed where that may always have to wait.
    closing: Option<Closing>,
    device: u32,
    shared: Arc<Shared>,
    inode: u64,
    /// What was used last, and in which second: see [`Self::is_used_first`].
    used: Atomic<u64>,
}

impl Held {
    /// Of memory for one, the kernel's own included.
    pub(super) const OCTETS: usize = size_of::<Self>() + File::OCTETS;

    /// For `file`, which was opened at `path` and has that number of an `inode`.
    pub(super) fn new(file: File, path: &Path, inode: u64, shared: &Arc<Shared>) -> Result<Self> {
        let device = path.device();
        let closing = if path.is_local() {
            None
        } else {
            Some(Closing::new(Place::Device(device), shared)?)
        };
        Ok(Self {
            file: Some(file),
            closing,
            device,
            shared: shared.clone(),
            inode,
            used: Atomic::new(0),
        })
    }

    /// Whose file system it is that is read.
    pub(super) fn place(&self) -> Place {
        Place::Device(self.device)
    }

    /// The number of its inode, if what is read of it will be in memory for others.
    pub(super) fn shared_inode(&self) -> Option<u64> {
        self.closing.is_none().then_some(self.inode)
    }

    /// As [`File::resident`], where that is right.
    pub(super) fn resident(
        &self,
        offset: u64,
        len: usize,
        out: &mut Fragments,
        used: Option<&MaySleep>,
    ) -> usize {
        match &self.file {
            Some(file) if self.closing.is_none() => file.resident(offset, len, out, used),
            Some(_) | None => 0,
        }
    }

    /// Whether what is at `offset` was not what was used last in the second `now`; from now on it
    /// is.
    pub(super) fn is_used_first(&self, offset: u64, now: u64) -> bool {
        let use_of_it = now << 32 | (offset >> PIECE_SHIFT) & u64::from(u32::MAX);
        if self.used.load(Relaxed) == use_of_it {
            return false;
        }
        self.used.store(use_of_it, Relaxed);
        true
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
        let Some(file) = self.file.take() else {
            return;
        };
        if let Some(closing) = self.closing.take() {
            return closing.start(Task::Close(file));
        }
        let place = if file.is_deleted() {
            Place::Freeing(self.device)
        } else if file.is_dirty() {
            Place::Closing(self.device)
        } else {
            return;
        };
        // Without memory for that it is left to the kernel.
        if let Ok(closing) = Closing::new(place, &self.shared) {
            closing.start(Task::Close(file));
        }
    }
}
