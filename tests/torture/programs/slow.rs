// SPDX-License-Identifier: GPL-2.0

//! A crowd of slow clients: idle ones, heads and bodies that come octet by octet, readers that
//! take little. What each costs is measured, and how long a new client waits meanwhile.

use rust_tux_torture::site::{
    Client,
    Outcome,
    Pattern,
    Site, //
};
use rust_tux_torture::{
    check,
    counter,
    meminfo,
    number,
    set_option,
    tcp_counter,
    Campaign, //
};
use std::fmt;
use std::fs;
use std::io::{
    self,
    ErrorKind,
    Read,
    Write, //
};
use std::mem::size_of;
use std::net::{
    SocketAddr,
    TcpStream, //
};
use std::os::fd::FromRawFd;
use std::path::PathBuf;
use std::sync::atomic::{
    AtomicBool,
    AtomicU64,
    Ordering, //
};
use std::thread;
use std::time::{
    Duration,
    Instant, //
};

/// Of the file that slow readers read.
const BIG: u64 = 1 << 20;
const BIG_NUMBER: usize = 10;
/// Of the content of slow uploads.
const UPLOAD: usize = 3000;
/// Clients of one source address: fewer than there are ephemeral ports.
const EACH: usize = 20_000;
/// A head that its client sends octet by octet.
const HEAD: &[u8] = b"GET /index.html HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\n\r\n";

/// Octets of free pages on the lists of CPUs. For /proc/meminfo they aren't available.
fn listed() -> i64 {
    let text = fs::read_to_string("/proc/zoneinfo").unwrap();
    let counts = text
        .lines()
        .filter_map(|line| line.trim().strip_prefix("count:"));
    // SAFETY: There are no pointers.
    let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    counts
        .map(|count| count.trim().parse::<i64>().unwrap() * page)
        .sum()
}

/// Has each slab cache give back what it doesn't use. Only so KASAN lets go of objects that were
/// freed, of which it keeps up to a part in 32 of all memory.
fn shrink() {
    let caches = fs::read_dir("/sys/kernel/slab").into_iter().flatten();
    for cache in caches.flatten() {
        // The others are second names.
        if cache.file_type().is_ok_and(|kind| kind.is_dir()) {
            let _ = fs::write(cache.path().join("shrink"), "1");
        }
    }
}

/// What is available when what is freed later, by RCU for one, has been freed.
fn available() -> i64 {
    shrink();
    let now = || meminfo("MemAvailable:") + listed();
    let mut last = now();
    for _ in 0..10 {
        thread::sleep(Duration::from_millis(500));
        let now = now();
        if (now - last).abs() < 1 << 19 {
            return now;
        }
        last = now;
    }
    last
}

/// Octets in each kind of slab.
fn slabs() -> Vec<(String, i64)> {
    let text = fs::read_to_string("/proc/slabinfo").unwrap_or_default();
    let slab = |line: &str| {
        let mut words = line.split_whitespace();
        let name = words.next()?.to_string();
        let _active = words.next()?;
        let objects: i64 = words.next()?.parse().ok()?;
        let size: i64 = words.next()?.parse().ok()?;
        Some((name, objects * size))
    };
    text.lines().skip(2).filter_map(slab).collect()
}

/// Octets by which slabs have grown since `before`, for each of `count` connections.
struct Growth(Vec<(i64, String)>);

impl Growth {
    fn since(before: &[(String, i64)], count: usize) -> Growth {
        let mut all: Vec<(i64, String)> = slabs()
            .into_iter()
            .map(|(name, octets)| {
                let was = before
                    .iter()
                    .find(|(other, _)| *other == name)
                    .map_or(0, |(_, was)| *was);
                ((octets - was) / count.max(1) as i64, name)
            })
            .collect();
        all.sort_by(|a, b| b.cmp(a));
        Growth(all)
    }

    /// Of those whose name begins so.
    fn of(&self, begin: &str) -> i64 {
        self.0
            .iter()
            .filter(|(_, name)| name.starts_with(begin))
            .map(|(octets, _)| octets)
            .sum()
    }
}

impl fmt::Display for Growth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self.0.iter().take(8).filter(|(octets, _)| *octets >= 16);
        let shown: Vec<String> = shown
            .map(|(octets, name)| format!("{name} {octets}"))
            .collect();
        f.write_str(&shown.join(", "))
    }
}

/// A connection from the source address that the `index`-th client has.
fn connect(to: SocketAddr, index: usize) -> io::Result<TcpStream> {
    let address = |host: u8, port: u16| libc::sockaddr_in {
        sin_family: libc::AF_INET as libc::sa_family_t,
        sin_port: port.to_be(),
        sin_addr: libc::in_addr {
            s_addr: u32::from_ne_bytes([127, 0, 0, host]),
        },
        sin_zero: [0; 8],
    };
    // SAFETY: There are no pointers.
    let fd = unsafe { libc::socket(libc::AF_INET, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, 0) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: It was opened just now, and is nobody else's.
    let stream = unsafe { TcpStream::from_raw_fd(fd) };
    // The port is chosen when the other end is known, so that each address has all of them.
    set_option(&stream, libc::SOL_IP, libc::IP_BIND_ADDRESS_NO_PORT, 1i32);
    let size = size_of::<libc::sockaddr_in>() as libc::socklen_t;
    let from = address(2 + (index / EACH) as u8, 0);
    // SAFETY: The pointer is to an address of that size.
    if unsafe { libc::bind(fd, (&raw const from).cast(), size) } < 0 {
        return Err(io::Error::last_os_error());
    }
    let to = address(1, to.port());
    // SAFETY: The pointer is to an address of that size.
    if unsafe { libc::connect(fd, (&raw const to).cast(), size) } < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(stream)
}

/// How long new clients wait for an answer: the median, and what 99 of 100 stay below.
fn latency(
    site: &Site,
    seconds: f64,
    operations: &mut u64,
) -> Result<(Duration, Duration), String> {
    let kind = site.of("/");
    let begin = Instant::now();
    let mut times = Vec::new();
    while begin.elapsed().as_secs_f64() < seconds || times.len() < 100 {
        let asked = Instant::now();
        match site.ask_one(kind) {
            Outcome::Right => times.push(asked.elapsed()),
            other => return Err(format!("{other:?}")),
        }
        *operations += 1;
        thread::sleep(Duration::from_millis(5));
    }
    times.sort();
    let (median, late) = (times[times.len() / 2], times[times.len() * 99 / 100]);
    println!(
        "#   {} clients: median {median:.1?}, 99 % below {late:.1?}",
        times.len()
    );
    Ok((median, late))
}

/// A client that is slow at something.
enum Slow {
    /// How much of a head was sent.
    Head(Client, usize),
    /// How much of an upload was sent; the answer to it was read.
    Body(Client, usize),
    /// How much of a file was read, and whether there is little room for what comes.
    Reader(Client, u64, bool),
}

impl Slow {
    fn begin(site: &Site, index: usize) -> io::Result<Slow> {
        match index % 3 {
            0 => Ok(Slow::Head(site.client()?, 0)),
            1 => {
                let mut client = site.client()?;
                client.send(
                    format!("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: {UPLOAD}\r\n\r\n")
                        .as_bytes(),
                )?;
                client.response(false)?;
                Ok(Slow::Body(client, 0))
            }
            _ => {
                let mut client = site.client()?;
                let is_small = index % 2 == 0;
                if is_small {
                    set_option(&client.stream, libc::SOL_SOCKET, libc::SO_RCVBUF, 4096i32);
                }
                client.send(b"GET /0.bin HTTP/1.1\r\nHost: a\r\n\r\n")?;
                // The head, octet by octet: what is behind it stays where it is.
                let mut end = [0; 4];
                while end != *b"\r\n\r\n" {
                    let mut octet = [0];
                    client.stream.read_exact(&mut octet)?;
                    end = [end[1], end[2], end[3], octet[0]];
                }
                Ok(Slow::Reader(client, 0, is_small))
            }
        }
    }

    /// Moves so many octets, and ends if there are no more; says what is wrong.
    fn step(&mut self, pattern: &Pattern, octets: usize) -> Result<(), String> {
        let error = |error: io::Error| error.to_string();
        match self {
            Slow::Head(client, sent) => {
                let end = (*sent + octets).min(HEAD.len());
                client.send(&HEAD[*sent..end]).map_err(error)?;
                *sent = end % HEAD.len();
                if *sent == 0 {
                    let response = client.response(false).map_err(error)?;
                    if (response.status, response.content) != (200, pattern.octets(0, 0, 300)) {
                        return Err(format!("a slow head: {}", response.status));
                    }
                }
            }
            Slow::Body(client, sent) => {
                let len = octets.min(UPLOAD - *sent);
                client.send(&vec![b'x'; len]).map_err(error)?;
                *sent += len;
                if *sent == UPLOAD {
                    let next =
                        format!("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: {UPLOAD}\r\n\r\n");
                    client.send(next.as_bytes()).map_err(error)?;
                    let response = client.response(false).map_err(error)?;
                    if (response.status, response.content) != (200, pattern.octets(0, 0, 300)) {
                        return Err(format!("after a slow body: {}", response.status));
                    }
                    *sent = 0;
                }
            }
            Slow::Reader(client, read, _) => {
                let mut buffer = vec![0; octets.min((BIG - *read) as usize)];
                client.stream.read_exact(&mut buffer).map_err(error)?;
                if buffer != pattern.octets(BIG_NUMBER, *read, buffer.len()) {
                    return Err(format!("a slow reader: other octets at {read}"));
                }
                *read += buffer.len() as u64;
            }
        }
        Ok(())
    }

    /// To its end; some more for readers with little room, who would take minutes.
    fn finish(&mut self, pattern: &Pattern) -> Result<(), String> {
        let left = match self {
            Slow::Head(_, sent) => HEAD.len() - *sent,
            Slow::Body(_, sent) => UPLOAD - *sent,
            Slow::Reader(_, read, true) => ((BIG - *read) as usize).min(3000),
            Slow::Reader(_, read, false) => (BIG - *read) as usize,
        };
        self.step(pattern, left)
    }
}

fn sysctl(name: &str, value: &str) {
    fs::write(format!("/proc/sys/net/http/{name}"), value)
        .unwrap_or_else(|error| panic!("{name}: {error}"));
}

fn main() {
    let mut campaign = Campaign::begin();
    let seconds = number("TEST_SECONDS", 10) as f64;
    let wanted = number("TEST_CONNECTIONS", 50_000) as usize;
    let root = PathBuf::from(std::env::var("docroot").unwrap());
    let is_stock = std::env::var("RUST_TUX_KERNEL").is_ok_and(|kernel| kernel == "stock");
    let site = Site::make(&campaign, &root, &[BIG]);
    let limit = libc::rlimit {
        rlim_cur: wanted as u64 + 10_000,
        rlim_max: wanted as u64 + 10_000,
    };
    // SAFETY: The pointer is to a limit.
    let status = unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) };
    assert_eq!(status, 0, "setrlimit: {}", io::Error::last_os_error());
    let mut operations = 0;
    let short = tcp_counter("TCPMemoryPressures");

    println!("# without a crowd:");
    let before = latency(&site, seconds / 10.0, &mut operations);

    // The idle ones: as many as time and memory allow, but a thousand in any time.
    let empty = available();
    let slab = slabs();
    let begin = Instant::now();
    let floor = meminfo("MemTotal:") / 6;
    let mut idle = Vec::new();
    let mut refused = String::new();
    let few = 1000.min(wanted);
    while idle.len() < few || idle.len() < wanted && begin.elapsed().as_secs_f64() < seconds * 0.4 {
        match connect(site.address, idle.len()) {
            Ok(stream) => idle.push(stream),
            Err(error) => {
                refused = format!("connection {}: {error}", idle.len());
                break;
            }
        }
        if idle.len() % 500 == 0 && meminfo("MemAvailable:") < floor {
            break;
        }
    }
    let crowd = idle.len();
    operations += crowd as u64;
    check(
        "the crowd is let in",
        refused.is_empty() && crowd >= few,
        || refused,
    );
    let deadline = Instant::now() + Duration::from_secs(60);
    while counter("connections_open") < crowd as u64 && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(100));
    }
    let open = counter("connections_open");
    check("the server has all of them", open >= crowd as u64, || {
        format!("{open} of {crowd}")
    });
    let both = (empty - available()) / crowd as i64;
    let slabs_grown = Growth::since(&slab, crowd);
    println!(
        "# {crowd} idle connections in {:.0?}: {both} octets each for both ends",
        begin.elapsed()
    );
    println!("# of that, in slabs: {slabs_grown}");
    // What the module has for each lies in a slab of its own, and maybe of kmalloc()'s. The
    // checking kernel adds to each object what it needs to check it.
    let ours = slabs_grown.of("rust_tux") + slabs_grown.of("kmalloc-");
    let (limit_ours, limit_both, limit_more) = if is_stock {
        (768, 10_000, 256)
    } else {
        (4096, 60_000, 2048)
    };
    check(
        "an idle connection costs no more than it should",
        ours <= limit_ours && both <= limit_both,
        || {
            format!("{ours} octets of kmalloc(), and not {limit_ours}; {both} in all, and not {limit_both}")
        },
    );

    // Some ask, and stay: nothing may be left of that.
    let (memory, slab_idle) = (available(), slabs());
    let begin = Instant::now();
    let mut asked = 0;
    let mut wrong = String::new();
    let wanted_answer = site.pattern.octets(0, 0, 300);
    for stream in &mut idle {
        if begin.elapsed().as_secs_f64() > seconds * 0.1 && asked >= 500 {
            break;
        }
        let mut buffer = [0; 2000];
        let mut have = 0;
        stream.set_read_timeout(Some(site.patience)).unwrap();
        if let Err(error) = stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n") {
            wrong = format!("client {asked}: {error}");
            break;
        }
        while !buffer[..have].ends_with(&wanted_answer) {
            match stream.read(&mut buffer[have..]) {
                Ok(len) if len != 0 => have += len,
                other => {
                    wrong = format!("client {asked}: {other:?} after {have} octets");
                    break;
                }
            }
        }
        if !wrong.is_empty() {
            break;
        }
        asked += 1;
    }
    operations += asked as u64;
    check("idle connections are answered", wrong.is_empty(), || wrong);
    let more = (memory - available()) / asked.max(1) as i64;
    println!(
        "# {asked} of them after a request: {more} octets more each; {}",
        Growth::since(&slab_idle, asked)
    );
    check("nothing is left of a request", more <= limit_more, || {
        format!("{more} octets, and not {limit_more}")
    });

    // Slow ones: a third sends heads, a third uploads, a third reads.
    let memory = available();
    let mut slow = Vec::new();
    let mut wrong = String::new();
    let begin = Instant::now();
    while slow.len() < 1500 && (begin.elapsed().as_secs_f64() < seconds * 0.1 || slow.len() < 90) {
        match Slow::begin(&site, slow.len()) {
            Ok(one) => slow.push(one),
            Err(error) => {
                wrong = format!("client {}: {error}", slow.len());
                break;
            }
        }
    }
    operations += slow.len() as u64;
    let count = slow.len();
    check("slow clients are let in", wrong.is_empty(), || wrong);
    let reader = (memory - available()) * 3 / count.max(1) as i64;
    println!("# {count} slow clients, a third of them readers, who have {reader} octets each");
    check(
        "a reader who doesn't read has no more than its file",
        reader <= BIG as i64 / 2,
        || format!("{reader} octets"),
    );

    // They move an octet now and then, while new clients come.
    let (stop, steps) = (AtomicBool::new(false), AtomicU64::new(0));
    let mut random = campaign.random.fork();
    println!("# with {} clients there:", crowd + count);
    let (meanwhile, failures) = thread::scope(|scope| {
        let slow = &mut slow;
        let (site, stop, steps) = (&site, &stop, &steps);
        let mover = scope.spawn(move || {
            let mut failures = Vec::new();
            while !stop.load(Ordering::Relaxed) {
                for _ in 0..20 {
                    let one = &mut slow[random.usize(..count)];
                    let octets = random.usize(1..3);
                    if let Err(what) = one.step(&site.pattern, octets) {
                        failures.push(what);
                    }
                    steps.fetch_add(1, Ordering::Relaxed);
                }
                thread::sleep(Duration::from_millis(100));
            }
            failures
        });
        let meanwhile = latency(site, seconds / 5.0, &mut operations);
        stop.store(true, Ordering::Relaxed);
        (meanwhile, mover.join().unwrap())
    });
    operations += steps.load(Ordering::Relaxed);
    check(
        "slow clients get what they wait for",
        failures.is_empty(),
        || failures.join("\n"),
    );
    let (begin, mut longest) = (Instant::now(), Duration::ZERO);
    let mut failures = Vec::new();
    for one in &mut slow {
        let begin = Instant::now();
        failures.extend(one.finish(&site.pattern).err());
        longest = longest.max(begin.elapsed());
    }
    println!(
        "# {count} slow clients come to their end in {:.1?}, the slowest in {longest:.1?}",
        begin.elapsed()
    );
    check(
        "slow clients are served to the end",
        failures.is_empty(),
        || failures.join("\n"),
    );
    let short = tcp_counter("TCPMemoryPressures") - short;
    check("TCP was not short of memory", short == 0, || {
        format!("it was {short} times")
    });
    drop(slow);

    // The idle ones are still there, and still served.
    let mut wrong = String::new();
    for _ in 0..200.min(crowd) {
        let index = campaign.random.usize(..crowd);
        let stream = &mut idle[index];
        stream.set_read_timeout(Some(site.patience)).unwrap();
        let mut octet = [0; 300];
        if let Err(error) = stream
            .write_all(b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n")
            .and_then(|()| stream.read(&mut octet))
            .and_then(|_| {
                octet
                    .starts_with(b"HTTP/1.1 200 ")
                    .then_some(())
                    .ok_or(ErrorKind::InvalidData.into())
            })
        {
            wrong = format!("client {index}: {error}");
        }
        operations += 1;
    }
    check("idle connections were kept", wrong.is_empty(), || wrong);

    // Half of them go, the server ends the others.
    let begin = Instant::now();
    idle.truncate(crowd / 2);
    let deadline = begin + Duration::from_secs(120);
    while counter("connections_open") > idle.len() as u64 + 10 && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(100));
    }
    let open = counter("connections_open") as usize;
    check(
        "half of the crowd has gone",
        open <= idle.len() + 10,
        || format!("{open} of {crowd}"),
    );
    let went = begin.elapsed();
    let begin = Instant::now();
    sysctl("stop", "1");
    println!(
        "# half of them gone after {went:.1?}; the server stopped in {:.1?}",
        begin.elapsed()
    );
    let mut left = 0;
    for stream in &mut idle {
        let mut buffer = [0; 4096];
        stream.set_read_timeout(Some(site.patience)).unwrap();
        // What they asked for at last may still be there.
        let end = loop {
            match stream.read(&mut buffer) {
                Ok(len) if len != 0 => (),
                end => break end,
            }
        };
        left += usize::from(end.is_err_and(|error| error.kind() == ErrorKind::WouldBlock));
        // Each takes long.
        if left == 3 {
            break;
        }
    }
    check("the server has ended all others", left == 0, || {
        format!("{left} of {}", idle.len())
    });
    drop(idle);
    sysctl("start", "1");

    println!("# when they have gone:");
    let after = latency(&site, seconds / 10.0, &mut operations);
    match (before, meanwhile, after) {
        (Ok(before), Ok(meanwhile), Ok(after)) => {
            // The machine itself is slower at one time than at another.
            let (median, late) = (before.0.max(after.0), before.1.max(after.1));
            let times = |one: Duration, other: Duration| one.as_secs_f64() / other.as_secs_f64();
            let (median, late) = (times(meanwhile.0, median), times(meanwhile.1, late));
            println!("# latency with the crowd: median {median:.2} times, 99 % {late:.2} times that without");
            check(
                "the crowd slows nobody down",
                median <= 5.0 && late <= 5.0,
                || format!("median {median:.2}, 99 % {late:.2}"),
            );
        }
        other => check("new clients are served", false, || format!("{other:?}")),
    }
    let kept = (empty - available()).max(0) / crowd as i64;
    // The checkers take note of each object, and keep what they have had for that.
    let slabs_grown = Growth::since(&slab, crowd);
    let checkers = slabs_grown.of("kmemleak_") + slabs_grown.of("debug_objects_");
    println!(
        "# {kept} octets for each of them are not free again, {checkers} of which checkers have"
    );
    println!("# in slabs: {slabs_grown}");
    let kept = kept - checkers;
    check(
        "the memory of the crowd is free again",
        kept <= both / 4,
        || format!("{kept} octets of {both}"),
    );
    campaign.count(operations);
    campaign.report();
}
