// SPDX-License-Identifier: GPL-2.0

//! `pin_data` for the models, where nothing is pinned.

use proc_macro::{
    Group,
    TokenStream,
    TokenTree, //
};

/// Leaves out each `#[pin]` of a struct.
#[proc_macro_attribute]
pub fn pin_data(_: TokenStream, item: TokenStream) -> TokenStream {
    without_pin(item)
}

/// `tokens` without `#[pin]`.
fn without_pin(tokens: TokenStream) -> TokenStream {
    let mut out: Vec<TokenTree> = Vec::new();
    for token in tokens {
        if let TokenTree::Group(group) = &token {
            if group.stream().to_string() == "pin" {
                // The hash sign.
                out.pop();
                continue;
            }
            let inner = without_pin(group.stream());
            out.push(Group::new(group.delimiter(), inner).into());
            continue;
        }
        out.push(token);
    }
    out.into_iter().collect()
}
