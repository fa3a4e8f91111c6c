// SPDX-License-Identifier: GPL-2.0

//! Clients that do to a connection what TCP allows: they cut what they say anywhere, leave at any
//! time and in any way, and read slowly or not at all. What comes back is right to the octet, and
//! ends where it should.

use rust_tux_torture::exchange::{
    connect_fast,
    connect_with,
    finish,
    read,
    send_urgent,
    whole_answers,
    write,
    Answer,
    Client,
    End,
    Options,
    Question,
    Scenario,
    Site, //
};
use rust_tux_torture::{
    backing,
    check,
    number,
    reset_on_close,
    Campaign, //
};
use std::io;
use std::net::{
    Shutdown,
    TcpStream, //
};
use std::sync::atomic::{
    AtomicBool,
    Ordering, //
};
use std::thread;
use std::time::Duration;

const CLOSE: &str = "Connection: close\r\n";

const SCENARIOS: &[Scenario] = &[
    ("a request cut at any octet", cut_request),
    ("a response left at any octet", left_response),
    ("requests in pieces", pieces),
    ("requests octet by octet", octets),
    ("a pipeline cut anywhere", cut_pipeline),
    ("urgent octets", urgent),
    ("a closed window", closed_window),
    ("segments of 88 octets", small_segments),
    ("a request in the SYN", fast_open),
    ("the same port again", same_port),
    ("a storm of RSTs", storm),
    ("the same again and again", again),
    ("noise", noise),
];

/// Some milliseconds, often none.
fn pause(random: &mut fastrand::Rng, longest: u64) {
    if random.bool() {
        thread::sleep(Duration::from_millis(random.u64(..=longest)));
    }
}

fn half_close(stream: &TcpStream) -> Result<(), String> {
    let result = stream.shutdown(Shutdown::Write);
    result.map_err(|error| format!("half-closing: {error}"))
}

/// Leaves a connection: by a close, which is a RST if octets are unread, or by a RST.
fn leave(stream: TcpStream, random: &mut fastrand::Rng) {
    if random.bool() {
        reset_on_close(&stream);
    }
}

/// A request of which some octets come. Behind a FIN the answer comes if the request is whole, and
/// nothing if it is not.
fn cut_request(client: &mut Client<'_>) -> Result<(), String> {
    let question = Question::any(client.site, &mut client.random);
    let cut = client.random.usize(..=question.octets.len());
    let mut stream = client.connect(Options::default())?;
    write(&mut stream, &question.octets[..cut])?;
    pause(&mut client.random, 5);
    if client.random.u8(..3) == 0 {
        leave(stream, &mut client.random);
        return Ok(());
    }
    half_close(&stream)?;
    let answers = [question.answer];
    let wanted = usize::from(cut >= question.head);
    finish(&mut stream, Vec::new(), &answers[..wanted])
}

/// A response of which the client reads so many octets, and then leaves; or half-closes, and reads
/// the rest.
fn left_response(client: &mut Client<'_>) -> Result<(), String> {
    let count = client.random.usize(1..4);
    let questions: Vec<_> = (0..count)
        .map(|_| Question::get(client.site.any(&mut client.random), ""))
        .collect();
    let answers: Vec<_> = questions
        .iter()
        .map(|question| question.answer.clone())
        .collect();
    let mut stream = client.connect(Options::default())?;
    for question in &questions {
        write(&mut stream, &question.octets)?;
    }
    let all: usize = answers
        .iter()
        .map(|answer| answer.content.map_or(0, <[u8]>::len))
        .sum();
    let mut octets = Vec::new();
    let end = read(&mut stream, &mut octets, client.random.usize(..=all + 200));
    whole_answers(&octets, &answers)?;
    match end {
        End::Enough => (),
        end => return Err(format!("{end:?} after {} octets of {all}", octets.len())),
    }
    if client.random.bool() {
        leave(stream, &mut client.random);
        return Ok(());
    }
    half_close(&stream)?;
    finish(&mut stream, octets, &answers)
}

/// Some requests, and their answers. The last one may say that it is.
fn some<'a>(site: &'a Site, random: &mut fastrand::Rng) -> (Vec<u8>, Vec<Answer<'a>>, Vec<usize>) {
    let (mut octets, mut answers, mut heads) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..random.usize(1..10) {
        let question = Question::any(site, random);
        heads.push(octets.len() + question.head);
        octets.extend_from_slice(&question.octets);
        answers.push(question.answer);
    }
    if random.bool() {
        let question = Question::get(site.any(random), CLOSE);
        heads.push(octets.len() + question.head);
        octets.extend_from_slice(&question.octets);
        answers.push(question.answer);
    }
    (octets, answers, heads)
}

/// A pipeline in pieces, with pauses between them.
fn pieces(client: &mut Client<'_>) -> Result<(), String> {
    let (octets, answers, _) = some(client.site, &mut client.random);
    let mut stream = client.connect(Options::default())?;
    let mut rest = &octets[..];
    while !rest.is_empty() {
        let (piece, behind) = rest.split_at(client.random.usize(1..=rest.len().min(700)));
        write(&mut stream, piece)?;
        pause(&mut client.random, 3);
        rest = behind;
    }
    half_close(&stream)?;
    finish(&mut stream, Vec::new(), &answers)
}

/// A request of which each octet is a segment.
fn octets(client: &mut Client<'_>) -> Result<(), String> {
    let question = Question::get(client.site.any(&mut client.random), CLOSE);
    let mut stream = client.connect(Options::default())?;
    for octet in question.octets.chunks(1) {
        write(&mut stream, octet)?;
    }
    finish(&mut stream, Vec::new(), &[question.answer])
}

/// A pipeline that ends anywhere: what was asked by then is answered, and nothing else.
fn cut_pipeline(client: &mut Client<'_>) -> Result<(), String> {
    let (octets, answers, heads) = some(client.site, &mut client.random);
    let cut = client.random.usize(..=octets.len());
    let mut stream = client.connect(Options::default())?;
    write(&mut stream, &octets[..cut])?;
    pause(&mut client.random, 5);
    half_close(&stream)?;
    let wanted = heads.iter().filter(|head| **head <= cut).count();
    finish(&mut stream, Vec::new(), &answers[..wanted])
}

/// Octets of a pipeline that are urgent: they are octets like others.
fn urgent(client: &mut Client<'_>) -> Result<(), String> {
    let (octets, answers, _) = some(client.site, &mut client.random);
    let mut stream = client.connect(Options::default())?;
    let mut rest = &octets[..];
    while !rest.is_empty() {
        let (piece, behind) = rest.split_at(client.random.usize(1..=rest.len().min(300)));
        if client.random.bool() {
            send_urgent(&stream, piece)?;
        } else {
            write(&mut stream, piece)?;
        }
        rest = behind;
    }
    half_close(&stream)?;
    finish(&mut stream, Vec::new(), &answers)
}

/// A client whose window closes, and opens a little from time to time.
fn closed_window(client: &mut Client<'_>) -> Result<(), String> {
    let options = Options {
        receive_buffer: Some(client.random.i32(1..8000)),
        ..Options::default()
    };
    let file = match client.random.bool() {
        true => client.site.large(),
        false => client.site.any(&mut client.random),
    };
    let question = Question::get(file, CLOSE);
    let answers = [question.answer];
    let mut stream = client.connect(options)?;
    write(&mut stream, &question.octets)?;
    let mut octets = Vec::new();
    for _ in 0..client.random.usize(..6) {
        thread::sleep(Duration::from_millis(client.random.u64(..300)));
        let enough = octets.len() + client.random.usize(1..5000);
        match read(&mut stream, &mut octets, enough) {
            End::Enough => (),
            // A small file has come.
            End::Closed => break,
            end => return Err(format!("{end:?} after {} octets", octets.len())),
        }
    }
    // The largest file takes long through such a window.
    if file.content.len() <= 200_000 {
        return finish(&mut stream, octets, &answers);
    }
    whole_answers(&octets, &answers)?;
    leave(stream, &mut client.random);
    Ok(())
}

/// A client that can take no more than 88 octets in a segment.
fn small_segments(client: &mut Client<'_>) -> Result<(), String> {
    let options = Options {
        segment: Some(88),
        ..Options::default()
    };
    let (octets, answers, _) = some(client.site, &mut client.random);
    let mut stream = client.connect(options)?;
    write(&mut stream, &octets)?;
    half_close(&stream)?;
    finish(&mut stream, Vec::new(), &answers)
}

/// A client that sends requests in its SYN, with and without a cookie.
fn fast_open(client: &mut Client<'_>) -> Result<(), String> {
    let fast = ["1027", "1031", "1543"][client.random.usize(..3)];
    let set = std::fs::write("/proc/sys/net/ipv4/tcp_fastopen", fast);
    set.map_err(|error| format!("switching TCP Fast Open on: {error}"))?;
    let (octets, answers, _) = some(client.site, &mut client.random);
    let stream = connect_fast(client.address, &octets);
    let mut stream = stream.map_err(|error| format!("connecting: {error}"))?;
    half_close(&stream)?;
    finish(&mut stream, Vec::new(), &answers)
}

/// A client that comes back from the same port, while the server's last socket is in TIME-WAIT.
fn same_port(client: &mut Client<'_>) -> Result<(), String> {
    // Below those that the kernel chooses.
    let options = Options {
        port: Some(client.random.u16(10_000..30_000)),
        ..Options::default()
    };
    for round in 0..4 {
        let question = Question::get(client.site.any(&mut client.random), CLOSE);
        let mut tries = 0;
        let mut stream = loop {
            match connect_with(client.address, options) {
                Ok(stream) => break stream,
                // Another client has it.
                Err(error)
                    if round == 0
                        && matches!(
                            error.kind(),
                            io::ErrorKind::AddrInUse | io::ErrorKind::AddrNotAvailable
                        ) =>
                {
                    return Ok(());
                }
                // The server's last ACK is still to come.
                Err(error) if error.kind() == io::ErrorKind::AddrNotAvailable && tries < 1000 => {
                    tries += 1;
                    thread::sleep(Duration::from_millis(10));
                }
                Err(error) => return Err(format!("round {round}: connecting: {error}")),
            }
        };
        write(&mut stream, &question.octets)?;
        // The server closes first: the socket in TIME-WAIT is its own.
        finish(&mut stream, Vec::new(), &[question.answer])
            .map_err(|error| format!("round {round}: {error}"))?;
    }
    Ok(())
}

/// Connections that are reset together, each at another stage.
fn storm(client: &mut Client<'_>) -> Result<(), String> {
    let mut streams = Vec::new();
    for _ in 0..client.random.usize(1..60) {
        let mut stream = client.connect(Options::default())?;
        match client.random.u8(..4) {
            0 => (),
            1 => write(&mut stream, b"GET / HT")?,
            2 => write(&mut stream, &Question::get(client.site.large(), "").octets)?,
            _ => {
                let question = Question::any(client.site, &mut client.random);
                write(&mut stream, &question.octets)?;
                half_close(&stream)?;
            }
        }
        reset_on_close(&stream);
        streams.push(stream);
    }
    pause(&mut client.random, 20);
    client.random.shuffle(&mut streams);
    Ok(())
}

/// The same request again and again, some at a time, so that its answer is ready as a rule. The
/// client reads as it likes, and may leave in the middle.
fn again(client: &mut Client<'_>) -> Result<(), String> {
    let options = Options {
        receive_buffer: (client.random.u8(..4) == 0).then(|| client.random.i32(1..30_000)),
        ..Options::default()
    };
    let file = match client.site.any(&mut client.random) {
        file if file.content.len() <= 20_000 => file,
        _ => client.site.small(),
    };
    let question = Question::get(file, "");
    let all = client.random.usize(1..40);
    let mut answers = Vec::new();
    let mut octets = Vec::new();
    let mut stream = client.connect(options)?;
    while answers.len() < all {
        let count = match client.random.bool() {
            true => 1,
            false => client.random.usize(1..6),
        };
        write(&mut stream, &question.octets.repeat(count))?;
        answers.resize(answers.len() + count, question.answer.clone());
        // Heads come in addition.
        let enough = client.random.usize(..=answers.len() * file.content.len());
        match read(&mut stream, &mut octets, enough) {
            End::Enough => (),
            end => return Err(format!("{end:?} after {} octets", octets.len())),
        }
        if client.random.u8(..32) == 0 {
            whole_answers(&octets, &answers)?;
            leave(stream, &mut client.random);
            return Ok(());
        }
    }
    half_close(&stream)?;
    finish(&mut stream, octets, &answers)
}

/// Octets that are no request: they are refused, and the answer comes whole, though more octets
/// come behind it.
fn noise(client: &mut Client<'_>) -> Result<(), String> {
    let mut octets = vec![0; client.random.usize(1..60_000)];
    client.random.fill(&mut octets);
    // Neither a method nor an empty line begins so.
    octets[0] = 0xff;
    let mut stream = client.connect(Options::default())?;
    write(&mut stream, &octets)?;
    half_close(&stream)?;
    let refusal = Answer::new(400, None);
    finish(&mut stream, Vec::new(), &[refusal])
}

fn main() {
    let mut campaign = Campaign::begin();
    let mut site = Site::new();
    site.write();
    // In the place of refusals are requests that are handed over, if it has a port.
    let port = number("backing", 0) as u16;
    let server = (port != 0).then(|| backing::listen(port).expect("the port is free"));
    site.has_backing = server.is_some();
    let has_ended = AtomicBool::new(false);
    thread::scope(|scope| {
        let goes_on = || !has_ended.load(Ordering::Relaxed);
        let server = server.map(|server| scope.spawn(move || backing::serve(&server, goes_on)));
        campaign.play(6, &site, SCENARIOS);
        has_ended.store(true, Ordering::Relaxed);
        let Some(served) = server.map(|server| server.join().expect("a thread")) else {
            return;
        };
        let is_served = matches!(served, Ok((_, answered)) if answered > 0);
        check("connections are handed over", is_served, || {
            format!("{served:?}")
        });
        println!("# handed over, and answered there: {served:?}");
    });
    campaign.report();
}
