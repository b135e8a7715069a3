//! What is asked of a request before anything of it is read, and what a connection remembers of its caller.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use arc_swap::ArcSwapOption;
use http::HeaderMap;
use tokio_util::sync::CancellationToken;

use super::CUSTOMER_KEY;
use super::access::{Access, Known, Proof};
use super::authority::Authority;
use super::certificate::ClientCertificate;
use super::refused::{GUESS, Refused};
use crate::grpc::status::Fault;
use crate::identity::{Entry, Named, Principal, decide, entry};
use crate::model::{CustomerId, UnixMillis};

/// What requests without a genuine credential may weigh in all on one connection before it is asked to go away: 16
/// guesses, or 1024 that could not be checked.
const GUESSES: u32 = 16 * GUESS;

/// How long what was found out about a connection's certificate holds, in milliseconds, if nothing changes: the
/// whole chain is checked again then.
const CHECKED_FOR: i64 = 60_000;

/// Whether callers are asked who they are. Clones share it.
#[derive(Clone, Default)]
pub struct Gate(Option<Authority>);

impl Gate {
    /// Callers are believed: only for a door that other machines do not reach.
    #[must_use]
    pub const fn open() -> Self {
        Self(None)
    }

    /// Callers prove who they are.
    #[must_use]
    pub const fn guarded(authority: Authority) -> Self {
        Self(Some(authority))
    }

    pub(in crate::grpc) const fn authority(&self) -> Option<&Authority> {
        self.0.as_ref()
    }
}

/// The caller of one connection.
pub struct Visitor {
    gate: Gate,
    certificate: Option<Arc<ClientCertificate>>,
    /// Whom the certificate makes of it.
    known: ArcSwapOption<Resolved>,
    guesses: AtomicU32,
    /// Whether a call on it was let in by a credential.
    is_known: AtomicBool,
    /// Cancelled to ask the connection to go away.
    closing: CancellationToken,
}

struct Resolved {
    generation: u64,
    at: UnixMillis,
    who: Result<Principal, Refused>,
}

impl Visitor {
    /// A caller that came with a certificate, or without.
    pub(in crate::grpc) fn new(
        gate: Gate,
        chain: Option<&[rustls::pki_types::CertificateDer<'static>]>,
        closing: CancellationToken,
    ) -> Self {
        let certificate = ClientCertificate::of(chain).map(Arc::new);
        let (known, guesses, is_known) = (ArcSwapOption::empty(), AtomicU32::new(0), AtomicBool::new(false));
        Self { gate, certificate, known, guesses, is_known, closing }
    }

    /// Decides a request by its path and its headers.
    pub(in crate::grpc) fn admit(&self, path: &str, headers: &HeaderMap) -> Result<Access, Fault> {
        let Some(authority) = self.gate.authority() else {
            return Ok(Access::local(named(headers)));
        };
        let entry = entry(path);
        if entry == Entry::Open {
            return Ok(Access::anyone());
        }
        let admitted = self.known_caller(authority, entry, headers);
        if admitted.is_ok() {
            self.is_known.store(true, Ordering::Relaxed);
        }
        admitted.map_err(|refused| {
            authority.refused(&refused);
            let weight = refused.weight(self.is_known.load(Ordering::Relaxed));
            let before = self.guesses.fetch_add(weight, Ordering::Relaxed);
            if weight > 0 && before.saturating_add(weight) > GUESSES {
                self.closing.cancel();
            }
            refused.fault()
        })
    }

    fn known_caller(
        &self,
        authority: &Authority,
        entry: Entry,
        headers: &HeaderMap,
    ) -> Result<Access, Refused> {
        let now = authority.now();
        let generation = authority.generation();
        let (principal, proof) =
            match authority.by_headers(headers, now, self.is_known.load(Ordering::Relaxed))? {
                Some(by_token) => by_token,
                None => self.by_certificate(authority, generation, now)?,
            };
        if principal.has_ended(now) {
            return Err(Refused::Ended);
        }
        let grant = match entry {
            Entry::Granted(grant) => Some(grant),
            // Refused before it is asked who they are, `Open` was let in.
            Entry::Known | Entry::Open => None,
            Entry::Nobody => return Err(Refused::Denied(crate::identity::Denied::Method)),
        };
        let named = named(headers);
        let customer = match grant {
            Some(grant) => decide(grant, &principal.role, named).map_err(Refused::Denied)?,
            None => None,
        };
        Ok(Access::known(Known::new(authority.clone(), proof, principal, customer, generation)))
    }

    fn by_certificate(
        &self,
        authority: &Authority,
        generation: u64,
        now: UnixMillis,
    ) -> Result<(Principal, Proof), Refused> {
        let certificate = self.certificate.as_ref().ok_or(Refused::Missing)?;
        let proof = || Proof::Certificate(Arc::clone(certificate));
        let known = self.known.load();
        if let Some(known) = known.as_ref().filter(|known| {
            known.generation == generation && (0..CHECKED_FOR).contains(&now.ms_since(known.at))
        }) {
            return known.who.clone().map(|who| (who, proof()));
        }
        let who = authority.by_certificate(certificate, now);
        self.known.store(Some(Arc::new(Resolved { generation, at: now, who: who.clone() })));
        who.map(|who| (who, proof()))
    }
}

/// The customer that a request names beside its credential.
fn named(headers: &HeaderMap) -> Named {
    let mut given = headers.get_all(CUSTOMER_KEY).iter();
    match (given.next(), given.next()) {
        (None, _) => Named::Nobody,
        (Some(value), None) => {
            let id = value.to_str().ok().and_then(|text| CustomerId::new(text).ok());
            id.map_or(Named::Wrong, Named::One)
        }
        (Some(_), Some(_)) => Named::Wrong,
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test")]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(values: &[&[u8]]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(CUSTOMER_KEY, HeaderValue::from_bytes(value).unwrap());
        }
        headers
    }

    fn local(values: &[&[u8]]) -> Result<CustomerId, Fault> {
        let visitor = Visitor::new(Gate::open(), None, CancellationToken::new());
        visitor.admit("/usaged.ingest.v1.IngestService/Submit", &headers(values)).unwrap().customer()
    }

    #[test]
    fn a_loopback_caller_is_the_customer_it_names() {
        assert_eq!(local(&[b"acme.example"]).unwrap().as_str(), "acme.example");
    }

    #[test]
    fn a_caller_without_one_valid_customer_is_refused_and_not_quoted() {
        let long = [b'a'; 129];
        let cases: [&[&[u8]]; 6] = [&[], &[b""], &[b"no spaces"], &[b"a", b"b"], &[b"\xff\xfe"], &[&long]];
        for values in cases {
            let status = local(values).unwrap_err().status();
            assert_eq!(status.code(), tonic::Code::Unauthenticated);
            assert!(!status.message().contains("no spaces") && !status.message().contains("aaaa"));
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test")]
#[path = "gate_tests.rs"]
mod guarded_tests;
