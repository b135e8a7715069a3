//! The messages of `usaged.drain.v1` that carry a batch, with the batch as the bytes it was stored
//! in. On the wire they are what `proto/` says; here nothing decodes or encodes a batch again.

use bytes::Bytes;
use prost_types::Timestamp;

/// `usaged.drain.v1.ReceivedBatch`: a batch under a lease.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ReceivedBatch {
    /// Names the lease, for `Acknowledge` and `ModifyAckDeadline`.
    #[prost(string, tag = "1")]
    pub ack_id: String,
    /// How many times this batch was delivered to this subscription, this time counted.
    #[prost(uint32, tag = "2")]
    pub delivery_attempt: u32,
    /// The commit number of the batch.
    #[prost(uint64, tag = "3")]
    pub commit_number: u64,
    /// The wire bytes of a `usaged.drain.v1.Batch`, as far as the purpose allows. Never empty.
    #[prost(bytes = "bytes", tag = "4")]
    pub batch: Bytes,
}

/// `usaged.drain.v1.DeadLetter`: a batch that was given up.
#[derive(Clone, PartialEq, prost::Message)]
pub struct DeadLetter {
    /// Its commit number.
    #[prost(uint64, tag = "1")]
    pub commit_number: u64,
    /// How many times it was delivered.
    #[prost(uint32, tag = "2")]
    pub delivery_attempts: u32,
    /// When it was given up.
    #[prost(message, optional, tag = "3")]
    pub dead_time: Option<Timestamp>,
    /// Why: `attempts` or `damaged`.
    #[prost(string, tag = "4")]
    pub reason: String,
    /// The wire bytes of a `usaged.drain.v1.Batch`, when asked for and still there.
    #[prost(bytes = "bytes", optional, tag = "5")]
    pub batch: Option<Bytes>,
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test")]
mod tests {
    use prost::Message;

    use super::*;
    use crate::grpc::proto;

    #[allow(
        missing_docs,
        dead_code,
        clippy::all,
        clippy::pedantic,
        clippy::restriction,
        reason = "generated"
    )]
    mod derived {
        include!(concat!(env!("OUT_DIR"), "/carrier/usaged.drain.v1.rs"));
    }

    fn batch() -> derived::Batch {
        derived::Batch {
            product: "vcenter".into(),
            dictionary_version: 3,
            event_names: vec!["vm.inventory".into()],
            events: vec![derived::Event { name: 0, time_ms: -1, fields: vec![] }],
            ..derived::Batch::default()
        }
    }

    #[test]
    fn a_pull_response_is_on_the_wire_what_the_proto_says() {
        let ours = proto::drain::PullResponse {
            batches: vec![ReceivedBatch {
                ack_id: "a".into(),
                delivery_attempt: 2,
                commit_number: u64::MAX,
                batch: batch().encode_to_vec().into(),
            }],
            notices: vec![proto::drain::Notice { erasure_id: "e".into(), ..Default::default() }],
        };
        let derived = derived::PullResponse {
            batches: vec![derived::ReceivedBatch {
                ack_id: "a".into(),
                delivery_attempt: 2,
                commit_number: u64::MAX,
                batch: Some(batch()),
            }],
            notices: vec![derived::Notice { erasure_id: "e".into(), ..Default::default() }],
        };
        assert_eq!(ours.encode_to_vec(), derived.encode_to_vec());
        assert_eq!(proto::drain::PullResponse::decode(&*derived.encode_to_vec()).unwrap(), ours);
        let first = ours.batches.first().unwrap();
        assert_eq!(derived::Batch::decode(&*first.batch).unwrap(), batch());
    }

    #[test]
    fn a_streaming_pull_response_is_on_the_wire_what_the_proto_says() {
        let bytes: Bytes = batch().encode_to_vec().into();
        let ours = proto::drain::StreamingPullResponse {
            batches: vec![ReceivedBatch { batch: bytes, ..ReceivedBatch::default() }],
            acknowledged_ids: vec!["x".into()],
            failures: vec![],
            notices: vec![],
        };
        let derived = derived::StreamingPullResponse {
            batches: vec![derived::ReceivedBatch { batch: Some(batch()), ..Default::default() }],
            acknowledged_ids: vec!["x".into()],
            failures: vec![],
            notices: vec![],
        };
        assert_eq!(ours.encode_to_vec(), derived.encode_to_vec());
    }

    #[test]
    fn dead_letters_are_on_the_wire_what_the_proto_says_with_and_without_a_batch() {
        let dead_time = Some(Timestamp { seconds: 5, nanos: 7 });
        for body in [None, Some(batch())] {
            let ours = proto::drain::ListDeadLettersResponse {
                dead_letters: vec![DeadLetter {
                    commit_number: 9,
                    delivery_attempts: 5,
                    dead_time,
                    reason: "attempts".into(),
                    batch: body.as_ref().map(|b| b.encode_to_vec().into()),
                }],
                next_page_token: "t".into(),
            };
            let derived = derived::ListDeadLettersResponse {
                dead_letters: vec![derived::DeadLetter {
                    commit_number: 9,
                    delivery_attempts: 5,
                    dead_time,
                    reason: "attempts".into(),
                    batch: body,
                }],
                next_page_token: "t".into(),
            };
            assert_eq!(ours.encode_to_vec(), derived.encode_to_vec());
        }
    }
}
