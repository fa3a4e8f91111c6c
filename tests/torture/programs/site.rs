// SPDX-License-Identifier: GPL-2.0

//! Writes the files that clients ask for into the document root.

use rust_tux_torture::exchange::Site;

fn main() {
    Site::new().write();
    println!("# operations: 0");
}
