//! Tests of reading messages off a body.
#![expect(clippy::unwrap_used, reason = "a test")]

use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody};
use tonic::Status;

use super::*;
use crate::grpc::door::{Budget, Share};

const DEADLINE: Duration = Duration::from_secs(5);

fn framed(message: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0];
    bytes.extend(u32::try_from(message.len()).unwrap().to_be_bytes());
    bytes.extend(message);
    bytes
}

/// `bytes` in frames of `size`.
fn body(bytes: &[u8], size: usize) -> Body {
    let frames: Vec<Result<Frame<Bytes>, Status>> =
        bytes.chunks(size).map(|chunk| Ok(Frame::data(Bytes::copy_from_slice(chunk)))).collect();
    Body::new(StreamBody::new(tokio_stream::iter(frames)))
}

/// How requests come that say that they are compressed by `encoding`.
fn by(encoding: Option<Encoding>) -> Expansion {
    Expansion { encoding, turns: Arc::new(Semaphore::new(1)) }
}

/// Pays from `share` alone.
fn purse(share: &Share) -> Purse {
    Purse::new(share.clone(), None)
}

fn share(bytes: u32) -> Share {
    Budget::new(bytes, bytes).share()
}

#[tokio::test]
async fn messages_are_read_however_they_are_cut_into_frames() {
    let sent: Vec<Vec<u8>> = vec![vec![], b"a".to_vec(), (0..=255).collect(), vec![], vec![7; 70_000]];
    let bytes: Vec<u8> = sent.iter().flat_map(|m| framed(m)).collect();
    for size in [1, 2, 3, 5, 6, 7, 300, 16_384, 1 << 20] {
        let mut messages = Messages::new(body(&bytes, size), by(None), purse(&share(200_000)), DEADLINE);
        for expected in &sent {
            let message = messages.next(WhenSpent::Refuse).await.unwrap().unwrap().unwrap();
            assert_eq!(&*message, &**expected, "frames of {size}");
        }
        assert!(messages.next(WhenSpent::Refuse).await.unwrap().is_none());
        messages.end().await.unwrap();
    }
}

#[tokio::test]
async fn a_message_that_came_in_one_frame_is_not_copied() {
    let frame = Bytes::from(framed(b"hello"));
    let inside = frame.as_ptr().wrapping_add(PREFIX_BYTES);
    let whole = Body::new(Full::new(frame).map_err(|never| match never {}));
    let mut messages = Messages::new(whole, by(None), purse(&share(10_000)), DEADLINE);
    let message = messages.next(WhenSpent::Refuse).await.unwrap().unwrap().unwrap();
    assert_eq!(message.as_ptr(), inside);
}

#[tokio::test]
async fn what_is_too_large_is_passed_over_and_the_next_is_read() {
    let mut bytes = framed(&vec![1; limits::REQUEST_BYTES + 1]);
    bytes.extend(framed(b"next"));
    let mut messages = Messages::new(body(&bytes, 65_536), by(None), purse(&share(u32::MAX)), DEADLINE);
    let refused = messages.next(WhenSpent::Refuse).await.unwrap().unwrap().unwrap_err();
    assert_eq!(refused.cause(), Cause::TooLarge);
    let next = messages.next(WhenSpent::Refuse).await.unwrap().unwrap().unwrap();
    assert_eq!(&*next, b"next");
}

#[tokio::test]
async fn a_spent_budget_refuses_before_the_message_is_read_and_says_when_to_retry() {
    let share = share(10_000);
    let held = share.take(5_000).unwrap();
    let bytes: Vec<u8> = [framed(&[7; 6_000]), framed(b"de")].concat();
    let mut messages = Messages::new(body(&bytes, 4), by(None), purse(&share), DEADLINE);
    let refused = messages.next(WhenSpent::Refuse).await.unwrap().unwrap().unwrap_err();
    assert_eq!(refused.cause(), Cause::NoBytes);
    assert!(refused.batch_error().retry_delay_ms > 0);
    let next = messages.next(WhenSpent::Refuse).await.unwrap().unwrap().unwrap();
    assert_eq!(&*next, b"de");
    assert!(share.take(5_000).is_none(), "the smallest message is charged 4 KiB");
    drop(held);
    let clone = next.slice(1..);
    drop(next);
    assert!(share.take(10_000).is_none(), "a message is charged until the last clone of it is gone");
    drop(clone);
    assert!(share.take(10_000).is_some());
}

/// A body that says how long it is, and does not come.
struct Promised(u64);

impl http_body::Body for Promised {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<Frame<Bytes>, Status>>> {
        std::task::Poll::Pending
    }

    fn size_hint(&self) -> http_body::SizeHint {
        http_body::SizeHint::with_exact(self.0)
    }
}

/// A body of which only the beginning comes.
fn begun(bytes: Vec<u8>) -> Body {
    let first = tokio_stream::iter([Ok::<_, Status>(Frame::data(Bytes::from(bytes)))]);
    Body::new(StreamBody::new(tokio_stream::StreamExt::chain(first, tokio_stream::pending())))
}

// covers: B2
#[tokio::test]
async fn a_refusal_that_is_certain_is_given_at_once_and_does_not_wait_for_the_rest() {
    let large = u32::try_from(limits::REQUEST_BYTES + 1).unwrap().to_be_bytes();
    let too_large = [&[0], &large[..], &[1; 100]].concat();
    let spent = share(10_000);
    let _held = spent.take(9_000).unwrap();
    let unpaid = framed(&[7; 6_000]);
    let cases = [
        (Body::new(Promised(u64::from(u32::MAX))), share(u32::MAX), Cause::TooLarge),
        (begun(too_large), share(u32::MAX), Cause::TooLarge),
        (begun(unpaid.get(..5).unwrap().to_vec()), spent.clone(), Cause::NoBytes),
        (begun(unpaid.get(..50).unwrap().to_vec()), spent, Cause::NoBytes),
        (begun(vec![9; 20]), share(u32::MAX), Cause::Malformed),
    ];
    for (body, share, cause) in cases {
        // What is still to come never comes.
        let messages = Messages::new(body, by(None), purse(&share), Duration::from_hours(10));
        let refused = timeout(Duration::from_mins(1), messages.only()).await;
        assert_eq!(refused.unwrap().unwrap_err().cause(), cause);
    }
}

// covers: B1
#[tokio::test]
async fn what_is_under_way_of_a_refused_request_is_dropped_for_a_moment_and_no_longer() {
    let large = u32::try_from(limits::REQUEST_BYTES + 1).unwrap().to_be_bytes();
    let (send, receive) = tokio::sync::mpsc::channel::<Result<Frame<Bytes>, Status>>(1);
    let incoming = StreamBody::new(tokio_stream::wrappers::ReceiverStream::new(receive));
    send.send(Ok(Frame::data([&[0], &large[..]].concat().into()))).await.unwrap();
    let messages = Messages::new(Body::new(incoming), by(None), purse(&share(u32::MAX)), DEADLINE);
    assert_eq!(messages.only().await.unwrap_err().cause(), Cause::TooLarge);
    let mut taken = 0;
    while send.send(Ok(Frame::data(vec![0; 64 * 1024].into()))).await.is_ok() {
        taken += 1;
        assert!(taken < 10, "one window of it, whatever is sent");
    }
    assert!(taken >= 4);

    let (send, receive) = tokio::sync::mpsc::channel::<Result<Frame<Bytes>, Status>>(1);
    let incoming = StreamBody::new(tokio_stream::wrappers::ReceiverStream::new(receive));
    send.send(Ok(Frame::data([&[0], &large[..]].concat().into()))).await.unwrap();
    let messages = Messages::new(Body::new(incoming), by(None), purse(&share(u32::MAX)), DEADLINE);
    assert_eq!(messages.only().await.unwrap_err().cause(), Cause::TooLarge);
    let closed = timeout(LEFTOVER.1 * 60, send.closed()).await;
    assert!(closed.is_ok(), "a sender that says nothing more is not waited for");
}

#[tokio::test]
async fn a_prefix_alone_reserves_little_and_growth_that_cannot_be_had_is_refused() {
    let share = share(1 << 20);
    let (send, receive) = tokio::sync::mpsc::channel::<Result<Frame<Bytes>, Status>>(1);
    let incoming = StreamBody::new(tokio_stream::wrappers::ReceiverStream::new(receive));
    let mut messages = Messages::new(Body::new(incoming), by(None), purse(&share), DEADLINE);
    let reading = tokio::spawn(async move {
        let first = messages.next(WhenSpent::Refuse).await;
        (first, messages.next(WhenSpent::Refuse).await)
    });
    send.send(Ok(Frame::data(Bytes::from_static(&[0, 0, 8, 0, 0])))).await.unwrap();
    send.send(Ok(Frame::data(vec![1; 1000].into()))).await.unwrap();
    send.send(Ok(Frame::data(vec![1; 1000].into()))).await.unwrap();
    let others = share.take((1 << 20) - 65_536).unwrap();
    send.send(Ok(Frame::data(vec![1; (8 << 16) - 2000].into()))).await.unwrap();
    let rest = framed(b"next");
    send.send(Ok(Frame::data(rest.into()))).await.unwrap();
    drop(send);
    let (first, second) = reading.await.unwrap();
    assert_eq!(first.unwrap().unwrap().unwrap_err().cause(), Cause::NoBytes);
    assert_eq!(&*second.unwrap().unwrap().unwrap(), b"next");
    drop(others);
    assert!(share.take(1 << 20).is_some(), "what was read is given back");
}

#[tokio::test]
async fn what_is_not_grpc_ends_the_body() {
    let cases: [(&[u8], Cause); 5] = [
        (&[1, 0, 0, 0, 1, 9], Cause::Malformed),
        (&[9, 0, 0, 0, 1, 9], Cause::Malformed),
        (&[0, 0, 0], Cause::Malformed),
        (&[0, 0, 0, 0, 9, 1], Cause::Malformed),
        (b"POST / HTTP/1.1", Cause::Malformed),
    ];
    for (bytes, cause) in cases {
        let mut messages = Messages::new(body(bytes, 2), by(None), purse(&share(1 << 30)), DEADLINE);
        let fault = messages.next(WhenSpent::Refuse).await.unwrap_err();
        assert_eq!(fault.cause(), cause, "{bytes:?}");
    }
}

#[tokio::test]
async fn a_message_that_stops_half_way_gives_its_bytes_back() {
    let share = share(5_000);
    let begun = tokio_stream::iter([Ok::<_, Status>(Frame::data(Bytes::from_static(&[0, 0, 0, 0, 10, 1])))]);
    let stalled = tokio_stream::StreamExt::chain(begun, tokio_stream::pending());
    let mut messages = Messages::new(
        Body::new(StreamBody::new(stalled)),
        by(None),
        purse(&share),
        Duration::from_millis(20),
    );
    let fault = messages.next(WhenSpent::Refuse).await.unwrap_err();
    assert_eq!(fault.cause(), Cause::Slow);
    assert!(share.take(5_000).is_some());
}

/// A compressed message as it goes over the wire.
fn small(encoding: Encoding, message: &[u8]) -> Vec<u8> {
    let mut bytes = framed(&encoding.compress(message).unwrap());
    bytes.splice(..1, [1]);
    bytes
}

#[tokio::test]
async fn compressed_and_plain_messages_are_read_side_by_side() {
    for encoding in [Encoding::Gzip, Encoding::Zstd] {
        let large: Vec<u8> = (0..600_000_u32).flat_map(u32::to_le_bytes).collect();
        let sent = [b"plain".to_vec(), b"small ".repeat(20), large, vec![], b"plain again".to_vec()];
        let [first, second, third, fourth, fifth] = &sent;
        let bytes = [
            framed(first),
            small(encoding, second),
            small(encoding, third),
            small(encoding, fourth),
            framed(fifth),
        ]
        .concat();
        for size in [1, 7, 16_384] {
            let share = share(8 << 20);
            let mut messages = Messages::new(body(&bytes, size), by(Some(encoding)), purse(&share), DEADLINE);
            for expected in &sent {
                let message = messages.next(WhenSpent::Refuse).await.unwrap().unwrap().unwrap();
                assert!(*message == **expected, "{encoding:?} in frames of {size}");
            }
            drop(messages);
            assert!(share.take(8 << 20).is_some(), "everything is given back");
        }
    }
}

// covers: B1
#[tokio::test]
async fn the_budget_covers_what_a_message_becomes() {
    for encoding in [Encoding::Gzip, Encoding::Zstd] {
        let bytes = [small(encoding, &b"0123456789abcdef".repeat(6_000)), framed(b"next")].concat();
        let mut messages =
            Messages::new(body(&bytes, 65_536), by(Some(encoding)), purse(&share(90_000)), DEADLINE);
        let refused = messages.next(WhenSpent::Refuse).await.unwrap().unwrap().unwrap_err();
        assert_eq!(refused.cause(), Cause::NoBytes, "96,000 bytes do not fit");
        assert_eq!(&*messages.next(WhenSpent::Refuse).await.unwrap().unwrap().unwrap(), b"next");

        let share = share(200_000);
        let mut messages = Messages::new(body(&bytes, 65_536), by(Some(encoding)), purse(&share), DEADLINE);
        let message = messages.next(WhenSpent::Refuse).await.unwrap().unwrap().unwrap();
        assert!(share.take(200_000 - 95_000).is_none(), "it is charged what it became");
        drop(message);
        assert!(share.take(200_000).is_some());
    }
}

// covers: B1
#[tokio::test]
async fn a_bomb_is_refused_by_itself_and_costs_nothing() {
    for encoding in [Encoding::Gzip, Encoding::Zstd] {
        let bomb = small(encoding, &vec![0; 32 << 20]);
        let bytes = [bomb, small(encoding, b"next next next next next")].concat();
        let share = share(8 << 20);
        let mut messages = Messages::new(body(&bytes, 65_536), by(Some(encoding)), purse(&share), DEADLINE);
        let refused = messages.next(WhenSpent::Refuse).await.unwrap().unwrap().unwrap_err();
        assert_eq!(refused.cause(), Cause::TooLarge, "{encoding:?}");
        assert!(share.take(8 << 20).is_some());
        let next = messages.next(WhenSpent::Refuse).await.unwrap().unwrap().unwrap();
        assert_eq!(&*next, b"next next next next next");
    }
}
