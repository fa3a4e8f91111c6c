// SPDX-License-Identifier: GPL-2.0

//! An address of the Internet Protocol, version 4 or 6, to listen on or of a peer.

use core::net::{
    Ipv4Addr,
    Ipv6Addr, //
};
use core::str::FromStr;
use kernel::fmt;
use kernel::prelude::*;

/// An address; one of IPv4 is held as IPv6 maps it (RFC 4291 2.5.5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Address([u8; 16]);

impl Address {
    /// All addresses of this machine, of both versions.
    pub(crate) const ANY: Self = Self([0; 16]);

    /// Maps an IPv4 address.
    pub(crate) fn from_ipv4(octets: [u8; 4]) -> Self {
        Self(Ipv4Addr::from(octets).to_ipv6_mapped().octets())
    }

    /// Reads an address as text: four decimal numbers without leading zeros, or what RFC 4291 2.2
    /// has for IPv6. A scope (`%eth0`) is not understood. Fails with `EINVAL`.
    pub(crate) fn parse(text: &[u8]) -> Result<Self> {
        let text = core::str::from_utf8(text).map_err(|_| EINVAL)?;
        if let Ok(ipv4) = Ipv4Addr::from_str(text) {
            return Ok(Self::from_ipv4(ipv4.octets()));
        }
        let ipv6 = Ipv6Addr::from_str(text).map_err(|_| EINVAL)?;
        Ok(Self(ipv6.octets()))
    }

    /// The octets in network order.
    pub(crate) fn octets(&self) -> &[u8; 16] {
        &self.0
    }

    /// The octets of an IPv4 address, if it is one.
    pub(crate) fn ipv4(&self) -> Option<[u8; 4]> {
        let ipv4 = Ipv6Addr::from(self.0).to_ipv4_mapped()?;
        Some(ipv4.octets())
    }

    /// Whether this stands for all addresses of this machine, of both versions.
    pub(crate) fn is_any(&self) -> bool {
        *self == Self::ANY
    }
}

impl fmt::Display for Address {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.ipv4() {
            Some(octets) => core::fmt::Display::fmt(&Ipv4Addr::from(octets), out),
            None => core::fmt::Display::fmt(&Ipv6Addr::from(self.0), out),
        }
    }
}
