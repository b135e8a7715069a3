//! Where `send` reads: lines of JSON that are gathered into batches, or batches ready made.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use bytes::Bytes;

use crate::cli::event_text;
use crate::cli::exit::Failure;
use crate::grpc::client::Message as _;
use crate::grpc::proto::ingest::{Event, ProgramLevel, SubmitRequest};
use crate::model::limits;

/// Bytes of one line: an event of 256 fields of 64 KiB cannot be sent anyway.
const LINE_BYTES: u64 = 4 << 20;
/// Bytes after which a batch of lines is closed, so that the request stays below the limit.
const BATCH_BYTES: usize = limits::REQUEST_BYTES / 2;

/// What every batch of a file of lines says.
#[derive(Debug, Clone, Default)]
pub(super) struct Head {
    pub product: String,
    pub instance: String,
    pub region: String,
    pub level_caps: Vec<ProgramLevel>,
}

/// An open file.
pub(super) struct Input {
    name: String,
    reader: BufReader<Box<dyn Read + Send>>,
}

/// A batch as it goes over the wire.
pub(in crate::cli) struct Batch {
    /// A `usaged.ingest.v1.SubmitRequest`.
    pub request: Bytes,
    /// Events in it.
    pub events: usize,
}

impl Batch {
    /// Encodes a request, once.
    pub fn encode(request: &SubmitRequest) -> Self {
        Self { request: request.encode_to_vec().into(), events: request.events.len() }
    }
}

/// Batches that are read one after another.
pub(super) struct Batches {
    input: Input,
    kind: Kind,
    bytes: u64,
    line: u64,
    /// The event that did not fit into the batch before.
    carried: Option<Event>,
}

enum Kind {
    Lines { head: Head, size: usize },
    Messages,
}

impl Input {
    /// Opens a file, or standard input for `-`.
    pub fn open(file: &Path) -> Result<Self, Failure> {
        let name =
            if file.as_os_str() == "-" { "standard input".to_owned() } else { file.display().to_string() };
        let reader: Box<dyn Read + Send> = if file.as_os_str() == "-" {
            Box::new(std::io::stdin())
        } else {
            Box::new(File::open(file).map_err(Failure::io(format!("opening {name}")))?)
        };
        Ok(Self { name, reader: BufReader::with_capacity(256 << 10, reader) })
    }

    /// Reads events, one a line, into batches of `size`.
    pub fn lines(self, head: Head, size: usize) -> Batches {
        Batches { input: self, kind: Kind::Lines { head, size }, bytes: 0, line: 0, carried: None }
    }

    /// Reads requests that are ready made.
    pub fn messages(self) -> Batches {
        Batches { input: self, kind: Kind::Messages, bytes: 0, line: 0, carried: None }
    }
}

/// An id for a new batch.
pub(in crate::cli) fn new_batch_id() -> String {
    uuid::Uuid::now_v7().to_string()
}

impl Batches {
    /// How many bytes of the file were read.
    pub const fn bytes_read(&self) -> u64 {
        self.bytes
    }

    /// The next batch, or nothing at the end.
    pub fn next(&mut self) -> Result<Option<Batch>, Failure> {
        match &self.kind {
            Kind::Messages => self.message(),
            Kind::Lines { .. } => Ok(self.request()?.as_ref().map(Batch::encode)),
        }
    }

    /// The next lines as a request; nothing at the end, or where there are no lines.
    pub fn request(&mut self) -> Result<Option<SubmitRequest>, Failure> {
        let Kind::Lines { head, size } = &self.kind else { return Ok(None) };
        let (head, size) = (head.clone(), *size);
        let events = self.events(size)?;
        Ok((!events.is_empty()).then(|| SubmitRequest {
            batch_id: new_batch_id(),
            product: head.product,
            instance: head.instance,
            region: head.region,
            level_caps: head.level_caps,
            events,
            plan_version: String::new(),
        }))
    }

    fn events(&mut self, size: usize) -> Result<Vec<Event>, Failure> {
        let mut events: Vec<Event> = self.carried.take().into_iter().collect();
        let mut bytes = events.iter().map(Event::encoded_len).sum::<usize>();
        while events.len() < size {
            let Some(event) = self.event()? else { break };
            bytes = bytes.saturating_add(event.encoded_len());
            if bytes > BATCH_BYTES && !events.is_empty() {
                self.carried = Some(event);
                break;
            }
            events.push(event);
        }
        Ok(events)
    }

    fn event(&mut self) -> Result<Option<Event>, Failure> {
        let mut line = Vec::new();
        loop {
            line.clear();
            self.line = self.line.saturating_add(1);
            let mut bounded = self.input.reader.by_ref().take(LINE_BYTES);
            let read = bounded
                .read_until(b'\n', &mut line)
                .map_err(Failure::io(format!("reading {}", self.input.name)))?;
            let read = u64::try_from(read).unwrap_or(u64::MAX);
            self.bytes = self.bytes.saturating_add(read);
            if read == 0 {
                return Ok(None);
            }
            if read >= LINE_BYTES {
                return Err(self.wrong("is longer than 4 MiB"));
            }
            let Ok(text) = std::str::from_utf8(&line) else { return Err(self.wrong("is not UTF-8")) };
            if !text.trim().is_empty() {
                return event_text::parse(text).map(Some).map_err(|what| self.wrong(&what));
            }
        }
    }

    fn wrong(&self, what: &str) -> Failure {
        let Input { name, .. } = &self.input;
        Failure::Failed(format!("{name}, line {}: {what}; what was read before it was sent", self.line))
    }

    fn message(&mut self) -> Result<Option<Batch>, Failure> {
        let at = self.bytes;
        let name = self.input.name.clone();
        let wrong = |what: &str| {
            Failure::Failed(format!("{name}, byte {at}: {what}; what was read before it was sent"))
        };
        let Some(len) = self.length().map_err(|_| wrong("is not a length"))? else { return Ok(None) };
        if len > limits::REQUEST_BYTES {
            return Err(wrong(
                "a request is longer than 4 MiB, or this is not a row of length-delimited requests",
            ));
        }
        let mut bytes = vec![0; len];
        self.input
            .reader
            .read_exact(&mut bytes)
            .map_err(|_| wrong("the file ends in the middle of a request"))?;
        self.bytes = self.bytes.saturating_add(u64::try_from(len).unwrap_or(0));
        let request =
            SubmitRequest::decode(&*bytes).map_err(|_| wrong("is not a usaged.ingest.v1.SubmitRequest"))?;
        if request.batch_id.is_empty() {
            let id = SubmitRequest { batch_id: new_batch_id(), ..SubmitRequest::default() };
            bytes.splice(0..0, id.encode_to_vec());
        }
        Ok(Some(Batch { request: bytes.into(), events: request.events.len() }))
    }

    /// The varint before a message; nothing at the end of the file.
    fn length(&mut self) -> std::io::Result<Option<usize>> {
        let mut len = 0_usize;
        for shift in (0..35).step_by(7) {
            let mut byte = [0];
            if self.input.reader.read(&mut byte)? == 0 {
                return if shift == 0 { Ok(None) } else { Err(std::io::ErrorKind::UnexpectedEof.into()) };
            }
            self.bytes = self.bytes.saturating_add(1);
            let [byte] = byte;
            len |= usize::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(Some(len));
            }
        }
        Err(std::io::ErrorKind::InvalidData.into())
    }
}
