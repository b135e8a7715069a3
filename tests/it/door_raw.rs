//! A hand-made HTTP/2 peer: it can do what a well-behaved client never does.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use usaged::grpc::{Ended, Options, serve_null};

use crate::attack_bombs::honest;
use crate::attack_frames::{DATA, END_HEADERS, call, data, headers, message};

/// Nothing that is awaited here takes longer.
pub const SOON: Duration = Duration::from_secs(10);

pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
pub const EMPTY_SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];

pub const SETTINGS: u8 = 4;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;

/// A door to nowhere, on a port of its own.
pub struct Door {
    pub address: std::net::SocketAddr,
    pub shutdown: CancellationToken,
    pub ended: JoinHandle<Ended>,
}

impl Door {
    pub async fn open(options: Options) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shutdown = CancellationToken::new();
        let ended = tokio::spawn(serve_null(listener, options, shutdown.clone()));
        Self { address, shutdown, ended }
    }

    pub async fn close(self) -> Ended {
        self.shutdown.cancel();
        timeout(SOON, self.ended).await.expect("the door closes").unwrap()
    }
}

/// A peer that writes what it is told to.
pub struct Peer(TcpStream);

/// A frame that the server sent.
#[derive(Debug)]
pub struct Frame {
    pub kind: u8,
    pub payload: Vec<u8>,
}

impl Peer {
    pub async fn connect(door: &Door) -> Self {
        Self(TcpStream::connect(door.address).await.unwrap())
    }

    /// A peer of a collector that is a process of its own, which has begun as HTTP/2 asks.
    pub async fn begin_at(address: &str) -> Self {
        let mut peer = Self(TcpStream::connect(address).await.unwrap());
        peer.send(&[PREFACE, EMPTY_SETTINGS].concat()).await;
        peer
    }

    /// A peer at another address of this machine.
    pub async fn connect_from(door: &Door, source: [u8; 4]) -> Self {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind((source, 0).into()).unwrap();
        Self(socket.connect(door.address).await.unwrap())
    }

    /// Calls, and is answered.
    pub async fn proves_itself(&mut self) {
        self.calls(1).await;
    }

    /// The same, once more over the same connection.
    pub async fn proves_itself_again(&mut self) {
        self.calls(3).await;
    }

    async fn calls(&mut self, stream: u32) {
        let body = message(0, &honest());
        self.send(&[headers(stream, END_HEADERS, &call("Submit", &[])), data(stream, &body, true)].concat())
            .await;
        assert!(self.until(DATA).await.is_some(), "the call is answered");
    }

    /// A peer that has begun as HTTP/2 asks.
    pub async fn begin(door: &Door) -> Self {
        let mut peer = Self::connect(door).await;
        peer.send(&[PREFACE, EMPTY_SETTINGS].concat()).await;
        peer
    }

    pub fn stream(&mut self) -> &mut TcpStream {
        &mut self.0
    }

    pub async fn send(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).await.unwrap();
    }

    /// The next frame; `None` when the server has closed the connection.
    pub async fn frame(&mut self) -> Option<Frame> {
        let read = async {
            let mut head = [0_u8; 9];
            self.0.read_exact(&mut head).await.ok()?;
            let [a, b, c, kind, ..] = head;
            let mut payload = vec![0; usize::try_from(u32::from_be_bytes([0, a, b, c])).unwrap()];
            self.0.read_exact(&mut payload).await.ok()?;
            Some(Frame { kind, payload })
        };
        timeout(SOON, read).await.expect("the server sends or closes")
    }

    /// Reads until a frame of `kind`; `None` when the server closes before.
    pub async fn until(&mut self, kind: u8) -> Option<Frame> {
        loop {
            let frame = self.frame().await?;
            if frame.kind == kind {
                return Some(frame);
            }
        }
    }

    /// Reads until the server closes.
    pub async fn until_closed(&mut self) {
        while self.frame().await.is_some() {}
    }

    /// Answers a PING, as a living client does.
    pub async fn pong(&mut self, ping: &Frame) {
        let mut frame = vec![0, 0, 8, PING, 1, 0, 0, 0, 0];
        frame.extend(&ping.payload);
        self.send(&frame).await;
    }
}
