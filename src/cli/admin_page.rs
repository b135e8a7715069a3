//! A page of a collector's admin port, asked for once: what `load` reads metrics from and `health` asks.

use std::io::{Error, ErrorKind, Read as _, Result, Write as _};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::time::Duration;

/// The most that is read of an answer: many times what `/metrics` has.
const BYTES: u64 = 16 << 20;

/// An answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Page {
    /// The status code.
    pub status: u16,
    /// What came after the head.
    pub body: String,
}

/// Asks the admin port at `admin` for `path`. Each step may take `patience`.
pub(super) fn read(admin: &str, path: &str, patience: Duration) -> Result<Page> {
    let mut failed = Error::new(ErrorKind::NotFound, "there is no such address");
    for address in admin.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, patience) {
            Ok(stream) => return ask(stream, admin, path, patience),
            Err(error) => failed = error,
        }
    }
    Err(failed)
}

fn ask(mut stream: TcpStream, host: &str, path: &str, patience: Duration) -> Result<Page> {
    stream.set_read_timeout(Some(patience))?;
    stream.set_write_timeout(Some(patience))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.take(BYTES).read_to_end(&mut answer)?;
    parse(&answer).ok_or_else(|| Error::new(ErrorKind::InvalidData, "the answer is not HTTP"))
}

fn parse(answer: &[u8]) -> Option<Page> {
    let text = std::str::from_utf8(answer).ok()?;
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?;
    Some(Page { status, body: body.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_a_status_and_a_body_or_no_answer() {
        let page = |status, body: &str| Some(Page { status, body: body.to_owned() });
        assert_eq!(parse(b"HTTP/1.1 200 OK\r\na: b\r\n\r\nready\n"), page(200, "ready\n"));
        assert_eq!(parse(b"HTTP/1.1 503 Service Unavailable\r\n\r\n"), page(503, ""));
        for wrong in
            ["", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 2\r\n\r\n", "SSH-2.0-x\r\n\r\n", "HTTP/1.1 2x0 \r\n\r\n"]
        {
            assert_eq!(parse(wrong.as_bytes()), None, "{wrong}");
        }
        assert_eq!(parse(b"\0\0\x12\x04\0\xff\xff"), None);
    }
}
