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
    let read = |cas: &[CertificateDer<'_>]| -> Vec<IssuerCertificate> {
        cas.iter().filter_map(|ca| IssuerCertificate::read(ca)).collect()
    };
    let (cas, mut stated) = (read(cas), read(stated));
    let mut problems = Vec::new();
    // Each that one of those before has issued, until no more are.
    let mut known = cas;
    loop {
        let (issued, others): (Vec<_>, Vec<_>) = stated.into_iter().partition(|one| {
            known.iter().any(|ca| ca.subject == one.signed.issuer && is_by(&one.signed, ca))
        });
        stated = others;
        if issued.is_empty() {
            break;
        }
        for one in issued {
            if !one.may_revoke {
                let what = format!("the CA {} may not sign revocation lists (key usage cRLSign)", one.name);
                problems.push(wrong(KEY, what, "issue its certificate anew"));
            }
            known.push(one);
        }
    }
    problems.extend(stated.iter().map(|one| {
        let what = format!("the CA {}, which stands in it, is issued by none in tls.client_ca", one.name);
        wrong(KEY, what, "take its certificate out, or name the CA that issued it in tls.client_ca")
    }));
    problems.extend((1..).zip(lists).filter_map(|(at, list)| foreign(at, list, &known)));
    problems.extend(known.iter().filter_map(|ca| uncovered(ca, lists, &known)));
    problems
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
