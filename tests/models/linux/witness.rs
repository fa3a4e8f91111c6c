// SPDX-License-Identifier: GPL-2.0

//! What a witness has lost: nothing is kept in the models.

use crate::linux::context::MaySleep;

pub(crate) enum Lost {}

impl Lost {
    pub(crate) fn give_up(self, _: &MaySleep) {
        match self {}
    }
}
