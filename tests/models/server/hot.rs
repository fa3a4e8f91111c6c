// SPDX-License-Identifier: GPL-2.0

//! In the place of `src/server/hot.rs`: nothing is answered in softirq.

use super::connection::Connection;
use crate::linux::context::Softirq;
use crate::linux::sock::{
    Locked,
    Sock, //
};

/// A worker has to answer.
pub(super) fn serve(_: &Sock<Connection>, _: &mut Locked<'_, Connection, Softirq>) -> bool {
    false
}
