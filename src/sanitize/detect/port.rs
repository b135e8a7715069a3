//! Ports behind a dot: `10.1.2.3.22`, as tcpdump and netstat write an address with its port. Five groups of small numbers
//! are a version otherwise, so what stands around them has to say it.

use super::near::near;
use super::view::{self, UNDERSCORE, UPPER, View, WORD};

/// States of a connection, as netstat tells them behind its addresses; `FIN_WAIT_1` begins with one.
const STATES: [&[u8]; 9] = [
    b"ESTABLISHED",
    b"LISTEN",
    b"CLOSED",
    b"CLOSING",
    b"CLOSE_WAIT",
    b"TIME_WAIT",
    b"LAST_ACK",
    b"FIN_WAIT",
    b"SYN_",
];
/// Blanks between an address and the state.
const BLANKS: usize = 32;
/// Bytes of the longest state.
const STATE_BYTES: usize = 12;

/// Whether the fifth group of an address from `start` on, which ends at `end`, is said to be a port.
pub(super) fn is_said(view: View<'_>, start: usize, end: usize) -> bool {
    let before = view.behind(start, 3);
    let is_packet = before == b"IP " && !view::is(view.before(start - 3), WORD);
    let is_to = before == b" > ";
    let after = view.ahead(end, 3);
    let is_from = after == b" > " || after.starts_with(b" >") && after.len() == 2;
    let is_told = after.first() == Some(&b':')
        && after.get(1).is_none_or(u8::is_ascii_whitespace)
        && !matches!(view.before(start), b'-' | b'_');
    is_packet || is_to || is_from || is_told || is_connection(view, start, end)
}

/// Whether this is of the table of connections that netstat writes.
fn is_connection(view: View<'_>, start: usize, end: usize) -> bool {
    let at = view.past_spaces(end, BLANKS);
    let state = view.slice(at, view.run_within(at, UPPER | UNDERSCORE, STATE_BYTES));
    at > end && STATES.iter().any(|known| state.starts_with(known)) || near(view, start, &[b"tcp", b"udp"])
}
