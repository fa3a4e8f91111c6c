// SPDX-License-Identifier: GPL-2.0

//! What the torture programs share: a budget of time, a seed, connections that misbehave, and
//! results that lib.sh understands.
//!
//! A program gets `TEST_SECONDS`, `TEST_SEED`, `port`, `docroot` and, unless it is 127.0.0.1,
//! `server` from the environment. It prints `ok NAME` or `not ok NAME`, `# text`, and at its end,
//! by [`Campaign::report`], `# operations: N`.

pub mod backing;
pub mod exchange;
pub mod kcov;
pub mod site;

use std::env;
use std::fs;
use std::io::{
    self,
    Read, //
};
use std::net::{
    SocketAddr,
    TcpStream, //
};
use std::os::fd::AsRawFd;
use std::time::{
    Duration,
    Instant, //
};

/// The run of a program: when it ends, and what it does by chance.
pub struct Campaign {
    end: Instant,
    operations: u64,
    /// The server.
    pub address: SocketAddr,
    pub random: fastrand::Rng,
}

impl Campaign {
    /// From the environment.
    pub fn begin() -> Campaign {
        let seconds = number("TEST_SECONDS", 10);
        Campaign {
            end: Instant::now() + Duration::from_secs(seconds),
            operations: 0,
            address: address(),
            random: fastrand::Rng::with_seed(number("TEST_SEED", 1)),
        }
    }

    /// The same for one of several threads, with chances of its own.
    pub fn begin_thread(thread: u64) -> Campaign {
        let mut campaign = Campaign::begin();
        // Neighbouring seeds must not be alike.
        let seed = number("TEST_SEED", 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        campaign.random =
            fastrand::Rng::with_seed(seed ^ thread.wrapping_mul(0xbf58_476d_1ce4_e5b9));
        campaign
    }

    /// Whether there is time for one more operation, which is counted.
    pub fn goes_on(&mut self) -> bool {
        if Instant::now() >= self.end {
            return false;
        }
        self.operations += 1;
        true
    }

    /// Counts more operations.
    pub fn count(&mut self, operations: u64) {
        self.operations += operations;
    }

    /// Whether there is time left; counts nothing.
    pub fn has_time(&self) -> bool {
        Instant::now() < self.end
    }

    /// A connection on which nothing lasts longer than ten seconds.
    pub fn connect(&self) -> io::Result<TcpStream> {
        let stream = TcpStream::connect_timeout(&self.address, Duration::from_secs(10))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        stream.set_write_timeout(Some(Duration::from_secs(10)))?;
        Ok(stream)
    }

    /// Says how much was done.
    pub fn report(self) {
        println!("# operations: {}", self.operations);
    }
}

/// Where the server is: `server` and `port` of the environment.
fn address() -> SocketAddr {
    let server = env::var("server").unwrap_or_else(|_| "127.0.0.1".into());
    let ip = server
        .parse()
        .unwrap_or_else(|_| panic!("server={server} is no address"));
    SocketAddr::new(ip, number("port", 8080) as u16)
}

/// A number of the environment.
pub fn number(name: &str, default: u64) -> u64 {
    match env::var(name) {
        Ok(text) => text
            .parse()
            .unwrap_or_else(|_| panic!("{name}={text} is no number")),
        Err(_) => default,
    }
}

/// The number that `/proc/net/http/stat` has for `name`.
pub fn counter(name: &str) -> u64 {
    let text = fs::read_to_string("/proc/net/http/stat").unwrap();
    let line = text
        .lines()
        .find(|line| line.split(' ').next() == Some(name))
        .unwrap_or_else(|| panic!("no counter {name}"));
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// The number that `/proc/net/netstat` has for `name` of TCP's extended ones.
pub fn tcp_counter(name: &str) -> u64 {
    let text = fs::read_to_string("/proc/net/netstat").unwrap();
    let mut lines = text.lines().filter(|line| line.starts_with("TcpExt:"));
    let (names, numbers) = (lines.next().unwrap(), lines.next().unwrap());
    let mut both = names.split(' ').zip(numbers.split(' '));
    let (_, number) = both
        .find(|(found, _)| *found == name)
        .unwrap_or_else(|| panic!("no counter {name}"));
    number.parse().unwrap()
}

/// Octets that `/proc/meminfo` has under that name.
pub fn meminfo(name: &str) -> i64 {
    let text = fs::read_to_string("/proc/meminfo").unwrap();
    let line = text.lines().find(|line| line.starts_with(name)).unwrap();
    line.split_whitespace()
        .nth(1)
        .unwrap()
        .parse::<i64>()
        .unwrap()
        * 1024
}

/// Says what became of a check.
pub fn check(name: &str, holds: bool, detail: impl FnOnce() -> String) {
    if holds {
        println!("ok {name}");
    } else {
        println!("not ok {name}");
        for line in detail().lines() {
            println!("# {line}");
        }
    }
}

/// Lets the stream be reset when it is dropped (SO_LINGER of 0).
pub fn reset_on_close(stream: &TcpStream) {
    set_option(
        stream,
        libc::SOL_SOCKET,
        libc::SO_LINGER,
        libc::linger {
            l_onoff: 1,
            l_linger: 0,
        },
    );
}

/// setsockopt(2). What the kernel refuses here is a mistake of the program.
pub fn set_option<T>(socket: &impl AsRawFd, level: i32, name: i32, value: T) {
    // SAFETY: The pointer is to a `T`, whose size is given, and is only read.
    let status = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            name,
            (&raw const value).cast(),
            size_of::<T>() as libc::socklen_t,
        )
    };
    assert_eq!(status, 0, "setsockopt: {}", io::Error::last_os_error());
}

/// Reads to the end; a reset is an end too.
pub fn drain(stream: &mut TcpStream) -> Vec<u8> {
    let mut octets = Vec::new();
    let _ = stream.read_to_end(&mut octets);
    octets
}
