// SPDX-License-Identifier: GPL-2.0

//! HTTP-date (RFC 9110 5.6.7): three formats are read, one is written.
//!
//! Times are seconds since the epoch of Unix, before which they are negative. The name of the day
//! is checked to be one, not to be that of the date.

/// The length of an IMF-fixdate.
pub(crate) const LEN: usize = 29;

/// 1 January of year 0, the earliest time that can be written.
const FIRST: i64 = -62_167_219_200;
/// The last second of year 9999, the latest time that can be written.
const LAST: i64 = 253_402_300_799;

/// Seconds in a day.
const DAY: i64 = 86_400;
/// Days from 1 March of year 0 to the epoch.
const EPOCH: i64 = 719_468;
/// Days in 400 years.
const DAYS_400: i64 = 146_097;

/// Names of days, the epoch's first; as they are abbreviated, and what is missing then.
const DAYS: [(&[u8; 3], &[u8]); 7] = [
    (b"Thu", b"rsday"),
    (b"Fri", b"day"),
    (b"Sat", b"urday"),
    (b"Sun", b"day"),
    (b"Mon", b"day"),
    (b"Tue", b"sday"),
    (b"Wed", b"nesday"),
];

/// Abbreviated names of months.
const MONTHS: [&[u8; 3]; 12] = [
    b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec",
];

/// A date in the Gregorian calendar, and a time of day; the order of fields makes it ordered.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Civil {
    /// The year.
    year: i64,
    /// The month, from 1.
    month: i64,
    /// The day of the month, from 1.
    day: i64,
    /// Seconds since midnight, up to 86400: the day may end in a leap second.
    second: i64,
}

impl Civil {
    /// The date of a time, which is brought between [`FIRST`] and [`LAST`] before.
    ///
    /// Years are counted from March here, so that the leap day is the last of its year. With a time
    /// in that range no operation can wrap.
    fn of(time: i64) -> Self {
        let time = time.clamp(FIRST, LAST);
        let days = time.div_euclid(DAY).wrapping_add(EPOCH);
        let era = days.div_euclid(DAYS_400);
        let day_of_era = days.rem_euclid(DAYS_400);
        let year_of_era = day_of_era
            .wrapping_sub(day_of_era / 1460)
            .wrapping_add(day_of_era / 36_524)
            .wrapping_sub(day_of_era / 146_096)
            / 365;
        let before = year_of_era
            .wrapping_mul(365)
            .wrapping_add(year_of_era / 4)
            .wrapping_sub(year_of_era / 100);
        let day_of_year = day_of_era.wrapping_sub(before);
        let month = day_of_year.wrapping_mul(5).wrapping_add(2) / 153;
        let day = day_of_year
            .wrapping_sub(month.wrapping_mul(153).wrapping_add(2) / 5)
            .wrapping_add(1);
        let (month, carry) = if month < 10 {
            (month.wrapping_add(3), 0)
        } else {
            (month.wrapping_sub(9), 1)
        };
        Self {
            year: era
                .wrapping_mul(400)
                .wrapping_add(year_of_era)
                .wrapping_add(carry),
            month,
            day,
            second: time.rem_euclid(DAY),
        }
    }

    /// The time of a date whose year is between 0 and 9999, and whose other fields are in range.
    fn time(self) -> i64 {
        let (month, year) = if self.month > 2 {
            (self.month.wrapping_sub(3), self.year)
        } else {
            (self.month.wrapping_add(9), self.year.wrapping_sub(1))
        };
        let era = year.div_euclid(400);
        let year_of_era = year.rem_euclid(400);
        let day_of_year = (month.wrapping_mul(153).wrapping_add(2) / 5)
            .wrapping_add(self.day)
            .wrapping_sub(1);
        let days = era
            .wrapping_mul(DAYS_400)
            .wrapping_add(year_of_era.wrapping_mul(365))
            .wrapping_add(year_of_era / 4)
            .wrapping_sub(year_of_era / 100)
            .wrapping_add(day_of_year)
            .wrapping_sub(EPOCH);
        days.wrapping_mul(DAY).wrapping_add(self.second)
    }

    /// Whether there is such a day.
    fn is_valid(self) -> bool {
        let leap = self.year % 4 == 0 && (self.year % 100 != 0 || self.year % 400 == 0);
        let days = match self.month {
            4 | 6 | 9 | 11 => 30,
            2 if leap => 29,
            2 => 28,
            _ => 31,
        };
        (1..=days).contains(&self.day)
    }
}

/// Writes `time` as an IMF-fixdate: `Sun, 06 Nov 1994 08:49:37 GMT`.
///
/// A time whose year has not four digits is written as the nearest that has.
pub(crate) fn write(time: i64) -> [u8; LEN] {
    let time = time.clamp(FIRST, LAST);
    let civil = Civil::of(time);
    let day_name = time.div_euclid(DAY).rem_euclid(7);
    let [w0, w1, w2] = *nth(&DAYS, day_name).map_or(b"???", |(name, _)| name);
    let [m0, m1, m2] = **nth(&MONTHS, civil.month.wrapping_sub(1)).unwrap_or(&b"???");
    let [d0, d1] = two(civil.day);
    let [y0, y1] = two(civil.year / 100);
    let [y2, y3] = two(civil.year);
    let [h0, h1] = two(civil.second / 3600);
    let [i0, i1] = two(civil.second / 60 % 60);
    let [s0, s1] = two(civil.second % 60);
    [
        w0, w1, w2, b',', b' ', d0, d1, b' ', m0, m1, m2, b' ', y0, y1, y2, y3, b' ', h0, h1, b':',
        i0, i1, b':', s0, s1, b' ', b'G', b'M', b'T',
    ]
}

/// Writes `time` as a timestamp of RFC 3339, in UTC: `1994-11-06T08:49:37Z`.
///
/// A time whose year has not four digits is written as the nearest that has.
pub(crate) fn timestamp(time: i64) -> [u8; 20] {
    let civil = Civil::of(time);
    let [y0, y1] = two(civil.year / 100);
    let [y2, y3] = two(civil.year);
    let [m0, m1] = two(civil.month);
    let [d0, d1] = two(civil.day);
    let [h0, h1] = two(civil.second / 3600);
    let [i0, i1] = two(civil.second / 60 % 60);
    let [s0, s1] = two(civil.second % 60);
    [
        y0, y1, y2, y3, b'-', m0, m1, b'-', d0, d1, b'T', h0, h1, b':', i0, i1, b':', s0, s1, b'Z',
    ]
}

/// The element of `all` at `index`.
fn nth<T>(all: &[T], index: i64) -> Option<&T> {
    all.get(usize::try_from(index).ok()?)
}

/// The last two digits of `value`, which is not negative.
fn two(value: i64) -> [u8; 2] {
    let digit = |value: i64| b'0'.wrapping_add(u8::try_from(value % 10).unwrap_or(0));
    [digit(value / 10), digit(value)]
}

/// Reads an HTTP-date in any of its formats; `None` if it is not valid.
///
/// `now` decides the century of a year of two digits: a date more than 50 years ahead is past.
pub(crate) fn parse(octets: &[u8], now: i64) -> Option<i64> {
    let (abbreviated, rest) = octets.split_first_chunk::<3>()?;
    let (_, missing) = DAYS.iter().find(|(name, _)| *name == abbreviated)?;
    let civil = match rest {
        [b',', b' ', rest @ ..] => imf_fixdate(rest)?,
        [b' ', rest @ ..] => asctime_date(rest)?,
        _ => rfc850_date(rest.strip_prefix(*missing)?, now)?,
    };
    civil.is_valid().then(|| civil.time())
}

/// Reads `06 Nov 1994 08:49:37 GMT`.
fn imf_fixdate(octets: &[u8]) -> Option<Civil> {
    let [d0, d1, b' ', m0, m1, m2, b' ', y0, y1, y2, y3, b' ', rest @ ..] = octets else {
        return None;
    };
    Some(Civil {
        year: number(&[*y0, *y1, *y2, *y3])?,
        month: month(&[*m0, *m1, *m2])?,
        day: number(&[*d0, *d1])?,
        second: time_of_day(rest.strip_suffix(b" GMT")?)?,
    })
}

/// Reads `Nov  6 08:49:37 1994`.
fn asctime_date(octets: &[u8]) -> Option<Civil> {
    let [m0, m1, m2, b' ', d0, d1, b' ', rest @ ..] = octets else {
        return None;
    };
    let [time @ .., b' ', y0, y1, y2, y3] = rest else {
        return None;
    };
    let day = if *d0 == b' ' {
        number(&[*d1])?
    } else {
        number(&[*d0, *d1])?
    };
    Some(Civil {
        year: number(&[*y0, *y1, *y2, *y3])?,
        month: month(&[*m0, *m1, *m2])?,
        day,
        second: time_of_day(time)?,
    })
}

/// Reads `, 06-Nov-94 08:49:37 GMT`.
fn rfc850_date(octets: &[u8], now: i64) -> Option<Civil> {
    let [b',', b' ', d0, d1, b'-', m0, m1, m2, b'-', y0, y1, b' ', rest @ ..] = octets else {
        return None;
    };
    let now = Civil::of(now);
    let century = now.year.wrapping_sub(now.year % 100);
    let mut civil = Civil {
        year: century.wrapping_add(number(&[*y0, *y1])?),
        month: month(&[*m0, *m1, *m2])?,
        day: number(&[*d0, *d1])?,
        second: time_of_day(rest.strip_suffix(b" GMT")?)?,
    };
    let ahead = Civil {
        year: civil.year.wrapping_sub(50),
        ..civil
    };
    if ahead > now {
        civil.year = civil.year.wrapping_sub(100);
    }
    Some(civil)
}

/// Reads `08:49:37` as seconds since midnight.
fn time_of_day(octets: &[u8]) -> Option<i64> {
    let [h0, h1, b':', m0, m1, b':', s0, s1] = octets else {
        return None;
    };
    let hour = number(&[*h0, *h1]).filter(|hour| *hour < 24)?;
    let minute = number(&[*m0, *m1]).filter(|minute| *minute < 60)?;
    // RFC 9110 5.6.7: 60 is a leap second.
    let second = number(&[*s0, *s1]).filter(|second| *second <= 60)?;
    let minutes = hour.wrapping_mul(60).wrapping_add(minute);
    Some(minutes.wrapping_mul(60).wrapping_add(second))
}

/// The number of a month, from 1.
fn month(name: &[u8; 3]) -> Option<i64> {
    let index = MONTHS.iter().position(|month| *month == name)?;
    i64::try_from(index).ok()?.checked_add(1)
}

/// The value of a few digits.
fn number(digits: &[u8]) -> Option<i64> {
    let mut value = 0i64;
    for digit in digits {
        if !digit.is_ascii_digit() {
            return None;
        }
        value = value
            .wrapping_mul(10)
            .wrapping_add(i64::from(digit.wrapping_sub(b'0')));
    }
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The time in the examples of RFC 9110 5.6.7.
    const TIME: i64 = 784_111_777;
    /// 1 January 2026.
    const NOW: i64 = 1_767_225_600;

    #[test]
    fn examples_of_the_rfc_are_read() {
        assert_eq!(parse(b"Sun, 06 Nov 1994 08:49:37 GMT", NOW), Some(TIME));
        assert_eq!(parse(b"Sunday, 06-Nov-94 08:49:37 GMT", NOW), Some(TIME));
        assert_eq!(parse(b"Sun Nov  6 08:49:37 1994", NOW), Some(TIME));
        assert_eq!(
            parse(b"Sun Nov 16 08:49:37 1994", NOW),
            Some(TIME + 10 * DAY)
        );
        assert_eq!(
            parse(b"Wednesday, 09-Nov-94 08:49:37 GMT", NOW),
            Some(TIME + 3 * DAY)
        );
    }

    #[test]
    fn known_times_are_written() {
        assert_eq!(&write(TIME), b"Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(&write(0), b"Thu, 01 Jan 1970 00:00:00 GMT");
        assert_eq!(&write(-1), b"Wed, 31 Dec 1969 23:59:59 GMT");
        assert_eq!(&write(951_782_400), b"Tue, 29 Feb 2000 00:00:00 GMT");
        assert_eq!(&write(4_107_542_400), b"Mon, 01 Mar 2100 00:00:00 GMT");
        assert_eq!(&write(i64::MAX), b"Fri, 31 Dec 9999 23:59:59 GMT");
        assert_eq!(&write(i64::MIN), b"Sat, 01 Jan 0000 00:00:00 GMT");
    }

    #[test]
    fn timestamps_are_written() {
        assert_eq!(&timestamp(TIME), b"1994-11-06T08:49:37Z");
        assert_eq!(&timestamp(951_827_696), b"2000-02-29T12:34:56Z");
        assert_eq!(&timestamp(-1), b"1969-12-31T23:59:59Z");
        assert_eq!(&timestamp(i64::MAX), b"9999-12-31T23:59:59Z");
        assert_eq!(&timestamp(i64::MIN), b"0000-01-01T00:00:00Z");
    }

    #[test]
    fn every_day_of_four_centuries_follows_the_one_before() {
        let mut day = 28;
        let mut weekday = 0;
        // From 28 February 1800, a Friday.
        for days in 0..DAYS_400 {
            let time = -5_359_651_200 + days * DAY;
            let text = write(time);
            let names = [b"Fri", b"Sat", b"Sun", b"Mon", b"Tue", b"Wed", b"Thu"];
            assert_eq!(&text[..3], names[weekday]);
            weekday = (weekday + 1) % 7;
            let read = i64::from(text[5] - b'0') * 10 + i64::from(text[6] - b'0');
            assert!(read == day || (read == 1 && day > 28));
            day = read + 1;
            assert_eq!(parse(&text, NOW), Some(time));
        }
    }

    #[test]
    fn a_year_of_two_digits_is_at_most_fifty_ahead() {
        let year = |octets: &[u8], now| write(parse(octets, now).unwrap())[12..16].to_vec();
        assert_eq!(year(b"Monday, 01-Jan-26 00:00:00 GMT", NOW), b"2026");
        assert_eq!(year(b"Monday, 31-Dec-75 23:59:59 GMT", NOW), b"2075");
        assert_eq!(year(b"Monday, 01-Jan-76 00:00:00 GMT", NOW), b"2076");
        assert_eq!(year(b"Monday, 01-Jan-76 00:00:01 GMT", NOW), b"1976");
        assert_eq!(year(b"Monday, 31-Dec-99 23:59:59 GMT", NOW), b"1999");
        assert_eq!(year(b"Monday, 29-Feb-00 00:00:00 GMT", NOW), b"2000");
        // 29 February 2076 is ahead too far, and is one of 1976 too.
        assert_eq!(year(b"Monday, 29-Feb-76 00:00:00 GMT", NOW), b"1976");
    }

    #[test]
    fn a_leap_second_is_read() {
        let second = parse(b"Sat, 31 Dec 2016 23:59:59 GMT", NOW).unwrap();
        assert_eq!(
            parse(b"Sat, 31 Dec 2016 23:59:60 GMT", NOW),
            Some(second + 1)
        );
    }

    #[test]
    fn what_is_not_a_date_is_not_read() {
        for octets in [
            &b""[..],
            b"Sun",
            b"Sun,",
            b"0",
            b"784111777",
            b"Sun, 06 Nov 1994 08:49:37",
            b"Sun, 06 Nov 1994 08:49:37 UTC",
            b"Sun, 06 Nov 1994 08:49:37 gmt",
            b"Sun, 06 Nov 1994 08:49:37 +0000",
            b"Sun, 06 Nov 1994 08:49:37 GMT ",
            b"Sun, 6 Nov 1994 08:49:37 GMT",
            b"sun, 06 Nov 1994 08:49:37 GMT",
            b"Xyz, 06 Nov 1994 08:49:37 GMT",
            b"Sun, 06 nov 1994 08:49:37 GMT",
            b"Sun, 00 Nov 1994 08:49:37 GMT",
            b"Sun, 31 Nov 1994 08:49:37 GMT",
            b"Sun, 32 Dec 1994 08:49:37 GMT",
            b"Tue, 29 Feb 1900 08:49:37 GMT",
            b"Tue, 29 Feb 2001 08:49:37 GMT",
            b"Sun, 06 Nov 1994 24:00:00 GMT",
            b"Sun, 06 Nov 1994 08:60:37 GMT",
            b"Sun, 06 Nov 1994 08:49:61 GMT",
            b"Sun, 06 Nov 94 08:49:37 GMT",
            b"Sun, 06-Nov-1994 08:49:37 GMT",
            b"Sun, 06 Nov -994 08:49:37 GMT",
            b"Sunday, 06-Nov-1994 08:49:37 GMT",
            b"Monday 06-Nov-94 08:49:37 GMT",
            b"Funday, 06-Nov-94 08:49:37 GMT",
            b"Sunrsday, 06-Nov-94 08:49:37 GMT",
            b"Sun Nov  6 08:49:37 1994 GMT",
            b"Sun Nov 6 08:49:37 1994",
            b"Sun Nov   08:49:37 1994",
        ] {
            assert_eq!(parse(octets, NOW), None, "{}", octets.escape_ascii());
        }
    }
}
