// SPDX-License-Identifier: GPL-2.0

//! Fuzzing of the whole server over its socket.
//!
//! Streams of requests, made of the corpus and of what comes of changing it, are sent in pieces of
//! any size, from several connections at a time. What may come back is worked out by the parser of
//! the module itself, compiled for the host, which has the stream whole: how many responses, which
//! status a refusal has, and that nothing is answered behind it. So the kernel's part is what is
//! tested: where octets lie, when they come, what is kept between them, and that it survives.
//!
//! With `backing` in the environment a backing server listens on that port. It says of each
//! connection which request line is the first that it has got: that of the first request that is
//! its.
//!
//! With the instrumented module (`scripts/torture.sh --kernel kcov`) a stream that reaches code
//! which none before it has reached is kept, and changed further.

#![allow(dead_code, reason = "the kernel side is what uses the rest")]

use rust_tux_torture::kcov::{
    connect_from,
    Collector,
    Functions, //
};
use rust_tux_torture::{
    backing,
    check,
    number,
    reset_on_close,
    Campaign, //
};
use std::collections::{
    BTreeMap,
    BTreeSet,
    HashSet, //
};
use std::env;
use std::io::{
    self,
    Read,
    Write, //
};
use std::net::{
    Ipv4Addr,
    Shutdown,
    TcpStream, //
};
use std::sync::atomic::{
    AtomicBool,
    AtomicU64,
    Ordering, //
};
use std::sync::Mutex;
use std::thread;
use std::time::{
    Duration,
    Instant, //
};

/// The sources, laid out as in the module.
#[path = "../../../src"]
mod src {
    pub(crate) mod http;
}

use src::http;

#[path = "../../differential/generate.rs"]
mod generate;
#[path = "../../fuzz/seeds.rs"]
mod seeds;

use http::framing::{
    Body,
    Drain, //
};
use http::request::{
    self,
    Expect,
    Limits,
    Method,
    Request, //
};

/// Connections at a time.
const THREADS: u64 = 4;

/// Cases that are made at a time.
const CASES: usize = 4000;

/// Longest body that is passed over, as in `dispatch.rs`.
const BODY_LIMIT: u64 = 1 << 20;

/// What may come for one request.
struct Expected {
    /// It has no content.
    is_head: bool,
    /// The only status there may be; any but a refusal otherwise.
    status: Option<u16>,
    /// What the backing server says if it gets the request: the line that it begins with.
    line: Vec<u8>,
    /// Whether it is the backing server's, if there is one, unless it is refused.
    is_dynamic: bool,
    /// It may be the last one: that depends on the status, or on when octets of its body came.
    may_be_last: bool,
}

/// What may come for a stream that then ends, and whether it could go on with another request.
fn expect(mut octets: &[u8]) -> (Vec<Expected>, bool) {
    let mut all = vec![];
    let limits = Limits::default();
    loop {
        let mut request = Request::new();
        let read = if octets.is_empty() {
            Ok(None)
        } else {
            request.read(octets, &limits)
        };
        let head = match read {
            Ok(Some(head)) => head,
            Ok(None) => return (all, octets.is_empty()),
            Err(bad) => {
                all.push(Expected {
                    is_head: request::is_head(octets),
                    status: Some(bad.status().code()),
                    line: Vec::new(),
                    is_dynamic: false,
                    may_be_last: true,
                });
                return (all, false);
            }
        };
        let line = backing::request_line(octets).to_vec();
        octets = &octets[head..];
        let is_too_long = matches!(request.body, Body::Length(length) if length > BODY_LIMIT);
        let is_left =
            request.body != Body::None && (request.expect != Expect::Nothing || is_too_long);
        let mut drain = Drain::new(request.body);
        all.push(Expected {
            is_head: request.method == Method::Head,
            status: None,
            line,
            is_dynamic: !matches!(request.method, Method::Get | Method::Head)
                || request.body != Body::None
                || request.upgrade
                || request.target.query.is_some(),
            may_be_last: request.body != Body::None,
        });
        if !request.is_persistent || is_left {
            return (all, false);
        }
        if !drain.is_done() {
            match drain.consume(octets) {
                Ok(progress) if progress.is_done => octets = &octets[progress.consumed..],
                // It ends too early; or is refused, either at once or behind its response.
                Ok(_) | Err(_) => return (all, false),
            }
        }
    }
}

/// A response: its status, and whose it is.
struct Response {
    status: u16,
    /// What the backing server has said; nothing if it is none of its.
    handed_over: Option<Vec<u8>>,
}

/// A response; none at the end of the stream.
fn response(
    stream: &mut TcpStream,
    unread: &mut Vec<u8>,
    is_head: bool,
) -> Result<Option<Response>, String> {
    let end = loop {
        if let Some(at) = unread.windows(4).position(|w| w == b"\r\n\r\n") {
            break at + 4;
        }
        if more(stream, unread)? == 0 {
            return match unread.len() {
                0 => Ok(None),
                len => Err(format!(
                    "{len} octets that are no response: {}",
                    unread.escape_ascii()
                )),
            };
        }
    };
    let head = String::from_utf8(unread[..end].to_vec()).map_err(|e| e.to_string())?;
    let status: u16 = head
        .strip_prefix("HTTP/1.1 ")
        .and_then(|rest| rest.get(..3))
        .and_then(|code| code.parse().ok())
        .ok_or_else(|| format!("no status line: {head}"))?;
    let is_handed_over = head.starts_with(backing::STATUS_LINE);
    if !is_handed_over && !head.contains("\r\nDate: ") {
        return Err(format!("no Date: {head}"));
    }
    let mut length = 0;
    if !is_head && ![204, 304].contains(&status) {
        let value = head
            .split("\r\nContent-Length: ")
            .nth(1)
            .and_then(|rest| rest.split('\r').next());
        length = value
            .and_then(|value| value.parse().ok())
            .ok_or_else(|| format!("no length: {head}"))?;
    }
    while unread.len() < end + length {
        if more(stream, unread)? == 0 {
            return Err(format!(
                "{} octets of {length} of content: {head}",
                unread.len() - end
            ));
        }
    }
    let octets: Vec<u8> = unread.drain(..end + length).collect();
    Ok(Some(Response {
        status,
        handed_over: is_handed_over.then(|| octets[end..].to_vec()),
    }))
}

/// Reads on.
fn more(stream: &mut TcpStream, unread: &mut Vec<u8>) -> Result<usize, String> {
    let mut buffer = [0; 16384];
    let len = stream
        .read(&mut buffer)
        .map_err(|e| format!("reading: {e}"))?;
    unread.extend(&buffer[..len]);
    Ok(len)
}

/// Sends a stream in pieces: of `period` octets each, if there is one.
fn send(
    stream: &mut TcpStream,
    octets: &[u8],
    period: Option<usize>,
    random: &mut fastrand::Rng,
) -> io::Result<()> {
    let longest = match random.u32(..8) {
        0 => 1 + random.usize(..3),
        1 | 2 => 1 + random.usize(..100),
        _ => octets.len(),
    };
    let mut rest = octets;
    while !rest.is_empty() {
        let len = period.unwrap_or_else(|| 1 + random.usize(..longest));
        let len = len.min(rest.len());
        stream.write_all(&rest[..len])?;
        rest = &rest[len..];
        if random.u32(..64) == 0 {
            thread::yield_now();
        }
    }
    Ok(())
}

/// What was learnt of the code that streams reach.
struct Guide {
    /// The address of the thread's connections, by which they are told from others'.
    client: Ipv4Addr,
    /// Nothing if the module isn't instrumented.
    collector: Option<Collector>,
    reached: HashSet<u64>,
    /// Streams that have reached what none before had.
    pool: Vec<Vec<u8>>,
}

impl Guide {
    fn new(thread: u64) -> Guide {
        let client = Ipv4Addr::new(127, 7, thread as u8, 1);
        let collector = Collector::open(1 << 18).ok();
        let collector = collector.filter(|collector| collector.enable(client).is_ok());
        Guide {
            client,
            collector,
            reached: HashSet::new(),
            pool: vec![],
        }
    }

    /// Takes note of what `stream` has reached. What is still under way counts for the next one.
    fn learn(&mut self, stream: &[u8], shared: &Shared) {
        let Some(collector) = &self.collector else {
            return;
        };
        let before = self.reached.len();
        self.reached.extend(collector.addresses());
        collector.reset();
        if self.reached.len() > before {
            shared.reached.lock().unwrap().extend(&self.reached);
            shared.kept.fetch_add(1, Ordering::Relaxed);
            self.pool.push(stream.to_vec());
        }
    }
}

/// One connection: sends `octets`, and holds what comes against what may. Returns how many
/// responses there were.
fn converse(
    campaign: &mut Campaign,
    client: Ipv4Addr,
    octets: &[u8],
    period: Option<usize>,
    shared: &Shared,
) -> Result<u64, String> {
    let Shared {
        has_backing,
        handed_over,
        ..
    } = shared;
    let stream = connect_from(client, campaign.address);
    let mut stream = stream.map_err(|e| format!("connecting: {e}"))?;
    let random = &mut campaign.random;
    if random.u32(..32) == 0 {
        // Gone in the middle, with or without a word.
        let len = random.usize(..=octets.len());
        let _ = send(&mut stream, &octets[..len], period, random);
        if random.bool() {
            reset_on_close(&stream);
        }
        return Ok(0);
    }
    // The server may have closed before all is sent. What it said comes nevertheless.
    let _ = send(&mut stream, octets, period, random);
    let _ = stream.shutdown(Shutdown::Write);
    let mut unread = vec![];
    let mut count = 0;
    let mut may_end = false;
    for expected in expect(octets).0 {
        let what = |e: String| format!("response {count}: {e}");
        match response(&mut stream, &mut unread, expected.is_head).map_err(what)? {
            None if may_end => return Ok(count),
            None => return Err(format!("no response {count}")),
            Some(Response {
                handed_over: Some(line),
                ..
            }) => {
                let is_it = line == expected.line || (expected.is_head && line.is_empty());
                if expected.status.is_some() || !is_it {
                    return Err(format!(
                        "request {count} is handed over as {:?}",
                        line.escape_ascii().to_string()
                    ));
                }
                count += 1;
                handed_over.fetch_add(1, Ordering::Relaxed);
                // The rest is the backing server's, which has nothing more to say.
                break;
            }
            Some(Response { status, .. }) => {
                if *has_backing && expected.is_dynamic && (status < 400 || status == 405) {
                    return Err(format!("request {count} is answered with {status}"));
                }
                if expected.status.is_some_and(|wanted| wanted != status)
                    || [500, 503].contains(&status)
                {
                    return Err(format!(
                        "response {count} is {status}, not {:?}",
                        expected.status
                    ));
                }
            }
        }
        count += 1;
        may_end = expected.may_be_last;
    }
    match response(&mut stream, &mut unread, false) {
        Ok(None) => Ok(count),
        Ok(Some(Response { status, .. })) => {
            Err(format!("a {status} that answers nothing, behind {count}"))
        }
        Err(e) => Err(format!("behind {count} responses: {e}")),
    }
}

/// Cases of some texts, and what comes of changing them.
fn cases(seed: u64, texts: &[String]) -> Vec<Vec<u8>> {
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    generate::cases(seed, CASES, &texts)
}

/// What the threads share.
#[derive(Default)]
struct Shared {
    /// Whether there is a backing server.
    has_backing: bool,
    /// Requests that were handed over.
    handed_over: AtomicU64,
    /// The addresses of all that is reached.
    reached: Mutex<HashSet<u64>>,
    /// Streams that were kept.
    kept: AtomicU64,
    connections: AtomicU64,
    has_ended: AtomicBool,
}

impl Shared {
    /// Says now and then what is reached by then.
    fn tell(&self) {
        let begin = Instant::now();
        let pause = (number("TEST_SECONDS", 10) / 20).max(1);
        let mut next = pause;
        while !self.has_ended.load(Ordering::Relaxed) {
            thread::sleep(Duration::from_millis(100));
            let seconds = begin.elapsed().as_secs();
            let reached = self.reached.lock().unwrap().len();
            if seconds < next || reached == 0 {
                continue;
            }
            next = seconds + pause;
            println!(
                "# after {seconds} s: {} connections, {reached} places reached, {} streams kept",
                self.connections.load(Ordering::Relaxed),
                self.kept.load(Ordering::Relaxed)
            );
        }
    }

    /// Says which functions of the module are reached, and which aren't.
    fn tell_functions(&self) {
        let reached = self.reached.lock().unwrap();
        let Ok(functions) = Functions::read() else {
            return;
        };
        let names: BTreeSet<&str> = reached.iter().map(|at| functions.name(*at)).collect();
        // What bindgen derives, and the compiler adds, nobody calls.
        let is_ours = |name: &&str| !name.contains("::bindings::") && !name.starts_with("asan.");
        let all: BTreeSet<&str> = functions.names().filter(is_ours).collect();
        let count = all.intersection(&names).count();
        println!("# {count} functions of {} reached", all.len());
        let mut others = BTreeMap::<&str, Vec<&str>>::new();
        for name in all.difference(&names) {
            let (of, name) = name.rsplit_once("::").unwrap_or(("", name));
            others.entry(of).or_default().push(name);
        }
        for (of, names) in others {
            println!("# not reached: {of}: {}", names.join(" "));
        }
    }
}

/// What one thread, or all of them, did.
#[derive(Default)]
struct Account {
    connections: u64,
    /// Requests that were answered.
    answered: u64,
    wrong: Vec<String>,
}

fn run(thread: u64, texts: &[String], shared: &Shared) -> Account {
    let mut campaign = Campaign::begin_thread(thread);
    let mut guide = Guide::new(thread);
    let mut account = Account::default();
    let mut changes = generate::Random::new(campaign.random.u64(..));
    'campaign: loop {
        let cases = cases(campaign.random.u64(..), texts);
        // Behind most requests there could be no other one.
        let goes_on = |case: &&Vec<u8>| expect(case).1;
        let whole: Vec<&Vec<u8>> = cases.iter().filter(goes_on).collect();
        for _ in 0..CASES {
            if !campaign.goes_on() || account.wrong.len() > 4 {
                break 'campaign;
            }
            let random = &mut campaign.random;
            let mut octets = vec![];
            let mut period = None;
            match random.choice(&guide.pool) {
                Some(kept) if random.bool() => {
                    octets.clone_from(kept);
                    for _ in 0..1 + random.usize(..3) {
                        generate::change(&mut octets, &mut changes);
                    }
                }
                // One request again and again, each by itself: the answer of the first is that of
                // all.
                _ if random.u32(..4) == 0 => {
                    let one = whole[random.usize(..whole.len())];
                    octets = one.repeat(2 + random.usize(..22));
                    period = random.bool().then_some(one.len());
                    octets.extend(&cases[random.usize(..cases.len())]);
                }
                _ => {
                    for _ in 0..random.usize(..24) {
                        octets.extend(whole[random.usize(..whole.len())]);
                    }
                    for _ in 0..1 + random.usize(..2) {
                        octets.extend(&cases[random.usize(..cases.len())]);
                    }
                }
            }
            account.connections += 1;
            shared.connections.fetch_add(1, Ordering::Relaxed);
            match converse(&mut campaign, guide.client, &octets, period, shared) {
                Ok(responses) => account.answered += responses,
                Err(what) => {
                    let stream = seeds::write(&octets);
                    account.wrong.push(format!("{what}\n{stream}"));
                }
            }
            guide.learn(&octets, shared);
        }
    }
    account
}

/// The arguments are texts of the corpus.
fn main() {
    let texts: Vec<String> = env::args().skip(1).collect();
    let port = number("backing", 0) as u16;
    let server = (port != 0).then(|| backing::listen(port).expect("the port is free"));
    let shared = Shared {
        has_backing: server.is_some(),
        ..Shared::default()
    };
    let mut all = Account::default();
    thread::scope(|scope| {
        let goes_on = || !shared.has_ended.load(Ordering::Relaxed);
        if let Some(server) = &server {
            scope.spawn(move || backing::serve(server, goes_on));
        }
        scope.spawn(|| shared.tell());
        let threads: Vec<_> = (0..number("TEST_THREADS", THREADS))
            .map(|thread| {
                let (texts, shared) = (&texts, &shared);
                scope.spawn(move || run(thread, texts, shared))
            })
            .collect();
        for thread in threads {
            let account = thread.join().expect("a thread");
            all.connections += account.connections;
            all.answered += account.answered;
            all.wrong.extend(account.wrong);
        }
        shared.has_ended.store(true, Ordering::Relaxed);
    });
    check("what comes is what may come", all.wrong.is_empty(), || {
        all.wrong.join("\n")
    });
    check(
        "there were responses",
        all.answered > all.connections,
        || format!("{}", all.answered),
    );
    println!(
        "# {} connections, {} responses",
        all.connections, all.answered
    );
    let handed_over = shared.handed_over.load(Ordering::Relaxed);
    if shared.has_backing {
        check("requests were handed over", handed_over > 0, String::new);
        println!("# {handed_over} handed over");
    }
    let reached = shared.reached.lock().unwrap().len();
    // Whether the module is instrumented.
    if number("guided", 0) != 0 {
        check("it is seen what is reached", reached > 0, String::new);
    }
    if reached > 0 {
        println!(
            "# {reached} places reached, {} streams kept",
            shared.kept.load(Ordering::Relaxed)
        );
        shared.tell_functions();
    }
    println!("# operations: {}", all.answered);
}
