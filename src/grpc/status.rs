//! The one table from what went wrong to a gRPC status. A status says which place and which
//! remedy, never a value and never a name that a sender made.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use super::proto::ingest::BatchError;
use crate::ingest::fair::{Pressure, spread};
use crate::observe::{Metric, Seldom};
use crate::store::StoreError;

/// It can be met by every request.
static DAMAGED_ROW: Seldom = Seldom::new();

/// It can be so of every request.
static NO_STORE: Seldom = Seldom::new();

/// Bytes of one message. It goes out up to three times, twice in base64, and clients take 8 KiB of
/// trailers.
const MESSAGE_BYTES: usize = 1536;

/// The domain of every `google.rpc.ErrorInfo`.
pub const DOMAIN: &str = "usaged";

/// Defines the table.
macro_rules! causes {
    ($($(#[$doc:meta])* $cause:ident = $code:ident $reason:literal,)+) => {
        /// What went wrong, as a client can branch on it.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Cause { $($(#[$doc])* $cause,)+ }

        impl Cause {
            /// Every row of the table.
            pub const ALL: &'static [Self] = &[$(Self::$cause,)+];

            /// The gRPC status code.
            #[must_use]
            pub const fn code(self) -> Code {
                match self { $(Self::$cause => Code::$code,)+ }
            }

            /// Begins the count of each with zero.
            pub(super) fn begin_counts() {
                for cause in Self::ALL {
                    Metric::RequestsRefused.begin(&[("reason", cause.reason())]);
                }
            }

            /// The stable reason, as in `google.rpc.ErrorInfo`.
            #[must_use]
            pub const fn reason(self) -> &'static str {
                match self { $(Self::$cause => $reason,)+ }
            }
        }
    };
}

causes! {
    /// A field of the request does not follow its rule.
    InvalidField = InvalidArgument "INVALID_FIELD",
    /// The bytes of the request are not what the API declares.
    Malformed = InvalidArgument "MALFORMED_REQUEST",
    /// The request is larger than the limit.
    TooLarge = InvalidArgument "REQUEST_TOO_LARGE",
    /// The same batch id came with another body.
    BatchIdReused = InvalidArgument "BATCH_ID_REUSED",
    /// The request is compressed in a way that is not known.
    UnknownCompression = Unimplemented "COMPRESSION_NOT_SUPPORTED",
    /// There is no such method.
    NoSuchMethod = Unimplemented "NO_SUCH_METHOD",
    /// The caller does not say which customer it reports for.
    NoCustomer = Unauthenticated "CUSTOMER_MISSING",
    /// What the caller says is not a customer id.
    BadCustomer = Unauthenticated "CUSTOMER_INVALID",
    /// The caller proves nothing.
    NoCredential = Unauthenticated "CREDENTIAL_MISSING",
    /// What the caller proves itself with is none of ours, changed, or of another.
    BadCredential = Unauthenticated "CREDENTIAL_INVALID",
    /// What the caller proves itself with has expired or was revoked.
    EndedCredential = Unauthenticated "CREDENTIAL_ENDED",
    /// The keys that would check the caller's credential are not here yet.
    KeysAwaited = Unavailable "IDENTITY_KEYS_UNAVAILABLE",
    /// The credential is genuine, but nothing, or more than one thing, says whose it is.
    UnknownIdentity = PermissionDenied "IDENTITY_UNKNOWN",
    /// The caller's role may not call the method.
    MethodDenied = PermissionDenied "METHOD_NOT_PERMITTED",
    /// The call names a customer that is not the caller's.
    OtherCustomer = PermissionDenied "CUSTOMER_NOT_PERMITTED",
    /// The call names a subscription that is not the caller's.
    OtherSubscription = PermissionDenied "SUBSCRIPTION_NOT_PERMITTED",
    /// There is no such token.
    NoToken = NotFound "TOKEN_NOT_FOUND",
    /// There are as many tokens as there may be.
    TooManyTokens = FailedPrecondition "TOO_MANY_TOKENS",
    /// The collector is not set up to accept tokens of its own.
    TokensOff = FailedPrecondition "TOKENS_NOT_ACCEPTED",
    /// There is no such subscription.
    NoSubscription = NotFound "SUBSCRIPTION_NOT_FOUND",
    /// There is a subscription of that name.
    SubscriptionExists = AlreadyExists "SUBSCRIPTION_EXISTS",
    /// There are as many subscriptions as there may be.
    TooManySubscriptions = FailedPrecondition "TOO_MANY_SUBSCRIPTIONS",
    /// The customer never had a participation.
    NoParticipation = NotFound "PARTICIPATION_NOT_FOUND",
    /// No batch is remembered under an id.
    NoBatch = NotFound "BATCH_NOT_FOUND",
    /// The participation has another revision than the caller expects.
    RevisionChanged = Aborted "REVISION_CHANGED",
    /// There is no such erasure.
    NoErasure = NotFound "ERASURE_NOT_FOUND",
    /// The id belongs to another erasure.
    ErasureIdReused = InvalidArgument "ERASURE_ID_REUSED",
    /// There are as many erasures as may be remembered.
    TooManyErasures = FailedPrecondition "TOO_MANY_ERASURES",
    /// The queue takes longer to look through than one request may take.
    CountTooLong = FailedPrecondition "COUNT_TOO_LONG",
    /// The policy on disk has a mistake; the one in force stays.
    PolicyRefused = FailedPrecondition "POLICY_REFUSED",
    /// The policy on disk cannot be read, because its disk does not answer; the one in force stays.
    PolicyUnread = Unavailable "POLICY_UNREADABLE",
    /// The new root key cannot be used; the present one stays.
    RootKeyRefused = FailedPrecondition "ROOT_KEY_REFUSED",
    /// A backup could not be made; nothing is left of it.
    BackupFailed = FailedPrecondition "BACKUP_FAILED",
    /// There is no such bridge.
    NoBridge = NotFound "BRIDGE_NOT_FOUND",
    /// There is a bridge of that customer and epoch.
    BridgeExists = AlreadyExists "BRIDGE_EXISTS",
    /// There are as many bridges as there may be.
    TooManyBridges = FailedPrecondition "TOO_MANY_BRIDGES",
    /// The disk budget is spent.
    StoreFull = ResourceExhausted "STORE_FULL",
    /// Every queue before the store is full.
    Busy = ResourceExhausted "BUSY",
    /// The bytes that requests in flight may take are spent.
    NoBytes = ResourceExhausted "REQUEST_BYTES_SPENT",
    /// The bytes that requests of this customer may take are spent.
    CustomerBytes = ResourceExhausted "CUSTOMER_REQUEST_BYTES_SPENT",
    /// As many requests of this customer are in flight as there may be.
    CustomerRequests = ResourceExhausted "CUSTOMER_TOO_MANY_REQUESTS",
    /// This customer sends more events a second than it may.
    CustomerEventRate = ResourceExhausted "CUSTOMER_EVENT_RATE",
    /// This customer sends more bytes a second than it may.
    CustomerByteRate = ResourceExhausted "CUSTOMER_BYTE_RATE",
    /// As many requests are in flight as there may be.
    NoSlots = ResourceExhausted "TOO_MANY_REQUESTS",
    /// The collector cannot store anything now.
    Unavailable = Unavailable "STORE_UNAVAILABLE",
    /// The connection is about to close.
    Closing = Unavailable "CONNECTION_CLOSING",
    /// The request did not arrive, or was not answered, in time.
    Slow = Unavailable "REQUEST_TOO_SLOW",
    /// The caller went away.
    Cancelled = Cancelled "CANCELLED",
    /// A stored record failed its checks.
    Damaged = DataLoss "RECORD_DAMAGED",
    /// A mistake in the collector.
    Internal = Internal "INTERNAL",
}

impl Cause {
    /// The status of an answer over HTTP.
    #[must_use]
    pub const fn http_status(self) -> u16 {
        match self.code() {
            Code::Ok => 200,
            Code::InvalidArgument | Code::FailedPrecondition | Code::OutOfRange => 400,
            Code::Unauthenticated => 401,
            Code::PermissionDenied => 403,
            Code::NotFound => 404,
            Code::AlreadyExists | Code::Aborted => 409,
            Code::ResourceExhausted => 429,
            Code::Cancelled => 499,
            Code::Unknown | Code::Internal | Code::DataLoss => 500,
            Code::Unimplemented => 501,
            Code::Unavailable => 503,
            Code::DeadlineExceeded => 504,
        }
    }
}

/// A refusal: its row, what to say, the field it is about and when to try again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    cause: Cause,
    message: Cow<'static, str>,
    field: Cow<'static, str>,
    quota: Option<&'static str>,
    retry: Option<Duration>,
}

impl Fault {
    /// A refusal for `cause`. `message` says what is wrong and what to do; a long one is cut.
    pub fn of(cause: Cause, message: impl Into<Cow<'static, str>>) -> Self {
        Self { cause, message: bounded(message.into()), field: Cow::Borrowed(""), quota: None, retry: None }
    }

    /// A field that does not follow its rule.
    pub fn field(field: impl Into<Cow<'static, str>>, rule: impl Into<Cow<'static, str>>) -> Self {
        Self::of(Cause::InvalidField, rule).at(field)
    }

    /// Names the field of the request that is wrong.
    #[must_use]
    pub fn at(mut self, field: impl Into<Cow<'static, str>>) -> Self {
        self.field = field.into();
        self
    }

    /// Says when to try again, of a time that is another for each caller already.
    #[must_use]
    pub const fn retry_after(mut self, delay: Duration) -> Self {
        self.retry = Some(delay);
        self
    }

    /// Says when to try again: not before `soonest`, later and further apart the more were refused of late.
    #[must_use]
    pub fn spread(self, soonest: Duration) -> Self {
        static BEGUN: LazyLock<Instant> = LazyLock::new(Instant::now);
        static REFUSED: Pressure = Pressure::new();
        let second = u32::try_from(BEGUN.elapsed().as_secs()).unwrap_or(u32::MAX);
        self.retry_after(spread(soonest, REFUSED.count(second), rand::random()))
    }

    /// Names the quota of the customer that is used up.
    #[must_use]
    pub const fn over_quota(mut self, quota: &'static str) -> Self {
        self.quota = Some(quota);
        self
    }

    /// The row of the table.
    #[must_use]
    pub const fn cause(&self) -> Cause {
        self.cause
    }

    /// When the caller is to try again.
    #[cfg(test)]
    pub(in crate::grpc) const fn retry(&self) -> Option<Duration> {
        self.retry
    }

    /// What is wrong and what to do, with the field that it is about in front.
    #[must_use]
    pub fn text(&self) -> String {
        if self.field.is_empty() {
            self.message.to_string()
        } else {
            format!("{}: {}", self.field, self.message)
        }
    }

    /// As the status of a call, with the google.rpc details. Counts the refusal: there is one for each.
    #[must_use]
    pub fn status(&self) -> Status {
        Metric::RequestsRefused.add(&[("reason", self.cause.reason())], 1);
        let mut details = ErrorDetails::new();
        details.set_error_info(self.cause.reason(), DOMAIN, HashMap::new());
        if !self.field.is_empty() {
            details.add_bad_request_violation(self.field.as_ref(), self.message.as_ref());
        }
        if let Some(quota) = self.quota {
            details.add_quota_failure_violation("customer", quota);
        }
        if let Some(delay) = self.retry {
            details.set_retry_info(Some(delay));
        }
        Status::with_error_details(self.cause.code(), self.text(), details)
    }

    /// As the answer to one batch of a stream. Counts the refusal.
    #[must_use]
    pub fn batch_error(&self) -> BatchError {
        Metric::RequestsRefused.add(&[("reason", self.cause.reason())], 1);
        let delay = self.retry.map_or(0, |d| d.as_millis().max(1));
        BatchError {
            code: i32::from(self.cause.code()),
            message: self.text(),
            reason: self.cause.reason().to_owned(),
            field: self.field.to_string(),
            retry_delay_ms: u32::try_from(delay).unwrap_or(u32::MAX),
        }
    }
}

fn bounded(message: Cow<'static, str>) -> Cow<'static, str> {
    if message.len() <= MESSAGE_BYTES {
        return message;
    }
    let end = (0..=MESSAGE_BYTES).rev().find(|at| message.is_char_boundary(*at)).unwrap_or(0);
    Cow::Owned(format!("{} …", message.get(..end).unwrap_or_default()))
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        let soon = Duration::from_secs(1);
        match error {
            StoreError::Database { .. } => {
                if let Some(unsaid) = NO_STORE.due() {
                    tracing::error!(%error, unsaid, "the store did not answer");
                }
                Self::of(Cause::Unavailable, "the store cannot be read or written now; try again")
                    .spread(soon)
            }
            StoreError::Damaged { .. } => {
                if let Some(unsaid) = DAMAGED_ROW.due() {
                    tracing::error!(%error, unsaid, "a row of the store is damaged");
                }
                Self::of(Cause::Damaged, "what was asked for is damaged on disk; the operator has to act")
            }
            StoreError::Full => Self::of(Cause::StoreFull, error.to_string()).spread(soon),
            StoreError::Busy => Self::of(Cause::Unavailable, error.to_string()).spread(soon),
            StoreError::Failed | StoreError::Closed | StoreError::Entropy | StoreError::Stale => {
                Self::of(Cause::Unavailable, "the store cannot be written now; try again").spread(soon)
            }
        }
    }
}

impl From<Fault> for Status {
    fn from(fault: Fault) -> Self {
        fault.status()
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test")]
#[path = "status_tests.rs"]
mod tests;
