// SPDX-License-Identifier: GPL-2.0

//! A backing server for as many connections as come, whatever they bring: each is answered once and
//! then read to its end.

use std::io::{
    self,
    ErrorKind,
    Read,
    Write, //
};
use std::net::{
    Ipv4Addr,
    Shutdown,
    TcpListener,
    TcpStream, //
};
use std::os::fd::AsRawFd;

/// The status of each answer.
pub const STATUS: u16 = 503;

/// The status line of each answer. No other server has that reason phrase.
pub const STATUS_LINE: &str = "HTTP/1.1 503 Handed Over";

/// What is behind the empty lines that may come before a request.
fn without_empty_lines(mut octets: &[u8]) -> &[u8] {
    while let Some(rest) = octets.strip_prefix(b"\r\n") {
        octets = rest;
    }
    octets
}

/// The first line of the request that begins with `octets`.
pub fn request_line(octets: &[u8]) -> &[u8] {
    let octets = without_empty_lines(octets);
    let end = octets.iter().position(|octet| *octet == b'\r');
    &octets[..end.unwrap_or(0)]
}

/// A connection that was handed over.
struct Guest {
    stream: TcpStream,
    octets: Vec<u8>,
    is_answered: bool,
}

impl Guest {
    /// Does what can be done without waiting. Returns whether the connection stays, and whether it
    /// was answered.
    fn step(&mut self) -> io::Result<(bool, bool)> {
        let mut buffer = [0; 1 << 14];
        let len = self.stream.read(&mut buffer)?;
        if len == 0 || self.is_answered {
            return Ok((len != 0, false));
        }
        self.octets.extend_from_slice(&buffer[..len]);
        let begin = self.octets.len() - without_empty_lines(&self.octets).len();
        if !self.octets[begin..]
            .windows(4)
            .any(|four| four == b"\r\n\r\n")
        {
            // What never becomes a head is no matter of a server that has been given one.
            return Ok((self.octets.len() < 1 << 17, false));
        }
        let line = request_line(&self.octets);
        let text = if line.starts_with(b"HEAD ") {
            &[]
        } else {
            line
        };
        let mut answer = format!(
            "{STATUS_LINE}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            line.len()
        )
        .into_bytes();
        answer.extend_from_slice(text);
        self.is_answered = true;
        self.octets = Vec::new();
        // So little fits into any buffer.
        self.stream.write_all(&answer)?;
        self.stream.shutdown(Shutdown::Write)?;
        Ok((true, true))
    }
}

/// Listens on a port of all IPv4 addresses; `port` 0 is one that is free. Urgent octets are octets
/// like others.
pub fn listen(port: u16) -> io::Result<TcpListener> {
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port))?;
    listener.set_nonblocking(true)?;
    super::set_option(&listener, libc::SOL_SOCKET, libc::SO_OOBINLINE, 1i32);
    Ok(listener)
}

/// Serves while `goes_on` says so. Returns how many connections came, and how many were answered.
pub fn serve(listener: &TcpListener, goes_on: impl Fn() -> bool) -> io::Result<(u64, u64)> {
    let (mut came, mut answered) = (0, 0);
    let mut guests: Vec<Guest> = Vec::new();
    while goes_on() {
        let wanted = |fd| libc::pollfd {
            fd,
            events: libc::POLLIN,
            revents: 0,
        };
        let mut polled: Vec<libc::pollfd> = vec![wanted(listener.as_raw_fd())];
        polled.extend(guests.iter().map(|guest| wanted(guest.stream.as_raw_fd())));
        // SAFETY: The pointer is to that many entries, which are read and written.
        unsafe { libc::poll(polled.as_mut_ptr(), polled.len() as libc::nfds_t, 100) };
        for at in (0..guests.len()).rev() {
            if polled[at + 1].revents == 0 {
                continue;
            }
            let stays = match guests[at].step() {
                Ok((stays, is_answered)) => {
                    answered += u64::from(is_answered);
                    stays
                }
                Err(error) => {
                    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
                }
            };
            if !stays {
                guests.swap_remove(at);
            }
        }
        // One that was reset before it was taken is no reason to end.
        while let Ok((stream, _)) = listener.accept() {
            came += 1;
            stream.set_nonblocking(true)?;
            guests.push(Guest {
                stream,
                octets: Vec::new(),
                is_answered: false,
            });
        }
    }
    Ok((came, answered))
}
