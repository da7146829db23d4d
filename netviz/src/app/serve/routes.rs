//! The paths that the server answers.

use std::{convert::Infallible, time::Instant};

use axum::{
    Router,
    body::Body,
    extract::{DefaultBodyLimit, Request, State},
    http::{
        HeaderMap, HeaderName, HeaderValue, StatusCode,
        header::{ACCEPT, CONTENT_TYPE, WWW_AUTHENTICATE},
    },
    middleware::{self, Next},
    response::{Html, IntoResponse, Response},
    routing::get,
};
use bytes::Bytes;
use futures_util::stream;
use http_body_util::StreamBody;
use hyper::body::Frame;

use super::{access::Access, openapi, site::Site};
use crate::views::{
    building::{Map, svg},
    metrics::{self, Metrics},
};

/// Bytes of a request's body.
const BODY: usize = 16 << 10;
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";
/// Paths without a token.
const PROBES: [&str; 2] = ["/healthz", "/readyz"];

/// On every answer: pages run no code of others, and are not kept.
const HEADERS: [(&str, &str); 5] = [
    (
        "content-security-policy",
        "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
    ),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-resource-policy", "same-origin"),
    ("cache-control", "no-store"),
];

/// All paths.
pub(super) fn router(site: Site, access: Access) -> Router {
    Router::new()
        .route("/", get(index))
        .route("/map", get(map))
        .route("/metrics", get(scrape))
        .route("/api/v1/snapshot", get(snapshot))
        .route("/api/v1/events", get(events))
        .route("/api/v1/openapi.json", get(openapi::document))
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .with_state(site)
        .layer(DefaultBodyLimit::max(BODY))
        .layer(middleware::from_fn_with_state(access, guard))
}

/// Checks who asks, and adds the headers.
async fn guard(State(access): State<Access>, request: Request, next: Next) -> Response {
    let is_probe = PROBES.contains(&request.uri().path());
    let mut response = match access.check(request.headers(), is_probe) {
        Ok(()) => next.run(request).await,
        Err(status) => refusal(status),
    };
    for (name, value) in HEADERS {
        let headers = response.headers_mut();
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

fn refusal(status: StatusCode) -> Response {
    let text = match status {
        StatusCode::UNAUTHORIZED => "a token is needed: Authorization: Bearer TOKEN\n",
        _ => "this host name is not served: use the address, or start netviz with --host NAME\n",
    };
    let mut response = (status, text).into_response();
    if status == StatusCode::UNAUTHORIZED {
        let headers = response.headers_mut();
        headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}

/// Before the first snapshot.
fn not_yet() -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, "nothing is counted yet\n").into_response()
}

async fn index() -> Html<&'static str> {
    Html(include_str!("index.html"))
}

async fn map(State(site): State<Site>) -> Response {
    let Some(latest) = site.latest() else {
        return not_yet();
    };
    let page = svg::page(&Map::new(&latest.snapshot));
    ([("refresh", "1")], Html(page)).into_response()
}

async fn scrape(State(site): State<Site>, headers: HeaderMap) -> Response {
    let started = Instant::now();
    let Some(latest) = site.latest().filter(|_| site.is_alive()) else {
        // A failed scrape is seen; old figures would look like silence.
        return not_yet();
    };
    let metrics = Metrics::new(
        latest.snapshot.clone(),
        site.tests(),
        site.level,
        site.last_scrape(),
    );
    let metrics = metrics::openmetrics(metrics);
    let wants = headers.get(ACCEPT).and_then(|it| it.to_str().ok());
    let answer = match wants.is_some_and(|it| it.contains("application/openmetrics-text")) {
        true => ([(CONTENT_TYPE, OPENMETRICS)], metrics),
        false => (
            [(CONTENT_TYPE, PROMETHEUS)],
            metrics::from_openmetrics(&metrics),
        ),
    };
    site.record_scrape(started.elapsed());
    answer.into_response()
}

async fn snapshot(State(site): State<Site>) -> Response {
    let Some(latest) = site.latest() else {
        return not_yet();
    };
    ([(CONTENT_TYPE, "application/json")], latest.json()).into_response()
}

/// Each snapshot as `data: {...}`, the latest at once.
async fn events(State(site): State<Site>) -> Response {
    let Ok(place) = site.streams.clone().try_acquire_owned() else {
        let text = "too many streams are open; close one\n";
        return (StatusCode::SERVICE_UNAVAILABLE, text).into_response();
    };
    let events = stream::unfold((site.subscribe(), place), |(mut published, place)| async {
        loop {
            published.changed().await.ok()?;
            let latest = published.borrow_and_update().clone();
            if let Some(latest) = latest {
                let event = [b"data: ", &latest.json()[..], b"\n"].concat();
                let frame = Ok::<_, Infallible>(Frame::data(Bytes::from(event)));
                return Some((frame, (published, place)));
            }
        }
    });
    let body = Body::new(StreamBody::new(events));
    // Reverse proxies would collect events.
    let unbuffered = HeaderName::from_static("x-accel-buffering");
    let headers = [(CONTENT_TYPE, "text/event-stream"), (unbuffered, "no")];
    (headers, body).into_response()
}

async fn healthz(State(site): State<Site>) -> Response {
    answer(site.is_alive(), "no snapshot has been read for a while")
}

async fn readyz(State(site): State<Site>) -> Response {
    answer(site.is_ready(), "not all interfaces are counted yet")
}

fn answer(good: bool, otherwise: &str) -> Response {
    match good {
        true => "ok\n".into_response(),
        false => (StatusCode::SERVICE_UNAVAILABLE, format!("{otherwise}\n")).into_response(),
    }
}
