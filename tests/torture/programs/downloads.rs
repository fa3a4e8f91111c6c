// SPDX-License-Identifier: GPL-2.0

//! Honest clients in a bad network: what they get is right to the octet, and whole. With `backing`
//! in the environment some of what they ask for is for a backing server, which is there.

use rust_tux_torture::exchange::{
    finish,
    write,
    Client,
    Options,
    Question,
    Scenario,
    Site, //
};
use rust_tux_torture::{
    number,
    Campaign, //
};
use std::net::Shutdown;

const SCENARIOS: &[Scenario] = &[
    ("a file", file),
    ("a pipeline", pipeline),
    ("a pipeline and a FIN", half_closed),
    ("small segments", small_segments),
];

/// A file that is not the largest: the network may be slow.
fn file(client: &mut Client<'_>) -> Result<(), String> {
    let file = client.site.any(&mut client.random);
    let file = match file.content.len() {
        0..1_000_000 => file,
        _ => client.site.small(),
    };
    let question = Question::get(file, "Connection: close\r\n");
    let mut stream = client.connect(Options::default())?;
    write(&mut stream, &question.octets)?;
    finish(&mut stream, Vec::new(), &[question.answer])
}

/// Some requests at once, of which the last one says so, or a FIN does.
fn ask(client: &mut Client<'_>, options: Options, is_half_closed: bool) -> Result<(), String> {
    let (mut octets, mut answers) = (Vec::new(), Vec::new());
    let count = client.random.usize(1..6);
    for at in 1..=count {
        let question = if at < count {
            Question::any_small(client.site, &mut client.random)
        } else {
            let fields = if is_half_closed {
                ""
            } else {
                "Connection: close\r\n"
            };
            Question::get(client.site.small(), fields)
        };
        octets.extend_from_slice(&question.octets);
        answers.push(question.answer);
    }
    let mut stream = client.connect(options)?;
    write(&mut stream, &octets)?;
    if is_half_closed {
        let result = stream.shutdown(Shutdown::Write);
        result.map_err(|error| format!("half-closing: {error}"))?;
    }
    finish(&mut stream, Vec::new(), &answers)
}

fn pipeline(client: &mut Client<'_>) -> Result<(), String> {
    ask(client, Options::default(), false)
}

fn half_closed(client: &mut Client<'_>) -> Result<(), String> {
    ask(client, Options::default(), true)
}

fn small_segments(client: &mut Client<'_>) -> Result<(), String> {
    let options = Options {
        segment: Some(client.random.i32(88..600)),
        receive_buffer: Some(client.random.i32(4000..60_000)),
        ..Options::default()
    };
    ask(client, options, false)
}

fn main() {
    let mut campaign = Campaign::begin();
    let mut site = Site::new();
    site.has_backing = number("backing", 0) != 0;
    campaign.play(8, &site, SCENARIOS);
    campaign.report();
}
