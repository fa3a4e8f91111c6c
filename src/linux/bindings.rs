// SPDX-License-Identifier: GPL-2.0

//! What bindgen made of `bindings_helper.h`: the C items that the `kernel` crate lacks.
//!
//! A type has another identity here than in `kernel::bindings`, though both are the same C type;
//! the wrappers cast pointers where the two meet. Nothing outside `src/linux` can name this module.

#![allow(unknown_lints)]
#![allow(
    clippy::all,
    clippy::as_underscore,
    clippy::cast_lossless,
    clippy::ptr_as_ptr,
    clippy::ref_as_ptr,
    clippy::undocumented_unsafe_blocks,
    dead_code,
    improper_ctypes,
    missing_docs,
    non_camel_case_types,
    non_snake_case,
    non_upper_case_globals,
    unnecessary_transmutes,
    unreachable_pub,
    unsafe_op_in_unsafe_fn
)]

use kernel::ffi;
use pin_init::{
    MaybeZeroable,
    Zeroable, //
};

// bindgen leaves these out by the kernel's own parameters.
type __kernel_size_t = usize;
type __kernel_ssize_t = isize;
type __kernel_ptrdiff_t = isize;

// SAFETY: `__BindgenBitfieldUnit<Storage>` is a newtype around `Storage`.
unsafe impl<Storage> Zeroable for __BindgenBitfieldUnit<Storage> where Storage: Zeroable {}

include!(env!("RUST_TUX_BINDINGS"));
