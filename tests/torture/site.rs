// SPDX-License-Identifier: GPL-2.0

//! A site that is known by heart, and clients that look at every octet of what they get.
//!
//! The octets of a file follow from its name and length, so that no client has to read it. What the
//! server makes itself (error pages, listings) is learnt when all is well, and has to stay the
//! same.

use crate::backing;
use crate::Campaign;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::{
    self,
    ErrorKind,
    Read,
    Write, //
};
use std::net::{
    Shutdown,
    SocketAddr,
    TcpStream, //
};
use std::os::unix::fs::PermissionsExt;
use std::path::{
    Path,
    PathBuf, //
};
use std::time::{
    Duration,
    Instant, //
};

/// A prime, so that no size of a page, a block or a buffer divides it.
const PERIOD: usize = 65_521;

/// Octets that depend on their place.
pub struct Pattern {
    octets: Vec<u8>,
}

impl Default for Pattern {
    fn default() -> Pattern {
        let mut random = fastrand::Rng::with_seed(1);
        Pattern {
            octets: (0..PERIOD).map(|_| random.u8(..)).collect(),
        }
    }
}

impl Pattern {
    /// The octets of the file number `file` from `start` on.
    pub fn octets(&self, file: usize, start: u64, len: usize) -> Vec<u8> {
        let mut out = Vec::with_capacity(len);
        let mut at = start as usize;
        while out.len() < len {
            let (round, place) = ((at / PERIOD + file * 7) as u8, (at + file * 4099) % PERIOD);
            let piece = (len - out.len())
                .min(PERIOD - place)
                .min(PERIOD - at % PERIOD);
            out.extend(
                self.octets[place..place + piece]
                    .iter()
                    .map(|octet| octet ^ round),
            );
            at += piece;
        }
        out
    }
}

/// What the content of a response has to be.
#[derive(Clone)]
enum Content {
    /// Part of a file, from an offset on.
    Part(usize, u64, u64),
    /// These ranges of a file of that length.
    Parts(usize, u64, Vec<(u64, u64)>),
    /// What it was when all was well.
    Learnt(Vec<u8>),
    /// What the server says itself of this status.
    Own(&'static str),
    /// There is none.
    None,
}

/// A request, and what its answer has to be.
#[derive(Clone)]
pub struct Kind {
    pub name: String,
    request: Vec<u8>,
    status: u16,
    content: Content,
    /// Whether the server ends the connection after it.
    closes: bool,
    /// Whether there is a Content-Length without content.
    is_head: bool,
    /// Fields that it has to have.
    fields: Vec<(&'static str, String)>,
    /// The status and content that are right too, if memory lacks for what would be better.
    instead: Option<(u16, Content)>,
}

/// The files and what can be asked of them.
pub struct Site {
    pub pattern: Pattern,
    pub kinds: Vec<Kind>,
    pub address: SocketAddr,
    /// For how long nothing may come before a client gives up.
    pub patience: Duration,
    root: PathBuf,
    sizes: Vec<u64>,
}

/// How an exchange ended.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Outcome {
    /// The answer is what it has to be.
    Right,
    /// The server said that it can't now, or gave what it has instead.
    Busy,
    /// The connection was closed before the answer was whole.
    Cut,
    /// The connection was reset.
    Reset,
    /// The connection was refused.
    Refused,
    /// Nothing came.
    Hangs(String),
    /// The answer is not that of the request.
    Wrong(String),
}

/// How often what happened.
#[derive(Default)]
pub struct Tally {
    counts: BTreeMap<&'static str, u64>,
    /// What was wrong, the first of it.
    pub wrong: Vec<String>,
}

impl Tally {
    pub fn add(&mut self, kind: &Kind, outcome: &Outcome) {
        let name = match outcome {
            Outcome::Right => "right",
            Outcome::Busy => "busy",
            Outcome::Cut => "cut",
            Outcome::Reset => "reset",
            Outcome::Refused => "refused",
            Outcome::Hangs(_) => "hangs",
            Outcome::Wrong(_) => "wrong",
        };
        *self.counts.entry(name).or_default() += 1;
        if let Outcome::Wrong(what) | Outcome::Hangs(what) = outcome {
            self.say(format!("{}: {what}", kind.name));
        }
    }

    /// Notes something wrong.
    pub fn say(&mut self, what: String) {
        if self.wrong.len() < 10 {
            self.wrong.push(what);
        }
    }

    pub fn merge(&mut self, other: Tally) {
        for (name, count) in other.counts {
            *self.counts.entry(name).or_default() += count;
        }
        for what in other.wrong {
            self.say(what);
        }
    }

    pub fn of(&self, name: &str) -> u64 {
        self.counts.get(name).copied().unwrap_or(0)
    }

    pub fn all(&self) -> u64 {
        self.counts.values().sum()
    }
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut text = String::new();
        for (name, count) in &self.counts {
            let _ = write!(
                text,
                "{}{name} {count}",
                if text.is_empty() { "" } else { ", " }
            );
        }
        f.write_str(&text)
    }
}

/// Writes a file that all may read, unless it is there.
pub fn put(path: &Path, octets: &[u8]) {
    if fs::read(path).is_ok_and(|found| found == octets) {
        return;
    }
    fs::write(path, octets).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    fs::set_permissions(path, fs::Permissions::from_mode(0o644)).unwrap();
}

fn directory(path: &Path) {
    fs::create_dir_all(path).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// A GET of `target` with these more field lines.
fn get(target: &str, fields: &[&str]) -> Vec<u8> {
    let mut text = format!("GET {target} HTTP/1.1\r\nHost: a\r\n");
    for field in fields {
        text.push_str(field);
        text.push_str("\r\n");
    }
    text.push_str("\r\n");
    text.into_bytes()
}

impl Site {
    /// Makes the files below `root`, of these lengths; asks the server, which has to run with
    /// `http_dir_indexing`, for what it says itself.
    pub fn make(campaign: &Campaign, root: &Path, sizes: &[u64]) -> Site {
        let mut site = Site {
            pattern: Pattern::default(),
            kinds: Vec::new(),
            address: campaign.address,
            patience: Duration::from_secs(60),
            root: root.into(),
            sizes: Vec::new(),
        };
        put(&root.join("index.html"), &site.pattern.octets(0, 0, 300));
        site.file("/", 0, 300);
        for (number, size) in sizes.iter().enumerate() {
            site.add_file(&format!("{number}.bin"), number + 10, *size);
        }
        put(&root.join("404.html"), &site.pattern.octets(1, 0, 5000));
        site.kind(
            "no such file",
            get("/none", &[]),
            404,
            Content::Part(1, 0, 5000),
        );
        site.last().instead = Some((404, Content::Own("404 Not Found")));
        put(&root.join("text.txt"), &site.pattern.octets(2, 0, 9000));
        put(&root.join("text.txt.gz"), &site.pattern.octets(3, 0, 4000));
        site.kind(
            "as it is",
            get("/text.txt", &[]),
            200,
            Content::Part(2, 0, 9000),
        );
        site.kind(
            "gzip",
            get("/text.txt", &["Accept-Encoding: br, gzip;q=0.5"]),
            200,
            Content::Part(3, 0, 4000),
        );
        site.last().fields.push(("Content-Encoding", "gzip".into()));
        site.last().instead = Some((200, Content::Part(2, 0, 9000)));
        site.kind(
            "not modified",
            get("/text.txt", &["If-None-Match: *"]),
            304,
            Content::None,
        );
        site.kind(
            "a range",
            get("/text.txt", &["Range: bytes=4000-8999"]),
            206,
            Content::Part(2, 4000, 5000),
        );
        site.last()
            .fields
            .push(("Content-Range", "bytes 4000-8999/9000".into()));
        site.kind(
            "ranges",
            get("/text.txt", &["Range: bytes=10-19, 4090-4100, -5"]),
            206,
            Content::Parts(2, 9000, vec![(10, 19), (4090, 4100), (8995, 8999)]),
        );
        // A server may ignore Range (RFC 9110 14.2).
        site.last().instead = Some((200, Content::Part(2, 0, 9000)));
        site.kind("HEAD", get("/text.txt", &[]), 200, Content::None);
        let head = site.last();
        head.request.splice(..3, *b"HEAD");
        head.is_head = true;
        head.fields.push(("Content-Length", "9000".into()));
        site.kind(
            "the last",
            get("/text.txt", &["Connection: close"]),
            200,
            Content::Part(2, 0, 9000),
        );
        site.last().closes = true;

        directory(&root.join("directory"));
        for name in ["a.txt", "b c.txt", "d&e.html"] {
            put(&root.join("directory").join(name), b"x");
        }
        site.learn("a listing", get("/directory/", &[]), 200);
        site.learn(
            "a listing in JSON",
            get("/directory/", &["Accept: application/json"]),
            200,
        );
        site.learn("a slash is missing", get("/directory", &[]), 301);
        site.learn(
            "not satisfiable",
            get("/text.txt", &["Range: bytes=9000-"]),
            416,
        );
        site.learn("a bad path", get("/%zz", &[]), 400);
        let mut upload = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6000\r\n\r\n".to_vec();
        upload.extend(vec![b'x'; 6000]);
        site.learn("a method with content", upload, 405);
        let mut malformed =
            b"GET / HTTP/1.1\r\nHost: a\r\nBad : b\r\nContent-Length: 6000\r\n\r\n".to_vec();
        malformed.extend(vec![b'x'; 6000]);
        site.learn("a bad request with content", malformed, 400);
        site.last().closes = true;
        site
    }

    /// Has requests that are for a backing server, as [`crate::backing`] answers them, in the place
    /// of those that would be as soon as there is one.
    pub fn hand_over(&mut self) {
        self.kinds
            .retain(|kind| kind.name != "a method with content");
        for (name, line, content) in [
            ("handed over", "GET /text.txt?query HTTP/1.1", 0),
            ("handed over with content", "POST / HTTP/1.1", 6000),
        ] {
            let mut request = format!("{line}\r\nHost: a\r\nContent-Length: {content}\r\n\r\n");
            request.extend((0..content).map(|_| 'x'));
            let answer = Content::Learnt(line.into());
            self.kind(name, request.into_bytes(), backing::STATUS, answer);
            self.last().closes = true;
            self.last().instead = Some((503, Content::Own("503 Service Unavailable")));
        }
    }

    /// One more file, and a request for it and for a part of it.
    pub fn add_file(&mut self, name: &str, number: usize, size: u64) {
        let path = self.root.join(name);
        // It may be there already, from another process.
        if !fs::metadata(&path).is_ok_and(|found| found.len() == size) {
            put(&path, b"");
            let mut file = fs::File::create(&path).unwrap();
            let mut at = 0;
            while at < size {
                let len = (size - at).min(1 << 20);
                file.write_all(&self.pattern.octets(number, at, len as usize))
                    .unwrap();
                at += len;
            }
        }
        let target = format!("/{name}");
        self.file(&target, number, size);
        if size > 2 {
            let (first, last) = (size / 3, size - 2);
            self.kind(
                &format!("a range of {target}"),
                get(&target, &[&format!("Range: bytes={first}-{last}")]),
                206,
                Content::Part(number, first, last - first + 1),
            );
        }
        self.sizes.push(size);
    }

    fn file(&mut self, target: &str, number: usize, size: u64) {
        self.kind(
            target,
            get(target, &[]),
            200,
            Content::Part(number, 0, size),
        );
    }

    fn kind(&mut self, name: &str, request: Vec<u8>, status: u16, content: Content) {
        self.kinds.push(Kind {
            name: name.into(),
            request,
            status,
            content,
            closes: false,
            is_head: false,
            fields: Vec::new(),
            instead: None,
        });
    }

    fn last(&mut self) -> &mut Kind {
        self.kinds.last_mut().unwrap()
    }

    /// A request whose answer is what the server says now.
    fn learn(&mut self, name: &str, request: Vec<u8>, status: u16) {
        let mut client = Client::new(self.address, self.patience).expect("the server is there");
        client.send(&request).expect("the request is taken");
        let response = client.response(false).expect("there is an answer");
        assert_eq!(response.status, status, "{name}");
        self.kind(name, request, status, Content::Learnt(response.content));
    }

    /// The kind of that name.
    pub fn of(&self, name: &str) -> &Kind {
        self.kinds
            .iter()
            .find(|kind| kind.name == name)
            .unwrap_or_else(|| panic!("no kind {name}"))
    }

    /// Kinds of which none moves more than `limit` octets.
    pub fn small(&self, limit: u64) -> Vec<&Kind> {
        let is_small = |kind: &&Kind| match kind.content {
            Content::Part(_, _, len) => len <= limit,
            _ => true,
        };
        self.kinds.iter().filter(is_small).collect()
    }

    /// A connection.
    pub fn client(&self) -> io::Result<Client> {
        Client::new(self.address, self.patience)
    }

    /// One connection with these requests in one piece, each answer given to `see`.
    pub fn ask(&self, kinds: &[&Kind], mut see: impl FnMut(&Kind, Outcome, Option<&Response>)) {
        let mut client = match self.client() {
            Ok(client) => client,
            Err(error) => return see(kinds[0], ended(&error, "connecting"), None),
        };
        let all: Vec<u8> = kinds
            .iter()
            .flat_map(|kind| kind.request.iter().copied())
            .collect();
        client.asked = Instant::now();
        if let Err(error) = client.send(&all) {
            // An answer may be there that says why.
            if error.kind() == ErrorKind::WouldBlock {
                return see(
                    kinds[0],
                    Outcome::Hangs("the request is not taken".into()),
                    None,
                );
            }
        }
        for kind in kinds {
            let response = match client.response(kind.is_head) {
                Ok(response) => response,
                Err(error) => {
                    let outcome = self.judge_beginning(kind, &client);
                    return see(
                        kind,
                        outcome.unwrap_or_else(|| ended(&error, &client.state())),
                        None,
                    );
                }
            };
            let outcome = self.judge(kind, &response);
            let is_last = response.field("Connection") == Some("close");
            let is_right = outcome == Outcome::Right;
            see(kind, outcome, Some(&response));
            if kind.closes && is_right {
                if !is_last {
                    see(kind, Outcome::Wrong("the connection stays".into()), None);
                }
                let _ = client.stream.shutdown(Shutdown::Write);
                match client.end() {
                    Ok(0) => (),
                    Ok(_) => see(
                        kind,
                        Outcome::Wrong("octets behind the last response".into()),
                        None,
                    ),
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {
                        see(
                            kind,
                            Outcome::Hangs("no end after the last response".into()),
                            None,
                        );
                    }
                    Err(_) => (),
                }
            }
            if is_last || !is_right {
                return;
            }
        }
    }

    /// One request on a connection of its own.
    pub fn ask_one(&self, kind: &Kind) -> Outcome {
        let mut outcome = Outcome::Right;
        self.ask(&[kind], |_, new, _| {
            if new != Outcome::Right {
                outcome = new;
            }
        });
        outcome
    }

    /// All that can be asked is answered as it has to be.
    pub fn is_served(&self) -> Result<(), String> {
        for kind in &self.kinds {
            let outcome = self.ask_one(kind);
            if outcome != Outcome::Right {
                return Err(format!("{}: {outcome:?}", kind.name));
            }
        }
        Ok(())
    }

    /// Whether `response` is what `kind` says.
    fn judge(&self, kind: &Kind, response: &Response) -> Outcome {
        if matches!(response.status, 500 | 503) && response.status != kind.status {
            return Outcome::Busy;
        }
        let is_coded = response.field("Content-Encoding").is_some();
        if kind.instead.as_ref().is_some_and(|(status, content)| {
            *status == response.status && !is_coded && self.is_content(content, response)
        }) {
            return Outcome::Busy;
        }
        if response.status != kind.status {
            return Outcome::Wrong(format!("status {}", response.status));
        }
        let lacks = |(name, wanted): &&(&'static str, String)| response.field(name) != Some(wanted);
        if let Some((name, _)) = kind.fields.iter().find(lacks) {
            return Outcome::Wrong(format!("{name}: {:?}", response.field(name)));
        }
        if self.is_content(&kind.content, response) {
            return Outcome::Right;
        }
        let shown = response.content.get(..60).unwrap_or(&response.content);
        Outcome::Wrong(format!(
            "{} octets of content: {:?}",
            response.content.len(),
            String::from_utf8_lossy(shown)
        ))
    }

    fn is_content(&self, content: &Content, response: &Response) -> bool {
        match content {
            Content::Part(file, start, len) => {
                response.content == self.pattern.octets(*file, *start, *len as usize)
            }
            Content::Parts(file, size, ranges) => {
                response.content == self.multipart(*file, *size, ranges, response)
            }
            Content::Learnt(octets) => response.content == *octets,
            Content::Own(status) => {
                let text = String::from_utf8_lossy(&response.content);
                text.starts_with("<!DOCTYPE html>") && text.contains(status)
            }
            Content::None => response.content.is_empty(),
        }
    }

    /// Whether `octets` are what `content` begins with.
    fn is_beginning(&self, content: &Content, octets: &[u8]) -> bool {
        match content {
            Content::Part(file, start, len) => self
                .pattern
                .octets(*file, *start, *len as usize)
                .starts_with(octets),
            Content::Learnt(whole) => whole.starts_with(octets),
            Content::Own(_) => octets.starts_with(b"<!DOCTYPE html>") || octets.len() < 15,
            Content::Parts(..) | Content::None => true,
        }
    }

    /// What is wrong with the content of a response that was not whole, if it is.
    fn judge_beginning(&self, kind: &Kind, client: &Client) -> Option<Outcome> {
        let status = client.begun?;
        let instead = kind.instead.as_ref().filter(|(code, _)| *code == status);
        let content = (kind.status == status).then_some(&kind.content);
        let contents: Vec<&Content> = content
            .into_iter()
            .chain(instead.map(|(_, content)| content))
            .collect();
        let is_right = contents.is_empty()
            || contents
                .iter()
                .any(|content| self.is_beginning(content, &client.unread));
        let what = || format!("{} octets before the end are others", client.unread.len());
        (!is_right).then(|| Outcome::Wrong(what()))
    }

    /// What a multipart of these ranges is, with the boundary and the type of this one.
    fn multipart(
        &self,
        file: usize,
        size: u64,
        ranges: &[(u64, u64)],
        response: &Response,
    ) -> Vec<u8> {
        let boundary = response
            .field("Content-Type")
            .and_then(|value| value.split_once("boundary="))
            .map_or("", |(_, boundary)| boundary.trim_matches('"'));
        let mut out = Vec::new();
        for (number, (first, last)) in ranges.iter().enumerate() {
            let line = if number == 0 { "" } else { "\r\n" };
            out.extend(
                format!(
                    "{line}--{boundary}\r\nContent-Type: text/plain; charset=utf-8\r\n\
                     Content-Range: bytes {first}-{last}/{size}\r\n\r\n"
                )
                .bytes(),
            );
            out.extend(
                self.pattern
                    .octets(file, *first, (last - first + 1) as usize),
            );
        }
        out.extend(format!("\r\n--{boundary}--\r\n").bytes());
        out
    }

    /// A client that asks until `goes_on` is false, by chance, some requests on each connection.
    pub fn visit(
        &self,
        kinds: &[&Kind],
        random: &mut fastrand::Rng,
        goes_on: impl Fn() -> bool,
        mut see: impl FnMut(&Outcome, Option<&Response>) -> Result<(), String>,
    ) -> Tally {
        let mut tally = Tally::default();
        while goes_on() {
            let mut asked: Vec<&Kind> = Vec::new();
            for _ in 0..random.usize(1..5) {
                let kind = kinds[random.usize(..kinds.len())];
                asked.push(kind);
                if kind.closes {
                    break;
                }
            }
            let mut is_refused = false;
            self.ask(&asked, |kind, outcome, response| {
                is_refused |= outcome == Outcome::Refused;
                tally.add(kind, &outcome);
                if let Err(what) = see(&outcome, response) {
                    tally.say(format!("{}: {what}", kind.name));
                }
            });
            if is_refused {
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        tally
    }
}

/// How an error ends an exchange.
fn ended(error: &io::Error, state: &str) -> Outcome {
    match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => Outcome::Hangs(state.into()),
        ErrorKind::UnexpectedEof => Outcome::Cut,
        ErrorKind::ConnectionRefused => Outcome::Refused,
        ErrorKind::InvalidData => Outcome::Wrong(error.to_string()),
        _ => Outcome::Reset,
    }
}

/// A response that was read.
pub struct Response {
    pub status: u16,
    fields: Vec<(String, String)>,
    pub content: Vec<u8>,
    /// When it was asked for, and when it had come.
    pub times: (Instant, Instant),
}

impl Response {
    /// The value of a field.
    pub fn field(&self, name: &str) -> Option<&str> {
        let mut values = self
            .fields
            .iter()
            .filter(|(found, _)| found.eq_ignore_ascii_case(name));
        let value = values.next()?;
        values.next().is_none().then_some(&value.1)
    }
}

/// A connection and what was read ahead.
pub struct Client {
    pub stream: TcpStream,
    unread: Vec<u8>,
    asked: Instant,
    /// The status of a response whose content is not whole.
    begun: Option<u16>,
}

fn malformed(what: impl Into<String>) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, what.into())
}

impl Client {
    pub fn new(address: SocketAddr, patience: Duration) -> io::Result<Client> {
        let stream = TcpStream::connect_timeout(&address, patience)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(patience))?;
        stream.set_write_timeout(Some(patience))?;
        Ok(Client {
            stream,
            unread: Vec::new(),
            asked: Instant::now(),
            begun: None,
        })
    }

    /// Sends octets, a request as a rule.
    pub fn send(&mut self, octets: &[u8]) -> io::Result<()> {
        self.asked = Instant::now();
        self.stream.write_all(octets)
    }

    /// What can be said of where it stands.
    fn state(&self) -> String {
        format!("{} octets are unread", self.unread.len())
    }

    /// More octets; an end is an error.
    fn more(&mut self) -> io::Result<()> {
        let mut buffer = [0; 1 << 16];
        let len = self.stream.read(&mut buffer)?;
        if len == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        self.unread.extend(&buffer[..len]);
        Ok(())
    }

    /// Reads to the end, and says how much there was.
    pub fn end(&mut self) -> io::Result<usize> {
        let mut count = self.unread.len();
        let mut buffer = [0; 4096];
        loop {
            match self.stream.read(&mut buffer)? {
                0 => return Ok(count),
                len => count += len,
            }
        }
    }

    /// The next response.
    pub fn response(&mut self, is_head: bool) -> io::Result<Response> {
        let end = loop {
            if let Some(end) = self
                .unread
                .windows(4)
                .position(|octets| octets == b"\r\n\r\n")
            {
                break end;
            }
            if self.unread.len() > 1 << 16 {
                return Err(malformed("the head has no end"));
            }
            self.more()?;
        };
        let head: Vec<u8> = self.unread.drain(..end + 4).collect();
        let head = String::from_utf8_lossy(&head[..end]);
        let mut lines = head.split("\r\n");
        let status = lines
            .next()
            .and_then(|line| line.strip_prefix("HTTP/1.1 "))
            .and_then(|line| line.get(..3))
            .and_then(|status| status.parse().ok())
            .ok_or_else(|| malformed(format!("no status line: {head:?}")))?;
        let mut fields = Vec::new();
        for line in lines {
            let (name, value) = line
                .split_once(": ")
                .filter(|(name, _)| !name.is_empty() && !line.contains(['\r', '\n']))
                .ok_or_else(|| malformed(format!("no field line: {line:?}")))?;
            fields.push((name.to_string(), value.to_string()));
        }
        let mut response = Response {
            status,
            fields,
            content: Vec::new(),
            times: (self.asked, Instant::now()),
        };
        if is_head || matches!(status, 204 | 304) {
            return Ok(response);
        }
        let len: usize = response
            .field("Content-Length")
            .and_then(|value| value.parse().ok())
            .ok_or_else(|| malformed(format!("no length: {head:?}")))?;
        self.begun = Some(status);
        while self.unread.len() < len {
            self.more()?;
        }
        self.begun = None;
        response.content = self.unread.drain(..len).collect();
        response.times.1 = Instant::now();
        Ok(response)
    }
}
