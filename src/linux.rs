// SPDX-License-Identifier: GPL-2.0

//! linux

mod bindings;
pub(crate) fn test() -> usize {
    core::mem::size_of::<bindings::tcp_sock>()
}
