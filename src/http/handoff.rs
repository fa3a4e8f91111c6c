// SPDX-License-Identifier: GPL-2.0

//! Which requests are for another server, the backing server, that has what is not in files.
//!
//! | request | reason |
//! |---|---|
//! | a method other than GET and HEAD | [`Method`](Reason::Method) |
//! | Upgrade (RFC 9110 7.8) | [`Upgrade`](Reason::Upgrade) |
//! | an Expect that is not known here | [`Expect`](Reason::Expect) |
//! | content | [`Content`](Reason::Content) |
//! | a query, unless queries are ignored | [`Query`](Reason::Query) |
//! | one of the given texts in its path | [`Dynamic`](Reason::Dynamic) |
//! | a path of the media type [`MEDIA_TYPE`] | [`MediaType`](Reason::MediaType) |
//! | a path where there is nothing | [`NotFound`](Reason::NotFound) |
//! | a path that is not for everyone | [`Forbidden`](Reason::Forbidden) |
//!
//! The first row that fits counts; the last two are known only when the path was looked up. All
//! else is answered here. So is what is malformed or ambiguous, before this table is asked: two
//! servers that read the same octets must find the same requests in them.

use super::framing::Body;
use super::request::{
    self,
    Request, //
};
use super::target::Path;

/// The media type of what only the backing server can make content of, as TUX calls it.
pub(crate) const MEDIA_TYPE: &[u8] = b"TUX/redirect";

/// Defines [`Reason`] and what is said of each of its variants.
macro_rules! reasons {
    ($($(#[$doc:meta])* $variant:ident => $name:literal;)*) => {
        /// Why a connection is handed over with its unread request.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Reason {
            $($(#[$doc])* $variant,)*
        }

        impl Reason {
            /// Every variant, in the order of [`Reason::index`].
            pub(crate) const ALL: &'static [Reason] = &[$(Reason::$variant,)*];

            /// How many variants there are.
            pub(crate) const COUNT: usize = Reason::ALL.len();

            /// A short name for counters and logs.
            pub(crate) fn name(self) -> &'static str {
                match self {
                    $(Reason::$variant => $name,)*
                }
            }
        }
    };
}

reasons! {
    /// The method is not one that files are served by.
    Method => "method";
    /// The client offers to change the protocol.
    Upgrade => "upgrade";
    /// Something is expected that is not known here.
    Expect => "expect";
    /// The request has content.
    Content => "content";
    /// The target has a query.
    Query => "query";
    /// The path has one of the texts that were given.
    Dynamic => "dynamic";
    /// The media type of the path is the backing server's.
    MediaType => "media_type";
    /// There is nothing at the path.
    NotFound => "not_found";
    /// What is at the path is not for everyone.
    Forbidden => "forbidden";
    /// Every connection is for the backing server now.
    Everything => "everything";
    /// The connection is new, and this server in trouble.
    FailSafe => "failsafe";
    /// The connection waits for a request, and nobody is here any more who would answer it.
    Idle => "idle";
}

impl Reason {
    /// The place of this variant in [`Reason::ALL`].
    pub(crate) fn index(self) -> usize {
        // CAST: A variant without fields is its place in the declaration.
        self as usize
    }
}

/// What can be chosen of the table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules<'a> {
    /// Whether a query makes no difference.
    pub(crate) ignores_query: bool,
    /// Texts with white space between them: each is looked for in the path, which begins with `/`;
    /// one that begins with `^` only at its begin.
    pub(crate) dynamic: &'a [u8],
}

/// Why `request` is for the backing server whatever is at its path; `None` if it isn't. `path` is
/// its path, whose media type is `media_type`, if it has one that can say so.
pub(crate) fn reason(
    request: &Request<'_>,
    path: &Path<'_>,
    media_type: Option<&[u8]>,
    rules: &Rules<'_>,
) -> Option<Reason> {
    if !matches!(request.method, request::Method::Get | request::Method::Head) {
        Some(Reason::Method)
    } else if request.upgrade {
        Some(Reason::Upgrade)
    } else if request.expect == request::Expect::Unknown {
        Some(Reason::Expect)
    } else if request.body != Body::None {
        Some(Reason::Content)
    } else if request.target.query.is_some() && !rules.ignores_query {
        Some(Reason::Query)
    } else if is_dynamic(path, rules.dynamic) {
        Some(Reason::Dynamic)
    } else if media_type.is_some_and(is_redirected) {
        Some(Reason::MediaType)
    } else {
        None
    }
}

/// Whether what has the media type `media_type` is for the backing server.
pub(crate) fn is_redirected(media_type: &[u8]) -> bool {
    media_type.eq_ignore_ascii_case(MEDIA_TYPE)
}

/// Whether one of the `texts` is in `path`.
fn is_dynamic(path: &Path<'_>, texts: &[u8]) -> bool {
    texts
        .split(u8::is_ascii_whitespace)
        .filter(|text| !text.is_empty())
        .any(|text| match text.strip_prefix(b"^") {
            Some(text) => begins_with(path, text),
            None => begins_with(path, text) || has(path, text),
        })
}

/// Whether `path`, with a slash before it, begins with `text`.
fn begins_with(path: &Path<'_>, text: &[u8]) -> bool {
    let Some(text) = text.strip_prefix(b"/") else {
        return text.is_empty();
    };
    path.name.starts_with(text) || (path.is_directory && is_with_slash(path.name, text))
}

/// Whether `text` is in `path`, not at its first slash.
fn has(path: &Path<'_>, text: &[u8]) -> bool {
    let mut rest = path.name;
    loop {
        if rest.starts_with(text) || (path.is_directory && is_with_slash(rest, text)) {
            return true;
        }
        match rest.split_first() {
            Some((_, behind)) => rest = behind,
            None => return false,
        }
    }
}

/// Whether `text` is `octets` with a slash behind.
fn is_with_slash(octets: &[u8], text: &[u8]) -> bool {
    text.strip_suffix(b"/") == Some(octets)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::request::Limits;
    use crate::http::target;
    use std::vec;

    const RULES: Rules<'_> = Rules {
        ignores_query: false,
        dynamic: b"cgi-bin ^/api/ .php",
    };

    fn reason_of(head: &[u8], rules: &Rules<'_>) -> Option<Reason> {
        let mut request = Request::new();
        let len = request.read(head, &Limits::default());
        assert!(matches!(len, Ok(Some(_))), "{len:?}");
        let mut room = vec![0; 4096];
        let path = match request.target.path {
            [] => Path {
                name: &[],
                is_directory: true,
            },
            path => target::normalize(path, &mut room).unwrap(),
        };
        let media_type: Option<&[u8]> = if path.name.ends_with(b".app") {
            Some(b"tux/Redirect")
        } else if path.name.ends_with(b".html") {
            Some(b"text/html")
        } else {
            None
        };
        reason(&request, &path, media_type, rules)
    }

    fn of(method: &str, target: &str, fields: &str) -> Option<Reason> {
        let head = std::format!("{method} {target} HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
        reason_of(head.as_bytes(), &RULES)
    }

    #[test]
    fn files_are_served_here() {
        for target in ["/", "/index.html", "/a/b/", "/cgi/bin", "/xapi/y", "/a.ph"] {
            assert_eq!(of("GET", target, ""), None, "{target}");
            assert_eq!(of("HEAD", target, ""), None, "{target}");
        }
        let range = "Range: bytes=0-1\r\nIf-None-Match: \"a\"\r\nContent-Length: 0\r\n";
        assert_eq!(of("GET", "/", range), None);
        assert_eq!(of("GET", "/", "Expect: 100-continue\r\n"), None);
    }

    #[test]
    fn every_other_method_is_handed_over() {
        let methods = [
            "POST", "PUT", "DELETE", "PATCH", "TRACE", "OPTIONS", "get", "X",
        ];
        for method in methods {
            assert_eq!(of(method, "/", ""), Some(Reason::Method), "{method}");
        }
        assert_eq!(of("OPTIONS", "*", ""), Some(Reason::Method));
        assert_eq!(of("CONNECT", "a:80", ""), Some(Reason::Method));
    }

    #[test]
    fn what_the_head_says_is_handed_over() {
        let upgrade = "Connection: upgrade\r\nUpgrade: websocket\r\n";
        assert_eq!(of("GET", "/", upgrade), Some(Reason::Upgrade));
        assert_eq!(of("GET", "/", "Expect: x\r\n"), Some(Reason::Expect));
        assert_eq!(
            of("GET", "/", "Content-Length: 1\r\n"),
            Some(Reason::Content)
        );
        let chunked = "Transfer-Encoding: chunked\r\n";
        assert_eq!(of("GET", "/", chunked), Some(Reason::Content));
    }

    #[test]
    fn a_query_is_handed_over_unless_ignored() {
        assert_eq!(of("GET", "/a?b", ""), Some(Reason::Query));
        assert_eq!(of("GET", "/a?", ""), Some(Reason::Query));
        let rules = Rules {
            ignores_query: true,
            ..RULES
        };
        let head = b"GET /a?b HTTP/1.0\r\n\r\n";
        assert_eq!(reason_of(head, &rules), None);
        let head = b"GET /a.php?b HTTP/1.0\r\n\r\n";
        assert_eq!(reason_of(head, &rules), Some(Reason::Dynamic));
    }

    #[test]
    fn texts_are_looked_for_in_the_decoded_path() {
        for target in [
            "/cgi-bin/x",
            "/a/cgi-bin",
            "/%63gi-bin/x",
            "/xcgi-binx",
            "/api/x",
            "/%61pi/",
            "/./api//x",
            "/a.php",
            "/a.php/b",
        ] {
            assert_eq!(of("GET", target, ""), Some(Reason::Dynamic), "{target}");
        }
        for target in ["/x/api/y", "/api", "/CGI-BIN/x", "/api%2e"] {
            assert_eq!(of("GET", target, ""), None, "{target}");
        }
    }

    #[test]
    fn texts_with_slashes_fit_both_ends_of_a_path() {
        let rules = |dynamic| Rules {
            ignores_query: false,
            dynamic,
        };
        for (dynamic, target, fits) in [
            (&b"/"[..], "/", true),
            (b"^/", "/a", true),
            (b"^", "/a", true),
            (b"/a/", "/a/", true),
            (b"/a/", "/x/a/", true),
            (b"/a/", "/a", false),
            (b"/a/", "/x/a/b", true),
            (b"^/a", "/ab", true),
            (b"^a", "/a", false),
            (b"^/b", "/a/b", false),
            (b"  ", "/a", false),
            (b"", "/", false),
        ] {
            let head = std::format!("GET {target} HTTP/1.0\r\n\r\n");
            let found = reason_of(head.as_bytes(), &rules(dynamic));
            assert_eq!(found.is_some(), fits, "{dynamic:?} in {target}");
        }
    }

    #[test]
    fn a_media_type_is_handed_over() {
        assert_eq!(of("GET", "/a.app", ""), Some(Reason::MediaType));
    }

    #[test]
    fn reasons_have_names_of_their_own() {
        for (place, reason) in Reason::ALL.iter().enumerate() {
            assert_eq!(reason.index(), place);
            let same = Reason::ALL
                .iter()
                .filter(|other| other.name() == reason.name());
            assert_eq!(same.count(), 1);
        }
    }
}
