// SPDX-License-Identifier: GPL-2.0

//! What code of the module requests reach.
//!
//! With arguments, each is a request (\\r and \\n are escapes): prints how many addresses of each
//! function it has reached. Without, sees that the coverage of the connections of one address is
//! collected wherever it comes from, and that of others isn't. Needs `old.bin` and `new.bin` in the
//! document root, of which the latter isn't in the page cache.

use rust_tux_torture::kcov::{
    connect_from,
    Collector,
    Functions, //
};
use rust_tux_torture::{
    check,
    drain,
    Campaign, //
};
use std::collections::{
    BTreeMap,
    BTreeSet, //
};
use std::io::{
    self,
    Write, //
};
use std::net::{
    Ipv4Addr,
    SocketAddr, //
};
use std::time::Duration;

const OURS: Ipv4Addr = Ipv4Addr::new(127, 7, 7, 7);
const OTHER: Ipv4Addr = Ipv4Addr::new(127, 7, 7, 8);

/// The addresses that a request reaches that `client` makes, with the accept and the close of its
/// connection; and the first line of the response.
fn reached(
    collector: &Collector,
    client: Ipv4Addr,
    server: SocketAddr,
    request: &[u8],
) -> io::Result<(BTreeSet<u64>, String)> {
    collector.reset();
    let mut stream = connect_from(client, server)?;
    stream.write_all(request)?;
    let response = drain(&mut stream);
    drop(stream);
    collector.settle(Duration::from_millis(200));
    if collector.is_full() {
        return Err(io::Error::other("there was no room for all addresses"));
    }
    let line = response
        .split(|&octet| octet == b'\r')
        .next()
        .unwrap_or(&[]);
    Ok((
        collector.addresses().collect(),
        String::from_utf8_lossy(line).into_owned(),
    ))
}

fn get(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").into_bytes()
}

fn print(functions: &Functions, reached: &BTreeSet<u64>) {
    let mut counts = BTreeMap::new();
    for address in reached {
        *counts.entry(functions.name(*address)).or_insert(0) += 1;
    }
    for (name, count) in counts {
        println!("# {count:6} {name}");
    }
}

fn self_check(server: SocketAddr, collector: &Collector, functions: &Functions) -> io::Result<()> {
    let (first, line) = reached(collector, OURS, server, &get("/old.bin"))?;
    println!("# GET: {line}: {} addresses", first.len());
    let has = |set: &BTreeSet<u64>, part: &str| {
        set.iter()
            .any(|&address| functions.name(address).contains(part))
    };
    let known = first.iter().all(|&address| functions.name(address) != "?");
    check(
        "all addresses are of the module",
        known && !first.is_empty(),
        || format!("{first:x?}"),
    );
    check(
        "what runs in softirq is collected",
        has(&first, "callbacks::state_change"),
        || "no state_change".into(),
    );
    check(
        "what a worker runs is collected",
        has(&first, "turn::Turn"),
        || "no turn".into(),
    );
    let (new, line) = reached(collector, OURS, server, &get("/new.bin"))?;
    println!(
        "# GET of what has to be read: {line}: {} addresses",
        new.len()
    );
    check(
        "what a work item runs is collected",
        has(&new, "job::Job"),
        || "no job".into(),
    );
    let (bad, line) = reached(collector, OURS, server, b"GET / HTTP/1.1\r\nHost\r\n\r\n")?;
    println!("# a bad request: {line}: {} addresses", bad.len());
    let more = bad.difference(&first).count();
    check("another request reaches other code", more > 0, String::new);
    let (others, line) = reached(collector, OTHER, server, &get("/old.bin"))?;
    println!("# another client: {line}");
    check("what others do isn't collected", others.is_empty(), || {
        format!("{others:x?}")
    });
    let all: BTreeSet<&str> = functions.names().collect();
    let seen: BTreeSet<&str> = first
        .iter()
        .chain(&new)
        .chain(&bad)
        .map(|&a| functions.name(a))
        .collect();
    println!("# {} of {} functions were reached", seen.len(), all.len());
    Ok(())
}

fn main() -> io::Result<()> {
    let campaign = Campaign::begin();
    let collector = Collector::open(1 << 20)?;
    collector.enable(OURS)?;
    let functions = Functions::read()?;
    let requests: Vec<String> = std::env::args().skip(1).collect();
    if requests.is_empty() {
        self_check(campaign.address, &collector, &functions)?;
    }
    for text in requests {
        let octets = text.replace("\\r", "\r").replace("\\n", "\n");
        let (set, line) = reached(&collector, OURS, campaign.address, octets.as_bytes())?;
        println!("# {text}: {line}: {} addresses", set.len());
        print(&functions, &set);
    }
    campaign.report();
    Ok(())
}
