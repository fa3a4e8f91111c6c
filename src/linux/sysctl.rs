// SPDX-License-Identifier: GPL-2.0

//! A table of sysctls under `/proc/sys`, built from a Rust table and unregistered by `Drop`.
//!
//! C header: [`include/linux/sysctl.h`](srctree/include/linux/sysctl.h)

use super::bindings;
use super::context::MaySleep;
use core::marker::PhantomData;
use core::ptr::{
    addr_of_mut,
    NonNull, //
};
use kernel::error::from_result;
use kernel::ffi::{
    c_int,
    c_void, //
};
use kernel::fmt::{
    self,
    Write, //
};
use kernel::prelude::*;
use kernel::sync::Arc;

/// The longest value, with its newline or NUL. A path fits in.
const VALUE_LIMIT: usize = bindings::PATH_MAX as usize;

/// One entry of a table.
pub(crate) trait Knob: Sync + 'static {
    /// The file's name, then its aliases: each is a file.
    fn names(&self) -> &'static [&'static CStr];

    /// Permission bits; the files are owned by the superuser of the network namespace.
    fn mode(&self) -> u16;

    /// Whether the value is lines, so that a write that follows others through the same open file
    /// adds lines to theirs. Some shells write each line by itself.
    fn takes_lines(&self) -> bool;
}

/// A table of sysctls, and who gives them their meaning.
///
/// Methods are called by several tasks at a time, with their credentials.
pub(crate) trait Table: Send + Sync + Sized + 'static {
    /// What an entry of the table is.
    type Knob: Knob;

    /// The entries.
    const KNOBS: &'static [Self::Knob];

    /// Prints the value of `knob`, without a newline at the end. `out` is empty.
    fn read(&self, knob: &Self::Knob, out: &mut Text) -> Result;

    /// Sets `knob`. One newline at the end is gone from `value`.
    fn write(&self, knob: &Self::Knob, value: &CStr, context: &MaySleep) -> Result;
}

/// The text of a value, up to [`VALUE_LIMIT`] octets.
///
/// # Invariants
///
/// `len` is at most [`VALUE_LIMIT`].
pub(crate) struct Text {
    octets: KBox<[u8; VALUE_LIMIT]>,
    len: usize,
}

impl Text {
    /// No text.
    pub(crate) fn new() -> Result<Self> {
        // INVARIANT: 0 is at most the limit.
        Ok(Self {
            octets: KBox::zeroed(GFP_KERNEL)?,
            len: 0,
        })
    }

    /// Adds octets as they are. Fails with `EOVERFLOW`, and adds nothing, where room lacks.
    pub(crate) fn push(&mut self, octets: &[u8]) -> Result {
        let end = self.len.checked_add(octets.len()).ok_or(EOVERFLOW)?;
        let room = self.octets.get_mut(self.len..end).ok_or(EOVERFLOW)?;
        for (to, from) in room.iter_mut().zip(octets) {
            *to = *from;
        }
        // INVARIANT: There are so many octets in the array.
        self.len = end;
        Ok(())
    }

    /// Adds what `fmt!` has made.
    pub(crate) fn print(&mut self, arguments: fmt::Arguments<'_>) -> Result {
        self.write_fmt(arguments).map_err(|_| EOVERFLOW)
    }

    /// The text.
    pub(crate) fn octets(&self) -> &[u8] {
        self.octets.get(..self.len).unwrap_or(&[])
    }
}

impl Write for Text {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.push(text.as_bytes()).map_err(|_| fmt::Error)
    }
}

/// A registration of a table in the initial network namespace.
///
/// Dropping it waits for the methods of the table that run, so none of them may drop it. None runs
/// afterwards.
///
/// # Invariants
///
/// `header` is the registration of `entries`, whose elements point at `table` and into
/// `T::KNOBS`.
pub(crate) struct Registration<T: Table> {
    header: NonNull<bindings::ctl_table_header>,
    /// Freed after `drop()` has unregistered it.
    _entries: KVec<bindings::ctl_table>,
    /// Released after `drop()` has unregistered its entries.
    _table: Arc<T>,
}

// SAFETY: Any thread may unregister a table; `T` is `Send` and `Sync`.
unsafe impl<T: Table> Send for Registration<T> {}
// SAFETY: There are no methods; `T` is `Sync`.
unsafe impl<T: Table> Sync for Registration<T> {}

impl<T: Table> Registration<T> {
    /// Registers the table in the directory `path` (`net/http`), which is made if need be.
    ///
    /// The methods may be called before this returns.
    pub(crate) fn new(path: &CStr, table: Arc<T>, _context: &MaySleep) -> Result<Self> {
        let counts = T::KNOBS.iter().map(|knob| knob.names().len());
        let count = counts.fold(0, usize::saturating_add);
        let mut entries = KVec::with_capacity(count, GFP_KERNEL)?;
        for knob in T::KNOBS {
            for name in knob.names() {
                let entry = bindings::ctl_table {
                    procname: name.as_char_ptr(),
                    data: Arc::as_ptr(&table).cast_mut().cast(),
                    mode: knob.mode(),
                    proc_handler: Some(Handler::<T>::handle),
                    extra1: core::ptr::from_ref(knob).cast_mut().cast(),
                    ..Default::default()
                };
                entries.push_within_capacity(entry).map_err(|_| EOVERFLOW)?;
            }
        }
        // SAFETY: The entries stay where they are, and alive with what they point at, until they
        // are unregistered; `path` ends in NUL, and the kernel copies what it keeps of it; this
        // may sleep.
        let header = unsafe {
            bindings::register_net_sysctl_sz(
                addr_of_mut!(bindings::init_net),
                path.as_char_ptr(),
                entries.as_ptr(),
                entries.len(),
            )
        };
        // INVARIANT: The table was registered just now.
        Ok(Self {
            header: NonNull::new(header).ok_or(ENOMEM)?,
            _entries: entries,
            _table: table,
        })
    }
}

impl<T: Table> Drop for Registration<T> {
    fn drop(&mut self) {
        // SAFETY: By the type invariant the table is registered. This waits for its handlers.
        unsafe { bindings::unregister_net_sysctl_table(self.header.as_ptr()) };
    }
}

/// What the kernel calls for the entries of a [`Registration<T>`].
struct Handler<T: Table>(PhantomData<T>);

impl<T: Table> Handler<T> {
    /// Reads or writes one entry.
    ///
    /// # Safety
    ///
    /// Called by `proc_sys_call_handler()` for an entry of a [`Registration<T>`], so in process
    /// context: `buffer` is memory of the kernel of `*length` octets, and one more when it is
    /// written, `length` and `position` are valid.
    unsafe extern "C" fn handle(
        entry: *const bindings::ctl_table,
        write: c_int,
        buffer: *mut c_void,
        length: *mut usize,
        position: *mut bindings::loff_t,
    ) -> c_int {
        // SAFETY: By the invariants of `Registration` this is its table, which lives while it is
        // registered; unregistering waits for us.
        let table = unsafe { &*(*entry).data.cast::<T>() };
        // SAFETY: By the invariants of `Registration` this is one of `T::KNOBS`.
        let knob = unsafe { &*(*entry).extra1.cast::<T::Knob>() };
        // SAFETY: By the safety requirements.
        let (length, position) = unsafe { (&mut *length, &mut *position) };
        if *length == 0 {
            return 0;
        }
        from_result(|| {
            if write == 0 {
                // SAFETY: By the safety requirements; all of the buffer has been cleared.
                let buffer =
                    unsafe { core::slice::from_raw_parts_mut(buffer.cast::<u8>(), *length) };
                *length = read(table, knob, buffer, position)?;
            } else {
                let end = length.checked_add(1).ok_or(EINVAL)?;
                // SAFETY: By the safety requirements there is an octet more.
                unsafe { buffer.cast::<u8>().add(*length).write(0) };
                // SAFETY: By the safety requirements, and the last octet was written just now.
                let value = unsafe { core::slice::from_raw_parts_mut(buffer.cast::<u8>(), end) };
                self::write(table, knob, value, position)?;
            }
            Ok(0)
        })
    }
}

/// Prints a value, with a newline unless it is empty, and copies what lies behind `position`.
/// Returns how much.
fn read<T: Table>(
    table: &T,
    knob: &T::Knob,
    buffer: &mut [u8],
    position: &mut bindings::loff_t,
) -> Result<usize> {
    let mut text = Text::new()?;
    table.read(knob, &mut text)?;
    if !text.octets().is_empty() {
        text.push(b"\n")?;
    }

    let start = usize::try_from(*position)?;
    let Some((_, rest)) = text.octets().split_at_checked(start) else {
        return Ok(0);
    };
    let mut count: usize = 0;
    for (to, from) in buffer.iter_mut().zip(rest) {
        *to = *from;
        count = count.saturating_add(1);
    }
    *position = position.saturating_add(i64::try_from(count)?);
    Ok(count)
}

/// Writes a whole value, which ends in NUL; a part of one (`position` is not 0) is refused, but
/// for lines that are added.
fn write<T: Table>(
    table: &T,
    knob: &T::Knob,
    mut value: &mut [u8],
    position: &mut bindings::loff_t,
) -> Result {
    let count = value.len().saturating_sub(1);
    if let [rest @ .., end @ b'\n', 0] = value {
        *end = 0;
        let len = rest.len().saturating_add(1);
        value = value.get_mut(..len).ok_or(EINVAL)?;
    }
    let lines;
    let value = if *position == 0 {
        // Without memory: a server can be stopped when there is none.
        Some(&*value).filter(|value| value.len() <= VALUE_LIMIT)
    } else {
        lines = add_lines(table, knob, value, *position)?;
        Some(lines.octets())
    };
    let value = CStr::from_bytes_with_nul(value.ok_or(EINVAL)?).map_err(|_| EINVAL)?;
    table.write(knob, value, &MaySleep::begin())?;
    *position = position.saturating_add(i64::try_from(count)?);
    Ok(())
}

/// The value with more lines behind those that it has, which end at `position`.
fn add_lines<T: Table>(
    table: &T,
    knob: &T::Knob,
    more: &[u8],
    position: bindings::loff_t,
) -> Result<Text> {
    if !knob.takes_lines() {
        return Err(EINVAL);
    }
    let mut text = Text::new()?;
    table.read(knob, &mut text)?;
    text.push(b"\n")?;
    if usize::try_from(position)? != text.octets().len() {
        return Err(EINVAL);
    }
    text.push(more).map_err(|_| EINVAL)?;
    Ok(text)
}
