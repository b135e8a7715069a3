//! `usaged.ingest.v1.IngestService`, by hand: a request stays the bytes it came in, and nothing
//! decodes it before `sanitize` does.

mod message;
mod plan;
mod purse;
mod receipt;
mod reply;
mod stream;

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use tokio::sync::Semaphore;
use tonic::body::Body;
use tonic::server::NamedService;

use self::message::{Expansion, Messages};
use self::purse::Purse;
use super::codec::varint;
use super::compression::Encoding;
use super::door::{Caller, Options};
use super::identity::Access;
use super::proto::ingest::{CollectionPlan, SubmitResponse};
use super::status::{Cause, Fault};
use crate::ingest::Intake;
use crate::ingest::fair::{Account, Held, Kind};
use crate::model::{BatchId, CustomerId};

/// The senders' door. Clones share it.
#[derive(Clone)]
pub struct IngestDoor(Arc<Ingest>);

struct Ingest {
    store: Store,
    request_deadline: Duration,
    stream_batches: usize,
    /// Turns at expanding large messages.
    turns: Arc<Semaphore>,
}

/// Where batches go.
enum Store {
    /// To be sanitised and stored.
    Intake(Intake),
    /// Nowhere: what receiving costs by itself is measured with this.
    Nowhere,
}

impl IngestDoor {
    /// Opens the door to `intake`.
    #[must_use]
    pub fn new(intake: Intake, options: &Options) -> Self {
        Self::onto(Store::Intake(intake), options)
    }

    /// A door behind which every batch is dropped and answered with an empty receipt: the floor
    /// that `usaged load` measures against.
    #[must_use]
    pub fn to_nowhere(options: &Options) -> Self {
        Self::onto(Store::Nowhere, options)
    }

    fn onto(store: Store, options: &Options) -> Self {
        let Options { request_deadline, stream_batches, .. } = *options;
        let turns = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let (turns, stream_batches) = (Arc::new(Semaphore::new(turns)), stream_batches.max(1));
        Self(Arc::new(Ingest { store, request_deadline, stream_batches, turns }))
    }
}

impl Ingest {
    async fn submit(&self, sender: &Sender, message: Bytes) -> Result<SubmitResponse, Fault> {
        match (&self.store, &sender.account) {
            (Store::Intake(intake), Some(account)) => {
                let receipt = intake.submit_on(account, &sender.customer, message).await;
                receipt.map(|r| receipt::response(&r)).map_err(Fault::from)
            }
            (Store::Intake(_) | Store::Nowhere, _) => Ok(SubmitResponse::default()),
        }
    }

    async fn unary(&self, sender: Sender, messages: Messages) -> Result<SubmitResponse, Fault> {
        let _place = sender.call(Kind::Calls)?;
        self.submit(&sender, messages.only().await?).await
    }

    async fn plan(&self, sender: Sender, messages: Messages) -> Result<CollectionPlan, Fault> {
        let _place = sender.call(Kind::Calls)?;
        let message = messages.only().await?;
        match (&self.store, &sender.account) {
            // A cached participation, or two point reads; then a walk over one dictionary.
            (Store::Intake(intake), Some(account)) => {
                plan::answer(intake, account, &sender.customer, &message).await
            }
            (Store::Intake(_) | Store::Nowhere, _) => Ok(CollectionPlan::default()),
        }
    }
}

/// For whom a call reports.
#[derive(Clone)]
struct Sender {
    customer: CustomerId,
    /// What the customer may have; none where nothing is stored.
    account: Option<Arc<Account>>,
}

impl Sender {
    /// A place among the calls in progress.
    fn call(&self, kind: Kind) -> Result<Option<Held>, Fault> {
        let Some(account) = &self.account else { return Ok(None) };
        account.take(kind, 1).map(Some).ok_or_else(|| account.holds(kind).into())
    }
}

/// The methods of the service.
#[derive(Clone, Copy)]
enum Method {
    Submit,
    SubmitStream,
    GetCollectionPlan,
}

async fn answer(ingest: Arc<Ingest>, request: Request<Body>) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let opened = (|| {
        let method = match parts.uri.path().rsplit_once('/').map(|(_, method)| method) {
            Some("Submit") => Method::Submit,
            Some("SubmitStream") => Method::SubmitStream,
            Some("GetCollectionPlan") => Method::GetCollectionPlan,
            _ => return Err(Fault::of(Cause::NoSuchMethod, NO_SUCH_METHOD)),
        };
        let encoding = Encoding::of(&parts.headers)?;
        let caller = parts.extensions.get::<Arc<Caller>>().cloned();
        let caller = caller.ok_or_else(|| Fault::of(Cause::Internal, "the request came by no connection"))?;
        let customer = Access::of(&parts.extensions)?.customer()?;
        Ok((method, encoding, caller, customer))
    })();
    let (method, encoding, caller, customer) = match opened {
        Ok(opened) => opened,
        Err(fault) => return reply::refusal(&fault),
    };
    let account = match &ingest.store {
        Store::Intake(intake) => Some(intake.accounts().of(&customer)),
        Store::Nowhere => None,
    };
    let expansion = Expansion { encoding, turns: Arc::clone(&ingest.turns) };
    let purse = Purse::new(caller.share.clone(), account.clone());
    let messages = Messages::new(body, expansion, purse, ingest.request_deadline);
    let sender = Sender { customer, account };
    match method {
        Method::Submit => reply::unary(ingest.unary(sender, messages).await),
        Method::SubmitStream => match sender.call(Kind::Streams) {
            Ok(place) => {
                let answers = stream::begin(ingest, sender, messages, caller.closing.clone(), place);
                reply::with_body(Body::new(answers))
            }
            Err(fault) => reply::refusal(&fault),
        },
        Method::GetCollectionPlan => reply::unary(ingest.plan(sender, messages).await),
    }
}

const NO_SUCH_METHOD: &str = "the service has Submit, SubmitStream and GetCollectionPlan";

impl NamedService for IngestDoor {
    const NAME: &'static str = "usaged.ingest.v1.IngestService";
}

impl tower::Service<Request<Body>> for IngestDoor {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let ingest = Arc::clone(&self.0);
        Box::pin(async move { Ok(answer(ingest, request).await) })
    }
}

/// The batch id of a request, to name the batch in the answer to its sender; empty if it has none
/// that is valid. The last one counts, as everywhere in protobuf.
fn batch_id(request: &Bytes) -> String {
    let mut rest: &[u8] = request;
    let mut found: &[u8] = &[];
    while let Some(tag) = varint(&mut rest) {
        let length = match tag & 7 {
            0 => varint(&mut rest).map(|_| 0),
            1 => Some(8),
            2 => varint(&mut rest),
            5 => Some(4),
            _ => None,
        };
        let Some((value, after)) =
            length.and_then(|n| usize::try_from(n).ok()).and_then(|n| rest.split_at_checked(n))
        else {
            break;
        };
        if tag == (1 << 3 | 2) {
            found = value;
        }
        rest = after;
    }
    match (BatchId::parse(found), std::str::from_utf8(found)) {
        (Ok(_), Ok(text)) => text.to_owned(),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::*;
    use crate::grpc::proto::ingest::{Event, SubmitRequest};

    #[test]
    fn only_a_valid_batch_id_is_handed_back() {
        let id = "0190a3c2-7b1e-7c55-9d2f-0123456789ab";
        let request = |batch_id: &str| SubmitRequest {
            batch_id: batch_id.into(),
            product: "vcenter".into(),
            events: vec![Event::default(); 3],
            ..SubmitRequest::default()
        };
        assert_eq!(batch_id(&request(id).encode_to_vec().into()), id);
        assert_eq!(batch_id(&request("someone@example.com").encode_to_vec().into()), "");
        assert_eq!(batch_id(&request("").encode_to_vec().into()), "");
        let mut torn = request(id).encode_to_vec();
        torn.truncate(20);
        assert_eq!(batch_id(&torn.into()), "");
        assert_eq!(batch_id(&Bytes::from_static(&[0xff; 40])), "");
    }
}
