//! What a refusal says.

use super::*;

#[test]
fn every_reason_is_stable_upper_snake_and_its_own() {
    let reasons: std::collections::BTreeSet<_> = Cause::ALL.iter().map(|c| c.reason()).collect();
    assert_eq!(reasons.len(), Cause::ALL.len());
    for reason in reasons {
        assert!(reason.bytes().all(|b| b.is_ascii_uppercase() || b == b'_'), "{reason}");
    }
}

#[test]
fn a_status_carries_the_field_the_reason_and_the_delay() {
    let fault = Fault::field("events", "at least one is required").retry_after(Duration::from_millis(250));
    let status = fault.status();
    assert_eq!(status.code(), Code::InvalidArgument);
    assert_eq!(status.message(), "events: at least one is required");
    let details = status.get_error_details();
    let info = details.error_info().unwrap();
    assert_eq!((info.reason.as_str(), info.domain.as_str()), ("INVALID_FIELD", "usaged"));
    let violation = details.bad_request().unwrap().field_violations.first().unwrap();
    assert_eq!(
        (violation.field.as_str(), violation.description.as_str()),
        ("events", "at least one is required")
    );
    assert_eq!(details.retry_info().unwrap().retry_delay, Some(Duration::from_millis(250)));
}

#[test]
fn the_longest_message_fits_into_what_clients_take_of_trailers() {
    let mut trailers = http::HeaderMap::new();
    Fault::field("participation", "é ".repeat(10_000)).status().add_header(&mut trailers).unwrap();
    let bytes: usize = trailers.iter().map(|(name, value)| name.as_str().len() + value.len() + 32).sum();
    assert!(bytes < 16 * 1024, "{bytes}");
    let mut plain = http::HeaderMap::new();
    Fault::field("participation", "word ".repeat(10_000)).status().add_header(&mut plain).unwrap();
    let bytes: usize = plain.iter().map(|(name, value)| name.as_str().len() + value.len() + 32).sum();
    assert!(bytes < 8 * 1024, "{bytes}");
}

#[test]
fn the_answer_in_a_stream_says_what_the_status_says() {
    let fault = Fault::of(Cause::Busy, "try again").retry_after(Duration::from_micros(10));
    let (status, error) = (fault.status(), fault.batch_error());
    assert_eq!((error.code, error.message.as_str()), (i32::from(status.code()), status.message()));
    assert_eq!((error.reason.as_str(), error.retry_delay_ms), ("BUSY", 1));
    assert_eq!(Fault::of(Cause::Internal, "").batch_error().retry_delay_ms, 0);
}

/// A kind of refusal, and how it comes to be.
type Kind = (&'static str, fn() -> Fault);

/// What many are refused for at the same moment, when the store fails or the collector ends.
#[test]
fn callers_that_are_refused_together_do_not_come_back_together() {
    use crate::{amend::AmendError, drain::DrainError, ledger::LedgerError};
    let kinds: [Kind; 9] = [
        ("full", || StoreError::Full.into()),
        ("busy", || StoreError::Busy.into()),
        ("failed", || StoreError::Failed.into()),
        ("closed", || StoreError::Closed.into()),
        ("counting", || AmendError::Counting.into()),
        ("amend ends", || AmendError::Stopped.into()),
        ("drain ends", || DrainError::Stopped.into()),
        ("ledger full", || LedgerError::Full.into()),
        ("ledger failed", || LedgerError::Failed.into()),
    ];
    for (kind, make) in kinds {
        let told: std::collections::BTreeSet<_> = (0..20).map(|_| make().retry()).collect();
        assert!(told.len() > 1 && !told.contains(&None), "{kind}: {told:?}");
    }
}
