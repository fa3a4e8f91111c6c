// SPDX-License-Identifier: GPL-2.0

//! The configuration: one immutable value.
//!
//! A [`Config`] is replaced whole, never changed: a change makes a new one, or fails and changes
//! nothing. The sysctls that do so are in `knobs.rs`.

mod cache_control;
mod charset;
mod dynamic;
mod error_pages;
mod extra_fields;

pub(crate) use cache_control::CacheControl;
pub(crate) use charset::Charset;
pub(crate) use dynamic::Dynamic;
pub(crate) use error_pages::ErrorPages;
pub(crate) use extra_fields::ExtraFields;

use super::media_types::MediaTypes;
use crate::linux::address::Address;
use crate::linux::context::MaySleep;
use crate::linux::path::Root;
use crate::linux::send::{
    Manner,
    Way, //
};
use crate::linux::sysctl::Text;
use kernel::prelude::*;
use kernel::str::CString;
use kernel::sync::Arc;

/// The numbers that a setting may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Range {
    min: u32,
    max: u32,
}

impl Range {
    /// The numbers from `min` to `max`, both included.
    const fn new(min: u32, max: u32) -> Self {
        Self { min, max }
    }

    /// Fails with `EINVAL` if `value` is none of them.
    pub(super) fn check(self, value: u32) -> Result<u32> {
        if self.min <= value && value <= self.max {
            Ok(value)
        } else {
            Err(EINVAL)
        }
    }
}

/// Of what is on (1) or off (0).
pub(super) const SWITCH: Range = Range::new(0, 1);
/// Of what is off (0), or on in a simple (1) or in the best way (2).
pub(super) const WAY: Range = Range::new(0, 2);
/// Of the port to listen on.
pub(super) const PORT: Range = Range::new(1, 65535);
/// Of the backing server's port; 0 is none.
pub(super) const BACKING_PORT: Range = Range::new(0, 65535);
/// Of what is done with a query.
pub(super) const QUERY: Range = Range::new(0, 2);
/// Of the number of workers; 0 is one per online CPU.
pub(super) const THREADS: Range = Range::new(0, 1024);
/// Of the number of connections.
pub(super) const CONNECTIONS: Range = Range::new(1, 4_194_304);
/// Of the number of connections that wait to be accepted.
pub(super) const BACKLOG: Range = Range::new(1, 65535);
/// Of a time limit in seconds that can be switched off by 0: up to a day.
pub(super) const OPTIONAL_SECONDS: Range = Range::new(0, 86_400);
/// Of a time limit in seconds: up to an hour.
pub(super) const SECONDS: Range = Range::new(1, 3600);
/// Of the number of requests on a connection; 0 is any.
pub(super) const REQUESTS: Range = Range::new(0, u32::MAX);
/// Of documents; 0 is none.
pub(super) const DOCUMENTS: Range = Range::new(0, 4_194_304);
/// Of octets; 0 is any number.
pub(super) const OCTETS: Range = Range::new(0, u32::MAX);
/// Of octets per second, up to 1 GiB; 0 is any.
pub(super) const RATE: Range = Range::new(0, 1_073_741_824);
/// Of the length of a request's head.
pub(super) const HEAD_LEN: Range = Range::new(256, 65536);
/// Of the input that is read and thrown away before a connection is closed: up to 1 GiB.
pub(super) const DISCARD: Range = Range::new(0, 1_073_741_824);

/// Octets of the longest target of a request, whatever its head may have. A Location is as long.
pub(super) const TARGET_LEN: usize = 4096;

/// A setting that is text.
pub(super) trait Setting: Sized {
    /// Makes it of its text. What is wrong with that is `EINVAL`; what it names may be missing, and
    /// may have to be waited for.
    fn parse(text: &CStr, context: &MaySleep) -> Result<Self>;

    /// Prints it such that [`Setting::parse`] makes the same of it.
    fn print(&self, out: &mut Text) -> Result;
}

/// The directory that is served, under the name that it was given by.
pub(crate) struct DocumentRoot {
    name: CString,
    root: Root,
}

impl Setting for DocumentRoot {
    /// Opens the directory. The name must be absolute (`EINVAL`).
    fn parse(name: &CStr, context: &MaySleep) -> Result<Self> {
        if !octets(name).starts_with(b"/") {
            return Err(EINVAL);
        }
        Ok(Self {
            name: CString::try_from(name)?,
            root: Root::open(name, context)?,
        })
    }

    fn print(&self, out: &mut Text) -> Result {
        out.push(octets(&self.name))
    }
}

impl DocumentRoot {
    /// The name that it was given by.
    pub(super) fn name(&self) -> &CStr {
        &self.name
    }

    /// The directory.
    pub(crate) fn root(&self) -> &Root {
        &self.root
    }
}

/// All settings, at one moment.
#[derive(Clone)]
pub(crate) struct Config {
    /// What is served.
    pub(crate) document_root: Arc<DocumentRoot>,
    /// The address listened on.
    pub(crate) address: Address,
    /// The port listened on.
    pub(crate) server_port: u16,
    /// Whether another server may listen there, too, which then gets no connections.
    pub(crate) takeover: u32,
    /// The backing server's port; 0 if there is none.
    pub(crate) client_port: u16,
    /// Seconds that a request waits for the backing server.
    pub(crate) handoff_timeout: u32,
    /// Whether the connection is closed then; else the answer is 503.
    pub(crate) handoff_close: u32,
    /// Whether the backing server is asked for what is not found.
    pub(crate) handoff_not_found: u32,
    /// Whether the backing server is asked for what is not for everyone.
    pub(crate) handoff_forbidden: u32,
    /// Whether everything is for the backing server.
    pub(crate) all_userspace: u32,
    /// Seconds that a worker may let others wait before the backing server gets those who come; 0
    /// if it never does.
    pub(crate) failsafe_timeout: u32,
    /// Whether a query is ignored, or its request is for the backing server: 2 or 0.
    pub(crate) ignore_query: u32,
    /// The texts that make a path one for the backing server.
    pub(crate) dynamic: Arc<Dynamic>,
    /// How many workers; 0 is one per online CPU.
    pub(crate) threads: u32,
    /// How many connections at a time.
    pub(crate) max_connect: u32,
    /// How many connections may wait to be accepted.
    pub(crate) max_backlog: u32,
    /// Seconds that a server that is stopped has for what is under way; 0 is none.
    pub(crate) drain_timeout: u32,
    /// Seconds that a connection may be idle between requests; 0 is for ever.
    pub(crate) keepalive_timeout: u32,
    /// Seconds from the first octet of a request's head to its end.
    pub(crate) header_timeout: u32,
    /// Seconds that a response may make no progress.
    pub(crate) send_timeout: u32,
    /// Seconds that a connection is read from after the response that ends it.
    pub(crate) linger_timeout: u32,
    /// Octets that a connection is read of after the response that ends it.
    pub(crate) linger_limit: u32,
    /// Octets in a request's head.
    pub(crate) max_header_len: u32,
    /// Seconds in which a part of a request's body must come.
    pub(crate) body_timeout: u32,
    /// Octets per second of a request's body, below which the connection ends; 0 is none.
    pub(crate) min_receive_rate: u32,
    /// Octets per second of a response, below which the connection ends; 0 is none.
    pub(crate) min_send_rate: u32,
    /// Requests that are answered on a connection; 0 is any number.
    pub(crate) keepalive_requests: u32,
    /// Whether requests are answered in softirq; as all switches, 1 is on.
    pub(crate) fastpath: u32,
    /// What responses that were sent before are found by: nothing, their form, or (2) octets of
    /// requests, too.
    pub(crate) ready_responses: u32,
    /// How octets come to the stack: copied, spliced, or (2) filled in.
    pub(crate) zerocopy_sendfile: u32,
    /// Whether each response ends with a segment.
    pub(crate) push_all: u32,
    /// Whether connections are taken in softirq.
    pub(crate) fast_accept: u32,
    /// Whether responses acknowledge requests from the begin of a connection.
    pub(crate) ack_pingpong: u32,
    /// Whether a file system is asked once for what many ask for.
    pub(crate) single_flight: u32,
    /// Whether checksums are seen to where the device doesn't make them.
    pub(crate) checksums: u32,
    /// How many documents are cached.
    pub(crate) max_cached_documents: u32,
    /// Octets of memory for that; 0 is any number.
    pub(crate) max_cached_memory: u32,
    /// Octets of the largest file that is cached; 0 is any.
    pub(crate) max_cached_filesize: u32,
    /// Whether precompressed siblings of files are served.
    pub(crate) compression: u32,
    /// Whether directories without an index are listed.
    pub(crate) http_dir_indexing: u32,
    /// Whether listings leave out what can't be read.
    pub(crate) hide_unreadable: u32,
    /// Whether responses have an ETag.
    pub(crate) generate_etags: u32,
    /// Whether responses have a Last-Modified.
    pub(crate) generate_last_mod: u32,
    /// Whether responses have the Cache-Control and Expires of `cache_control`.
    pub(crate) generate_cache_control: u32,
    /// The charset of text.
    pub(crate) charset: Arc<Charset>,
    /// How long responses stay fresh.
    pub(crate) cache_control: Arc<CacheControl>,
    /// The fields that are added to each response.
    pub(crate) extra_fields: Arc<ExtraFields>,
    /// The files that are the content of errors.
    pub(crate) error_pages: Arc<ErrorPages>,
    /// The media types of files.
    pub(crate) media_types: Arc<MediaTypes>,
    /// Whether this is the last one of a server that is stopped: no setting.
    pub(super) is_last: bool,
}

/// What was given when the module was loaded; `None` is the default.
pub(crate) struct Parameters {
    /// `docroot`.
    pub(crate) document_root: Option<&'static CStr>,
    /// `address`.
    pub(crate) address: Option<&'static CStr>,
    /// `mime_types`.
    pub(crate) media_types: Option<&'static CStr>,
    /// `port`.
    pub(crate) port: u16,
    /// `threads`.
    pub(crate) threads: u32,
    /// `backlog`.
    pub(crate) backlog: u32,
    /// `takeover`.
    pub(crate) takeover: u32,
    /// `start`, which is no setting.
    pub(crate) start: u32,
}

impl Config {
    /// The directory served if nobody names one.
    pub(crate) const DOCUMENT_ROOT: &'static CStr = c"/var/www/html";

    /// Makes the first configuration. What is wrong goes to the kernel's log.
    pub(crate) fn new(given: &Parameters, context: &MaySleep) -> Result<Self> {
        let name = given.document_root.unwrap_or(Self::DOCUMENT_ROOT);
        let document_root = DocumentRoot::parse(name, context).inspect_err(|error| {
            let why = match *error {
                error if error == ENOENT => "no such directory",
                error if error == ENOTDIR => "not a directory",
                error if error == EINVAL => "not an absolute name",
                error if error == ELOOP => "a loop of symbolic links",
                _ => "can't be opened",
            };
            pr_err!("docroot={}: {} ({:?})\n", name, why, error);
        })?;
        let address = match given.address {
            None => Address::ANY,
            Some(text) => parse_address(octets(text)).inspect_err(|_| {
                pr_err!("address={}: neither an IPv4 nor an IPv6 address\n", text);
            })?,
        };
        let media_types = MediaTypes::load(given.media_types.unwrap_or(c""), context)?;
        let checked = |name: &str, range: Range, value| {
            range.check(value).inspect_err(|_| {
                pr_err!(
                    "{}={}: not in {} to {}\n",
                    name,
                    value,
                    range.min,
                    range.max
                );
            })
        };
        checked("port", PORT, given.port.into())?;
        checked("start", SWITCH, given.start)?;
        Ok(Self {
            document_root: Arc::new(document_root, GFP_KERNEL)?,
            address,
            server_port: given.port,
            takeover: checked("takeover", SWITCH, given.takeover)?,
            client_port: 0,
            handoff_timeout: 2,
            handoff_close: 0,
            handoff_not_found: 1,
            handoff_forbidden: 1,
            all_userspace: 0,
            failsafe_timeout: 5,
            ignore_query: 0,
            dynamic: first(Dynamic::DEFAULT, context)?,
            threads: checked("threads", THREADS, given.threads)?,
            max_connect: 10_000,
            max_backlog: checked("backlog", BACKLOG, given.backlog)?,
            drain_timeout: 5,
            keepalive_timeout: 15,
            header_timeout: 10,
            send_timeout: 30,
            linger_timeout: 5,
            linger_limit: 16_777_216,
            max_header_len: 8192,
            body_timeout: 10,
            min_receive_rate: 240,
            min_send_rate: 240,
            keepalive_requests: 0,
            fastpath: 1,
            ready_responses: 2,
            zerocopy_sendfile: 2,
            push_all: 0,
            fast_accept: 1,
            ack_pingpong: 1,
            single_flight: 1,
            checksums: 0,
            max_cached_documents: 65_536,
            max_cached_memory: 134_217_728,
            max_cached_filesize: 0,
            compression: 1,
            http_dir_indexing: 0,
            hide_unreadable: 1,
            generate_etags: 1,
            generate_last_mod: 1,
            generate_cache_control: 1,
            charset: first(Charset::DEFAULT, context)?,
            cache_control: first(CacheControl::DEFAULT, context)?,
            extra_fields: first(ExtraFields::DEFAULT, context)?,
            error_pages: first(ErrorPages::DEFAULT, context)?,
            media_types: Arc::new(media_types, GFP_KERNEL)?,
            is_last: false,
        })
    }
}

impl Config {
    /// The same for a server that is stopped, in which nobody is waited for after a last response
    /// for long.
    pub(super) fn last(&self) -> Self {
        Self {
            is_last: true,
            linger_timeout: self.linger_timeout.min(1),
            ..self.clone()
        }
    }

    /// Whether documents of files of so many octets are kept.
    pub(super) fn keeps(&self, octets: u64) -> bool {
        let largest = u64::from(self.max_cached_filesize);
        self.max_cached_documents != 0 && (largest == 0 || octets <= largest)
    }

    /// Whether requests are answered in softirq, where there is a document for them.
    pub(super) fn answers_at_once(&self) -> bool {
        self.fastpath != 0
            && self.max_cached_documents != 0
            && !self.hands_all_over()
            && !self.is_last
    }

    /// How responses are sent.
    pub(super) fn manner(&self) -> Manner {
        Manner {
            way: match self.zerocopy_sendfile {
                0 => Way::Copy,
                1 => Way::Splice,
                _ => Way::Fill,
            },
            push_all: self.push_all != 0,
        }
    }

    /// Whether there is a backing server.
    pub(super) fn has_backing_server(&self) -> bool {
        self.client_port != 0
    }

    /// Whether everything is for the backing server.
    pub(super) fn hands_all_over(&self) -> bool {
        self.all_userspace != 0 && self.has_backing_server()
    }

    /// Octets of the longest target of a request.
    pub(super) fn target_limit(&self) -> usize {
        let head = usize::try_from(self.max_header_len);
        head.unwrap_or(TARGET_LEN).min(TARGET_LEN)
    }
}

/// The first value of a setting that is text.
fn first<T: Setting>(text: &CStr, context: &MaySleep) -> Result<Arc<T>> {
    Ok(Arc::new(T::parse(text, context)?, GFP_KERNEL)?)
}

/// A copy of `octets`.
pub(super) fn copy(octets: &[u8]) -> Result<KVVec<u8>> {
    let mut copy = KVVec::from_elem(0, octets.len(), GFP_KERNEL)?;
    for (to, from) in copy.iter_mut().zip(octets) {
        *to = *from;
    }
    Ok(copy)
}

/// The octets before the NUL. (`CStr::to_bytes()` has an overflow check that the compiler can't
/// prove away.)
pub(super) fn octets(text: &CStr) -> &[u8] {
    match text.to_bytes_with_nul() {
        [octets @ .., _] => octets,
        [] => &[],
    }
}

/// Reads an address to listen on; `*`, `any` and nothing at all are all addresses.
pub(super) fn parse_address(text: &[u8]) -> Result<Address> {
    match text {
        b"" | b"*" | b"any" => Ok(Address::ANY),
        _ => Address::parse(text),
    }
}
