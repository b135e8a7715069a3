//! `usaged.drain.v1.DrainService`: what a drainer may ask, checked and passed to the drain room.

mod convert;
mod places;
mod stream;

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming};

use self::places::{Place, Places};
use super::door::{Caller, Held, Options};
use super::identity::Access;
use super::page;
use super::proto::drain as pb;
use super::proto::drain::drain_service_server::DrainService;
use super::status::{Cause, Fault};
use super::times::{duration, unix_millis};
use crate::drain::{Drain, Pulled, SeekTarget};
use crate::model::{CommitNumber, SubscriptionName};
use crate::observe::Clock;

/// Bytes of batches in one answer to Pull: below the 4 MiB that gRPC clients take by default. One
/// batch that is larger by itself still goes out alone.
const PULL_BYTES: u64 = 4 * 1024 * 1024 - 64 * 1024;

/// Bytes of one page of dead letters with their batches.
const PAGE_BYTES: usize = 3 * 1024 * 1024;

/// The longest long poll.
const MAX_WAIT: Duration = Duration::from_mins(1);

/// The longest lease.
const MAX_DEADLINE: Duration = Duration::from_mins(10);

/// Batches that one Pull takes when it does not say, and at most.
const PULL_BATCHES: (u32, u32) = (10, 1000);

/// Leases that one request may name.
const ACK_IDS: usize = 1000;

/// The drainers' door.
pub struct DrainDoor {
    drain: Drain,
    clock: Clock,
    pulls: Places,
}

impl DrainDoor {
    /// Opens the door to `drain`.
    #[must_use]
    pub fn new(drain: Drain, clock: Clock, options: &Options) -> Self {
        Self { drain, clock, pulls: Places::new(options.max_pulls) }
    }

    /// A place among the calls that hold batches in memory.
    fn place(&self, subscription: &SubscriptionName) -> Result<Held, Fault> {
        place(&self.pulls, subscription).map(|place| Held(Arc::new(place)))
    }
}

fn place(places: &Places, subscription: &SubscriptionName) -> Result<Place, Fault> {
    places.take(subscription).ok_or_else(|| {
        Fault::of(Cause::NoSlots, "too many pulls are in progress; try again").spread(Duration::from_secs(1))
    })
}

/// Fails unless `ids` are few enough.
fn check_ids(ids: &[String]) -> Result<(), Fault> {
    if ids.len() > ACK_IDS {
        return Err(Fault::field("ack_ids", "at most 1000 are allowed; send several requests"));
    }
    Ok(())
}

fn whole(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

/// The name of a subscription that the caller may use.
fn own(access: &Access, field: &'static str, name: &str) -> Result<SubscriptionName, Fault> {
    let name = convert::name(field, name)?;
    access.may_use(&name)?;
    Ok(name)
}

/// Cancelled when the connection that a request came over is about to end.
fn closing<T>(request: &Request<T>) -> Result<CancellationToken, Fault> {
    let caller = request.extensions().get::<Arc<Caller>>();
    caller
        .map(|caller| caller.closing.clone())
        .ok_or_else(|| Fault::of(Cause::Internal, "the request came by no connection"))
}

#[tonic::async_trait]
impl DrainService for DrainDoor {
    type StreamingPullStream = stream::Answers;

    async fn pull(&self, request: Request<pb::PullRequest>) -> Result<Response<pb::PullResponse>, Status> {
        let (closing, access) = (closing(&request)?, Access::of_call(&request)?);
        let request = request.into_inner();
        let name = own(&access, "subscription", &request.subscription)?;
        let wait = duration("max_wait", request.max_wait, MAX_WAIT)?;
        let max = match request.max_batches {
            0 => PULL_BATCHES.0,
            n if n <= PULL_BATCHES.1 => n,
            _ => return Err(Fault::field("max_batches", "must be from 1 to 1000").into()),
        };
        let place = self.place(&name)?;
        let max = if request.notices_only { 0 } else { usize::try_from(max).unwrap_or(1) };
        let pulling = self.drain.pull(&name, max, PULL_BYTES, wait, 0);
        let Pulled { deliveries, notices } = tokio::select! {
            biased;
            pulled = pulling => pulled.map_err(Fault::from)?,
            () = closing.cancelled() => Pulled::default(),
        };
        let batches = deliveries.into_iter().map(convert::received).collect();
        let notices = notices.into_iter().map(convert::notice).collect();
        let mut response = Response::new(pb::PullResponse { batches, notices });
        // Held until the answer has gone out.
        response.extensions_mut().insert(place);
        Ok(response)
    }

    async fn streaming_pull(
        &self,
        request: Request<Streaming<pb::StreamingPullRequest>>,
    ) -> Result<Response<Self::StreamingPullStream>, Status> {
        let (closing, access) = (closing(&request)?, Access::of_call(&request)?);
        let (drain, places) = (self.drain.clone(), self.pulls.clone());
        Ok(Response::new(stream::begin(drain, places, request.into_inner(), access, closing)))
    }

    async fn acknowledge(
        &self,
        request: Request<pb::AcknowledgeRequest>,
    ) -> Result<Response<pb::AcknowledgeResponse>, Status> {
        let access = Access::of_call(&request)?;
        let request = request.into_inner();
        let name = own(&access, "subscription", &request.subscription)?;
        check_ids(&request.ack_ids)?;
        let result = self.drain.acknowledge(&name, &request.ack_ids).await.map_err(Fault::from)?;
        let failures = convert::failures(result.failures);
        Ok(Response::new(pb::AcknowledgeResponse { acknowledged: whole(result.done), failures }))
    }

    async fn modify_ack_deadline(
        &self,
        request: Request<pb::ModifyAckDeadlineRequest>,
    ) -> Result<Response<pb::ModifyAckDeadlineResponse>, Status> {
        let access = Access::of_call(&request)?;
        let request = request.into_inner();
        let name = own(&access, "subscription", &request.subscription)?;
        let deadline = duration("ack_deadline", request.ack_deadline, MAX_DEADLINE)?;
        check_ids(&request.ack_ids)?;
        let modified = self.drain.modify_deadline(&name, &request.ack_ids, deadline).await;
        let result = modified.map_err(Fault::from)?;
        let failures = convert::failures(result.failures);
        Ok(Response::new(pb::ModifyAckDeadlineResponse { modified: whole(result.done), failures }))
    }

    async fn create_subscription(
        &self,
        request: Request<pb::CreateSubscriptionRequest>,
    ) -> Result<Response<pb::Subscription>, Status> {
        let given = request.into_inner().subscription;
        let given = given.ok_or_else(|| Fault::field("subscription", "describe the subscription"))?;
        let subscription = convert::subscription(&given, self.clock.now())?;
        let state = self.drain.create(subscription, given.from_oldest).await.map_err(Fault::from)?;
        Ok(Response::new(convert::api_subscription(&state)))
    }

    async fn list_subscriptions(
        &self,
        request: Request<pb::ListSubscriptionsRequest>,
    ) -> Result<Response<pb::ListSubscriptionsResponse>, Status> {
        let request = request.into_inner();
        let size = page::size(request.page_size)?;
        let after = page::after(&request.page_token, |key| SubscriptionName::new(page::text(key)?).ok())?;
        let states = self.drain.list(after.as_ref(), size).await.map_err(Fault::from)?;
        let last = states.last().filter(|_| states.len() >= size);
        let next_page_token =
            last.map(|s| page::token(s.subscription.name.as_str().as_bytes())).unwrap_or_default();
        let subscriptions = states.iter().map(convert::api_subscription).collect();
        Ok(Response::new(pb::ListSubscriptionsResponse { subscriptions, next_page_token }))
    }

    async fn get_subscription(
        &self,
        request: Request<pb::GetSubscriptionRequest>,
    ) -> Result<Response<pb::Subscription>, Status> {
        let access = Access::of_call(&request)?;
        let name = own(&access, "name", &request.into_inner().name)?;
        let state = self.drain.get(&name).await.map_err(Fault::from)?;
        Ok(Response::new(convert::api_subscription(&state)))
    }

    async fn delete_subscription(
        &self,
        request: Request<pb::DeleteSubscriptionRequest>,
    ) -> Result<Response<()>, Status> {
        let access = Access::of_call(&request)?;
        let name = own(&access, "name", &request.into_inner().name)?;
        self.drain.delete(&name).await.map_err(Fault::from)?;
        Ok(Response::new(()))
    }

    async fn seek(&self, request: Request<pb::SeekRequest>) -> Result<Response<pb::SeekResponse>, Status> {
        use pb::seek_request::Target;
        let access = Access::of_call(&request)?;
        let request = request.into_inner();
        let name = own(&access, "subscription", &request.subscription)?;
        let target = match request.target {
            Some(Target::Time(time)) => SeekTarget::Time(unix_millis(&time)),
            Some(Target::CommitNumber(commit)) => SeekTarget::Commit(CommitNumber(commit)),
            Some(Target::Oldest(true)) => SeekTarget::Oldest,
            Some(Target::Oldest(false)) => SeekTarget::Newest,
            None => return Err(Fault::field("target", "give a time, a commit number or oldest").into()),
        };
        let cursor = self.drain.seek(&name, target).await.map_err(Fault::from)?;
        Ok(Response::new(pb::SeekResponse { cursor: cursor.0 }))
    }

    async fn list_dead_letters(
        &self,
        request: Request<pb::ListDeadLettersRequest>,
    ) -> Result<Response<pb::ListDeadLettersResponse>, Status> {
        let access = Access::of_call(&request)?;
        let request = request.into_inner();
        let name = own(&access, "subscription", &request.subscription)?;
        let size = page::size(request.page_size)?;
        let after = page::after(&request.page_token, page::number)?.map(CommitNumber);
        if request.include_batches && !access.receives() {
            let rule = "what was stored goes to the drainers of the subscription only; ask without it";
            return Err(Fault::of(Cause::MethodDenied, rule).at("include_batches").into());
        }
        let place = self.place(&name)?;
        let bodies = request.include_batches.then_some(PAGE_BYTES);
        let listed = self.drain.dead_letters(&name, after, size, bodies).await;
        let mut letters = listed.map_err(Fault::from)?;
        let is_last = letters.len() < size;
        let fits = that_fit(&letters);
        let is_cut = fits < letters.len();
        letters.truncate(fits);
        let last = letters.last().filter(|_| is_cut || !is_last);
        let next_page_token = last.map(|l| page::token(&l.commit.0.to_be_bytes())).unwrap_or_default();
        let dead_letters = letters.into_iter().map(convert::dead_letter).collect();
        let mut response = Response::new(pb::ListDeadLettersResponse { dead_letters, next_page_token });
        response.extensions_mut().insert(place);
        Ok(response)
    }

    async fn replay_dead_letters(
        &self,
        request: Request<pb::ReplayDeadLettersRequest>,
    ) -> Result<Response<pb::ReplayDeadLettersResponse>, Status> {
        let access = Access::of_call(&request)?;
        let request = request.into_inner();
        let name = own(&access, "subscription", &request.subscription)?;
        let commits: Vec<CommitNumber> = request.commit_numbers.into_iter().map(CommitNumber).collect();
        let replayed = self.drain.replay(&name, &commits).await.map_err(Fault::from)?;
        Ok(Response::new(pb::ReplayDeadLettersResponse { replayed: whole(replayed) }))
    }
}

/// How many of `letters` fit into one page: at least one.
fn that_fit(letters: &[crate::drain::DeadLetter]) -> usize {
    let mut bytes = 0_usize;
    let fits = letters.iter().take_while(|letter| {
        bytes = bytes.saturating_add(letter.body.as_ref().map_or(0, bytes::Bytes::len));
        bytes <= PAGE_BYTES
    });
    fits.count().max(1).min(letters.len())
}
