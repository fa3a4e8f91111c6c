// SPDX-License-Identifier: GPL-2.0

//! A second listening socket on the server's port.
//!
//! `reuseport on` asks the kernel, by a BPF program that is called for each bind to an IPv6
//! address, to set SO_REUSEPORT on every socket; `off` takes that back. `join` tries to listen
//! beside the server, and fails if it can. `steal` listens whenever nobody else does, now with
//! connections that it accepts and now with some that it leaves to whoever gets them when it goes.

use rust_tux_torture::exchange::{
    raw,
    raw_address,
    unconnected,
    Options, //
};
use rust_tux_torture::{
    check,
    set_option,
    Campaign, //
};
use std::fs::File;
use std::io;
use std::mem::{
    size_of_val,
    zeroed, //
};
use std::net::{
    Ipv6Addr,
    SocketAddr,
    TcpListener,
    TcpStream, //
};
use std::os::fd::{
    AsRawFd,
    FromRawFd,
    IntoRawFd,
    OwnedFd, //
};
use std::thread;
use std::time::Duration;

const CGROUP: &str = "/sys/fs/cgroup";

/// `BPF_PROG_LOAD`, `BPF_PROG_ATTACH` and `BPF_PROG_DETACH` of bpf(2).
const LOAD: i32 = 5;
const ATTACH: i32 = 8;
const DETACH: i32 = 9;
/// `BPF_PROG_TYPE_CGROUP_SOCK_ADDR`, called at `BPF_CGROUP_INET6_BIND`.
const SOCK_ADDR: u32 = 18;
const INET6_BIND: u32 = 9;

/// What `LOAD` is given; the kernel takes what is missing for zeroes.
#[repr(C)]
struct Load {
    kind: u32,
    count: u32,
    instructions: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log: u64,
    kernel_version: u32,
    flags: u32,
    name: [u8; 16],
    interface: u32,
    attach: u32,
}

/// What `ATTACH` and `DETACH` are given.
#[repr(C)]
struct Attach {
    target: u32,
    program: u32,
    attach: u32,
    flags: u32,
}

/// bpf(2).
fn bpf<T>(command: i32, argument: &T) -> io::Result<i32> {
    // SAFETY: The kernel reads as many octets as it is told.
    let status = unsafe { libc::syscall(libc::SYS_bpf, command, argument, size_of_val(argument)) };
    if status < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(status as i32)
    }
}

/// An instruction: code, registers (source in the high half), offset, immediate value.
const fn instruction(code: u8, registers: u8, offset: i16, value: i32) -> u64 {
    code as u64
        | (registers as u64) << 8
        | (offset as u16 as u64) << 16
        | (value as u32 as u64) << 32
}

/// Attaches a program that sets SO_REUSEPORT.
fn switch_on() -> io::Result<()> {
    let program = [
        // *(u32 *)(r10 - 4) = 1
        instruction(0x62, 0x0a, -4, 1),
        // r2 = SOL_SOCKET; r3 = SO_REUSEPORT; r4 = r10 - 4; r5 = 4
        instruction(0xb7, 0x02, 0, libc::SOL_SOCKET),
        instruction(0xb7, 0x03, 0, libc::SO_REUSEPORT),
        instruction(0xbf, 0xa4, 0, 0),
        instruction(0x07, 0x04, 0, -4),
        instruction(0xb7, 0x05, 0, 4),
        // call bpf_setsockopt
        instruction(0x85, 0, 0, 49),
        // return 1: bind
        instruction(0xb7, 0x00, 0, 1),
        instruction(0x95, 0, 0, 0),
    ];
    // SAFETY: Zero is a value for all of its fields.
    let mut load: Load = unsafe { zeroed() };
    load.kind = SOCK_ADDR;
    load.count = program.len() as u32;
    load.instructions = program.as_ptr() as u64;
    load.license = c"GPL".as_ptr() as u64;
    load.attach = INET6_BIND;
    let program = bpf(LOAD, &load)?;
    // SAFETY: The descriptor is a new one, and nobody else's.
    let program = unsafe { OwnedFd::from_raw_fd(program) };
    let cgroup = File::open(CGROUP)?;
    bpf(ATTACH, &attachment(&cgroup, program.as_raw_fd())).map(drop)
}

/// The place of the program.
fn attachment(cgroup: &File, program: i32) -> Attach {
    Attach {
        target: cgroup.as_raw_fd() as u32,
        program: program as u32,
        attach: INET6_BIND,
        flags: 0,
    }
}

/// Listens on the server's port of all addresses, if it can.
fn listen(campaign: &Campaign) -> io::Result<TcpListener> {
    let address = SocketAddr::from((Ipv6Addr::UNSPECIFIED, campaign.address.port()));
    let socket: TcpStream = unconnected(address, Options::default())?;
    set_option(&socket, libc::SOL_SOCKET, libc::SO_REUSEADDR, 1i32);
    set_option(&socket, libc::SOL_SOCKET, libc::SO_REUSEPORT, 1i32);
    let (address, len) = raw_address(address);
    // SAFETY: The pointer is to an address of that length, which is only read.
    if unsafe { libc::bind(raw(&socket), (&raw const address).cast(), len) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: The socket is alive.
    if unsafe { libc::listen(raw(&socket), 1000) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: The descriptor is that of a listening socket, and nobody else's.
    Ok(unsafe { TcpListener::from_raw_fd(socket.into_raw_fd()) })
}

/// Whether a socket that is bound has SO_REUSEPORT then, as the program is to see to.
fn is_on() -> io::Result<bool> {
    let address = SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0));
    let socket = unconnected(address, Options::default())?;
    let (address, len) = raw_address(address);
    // SAFETY: The pointer is to an address of that length, which is only read.
    if unsafe { libc::bind(raw(&socket), (&raw const address).cast(), len) } != 0 {
        return Err(io::Error::last_os_error());
    }
    let mut value = 0i32;
    let mut len = size_of_val(&value) as libc::socklen_t;
    // SAFETY: The pointers are to a number and to its length.
    let status = unsafe {
        libc::getsockopt(
            raw(&socket),
            libc::SOL_SOCKET,
            libc::SO_REUSEPORT,
            (&raw mut value).cast(),
            &raw mut len,
        )
    };
    if status != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(value != 0)
}

fn steal(mut campaign: Campaign) -> io::Result<()> {
    let (mut stolen, mut accepted) = (0u64, 0u64);
    while campaign.has_time() {
        let Ok(listener) = listen(&campaign) else {
            thread::sleep(Duration::from_millis(campaign.random.u64(10..100)));
            continue;
        };
        stolen += 1;
        listener.set_nonblocking(true)?;
        let mut kept = Vec::new();
        for _ in 0..campaign.random.u8(..10) {
            if campaign.random.bool() {
                kept.extend(listener.accept());
            }
            thread::sleep(Duration::from_millis(campaign.random.u64(..20)));
        }
        accepted += kept.len() as u64;
        drop(listener);
        // The server wants it, too.
        thread::sleep(Duration::from_millis(campaign.random.u64(..2000)));
    }
    println!("# the port was stolen {stolen} times, {accepted} connections accepted there");
    campaign.count(stolen);
    campaign.report();
    Ok(())
}

fn main() -> io::Result<()> {
    let campaign = Campaign::begin();
    match std::env::args().nth(1).as_deref() {
        Some("on") => switch_on(),
        Some("off") => {
            let cgroup = File::open(CGROUP)?;
            bpf(DETACH, &attachment(&cgroup, 0)).map(drop)
        }
        Some("join") => {
            let is_on = is_on()?;
            check("sockets share their port", is_on, String::new);
            let result = listen(&campaign);
            let refused = result
                .as_ref()
                .is_err_and(|e| e.kind() == io::ErrorKind::AddrInUse);
            check(
                "nobody listens beside the server",
                refused,
                || match result {
                    Ok(_) => "somebody does".into(),
                    Err(error) => error.to_string(),
                },
            );
            Ok(())
        }
        Some("steal") => steal(campaign),
        _ => panic!("usage: reuseport on | off | join | steal"),
    }
}
