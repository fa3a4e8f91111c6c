// SPDX-License-Identifier: GPL-2.0

//! What the module's code reaches for the connections of one address, as the kernel collects it
//! (Documentation/dev-tools/kcov.rst). Needs the checking kernel and the instrumented module
//! (`scripts/torture.sh --kernel kcov`).
//!
//! A connection's coverage goes to whoever has enabled its client's IPv4 address. To tell its own
//! from others', a process binds its connections to an address of 127.0.0.0/8 that nobody else
//! uses ([`connect_from`]).

use std::collections::BTreeMap;
use std::fs::{
    self,
    File, //
};
use std::io;
use std::net::{
    Ipv4Addr,
    SocketAddr,
    TcpStream, //
};
use std::os::fd::{
    AsRawFd,
    FromRawFd,
    OwnedFd, //
};
use std::ptr::NonNull;
use std::sync::atomic::{
    AtomicU64,
    Ordering, //
};
use std::thread;
use std::time::{
    Duration,
    Instant, //
};

const KCOV_INIT_TRACE: libc::c_ulong = 0x8008_6301;
const KCOV_DISABLE: libc::c_ulong = 0x6365;
const KCOV_REMOTE_ENABLE: libc::c_ulong = 0x4018_6366;
const KCOV_TRACE_PC: u32 = 0;

/// `struct kcov_remote_arg`, without further handles.
#[repr(C)]
struct RemoteArg {
    trace_mode: u32,
    area_size: u32,
    num_handles: u32,
    common_handle: u64,
}

/// Collects the addresses that the module's code passes. It is to be used by one thread.
pub struct Collector {
    file: File,
    area: NonNull<AtomicU64>,
    words: usize,
}

impl Collector {
    /// With room for `words` addresses. `NotFound`: the kernel has no KCOV.
    pub fn open(words: usize) -> io::Result<Collector> {
        let file = File::options()
            .read(true)
            .write(true)
            .open("/sys/kernel/debug/kcov")?;
        // SAFETY: The argument is a number.
        if unsafe { libc::ioctl(file.as_raw_fd(), KCOV_INIT_TRACE, words) } != 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: A new mapping, where there is room.
        let area = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                words * size_of::<u64>(),
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                file.as_raw_fd(),
                0,
            )
        };
        if area == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let area = NonNull::new(area.cast()).expect("a mapping has an address");
        Ok(Collector { file, area, words })
    }

    /// Begins to collect for the connections that come from `client`. `AlreadyExists`: another
    /// process does.
    pub fn enable(&self, client: Ipv4Addr) -> io::Result<()> {
        let mut argument = RemoteArg {
            trace_mode: KCOV_TRACE_PC,
            // What one section may collect: a turn, a callback, a work item.
            area_size: self.words.min(1 << 16) as u32,
            num_handles: 0,
            common_handle: u32::from(client).into(),
        };
        // SAFETY: The argument is what the kernel reads.
        if unsafe { libc::ioctl(self.file.as_raw_fd(), KCOV_REMOTE_ENABLE, &raw mut argument) } != 0
        {
            return Err(io::Error::last_os_error());
        }
        self.reset();
        Ok(())
    }

    /// Ends what [`Self::enable`] has begun, in the same thread.
    pub fn disable(&self) {
        // SAFETY: The argument is a number.
        unsafe { libc::ioctl(self.file.as_raw_fd(), KCOV_DISABLE, 0) };
    }

    /// Forgets what was collected.
    pub fn reset(&self) {
        self.word(0).store(0, Ordering::Relaxed);
    }

    /// How many addresses were collected, with repetitions.
    pub fn len(&self) -> usize {
        (self.word(0).load(Ordering::Acquire) as usize).min(self.words - 1)
    }

    /// Whether nothing was collected.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether there was no room for all.
    pub fn is_full(&self) -> bool {
        self.len() == self.words - 1
    }

    /// Waits until nothing was added for the time `quiet`: a turn adds what it has collected when
    /// it ends, which may be after its response was read.
    pub fn settle(&self, quiet: Duration) {
        let end = Instant::now() + Duration::from_secs(10);
        let (mut len, mut since) = (self.len(), Instant::now());
        while since.elapsed() < quiet && Instant::now() < end {
            thread::sleep(quiet / 4);
            if self.len() != len {
                (len, since) = (self.len(), Instant::now());
            }
        }
    }

    /// The addresses that were collected, in their order within each section.
    pub fn addresses(&self) -> impl Iterator<Item = u64> + '_ {
        (1..=self.len()).map(|index| self.word(index).load(Ordering::Relaxed))
    }

    fn word(&self, index: usize) -> &AtomicU64 {
        assert!(index < self.words);
        // SAFETY: The mapping has so many words, and lives as long as `self`.
        unsafe { self.area.add(index).as_ref() }
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.disable();
        // SAFETY: The mapping is ours; nobody can borrow from it any more.
        unsafe { libc::munmap(self.area.as_ptr().cast(), self.words * size_of::<u64>()) };
    }
}

/// The functions of the module, by the address of each. Addresses change with every loading.
pub struct Functions(BTreeMap<u64, String>);

impl Functions {
    /// Those of the module that is loaded.
    pub fn read() -> io::Result<Functions> {
        let mut functions = BTreeMap::new();
        for line in fs::read_to_string("/proc/kallsyms")?.lines() {
            let mut words = line.split_ascii_whitespace();
            let (Some(address), Some(kind), Some(name), Some("[rust_tux]")) =
                (words.next(), words.next(), words.next(), words.next())
            else {
                continue;
            };
            if kind.eq_ignore_ascii_case("t") {
                let address = u64::from_str_radix(address, 16).map_err(io::Error::other)?;
                functions.insert(address, path(name));
            }
        }
        Ok(Functions(functions))
    }

    /// The address of the first: what is subtracted from others is the same after each loading.
    pub fn base(&self) -> u64 {
        self.0.keys().next().copied().unwrap_or(0)
    }

    /// The function that `address` is in; "?" if it is none of the module's.
    pub fn name(&self, address: u64) -> &str {
        self.0
            .range(..=address)
            .next_back()
            .map_or("?", |(_, name)| name)
    }

    /// All their names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.values().map(String::as_str)
    }
}

/// The identifiers of a mangled Rust symbol, as a path; other names as they are.
fn path(symbol: &str) -> String {
    let Some(mut rest) = symbol.strip_prefix("_R") else {
        return symbol.to_owned();
    };
    let mut parts: Vec<&str> = Vec::new();
    while let Some(start) = rest.find(|c: char| c.is_ascii_digit()) {
        // A number in base 62, between "s" or "B" and "_", is no length.
        let before = &rest[..start];
        if let Some(mark) = before.rfind(['s', 'B']) {
            let digits = &rest[mark + 1..];
            if let Some(end) = digits.find('_') {
                if digits[..end].bytes().all(|c| c.is_ascii_alphanumeric()) && end < 12 {
                    rest = &digits[end + 1..];
                    continue;
                }
            }
        }
        let digits = &rest[start..];
        let end = digits
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(digits.len());
        let len: usize = digits[..end].parse().unwrap_or(0);
        let name = digits[end..].strip_prefix('_').unwrap_or(&digits[end..]);
        let Some(part) = name.get(..len) else {
            break;
        };
        parts.push(part);
        rest = &name[len..];
    }
    parts.join("::")
}

/// A connection to `server` from the address `client`, which is one of 127.0.0.0/8.
pub fn connect_from(client: Ipv4Addr, server: SocketAddr) -> io::Result<TcpStream> {
    // SAFETY: The arguments are numbers.
    let fd = unsafe { libc::socket(libc::AF_INET, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, 0) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: It is new, and nobody else's.
    let socket = unsafe { OwnedFd::from_raw_fd(fd) };
    let SocketAddr::V4(server) = server else {
        return Err(io::ErrorKind::Unsupported.into());
    };
    let name = |address: Ipv4Addr, port: u16| libc::sockaddr_in {
        sin_family: libc::AF_INET as libc::sa_family_t,
        sin_port: port.to_be(),
        sin_addr: libc::in_addr {
            s_addr: u32::from(address).to_be(),
        },
        sin_zero: [0; 8],
    };
    let (from, to) = (name(client, 0), name(*server.ip(), server.port()));
    let len = size_of::<libc::sockaddr_in>() as libc::socklen_t;
    // The port is chosen by connect(): one that is in use for another server will do.
    let on: libc::c_int = 1;
    // SAFETY: The pointer is to an integer, and is only read.
    unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_IP,
            libc::IP_BIND_ADDRESS_NO_PORT,
            (&raw const on).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
    // SAFETY: The pointer is to an address of that length, and is only read.
    if unsafe { libc::bind(socket.as_raw_fd(), (&raw const from).cast(), len) } != 0
        // SAFETY: As above.
        || unsafe { libc::connect(socket.as_raw_fd(), (&raw const to).cast(), len) } != 0
    {
        return Err(io::Error::last_os_error());
    }
    let stream = TcpStream::from(socket);
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    stream.set_write_timeout(Some(Duration::from_secs(10)))?;
    Ok(stream)
}
