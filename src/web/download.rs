//! A file as an answer: name, hash, and single byte ranges (RFC 9110 §14), so that a broken download goes on.
//!
//! A person's file is never shown in our origin: always an attachment, under a policy that lets it do nothing.

use crate::{
    services::{
        error::ServiceResult,
        models::{Download, Models},
    },
    storage::ObjectMeta,
    web::attachment::disposition,
};
use axum::{
    body::Body,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::Response,
};
use base64::Engine;
use std::ops::Range;

/// The whole file, the part that was asked for, or 416; of a large file in a bucket, where it can be fetched.
pub async fn answer(models: &Models, download: &Download, headers: &HeaderMap) -> ServiceResult<Response> {
    if let Some(link) = models.link(download).await? {
        return Ok(elsewhere(&link, download));
    }
    let part = requested(headers, &download.meta);
    let (status, range) = match &part {
        Part::Whole => (StatusCode::OK, None),
        Part::Range(range) => (StatusCode::PARTIAL_CONTENT, Some(range.clone())),
        Part::Unsatisfiable => (StatusCode::RANGE_NOT_SATISFIABLE, None),
    };
    let (body, length) = if status == StatusCode::RANGE_NOT_SATISFIABLE {
        (Body::empty(), 0)
    } else {
        let length = range.as_ref().map_or(download.meta.bytes, |range| range.end - range.start);
        (Body::from_stream(models.read(download, range.clone()).await?), length)
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let content_range = match &range {
        Some(range) => Some(format!("bytes {}-{}/{}", range.start, range.end - 1, download.meta.bytes)),
        None if status == StatusCode::RANGE_NOT_SATISFIABLE => {
            Some(format!("bytes */{}", download.meta.bytes))
        }
        None => None,
    };
    let digest = hex::decode(&download.meta.sha256).unwrap_or_default();
    let digest = base64::engine::general_purpose::STANDARD.encode(digest);
    let fields = [
        (header::CONTENT_TYPE, Some("application/octet-stream".to_owned())),
        (header::CONTENT_LENGTH, Some(length.to_string())),
        (header::ACCEPT_RANGES, Some("bytes".to_owned())),
        (header::ETAG, Some(etag(&download.meta))),
        (header::CONTENT_RANGE, content_range),
        (header::CONTENT_DISPOSITION, Some(disposition(&download.file_name))),
        (header::CONTENT_SECURITY_POLICY, Some("default-src 'none'; sandbox".to_owned())),
        // RFC 9530: the digest of the whole file, whatever part is sent.
        (header::HeaderName::from_static("repr-digest"), Some(format!("sha-256=:{digest}:"))),
        (header::HeaderName::from_static("x-sha256"), Some(download.meta.sha256.clone())),
    ];
    for (name, value) in fields {
        if let Some(Ok(value)) = value.map(|value| HeaderValue::from_str(&value)) {
            response.headers_mut().insert(name, value);
        }
    }
    Ok(response)
}

/// Leads to the bucket, which knows ranges too. Nobody keeps the answer: the address holds for minutes.
fn elsewhere(link: &str, download: &Download) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::TEMPORARY_REDIRECT;
    let fields = [
        (header::LOCATION, link),
        (header::CACHE_CONTROL, "private, no-store"),
        (header::HeaderName::from_static("x-sha256"), &download.meta.sha256),
    ];
    for (name, value) in fields {
        if let Ok(value) = HeaderValue::from_str(value) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

#[derive(Debug, PartialEq, Eq)]
enum Part {
    Whole,
    Range(Range<u64>),
    Unsatisfiable,
}

fn etag(meta: &ObjectMeta) -> String {
    format!("\"{}\"", meta.sha256)
}

/// One range is served; several, or one that makes no sense, are answered by the whole file, as the RFC allows.
fn requested(headers: &HeaderMap, meta: &ObjectMeta) -> Part {
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let Some(range) = text(header::RANGE) else { return Part::Whole };
    if text(header::IF_RANGE).is_some_and(|if_range| if_range != etag(meta)) {
        return Part::Whole;
    }
    let Ok(ranges) = http_range_header::parse_range_header(range) else { return Part::Whole };
    match ranges.validate(meta.bytes) {
        Ok(ranges) => match ranges.as_slice() {
            [one] => Part::Range(*one.start()..*one.end() + 1),
            _ => Part::Whole,
        },
        Err(_) => Part::Unsatisfiable,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(range: &str, if_range: Option<&str>) -> Part {
        let mut headers = HeaderMap::new();
        headers.insert(header::RANGE, range.parse().unwrap());
        if let Some(value) = if_range {
            headers.insert(header::IF_RANGE, value.parse().unwrap());
        }
        requested(&headers, &ObjectMeta { bytes: 100, sha256: "ab".to_owned() })
    }

    #[test]
    fn ranges_as_the_rfc_has_them() {
        assert_eq!(part("bytes=0-9", None), Part::Range(0..10));
        assert_eq!(part("bytes=90-", None), Part::Range(90..100));
        assert_eq!(part("bytes=-10", None), Part::Range(90..100));
        assert_eq!(part("bytes=0-1,5-6", None), Part::Whole);
        assert_eq!(part("bytes=100-", None), Part::Unsatisfiable);
        assert_eq!(part("lines=1-2", None), Part::Whole);
        assert_eq!(part("bytes=0-9", Some("\"ab\"")), Part::Range(0..10));
        assert_eq!(part("bytes=0-9", Some("\"other\"")), Part::Whole);
    }
}
