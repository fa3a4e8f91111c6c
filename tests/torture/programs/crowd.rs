// SPDX-License-Identifier: GPL-2.0

//! Thousands of connections at a time, in every state that a client can bring one into, while the
//! server comes and goes: silent ones, half a head, a head without its body, a large response that
//! nobody reads, one that goes on, one that lingers, ones that either end has closed. None of them
//! ever sees an octet that it should not.

use rust_tux_torture::exchange::{
    connect_with,
    whole_answers,
    Answer,
    Options,
    Question,
    Site, //
};
use rust_tux_torture::{
    check,
    number,
    reset_on_close,
    Campaign, //
};
use std::collections::VecDeque;
use std::io::{
    Read,
    Write, //
};
use std::net::{
    Shutdown,
    TcpStream, //
};
use std::thread;
use std::time::Duration;

/// A connection, and what it will have been answered.
struct Guest<'a> {
    stream: TcpStream,
    answers: Vec<Answer<'a>>,
    octets: Vec<u8>,
}

/// An answer whose content doesn't matter.
fn refusal(status: u16) -> Answer<'static> {
    Answer::new(status, None)
}

impl<'a> Guest<'a> {
    /// Makes a connection, and brings it into some state. `None` if nobody is there, or no longer.
    fn arrive(campaign: &mut Campaign, site: &'a Site) -> Option<Guest<'a>> {
        let random = &mut campaign.random;
        let options = Options {
            receive_buffer: random.bool().then_some(4096),
            ..Options::default()
        };
        let mut stream = connect_with(campaign.address, options).ok()?;
        stream.set_nonblocking(true).ok()?;
        let large = Question::get(site.large(), "");
        let small = Question::any_small(site, random);
        let last = Question::get(site.small(), "Connection: close\r\n");
        let kind = random.u8(..10);
        let (octets, answers, is_half_closed) = match kind {
            0 => (Vec::new(), vec![], false),
            // It is told that it took too long.
            1 => {
                let cut = random.usize(1..small.head);
                (small.octets[..cut].to_vec(), vec![refusal(408)], false)
            }
            2 => (large.octets, vec![large.answer], false),
            3 => (large.octets, vec![large.answer], true),
            4 => (last.octets, vec![last.answer], false),
            5 => (
                [small.octets, large.octets].concat(),
                vec![small.answer, large.answer],
                false,
            ),
            6 => {
                let question = Question::any(site, random);
                (
                    question.octets[..question.head].to_vec(),
                    vec![question.answer],
                    false,
                )
            }
            7 => (small.octets, vec![small.answer], true),
            8 => (b"\xff\r\n\r\n".to_vec(), vec![refusal(400)], false),
            _ => {
                let file = site.cold(random);
                let question = Question::get(file, "");
                (question.octets, vec![question.answer], false)
            }
        };
        // Whether there is a backing server changes all the time.
        let answers = answers.into_iter().map(|answer| Answer {
            may_be_handed_over: true,
            ..answer
        });
        let answers = answers.collect();
        stream.write_all(&octets).ok()?;
        if is_half_closed {
            let _ = stream.shutdown(Shutdown::Write);
        }
        Some(Guest {
            stream,
            answers,
            octets: Vec::new(),
        })
    }

    /// Reads some of what is there. Returns whether the connection goes on.
    fn read(&mut self, random: &mut fastrand::Rng) -> bool {
        let mut buffer = vec![0; random.usize(1..50_000)];
        match self.stream.read(&mut buffer) {
            Ok(0) => false,
            Ok(len) => {
                self.octets.extend_from_slice(&buffer[..len]);
                true
            }
            Err(error) => error.kind() == std::io::ErrorKind::WouldBlock,
        }
    }
}

fn main() {
    let mut campaign = Campaign::begin();
    let site = Site::new();
    let most = number("crowd", 3000) as usize;
    let mut guests = VecDeque::<Guest<'_>>::new();
    let (mut arrived, mut refused, mut answered) = (0u64, 0u64, 0u64);
    let mut findings = Vec::new();
    while campaign.has_time() {
        match Guest::arrive(&mut campaign, &site) {
            Some(guest) => {
                arrived += 1;
                guests.push_back(guest);
            }
            None => {
                refused += 1;
                thread::sleep(Duration::from_millis(1));
            }
        }
        // Some read, some have been closed; the oldest leave.
        for _ in 0..2 {
            if guests.is_empty() {
                break;
            }
            let at = campaign.random.usize(..guests.len());
            let leaves = !guests[at].read(&mut campaign.random) || campaign.random.u8(..64) == 0;
            let leaver = if leaves {
                guests.swap_remove_back(at)
            } else if guests.len() > most {
                guests.pop_front()
            } else {
                None
            };
            let Some(guest) = leaver else {
                continue;
            };
            match whole_answers(&guest.octets, &guest.answers) {
                Ok(whole) => answered += whole as u64,
                Err(finding) => findings.push(finding),
            }
            if campaign.random.bool() {
                reset_on_close(&guest.stream);
            }
        }
    }
    println!("# {arrived} connections, {refused} refused, {answered} answers read whole");
    check("no client sees a wrong octet", findings.is_empty(), || {
        findings.truncate(5);
        findings.join("\n")
    });
    check("clients were served", answered > 0, || {
        format!("{arrived} connections")
    });
    campaign.count(arrived);
    campaign.report();
}
