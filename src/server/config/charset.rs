// SPDX-License-Identifier: GPL-2.0

//! The charset that text is said to have.

use super::{
    octets,
    Setting, //
};
use crate::http::media_type;
use crate::linux::context::MaySleep;
use crate::linux::sysctl::Text;
use kernel::prelude::*;
use kernel::str::CString;

/// What switches it off.
const OFF: &[u8] = b"off";

/// The charset of text (RFC 9110 8.3.2), or none.
pub(crate) struct Charset {
    /// Its name; empty if there is none.
    name: CString,
}

impl Charset {
    /// What it is unless it is set: [`media_type::CHARSET`].
    pub(super) const DEFAULT: &'static CStr = c"utf-8";

    /// The name; empty if there is none.
    pub(crate) fn octets(&self) -> &[u8] {
        octets(&self.name)
    }
}

impl Setting for Charset {
    fn parse(text: &CStr, _: &MaySleep) -> Result<Self> {
        let name = match octets(text) {
            b"" | OFF => c"",
            name if media_type::is_charset(name) => text,
            _ => return Err(EINVAL),
        };
        Ok(Self {
            name: CString::try_from(name)?,
        })
    }

    fn print(&self, out: &mut Text) -> Result {
        match self.octets() {
            b"" => out.push(OFF),
            name => out.push(name),
        }
    }
}
