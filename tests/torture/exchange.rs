// SPDX-License-Identifier: GPL-2.0

//! Requests, and what exactly is to come back: clients that check each octet.

use super::backing;
use super::Campaign;
use std::collections::BTreeMap;
use std::io::{
    self,
    Read,
    Write, //
};
use std::net::{
    SocketAddr,
    TcpStream, //
};
use std::os::fd::FromRawFd;
use std::path::PathBuf;
use std::sync::atomic::{
    AtomicU64,
    Ordering, //
};
use std::sync::Mutex;
use std::time::{
    Duration,
    Instant, //
};

/// How long a client waits for octets. Only one that has found something waits so long.
pub const PATIENCE: Duration = Duration::from_secs(100);

/// A file of the document root.
pub struct File {
    pub path: String,
    pub content: Vec<u8>,
    /// The request lines that may be handed over.
    lines: BTreeMap<&'static str, Vec<u8>>,
}

impl File {
    fn new(path: String, content: Vec<u8>) -> File {
        let line = |method, query| format!("{method} /{path}{query} HTTP/1.1").into_bytes();
        File {
            lines: [
                ("GET", line("GET", "?query")),
                ("POST", line("POST", "")),
                ("PUT", line("PUT", "")),
            ]
            .into(),
            path,
            content,
        }
    }
}

/// The files that clients ask for, from no octet to some millions.
pub struct Site {
    files: Vec<File>,
    cold: Vec<File>,
    /// Whether there is a backing server.
    pub has_backing: bool,
}

impl Site {
    /// The same files for every program.
    pub fn new() -> Site {
        let mut random = fastrand::Rng::with_seed(1);
        let sizes = [
            ("index.html", 20_000),
            ("empty", 0),
            ("one", 1),
            ("page", 4096),
            ("middle", 150_001),
            ("large", 3_000_000),
        ];
        let mut file = |path: String, len| {
            let mut content = vec![0; len];
            random.fill(&mut content);
            File::new(path, content)
        };
        let files = sizes.map(|(path, len)| file(path.into(), len));
        let cold = (0..100).map(|n| file(format!("cold/{n}"), 1000 + n));
        Site {
            cold: cold.collect(),
            files: files.into(),
            has_backing: false,
        }
    }

    /// Writes the files into the directory `docroot` of the environment.
    pub fn write(&self) {
        let docroot = PathBuf::from(std::env::var_os("docroot").expect("docroot is set"));
        std::fs::create_dir_all(docroot.join("cold")).expect("a directory is made");
        for file in self.files.iter().chain(&self.cold) {
            std::fs::write(docroot.join(&file.path), &file.content).expect("a file is written");
        }
    }

    /// The largest file.
    pub fn large(&self) -> &File {
        self.files.last().expect("there are files")
    }

    /// A file of some segments.
    pub fn small(&self) -> &File {
        self.files.first().expect("there are files")
    }

    /// One of many small files, for a document root on a disk: some are in no cache.
    pub fn cold(&self, random: &mut fastrand::Rng) -> &File {
        &self.cold[random.usize(..self.cold.len())]
    }

    /// Any file, seldom the largest.
    pub fn any(&self, random: &mut fastrand::Rng) -> &File {
        let count = self.files.len();
        match random.u8(..) {
            0..8 => self.large(),
            _ => &self.files[random.usize(..count - 1)],
        }
    }
}

/// The request line for a file that isn't there.
const MISSING: &[u8] = b"GET /missing HTTP/1.1";

/// The answer that a request must have.
#[derive(Clone)]
pub struct Answer<'a> {
    pub status: u16,
    /// The content; `None` if that doesn't matter.
    pub content: Option<&'a [u8]>,
    /// Whether the content is not sent: for HEAD.
    pub is_head: bool,
    /// Whether nothing comes behind it, whatever was asked for: it is the backing server's.
    pub ends: bool,
    /// Whether there may be an answer of the backing server in its place.
    pub may_be_handed_over: bool,
}

impl<'a> Answer<'a> {
    /// An answer of this server.
    pub fn new(status: u16, content: Option<&'a [u8]>) -> Answer<'a> {
        Answer {
            status,
            content,
            is_head: false,
            ends: false,
            may_be_handed_over: false,
        }
    }
}

/// A request and its answer.
pub struct Question<'a> {
    pub octets: Vec<u8>,
    /// Octets of the head.
    pub head: usize,
    pub answer: Answer<'a>,
}

impl<'a> Question<'a> {
    /// A GET of a file.
    pub fn get(file: &'a File, fields: &str) -> Question<'a> {
        Question::new("GET", &file.path, fields, b"", 200, Some(&file.content))
    }

    fn new(
        method: &str,
        path: &str,
        fields: &str,
        body: &[u8],
        status: u16,
        content: Option<&'a [u8]>,
    ) -> Question<'a> {
        let mut octets =
            format!("{method} /{path} HTTP/1.1\r\nHost: a\r\n{fields}\r\n").into_bytes();
        let head = octets.len();
        octets.extend_from_slice(body);
        Question {
            octets,
            head,
            answer: Answer {
                is_head: method == "HEAD",
                ..Answer::new(status, content)
            },
        }
    }

    /// The same, as the backing server answers it.
    fn handed_over(mut self, line: &'a [u8]) -> Question<'a> {
        self.answer = Answer {
            ends: true,
            ..Answer::new(backing::STATUS, Some(line))
        };
        self
    }

    /// A request of chance, after which the connection goes on.
    pub fn any(site: &'a Site, random: &mut fastrand::Rng) -> Question<'a> {
        let file = site.any(random);
        Question::about(site, file, random)
    }

    /// The same, with an answer of some segments at most.
    pub fn any_small(site: &'a Site, random: &mut fastrand::Rng) -> Question<'a> {
        Question::about(site, site.small(), random)
    }

    /// A request of chance for `file`.
    fn about(site: &Site, file: &'a File, random: &mut fastrand::Rng) -> Question<'a> {
        let question = Question::about_here(file, random);
        let method = question.octets.split(|octet| *octet == b' ').next();
        match method {
            _ if !site.has_backing => question,
            Some(b"POST") => question.handed_over(&file.lines["POST"]),
            Some(b"PUT") => question.handed_over(&file.lines["PUT"]),
            _ if question.answer.status == 404 => question.handed_over(MISSING),
            _ if random.u8(..16) == 0 => {
                let path = format!("{}?query", file.path);
                Question::new("GET", &path, "", b"", 200, None).handed_over(&file.lines["GET"])
            }
            _ => question,
        }
    }

    /// The same without a backing server.
    fn about_here(file: &'a File, random: &mut fastrand::Rng) -> Question<'a> {
        let len = file.content.len();
        match random.u8(..10) {
            0 => Question::new("HEAD", &file.path, "", b"", 200, Some(&file.content)),
            1 => Question::new("GET", "missing", "Accept: text/plain\r\n", b"", 404, None),
            2 if len > 0 => {
                let first = random.usize(..len);
                let last = random.usize(first..len);
                let fields = format!("Range: bytes={first}-{last}\r\n");
                let part = &file.content[first..=last];
                Question::new("GET", &file.path, &fields, b"", 206, Some(part))
            }
            3 => {
                let body = vec![b'x'; random.usize(..3000)];
                let fields = format!("Content-Length: {}\r\n", body.len());
                Question::new("POST", &file.path, &fields, &body, 405, None)
            }
            4 => {
                let mut body = Vec::new();
                for _ in 0..random.usize(..5) {
                    let chunk = vec![b'y'; random.usize(1..500)];
                    body.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
                    body.extend_from_slice(&chunk);
                    body.extend_from_slice(b"\r\n");
                }
                body.extend_from_slice(b"0\r\n\r\n");
                let fields = "Transfer-Encoding: chunked\r\n";
                Question::new("PUT", &file.path, fields, &body, 405, None)
            }
            _ => Question::get(file, ""),
        }
    }
}

/// The number of whole answers at the begin of `octets`, which must be `answers` in this order, as
/// far as they go. What is wrong, else. An answer that ends the connection stands for all behind
/// it.
pub fn whole_answers(octets: &[u8], answers: &[Answer<'_>]) -> Result<usize, String> {
    let mut rest = octets;
    for (at, answer) in answers.iter().enumerate() {
        let Some(end) = rest.windows(4).position(|four| four == b"\r\n\r\n") else {
            let is_begin = |begin: String| {
                let len = rest.len().min(begin.len());
                rest[..len] == begin.as_bytes()[..len]
            };
            let is_line = is_begin(format!("HTTP/1.1 {} ", answer.status))
                || answer.may_be_handed_over && is_begin(format!("{}\r\n", backing::STATUS_LINE));
            if rest.len() > 2000 || !is_line {
                return Err(format!("answer {at} is no head: {}", printable(rest)));
            }
            return Ok(at);
        };
        let head = String::from_utf8_lossy(&rest[..end]);
        let body = &rest[end + 4..];
        let mut lines = head.split("\r\n");
        let line = lines.next().unwrap_or_default();
        let is_backing = line == backing::STATUS_LINE;
        if is_backing && !answer.may_be_handed_over && !answer.ends {
            return Err(format!("request {at} is handed over"));
        }
        if !is_backing && !line.starts_with(&format!("HTTP/1.1 {} ", answer.status)) {
            return Err(format!("answer {at} is {line}, not {}", answer.status));
        }
        let length = lines.find_map(|line| line.strip_prefix("Content-Length: "));
        let Some(Ok(length)) = length.map(str::parse::<usize>) else {
            return Err(format!("answer {at} has no length: {head}"));
        };
        let wanted = answer
            .content
            .filter(|_| !is_backing || !answer.may_be_handed_over);
        if let Some(content) = wanted {
            if length != content.len() {
                return Err(format!(
                    "answer {at} of {length} octets, not {}",
                    content.len()
                ));
            }
        }
        let len = if answer.is_head { 0 } else { length };
        let got = len.min(body.len());
        if let Some(content) = wanted.filter(|_| !answer.is_head) {
            if let Some(wrong) = (0..got).find(|&octet| body[octet] != content[octet]) {
                return Err(format!(
                    "answer {at} of {length} octets differs from octet {wrong}: {}",
                    printable(&body[wrong..got])
                ));
            }
        }
        if got < len {
            return Ok(at);
        }
        rest = &body[len..];
        if answer.ends {
            break;
        }
    }
    if rest.is_empty() {
        Ok(answers.len())
    } else {
        Err(format!("octets that nobody asked for: {}", printable(rest)))
    }
}

/// Some octets, for people.
fn printable(octets: &[u8]) -> String {
    octets[..octets.len().min(100)].escape_ascii().to_string()
}

/// How a stream has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Closed,
    Reset,
    /// Nothing came for too long.
    Silent,
    /// There are as many octets as were wanted.
    Enough,
}

/// Reads into `octets` until the stream ends, or there are `enough`.
pub fn read(stream: &mut TcpStream, octets: &mut Vec<u8>, enough: usize) -> End {
    let mut buffer = vec![0; 1 << 16];
    while octets.len() < enough {
        let len = buffer.len().min(enough - octets.len());
        match stream.read(&mut buffer[..len]) {
            Ok(0) => return End::Closed,
            Ok(len) => octets.extend_from_slice(&buffer[..len]),
            Err(error) => match error.kind() {
                io::ErrorKind::Interrupted => (),
                io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => return End::Silent,
                _ => return End::Reset,
            },
        }
    }
    End::Enough
}

/// Reads to the end, which must be a FIN behind `answers`, whole and right.
pub fn finish(
    stream: &mut TcpStream,
    mut octets: Vec<u8>,
    answers: &[Answer<'_>],
) -> Result<(), String> {
    let end = read(stream, &mut octets, usize::MAX);
    let whole = whole_answers(&octets, answers)?;
    if whole == answers.len() && end == End::Closed {
        return Ok(());
    }
    let wanted = answers.len();
    let len = octets.len();
    Err(format!(
        "{whole} answers of {wanted} in {len} octets, then {end:?}"
    ))
}

/// Writes, as far as the server takes it.
pub fn write(stream: &mut TcpStream, octets: &[u8]) -> Result<(), String> {
    stream
        .write_all(octets)
        .map_err(|error| format!("writing: {error}"))
}

/// What is set before a connection is made.
#[derive(Clone, Copy, Default)]
pub struct Options {
    pub receive_buffer: Option<i32>,
    pub segment: Option<i32>,
    /// The port of the client.
    pub port: Option<u16>,
}

/// A connection made with these.
pub fn connect_with(to: SocketAddr, options: Options) -> io::Result<TcpStream> {
    let stream = unconnected(to, options)?;
    let (address, len) = raw_address(to);
    // SAFETY: The pointer is to an address of that length, which is only read.
    let status = unsafe { libc::connect(raw(&stream), (&raw const address).cast(), len) };
    if status != 0 {
        return Err(io::Error::last_os_error());
    }
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// A socket on which nothing lasts longer than the client's patience, to be connected.
pub fn unconnected(to: SocketAddr, options: Options) -> io::Result<TcpStream> {
    let family = if to.is_ipv4() {
        libc::AF_INET
    } else {
        libc::AF_INET6
    };
    // SAFETY: This has no precondition.
    let fd = unsafe { libc::socket(family, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, 0) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: The descriptor is a new one, and nobody else's.
    let stream = unsafe { TcpStream::from_raw_fd(fd) };
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    if let Some(octets) = options.receive_buffer {
        super::set_option(&stream, libc::SOL_SOCKET, libc::SO_RCVBUF, octets);
    }
    if let Some(octets) = options.segment {
        super::set_option(&stream, libc::IPPROTO_TCP, libc::TCP_MAXSEG, octets);
    }
    if let Some(port) = options.port {
        super::set_option(&stream, libc::SOL_SOCKET, libc::SO_REUSEADDR, 1i32);
        let mut from = to;
        from.set_port(port);
        let (address, len) = raw_address(from);
        // SAFETY: The pointer is to an address of that length, which is only read.
        let status = unsafe { libc::bind(raw(&stream), (&raw const address).cast(), len) };
        if status != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(stream)
}

/// A connection whose SYN carries `octets`, if the kernel has leave to do so.
pub fn connect_fast(to: SocketAddr, octets: &[u8]) -> io::Result<TcpStream> {
    let mut stream = unconnected(to, Options::default())?;
    let (address, len) = raw_address(to);
    // SAFETY: The pointers are to octets and an address of these lengths, which are only read.
    let sent = unsafe {
        libc::sendto(
            raw(&stream),
            octets.as_ptr().cast(),
            octets.len(),
            libc::MSG_FASTOPEN,
            (&raw const address).cast(),
            len,
        )
    };
    let Ok(sent) = usize::try_from(sent) else {
        return Err(io::Error::last_os_error());
    };
    stream.set_nodelay(true)?;
    stream.write_all(&octets[sent..])?;
    Ok(stream)
}

/// Sends octets as urgent ones.
pub fn send_urgent(stream: &TcpStream, octets: &[u8]) -> Result<(), String> {
    // SAFETY: The pointer is to octets of that length, which are only read.
    let sent = unsafe {
        libc::send(
            raw(stream),
            octets.as_ptr().cast(),
            octets.len(),
            libc::MSG_OOB | libc::MSG_NOSIGNAL,
        )
    };
    if usize::try_from(sent) == Ok(octets.len()) {
        Ok(())
    } else {
        Err(format!("urgent octets: {}", io::Error::last_os_error()))
    }
}

/// The descriptor of a stream.
pub fn raw(stream: &TcpStream) -> i32 {
    std::os::fd::AsRawFd::as_raw_fd(stream)
}

/// An address as the kernel has it.
pub fn raw_address(address: SocketAddr) -> (libc::sockaddr_in6, libc::socklen_t) {
    // SAFETY: Zero is a value for all of its fields.
    let mut raw: libc::sockaddr_in6 = unsafe { std::mem::zeroed() };
    let len = match address {
        SocketAddr::V6(address) => {
            raw.sin6_family = libc::AF_INET6 as libc::sa_family_t;
            raw.sin6_port = address.port().to_be();
            raw.sin6_addr.s6_addr = address.ip().octets();
            size_of::<libc::sockaddr_in6>()
        }
        SocketAddr::V4(address) => {
            let v4: *mut libc::sockaddr_in = (&raw mut raw).cast();
            // SAFETY: An IPv4 address is shorter, and no more strictly aligned.
            unsafe {
                (*v4).sin_family = libc::AF_INET as libc::sa_family_t;
                (*v4).sin_port = address.port().to_be();
                (*v4).sin_addr.s_addr = u32::from_ne_bytes(address.ip().octets());
            }
            size_of::<libc::sockaddr_in>()
        }
    };
    (raw, len as libc::socklen_t)
}

/// What a client is given.
pub struct Client<'a> {
    pub address: SocketAddr,
    pub site: &'a Site,
    pub random: fastrand::Rng,
}

impl Client<'_> {
    /// A connection.
    pub fn connect(&self, options: Options) -> Result<TcpStream, String> {
        connect_with(self.address, options).map_err(|error| format!("connecting: {error}"))
    }
}

/// Something that a client does: its name, and what it says if it finds something wrong.
pub type Scenario = (&'static str, fn(&mut Client<'_>) -> Result<(), String>);

/// How often a scenario was played, and what it has found.
#[derive(Default)]
struct Record {
    played: u64,
    failed: u64,
    findings: Vec<String>,
}

impl Campaign {
    /// Has `threads` clients at a time play `scenarios` by chance until the time is over, and
    /// prints a check for each scenario. What one does depends on its seed alone, which is printed
    /// with what it finds.
    pub fn play(&mut self, threads: usize, site: &Site, scenarios: &[Scenario]) {
        let records = Mutex::new(BTreeMap::<&str, Record>::new());
        let played = AtomicU64::new(0);
        let (address, end) = (self.address, self.end);
        std::thread::scope(|scope| {
            for _ in 0..threads {
                let mut seeds = self.random.fork();
                let (records, played) = (&records, &played);
                scope.spawn(move || {
                    while Instant::now() < end {
                        let seed = seeds.u64(..);
                        let mut random = fastrand::Rng::with_seed(seed);
                        let (name, scenario) = scenarios[random.usize(..scenarios.len())];
                        let mut client = Client {
                            address,
                            site,
                            random,
                        };
                        let result = scenario(&mut client);
                        played.fetch_add(1, Ordering::Relaxed);
                        let mut records = records.lock().unwrap();
                        let record = records.entry(name).or_default();
                        record.played += 1;
                        if let Err(finding) = result {
                            record.failed += 1;
                            if record.findings.len() < 5 {
                                record.findings.push(format!("seed {seed}: {finding}"));
                            }
                        }
                    }
                });
            }
        });
        self.operations += played.into_inner();
        for (name, record) in records.into_inner().unwrap() {
            let Record {
                played,
                failed,
                findings,
            } = record;
            println!("# {name}: {played}");
            super::check(name, failed == 0, || {
                format!("{failed} of {played}\n{}", findings.join("\n"))
            });
        }
    }
}
