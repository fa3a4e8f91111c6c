// SPDX-License-Identifier: GPL-2.0

//! A backing server on the port that is given, which answers each connection once.

use rust_tux_torture::{
    backing,
    Campaign, //
};
use std::io;

fn main() -> io::Result<()> {
    let campaign = Campaign::begin();
    let port = std::env::args().nth(1).and_then(|port| port.parse().ok());
    let listener = backing::listen(port.expect("usage: backing PORT"))?;
    let (came, answered) = backing::serve(&listener, || campaign.has_time())?;
    println!("# {came} connections were handed over, {answered} answered there");
    Ok(())
}
