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
//!
//! The text is read once, into an array of [`Rule`]s which say where in the text a range is. They
//! are in such an order that the first that matches is the most specific.

use super::media_range::MediaRange;
use super::media_range::Specificity;
use super::scan;
use super::token;

/// The longest time, in seconds: longer ones are made this one (RFC 9111 1.2.2).
pub(crate) const MAX_AGE: u32 = 1 << 31;

/// The length of the longest configuration.
pub(crate) const POLICY_LEN: usize = 4096;

/// The most entries of a configuration: the shortest is `a/b=1`, with a comma behind it.
pub(crate) const RULES: usize = (POLICY_LEN + 1) / 6;

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

/// An entry of a configuration, as it was read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rule {
    /// Where its range begins in the text.
    start: u16,
    /// How many octets of the range are before the slash.
    main: u16,
    /// How many octets the range has.
    len: u16,
    /// How long what it matches stays fresh.
    freshness: Freshness,
}

impl Rule {
    /// What rules are before they are written.
    pub(crate) const NONE: Self = Self {
        start: 0,
        main: 0,
        len: 0,
        freshness: Freshness::NoCache,
    };

    /// The rule of a range that begins at `start`.
    fn new(start: usize, range: MediaRange<'_>, freshness: Freshness) -> Option<Self> {
        Some(Self {
            start: u16::try_from(start).ok()?,
            main: u16::try_from(range.main_len()).ok()?,
            len: u16::try_from(range.len()).ok()?,
            freshness,
        })
    }

    /// Its range, in the text that it was read from.
    fn range(self, text: &[u8]) -> MediaRange<'_> {
        let (start, len) = (usize::from(self.start), usize::from(self.len));
        let octets = text.get(start..start.wrapping_add(len));
        MediaRange::at(octets.unwrap_or_default(), usize::from(self.main))
    }
}

/// A configuration that was read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Policy<'a> {
    /// Its text.
    text: &'a [u8],
    /// Its entries, the most specific first.
    rules: &'a [Rule],
}

/// Reads a configuration, which may be empty, into `rules`. Returns how many there are: not more
/// than [`RULES`].
pub(crate) fn read(text: &[u8], rules: &mut [Rule]) -> Result<usize, BadPolicy> {
    check(text)?;
    let mut count = 0usize;
    let mut room = rules.iter_mut();
    for wanted in [Specificity::Type, Specificity::Main, Specificity::Any] {
        for (start, entry) in entries(text) {
            let Ok((range, freshness)) = entry else {
                continue;
            };
            if range.specificity() != wanted {
                continue;
            }
            let rule = Rule::new(start, range, freshness).ok_or(BadPolicy::TooLong)?;
            *room.next().ok_or(BadPolicy::TooLong)? = rule;
            count = count.wrapping_add(1);
        }
    }
    Ok(count)
}

/// Finds out what is wrong with a configuration.
fn check(text: &[u8]) -> Result<(), BadPolicy> {
    if text.len() > POLICY_LEN {
        return Err(BadPolicy::TooLong);
    }
    let mut place = 0usize;
    for (_, entry) in entries(text) {
        let (range, _) = entry.map_err(|bad| bad(place))?;
        // Few entries are written by hand, and once; so each is compared to those before.
        // (`take()` has an overflow check that the compiler can't prove away.)
        let mut before = entries(text);
        for _ in 0..place {
            if matches!(before.next(), Some((_, Ok((before, _)))) if before.is(range)) {
                return Err(BadPolicy::Repeated(place));
            }
        }
        place = place.wrapping_add(1);
    }
    Ok(())
}

impl<'a> Policy<'a> {
    /// The configuration of a text from which `rules` were [`read`].
    pub(crate) fn new(text: &'a [u8], rules: &'a [Rule]) -> Self {
        Self { text, rules }
    }

    /// How long a response with content of `media_type`, which may have parameters, stays fresh.
    pub(crate) fn freshness(self, media_type: &[u8]) -> Option<Freshness> {
        // As a rule nothing is configured, and this is asked for each response.
        if self.rules.is_empty() {
            return None;
        }
        let name = media_type
            .split(|&octet| octet == b';')
            .next()
            .unwrap_or_default();
        let media_type = MediaRange::parse(token::trim(name))?;
        let mut rules = self.rules.iter();
        let rule = rules.find(|rule| rule.range(self.text).matches(media_type).is_some())?;
        Some(rule.freshness)
    }
}

/// What makes an error of the place of an entry.
type Bad = fn(usize) -> BadPolicy;

/// The entries of a configuration, each with the place where it begins.
fn entries(text: &[u8]) -> impl Iterator<Item = (usize, Result<(MediaRange<'_>, Freshness), Bad>)> {
    let mut next = 0usize;
    text.split(|&octet| octet == b',' || octet.is_ascii_whitespace())
        .map(move |entry| {
            let start = next;
            next = next.wrapping_add(entry.len()).wrapping_add(1);
            (start, entry)
        })
        .filter(|(_, entry)| !entry.is_empty())
        .map(|(start, octets)| (start, entry(octets)))
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
        let mut rules = [Rule::NONE; RULES];
        let count = read(text.as_bytes(), &mut rules).unwrap();
        let freshness =
            Policy::new(text.as_bytes(), &rules[..count]).freshness(media_type.as_bytes());
        // Rules that belong to another text are wrong, and no more than that.
        let _ = Policy::new(b"a/b", &rules).freshness(media_type.as_bytes());
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
        // A type that can't be is matched by nothing, not even by what was never read.
        assert!(Policy::new(b"", &[Rule::NONE])
            .freshness(b"text/html")
            .is_none());
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
            let mut rules = [Rule::NONE; RULES];
            assert_eq!(
                read(text.as_bytes(), &mut rules).err(),
                Some(bad),
                "{text:?}"
            );
        }
        let mut rules = [Rule::NONE; RULES];
        assert_eq!(
            read(&[b' '; POLICY_LEN + 1], &mut rules).err(),
            Some(BadPolicy::TooLong)
        );
        assert_eq!(read(&[b' '; POLICY_LEN], &mut rules), Ok(0));
    }

    #[test]
    fn there_is_room_for_all_rules() {
        let digits = "0123456789abcdefghijklmnopqrstuvwxyz";
        let mut text = std::string::String::new();
        for main in digits.chars() {
            for sub in digits.chars() {
                if text.len() + 5 <= POLICY_LEN {
                    text += &std::format!("{main}/{sub}=1,");
                }
            }
        }
        text.truncate(POLICY_LEN);
        let mut rules = [Rule::NONE; RULES];
        assert_eq!(read(text.as_bytes(), &mut rules), Ok(RULES));
        let policy = Policy::new(text.as_bytes(), &rules);
        assert_eq!(policy.freshness(b"i/x"), Some(Freshness::MaxAge(1)));
        assert_eq!(
            read(text.as_bytes(), &mut rules[1..]),
            Err(BadPolicy::TooLong)
        );
    }
}
