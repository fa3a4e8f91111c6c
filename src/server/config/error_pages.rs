// SPDX-License-Identifier: GPL-2.0

//! The files that are the content of errors.

use super::{
    copy,
    octets,
    Setting, //
};
use crate::http::status::Status;
use crate::http::target;
use crate::linux::context::MaySleep;
use crate::linux::sysctl::Text;
use kernel::prelude::*;
use kernel::rbtree::RBTree;

/// The lowest code that is an error.
const FIRST_ERROR: u16 = 400;

/// The files whose content is that of errors: no more than one for each status.
pub(crate) struct ErrorPages {
    /// By status code.
    pages: RBTree<u16, Page>,
}

/// The content of one error.
struct Page {
    /// The path as it was configured, beginning with `/`.
    path: KVVec<u8>,
    /// What it names below the document root.
    name: KVVec<u8>,
}

impl Page {
    /// A page of a path as a target has it: absolute, of a file, and without a query.
    fn new(path: &[u8]) -> Result<Self> {
        let is_path = |octet: &u8| octet.is_ascii_graphic() && !matches!(octet, b'?' | b'#' | b',');
        if !path.iter().all(is_path) {
            return Err(EINVAL);
        }
        let mut room = KVec::from_elem(0, path.len(), GFP_KERNEL)?;
        let found = target::normalize(path, &mut room).map_err(|_| EINVAL)?;
        if found.is_directory {
            return Err(EINVAL);
        }
        Ok(Self {
            path: copy(path)?,
            name: copy(found.name)?,
        })
    }
}

impl ErrorPages {
    /// What it is unless it is set.
    pub(super) const DEFAULT: &'static CStr = c"404=/404.html";

    /// The name of the file for `status` below the document root, without a slash before it.
    pub(crate) fn page(&self, status: Status) -> Option<&[u8]> {
        Some(&self.pages.get(&status.code())?.name)
    }

    /// The path of the file for `status` as it was configured.
    pub(in super::super) fn path(&self, status: Status) -> Option<&[u8]> {
        Some(&self.pages.get(&status.code())?.path)
    }

    /// The same with another path for `status`, or with none if that is empty. The slash before it
    /// may be missing.
    pub(in super::super) fn with(&self, status: Status, path: &[u8]) -> Result<Self> {
        let mut all = Self {
            pages: RBTree::new(),
        };
        for (code, page) in self
            .pages
            .iter()
            .filter(|(code, _)| **code != status.code())
        {
            all.add(*code, Page::new(&page.path)?)?;
        }
        match path {
            b"" => {}
            [b'/', ..] => all.add(status.code(), Page::new(path)?)?,
            _ => {
                let mut absolute = Text::new()?;
                absolute.push(b"/")?;
                absolute.push(path).map_err(|_| EINVAL)?;
                all.add(status.code(), Page::new(absolute.octets())?)?;
            }
        }
        // What can be set can be read, newline and all.
        let mut text = Text::new()?;
        all.print(&mut text)
            .and_then(|()| text.push(b"\n"))
            .map_err(|_| EINVAL)?;
        Ok(all)
    }

    /// Adds the page of an error that has none yet.
    fn add(&mut self, code: u16, page: Page) -> Result {
        match self.pages.try_create_and_insert(code, page, GFP_KERNEL)? {
            None => Ok(()),
            Some(_) => Err(EINVAL),
        }
    }
}

impl Setting for ErrorPages {
    /// Entries, `404=/404.html`, with commas or white space between them.
    fn parse(text: &CStr, _: &MaySleep) -> Result<Self> {
        let mut all = Self {
            pages: RBTree::new(),
        };
        let entries = octets(text)
            .split(|octet| *octet == b',' || octet.is_ascii_whitespace())
            .filter(|entry| !entry.is_empty());
        for entry in entries {
            let (code, rest) = entry.split_at_checked(3).ok_or(EINVAL)?;
            let path = rest.strip_prefix(b"=").ok_or(EINVAL)?;
            let status = status(code).ok_or(EINVAL)?;
            all.add(status.code(), Page::new(path)?)?;
        }
        Ok(all)
    }

    fn print(&self, out: &mut Text) -> Result {
        for (code, page) in &self.pages {
            if !out.octets().is_empty() {
                out.push(b" ")?;
            }
            out.print(fmt!("{}=", code))?;
            out.push(&page.path)?;
        }
        Ok(())
    }
}

/// The error with this code, which has three digits.
fn status(code: &[u8]) -> Option<Status> {
    let code = code.iter().try_fold(0u16, |code, octet| {
        let digit = char::from(*octet).to_digit(10)?;
        code.checked_mul(10)?
            .checked_add(u16::try_from(digit).ok()?)
    })?;
    let mut errors = Status::ALL.iter().copied();
    errors.find(|status| status.code() == code && code >= FIRST_ERROR)
}
