//! Whether revocation lists are those of the CAs that client certificates come from. A list of another CA, or none for
//! one of them, would lock out everybody: rustls lets nobody in whose state it does not know.
//!
//! The lists of intermediate CAs are in the same file, each with the certificate of its CA beside it, which is trusted
//! for nothing else.

use rustls::pki_types::CertificateDer;

use super::tls::{TlsError, wrong};
use crate::identity::{IssuerCertificate, RevocationList, Signed};

const KEY: &str = "tls.client_crl";

/// Everything that is wrong with `lists`, in whose file the certificates `stated` stand, for clients of `cas`.
pub(super) fn check(
    lists: &[RevocationList],
    cas: &[CertificateDer<'_>],
    stated: &[CertificateDer<'_>],
) -> Vec<TlsError> {
    let mut problems = Vec::new();
    let Issuers { known, issued, strangers } = issuers(cas, stated);
    problems.extend(known.iter().skip(known.len() - issued).filter(|one| !one.may_revoke).map(|one| {
        let what = format!("the CA {} may not sign revocation lists (key usage cRLSign)", one.name);
        wrong(KEY, what, "issue its certificate anew")
    }));
    problems.extend(strangers.iter().map(|one| {
        let what = format!("the CA {}, which stands in it, is issued by none in tls.client_ca", one.name);
        wrong(KEY, what, "take its certificate out, or name the CA that issued it in tls.client_ca")
    }));
    problems.extend((1..).zip(lists).filter_map(|(at, list)| foreign(at, list, &known)));
    problems.extend(known.iter().filter_map(|ca| uncovered(ca, lists, &known)));
    problems
}

/// Who may have signed a list.
struct Issuers {
    /// The CAs that clients come from, and behind them those that they have issued.
    known: Vec<IssuerCertificate>,
    /// How many of them those are.
    issued: usize,
    /// Whom none of them has issued.
    strangers: Vec<IssuerCertificate>,
}

fn issuers(cas: &[CertificateDer<'_>], stated: &[CertificateDer<'_>]) -> Issuers {
    let read = |cas: &[CertificateDer<'_>]| -> Vec<IssuerCertificate> {
        cas.iter().filter_map(|ca| IssuerCertificate::read(ca)).collect()
    };
    let (mut known, mut strangers) = (read(cas), read(stated));
    let first = known.len();
    // Each that one of those before has issued, until no more are.
    loop {
        let (more, others): (Vec<_>, Vec<_>) = strangers.into_iter().partition(|one| {
            known.iter().any(|ca| ca.subject == one.signed.issuer && is_by(&one.signed, ca))
        });
        strangers = others;
        if more.is_empty() {
            return Issuers { issued: known.len() - first, known, strangers };
        }
        known.extend(more);
    }
}

/// The CAs that may sign a list: `cas`, and of those that are stated with the lists whom they have issued for that.
pub(super) fn known(cas: &[CertificateDer<'_>], stated: &[CertificateDer<'_>]) -> Vec<IssuerCertificate> {
    let Issuers { known, issued, .. } = issuers(cas, stated);
    let first = known.len() - issued;
    known.into_iter().enumerate().filter(|(at, ca)| *at < first || ca.may_revoke).map(|(_, ca)| ca).collect()
}

/// Whether a list is of one of these CAs, and of no other by its name.
pub(super) fn is_genuine(list: &RevocationList, known: &[IssuerCertificate]) -> bool {
    let mut named = known.iter().filter(|ca| ca.subject == list.signed.issuer).peekable();
    named.peek().is_some() && named.all(|ca| is_by(&list.signed, ca))
}

/// What is wrong if a list is of none of the CAs.
fn foreign(at: usize, list: &RevocationList, known: &[IssuerCertificate]) -> Option<TlsError> {
    let mut named = known.iter().filter(|ca| ca.subject == list.signed.issuer).peekable();
    if named.peek().is_none() {
        let what =
            format!("revocation list {at} of it is of {}, which is no CA in tls.client_ca", list.signed.by);
        let remedy = "name the lists of those CAs; put the certificate of an intermediate CA beside its list";
        return Some(wrong(KEY, what, remedy));
    }
    if named.any(|ca| is_by(&list.signed, ca)) {
        return None;
    }
    let what = format!("revocation list {at} of it is not signed by {}, whose name it has", list.signed.by);
    Some(wrong(KEY, what, "fetch the list from that CA again"))
}

/// What is wrong if nobody of a CA could be let in with these lists.
fn uncovered(
    ca: &IssuerCertificate,
    lists: &[RevocationList],
    known: &[IssuerCertificate],
) -> Option<TlsError> {
    let mut named = lists.iter().filter(|list| list.signed.issuer == ca.subject).peekable();
    if named.peek().is_none() {
        let what = format!("holds no revocation list of the CA {}", ca.name);
        return Some(wrong(KEY, what, "add its list: nobody who comes from that CA would be let in"));
    }
    // Of lists by one name the first is taken, whoever signed it.
    let by_another = |list: &RevocationList| {
        !list.is_partial && !is_by(&list.signed, ca) && known.iter().any(|other| is_by(&list.signed, other))
    };
    if !named.any(by_another) {
        return None;
    }
    let what =
        format!("two CAs called {} have different keys, and lists are told apart by the name", ca.name);
    Some(wrong(KEY, what, "leave the one that is not used any more out of tls.client_ca"))
}

/// Whether a CA has signed this.
fn is_by(signed: &Signed, ca: &IssuerCertificate) -> bool {
    let algorithms = rustls::crypto::ring::default_provider().signature_verification_algorithms;
    algorithms.all.iter().any(|algorithm| {
        // The identifier is an OBJECT IDENTIFIER, perhaps with parameters after it: the key has to fit in any case.
        let is_it = algorithm.signature_alg_id().get(2..).is_some_and(|id| id.starts_with(&signed.algorithm));
        is_it && algorithm.verify_signature(&ca.key, &signed.message, &signed.signature).is_ok()
    })
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test")]
#[path = "revocation_tests.rs"]
mod tests;
