// SPDX-License-Identifier: GPL-2.0

//! The rules of HTTP that a request can break.

use super::status::Status;

/// Defines [`BadRequest`] and what is said of each of its variants.
macro_rules! bad_request {
    ($($(#[$doc:meta])* $variant:ident => $status:ident, $name:literal;)*) => {
        /// Why a request is refused: one variant for each rule that it can break.
        ///
        /// After one that [`closes`](BadRequest::closes) nothing more can be read from the
        /// connection: where the next request begins is not known.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum BadRequest {
            $($(#[$doc])* $variant,)*
        }

        impl BadRequest {
            /// Every variant, in the order of [`BadRequest::index`].
            pub(crate) const ALL: &'static [BadRequest] = &[$(BadRequest::$variant,)*];

            /// How many variants there are.
            pub(crate) const COUNT: usize = BadRequest::ALL.len();

            /// The status of the response.
            pub(crate) fn status(self) -> Status {
                match self {
                    $(BadRequest::$variant => Status::$status,)*
                }
            }

            /// A short name for counters and logs.
            pub(crate) fn name(self) -> &'static str {
                match self {
                    $(BadRequest::$variant => $name,)*
                }
            }
        }
    };
}

bad_request! {
    /// More empty lines before the request line than are ignored (RFC 9112 2.2).
    EmptyLines => BadRequest, "empty_lines";
    /// A line that ends in LF alone (RFC 9112 2.2: a recipient may accept it; we never do).
    BareLf => BadRequest, "bare_lf";
    /// CR that is not followed by LF (RFC 9112 2.2).
    BareCr => BadRequest, "bare_cr";
    /// The request line does not begin with a token and one SP (RFC 9112 3, 3.1).
    InvalidMethod => BadRequest, "invalid_method";
    /// A method longer than any that exists (RFC 9112 3).
    MethodTooLong => NotImplemented, "method_too_long";
    /// An octet in the target that is not visible ASCII, or no target at all (RFC 9112 3.2).
    InvalidTarget => BadRequest, "invalid_target";
    /// A fragment, which is no part of any form of target (RFC 9112 3.2, RFC 9110 4.2.5).
    Fragment => BadRequest, "fragment";
    /// A target of none of the four forms, or of one that its method does not take (RFC 9112 3.2).
    TargetForm => BadRequest, "target_form";
    /// An absolute form whose scheme is not `http` or `https` (RFC 9110 4.2, 7.4).
    UnknownScheme => BadRequest, "unknown_scheme";
    /// An absolute form of `https`: no connection here is secured (RFC 9110 4.2.2, 7.4).
    Unsecured => MisdirectedRequest, "unsecured";
    /// A target's authority that is empty, has user information, or is malformed (RFC 9110 4.2).
    InvalidAuthority => BadRequest, "invalid_authority";
    /// A target longer than the limit (RFC 9112 3, RFC 9110 15.5.15).
    TargetTooLong => UriTooLong, "target_too_long";
    /// A request line without a version, as in HTTP/0.9 (RFC 9112 3, 2.3).
    NoVersion => BadRequest, "no_version";
    /// A version that is not `HTTP/`, a digit, a dot and a digit, then the line's end (RFC 9112
    /// 2.3).
    InvalidVersion => BadRequest, "invalid_version";
    /// A major version other than 1 (RFC 9110 15.6.6).
    UnknownVersion => HttpVersionNotSupported, "unknown_version";
    /// White space before the first field line (RFC 9112 2.2), or a folded line (RFC 9112 5.2).
    ObsFold => BadRequest, "obs_fold";
    /// A field line without a name (RFC 9112 5, RFC 9110 5.1).
    EmptyFieldName => BadRequest, "empty_field_name";
    /// White space between field name and colon (RFC 9112 5.1).
    SpaceBeforeColon => BadRequest, "space_before_colon";
    /// An octet in a field name that is not of a token (RFC 9110 5.1).
    InvalidFieldName => BadRequest, "invalid_field_name";
    /// A field line without a colon (RFC 9112 5).
    NoColon => BadRequest, "no_colon";
    /// A control octet in a field value (RFC 9110 5.5).
    InvalidFieldValue => BadRequest, "invalid_field_value";
    /// A head longer than the limit (RFC 9110 5.4, RFC 6585 5).
    HeadTooLong => RequestHeaderFieldsTooLarge, "head_too_long";
    /// More field lines than the limit (RFC 9110 5.4, RFC 6585 5).
    TooManyFields => RequestHeaderFieldsTooLarge, "too_many_fields";
    /// No Host in an HTTP/1.1 request (RFC 9112 3.2).
    NoHost => BadRequest, "no_host";
    /// More than one Host field line (RFC 9112 3.2).
    DuplicateHost => BadRequest, "duplicate_host";
    /// A Host that is not `uri-host [ ":" port ]` (RFC 9112 3.2, RFC 9110 7.2).
    InvalidHost => BadRequest, "invalid_host";
    /// A Content-Length that is not a decimal number (RFC 9112 6.3).
    InvalidContentLength => BadRequest, "invalid_content_length";
    /// A Content-Length of more than 64 bits (RFC 9110 8.6, 15.5.14).
    ContentLengthTooLarge => ContentTooLarge, "content_length_too_large";
    /// More than one Content-Length, equal or not (RFC 9112 6.3).
    DuplicateContentLength => BadRequest, "duplicate_content_length";
    /// A Transfer-Encoding that is not a list of transfer codings (RFC 9112 6.1).
    InvalidTransferEncoding => BadRequest, "invalid_transfer_encoding";
    /// A Transfer-Encoding whose last coding is not `chunked` (RFC 9112 6.3).
    NotChunkedLast => BadRequest, "not_chunked_last";
    /// `chunked` applied twice, or not last (RFC 9112 6.1).
    ChunkedNotLast => BadRequest, "chunked_not_last";
    /// A transfer coding that is not known (RFC 9112 6.1).
    UnknownTransferCoding => NotImplemented, "unknown_transfer_coding";
    /// Transfer-Encoding in an HTTP/1.0 request (RFC 9112 6.1).
    TransferEncodingInHttp10 => BadRequest, "transfer_encoding_in_http10";
    /// Both Transfer-Encoding and Content-Length (RFC 9112 6.1, 6.3).
    TwoLengths => BadRequest, "two_lengths";
    /// A chunk size that is not hexadecimal (RFC 9112 7.1).
    InvalidChunkSize => BadRequest, "invalid_chunk_size";
    /// A chunk size of more than 64 bits (RFC 9112 7.1).
    ChunkTooLarge => ContentTooLarge, "chunk_too_large";
    /// A malformed chunk extension (RFC 9112 7.1.1).
    InvalidChunkExtension => BadRequest, "invalid_chunk_extension";
    /// A chunk size and its extensions longer than the limit (RFC 9112 7.1.1).
    ChunkLineTooLong => BadRequest, "chunk_line_too_long";
    /// Chunk data that is not followed by CRLF (RFC 9112 7.1).
    NoChunkEnd => BadRequest, "no_chunk_end";
    /// A trailer section longer than the limit (RFC 9112 7.1.2).
    TrailersTooLong => RequestHeaderFieldsTooLarge, "trailers_too_long";
    /// `%` in a path without two hexadecimal digits (RFC 3986 2.1).
    InvalidPercent => BadRequest, "invalid_percent";
    /// `%00` in a path: no file name holds NUL.
    EncodedNul => BadRequest, "encoded_nul";
    /// `%2F` in a path: it is data, not a separator (RFC 3986 2.2), and no file name holds it.
    EncodedSlash => NotFound, "encoded_slash";
    /// `..` that leads above the root.
    AboveRoot => BadRequest, "above_root";
    /// A path longer than the buffer that it is to be decoded into.
    PathTooLong => UriTooLong, "path_too_long";
}

impl BadRequest {
    /// The place of this variant in [`BadRequest::ALL`].
    pub(crate) fn index(self) -> usize {
        // CAST: a variant without fields is its place in the declaration.
        self as usize
    }

    /// Whether the connection must be closed after the response.
    ///
    /// A path that names nothing does not make it unclear where the next request begins.
    pub(crate) fn closes(self) -> bool {
        !matches!(
            self,
            BadRequest::InvalidPercent
                | BadRequest::EncodedNul
                | BadRequest::EncodedSlash
                | BadRequest::AboveRoot
                | BadRequest::PathTooLong
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_indices_are_unique() {
        for (i, bad) in BadRequest::ALL.iter().enumerate() {
            assert_eq!(bad.index(), i);
            assert!(BadRequest::ALL
                .iter()
                .skip(i + 1)
                .all(|other| other.name() != bad.name()));
            assert!(bad.status().code() >= 400);
        }
    }
}
