// SPDX-License-Identifier: GPL-2.0

//! How long responses stay fresh (RFC 9111 4.2), by media type, as it is configured.
//!
//! The configuration is a text of entries with commas or white space between them, each a media
//! range and a number of seconds: `text/html=0, image/*=604800, */*=3600`. Of the ranges that match
//! a media type the most specific counts (as in RFC 9110 12.5.1), whatever the order. What no range
//! matches has no Cache-Control, and caches then guess (RFC 9111 4.2.2).
//!
//! 0 is `no-cache`: a response may be stored, and is asked about each time it is used (RFC 9111
//! 5.2.2.4). Another number is `max-age` (5.2.2.1), and Expires for caches that know HTTP/1.0 only
//! (5.3); there `no-cache` is an Expires of the Date itself, at which a response is stale.

use super::media_range::MediaRange;
use super::scan;
use super::token;

/// The longest time, in seconds: longer ones are made this one (RFC 9111 1.2.2).
pub(crate) const MAX_AGE: u32 = 1 << 31;

/// The length of the longest configuration.
pub(crate) const POLICY_LEN: usize = 4096;

/// How long a response stays fresh, from its Date on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Freshness {
    /// Not at all: it is to be validated at each use.
    NoCache,
    /// For so many seconds, 1 to [`MAX_AGE`].
    MaxAge(u32),
}

impl Freshness {
    /// The freshness of `seconds`.
    fn new(seconds: u64) -> Self {
        match u32::try_from(seconds) {
            Ok(0) => Freshness::NoCache,
            Ok(seconds) => Freshness::MaxAge(seconds.min(MAX_AGE)),
            Err(_) => Freshness::MaxAge(MAX_AGE),
        }
    }

    /// The time of Expires in a response whose Date is `date`.
    pub(crate) fn expires(self, date: i64) -> i64 {
        match self {
            Freshness::NoCache => date,
            Freshness::MaxAge(seconds) => date.saturating_add(i64::from(seconds)),
        }
    }
}

/// Why a configuration can't be read; with each the entry, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BadPolicy {
    /// It is longer than [`POLICY_LEN`].
    TooLong,
    /// What is before the `=` is not a media range without parameters.
    Range(usize),
    /// There is no `=`, or what follows is not a number of seconds.
    Seconds(usize),
    /// The range was there before.
    Repeated(usize),
}

/// A configuration that is known to be valid.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Policy<'a> {
    /// Its text.
    text: &'a [u8],
}

impl<'a> Policy<'a> {
    /// Nothing is configured.
    pub(crate) const NONE: Policy<'static> = Policy { text: b"" };

    /// Reads a configuration, which may be empty.
    pub(crate) fn parse(text: &'a [u8]) -> Result<Self, BadPolicy> {
        if text.len() > POLICY_LEN {
            return Err(BadPolicy::TooLong);
        }
        let mut place = 0usize;
        for entry in entries(text) {
            let (range, _) = entry.map_err(|bad| bad(place))?;
            // Few entries are written by hand, and once; so each is compared to those before.
            // (`take()` has an overflow check that the compiler can't prove away.)
            let mut before = entries(text);
            for _ in 0..place {
                if matches!(before.next(), Some(Ok((before, _))) if before.is(range)) {
                    return Err(BadPolicy::Repeated(place));
                }
            }
            place = place.wrapping_add(1);
        }
        Ok(Self { text })
    }

    /// The configuration of a text that [`Policy::parse`] has read before; of any other, entries
    /// that are not valid are passed over.
    pub(crate) fn checked(text: &'a [u8]) -> Self {
        Self { text }
    }

    /// The text that was read.
    pub(crate) fn text(self) -> &'a [u8] {
        self.text
    }

    /// How long a response with content of `media_type`, which may have parameters, stays fresh.
    pub(crate) fn freshness(self, media_type: &[u8]) -> Option<Freshness> {
        // As a rule nothing is configured, and this is asked for each response.
        if self.text.is_empty() {
            return None;
        }
        let name = media_type
            .split(|&octet| octet == b';')
            .next()
            .unwrap_or_default();
        let media_type = MediaRange::parse(token::trim(name))?;
        let mut best = None;
        for (range, freshness) in entries(self.text).flatten() {
            let Some(specificity) = range.matches(media_type) else {
                continue;
            };
            if best.is_none_or(|(before, _)| before < specificity) {
                best = Some((specificity, freshness));
            }
        }
        best.map(|(_, freshness)| freshness)
    }
}

/// What makes an error of the place of an entry.
type Bad = fn(usize) -> BadPolicy;

/// The entries of a configuration.
fn entries(text: &[u8]) -> impl Iterator<Item = Result<(MediaRange<'_>, Freshness), Bad>> {
    text.split(|&octet| octet == b',' || octet.is_ascii_whitespace())
        .filter(|entry| !entry.is_empty())
        .map(entry)
}

/// Reads an entry.
fn entry(octets: &[u8]) -> Result<(MediaRange<'_>, Freshness), Bad> {
    let end = scan::find(octets, b'=').unwrap_or(octets.len());
    let (range, seconds) = octets.split_at_checked(end).unwrap_or((octets, b""));
    let range = MediaRange::parse(range).ok_or(BadPolicy::Range as Bad)?;
    let seconds = seconds.strip_prefix(b"=").unwrap_or_default();
    match token::decimal(seconds) {
        Ok(seconds) => Ok((range, Freshness::new(seconds))),
        Err(token::NotDecimal::TooLarge) => Ok((range, Freshness::MaxAge(MAX_AGE))),
        Err(token::NotDecimal::Syntax) => Err(BadPolicy::Seconds),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The freshness of a media type as `text` configures it.
    fn of(text: &str, media_type: &str) -> Option<Freshness> {
        let policy = Policy::parse(text.as_bytes()).unwrap();
        assert_eq!(policy.text(), text.as_bytes());
        let freshness = policy.freshness(media_type.as_bytes());
        let again = Policy::checked(policy.text()).freshness(media_type.as_bytes());
        assert_eq!(again, freshness);
        freshness
    }

    #[test]
    fn the_most_specific_range_counts() {
        use Freshness::MaxAge;
        use Freshness::NoCache;
        let text = "*/*=3600, image/*=604800,text/html=0\timage/svg+xml=60\r\n";
        let reversed = "image/svg+xml=60 text/html=0 image/*=604800 */*=3600";
        for text in [text, reversed] {
            for (media_type, freshness) in [
                ("text/html", NoCache),
                ("Text/HTML;charset=utf-8", NoCache),
                ("text/html ; charset=utf-8", NoCache),
                ("text/htm", MaxAge(3600)),
                ("text/html2", MaxAge(3600)),
                ("image/png", MaxAge(604_800)),
                ("IMAGE/SVG+XML", MaxAge(60)),
                ("images/png", MaxAge(3600)),
                ("TUX/redirect", MaxAge(3600)),
            ] {
                assert_eq!(of(text, media_type), Some(freshness), "{media_type}");
            }
        }
    }

    #[test]
    fn what_no_range_matches_is_not_said() {
        assert_eq!(of("", "text/html"), None);
        assert_eq!(of(" ,\t,\n", "text/html"), None);
        assert_eq!(of("image/*=1,text/css=2", "text/html"), None);
        for media_type in ["", "text", "text/", "/html", "text/html/x", "*", "*/html"] {
            assert_eq!(of("*/*=1", media_type), None, "{media_type}");
        }
        assert!(Policy::NONE.freshness(b"text/html").is_none());
    }

    #[test]
    fn long_times_are_as_long_as_is_advised() {
        for (seconds, freshness) in [
            ("0", Freshness::NoCache),
            ("00", Freshness::NoCache),
            ("1", Freshness::MaxAge(1)),
            ("0031536000", Freshness::MaxAge(31_536_000)),
            ("2147483647", Freshness::MaxAge(MAX_AGE - 1)),
            ("2147483648", Freshness::MaxAge(MAX_AGE)),
            ("2147483649", Freshness::MaxAge(MAX_AGE)),
            ("4294967296", Freshness::MaxAge(MAX_AGE)),
            ("18446744073709551616", Freshness::MaxAge(MAX_AGE)),
            ("99999999999999999999999999", Freshness::MaxAge(MAX_AGE)),
        ] {
            assert_eq!(of(&std::format!("a/b={seconds}"), "a/b"), Some(freshness));
        }
    }

    #[test]
    fn expires_is_the_date_and_the_age() {
        assert_eq!(Freshness::NoCache.expires(1000), 1000);
        assert_eq!(Freshness::MaxAge(60).expires(1000), 1060);
        assert_eq!(Freshness::MaxAge(MAX_AGE).expires(0), 1 << 31);
        assert_eq!(Freshness::MaxAge(1).expires(i64::MAX), i64::MAX);
        assert_eq!(Freshness::MaxAge(1).expires(i64::MIN), i64::MIN + 1);
    }

    #[test]
    fn what_is_wrong_is_refused_with_its_place() {
        use BadPolicy::Range;
        use BadPolicy::Repeated;
        use BadPolicy::Seconds;
        for (text, bad) in [
            ("text=1", Range(0)),
            ("text/=1", Range(0)),
            ("/html=1", Range(0)),
            ("text/html/x=1", Range(0)),
            ("*=1", Range(0)),
            ("*/html=1", Range(0)),
            ("=1", Range(0)),
            ("a/b=1, text/html;charset=utf-8=1", Range(1)),
            ("a/b=1, te(xt/html=1", Range(1)),
            ("a/b = 1", Seconds(0)),
            ("a/b= 1", Seconds(0)),
            ("a/b", Seconds(0)),
            ("a/b=", Seconds(0)),
            ("a/b=x", Seconds(0)),
            ("a/b=-1", Seconds(0)),
            ("a/b=+1", Seconds(0)),
            ("a/b=1.5", Seconds(0)),
            ("a/b=1s", Seconds(0)),
            ("a/b=1=2", Seconds(0)),
            ("c/d=1 e/f=2,a/b=1;c/e=2", Seconds(2)),
            ("a/b=1\0", Seconds(0)),
            ("a/b=1 c/d=2 A/B=1", Repeated(2)),
            ("*/*=1,*/*=1", Repeated(1)),
        ] {
            assert_eq!(Policy::parse(text.as_bytes()).err(), Some(bad), "{text:?}");
        }
        assert_eq!(
            Policy::parse(&[b' '; POLICY_LEN + 1]).err(),
            Some(BadPolicy::TooLong)
        );
        assert!(Policy::parse(&[b' '; POLICY_LEN]).is_ok());
    }
}
