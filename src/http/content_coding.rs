// SPDX-License-Identifier: GPL-2.0

//! Content codings (RFC 9110 8.4.1), and which of them a client wants (12.5.3).
//!
//! Accept-Encoding is a wish, and no answer to it is an error. What the RFC leaves open is decided
//! so that a client gets content, and gets a coding only where it clearly asked for one:
//!
//! * Without the field any coding is acceptable, but also to clients that know of none: they get
//!   content without a coding.
//! * An element that breaks the grammar is ignored, and the others are not (RFC 9110 2.4).
//! * Of several weights for one coding the lowest counts: who refuses once, refuses.
//! * Where `identity` is refused and there is nothing else, it is served all the same. 15.5.7 lets
//!   a server that is willing to supply a default do that; a 406 would have to be without a coding,
//!   too, and tells nobody anything that is of use.
//! * `identity` that is not mentioned, not by `*` either, comes after all that is.

use super::request::Lines;
use super::token;
use super::weight;
use super::weight::Weight;

/// A content coding in which there may be a representation, from the least preferred by us: of
/// codings that a client likes equally, the one that makes content shortest is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Coding {
    /// None. Content-Encoding never says so (RFC 9110 8.4).
    Identity,
    /// RFC 1952.
    Gzip,
    /// RFC 8878.
    Zstd,
    /// RFC 7932.
    Brotli,
}

impl Coding {
    /// Every coding, from the most preferred.
    pub(crate) const ALL: [Coding; 4] =
        [Coding::Brotli, Coding::Zstd, Coding::Gzip, Coding::Identity];

    /// The name, as Content-Encoding has it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Coding::Identity => "identity",
            Coding::Gzip => "gzip",
            Coding::Zstd => "zstd",
            Coding::Brotli => "br",
        }
    }

    /// What follows the name of a file in the name of the one with the same content in this coding.
    pub(crate) fn suffix(self) -> &'static str {
        match self {
            Coding::Identity => "",
            Coding::Gzip => ".gz",
            Coding::Zstd => ".zst",
            Coding::Brotli => ".br",
        }
    }

    /// The coding called `name`; its case makes no difference, and `x-gzip` is `gzip` (RFC 9110
    /// 8.4.1.3).
    fn of(name: &[u8]) -> Option<Self> {
        if name.eq_ignore_ascii_case(b"x-gzip") {
            return Some(Coding::Gzip);
        }
        Coding::ALL
            .into_iter()
            .find(|coding| name.eq_ignore_ascii_case(coding.name().as_bytes()))
    }
}

/// The codings that a client accepts, the one that it likes most first. [`Coding::Identity`] is
/// always one of them, so a search for a file that goes through them has an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Accepted {
    /// The codings, then nothing.
    order: [Option<Coding>; 4],
}

impl Accepted {
    /// No coding.
    pub(crate) const IDENTITY: Self = Self {
        order: [Some(Coding::Identity), None, None, None],
    };

    /// What the lines of Accept-Encoding say, if there are any.
    pub(crate) fn new(lines: Option<Lines<'_>>) -> Self {
        match lines {
            None => Self::IDENTITY,
            Some(lines) => {
                let mut weights = Weights::default();
                for line in lines {
                    for element in line.split(|&octet| octet == b',') {
                        weights.note(element);
                    }
                }
                weights.accepted()
            }
        }
    }

    /// Whether there is no coding that the client likes more than none: whether it is no use to
    /// look for any.
    #[inline]
    pub(crate) fn is_identity(self) -> bool {
        let [first, ..] = self.order;
        first == Some(Coding::Identity)
    }
}

impl IntoIterator for Accepted {
    type Item = Coding;
    type IntoIter = Codings;

    fn into_iter(self) -> Codings {
        Codings { rest: self.order }
    }
}

/// The codings of an [`Accepted`], in order.
#[derive(Clone, Debug)]
pub(crate) struct Codings {
    /// Those to come, then nothing.
    rest: [Option<Coding>; 4],
}

impl Iterator for Codings {
    type Item = Coding;

    #[inline]
    fn next(&mut self) -> Option<Coding> {
        let [first, second, third, fourth] = self.rest;
        self.rest = [second, third, fourth, None];
        first
    }
}

/// The weights that a client gives, in the order of [`Coding::ALL`].
#[derive(Debug, Default)]
struct Weights {
    /// Those of codings that are named.
    named: [Option<Weight>; 4],
    /// That of all others.
    others: Option<Weight>,
}

impl Weights {
    /// Notes an element of the list, `codings [ weight ]`.
    fn note(&mut self, element: &[u8]) {
        let mut parts = element.splitn(2, |&octet| octet == b';');
        let name = token::trim(parts.next().unwrap_or_default());
        let weight = match parts.next() {
            None => weight::FULL,
            Some(parameter) => match weight::parameter(parameter) {
                None => return,
                Some(weight) => weight,
            },
        };
        let noted = if name == b"*" {
            Some(&mut self.others)
        } else {
            let coding = Coding::of(name);
            Coding::ALL
                .into_iter()
                .zip(&mut self.named)
                .find_map(|(of, noted)| (Some(of) == coding).then_some(noted))
        };
        if let Some(noted) = noted {
            *noted = Some(noted.map_or(weight, |before| before.min(weight)));
        }
    }

    /// The codings by weight; those of one weight as in [`Coding::ALL`].
    fn accepted(mut self) -> Accepted {
        let mut order = [None; 4];
        for place in &mut order {
            let mut best: Option<(Coding, Weight, &mut Option<Weight>)> = None;
            for (coding, named) in Coding::ALL.into_iter().zip(&mut self.named) {
                let weight = named.or(self.others).unwrap_or(0);
                if weight > best.as_ref().map_or(0, |(_, best, _)| *best) {
                    best = Some((coding, weight, named));
                }
            }
            *place = match best {
                None => break,
                Some((coding, _, named)) => {
                    *named = Some(0);
                    Some(coding)
                }
            };
        }
        // What is not mentioned or refused is last.
        if !order.contains(&Some(Coding::Identity)) {
            if let Some(place) = order.iter_mut().find(|place| place.is_none()) {
                *place = Some(Coding::Identity);
            }
        }
        Accepted { order }
    }
}

#[cfg(test)]
mod tests {
    use std::vec;
    use std::vec::Vec;

    use super::super::request::parse;
    use super::super::request::Limits;
    use super::*;

    /// What is accepted by a request with `value` in Accept-Encoding.
    fn accepted(value: &str) -> Vec<Coding> {
        let octets = std::format!("GET / HTTP/1.0\r\nAccept-Encoding: {value}\r\n\r\n");
        let (request, _) = parse(octets.as_bytes(), &Limits::default())
            .unwrap()
            .unwrap();
        let accepted = Accepted::new(request.accept_encoding());
        assert_eq!(
            accepted.is_identity(),
            accepted.into_iter().next() == Some(Coding::Identity)
        );
        accepted.into_iter().collect()
    }

    #[test]
    fn every_order_of_weights_is_kept() {
        // All weightings of the four codings, absent and refused among them.
        let weights = ["", ";q=0", ";q=0.001", ";q=0.5", "-"];
        for i in 0..weights.len().pow(4) {
            let mut elements = vec![];
            let mut expected = vec![];
            for (at, coding) in Coding::ALL.into_iter().enumerate() {
                let choice = i / weights.len().pow(at as u32) % weights.len();
                if weights[choice] != "-" {
                    elements.push(std::format!("{}{}", coding.name(), weights[choice]));
                }
                let rank = [3, 0, 1, 2, 0][choice];
                if rank > 0 || coding == Coding::Identity {
                    expected.push((rank, coding));
                }
            }
            expected.sort_by_key(|(rank, _)| core::cmp::Reverse(*rank));
            let expected: Vec<Coding> = expected.into_iter().map(|(_, coding)| coding).collect();
            assert_eq!(accepted(&elements.join(", ")), expected, "{elements:?}");
            elements.reverse();
            assert_eq!(accepted(&elements.join(",")), expected, "{elements:?}");
        }
    }

    #[test]
    fn without_the_field_there_is_no_coding() {
        assert_eq!(Accepted::new(None), Accepted::IDENTITY);
        assert!(Accepted::IDENTITY.is_identity());
        assert_eq!(
            Accepted::IDENTITY.into_iter().collect::<Vec<_>>(),
            [Coding::Identity]
        );
    }

    #[test]
    fn names_and_suffixes_are_those_of_the_tools() {
        let all: Vec<_> = Coding::ALL
            .iter()
            .map(|coding| (coding.name(), coding.suffix()))
            .collect();
        assert_eq!(
            all,
            [
                ("br", ".br"),
                ("zstd", ".zst"),
                ("gzip", ".gz"),
                ("identity", "")
            ]
        );
    }
}
