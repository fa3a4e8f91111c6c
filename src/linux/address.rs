// SPDX-License-Identifier: GPL-2.0
//! temporary
pub(crate) struct Address([u8; 16]);
impl Address {
    pub(crate) fn octets(&self) -> &[u8; 16] { &self.0 }
    pub(crate) fn ipv4(&self) -> Option<[u8; 4]> { None }
}
