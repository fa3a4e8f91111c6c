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
    DocumentRoot,
    Range,
    BACKING_PORT,
    BACKLOG,
    CONNECTIONS,
    DISCARD,
    HEAD_LEN,
    OPTIONAL_SECONDS,
    PORT,
    SECONDS,
    THREADS, //
};
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

    /// Stops the server; no more than success if it is stopped.
    fn stop(&self, context: &MaySleep) -> Result;
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
    /// [`Config::document_root`]; a new one is gone by at once.
    DocumentRoot,
    /// [`Config::address`]; a new one is gone by at the next start.
    Address,
    /// Whether the server runs; writing 1 starts it.
    Start,
    /// Whether the server is stopped; writing 1 stops it.
    Stop,
    /// `running` or `stopped`.
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
}

impl Knob {
    /// A sysctl for something that is no number.
    const fn new(names: &'static [&'static CStr], subject: Subject) -> Self {
        Self { names, subject }
    }
}

/// A sysctl for a field of [`Config`] that is a number.
macro_rules! number {
    ($field:ident, $names:expr, $range:ident, $effect:ident) => {
        Knob {
            names: $names,
            subject: Subject::Number {
                range: $range,
                effect: Effect::$effect,
                get: |config| config.$field.into(),
                set: |config, value| {
                    config.$field = value.try_into()?;
                    Ok(())
                },
            },
        }
    };
}

/// All sysctls.
static KNOBS: &[Knob] = &[
    Knob::new(&[c"documentroot"], Subject::DocumentRoot),
    Knob::new(&[c"address"], Subject::Address),
    number!(server_port, &[c"serverport"], PORT, NextStart),
    number!(
        client_port,
        &[c"clientport", c"redirect_port"],
        BACKING_PORT,
        Now
    ),
    number!(threads, &[c"threads"], THREADS, NextStart),
    number!(
        max_connect,
        &[c"max_connect", c"maxconnect"],
        CONNECTIONS,
        Now
    ),
    number!(max_backlog, &[c"max_backlog"], BACKLOG, NextStart),
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
    Knob::new(&[c"start"], Subject::Start),
    Knob::new(&[c"stop"], Subject::Stop),
    Knob::new(&[c"state"], Subject::State),
    Knob::new(&[c"pending"], Subject::Pending),
];

impl Knob {
    /// When a new value is gone by; `None` if there is none to write, or if it is a command.
    fn effect(&self) -> Option<Effect> {
        match &self.subject {
            Subject::Number { effect, .. } => Some(*effect),
            Subject::DocumentRoot => Some(Effect::Now),
            Subject::Address => Some(Effect::NextStart),
            Subject::Start | Subject::Stop | Subject::State | Subject::Pending => None,
        }
    }

    /// Prints the setting's value in `config`; nothing if this is no setting.
    fn print(&self, config: &Config, out: &mut Text) -> Result {
        match &self.subject {
            Subject::Number { get, .. } => out.print(fmt!("{}", get(config))),
            Subject::DocumentRoot => out.push(octets(config.document_root.name())),
            Subject::Address if config.address.is_any() => out.push(b"*"),
            Subject::Address => out.print(fmt!("{}", config.address)),
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
            Subject::State => out.push(if running { b"running" } else { b"stopped" }),
            Subject::Pending => self.print_pending(out),
            Subject::Number { .. } | Subject::DocumentRoot | Subject::Address => {
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
            Subject::DocumentRoot => {
                // Opened first: this may wait for another machine, and nobody should wait for it.
                let root = Arc::new(DocumentRoot::open(value, context)?, GFP_KERNEL)?;
                self.control.update(
                    &|config| {
                        let mut config = config.clone();
                        config.document_root = root.clone();
                        Ok(config)
                    },
                    context,
                )
            }
            Subject::Address => {
                let address = parse_address(text)?;
                self.control.update(
                    &|config| {
                        let mut config = config.clone();
                        config.address = address;
                        Ok(config)
                    },
                    context,
                )
            }
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
