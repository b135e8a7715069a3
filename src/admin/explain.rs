//! Explaining over HTTP: what each level would store of a pasted event, and what became of a batch, as JSON. Nothing
//! of it is stored, logged or cached.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Router, body::Body};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::grpc::{AdminDoor, EventsAsk, Fault};

/// Bytes of pasted events.
const BODY_BYTES: usize = 1024 * 1024;

/// How long they may take to come: whoever sends them has one of a few places, and probes need one, too.
const BODY_DEADLINE: Duration = Duration::from_secs(10);

const TEXT_ONLY: &str = "send events as text, one JSON object a line, at most 1 MiB, within 10 s";

/// Answers questions once the collector is there. Clones share it.
#[derive(Clone, Default)]
pub struct Explaining(Arc<OnceLock<Opened>>);

struct Opened {
    door: Arc<AdminDoor>,
    names_customers: bool,
}

impl std::fmt::Debug for Explaining {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Explaining")
    }
}

impl Explaining {
    /// Begins to answer. With `names_customers`, whoever can reach the port may ask about customers: so it is where
    /// callers on this machine are believed over gRPC, too. Without, only what needs no customer is explained.
    pub fn open(&self, door: Arc<AdminDoor>, names_customers: bool) {
        // Opened twice would be a mistake of the composition root; the first holds.
        let _first = self.0.set(Opened { door, names_customers });
    }

    fn opened(&self, about_customer: bool) -> Result<&Arc<AdminDoor>, Refused> {
        match self.0.get() {
            None => Err(Refused(StatusCode::SERVICE_UNAVAILABLE, "STARTING", "not ready: starting")),
            Some(Opened { names_customers: false, .. }) if about_customer => Err(Refused(
                StatusCode::FORBIDDEN,
                "ASK_OVER_GRPC",
                "callers are authenticated here: ask about a customer over gRPC, such as with `usaged policy explain`",
            )),
            Some(opened) => Ok(&opened.door),
        }
    }
}

/// The routes.
pub(super) fn routes(explaining: Explaining) -> Router {
    Router::new()
        .route("/explain", post(events))
        .route("/explain/batch/{customer}/{batch_id}", get(batch))
        .with_state(explaining)
}

/// What is asked about events.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    product: String,
    #[serde(default)]
    customer: String,
    #[serde(default)]
    region: String,
}

async fn events(
    State(explaining): State<Explaining>,
    headers: HeaderMap,
    asked: Result<Query<Asked>, QueryRejection>,
    body: Body,
) -> Response {
    let body = tokio::time::timeout(BODY_DEADLINE, axum::body::to_bytes(body, BODY_BYTES)).await;
    if let Err(refusal) = is_local(&headers) {
        return refusal.into_response();
    }
    let Ok(Query(Asked { product, customer, region })) = asked else {
        let text = "name the product, and if you want customer and region: /explain?product=vcenter";
        return refused(StatusCode::BAD_REQUEST, "INVALID_FIELD", text);
    };
    let events = body.ok().and_then(Result::ok).and_then(|body| String::from_utf8(body.to_vec()).ok());
    let Some(events) = events else {
        return refused(StatusCode::BAD_REQUEST, "MALFORMED_REQUEST", TEXT_ONLY);
    };
    match explaining.opened(!customer.is_empty()) {
        Ok(door) => answer(door.explain_events(EventsAsk { product, customer, region, events }).await),
        Err(refusal) => refusal.into_response(),
    }
}

async fn batch(
    State(explaining): State<Explaining>,
    headers: HeaderMap,
    asked: Result<Path<(String, String)>, PathRejection>,
) -> Response {
    if let Err(refusal) = is_local(&headers) {
        return refusal.into_response();
    }
    let Ok(Path((customer, batch_id))) = asked else {
        return refused(StatusCode::BAD_REQUEST, "INVALID_FIELD", "name a customer and a batch id");
    };
    match explaining.opened(true) {
        Ok(door) => answer(door.explain_stored(customer, batch_id).await),
        Err(refusal) => refusal.into_response(),
    }
}

/// Refuses a request that a page from elsewhere had a browser send: under the name of that page, or from it.
fn is_local(headers: &HeaderMap) -> Result<(), Refused> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let host = text(header::HOST).unwrap_or_default();
    if is_loopback(host) && text(header::ORIGIN).is_none_or(|origin| origin == format!("http://{host}")) {
        return Ok(());
    }
    let text = "ask under the address that the collector listens on, such as 127.0.0.1:7172";
    Err(Refused(StatusCode::FORBIDDEN, "FOREIGN_HOST", text))
}

/// Whether a `Host` is this machine by its own name or address, with or without a port.
fn is_loopback(host: &str) -> bool {
    let is_port = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit());
    let name = match host.rsplit_once(':') {
        Some((name, port)) if is_port(port) && !name.ends_with(':') => name,
        Some(_) | None => host,
    };
    let name = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    name == "localhost" || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn answer(told: Result<Value, Fault>) -> Response {
    match told {
        Ok(told) => ([(header::CACHE_CONTROL, "no-store")], Json(told)).into_response(),
        Err(fault) => {
            let status = StatusCode::from_u16(fault.cause().http_status());
            refused(
                status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
                fault.cause().reason(),
                &fault.text(),
            )
        }
    }
}

/// A question that is not answered: the status, the reason for a program, and for a person.
struct Refused(StatusCode, &'static str, &'static str);

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        refused(self.0, self.1, self.2)
    }
}

fn refused(status: StatusCode, reason: &str, message: &str) -> Response {
    let body = Json(json!({ "reason": reason, "message": message }));
    (status, [(header::CACHE_CONTROL, "no-store")], body).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_names_of_this_machine_are_local() {
        for host in
            ["localhost", "localhost:7172", "127.0.0.1", "127.0.0.1:80", "127.9.9.9:1", "[::1]:7172", "[::1]"]
        {
            assert!(is_loopback(host), "{host}");
        }
        for host in
            ["", "evil.example", "evil.example:7172", "localhost.evil.example", "192.0.2.1:7172", "[::2]:1"]
        {
            assert!(!is_loopback(host), "{host}");
        }
    }
}
