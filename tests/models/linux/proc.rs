// SPDX-License-Identifier: GPL-2.0

//! Files of `/proc`.

use kernel::seq_file::SeqFile;

pub(crate) trait Show: Send + Sync + 'static {
    fn show(&self, out: &SeqFile);
}
