// SPDX-License-Identifier: GPL-2.0

//! The sysctls that show and change the configuration, and start and stop the server.
//!
//! Some settings are looked at when the server starts, and stay in force until it starts again
//! ([`Effect::NextStart`]): of these a read shows the value in force, and `pending` lists those
//! that wait.
//!
//! This is where our words and those of TUX and kHTTPd meet. `Documentation/sysctl.rst` has a
//! section for each entry of [`KNOBS`].

use super::config::{
    octets,
    parse_address,
    Config,
    Range,
    Setting,
    BACKING_PORT,
    BACKLOG,
    CONNECTIONS,
    DISCARD,
    DOCUMENTS,
    HEAD_LEN,
    OCTETS,
    OPTIONAL_SECONDS,
    PORT,
    QUERY,
    RATE,
    REQUESTS,
    SECONDS,
    SWITCH,
    THREADS,
    WAY, //
};
use crate::http::status::Status;
use crate::linux::context::MaySleep;
use crate::linux::sysctl::{
    self,
    Text, //
};
use kernel::prelude::*;
use kernel::sync::Arc;

/// Who owns the configuration and the server.
///
/// Changes, starts and stops are done one after the other.
pub(crate) trait Control: Send + Sync + 'static {
    /// The settings. Those of [`Effect::NextStart`] may not be in force yet.
    fn config(&self) -> Arc<Config>;

    /// The settings that the server was started with; `None` while it is stopped.
    fn started_with(&self) -> Option<Arc<Config>>;

    /// Replaces the settings by what `change` makes of them, unless that fails.
    fn update(&self, change: &dyn Fn(&Config) -> Result<Config>, context: &MaySleep) -> Result;

    /// Starts the server; no more than success if it runs.
    fn start(&self, context: &MaySleep) -> Result;

    /// Stops the server, for which it waits for what is under way; no more than success if it is
    /// stopped.
    fn stop(&self, context: &MaySleep) -> Result;

    /// Whether a server that is stopped waits for what is under way.
    fn is_draining(&self) -> bool;
}

/// When a new value is gone by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Effect {
    /// For what begins after the write.
    Now,
    /// When the server is started the next time.
    NextStart,
}

/// What a sysctl is about.
enum Subject {
    /// A setting that is a number.
    Number {
        /// The values it may take.
        range: Range,
        /// When a new value is gone by.
        effect: Effect,
        /// Its place in the configuration.
        get: fn(&Config) -> u32,
        /// Its place in the configuration.
        set: fn(&mut Config, u32) -> Result,
    },
    /// A setting that is text.
    Text {
        /// When a new value is gone by.
        effect: Effect,
        /// Prints its value.
        print: fn(&Config, &mut Text) -> Result,
        /// Makes a new value of text, then updates the configuration. What may have to be waited
        /// for (a disk, another machine) comes first: nobody should wait for it.
        write: fn(&dyn Control, &CStr, &MaySleep) -> Result,
    },
    /// Whether the server runs; writing 1 starts it.
    Start,
    /// Whether the server is stopped; writing 1 stops it.
    Stop,
    /// `running`, `draining` or `stopped`.
    State,
    /// The settings whose new values wait for the next start.
    Pending,
}

/// One sysctl.
pub(crate) struct Knob {
    /// The name, and the aliases.
    names: &'static [&'static CStr],
    /// What it is about.
    subject: Subject,
    /// Whether its value is lines.
    takes_lines: bool,
}

impl Knob {
    /// A sysctl for something that is no number.
    const fn new(names: &'static [&'static CStr], subject: Subject) -> Self {
        Self {
            names,
            subject,
            takes_lines: false,
        }
    }
}

/// A sysctl for a field of [`Config`] that is a number.
macro_rules! number {
    ($field:ident, $names:expr, $range:ident, $effect:ident) => {
        Knob::new(
            $names,
            Subject::Number {
                range: $range,
                effect: Effect::$effect,
                get: |config| config.$field.into(),
                set: |config, value| {
                    config.$field = value.try_into()?;
                    Ok(())
                },
            },
        )
    };
}

/// A sysctl for a field of [`Config`] that is an [`Arc`] of a [`Setting`].
macro_rules! text {
    ($field:ident, $names:expr) => {
        Knob::new(
            $names,
            Subject::Text {
                effect: Effect::Now,
                print: |config, out| config.$field.print(out),
                write: |control, text, context| {
                    let new = Arc::new(Setting::parse(text, context)?, GFP_KERNEL)?;
                    control.update(
                        &|config| {
                            let mut config = config.clone();
                            config.$field = Arc::clone(&new);
                            Ok(config)
                        },
                        context,
                    )
                },
            },
        )
    };
}

/// [`Config::address`].
const ADDRESS: Subject = Subject::Text {
    effect: Effect::NextStart,
    print: |config, out| {
        if config.address.is_any() {
            out.push(b"*")
        } else {
            out.print(fmt!("{}", config.address))
        }
    },
    write: |control, text, context| {
        let address = parse_address(octets(text))?;
        control.update(
            &|config| {
                let mut config = config.clone();
                config.address = address;
                Ok(config)
            },
            context,
        )
    },
};

/// [`Config::ignore_query`], with the numbers of TUX; by 1 it makes a query a part of the name.
const IGNORE_QUERY: Subject = Subject::Number {
    range: QUERY,
    effect: Effect::Now,
    get: |config| config.ignore_query,
    set: |config, value| {
        if value == 1 {
            return Err(EINVAL);
        }
        config.ignore_query = value;
        Ok(())
    },
};

/// [`Config::dynamic`], to which each write adds, as in kHTTPd.
const DYNAMIC: Subject = Subject::Text {
    effect: Effect::Now,
    print: |config, out| config.dynamic.print(out),
    write: |control, text, context| {
        control.update(
            &|config| {
                let mut config = config.clone();
                config.dynamic = Arc::new(config.dynamic.with(octets(text))?, GFP_KERNEL)?;
                Ok(config)
            },
            context,
        )
    },
};

/// Of [`Config::error_pages`] the one of 404.
const NOT_FOUND_PAGE: Subject = Subject::Text {
    effect: Effect::Now,
    print: |config, out| out.push(config.error_pages.path(Status::NotFound).unwrap_or(b"")),
    write: |control, text, context| {
        control.update(
            &|config| {
                let mut config = config.clone();
                let pages = config.error_pages.with(Status::NotFound, octets(text))?;
                config.error_pages = Arc::new(pages, GFP_KERNEL)?;
                Ok(config)
            },
            context,
        )
    },
};

/// All sysctls.
static KNOBS: &[Knob] = &[
    text!(document_root, &[c"documentroot"]),
    Knob::new(&[c"address"], ADDRESS),
    number!(server_port, &[c"serverport"], PORT, NextStart),
    number!(takeover, &[c"takeover"], SWITCH, NextStart),
    number!(
        client_port,
        &[c"clientport", c"redirect_port"],
        BACKING_PORT,
        Now
    ),
    number!(
        handoff_timeout,
        &[c"handoff_timeout"],
        OPTIONAL_SECONDS,
        Now
    ),
    number!(handoff_close, &[c"handoff_close"], SWITCH, Now),
    number!(handoff_not_found, &[c"handoff_not_found"], SWITCH, Now),
    number!(handoff_forbidden, &[c"handoff_forbidden"], SWITCH, Now),
    number!(all_userspace, &[c"all_userspace"], SWITCH, Now),
    number!(
        failsafe_timeout,
        &[c"failsafe_timeout"],
        OPTIONAL_SECONDS,
        Now
    ),
    Knob::new(&[c"ignore_query"], IGNORE_QUERY),
    Knob::new(&[c"dynamic"], DYNAMIC),
    number!(threads, &[c"threads"], THREADS, NextStart),
    number!(
        max_connect,
        &[c"max_connect", c"maxconnect"],
        CONNECTIONS,
        Now
    ),
    number!(max_backlog, &[c"max_backlog"], BACKLOG, NextStart),
    number!(drain_timeout, &[c"drain_timeout"], OPTIONAL_SECONDS, Now),
    number!(
        keepalive_timeout,
        &[c"keepalive_timeout"],
        OPTIONAL_SECONDS,
        Now
    ),
    number!(header_timeout, &[c"header_timeout"], SECONDS, Now),
    number!(send_timeout, &[c"send_timeout"], SECONDS, Now),
    number!(linger_timeout, &[c"linger_timeout"], SECONDS, Now),
    number!(linger_limit, &[c"linger_limit"], DISCARD, Now),
    number!(max_header_len, &[c"max_header_len"], HEAD_LEN, Now),
    number!(body_timeout, &[c"body_timeout"], SECONDS, Now),
    number!(min_receive_rate, &[c"min_receive_rate"], RATE, Now),
    number!(min_send_rate, &[c"min_send_rate"], RATE, Now),
    number!(keepalive_requests, &[c"keepalive_requests"], REQUESTS, Now),
    number!(fastpath, &[c"fastpath"], SWITCH, Now),
    number!(ready_responses, &[c"ready_responses"], WAY, Now),
    number!(zerocopy_sendfile, &[c"zerocopy_sendfile"], WAY, Now),
    number!(push_all, &[c"push_all"], SWITCH, Now),
    number!(fast_accept, &[c"fast_accept"], SWITCH, Now),
    number!(ack_pingpong, &[c"ack_pingpong"], SWITCH, Now),
    number!(single_flight, &[c"single_flight"], SWITCH, Now),
    number!(checksums, &[c"checksums"], SWITCH, Now),
    number!(
        max_cached_documents,
        &[c"max_cached_documents"],
        DOCUMENTS,
        Now
    ),
    number!(max_cached_memory, &[c"max_cached_memory"], OCTETS, Now),
    number!(max_cached_filesize, &[c"max_cached_filesize"], OCTETS, Now),
    number!(compression, &[c"compression"], SWITCH, Now),
    number!(http_dir_indexing, &[c"http_dir_indexing"], SWITCH, Now),
    number!(hide_unreadable, &[c"hide_unreadable"], SWITCH, Now),
    number!(generate_etags, &[c"generate_etags"], SWITCH, Now),
    number!(generate_last_mod, &[c"generate_last_mod"], SWITCH, Now),
    number!(
        generate_cache_control,
        &[c"generate_cache_control"],
        SWITCH,
        Now
    ),
    text!(cache_control, &[c"cache_control"]),
    text!(charset, &[c"charset"]),
    text!(media_types, &[c"mime_types"]),
    text!(error_pages, &[c"error_pages"]),
    Knob::new(&[c"404_page"], NOT_FOUND_PAGE),
    Knob {
        takes_lines: true,
        ..text!(extra_fields, &[c"extra_header"])
    },
    Knob::new(&[c"start"], Subject::Start),
    Knob::new(&[c"stop"], Subject::Stop),
    Knob::new(&[c"state"], Subject::State),
    Knob::new(&[c"pending"], Subject::Pending),
];

impl Knob {
    /// When a new value is gone by; `None` if there is none to write, or if it is a command.
    fn effect(&self) -> Option<Effect> {
        match &self.subject {
            Subject::Number { effect, .. } | Subject::Text { effect, .. } => Some(*effect),
            Subject::Start | Subject::Stop | Subject::State | Subject::Pending => None,
        }
    }

    /// Prints the setting's value in `config`; nothing if this is no setting.
    fn print(&self, config: &Config, out: &mut Text) -> Result {
        match &self.subject {
            Subject::Number { get, .. } => out.print(fmt!("{}", get(config))),
            Subject::Text { print, .. } => print(config, out),
            Subject::Start | Subject::Stop | Subject::State | Subject::Pending => Ok(()),
        }
    }
}

impl sysctl::Knob for Knob {
    fn names(&self) -> &'static [&'static CStr] {
        self.names
    }

    fn mode(&self) -> u16 {
        match self.subject {
            Subject::State | Subject::Pending => 0o444,
            _ => 0o644,
        }
    }

    fn takes_lines(&self) -> bool {
        self.takes_lines
    }
}

/// The sysctls of a server.
pub(crate) struct Sysctls<C: Control> {
    control: Arc<C>,
}

impl<C: Control> Sysctls<C> {
    /// Where they are under `/proc/sys`.
    pub(crate) const PATH: &'static CStr = c"net/http";

    /// The sysctls of what `control` controls.
    pub(crate) fn new(control: Arc<C>) -> Self {
        Self { control }
    }

    /// Prints the settings that wait for the next start: one a line, its name and its new value.
    fn print_pending(&self, out: &mut Text) -> Result {
        let Some(old) = self.control.started_with() else {
            return Ok(());
        };
        let new = self.control.config();
        for knob in KNOBS {
            if knob.effect() != Some(Effect::NextStart) {
                continue;
            }
            let (mut was, mut will_be) = (Text::new()?, Text::new()?);
            knob.print(&old, &mut was)?;
            knob.print(&new, &mut will_be)?;
            if was.octets() == will_be.octets() {
                continue;
            }
            if !out.octets().is_empty() {
                out.push(b"\n")?;
            }
            let name = knob.names.first().map_or(&[][..], |name| octets(name));
            out.push(name)?;
            out.push(b" ")?;
            out.push(will_be.octets())?;
        }
        Ok(())
    }
}

impl<C: Control> sysctl::Table for Sysctls<C> {
    type Knob = Knob;

    const KNOBS: &'static [Knob] = KNOBS;

    fn read(&self, knob: &Knob, out: &mut Text) -> Result {
        let started_with = self.control.started_with();
        let running = started_with.is_some();
        match &knob.subject {
            Subject::Start => out.push(if running { b"1" } else { b"0" }),
            Subject::Stop => out.push(if running { b"0" } else { b"1" }),
            Subject::State if running => out.push(b"running"),
            Subject::State if self.control.is_draining() => out.push(b"draining"),
            Subject::State => out.push(b"stopped"),
            Subject::Pending => self.print_pending(out),
            Subject::Number { .. } | Subject::Text { .. } => {
                let waits = knob.effect() == Some(Effect::NextStart);
                match started_with.filter(|_| waits) {
                    Some(config) => knob.print(&config, out),
                    None => knob.print(&self.control.config(), out),
                }
            }
        }
    }

    fn write(&self, knob: &Knob, value: &CStr, context: &MaySleep) -> Result {
        let text = octets(value);
        match &knob.subject {
            Subject::Start => {
                if parse_switch(text)? {
                    self.control.start(context)?;
                }
                Ok(())
            }
            Subject::Stop => {
                if parse_switch(text)? {
                    self.control.stop(context)?;
                }
                Ok(())
            }
            Subject::State | Subject::Pending => Err(EPERM),
            Subject::Number { range, set, .. } => {
                let number = range.check(parse_number(text)?)?;
                self.control.update(
                    &|config| {
                        let mut config = config.clone();
                        set(&mut config, number)?;
                        Ok(config)
                    },
                    context,
                )
            }
            Subject::Text { write, .. } => write(&*self.control, value, context),
        }
    }
}

/// Reads `0` or `1`.
fn parse_switch(text: &[u8]) -> Result<bool> {
    match text {
        b"0" => Ok(false),
        b"1" => Ok(true),
        _ => Err(EINVAL),
    }
}

/// Reads a number: decimal digits and nothing else. One that begins with `0` is refused unless it
/// is 0, because other sysctls take it for octal.
fn parse_number(text: &[u8]) -> Result<u32> {
    if text.is_empty() || (text.len() > 1 && text.starts_with(b"0")) {
        return Err(EINVAL);
    }
    text.iter().try_fold(0u32, |number, octet| {
        let digit = char::from(*octet).to_digit(10).ok_or(EINVAL)?;
        number
            .checked_mul(10)
            .and_then(|number| number.checked_add(digit))
            .ok_or(EINVAL)
    })
}
