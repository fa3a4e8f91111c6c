// SPDX-License-Identifier: GPL-2.0

//! How long responses stay fresh.

use super::{
    octets,
    Setting, //
};
use crate::http::cache_control::{
    self,
    Policy,
    Rule, //
};
use crate::linux::context::MaySleep;
use crate::linux::sysctl::Text;
use kernel::prelude::*;
use kernel::str::CString;

/// How long responses stay fresh, by media type.
pub(crate) struct CacheControl {
    /// As it was configured.
    text: CString,
    /// What was read of it.
    rules: KVVec<Rule>,
}

impl CacheControl {
    /// Nothing is said.
    pub(super) const DEFAULT: &'static CStr = c"";

    /// What was configured.
    pub(crate) fn policy(&self) -> Policy<'_> {
        Policy::new(octets(&self.text), &self.rules)
    }
}

impl Setting for CacheControl {
    fn parse(text: &CStr, _: &MaySleep) -> Result<Self> {
        let mut rules = KVVec::from_elem(Rule::NONE, cache_control::RULES, GFP_KERNEL)?;
        let count = cache_control::read(octets(text), &mut rules).map_err(|_| EINVAL)?;
        rules.truncate(count);
        rules.shrink_to(0, GFP_KERNEL)?;
        Ok(Self {
            text: CString::try_from(text)?,
            rules,
        })
    }

    fn print(&self, out: &mut Text) -> Result {
        out.push(octets(&self.text))
    }
}
