// SPDX-License-Identifier: GPL-2.0

//! Hostile writes to all sysctls from many tasks at once, among clients, starts and stops. What is
//! refused changes nothing, what is taken is read back, and no value is ever one that the
//! documentation doesn't allow.

use rust_tux_torture::backing;
use rust_tux_torture::site::{
    Kind,
    Outcome,
    Response,
    Site,
    Tally, //
};
use rust_tux_torture::{
    check,
    Campaign, //
};
use std::collections::BTreeMap;
use std::env;
use std::fs::{
    self,
    File,
    OpenOptions, //
};
use std::io::{
    self,
    Read,
    Write, //
};
use std::os::unix::fs::FileExt;
use std::path::{
    Path,
    PathBuf, //
};
use std::sync::atomic::{
    AtomicBool,
    AtomicU64,
    Ordering, //
};
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

const SYSCTLS: &str = "/proc/sys/net/http";

/// What a sysctl takes.
#[derive(Clone, Copy, PartialEq)]
enum Takes {
    /// A number of these, at once.
    Number(u64, u64),
    /// A number of these, with the next start.
    Later(u64, u64),
    /// Text, at once.
    Text,
    /// Text, with the next start.
    TextLater,
    /// 1 starts or stops.
    Command,
    /// Nothing.
    Nothing,
}
use Takes::{
    Command,
    Later,
    Nothing,
    Number,
    Text,
    TextLater, //
};

/// All sysctls, as Documentation/sysctl.rst has them; aliases together.
const ALL: &[(&[&str], Takes)] = &[
    (&["documentroot"], Text),
    (&["address"], TextLater),
    (&["serverport"], Later(1, 65_535)),
    (&["takeover"], Later(0, 1)),
    (&["clientport", "redirect_port"], Number(0, 65_535)),
    (&["handoff_timeout"], Number(0, 86_400)),
    (&["handoff_close"], Number(0, 1)),
    (&["handoff_not_found"], Number(0, 1)),
    (&["handoff_forbidden"], Number(0, 1)),
    // Of its numbers one is refused.
    (&["ignore_query"], Text),
    (&["dynamic"], Text),
    (&["all_userspace"], Number(0, 1)),
    (&["failsafe_timeout"], Number(0, 86_400)),
    (&["fastpath"], Number(0, 1)),
    (&["ready_responses"], Number(0, 2)),
    (&["zerocopy_sendfile"], Number(0, 2)),
    (&["push_all"], Number(0, 1)),
    (&["fast_accept"], Number(0, 1)),
    (&["ack_pingpong"], Number(0, 1)),
    (&["single_flight"], Number(0, 1)),
    (&["checksums"], Number(0, 1)),
    (&["max_cached_documents"], Number(0, 4_194_304)),
    (&["max_cached_memory"], Number(0, 4_294_967_295)),
    (&["max_cached_filesize"], Number(0, 4_294_967_295)),
    (&["compression"], Number(0, 1)),
    (&["charset"], Text),
    (&["mime_types"], Text),
    (&["generate_etags"], Number(0, 1)),
    (&["generate_last_mod"], Number(0, 1)),
    (&["generate_cache_control"], Number(0, 1)),
    (&["cache_control"], Text),
    (&["extra_header"], Text),
    (&["hide_unreadable"], Number(0, 1)),
    (&["http_dir_indexing"], Number(0, 1)),
    (&["error_pages", "404_page"], Text),
    (&["threads"], Later(0, 1024)),
    (&["max_connect", "maxconnect"], Number(1, 4_194_304)),
    (&["max_backlog"], Later(1, 65_535)),
    (&["drain_timeout"], Number(0, 86_400)),
    (&["max_header_len"], Number(256, 65_536)),
    (&["keepalive_timeout"], Number(0, 86_400)),
    (&["header_timeout"], Number(1, 3600)),
    (&["send_timeout"], Number(1, 3600)),
    (&["body_timeout"], Number(1, 3600)),
    (&["min_receive_rate"], Number(0, 1_073_741_824)),
    (&["min_send_rate"], Number(0, 1_073_741_824)),
    (&["keepalive_requests"], Number(0, 4_294_967_295)),
    (&["linger_timeout"], Number(1, 3600)),
    (&["linger_limit"], Number(0, 1_073_741_824)),
    (&["start"], Command),
    (&["stop"], Command),
    (&["state"], Nothing),
    (&["pending"], Nothing),
];

/// What `/proc/net/http/stat` says of now: the other numbers only grow.
const OF_NOW: [&str; 7] = [
    "connections_open",
    "storage_running",
    "storage_waiting",
    "storage_abandoned",
    "failsafe",
    "cached_documents",
    "cached_octets",
];

/// Errors that a write may have.
const ERRORS: [i32; 9] = [
    libc::EINVAL,
    libc::ENOENT,
    libc::ENOTDIR,
    libc::EISDIR,
    libc::EACCES,
    libc::ENAMETOOLONG,
    libc::EFBIG,
    libc::ELOOP,
    // What is longer than the kernel copies.
    libc::ENOMEM,
];

fn path(name: &str) -> PathBuf {
    Path::new(SYSCTLS).join(name)
}

/// The value, by one read(2): with a second one it might be that of another moment.
fn read(name: &str) -> io::Result<Vec<u8>> {
    let mut value = vec![0; 16_384];
    let len = File::open(path(name))?.read(&mut value)?;
    value.truncate(len);
    Ok(value)
}

/// One write(2); what is not taken whole is an error.
fn write(name: &str, octets: &[u8], offset: u64) -> io::Result<()> {
    let file = OpenOptions::new().write(true).open(path(name))?;
    match file.write_at(octets, offset)? {
        len if len == octets.len() => Ok(()),
        len => Err(io::Error::other(format!(
            "{len} of {} octets",
            octets.len()
        ))),
    }
}

struct Torture {
    /// The document root, and a copy of it.
    roots: [String; 2],
    types: String,
    port: String,
    /// Where the backing server listens.
    backing: String,
    wrong: Mutex<Vec<String>>,
    operations: AtomicU64,
    refused: AtomicU64,
}

impl Torture {
    fn complain(&self, what: String) {
        let mut wrong = self.wrong.lock().unwrap();
        if wrong.len() < 20 {
            wrong.push(what);
        }
    }

    /// A value that the documentation allows.
    fn valid(&self, name: &str, takes: Takes, random: &mut fastrand::Rng) -> String {
        let choose = |values: &[&str], random: &mut fastrand::Rng| {
            values[random.usize(..values.len())].to_string()
        };
        match (name, takes) {
            // Clients have to find it.
            ("serverport", _) => self.port.clone(),
            ("address", _) => choose(&["*", "any", "", "0.0.0.0", "::", "127.0.0.1"], random),
            ("threads", _) => choose(&["0", "1", "2", "3", "7", "40"], random),
            // The backing server, nobody, none.
            ("clientport" | "redirect_port", _) => choose(&[&self.backing, "1", "0"], random),
            // Who waits for nobody is not to wait for ever.
            ("handoff_timeout", _) => random.u64(..3).to_string(),
            ("ignore_query", _) => choose(&["0", "2"], random),
            ("dynamic", _) => choose(
                &[
                    "",
                    "^/api/ .php",
                    "-cgi-bin",
                    "cgi-bin",
                    "/text. ^/2",
                    "-/text. -^/2",
                ],
                random,
            ),
            // Some are always let in, and have some time.
            ("max_connect" | "maxconnect", _) => random.u64(30..=4_194_304).to_string(),
            ("header_timeout" | "send_timeout", _) => random.u64(20..=3600).to_string(),
            ("drain_timeout", _) => random.u64(..3).to_string(),
            ("min_send_rate", _) => random.u64(..10).to_string(),
            (_, Number(min, max) | Later(min, max)) => match random.usize(..4) {
                0 => min.to_string(),
                1 => max.to_string(),
                _ => random.u64(min..=max).to_string(),
            },
            ("documentroot", _) => self.roots[random.usize(..2)].clone(),
            ("charset", _) => choose(&["utf-8", "off", "iso-8859-1", "us-ascii", ""], random),
            ("mime_types", _) => choose(&["", &self.types], random),
            ("cache_control", _) => {
                let n = random.u32(..2_147_483_648);
                choose(
                    &[
                        "",
                        &format!("text/html={n}, image/*=0"),
                        &format!("*/*={n} text/*={n}"),
                    ],
                    random,
                )
            }
            ("extra_header", _) => {
                let n = random.u32(..);
                choose(
                    &[
                        "",
                        &format!("X-Torture: {n}-{n}"),
                        &format!("X-Torture: {n}-{n}\nX-Other: a"),
                    ],
                    random,
                )
            }
            ("error_pages", _) => choose(
                &[
                    "404=/404.html",
                    "404=/none 403=/404.html",
                    "",
                    "500=/text.txt",
                ],
                random,
            ),
            ("404_page", _) => choose(&["404.html", "/404.html", "/none", ""], random),
            _ => unreachable!("{name}"),
        }
    }

    /// Octets that have no business there, or may.
    fn hostile(&self, name: &str, takes: Takes, random: &mut fastrand::Rng) -> Vec<u8> {
        let noise = |len: usize, random: &mut fastrand::Rng| -> Vec<u8> {
            (0..len).map(|_| random.u8(..)).collect()
        };
        let valid = match takes {
            Command => "1".to_string(),
            Nothing => "running".to_string(),
            // A client can't tell a number that was changed from one that was torn.
            Text if name == "extra_header" => format!("X-Hostile: {}", random.u32(..)),
            _ => self.valid(name, takes, random),
        };
        match random.usize(..16) {
            0 => Vec::new(),
            1 => {
                let len = random.usize(..40);
                noise(len, random)
            }
            2 => {
                let len = random.usize(..5000);
                noise(len, random)
            }
            3 => vec![b'1'; [4094, 4095, 4096, 4097, 65_536, 1 << 20][random.usize(..6)]],
            4 => b"0".repeat(random.usize(1..30)),
            5 => format!("{}", random.u64(..)).into_bytes(),
            6 => format!("-{}", random.u32(..)).into_bytes(),
            7 => format!("{}\n\n", valid).into_bytes(),
            8 => format!(" {valid}").into_bytes(),
            9 => format!("{valid}\0{valid}").into_bytes(),
            10 => format!("0x{:x}", random.u32(..)).into_bytes(),
            11 => match takes {
                Number(min, max) | Later(min, max) => {
                    let past = if random.bool() {
                        max.wrapping_add(1)
                    } else {
                        min.wrapping_sub(1)
                    };
                    (past + (random.u64(..3) << 32) * u64::from(past < 1 << 40))
                        .to_string()
                        .into_bytes()
                }
                _ => format!("/{}", "a/../".repeat(random.usize(1..900))).into_bytes(),
            },
            12 => vec![b'\n'; random.usize(1..4)],
            13 => {
                let mut octets = valid.into_bytes();
                if !octets.is_empty() {
                    let place = random.usize(..octets.len());
                    octets[place] ^= 1 << random.u8(..8);
                }
                octets
            }
            14 => format!("{valid}, {valid}").into_bytes(),
            _ => format!("{valid}\n").into_bytes(),
        }
    }

    /// Complains if `value` is none that a read may have.
    fn inspect(&self, name: &str, takes: Takes, value: &[u8]) {
        let line = value.strip_suffix(b"\n");
        let text = line.map(String::from_utf8_lossy).unwrap_or_default();
        let is_allowed = match takes {
            Number(min, max) | Later(min, max) => {
                let is_plain = text.bytes().all(|octet| octet.is_ascii_digit())
                    && (text == "0" || !text.starts_with('0'));
                is_plain
                    && text
                        .parse::<u64>()
                        .is_ok_and(|number| min <= number && number <= max)
            }
            Command => text == "0" || text == "1",
            Nothing if name == "state" => ["running", "draining", "stopped"].contains(&&*text),
            Nothing => {
                let names = [
                    "address",
                    "serverport",
                    "takeover",
                    "threads",
                    "max_backlog",
                ];
                text.lines().all(|line| {
                    line.split_once(' ')
                        .is_some_and(|(name, _)| names.contains(&name))
                })
            }
            Text | TextLater => {
                !value.contains(&0) && (value.is_empty() || line.is_some()) && value.len() <= 8192
            }
        };
        if !is_allowed {
            self.complain(format!(
                "{name} reads {:?}",
                String::from_utf8_lossy(&value[..value.len().min(300)])
            ));
        }
    }

    /// The value, read whole or in pieces.
    fn look(&self, name: &str, takes: Takes, random: &mut fastrand::Rng) {
        self.operations.fetch_add(1, Ordering::Relaxed);
        let result = match random.usize(..4) {
            0 => {
                // Octet by octet: what changes meanwhile comes mixed, and ends all the same.
                let mut octet = [0];
                let file = File::open(path(name)).unwrap();
                let mut count = 0u64;
                while count < 20_000 && file.read_at(&mut octet, count).unwrap_or(0) == 1 {
                    count += 1;
                }
                if count == 20_000 {
                    self.complain(format!("{name} does not end"));
                }
                return;
            }
            1 => {
                let file = File::open(path(name)).unwrap();
                let offset = random.u64(..1 << 62);
                let mut buffer = [0; 64];
                return match file.read_at(&mut buffer, offset) {
                    Ok(len) if offset > 8192 && len != 0 => {
                        self.complain(format!("{name} has {len} octets at {offset}"));
                    }
                    _ => (),
                };
            }
            _ => read(name),
        };
        match result {
            Ok(value) => self.inspect(name, takes, &value),
            Err(error) => self.complain(format!("{name} can't be read: {error}")),
        }
    }

    /// Writes to sysctls that nobody else writes to: so it is known what has to be read afterwards.
    fn owner(&self, mine: &[(&[&str], Takes)], random: &mut fastrand::Rng) {
        let (names, takes) = mine[random.usize(..mine.len())];
        let name = names[random.usize(..names.len())];
        let is_now = matches!(takes, Number(..) | Text);
        let before = read(name);
        let is_valid = !matches!(takes, Command | Nothing) && random.bool();
        let octets = if is_valid {
            self.valid(name, takes, random).into_bytes()
        } else {
            self.hostile(name, takes, random)
        };
        // A hostile port, or so many workers, might be right: who would serve then?
        if !is_valid
            && matches!(
                name,
                "serverport"
                    | "threads"
                    | "address"
                    | "max_connect"
                    | "maxconnect"
                    | "handoff_timeout"
            )
        {
            let value = String::from_utf8_lossy(&octets).trim_end().to_string();
            if value.parse::<u32>().is_ok() || name == "address" {
                return;
            }
        }
        let offset = if !is_valid && random.usize(..8) == 0 {
            random.u64(1..5000)
        } else {
            0
        };
        self.operations.fetch_add(1, Ordering::Relaxed);
        let result = write(name, &octets, offset);
        let after = read(name);
        let (Ok(before), Ok(after)) = (before, after) else {
            return self.complain(format!("{name} can't be read"));
        };
        self.inspect(name, takes, &after);
        let shown = || {
            format!(
                "{name}: {:?} at {offset}",
                String::from_utf8_lossy(&octets[..octets.len().min(200)])
            )
        };
        match result {
            Ok(()) if is_now && !octets.is_empty() => {
                let written = octets.strip_suffix(b"\n").unwrap_or(&octets);
                let read_ = after.strip_suffix(b"\n").unwrap_or(&after);
                if matches!(takes, Number(..)) && written != read_ {
                    self.complain(format!(
                        "{} is taken, and reads {:?}",
                        shown(),
                        String::from_utf8_lossy(read_)
                    ));
                }
                if matches!(name, "documentroot" | "mime_types" | "ignore_query")
                    && written != read_
                {
                    self.complain(format!(
                        "{} reads {:?}",
                        shown(),
                        String::from_utf8_lossy(read_)
                    ));
                }
                // What it reads as is a value that it takes, and stays.
                if !after.is_empty() {
                    let again = write(name, &after, 0);
                    let last = read(name).unwrap_or_default();
                    if again.is_err() || last != after {
                        let (was, is) = (
                            String::from_utf8_lossy(&after),
                            String::from_utf8_lossy(&last),
                        );
                        self.complain(format!(
                            "{}: {was:?} written back: {again:?}, {is:?}",
                            shown()
                        ));
                    }
                }
            }
            Ok(()) => (),
            Err(error) => {
                self.refused.fetch_add(1, Ordering::Relaxed);
                // What is written to it is added: at some time there is no room.
                let is_full = name == "dynamic" && before.len() > 3000;
                if is_valid && !is_full {
                    self.complain(format!("{} is refused: {error}", shown()));
                }
                if !error
                    .raw_os_error()
                    .is_some_and(|number| ERRORS.contains(&number))
                {
                    self.complain(format!("{}: {error}", shown()));
                }
                if is_now && before != after {
                    let (was, is) = (
                        String::from_utf8_lossy(&before),
                        String::from_utf8_lossy(&after),
                    );
                    self.complain(format!("{} is refused, but {was:?} became {is:?}", shown()));
                }
            }
        }
    }

    /// Writes that others make, too, to the commands and to what takes nothing.
    fn stranger(&self, random: &mut fastrand::Rng) {
        let (names, takes) = ALL[random.usize(..ALL.len())];
        let name = names[random.usize(..names.len())];
        match takes {
            Command => {
                let octets = self.hostile(name, takes, random);
                let value = octets.strip_suffix(b"\n").unwrap_or(&octets);
                let is_command = value == b"0" || value == b"1";
                if value == b"1" {
                    return;
                }
                if write(name, &octets, 0).is_ok() && !is_command && !octets.is_empty() {
                    self.complain(format!("{name} takes {:?}", String::from_utf8_lossy(value)));
                }
            }
            Nothing => {
                if write(name, &self.hostile(name, takes, random), 0).is_ok() {
                    self.complain(format!("{name} can be written"));
                }
            }
            _ => {
                let parameters = "/sys/module/rust_tux/parameters";
                for entry in fs::read_dir(parameters).into_iter().flatten().flatten() {
                    let file = OpenOptions::new().write(true).open(entry.path());
                    if file.is_ok_and(|mut file| file.write(b"/tmp").is_ok()) {
                        self.complain(format!("{} can be written", entry.path().display()));
                    }
                    if fs::read(entry.path()).is_err() {
                        self.complain(format!("{} can't be read", entry.path().display()));
                    }
                }
            }
        }
        self.operations.fetch_add(1, Ordering::Relaxed);
    }

    /// Stops and starts; a start may fail while the address changes.
    fn command(&self, random: &mut fastrand::Rng) {
        let pause = |milliseconds, random: &mut fastrand::Rng| {
            thread::sleep(Duration::from_millis(random.u64(..milliseconds)));
        };
        if random.usize(..3) == 0 {
            if let Err(error) = write("stop", b"1\n", 0) {
                self.complain(format!("stop: {error}"));
            }
            pause(50, random);
        }
        match write("start", b"1", 0) {
            Err(error) if error.raw_os_error() != Some(libc::EADDRINUSE) => {
                self.complain(format!("start: {error}"))
            }
            _ => (),
        }
        self.operations.fetch_add(2, Ordering::Relaxed);
        pause(1000, random);
    }

    /// The counters: always the same names, and none goes back.
    fn statistics(&self, last: &mut BTreeMap<String, u64>) {
        self.operations.fetch_add(1, Ordering::Relaxed);
        let mut text = String::new();
        let result =
            File::open("/proc/net/http/stat").and_then(|mut file| file.read_to_string(&mut text));
        if let Err(error) = result {
            return self.complain(format!("stat: {error}"));
        }
        let mut now = BTreeMap::new();
        for line in text.lines() {
            match line
                .split_once(' ')
                .and_then(|(name, number)| Some((name, number.trim().parse::<u64>().ok()?)))
            {
                Some((name, number)) => drop(now.insert(name.to_string(), number)),
                None => self.complain(format!("stat: {line:?}")),
            }
        }
        if !last.is_empty() && !now.keys().eq(last.keys()) {
            self.complain(format!(
                "stat: {} names, and then {}",
                last.len(),
                now.len()
            ));
        }
        for (name, number) in &now {
            let only_grows = !OF_NOW.contains(&name.as_str());
            if only_grows && last.get(name).is_some_and(|was| was > number) {
                self.complain(format!(
                    "stat: {name} goes from {} back to {number}",
                    last[name]
                ));
            }
        }
        *last = now;
    }
}

/// What is wrong with the fields of a response whose settings change all the time.
fn fields(response: &Response) -> Result<(), String> {
    if let Some(value) = response.field("X-Torture") {
        if !value.split_once('-').is_some_and(|(a, b)| a == b) {
            return Err(format!("X-Torture: {value}"));
        }
    }
    if let Some(value) = response.field("Cache-Control") {
        let age = value.strip_prefix("max-age=");
        if value != "no-cache" && !age.is_some_and(|age| age.parse::<u32>().is_ok()) {
            return Err(format!("Cache-Control: {value}"));
        }
    }
    Ok(())
}

fn main() {
    let mut campaign = Campaign::begin();
    let root = PathBuf::from(env::var("docroot").unwrap());
    let site = Site::make(&campaign, &root, &[1, 4096, 70_000]);
    let other = env::var("other").unwrap();
    Site::make(&campaign, Path::new(&other), &[1, 4096, 70_000]);
    let types = format!("{}/types", env::var("tmp").unwrap());
    fs::write(&types, "text/x-torture torture\n").unwrap();
    let server = backing::listen(0).unwrap();
    let torture = Torture {
        roots: [root.display().to_string(), other],
        types,
        port: campaign.address.port().to_string(),
        backing: server.local_addr().unwrap().port().to_string(),
        wrong: Mutex::new(Vec::new()),
        operations: AtomicU64::new(0),
        refused: AtomicU64::new(0),
    };

    let mut found: Vec<String> = fs::read_dir(SYSCTLS)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    let mut known: Vec<String> = ALL
        .iter()
        .flat_map(|(names, _)| names.iter().map(|name| name.to_string()))
        .collect();
    found.sort();
    known.sort();
    check("these are all sysctls", found == known, || {
        format!("{found:?}\n{known:?}")
    });
    let at_first: Vec<(&str, Vec<u8>)> = ALL
        .iter()
        .filter(|(_, takes)| !matches!(takes, Command | Nothing))
        .map(|(names, _)| (names[0], read(names[0]).unwrap()))
        .collect();

    // Kinds whose answer no setting changes.
    let is_constant = |kind: &&Kind| {
        let name = kind.name.as_str();
        name.starts_with('/')
            || name.starts_with("a range")
            || ["the last", "as it is", "HEAD", "a slash is missing"].contains(&name)
    };
    let kinds: Vec<&Kind> = site.kinds.iter().filter(is_constant).collect();
    let is_over = AtomicBool::new(false);
    let has_ended = AtomicBool::new(false);
    // Each sysctl has one who writes to it.
    let mut owned: Vec<Vec<(&[&str], Takes)>> = vec![Vec::new(); 4];
    for sysctl in ALL {
        owned[campaign.random.usize(..4)].push(*sysctl);
    }
    let mut fork = || campaign.random.fork();
    let randoms: Vec<fastrand::Rng> = (0..16).map(|_| fork()).collect();
    let (tally, handed_over) = thread::scope(|scope| {
        let (campaign, torture, site, kinds) = (&campaign, &torture, &site, &kinds);
        let (is_over, has_ended) = (&is_over, &has_ended);
        let handed_over =
            scope.spawn(|| backing::serve(&server, || !has_ended.load(Ordering::Relaxed)));
        let mut randoms = randoms.into_iter();
        for mine in &owned {
            let mut random = randoms.next().unwrap();
            scope.spawn(move || {
                while campaign.has_time() && !mine.is_empty() {
                    torture.owner(mine, &mut random);
                }
            });
        }
        for _ in 0..2 {
            let mut random = randoms.next().unwrap();
            scope.spawn(move || {
                while campaign.has_time() {
                    let (names, takes) = ALL[random.usize(..ALL.len())];
                    torture.look(names[random.usize(..names.len())], takes, &mut random);
                    torture.stranger(&mut random);
                }
            });
        }
        for _ in 0..2 {
            let mut random = randoms.next().unwrap();
            scope.spawn(move || {
                while campaign.has_time() {
                    torture.command(&mut random);
                }
            });
        }
        scope.spawn(move || {
            let mut last = BTreeMap::new();
            while campaign.has_time() {
                torture.statistics(&mut last);
                thread::sleep(Duration::from_millis(20));
            }
        });
        let clients: Vec<_> = (0..3)
            .map(|_| {
                let mut random = randoms.next().unwrap();
                scope.spawn(move || {
                    let see = |outcome: &Outcome, response: Option<&Response>| match response {
                        Some(response) if *outcome == Outcome::Right => fields(response),
                        _ => Ok(()),
                    };
                    site.visit(kinds, &mut random, || !is_over.load(Ordering::Relaxed), see)
                })
            })
            .collect();
        while campaign.has_time() {
            thread::sleep(Duration::from_millis(100));
        }
        // A stopped server answers nobody who waits in between.
        thread::sleep(Duration::from_millis(500));
        let _ = write("start", b"1", 0);
        is_over.store(true, Ordering::Relaxed);
        let mut tally = Tally::default();
        for client in clients {
            tally.merge(client.join().unwrap());
        }
        has_ended.store(true, Ordering::Relaxed);
        (tally, handed_over.join().unwrap())
    });
    let wrong = torture.wrong.into_inner().unwrap();
    println!(
        "# clients: {tally}; {} writes refused",
        torture.refused.load(Ordering::Relaxed)
    );
    let is_served = matches!(handed_over, Ok((_, answered)) if answered > 0);
    check("connections are handed over", is_served, || {
        format!("{handed_over:?}")
    });
    println!("# handed over, and answered there: {handed_over:?}");
    check(
        "sysctls take what is documented, and nothing else",
        wrong.is_empty(),
        || wrong.join("\n"),
    );
    check(
        "clients get what they asked for",
        tally.wrong.is_empty() && tally.of("right") > 0,
        || format!("{tally}\n{}", tally.wrong.join("\n")),
    );

    let mut failed = Vec::new();
    let _ = write("drain_timeout", b"0", 0);
    let _ = write("stop", b"1", 0);
    for (name, value) in &at_first {
        // What is written is added to what is there.
        if *name == "dynamic" {
            let _ = write(name, b"\n", 0);
        }
        // An empty value is written as a newline.
        let value = if value.is_empty() { &b"\n"[..] } else { value };
        if let Err(error) = write(name, value, 0) {
            failed.push(format!("{name}: {error}"));
        }
    }
    if let Err(error) = write("start", b"1", 0) {
        failed.push(format!("start: {error}"));
    }
    for (name, value) in &at_first {
        if read(name).unwrap() != *value {
            failed.push(format!(
                "{name} is not {:?}",
                String::from_utf8_lossy(value)
            ));
        }
    }
    check("all settings are restored", failed.is_empty(), || {
        failed.join("\n")
    });
    let result = site.is_served();
    check("afterwards all is served", result.is_ok(), || {
        result.unwrap_err()
    });
    campaign.count(torture.operations.load(Ordering::Relaxed) + tally.all());
    campaign.report();
}
