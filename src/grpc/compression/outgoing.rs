//! What a client sends, compressed: between tonic, which frames messages, and the connection.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderValue, Request};
use http_body::{Frame, SizeHint};
use tonic::Status;
use tonic::body::Body;

use tower::Service;

use super::{ENCODING, Encoding};
use crate::grpc::client::Channel;

/// A connection over which requests go compressed, if so wished.
#[derive(Debug, Clone)]
pub struct Outgoing {
    channel: Channel,
    encoding: Option<Encoding>,
}

impl Outgoing {
    /// Sends over `channel`.
    #[must_use]
    pub const fn new(channel: Channel, encoding: Option<Encoding>) -> Self {
        Self { channel, encoding }
    }
}

impl Service<Request<Body>> for Outgoing {
    type Response = <Channel as Service<Request<Body>>>::Response;
    type Error = <Channel as Service<Request<Body>>>::Error;
    type Future = <Channel as Service<Request<Body>>>::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Service::<Request<Body>>::poll_ready(&mut self.channel, cx)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        if let Some(encoding) = self.encoding {
            request.headers_mut().insert(ENCODING, HeaderValue::from_static(encoding.as_str()));
            request = request.map(|body| Body::new(Compressed { body, encoding }));
        }
        self.channel.call(request)
    }
}

/// A body whose messages are compressed on the way.
struct Compressed {
    body: Body,
    encoding: Encoding,
}

impl http_body::Body for Compressed {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let frame = std::task::ready!(Pin::new(&mut self.body).poll_frame(cx));
        let encoding = self.encoding;
        Poll::Ready(frame.map(|frame| match frame?.into_data() {
            Ok(data) => compressed(&data, encoding).map(Frame::data),
            Err(frame) => Ok(frame),
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}

/// The messages in `data` compressed, each where that makes it smaller and a collector takes it. tonic
/// never cuts a message into two frames.
fn compressed(data: &[u8], encoding: Encoding) -> Result<Bytes, Status> {
    let broken = || Status::internal("a message was cut before it was compressed");
    let mut rest = data;
    let mut out = BytesMut::with_capacity(data.len() / 2);
    while let Some((prefix, after)) = rest.split_first_chunk::<5>() {
        let [_, a, b, c, d] = *prefix;
        let length = usize::try_from(u32::from_be_bytes([a, b, c, d])).map_err(|_| broken())?;
        let (message, after) = after.split_at_checked(length).ok_or_else(broken)?;
        rest = after;
        let small = encoding.compress(message).map_err(|_| Status::internal("nothing can be compressed"))?;
        let helps = small.len() < message.len() && encoding.size(&small).is_ok();
        let bytes = if helps { &small } else { message };
        out.put_u8(u8::from(helps));
        out.put_u32(u32::try_from(bytes.len()).map_err(|_| broken())?);
        out.put_slice(bytes);
    }
    if rest.is_empty() { Ok(out.freeze()) } else { Err(broken()) }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test")]
mod tests {
    use super::*;

    #[test]
    fn each_message_is_compressed_where_that_helps() {
        let framed = |flag: u8, bytes: &[u8]| {
            [&[flag][..], &u32::try_from(bytes.len()).unwrap().to_be_bytes(), bytes].concat()
        };
        let (short, long) = (b"abc".to_vec(), vec![b'x'; 5000]);
        let sent = compressed(&[framed(0, &short), framed(0, &long)].concat(), Encoding::Zstd).unwrap();
        let expected = [framed(0, &short), framed(1, &Encoding::Zstd.compress(&long).unwrap())].concat();
        assert_eq!(sent, expected);
        let bomb = framed(0, &vec![0; 1 << 20]);
        assert_eq!(compressed(&bomb, Encoding::Gzip).unwrap(), bomb, "what would be refused goes as it is");
        let cut = framed(0, &short);
        assert!(compressed(cut.get(..6).unwrap(), Encoding::Gzip).is_err());
    }
}
