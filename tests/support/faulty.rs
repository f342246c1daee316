//! Stands between an AWS SDK and moto, and answers some requests as a service in trouble does.

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use std::sync::Arc;

/// What becomes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    None,
    /// It never reaches the service, which names this error.
    Refused(&'static str),
    /// It never reaches the service.
    Broken,
    /// It is done, but the answer is lost.
    Lost,
}

/// Decides by the operation (`PutItem`) and how many requests came before.
type Decide = dyn Fn(&str, usize) -> Fault + Send + Sync;

pub struct Faulty {
    pub url: String,
}

struct Between {
    target: String,
    client: reqwest::Client,
    decide: Box<Decide>,
    count: std::sync::atomic::AtomicUsize,
}

impl Faulty {
    pub async fn to(target: &str, decide: impl Fn(&str, usize) -> Fault + Send + Sync + 'static) -> Self {
        let between = Arc::new(Between {
            target: target.to_owned(),
            client: reqwest::Client::new(),
            decide: Box::new(decide),
            count: 0.into(),
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let app = Router::new().fallback(carry).with_state(between);
        // Ends with the runtime of the test.
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { url }
    }
}

async fn carry(State(between): State<Arc<Between>>, request: Request) -> Response {
    let before = between.count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let operation = operation(request.headers());
    match (between.decide)(&operation, before) {
        Fault::None => pass(&between, request).await,
        Fault::Refused(code) => {
            let body =
                format!("{{\"__type\":\"com.amazonaws.dynamodb.v20120810#{code}\",\"message\":\"no\"}}");
            (StatusCode::BAD_REQUEST, body).into_response()
        }
        Fault::Broken => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        Fault::Lost => {
            pass(&between, request).await;
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// `DynamoDB_20120810.PutItem` is `PutItem`.
fn operation(headers: &HeaderMap) -> String {
    let target = headers.get("x-amz-target").and_then(|value| value.to_str().ok()).unwrap_or_default();
    target.rsplit('.').next().unwrap_or_default().to_owned()
}

async fn pass(between: &Between, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    let mut headers = head.headers;
    headers.remove("host");
    let answer = between
        .client
        .request(head.method, &between.target)
        .headers(headers)
        .body(body)
        .send()
        .await
        .unwrap();
    let mut response = Response::builder().status(answer.status());
    for (name, value) in answer.headers() {
        if name != "transfer-encoding" {
            response = response.header(name, value);
        }
    }
    response.body(Body::from(answer.bytes().await.unwrap())).unwrap()
}
