// SPDX-License-Identifier: GPL-2.0

//! What the models have in the place of the `kernel` crate: as much of it as the sources use that
//! the models run, over loom.
//!
//! Atomics, locks and wake-ups are loom's, which tries each order that the memory model allows.
//! Reference counts, memory and the clock are plain: nothing happens between two of their steps.

#![allow(clippy::missing_safety_doc, clippy::new_without_default)]

pub mod alloc;
pub mod atomic;
pub mod rbtree;
pub mod sync;
pub mod task;
pub mod workqueue;
pub mod world;

pub use world::planted;

pub use std::fmt;

/// C types.
pub mod ffi {
    pub use core::ffi::*;
}

/// Errors.
pub mod error {
    /// An error number.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Error(pub i32);

    /// The kernel's result.
    pub type Result<T = (), E = Error> = core::result::Result<T, E>;

    impl From<core::num::TryFromIntError> for Error {
        fn from(_: core::num::TryFromIntError) -> Self {
            Error(22)
        }
    }

    impl From<crate::alloc::AllocError> for Error {
        fn from(_: crate::alloc::AllocError) -> Self {
            Error(12)
        }
    }

    impl<T> From<crate::alloc::PushError<T>> for Error {
        fn from(_: crate::alloc::PushError<T>) -> Self {
            Error(22)
        }
    }

    /// No pointer is an error here.
    pub fn from_err_ptr<T>(pointer: *mut T) -> Result<*mut T> {
        Ok(pointer)
    }
}

/// What everything uses.
pub mod prelude {
    pub use crate::alloc::flags::*;
    pub use crate::alloc::{
        KBox,
        KVVec,
        KVec, //
    };
    pub use crate::error::{
        Error,
        Result, //
    };
    pub use crate::{
        init,
        pin_init,
        pr_err,
        pr_info,
        pr_warn, //
    };
    pub use core::ffi::{
        c_int,
        c_long,
        c_void,
        CStr, //
    };
    pub use core::result::Result::{
        Err,
        Ok, //
    };
    pub use macros::pin_data;

    /// Initialisers of types that may be all zero.
    pub mod pin_init {
        /// All zero.
        pub fn init_zeroed<T: Default>() -> T {
            T::default()
        }
    }

    /// An initialiser of a value: here the value.
    pub trait Init: Sized {
        unsafe fn __init(
            self,
            slot: *mut Self,
        ) -> core::result::Result<(), core::convert::Infallible> {
            // SAFETY: There is room for the value.
            unsafe { slot.write(self) };
            Ok(())
        }
    }

    impl<T> Init for T {}

    /// The pointer of a C string.
    pub trait CStrExt {
        fn as_char_ptr(&self) -> *const core::ffi::c_char;
    }

    impl CStrExt for CStr {
        fn as_char_ptr(&self) -> *const core::ffi::c_char {
            self.as_ptr()
        }
    }

    pub const ENOMEM: Error = Error(12);
    pub const EINVAL: Error = Error(22);
    pub const EADDRINUSE: Error = Error(98);
    pub const EADDRNOTAVAIL: Error = Error(99);
}

/// CPUs: the models have one.
pub mod cpu {
    pub struct CpuId;

    impl CpuId {
        pub fn current() -> Self {
            Self
        }

        pub fn as_u32(&self) -> u32 {
            0
        }
    }

    pub fn nr_cpu_ids() -> u32 {
        1
    }
}

/// Time.
pub mod time {
    pub type Jiffies = core::ffi::c_ulong;

    pub fn msecs_to_jiffies(milliseconds: u32) -> Jiffies {
        milliseconds.into()
    }
}

/// Types.
pub mod types {
    pub type NotThreadSafe = core::marker::PhantomData<*mut ()>;
    #[allow(non_upper_case_globals, reason = "as in the kernel crate")]
    pub const NotThreadSafe: NotThreadSafe = core::marker::PhantomData;
}

/// Files of text.
pub mod seq_file {
    /// Text that was printed.
    pub struct SeqFile(pub core::cell::RefCell<String>);
}

/// Prints to a [`seq_file::SeqFile`].
#[macro_export]
macro_rules! seq_print {
    ($out:expr, $($format:tt)*) => {
        $out.0.borrow_mut().push_str(&format!($($format)*))
    };
}

/// Prints.
#[macro_export]
macro_rules! pr_err {
    ($($format:tt)*) => { eprint!($($format)*) };
}

/// Prints.
#[macro_export]
macro_rules! pr_info {
    ($($format:tt)*) => { eprint!($($format)*) };
}

#[macro_export]
macro_rules! pr_warn {
    ($($format:tt)*) => { eprint!($($format)*) };
}

/// The structure that a field is part of.
#[macro_export]
macro_rules! container_of {
    ($pointer:expr, $container:ty, $field:ident) => {
        $pointer
            .cast::<u8>()
            .sub(core::mem::offset_of!($container, $field))
            .cast::<$container>()
    };
}

/// A value from its fields, of which those after `<-` are initialisers: here values, too.
#[macro_export]
macro_rules! pin_init {
    ($name:ident { $($fields:tt)* }) => { $crate::init_fields!($name [] $($fields)*) };
}

/// As [`pin_init!`].
#[macro_export]
macro_rules! init {
    ($name:ident { $($fields:tt)* }) => { $crate::init_fields!($name [] $($fields)*) };
}

#[doc(hidden)]
#[macro_export]
macro_rules! init_fields {
    ($name:ident [$($done:tt)*]) => { $name { $($done)* } };
    ($name:ident [$($done:tt)*] $field:ident <- $value:expr, $($rest:tt)*) => {
        $crate::init_fields!($name [$($done)* $field: $value,] $($rest)*)
    };
    ($name:ident [$($done:tt)*] $field:ident: $value:expr, $($rest:tt)*) => {
        $crate::init_fields!($name [$($done)* $field: $value,] $($rest)*)
    };
    ($name:ident [$($done:tt)*] $field:ident, $($rest:tt)*) => {
        $crate::init_fields!($name [$($done)* $field,] $($rest)*)
    };
}
