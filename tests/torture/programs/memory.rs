// SPDX-License-Identifier: GPL-2.0

//! The server when memory lacks: each allocation of each kind of request fails in its turn, some
//! fail by chance, caches are dropped or too small, TCP has no memory, clients have none.
//!
//! It may say that it can't, or end a connection. It may not give other octets, nor be silent.

use rust_tux_torture::site::{
    Kind,
    Outcome,
    Site,
    Tally, //
};
use rust_tux_torture::{
    backing,
    check,
    counter,
    meminfo,
    number,
    tcp_counter,
    Campaign, //
};
use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{
    Path,
    PathBuf, //
};
use std::process::{
    Child,
    Command,
    Stdio, //
};
use std::sync::atomic::{
    AtomicBool,
    Ordering, //
};
use std::thread;
use std::time::{
    Duration,
    Instant, //
};

const SIZES: [u64; 8] = [0, 1, 4096, 4097, 20_000, 70_000, 300_000, 1 << 20];
const CLIENTS: usize = 4;
/// Files on the disk, each of so many octets: more than there will be room for in memory.
const DISK: (usize, u64) = (24, 8 << 20);
const MIB: i64 = 1 << 20;
/// More allocations than ever fail: the kernel counts down.
const MANY: i64 = 1 << 30;

fn write(path: impl AsRef<Path>, value: &str) {
    let path = path.as_ref();
    fs::write(path, value).unwrap_or_else(|error| panic!("{}: {value}: {error}", path.display()));
}

/// An injector of failures: its directory.
#[derive(Clone, Copy)]
struct Faults(&'static str);

const SLAB: Faults = Faults("failslab");
const PAGES: Faults = Faults("fail_page_alloc");

impl Faults {
    fn path(self, name: &str) -> PathBuf {
        Path::new("/sys/kernel/debug").join(self.0).join(name)
    }

    fn set(self, name: &str, value: &str) {
        write(self.path(name), value);
    }

    fn get(self, name: &str) -> i64 {
        let text = fs::read_to_string(self.path(name)).unwrap();
        text.trim()
            .parse()
            .unwrap_or_else(|_| panic!("{name}: {text:?}"))
    }

    fn exist(self) -> bool {
        self.path("require-start").exists()
    }

    /// Of the allocations that come, the one fails with which `space` octets (pages) are used up.
    fn one(self, space: i64) {
        self.set("interval", "1");
        self.set("space", &space.to_string());
        // The kernel takes any number, and of a large one the low half.
        assert_eq!(self.get("space"), space, "space");
        self.set("times", "1");
        self.set("probability", "100");
    }

    /// So many of a hundred fail.
    fn some(self, probability: u32) {
        self.set("interval", "1");
        self.set("space", "0");
        self.set("times", &MANY.to_string());
        self.set("probability", &probability.to_string());
    }

    /// How many have failed since then.
    fn failed(self) -> i64 {
        MANY - self.get("times")
    }

    fn none(self) {
        self.set("probability", "0");
    }

    /// For allocations with one of these addresses among their callers.
    fn of(self, range: &(String, String)) {
        self.set("require-start", &range.0);
        self.set("require-end", &range.1);
    }

    fn range(self) -> (String, String) {
        let read = |name| {
            fs::read_to_string(self.path(name))
                .unwrap()
                .trim()
                .to_string()
        };
        (read("require-start"), read("require-end"))
    }
}

/// Resets that there was no memory for: who waits for one of them waits in vain.
fn lost_resets() -> u64 {
    tcp_counter("TCPAbortFailed")
}

/// How often TCP has come to be short of memory.
fn pressures() -> u64 {
    tcp_counter("TCPMemoryPressures")
}

/// Octets that could be had.
fn available() -> i64 {
    meminfo("MemAvailable:")
}

struct Torture {
    campaign: Campaign,
    site: Site,
    operations: u64,
}

impl Torture {
    /// Whether all is served as it has to be.
    fn is_well(&mut self, name: &str) {
        self.operations += self.site.kinds.len() as u64;
        let result = self.site.is_served();
        check(
            &format!("{name}: afterwards all is served"),
            result.is_ok(),
            || result.unwrap_err(),
        );
    }

    /// Clients for so long, and until one was served, if that comes, while `meanwhile` is called
    /// again and again; then `end`, and what became of all. None of it may be wrong. Returns
    /// whether all were served.
    fn storm(
        &mut self,
        name: &str,
        seconds: f64,
        kinds: &[&Kind],
        mut meanwhile: impl FnMut(),
        end: impl FnOnce(),
    ) -> bool {
        let (lost, over) = (lost_resets(), AtomicBool::new(false));
        let served = AtomicBool::new(false);
        let tally = thread::scope(|scope| {
            let (site, over, served) = (&self.site, &over, &served);
            let clients: Vec<_> = (0..CLIENTS)
                .map(|_| {
                    let mut random = self.campaign.random.fork();
                    scope.spawn(move || {
                        let goes_on = || !over.load(Ordering::Relaxed);
                        site.visit(kinds, &mut random, goes_on, |outcome, _| {
                            if *outcome == Outcome::Right {
                                served.store(true, Ordering::Relaxed);
                            }
                            Ok(())
                        })
                    })
                })
                .collect();
            // On a busy machine a client that waits in vain for a reset takes the time of many.
            let until = Instant::now() + Duration::from_secs_f64(seconds);
            let late = until + 2 * self.site.patience;
            while Instant::now() < until || !served.load(Ordering::Relaxed) && Instant::now() < late
            {
                meanwhile();
            }
            end();
            over.store(true, Ordering::Relaxed);
            let mut tally = Tally::default();
            for client in clients {
                tally.merge(client.join().unwrap());
            }
            tally
        });
        let lost = lost_resets() - lost;
        println!("# {name}: {tally}, lost resets {lost}");
        let is_right = tally.of("wrong") == 0 && tally.of("hangs") <= lost;
        check(
            &format!("{name}: no wrong answer, nobody hangs"),
            is_right,
            || tally.wrong.join("\n"),
        );
        check(
            &format!("{name}: some are served"),
            tally.of("right") != 0,
            || tally.to_string(),
        );
        self.operations += tally.all();
        self.is_well(name);
        tally.of("right") == tally.all()
    }

    /// Such a storm, in which allocations fail by these until its end.
    fn storm_of(
        &mut self,
        name: &str,
        seconds: f64,
        kinds: &[&Kind],
        faults: &[Faults],
        meanwhile: impl FnMut(),
    ) {
        self.storm(name, seconds, kinds, meanwhile, || {
            faults.iter().for_each(|faults| faults.none());
        });
        let failed = faults.iter().map(|faults| (faults.0, faults.failed()));
        let failed: Vec<(&str, i64)> = failed.collect();
        println!("# {name}: failed {failed:?}");
        // Which of two is met, and how often, is up to what comes.
        let all: i64 = failed.iter().map(|(_, count)| count).sum();
        check(&format!("{name}: allocations fail"), all > 0, String::new);
    }

    /// Each allocation of each kind of request, from accept to close, fails in its turn, as often
    /// as there is time.
    fn sweep(&mut self, seconds: f64) {
        let end = Instant::now() + Duration::from_secs_f64(seconds);
        let mut order: Vec<usize> = (0..self.site.kinds.len()).collect();
        self.campaign.random.shuffle(&mut order);
        let (mut wrong, mut failed, mut swept) = (Vec::new(), 0, 0);
        let mut tally = Tally::default();
        for index in order.into_iter().cycle() {
            if Instant::now() >= end {
                break;
            }
            let kind = self.site.kinds[index].clone();
            let mut line = format!("# {}:", kind.name);
            for faults in [PAGES, SLAB] {
                let places = self.sweep_one(&kind, faults, end, &mut tally, &mut wrong);
                failed += places;
                line.push_str(&format!(" {} of {places}", faults.0));
            }
            println!("{line}");
            swept += 1;
        }
        println!(
            "# {failed} allocations failed, {swept} times one of {} kinds: {tally}",
            self.site.kinds.len()
        );
        check(
            "each failure is answered, or ends its connection",
            wrong.is_empty(),
            || wrong.join("\n"),
        );
        check("allocations of requests fail", failed > swept, || {
            format!("{failed}")
        });
        // What one kind allocates may be dispensable.
        if swept > self.site.kinds.len() {
            let are_missed = tally.of("right") < tally.all();
            check("some of them are missed", are_missed, String::new);
        }
        self.operations += tally.all();
        self.is_well("one failure at a time");
    }

    /// How many allocations of `kind` failed, one after the other, until `end`.
    fn sweep_one(
        &mut self,
        kind: &Kind,
        faults: Faults,
        end: Instant,
        tally: &mut Tally,
        wrong: &mut Vec<String>,
    ) -> usize {
        // Objects are counted by their octets, and pages by one. Small objects between large ones
        // are met by one seed or another.
        let most = if faults.0 == SLAB.0 { 512 } else { 1 };
        let mut space = self.campaign.random.i64(0..most);
        let (mut places, mut spared) = (BTreeSet::new(), 0);
        // Where the last allocation is differs from one time to the next.
        while spared < 3 && space < 100_000 && Instant::now() < end {
            let lost = lost_resets();
            faults.one(space);
            let outcome = self.site.ask_one(kind);
            // What is done when it is closed.
            thread::sleep(Duration::from_millis(2));
            let failed = faults.get("times") == 0;
            faults.none();
            tally.add(kind, &outcome);
            if failed {
                // Where it was: what was left of the space is before it.
                places.insert(space - faults.get("space"));
                spared = 0;
            } else {
                spared += 1;
            }
            let is_right = match &outcome {
                Outcome::Right => true,
                Outcome::Busy | Outcome::Cut | Outcome::Reset => failed,
                Outcome::Hangs(_) => lost_resets() > lost,
                Outcome::Refused | Outcome::Wrong(_) => false,
            };
            if !is_right {
                wrong.push(format!(
                    "{}, {} at {space}: {outcome:?}, failed: {failed}",
                    kind.name, faults.0
                ));
            }
            let again = self.site.ask_one(kind);
            if again != Outcome::Right {
                wrong.push(format!(
                    "{}, after {} at {space}: {again:?}",
                    kind.name, faults.0
                ));
            }
            space += self.campaign.random.i64(1..=most);
        }
        // A page may be had from those that are there; a connection is an object of its own.
        if places.is_empty() && faults.0 == SLAB.0 && Instant::now() < end {
            wrong.push(format!("{}: no object fails up to {space}", kind.name));
        }
        places.len()
    }

    /// Files of which there is no room for all.
    fn small_cache(&mut self, seconds: f64) {
        let names: Vec<String> = (0..DISK.0).map(|n| format!("disk/{n}.bin")).collect();
        for (index, name) in names.iter().enumerate() {
            self.site.add_file(name, 100 + index, DISK.1);
        }
        write("/proc/sys/vm/drop_caches", "3");
        let room = (DISK.0 as i64) * (DISK.1 as i64) * 6 / 10;
        let mut hog = again(&["hog", &room.to_string()]);
        let until = Instant::now() + Duration::from_secs(120);
        while available() > room + 16 * MIB && Instant::now() < until {
            thread::sleep(Duration::from_millis(200));
        }
        let (has, wants) = (available() / MIB, DISK.0 as i64 * DISK.1 as i64 / MIB);
        println!("# room for {has} MiB of files, of {wants} MiB");
        check("there is no room for all files", has < wants, String::new);
        let kinds = self.site.kinds.clone();
        let disk: Vec<&Kind> = kinds
            .iter()
            .filter(|kind| kind.name.contains("disk/"))
            .collect();
        self.storm(
            "a cache that is too small",
            seconds,
            &disk,
            || thread::sleep(Duration::from_millis(100)),
            || (),
        );
        let is_there = hog.try_wait().unwrap().is_none();
        let _ = hog.kill();
        let _ = hog.wait();
        check("memory was short all the time", is_there, || {
            "who took it has been killed".into()
        });
        self.site.kinds.retain(|kind| !kind.name.contains("disk/"));
    }

    /// Clients in a memory cgroup that is too small for what they receive.
    fn poor_clients(&mut self, seconds: f64) {
        let group = Path::new("/sys/fs/cgroup/clients");
        let _ = fs::create_dir(group);
        for (high, max) in [("6M", "12M"), ("max", "5M"), ("2M", "4M")] {
            write(group.join("memory.high"), high);
            write(group.join("memory.max"), max);
            let name = format!("clients with {max} of memory");
            let kinds = self.site.kinds.clone();
            let kinds: Vec<&Kind> = kinds.iter().collect();
            let seed = self.campaign.random.u64(..);
            let end = Instant::now() + Duration::from_secs_f64(seconds / 3.0);
            let poor = thread::spawn(move || Poor::until(end, seed));
            let are_served = self.storm(
                &name,
                seconds / 3.0,
                &kinds,
                || thread::sleep(Duration::from_millis(100)),
                || (),
            );
            check(
                &format!("{name}: all others are served"),
                are_served,
                String::new,
            );
            let until = end.max(Instant::now()) + Duration::from_secs(60);
            while !poor.is_finished() && Instant::now() < until {
                thread::sleep(Duration::from_millis(100));
            }
            write(group.join("cgroup.kill"), "1");
            let poor = poor.join().unwrap();
            println!(
                "# {name}: right {}, waited in vain {}, killed {}; {}",
                poor.right,
                poor.waited,
                poor.killed,
                events(group)
            );
            check(
                &format!("{name}: they get nothing wrong"),
                poor.wrong.is_empty(),
                || poor.wrong.join("\n"),
            );
            check(
                &format!("{name}: they get something"),
                poor.right != 0,
                String::new,
            );
        }
        let _ = fs::remove_dir(group);
    }

    /// TCP with less memory than it wants.
    fn tcp_memory(&mut self, seconds: f64) {
        let path = "/proc/sys/net/ipv4/tcp_mem";
        let old = fs::read_to_string(path).unwrap();
        let limits = ["64 128 256", "8 16 32", "1 2 3"];
        let (all, asked) = (pressures(), self.operations);
        for limit in limits {
            let before = pressures();
            write(path, limit);
            let kinds = self.site.kinds.clone();
            let kinds: Vec<&Kind> = kinds.iter().collect();
            let name = format!("tcp_mem {limit}");
            let pause = || thread::sleep(Duration::from_millis(100));
            self.storm(&name, seconds / limits.len() as f64, &kinds, pause, || {
                write(path, &old)
            });
            println!("# {name}: short {} times", pressures() - before);
        }
        // Each processor has a MiB that isn't counted: not everybody meets the limit.
        if self.operations - asked > 400 {
            let is_short = pressures() > all;
            check("TCP was short of memory", is_short, String::new);
        }
    }
}

/// What has happened in a memory cgroup.
fn events(group: &Path) -> String {
    fs::read_to_string(group.join("memory.events"))
        .unwrap_or_default()
        .trim()
        .replace('\n', ", ")
}

/// This program once more, for something else.
fn again(arguments: &[&str]) -> Child {
    Command::new(env::current_exe().unwrap())
        .args(arguments)
        .spawn()
        .unwrap()
}

/// Takes memory until only `room` octets can be had, and gives or takes as that changes.
fn hog(room: i64) {
    write("/proc/self/oom_score_adj", "1000");
    let mut taken = Vec::new();
    loop {
        let more = (available() - room) / MIB;
        if more > 0 {
            taken.extend((0..more).map(|_| vec![1u8; MIB as usize]));
        } else {
            taken.truncate(taken.len().saturating_sub(more.unsigned_abs() as usize));
        }
        std::hint::black_box(&taken);
        thread::sleep(Duration::from_millis(100));
    }
}

/// What became of clients that have little memory.
#[derive(Default)]
struct Poor {
    right: usize,
    waited: usize,
    killed: usize,
    wrong: Vec<String>,
}

impl Poor {
    /// Has them until `end`, and some answer is right: others, when the kernel kills them. That is
    /// their end and nobody else's.
    fn until(end: Instant, seed: u64) -> Poor {
        let mut all = Poor::default();
        let mut random = fastrand::Rng::with_seed(seed);
        let mut tries = 0;
        while (Instant::now() < end || all.right == 0 && tries < 3) && all.wrong.is_empty() {
            tries += 1;
            let left = end.saturating_duration_since(Instant::now());
            let left = left.max(Duration::from_secs(1));
            let child = Command::new(env::current_exe().unwrap())
                .arg("poor")
                .arg(left.as_secs_f64().to_string())
                .arg(random.u32(..).to_string())
                .stdout(Stdio::piped())
                .spawn()
                .unwrap();
            let output = child.wait_with_output().unwrap();
            for line in String::from_utf8_lossy(&output.stdout).lines() {
                match line {
                    "right" => all.right += 1,
                    "waited" => all.waited += 1,
                    what => all.wrong.push(what.into()),
                }
            }
            match output.status {
                status if status.signal() == Some(libc::SIGKILL) => all.killed += 1,
                status if status.success() => (),
                status => all.wrong.push(status.to_string()),
            }
        }
        all
    }
}

/// Clients that have little memory: what they receive is theirs. They may be killed at any time,
/// and say at once what they get.
fn poor(root: &Path, seconds: f64, seed: u64) {
    let campaign = Campaign::begin();
    let site = Site::make(&campaign, root, &SIZES);
    write("/proc/self/oom_score_adj", "1000");
    write(
        "/sys/fs/cgroup/clients/cgroup.procs",
        &std::process::id().to_string(),
    );
    let end = Instant::now() + Duration::from_secs_f64(seconds);
    let kinds: Vec<&Kind> = site.kinds.iter().collect();
    thread::scope(|scope| {
        for n in 0..CLIENTS as u64 {
            let (site, kinds) = (&site, &kinds);
            let mut random = fastrand::Rng::with_seed(seed + n);
            scope.spawn(move || {
                let goes_on = || Instant::now() < end;
                site.visit(kinds, &mut random, goes_on, |outcome, _| {
                    match outcome {
                        Outcome::Right => println!("right"),
                        Outcome::Wrong(what) => println!("wrong: {what}"),
                        // Who has no memory for what comes may wait in vain.
                        Outcome::Hangs(_) => println!("waited"),
                        _ => (),
                    }
                    Ok(())
                });
            });
        }
    });
}

fn main() {
    let root = PathBuf::from(env::var("docroot").unwrap());
    let arguments: Vec<String> = env::args().collect();
    match arguments.get(1).map(String::as_str) {
        Some("hog") => return hog(arguments[2].parse().unwrap()),
        Some("poor") => {
            return poor(
                &root,
                arguments[2].parse().unwrap(),
                arguments[3].parse().unwrap(),
            )
        }
        _ => (),
    }
    let begin = Instant::now();
    let campaign = Campaign::begin();
    let site = Site::make(&campaign, &root, &SIZES);
    // Where all is slow, seeing that all is well after a phase takes longer than the phase.
    let limit = Duration::from_secs(number("TEST_LIMIT", 3600)) * 3 / 5;
    let has_time = |name: &str| {
        let has_time = begin.elapsed() < limit;
        if !has_time {
            println!("# no time is left for {name}");
        }
        has_time
    };
    let seconds = number("TEST_SECONDS", 10) as f64;
    let mut torture = Torture {
        campaign,
        site,
        operations: 0,
    };
    let drop_caches = || {
        write("/proc/sys/vm/drop_caches", "3");
        thread::sleep(Duration::from_millis(50));
    };
    let pause = || thread::sleep(Duration::from_millis(100));
    let without_backing = torture.site.kinds.clone();
    let server = backing::listen(0).unwrap();
    let sysctl = |name, value: u16| write(format!("/proc/sys/net/http/{name}"), &value.to_string());
    sysctl("handoff_not_found", 0);
    // Else it gets, for two seconds whenever memory lacks, what is this server's to answer.
    sysctl("failsafe_timeout", 0);
    sysctl("clientport", server.local_addr().unwrap().port());
    thread::spawn(move || backing::serve(&server, || true));
    torture.site.hand_over();
    let kinds = torture.site.kinds.clone();
    let kinds: Vec<&Kind> = kinds.iter().collect();
    torture.is_well("before");

    let mut share = seconds / 4.0;
    if SLAB.exist() {
        share = seconds / 10.0;
        torture.site.patience = Duration::from_secs(20);
        torture.sweep(seconds * 0.35);
        torture.site.patience = Duration::from_secs(60);
        let ours = SLAB.range();
        // First with that help.
        sysctl("failsafe_timeout", 5);
        let handed = counter("handoff_failsafe");
        SLAB.some(10);
        let name = "a tenth of the objects, with a fail-safe";
        torture.storm(name, share * 0.6, &kinds, pause, || {
            SLAB.none();
            sysctl("failsafe_timeout", 0);
        });
        let handed = counter("handoff_failsafe") - handed;
        println!("# {name}: {handed} were handed over for that");
        check(&format!("{name}: it helps"), handed != 0, String::new);
        SLAB.some(10);
        let name = "a tenth of the objects";
        torture.storm_of(name, share * 0.6, &kinds, &[SLAB], pause);
        PAGES.some(20);
        let name = "a fifth of the pages";
        torture.storm_of(name, share * 0.6, &kinds, &[PAGES], drop_caches);
        SLAB.some(50);
        PAGES.some(50);
        let name = "every other allocation";
        torture.storm_of(name, share * 0.6, &kinds, &[SLAB, PAGES], drop_caches);
        // What the stack allocates for what comes: connections, among others.
        let text = env::var("receive").unwrap();
        let (first, last) = text.split_once(' ').unwrap();
        let receive = (first.to_string(), last.to_string());
        for faults in [SLAB, PAGES] {
            faults.of(&receive);
            faults.some(3);
        }
        let name = "where segments are received";
        torture.storm_of(name, share * 0.6, &kinds, &[SLAB, PAGES], pause);
        for faults in [SLAB, PAGES] {
            faults.of(&ours);
        }
    }
    let are_served = torture.storm("caches are dropped", share, &kinds, drop_caches, || ());
    check(
        "caches are dropped: all are served",
        are_served,
        String::new,
    );
    sysctl("clientport", 0);
    torture.site.kinds = without_backing;
    if has_time("TCP without memory") {
        torture.tcp_memory(share);
    }
    if has_time("clients without memory") {
        torture.poor_clients(share);
    }
    if root.join("disk").exists() && has_time("a page cache that is too small") {
        torture.small_cache(share);
    }
    torture.is_well("at the end");
    let Torture {
        mut campaign,
        operations,
        ..
    } = torture;
    campaign.count(operations);
    campaign.report();
}
