// SPDX-License-Identifier: GPL-2.0

//! Module parameters that are strings, which `module!` has none of.
//!
//! C header: [`include/linux/moduleparam.h`](srctree/include/linux/moduleparam.h)

use super::bindings;
use core::cell::UnsafeCell;
use kernel::ffi::{
    c_char,
    c_void, //
};
use kernel::prelude::*;

/// The value of a parameter that [`charp_param!`](crate::charp_param) has declared.
pub(crate) struct Charp(UnsafeCell<*mut c_char>);

// SAFETY: The kernel writes the cell before the module's init runs, and after its exit; the
// parameter is read-only in sysfs. In between it is only read.
unsafe impl Sync for Charp {}

impl Charp {
    /// A parameter that nobody has given.
    pub(crate) const fn new() -> Self {
        Self(UnsafeCell::new(core::ptr::null_mut()))
    }

    /// What was given when the module was loaded.
    pub(crate) fn value(&'static self) -> Option<&'static CStr> {
        // SAFETY: Nobody writes the cell while the module's code runs, see above.
        let value = unsafe { *self.0.get() };
        if value.is_null() {
            return None;
        }
        // SAFETY: `param_set_charp()` stores a copy that ends in NUL. It is freed after the
        // module's exit, when nothing static of the module is left.
        Some(unsafe { text(value) })
    }

    /// Where `param_ops_charp` keeps the value.
    #[doc(hidden)]
    pub(crate) const fn as_void_ptr(&self) -> *mut c_void {
        self.0.get().cast()
    }
}

/// A text of C. (`CStr::from_char_ptr()` has an overflow check that the compiler can't prove away.)
///
/// # Safety
///
/// `start` ends in NUL, and stays as it is for `'a`.
pub(super) unsafe fn text<'a>(start: *const c_char) -> &'a CStr {
    // SAFETY: By the safety requirements.
    let len = unsafe { bindings::strlen(start) }.wrapping_add(1);
    // SAFETY: As above.
    let octets = unsafe { core::slice::from_raw_parts(start, len) };
    CStr::from_bytes_with_nul(octets).unwrap_or(c"")
}

/// Makes octets for a section out of text. It runs in the compiler only.
#[doc(hidden)]
pub(crate) const fn section<const N: usize>(text: &str) -> [u8; N] {
    match text.as_bytes().first_chunk() {
        Some(octets) => *octets,
        None => panic!("the length is that of the text"),
    }
}

/// Declares a module parameter that is a string, readable in sysfs, and a static for its value.
///
/// To be used once per parameter, in the crate root.
///
/// # Examples
///
/// ```ignore
/// charp_param! {
///     /// The directory served.
///     docroot, "rust_tux", "Directory served"
/// }
///
/// let text: Option<&CStr> = docroot.value();
/// ```
#[macro_export]
macro_rules! charp_param {
    ($(#[$attribute:meta])* $name:ident, $module:literal, $description:literal) => {
        $(#[$attribute])*
        #[allow(non_upper_case_globals)]
        static $name: $crate::linux::param::Charp = $crate::linux::param::Charp::new();

        const _: () = {
            #[cfg(MODULE)]
            const TYPE: &str = concat!("parmtype=", stringify!($name), ":charp\0");
            #[cfg(not(MODULE))]
            const TYPE: &str = concat!($module, ".parmtype=", stringify!($name), ":charp\0");

            #[cfg(MODULE)]
            const DESCRIPTION: &str = concat!("parm=", stringify!($name), ":", $description, "\0");
            #[cfg(not(MODULE))]
            const DESCRIPTION: &str =
                concat!($module, ".parm=", stringify!($name), ":", $description, "\0");

            #[link_section = ".modinfo"]
            #[used(compiler)]
            static TYPE_SECTION: [u8; TYPE.len()] = $crate::linux::param::section(TYPE);

            #[link_section = ".modinfo"]
            #[used(compiler)]
            static DESCRIPTION_SECTION: [u8; DESCRIPTION.len()] =
                $crate::linux::param::section(DESCRIPTION);

            #[link_section = "__param"]
            #[used(compiler)]
            static PARAMETER: ::kernel::module_param::KernelParam =
                ::kernel::module_param::KernelParam::new(::kernel::bindings::kernel_param {
                    #[cfg(MODULE)]
                    name: ::kernel::str::as_char_ptr_in_const_context(::kernel::c_str!(
                        stringify!($name)
                    )),
                    #[cfg(not(MODULE))]
                    name: ::kernel::str::as_char_ptr_in_const_context(::kernel::c_str!(concat!(
                        $module,
                        ".",
                        stringify!($name)
                    ))),
                    #[cfg(MODULE)]
                    mod_: (&raw const ::kernel::bindings::__this_module).cast_mut(),
                    #[cfg(not(MODULE))]
                    mod_: ::core::ptr::null_mut(),
                    ops: &raw const ::kernel::bindings::param_ops_charp,
                    perm: 0o444,
                    level: -1,
                    flags: 0,
                    __bindgen_anon_1: ::kernel::bindings::kernel_param__bindgen_ty_1 {
                        arg: $name.as_void_ptr(),
                    },
                });
        };
    };
}
