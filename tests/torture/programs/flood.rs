// SPDX-License-Identifier: GPL-2.0

//! A flood of segments that belong to no connection: SYNs that nobody will confirm, guesses at
//! cookies, FINs, RSTs, flags that exclude each other, and heads that are too short. They come from
//! addresses that don't answer (198.18.0.0/15), as fast as the machine makes them, or `rate` of
//! them in a second.

use rust_tux_torture::{
    check,
    number,
    Campaign, //
};
use std::io;
use std::net::{
    IpAddr,
    Ipv4Addr, //
};
use std::thread;
use std::time::Duration;

const FIN: u8 = 1;
const SYN: u8 = 2;
const RST: u8 = 4;
const PSH: u8 = 8;
const ACK: u8 = 16;
const URG: u8 = 32;

/// The sum of RFC 1071 over `octets`.
fn sum(octets: &[u8], begin: u32) -> u32 {
    octets.chunks(2).fold(begin, |sum, pair| {
        let low = pair.get(1).copied().unwrap_or(0);
        sum + u32::from(u16::from_be_bytes([pair[0], low]))
    })
}

/// What a sum becomes in a head.
fn fold(mut sum: u32) -> [u8; 2] {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    (!(sum as u16)).to_be_bytes()
}

/// A packet with one segment.
fn packet(random: &mut fastrand::Rng, to: Ipv4Addr, port: u16) -> Vec<u8> {
    let from = Ipv4Addr::from(0xc612_0000 | random.u32(..0x0002_0000));
    let flags = match random.u8(..16) {
        0 => ACK,
        1 => ACK | PSH,
        2 => ACK | FIN,
        3 => RST,
        4 => SYN | FIN,
        5 => random.u8(..),
        6 => SYN | URG | PSH,
        _ => SYN,
    };
    let options: &[u8] = match random.u8(..5) {
        // MSS 1460; or of 1; scale, SACK and timestamps; TCP Fast Open; an option that is cut off.
        0 => &[2, 4, 5, 0xb4],
        1 => &[2, 4, 0, 1],
        2 => &[4, 2, 8, 10, 1, 2, 3, 4, 0, 0, 0, 0, 1, 3, 3, 14],
        3 => &[34, 10, 1, 2, 3, 4, 5, 6, 7, 8, 1, 1],
        _ => &[1, 1, 1, 8],
    };
    let data: &[u8] = match random.u8(..4) {
        0 => b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        _ => b"",
    };
    let mut segment = Vec::new();
    segment.extend_from_slice(&random.u16(1024..).to_be_bytes());
    segment.extend_from_slice(&port.to_be_bytes());
    segment.extend_from_slice(&random.u32(..).to_be_bytes());
    segment.extend_from_slice(&random.u32(..).to_be_bytes());
    let words = match random.u8(..32) {
        0 => random.u8(..16),
        _ => 5 + (options.len() / 4) as u8,
    };
    segment.extend_from_slice(&[words << 4, flags]);
    segment.extend_from_slice(&random.u16(..).to_be_bytes());
    segment.extend_from_slice(&[0, 0]);
    segment.extend_from_slice(&random.u16(..).to_be_bytes());
    segment.extend_from_slice(options);
    segment.extend_from_slice(data);
    let pseudo = sum(&from.octets(), sum(&to.octets(), 6 + segment.len() as u32));
    let checksum = fold(sum(&segment, pseudo));
    segment[16..18].copy_from_slice(&checksum);

    let len = (20 + segment.len()) as u16;
    let mut packet = vec![0x45, 0];
    packet.extend_from_slice(&len.to_be_bytes());
    packet.extend_from_slice(&[0, 0, 0x40, 0, 64, 6, 0, 0]);
    packet.extend_from_slice(&from.octets());
    packet.extend_from_slice(&to.octets());
    let checksum = fold(sum(&packet, 0));
    packet[10..12].copy_from_slice(&checksum);
    packet.extend_from_slice(&segment);
    packet
}

fn main() {
    let mut campaign = Campaign::begin();
    let IpAddr::V4(to) = campaign.address.ip() else {
        panic!("the server's address is not IPv4");
    };
    let port = campaign.address.port();
    // SAFETY: This has no precondition.
    let fd = unsafe { libc::socket(libc::AF_INET, libc::SOCK_RAW, libc::IPPROTO_RAW) };
    assert!(fd >= 0, "a raw socket: {}", io::Error::last_os_error());
    let (address, len) = rust_tux_torture::exchange::raw_address(campaign.address);
    let rate = number("rate", 0);
    let (mut sent, mut lost) = (0u64, 0u64);
    while campaign.has_time() {
        let packet = packet(&mut campaign.random, to, port);
        // SAFETY: The pointers are to octets and an address of these lengths, which are only read.
        let status = unsafe {
            libc::sendto(
                fd,
                packet.as_ptr().cast(),
                packet.len(),
                0,
                (&raw const address).cast(),
                len,
            )
        };
        if status < 0 {
            lost += 1;
        } else {
            sent += 1;
        }
        if rate != 0 && sent % rate.div_ceil(100) == 0 {
            thread::sleep(Duration::from_millis(10));
        }
    }
    check("segments were sent", sent > lost, || {
        format!("{sent} sent, {lost} not")
    });
    campaign.count(sent);
    campaign.report();
}
