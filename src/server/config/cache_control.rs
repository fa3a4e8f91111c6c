// SPDX-License-Identifier: GPL-2.0

//! How long responses stay fresh.

use super::{
    octets,
    Setting, //
};
use crate::http::cache_control::Policy;
use crate::linux::context::MaySleep;
use crate::linux::sysctl::Text;
use kernel::prelude::*;
use kernel::str::CString;

/// How long responses stay fresh, by media type.
pub(crate) struct CacheControl {
    /// What was read by [`Policy::parse`].
    text: CString,
}

impl CacheControl {
    /// Nothing is said.
    pub(super) const DEFAULT: &'static CStr = c"";

    /// What was configured.
    pub(crate) fn policy(&self) -> Policy<'_> {
        Policy::checked(octets(&self.text))
    }
}

impl Setting for CacheControl {
    fn parse(text: &CStr, _: &MaySleep) -> Result<Self> {
        Policy::parse(octets(text)).map_err(|_| EINVAL)?;
        Ok(Self {
            text: CString::try_from(text)?,
        })
    }

    fn print(&self, out: &mut Text) -> Result {
        out.push(octets(&self.text))
    }
}
