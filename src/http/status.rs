// SPDX-License-Identifier: GPL-2.0

//! Status codes (RFC 9110 15).

/// Defines [`Status`] and what is said of each status code.
macro_rules! status {
    ($($(#[$doc:meta])* $variant:ident = $code:literal, $reason:literal;)*) => {
        /// A status code (RFC 9110 15).
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Status {
            $($(#[$doc])* $variant,)*
        }

        impl Status {
            /// Every status, in the order of [`Status::index`].
            pub(crate) const ALL: &'static [Status] = &[$(Status::$variant,)*];

            /// How many statuses there are.
            pub(crate) const COUNT: usize = Status::ALL.len();

            /// The status code.
            pub(crate) fn code(self) -> u16 {
                match self {
                    $(Status::$variant => $code,)*
                }
            }

            /// The reason phrase.
            pub(crate) fn reason(self) -> &'static str {
                match self {
                    $(Status::$variant => $reason,)*
                }
            }

            /// The status line, with its CRLF (RFC 9112 4).
            pub(super) fn line(self) -> &'static str {
                match self {
                    $(Status::$variant => concat!("HTTP/1.1 ", $code, " ", $reason, "\r\n"),)*
                }
            }
        }
    };
}

status! {
    /// RFC 9110 15.2.1.
    Continue = 100, "Continue";
    /// RFC 9110 15.3.1.
    Ok = 200, "OK";
    /// RFC 9110 15.3.5.
    NoContent = 204, "No Content";
    /// RFC 9110 15.3.7.
    PartialContent = 206, "Partial Content";
    /// RFC 9110 15.4.2.
    MovedPermanently = 301, "Moved Permanently";
    /// RFC 9110 15.4.5.
    NotModified = 304, "Not Modified";
    /// RFC 9110 15.4.9.
    PermanentRedirect = 308, "Permanent Redirect";
    /// RFC 9110 15.5.1.
    BadRequest = 400, "Bad Request";
    /// RFC 9110 15.5.4.
    Forbidden = 403, "Forbidden";
    /// RFC 9110 15.5.5.
    NotFound = 404, "Not Found";
    /// RFC 9110 15.5.6.
    MethodNotAllowed = 405, "Method Not Allowed";
    /// RFC 9110 15.5.7.
    NotAcceptable = 406, "Not Acceptable";
    /// RFC 9110 15.5.9.
    RequestTimeout = 408, "Request Timeout";
    /// RFC 9110 15.5.12.
    LengthRequired = 411, "Length Required";
    /// RFC 9110 15.5.13.
    PreconditionFailed = 412, "Precondition Failed";
    /// RFC 9110 15.5.14.
    ContentTooLarge = 413, "Content Too Large";
    /// RFC 9110 15.5.15.
    UriTooLong = 414, "URI Too Long";
    /// RFC 9110 15.5.17.
    RangeNotSatisfiable = 416, "Range Not Satisfiable";
    /// RFC 9110 15.5.18.
    ExpectationFailed = 417, "Expectation Failed";
    /// RFC 9110 15.5.20.
    MisdirectedRequest = 421, "Misdirected Request";
    /// RFC 6585 4.
    TooManyRequests = 429, "Too Many Requests";
    /// RFC 6585 5.
    RequestHeaderFieldsTooLarge = 431, "Request Header Fields Too Large";
    /// RFC 9110 15.6.1.
    InternalServerError = 500, "Internal Server Error";
    /// RFC 9110 15.6.2.
    NotImplemented = 501, "Not Implemented";
    /// RFC 9110 15.6.4.
    ServiceUnavailable = 503, "Service Unavailable";
    /// RFC 9110 15.6.6.
    HttpVersionNotSupported = 505, "HTTP Version Not Supported";
}

impl Status {
    /// The place of this status in [`Status::ALL`].
    pub(crate) fn index(self) -> usize {
        // CAST: a variant without fields is its place in the declaration.
        self as usize
    }

    /// Whether a response with this status may have content, to a request that is not HEAD
    /// (RFC 9110 6.4.1).
    pub(crate) fn has_content(self) -> bool {
        !matches!(
            self,
            Status::Continue | Status::NoContent | Status::NotModified
        )
    }
}
