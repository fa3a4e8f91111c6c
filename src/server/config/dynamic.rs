// SPDX-License-Identifier: GPL-2.0

//! The texts that make a path one for the backing server.

use super::{
    copy,
    octets,
    Setting, //
};
use crate::linux::context::MaySleep;
use crate::linux::sysctl::Text;
use kernel::prelude::*;

/// Texts, with a space between them: see [`crate::http::handoff::Rules`].
pub(crate) struct Dynamic {
    texts: KVVec<u8>,
}

impl Dynamic {
    /// What it is unless it is set: as kHTTPd has it, but for `..`, with which no path comes so
    /// far.
    pub(super) const DEFAULT: &'static CStr = c"cgi-bin";

    /// The texts.
    pub(crate) fn texts(&self) -> &[u8] {
        &self.texts
    }

    /// The same with `words`, each of which is added, or taken away if it has a `-` before it; none
    /// is left if there are none.
    pub(in super::super) fn with(&self, words: &[u8]) -> Result<Self> {
        let is_graphic = |octet: &u8| octet.is_ascii_graphic() || octet.is_ascii_whitespace();
        if !words.iter().all(is_graphic) {
            return Err(EINVAL);
        }
        let mut all = Text::new()?;
        let words = || {
            let words = words.split(u8::is_ascii_whitespace);
            words.filter(|word| !word.is_empty())
        };
        if words().next().is_some() {
            for text in self.texts.split(u8::is_ascii_whitespace) {
                let is_removed = |word: &[u8]| word.strip_prefix(b"-") == Some(text);
                if !text.is_empty() && !words().any(is_removed) {
                    add(&mut all, text)?;
                }
            }
        }
        for word in words().filter(|word| !word.starts_with(b"-")) {
            add(&mut all, word)?;
        }
        Ok(Self {
            texts: copy(all.octets())?,
        })
    }
}

/// Adds `text` to `all`, unless it is there.
fn add(all: &mut Text, text: &[u8]) -> Result {
    let mut present = all.octets().split(u8::is_ascii_whitespace);
    if present.any(|other| other == text) {
        return Ok(());
    }
    if !all.octets().is_empty() {
        all.push(b" ").map_err(|_| EINVAL)?;
    }
    all.push(text).map_err(|_| EINVAL)
}

impl Setting for Dynamic {
    fn parse(text: &CStr, _: &MaySleep) -> Result<Self> {
        let none = Self {
            texts: KVVec::new(),
        };
        none.with(octets(text))
    }

    fn print(&self, out: &mut Text) -> Result {
        out.push(self.texts())
    }
}
