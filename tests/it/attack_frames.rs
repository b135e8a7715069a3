//! A hostile HTTP/2 client, frame by frame: blocking, from an address of its own, as impolite as its line allows.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read as _, Result, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};

use crate::attack_line::Line;
use crate::door_raw::{EMPTY_SETTINGS, PREFACE};

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const PRIORITY: u8 = 2;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;
pub const CONTINUATION: u8 = 9;

pub const END_STREAM: u8 = 1;
pub const END_HEADERS: u8 = 4;

/// What is attacked, until when, and what came of it.
pub struct Target {
    pub address: SocketAddr,
    /// Where the attackers are: not where the honest clients are, nor those of another attack.
    network: u8,
    /// Connections so far, which go by turns to the addresses of an attack that has several.
    turns: AtomicU64,
    /// How to begin TLS, where the door asks for it.
    pub tls: Option<Arc<ClientConfig>>,
    line: Line,
    pub stop: AtomicBool,
    /// Hostile inputs: frames, connections or requests.
    pub inputs: AtomicU64,
    /// What the door said, and how often.
    pub said: Mutex<BTreeMap<String, u64>>,
}

impl Target {
    pub fn new(address: &str, number: u8) -> Self {
        let (stop, inputs, said) = (AtomicBool::new(false), AtomicU64::new(0), Mutex::default());
        let (address, turns) = (address.parse().unwrap(), AtomicU64::new(0));
        Self { address, network: number, turns, tls: None, line: Line::default(), stop, inputs, said }
    }

    pub fn goes_on(&self) -> bool {
        !self.stop.load(Ordering::Relaxed)
    }

    pub fn count(&self, inputs: u64) {
        self.inputs.fetch_add(inputs, Ordering::Relaxed);
    }

    pub fn note(&self, what: &str) {
        *self.said.lock().unwrap().entry(what.to_owned()).or_default() += 1;
    }
}

/// What the bytes go over.
enum Wire {
    Clear(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl std::io::Read for Wire {
    fn read(&mut self, buf: &mut [u8]) -> Result<usize> {
        match self {
            Self::Clear(stream) => stream.read(buf),
            Self::Tls(stream) => stream.read(buf),
        }
    }
}

impl std::io::Write for Wire {
    fn write(&mut self, buf: &[u8]) -> Result<usize> {
        match self {
            Self::Clear(stream) => stream.write(buf),
            Self::Tls(stream) => stream.write(buf),
        }
    }

    fn flush(&mut self) -> Result<()> {
        match self {
            Self::Clear(stream) => stream.flush(),
            Self::Tls(stream) => stream.flush(),
        }
    }
}

/// One connection of the attacker.
pub struct Hostile<'t> {
    target: &'t Target,
    stream: Wire,
    unread: Vec<u8>,
    closed: bool,
    /// Bytes that may be sent: over the connection, and over a new stream.
    window: (i64, i64),
    /// The stream that a body goes over, and what may be sent of it; none once it was answered.
    body: Option<(u32, i64)>,
}

impl<'t> Hostile<'t> {
    /// Connects from the address of the attack.
    pub fn connect(target: &'t Target) -> Result<Self> {
        Self::open(target, 1, None)
    }

    /// The same, from so many addresses by turns.
    pub fn connect_from(target: &'t Target, addresses: u8) -> Result<Self> {
        Self::open(target, addresses, None)
    }

    /// Connects, with room for so many bytes that are not read.
    pub fn with_buffer(target: &'t Target, room: usize) -> Result<Self> {
        Self::open(target, 1, Some(room))
    }

    fn open(target: &'t Target, addresses: u8, room: Option<usize>) -> Result<Self> {
        target.line.connection();
        let turn = target.turns.fetch_add(1, Ordering::Relaxed) % u64::from(addresses);
        let source = SocketAddr::from(([127, 1, target.network, u8::try_from(turn).unwrap() + 1], 0));
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)?;
        if let Some(room) = room {
            socket.set_recv_buffer_size(room)?;
        }
        socket.bind(&source.into())?;
        socket.connect_timeout(&target.address.into(), Duration::from_secs(5))?;
        let stream: TcpStream = socket.into();
        stream.set_nodelay(true)?;
        stream.set_write_timeout(Some(Duration::from_millis(200)))?;
        stream.set_read_timeout(Some(Duration::from_millis(1)))?;
        let stream = Wire::Clear(stream);
        Ok(Self { target, stream, unread: Vec::new(), closed: false, window: (65_535, 65_535), body: None })
    }

    /// Connects and begins as HTTP/2 asks, with these settings.
    pub fn begin(target: &'t Target, settings: &[(u16, u32)]) -> Result<Self> {
        Self::connect(target)?.encrypted()?.introduced(settings)
    }

    /// The same, from so many addresses by turns.
    pub fn begin_from(target: &'t Target, addresses: u8) -> Result<Self> {
        Self::connect_from(target, addresses)?.encrypted()?.introduced(&[])
    }

    /// Over TLS where the door asks for it.
    pub fn encrypted(self) -> Result<Self> {
        let Some(config) = &self.target.tls else { return Ok(self) };
        let Wire::Clear(mut stream) = self.stream else { return Err(ErrorKind::Unsupported.into()) };
        let name = ServerName::from(self.target.address.ip());
        let mut session = ClientConnection::new(Arc::clone(config), name).map_err(std::io::Error::other)?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        while session.is_handshaking() {
            session.complete_io(&mut stream)?;
        }
        stream.set_read_timeout(Some(Duration::from_millis(1)))?;
        let stream = Wire::Tls(Box::new(StreamOwned::new(session, stream)));
        Ok(Self { stream, ..self })
    }

    /// Begins as HTTP/2 asks, with these settings.
    pub fn introduced(mut self, settings: &[(u16, u32)]) -> Result<Self> {
        let pairs: Vec<u8> = settings
            .iter()
            .flat_map(|(id, value)| [&id.to_be_bytes()[..], &value.to_be_bytes()].concat())
            .collect();
        let first = if pairs.is_empty() { EMPTY_SETTINGS.to_vec() } else { frame(SETTINGS, 0, 0, &pairs) };
        self.send(&[PREFACE, &first].concat())?;
        Ok(self)
    }

    /// Sends the body of a request as fast as the door takes it: as a client does that keeps to its window.
    pub fn send_body(&mut self, stream: u32, body: &[u8]) -> Result<()> {
        self.body = Some((stream, self.window.1));
        let chunks = body.chunks(16 * 1024);
        let last = chunks.len().saturating_sub(1);
        for (at, chunk) in chunks.enumerate() {
            let size = i64::try_from(chunk.len()).unwrap();
            while self.body.is_some_and(|(_, left)| left.min(self.window.0) < size) {
                if !self.target.goes_on() || !self.hear() {
                    return Err(ErrorKind::Interrupted.into());
                }
            }
            let Some((_, left)) = self.body.as_mut() else { return Ok(()) };
            *left -= size;
            self.window.0 -= size;
            self.send(&frame(DATA, if at == last { END_STREAM } else { 0 }, stream, chunk))?;
        }
        Ok(())
    }

    /// Writes all of `bytes`, unless the attack is over or the door closes. A door that does not read holds
    /// us up and nothing else.
    pub fn send(&mut self, bytes: &[u8]) -> Result<()> {
        let mut rest = bytes;
        while !rest.is_empty() {
            if !self.target.goes_on() {
                return Err(ErrorKind::Interrupted.into());
            }
            match self.stream.write(rest) {
                Ok(written) => {
                    rest = &rest[written..];
                    self.target.line.bytes(written);
                }
                Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    self.target.note("did not read on");
                }
                Err(error) => {
                    self.hear();
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// Takes note of what the door has said so far; whether it still listens.
    pub fn hear(&mut self) -> bool {
        self.listen();
        self.read_frames();
        !self.closed
    }

    fn listen(&mut self) -> bool {
        let mut bytes = [0; 16 * 1024];
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_millis(20) {
            match self.stream.read(&mut bytes) {
                Ok(0) => {
                    self.close("closed");
                    break;
                }
                Ok(read) => self.unread.extend_from_slice(&bytes[..read]),
                Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => break,
                Err(_reset) => {
                    self.close("closed");
                    break;
                }
            }
        }
        !self.closed
    }

    /// The same, where what the door says are not frames.
    pub fn hear_noise(&mut self) -> bool {
        let goes_on = self.listen();
        self.unread.clear();
        goes_on
    }

    fn close(&mut self, how: &str) {
        if !self.closed {
            self.closed = true;
            self.target.note(how);
        }
    }

    fn read_frames(&mut self) {
        while let Some(head) = self.unread.first_chunk::<9>() {
            let head = *head;
            let [a, b, c, kind, flags, ..] = head;
            let length = usize::try_from(u32::from_be_bytes([0, a, b, c])).unwrap();
            let Some(payload) = self.unread.get(9..9 + length).map(<[u8]>::to_vec) else { return };
            let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
            let code = |at: usize| payload.get(at..at + 4).map_or(0, |c| c[3]);
            if matches!(kind, RST_STREAM | HEADERS) && self.body.is_some_and(|(id, _)| id == stream) {
                self.body = None;
            }
            match kind {
                GOAWAY => {
                    let why = String::from_utf8_lossy(payload.get(8..).unwrap_or_default()).into_owned();
                    let code = error_name(code(4));
                    self.target.note(format!("GOAWAY {code} {why}").trim_end());
                }
                RST_STREAM => self.target.note(&format!("RST_STREAM {}", error_name(code(0)))),
                HEADERS if flags & END_STREAM != 0 => self.target.note("refused"),
                HEADERS => self.target.note("answered"),
                WINDOW_UPDATE => {
                    let more = i64::from(u32::from_be_bytes(*payload.first_chunk().unwrap()));
                    match self.body.as_mut() {
                        _ if stream == 0 => self.window.0 += more,
                        Some((id, left)) if *id == stream => *left += more,
                        _ => {}
                    }
                }
                SETTINGS if flags & 1 == 0 => {
                    // The door goes by its settings when they are acknowledged.
                    let _gone = self.stream.write(&frame(SETTINGS, 1, 0, &[]));
                    for pair in payload.chunks_exact(6).filter(|pair| pair[..2] == [0, 4]) {
                        self.window.1 = i64::from(u32::from_be_bytes(*pair.last_chunk().unwrap()));
                    }
                }
                _ => {}
            }
            self.unread.drain(..9 + length);
        }
    }
}

/// The names of HTTP/2 error codes (RFC 9113, section 7).
fn error_name(code: u8) -> String {
    let names = [
        "NO_ERROR",
        "PROTOCOL_ERROR",
        "INTERNAL_ERROR",
        "FLOW_CONTROL_ERROR",
        "SETTINGS_TIMEOUT",
        "STREAM_CLOSED",
        "FRAME_SIZE_ERROR",
        "REFUSED_STREAM",
        "CANCEL",
        "COMPRESSION_ERROR",
        "CONNECT_ERROR",
        "ENHANCE_YOUR_CALM",
    ];
    names.get(usize::from(code)).map_or_else(|| code.to_string(), |&name| name.to_owned())
}

/// A frame.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let head = [&length[1..], &[kind, flags][..], &stream.to_be_bytes()].concat();
    [&head[..], payload].concat()
}

/// `payload` as DATA frames that fit.
pub fn data(stream: u32, payload: &[u8], ends: bool) -> Vec<u8> {
    let chunks: Vec<&[u8]> = payload.chunks(16 * 1024).collect();
    let last = chunks.len().saturating_sub(1);
    let flags = |at: usize| if ends && at == last { END_STREAM } else { 0 };
    chunks.iter().enumerate().flat_map(|(at, chunk)| frame(DATA, flags(at), stream, chunk)).collect()
}

/// A header field as HPACK writes it without a table and without Huffman codes.
pub fn literal(name: &str, value: &str) -> Vec<u8> {
    let text = |text: &str| {
        // A length of 127 and more takes further bytes.
        let mut out = Vec::new();
        let length = text.len();
        if length < 127 {
            out.push(u8::try_from(length).unwrap());
        } else {
            out.push(127);
            let mut rest = length - 127;
            while rest >= 128 {
                out.push(u8::try_from(rest % 128).unwrap() | 128);
                rest /= 128;
            }
            out.push(u8::try_from(rest).unwrap());
        }
        out.extend_from_slice(text.as_bytes());
        out
    };
    [vec![0], text(name), text(value)].concat()
}

/// The header block of a call of the ingest service, by a customer.
pub fn call(method: &str, more: &[(&str, &str)]) -> Vec<u8> {
    call_at(&format!("/usaged.ingest.v1.IngestService/{method}"), more)
}

/// The header block of a call of any service.
pub fn call_at(path: &str, more: &[(&str, &str)]) -> Vec<u8> {
    // POST, http.
    let mut block = vec![0x83, 0x86];
    for (name, value) in [
        (":path", path),
        (":authority", "localhost"),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
        ("usaged-customer", "hostile"),
    ] {
        block.extend(literal(name, value));
    }
    more.iter().for_each(|(name, value)| block.extend(literal(name, value)));
    block
}

/// The HEADERS of a call.
pub fn headers(stream: u32, flags: u8, block: &[u8]) -> Vec<u8> {
    frame(HEADERS, flags, stream, block)
}

/// A gRPC message: a flag and the length go before it.
pub fn message(flag: u8, bytes: &[u8]) -> Vec<u8> {
    [&[flag][..], &u32::try_from(bytes.len()).unwrap().to_be_bytes(), bytes].concat()
}

/// The stream ids that a client may use.
pub fn streams() -> impl Iterator<Item = u32> {
    (1..0x7fff_ffff).step_by(2)
}
