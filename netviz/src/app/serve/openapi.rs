//! The description of the API.

use axum::Json;
use serde_json::{Value, json};

use crate::{model::Snapshot, views::json};

/// An OpenAPI 3.1 document; the schema of a snapshot is that of `netviz schema`.
pub(super) async fn document() -> Json<Value> {
    let text = |description: &str, media: &[&str]| {
        let content: serde_json::Map<_, _> = media
            .iter()
            .map(|media| ((*media).to_owned(), json!({"schema": {"type": "string"}})))
            .collect();
        json!({"description": description, "content": content})
    };
    let unavailable = || text("Not yet, or no longer.", &["text/plain"]);
    let operation = |summary: &str, answer: Value| {
        json!({"get": {
            "summary": summary,
            "responses": {"200": answer, "503": unavailable()},
        }})
    };
    let snapshot = json!({
        "description": "The snapshot.",
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Snapshot"}}},
    });
    Json(json!({
        "openapi": "3.1.0",
        "info": {
            "title": "netviz",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Interfaces of the Kubernetes nodes on a machine, and the packets that cross them.",
            "license": {"name": "Apache-2.0 OR MIT", "identifier": "Apache-2.0 OR MIT"},
        },
        "servers": [{"url": "/"}],
        "security": [{}, {"token": []}],
        "paths": {
            "/": {"get": {"summary": "Links to the rest.", "responses": {"200": text("A page.", &["text/html"])}}},
            "/map": operation("The drawing, reloaded every second.", text("A page.", &["text/html"])),
            "/metrics": operation(
                "Metrics for Prometheus.",
                text("OpenMetrics if the request accepts it, else the text format.", &["application/openmetrics-text", "text/plain"]),
            ),
            "/api/v1/snapshot": operation("Everything at this moment.", snapshot),
            "/api/v1/events": operation(
                "A snapshot per interval.",
                text("Server-sent events; the data of each is a snapshot in JSON.", &["text/event-stream"]),
            ),
            "/api/v1/openapi.json": {"get": {
                "summary": "This document.",
                "responses": {"200": {"description": "The document.", "content": {"application/json": {"schema": {"type": "object"}}}}},
            }},
            "/healthz": operation("Whether netviz still reads counters.", text("It does.", &["text/plain"])),
            "/readyz": operation("Whether all interfaces are counted.", text("They are.", &["text/plain"])),
        },
        "components": {
            "schemas": json::components::<Snapshot>(),
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }))
}
