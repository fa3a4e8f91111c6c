// SPDX-License-Identifier: GPL-2.0

//! The fields that are added to each response.

use super::{
    copy,
    octets,
    Setting, //
};
use crate::http::extra_fields;
use crate::linux::context::MaySleep;
use crate::linux::sysctl::Text;
use kernel::prelude::*;
use kernel::str::CString;

/// Fields that are added to each response.
pub(crate) struct ExtraFields {
    /// As they were configured.
    text: CString,
    /// As they are sent.
    lines: KVVec<u8>,
}

impl ExtraFields {
    /// None.
    pub(super) const DEFAULT: &'static CStr = c"";

    /// The field lines as they are sent, each with its CRLF.
    pub(crate) fn lines(&self) -> &[u8] {
        &self.lines
    }
}

impl Setting for ExtraFields {
    fn parse(text: &CStr, _: &MaySleep) -> Result<Self> {
        let mut room = KVec::from_elem(0, extra_fields::LEN, GFP_KERNEL)?;
        let len = extra_fields::write(octets(text), &mut room).map_err(|_| EINVAL)?;
        Ok(Self {
            text: CString::try_from(text)?,
            lines: copy(room.get(..len).ok_or(EINVAL)?)?,
        })
    }

    fn print(&self, out: &mut Text) -> Result {
        out.push(octets(&self.text))
    }
}
