// SPDX-License-Identifier: GPL-2.0

//! HTTP-date.
//!
//! The octets are a date; and its first eight are also a time to be written, and read again.

use std::string::String;
use std::string::ToString;
use std::vec::Vec;

use crate::common::hash;
use crate::http::date;

/// The first and the last second of the years 0 to 9999.
const YEARS: (i64, i64) = (-62_167_219_200, 253_402_300_799);

/// Names of days.
const DAYS: [&str; 7] = [
    "Sunday",
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
];

/// Names of months.
const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// Checks `octets`.
pub fn run(octets: &[u8]) {
    // Up to where the kernel's clock goes.
    let nows = [0, 784_111_777, 1_767_225_600, 4_102_444_800, 9_223_372_036];
    let now = nows[hash(octets) % nows.len()];
    let read = date::parse(octets, now);
    let model = std::str::from_utf8(octets)
        .ok()
        .and_then(|text| model(text, now));
    assert_eq!(read, model, "{} at {now}", octets.escape_ascii());
    // What is read is a time of those years, save that the last may end in a leap second.
    assert!(read.is_none_or(|time| YEARS.0 <= time && time <= YEARS.1 + 1));
    if let (Some(time), date::LEN) = (read, octets.len()) {
        let again = date::write(time);
        // IMF-fixdate comes out as it was, save the name of the day and a leap second.
        let is_fixdate = octets[3] == b',' && &octets[23..25] != b"60";
        assert!(!is_fixdate || again[3..] == octets[3..]);
    }

    if let Some((number, _)) = octets.split_first_chunk::<8>() {
        let time = i64::from_le_bytes(*number);
        for time in [time, time >> 16, time >> 28, time % YEARS.1] {
            let written = date::write(time);
            assert_eq!(
                date::parse(&written, now),
                Some(time.max(YEARS.0).min(YEARS.1))
            );
        }
    }
}

/// Whether `year` has 29 February.
fn is_leap(year: i64) -> bool {
    (year % 4 == 0 && year % 100 != 0) || year % 400 == 0
}

/// How many days a month has, from 0.
fn days_of(year: i64, month: usize) -> i64 {
    match month {
        1 => 28 + i64::from(is_leap(year)),
        3 | 5 | 8 | 10 => 30,
        _ => 31,
    }
}

/// The time of a date: counted from 1970, year by year and month by month.
fn time(year: i64, month: usize, day: i64, second: i64) -> i64 {
    let leaps = |year: i64| year / 4 - year / 100 + year / 400;
    // Leap years before `year`, from year 1; year 0 is one too.
    let days_before = |year: i64| match year {
        0 => 0,
        _ => 366 + (year - 1) * 365 + leaps(year - 1),
    };
    let mut days = days_before(year) - days_before(1970) + day - 1;
    days += (0..month).map(|month| days_of(year, month)).sum::<i64>();
    days * 86_400 + second
}

/// Reads a date by its words.
fn model(text: &str, now: i64) -> Option<i64> {
    let words: Vec<&str> = text.split(' ').collect();
    let (name, day, month, year, clock, width) = match words[..] {
        // Sun, 06 Nov 1994 08:49:37 GMT
        [name, day, month, year, clock, "GMT"] => {
            let name = name.strip_suffix(',').filter(|name| name.len() == 3)?;
            (name, day.to_string(), month, year, clock, 4)
        }
        // Sunday, 06-Nov-94 08:49:37 GMT
        [name, date, clock, "GMT"] => {
            let name = name.strip_suffix(',').filter(|name| name.len() > 3)?;
            let parts: Vec<&str> = date.split('-').collect();
            let [day, month, year] = parts[..] else {
                return None;
            };
            (name, day.to_string(), month, year, clock, 2)
        }
        // Sun Nov  6 08:49:37 1994
        [name, month, "", day, clock, year] if name.len() == 3 && day.len() == 1 => {
            (name, String::from("0") + day, month, year, clock, 4)
        }
        [name, month, day, clock, year] if name.len() == 3 => {
            (name, day.to_string(), month, year, clock, 4)
        }
        _ => return None,
    };
    if !DAYS.iter().any(|day| *day == name || &day[..3] == name) {
        return None;
    }
    let month = MONTHS.iter().position(|m| *m == month)?;
    let day = number(&day, 2)?;
    let year = number(year, width)?;
    let clock: Vec<&str> = clock.split(':').collect();
    let [hour, minute, second] = clock[..] else {
        return None;
    };
    let (hour, minute, second) = (number(hour, 2)?, number(minute, 2)?, number(second, 2)?);
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let second = (hour * 60 + minute) * 60 + second;
    let mut year = year;
    if width == 2 {
        // The latest year of that ending which is not more than 50 years ahead.
        let this = (1971..2264).find(|year| time(*year, 0, 1, 0) > now)? - 1;
        let hundred = this / 100 * 100;
        let ahead = |year: i64| (year - 50, month, day, second) > parts(now, this);
        year += hundred;
        if ahead(year) {
            year -= 100;
        }
    }
    if day < 1 || day > days_of(year, month) {
        return None;
    }
    Some(time(year, month, day, second))
}

/// The year, which is known, and the month, day and second of a time.
fn parts(now: i64, year: i64) -> (i64, usize, i64, i64) {
    let mut days = (now - time(year, 0, 1, 0)).div_euclid(86_400);
    let mut month = 0;
    while days >= days_of(year, month) {
        days -= days_of(year, month);
        month += 1;
    }
    (year, month, days + 1, now.rem_euclid(86_400))
}

/// The number of so many digits.
fn number(text: &str, width: usize) -> Option<i64> {
    let is_number = text.len() == width && text.bytes().all(|o| o.is_ascii_digit());
    text.parse().ok().filter(|_| is_number)
}
