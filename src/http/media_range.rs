// SPDX-License-Identifier: GPL-2.0

//! Media ranges (RFC 9110 12.5.1).

use super::scan;

/// A media range without parameters; a media type is one that has no `*`.
#[derive(Clone, Copy, Debug)]
pub(super) struct MediaRange<'a> {
    /// Before the slash.
    main: &'a [u8],
    /// Behind it.
    sub: &'a [u8],
}

/// How closely a media range describes what it matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Specificity {
    /// `*/*`.
    Any,
    /// `text/*`.
    Main,
    /// `text/html`.
    Type,
}

impl<'a> MediaRange<'a> {
    /// The range that is written as `octets`, with `main` of them before the slash, as
    /// [`MediaRange::parse`] has read it before; of any other octets one that matches nothing.
    pub(super) fn at(octets: &'a [u8], main: usize) -> Self {
        let (main, rest) = octets.split_at_checked(main).unwrap_or_default();
        let sub = rest.strip_prefix(b"/").unwrap_or_default();
        Self { main, sub }
    }

    /// How many octets are before the slash.
    pub(super) fn main_len(self) -> usize {
        self.main.len()
    }

    /// How many octets it is written in.
    pub(super) fn len(self) -> usize {
        self.main.len().wrapping_add(1).wrapping_add(self.sub.len())
    }

    /// How specific it is.
    pub(super) fn specificity(self) -> Specificity {
        match (self.main, self.sub) {
            (b"*", b"*") => Specificity::Any,
            (_, b"*") => Specificity::Main,
            _ => Specificity::Type,
        }
    }

    /// Reads a media range.
    pub(super) fn parse(octets: &'a [u8]) -> Option<Self> {
        let (main, rest) = octets.split_at_checked(scan::token_len(octets))?;
        let sub = rest.strip_prefix(b"/")?;
        let is_valid = !main.is_empty() && !sub.is_empty() && scan::token_len(sub) == sub.len();
        // `*` is a token too; as a type it has `*` behind it.
        (is_valid && (main != b"*" || sub == b"*")).then_some(Self { main, sub })
    }

    /// Whether it is written like `other`; case makes no difference.
    pub(super) fn is(self, other: Self) -> bool {
        self.main.eq_ignore_ascii_case(other.main) && self.sub.eq_ignore_ascii_case(other.sub)
    }

    /// How specific it is, if it matches `media_type`.
    pub(super) fn matches(self, media_type: Self) -> Option<Specificity> {
        if self.is(media_type) {
            return Some(Specificity::Type);
        }
        match (self.main, self.sub) {
            (b"*", b"*") => Some(Specificity::Any),
            (main, b"*") if main.eq_ignore_ascii_case(media_type.main) => Some(Specificity::Main),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_matches_what_it_describes() {
        for (range, media_type, specificity) in [
            ("*/*", "text/html", Some(Specificity::Any)),
            ("text/*", "TEXT/html", Some(Specificity::Main)),
            ("Text/HTML", "text/html", Some(Specificity::Type)),
            ("text/*", "textual/html", None),
            ("text/html", "text/htm", None),
            ("text/htm", "text/html", None),
            ("*/*", "*/*", Some(Specificity::Type)),
        ] {
            let range = MediaRange::parse(range.as_bytes()).unwrap();
            let media_type = MediaRange::parse(media_type.as_bytes()).unwrap();
            assert_eq!(range.matches(media_type), specificity);
        }
        for octets in [
            "", "*", "/", "*/", "/*", "*/html", "a", "a/b/c", "a/b;c", "a /b", " a/b",
        ] {
            assert!(MediaRange::parse(octets.as_bytes()).is_none(), "{octets}");
        }
    }
}
