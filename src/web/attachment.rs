//! A file on its way to a person's disk: named safely, never shown by the browser, never sniffed.

use crate::storage::ByteStream;
use axum::{
    body::Body,
    http::{HeaderName, HeaderValue, header},
    response::{IntoResponse, Response},
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// What RFC 8187 leaves as it is in an extended parameter.
const ATTR_CHAR: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The stream as an attachment of `bytes` bytes under `name`; the SHA-256, where known, is its ETag.
pub fn attachment(name: &str, bytes: u64, sha256: Option<&str>, content: ByteStream) -> Response {
    let mut response = Body::from_stream(content).into_response();
    let headers = response.headers_mut();
    let mut set = |name: HeaderName, value: String| {
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.insert(name, value);
        }
    };
    set(header::CONTENT_TYPE, "application/octet-stream".to_owned());
    set(header::CONTENT_LENGTH, bytes.to_string());
    set(header::CONTENT_DISPOSITION, disposition(name));
    if let Some(sum) = sha256 {
        set(header::ETAG, format!("\"{sum}\""));
    }
    response
}

/// RFC 6266: a plain name for old programs, and the real one in UTF-8.
pub fn disposition(name: &str) -> String {
    let plain: String =
        name.chars()
            .map(|c| {
                if c.is_ascii_graphic() && !matches!(c, '"' | '\\' | '/' | '%') || c == ' ' { c } else { '_' }
            })
            .collect();
    format!("attachment; filename=\"{plain}\"; filename*=UTF-8''{}", utf8_percent_encode(name, ATTR_CHAR))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_can_not_end_its_header() {
        assert_eq!(
            disposition("a\"; x=\r\n.csv"),
            "attachment; filename=\"a_; x=__.csv\"; filename*=UTF-8''a%22%3B%20x%3D%0D%0A.csv"
        );
        assert_eq!(
            disposition("données.csv"),
            "attachment; filename=\"donn_es.csv\"; filename*=UTF-8''donn%C3%A9es.csv"
        );
        let hostile = disposition("a\"b\r\nSet-Cookie: x/../ä.txt");
        assert!(HeaderValue::from_str(&hostile).is_ok());
        assert_eq!(hostile.matches('"').count(), 2);
    }
}
