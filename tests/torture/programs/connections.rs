// SPDX-License-Identifier: GPL-2.0

//! Clients that go away: a request that is cut at each octet and then closed, half-closed or reset.

use rust_tux_torture::{
    check,
    drain,
    reset_on_close,
    Campaign, //
};
use std::io::{
    self,
    Write, //
};
use std::net::Shutdown;

const REQUEST: &[u8] = b"GET /index.html HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\n\r\n";

/// One connection: so many octets of the request, then an end of this kind.
fn abort(campaign: &Campaign, octets: usize, kind: usize) -> io::Result<()> {
    let mut stream = campaign.connect()?;
    stream.write_all(&REQUEST[..octets])?;
    match kind {
        0 => (),
        1 => reset_on_close(&stream),
        _ => {
            stream.shutdown(Shutdown::Write)?;
            drain(&mut stream);
        }
    }
    Ok(())
}

fn main() {
    let mut campaign = Campaign::begin();
    let mut refused = 0;
    while campaign.goes_on() {
        let octets = campaign.random.usize(..=REQUEST.len());
        let kind = campaign.random.usize(..3);
        if abort(&campaign, octets, kind).is_err() {
            refused += 1;
        }
    }
    check("every connection was taken", refused == 0, || {
        format!("{refused} were not")
    });
    campaign.report();
}
