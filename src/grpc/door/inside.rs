//! A door without connections: a test calls through it and goes away at the moment that it chooses.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use bytes::{BufMut as _, Bytes, BytesMut};
use http::Request;
use http_body_util::{BodyExt as _, Full};
use prost::Message;
use tokio_util::sync::CancellationToken;
use tonic::Code;
use tonic::service::Routes;

use super::peers::{Caps, Peers, Place};
use super::slots::Slots;
use super::watch::{code_in, watched};
use crate::grpc::identity::{Gate, Visitor};

/// No call takes as long.
const LONG: Duration = Duration::from_mins(5);

/// The door.
pub(crate) struct Inside {
    routes: Routes,
    slots: Slots,
    place: Place,
}

impl Inside {
    pub(crate) fn of(routes: Routes) -> Self {
        let peers = Peers::new(Caps { most: 8, per_peer: 8, new_per_peer: 8 });
        let place = peers.admit(Ipv4Addr::LOCALHOST.into()).unwrap();
        Self { routes: routes.prepare(), slots: Slots::new(8), place }
    }

    /// The paths of the methods that are brought to their end without their callers.
    pub(crate) fn finished_methods() -> Vec<&'static str> {
        let all = crate::identity::GRANTS.iter().map(|grant| grant.path);
        all.filter(|path| super::method::Method::of(path).finishes()).collect()
    }

    /// A request as it comes in.
    pub(crate) fn request(message: &impl Message) -> Bytes {
        let mut body = BytesMut::new();
        body.put_u8(0);
        body.put_u32(u32::try_from(message.encoded_len()).unwrap());
        message.encode(&mut body).unwrap();
        body.freeze()
    }

    /// Calls a method; its answer, or the code of its refusal. To go away is to drop the future.
    pub(crate) async fn call(&self, path: &str, body: Bytes) -> Result<Bytes, Code> {
        let request = Request::post(path)
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(Full::new(body))
            .unwrap();
        let visitor = Arc::new(Visitor::new(Gate::open(), None, CancellationToken::new()));
        let who = (visitor, Arc::clone(self.place.newcomer()));
        let slots = Arc::new(self.slots.of_connection(8, std::net::IpAddr::from(Ipv4Addr::LOCALHOST).into()));
        let answer = watched(self.routes.clone(), request, who, slots, LONG).await.unwrap();
        if let Some(code) = code_in(answer.headers()).filter(|code| *code != Code::Ok) {
            return Err(code);
        }
        let collected = answer.into_body().collect().await.unwrap();
        match collected.trailers().and_then(code_in) {
            Some(Code::Ok) | None => Ok(collected.to_bytes()),
            Some(code) => Err(code),
        }
    }

    /// Waits until no call goes on without its caller.
    pub(crate) async fn finished(&self) {
        assert_eq!(self.slots.finishing().wait(LONG).await, 0);
    }
}
