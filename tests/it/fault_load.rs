//! Load on a collector that may die at any moment: senders that retry under the same batch id, and
//! drainers that acknowledge.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_stream::wrappers::ReceiverStream;
use usaged::grpc::client::{Channel, Code, ProtoDuration, Status, connect, retry_delay};
use usaged::grpc::proto::admin::admin_service_client::AdminServiceClient;
use usaged::grpc::proto::drain::drain_service_client::DrainServiceClient;
use usaged::grpc::proto::drain::{
    AcknowledgeRequest, CreateSubscriptionRequest, GetSubscriptionRequest, ModifyAckDeadlineRequest,
    PullRequest, ReceivedBatch, Subscription,
};
use usaged::grpc::proto::ingest::ingest_service_client::IngestServiceClient;
use usaged::grpc::proto::ingest::submit_stream_response::Result as Answer;

use crate::fault_daemon::SOON;
use crate::fault_oracle::{Oracle, batch};
use crate::grpc_collector::{from, participation, set, subscription};

/// Batches of a stream that wait for their answers.
const PIPELINE: usize = 12;

/// Where the collector listens now; `None` while there is none.
pub type Address = watch::Receiver<Option<String>>;

/// Senders and drainers, over all lives of a collector.
pub struct Load {
    pub oracle: Arc<Oracle>,
    address: watch::Sender<Option<String>>,
    stop: watch::Sender<bool>,
    tasks: JoinSet<()>,
}

impl Load {
    pub fn new() -> Self {
        let oracle = Arc::default();
        Self { oracle, address: watch::channel(None).0, stop: watch::channel(false).0, tasks: JoinSet::new() }
    }

    /// The collector listens at `grpc` now.
    pub fn is_at(&self, grpc: &str) {
        self.address.send_replace(Some(grpc.to_owned()));
    }

    /// There is no collector now.
    pub fn is_gone(&self) {
        self.address.send_replace(None);
    }

    /// Adds a sender that submits one batch at a time. One in `abandons` of the batches that stay
    /// unanswered is not sent again; 0 for none.
    pub fn sender(&mut self, customer: &str, abandons: u64) {
        let (oracle, address, stop) = self.parts();
        self.tasks.spawn(send(customer.to_owned(), abandons, oracle, address, stop));
    }

    /// Adds a sender that pipelines batches over a stream.
    pub fn pipeliner(&mut self, customer: &str) {
        let (oracle, address, stop) = self.parts();
        self.tasks.spawn(pipeline(customer.to_owned(), oracle, address, stop));
    }

    /// Adds a drainer that gives one batch in eight back and acknowledges the others.
    pub fn drainer(&mut self, name: &str) {
        let (oracle, address, stop) = self.parts();
        self.tasks.spawn(drain(name.to_owned(), oracle, address, stop));
    }

    fn parts(&self) -> (Arc<Oracle>, Address, watch::Receiver<bool>) {
        (Arc::clone(&self.oracle), self.address.subscribe(), self.stop.subscribe())
    }

    /// Waits until `more` further batches are acknowledged.
    pub async fn goes_on(&mut self, more: usize) {
        let until = self.oracle.count() + more;
        let waited = timeout(SOON, async {
            while self.oracle.count() < until {
                if let Some(ended) = self.tasks.try_join_next() {
                    ended.unwrap();
                }
                sleep(Duration::from_millis(5)).await;
            }
        });
        waited.await.expect("the load does not go on");
    }

    /// Stops everybody after the batch in hand, and fails if one of them has. Others can be added then.
    pub async fn stop(&mut self) {
        self.stop.send_replace(true);
        while let Some(ended) = timeout(SOON, self.tasks.join_next()).await.expect("the load does not stop") {
            ended.unwrap();
        }
        self.stop.send_replace(false);
    }
}

/// A connection to the collector as soon as there is one.
pub async fn connected(address: &mut Address) -> Channel {
    loop {
        let at = address.wait_for(Option::is_some).await.unwrap().clone().unwrap();
        match connect(&at).await {
            Ok(channel) => return channel,
            Err(_) => sleep(Duration::from_millis(10)).await,
        }
    }
}

/// What a sender has to do when it is told `status`: wait so long, then retry. A final status is a mistake.
pub fn must_retry(status: &Status) -> Duration {
    let is_final = matches!(
        status.code(),
        Code::InvalidArgument
            | Code::Unauthenticated
            | Code::FailedPrecondition
            | Code::DataLoss
            | Code::Unimplemented
    );
    assert!(!is_final, "{status:?}");
    if status.code() == Code::ResourceExhausted {
        return retry_delay(status).expect("a refusal for want of room says when to come back");
    }
    Duration::from_millis(10)
}

async fn send(
    customer: String,
    abandons: u64,
    oracle: Arc<Oracle>,
    mut address: Address,
    stop: watch::Receiver<bool>,
) {
    let mut client = IngestServiceClient::new(connected(&mut address).await);
    while !*stop.borrow() {
        let (number, before) = (oracle.next(), oracle.highest());
        loop {
            let answered = timeout(SOON, client.submit(from(&customer, batch(number)))).await;
            match answered.expect("every request is answered or broken off") {
                Ok(receipt) => {
                    oracle.acknowledge(number, receipt.get_ref(), before);
                    break;
                }
                Err(status) => sleep(must_retry(&status).min(Duration::from_millis(300))).await,
            }
            if abandons > 0 && number % abandons == 0 {
                oracle.abandon(number);
                break;
            }
            client = IngestServiceClient::new(connected(&mut address).await);
        }
    }
}

async fn pipeline(customer: String, oracle: Arc<Oracle>, mut address: Address, stop: watch::Receiver<bool>) {
    // Sent and not answered, oldest first, each with the highest commit number before it was sent.
    let mut waiting: VecDeque<(u64, u64)> = VecDeque::new();
    while !*stop.borrow() || !waiting.is_empty() {
        let mut client = IngestServiceClient::new(connected(&mut address).await);
        let (requests, receiver) = mpsc::channel(PIPELINE);
        for (number, _) in &waiting {
            requests.send(batch(*number)).await.unwrap();
        }
        let Ok(answers) = client.submit_stream(from(&customer, ReceiverStream::new(receiver))).await else {
            continue;
        };
        let mut answers = answers.into_inner();
        let broken = loop {
            while waiting.len() < PIPELINE && !*stop.borrow() {
                let number = oracle.next();
                waiting.push_back((number, oracle.highest()));
                // A stream that is gone says so below; the batch is sent again.
                let _ = requests.send(batch(number)).await;
            }
            if waiting.is_empty() {
                break false;
            }
            let Ok(Some(answer)) = timeout(SOON, answers.message()).await.unwrap() else { break true };
            match answer.result.unwrap() {
                Answer::Receipt(receipt) => {
                    let (number, before) = waiting.pop_front().unwrap();
                    assert_eq!(answer.batch_id, batch(number).batch_id, "answers come in order");
                    oracle.acknowledge(number, &receipt, before);
                }
                Answer::Error(error) => {
                    assert!(error.retry_delay_ms > 0, "{error:?}");
                    break true;
                }
            }
        };
        if broken {
            sleep(Duration::from_millis(20)).await;
        }
    }
}

async fn drain(name: String, oracle: Arc<Oracle>, mut address: Address, stop: watch::Receiver<bool>) {
    while !*stop.borrow() {
        let mut client = drain_client(connected(&mut address).await);
        while !*stop.borrow() {
            let Ok(batches) = pull(&mut client, &name, Duration::from_millis(200)).await else { break };
            let (mut done, mut back) = (Vec::new(), Vec::new());
            for delivery in batches {
                oracle.check(&delivery);
                oracle.delivered(delivery.commit_number);
                let given_back = (delivery.commit_number + u64::from(delivery.delivery_attempt)) % 8 == 0;
                let pile = if given_back { &mut back } else { &mut done };
                pile.push((delivery.ack_id, delivery.commit_number));
            }
            let ids = |pile: &[(String, u64)]| pile.iter().map(|(id, _)| id.clone()).collect::<Vec<_>>();
            let nack = ModifyAckDeadlineRequest {
                subscription: name.clone(),
                ack_ids: ids(&back),
                ack_deadline: Some(ProtoDuration::default()),
            };
            if !back.is_empty() && client.modify_ack_deadline(nack).await.is_err() {
                break;
            }
            let request = AcknowledgeRequest { subscription: name.clone(), ack_ids: ids(&done) };
            if done.is_empty() {
                continue;
            }
            let Ok(answer) = client.acknowledge(request).await else { break };
            let failed = answer.into_inner().failures;
            done.retain(|(id, _)| failed.iter().all(|failure| failure.ack_id != *id));
            oracle.settle(done.into_iter().map(|(_, commit)| commit));
        }
        sleep(Duration::from_millis(20)).await;
    }
}

pub fn drain_client(channel: Channel) -> DrainServiceClient<Channel> {
    DrainServiceClient::new(channel).max_decoding_message_size(64 << 20)
}

pub async fn pull(
    client: &mut DrainServiceClient<Channel>,
    name: &str,
    wait: Duration,
) -> Result<Vec<ReceivedBatch>, Status> {
    let max_wait = Some(ProtoDuration { seconds: 0, nanos: i32::try_from(wait.subsec_nanos()).unwrap() });
    let request =
        PullRequest { subscription: name.to_owned(), max_batches: 50, max_wait, ..PullRequest::default() };
    timeout(SOON, client.pull(request)).await.expect("a pull ends").map(|pulled| pulled.into_inner().batches)
}

/// Sets `customers` to take part in `ceip` at `standard`, and makes `subscriptions` from the oldest
/// batch on, whose leases are short and whose batches are never given up.
pub async fn set_up(grpc: &str, customers: &[&str], subscriptions: &[&str]) {
    let channel = connect(grpc).await.unwrap();
    for customer in customers {
        let request = set(participation(customer, "standard"));
        AdminServiceClient::new(channel.clone()).set_participation(request).await.unwrap();
    }
    for name in subscriptions {
        let ack_deadline = Some(ProtoDuration { seconds: 2, nanos: 0 });
        let subscription = Subscription { ack_deadline, max_delivery_attempts: 100, ..subscription(name) };
        let request = CreateSubscriptionRequest { subscription: Some(subscription) };
        drain_client(channel.clone()).create_subscription(request).await.unwrap();
    }
}

/// How a subscription stands.
pub async fn standing(grpc: &str, name: &str) -> Subscription {
    how_it_stands(&mut drain_client(connect(grpc).await.unwrap()), name).await
}

/// The same over a connection that is there.
pub async fn how_it_stands(client: &mut DrainServiceClient<Channel>, name: &str) -> Subscription {
    let request = GetSubscriptionRequest { name: name.to_owned() };
    client.get_subscription(request).await.unwrap().into_inner()
}

/// Drains and acknowledges everything that waits for `name`, leases of others included: each batch
/// as its number and commit number, in the order of the queue.
pub async fn drain_all(grpc: &str, name: &str, oracle: &Oracle) -> Vec<(u64, u64)> {
    let mut client = drain_client(connect(grpc).await.unwrap());
    let mut drained = Vec::new();
    // Over one connection: a collector takes only so many new ones in a second.
    while how_it_stands(&mut client, name).await.waiting_batches > 0 {
        let batches = pull(&mut client, name, Duration::from_millis(500)).await.unwrap();
        for delivery in &batches {
            drained.push((oracle.check(delivery), delivery.commit_number));
        }
        if batches.is_empty() {
            continue;
        }
        let ack_ids: Vec<_> = batches.into_iter().map(|delivery| delivery.ack_id).collect();
        let request = AcknowledgeRequest { subscription: name.to_owned(), ack_ids };
        let answer = client.acknowledge(request).await.unwrap().into_inner();
        assert!(answer.failures.is_empty(), "{answer:?}");
    }
    drained.sort_unstable_by_key(|&(_, commit)| commit);
    drained
}
