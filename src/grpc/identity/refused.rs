//! Why a caller is let in nowhere, or not here. What is answered never quotes a credential or a name, and a
//! caller that proves nothing learns nothing.

use crate::grpc::status::{Cause, Fault};
use crate::identity::{Denied, JwtError};

/// Why a caller is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refused {
    /// It proves nothing.
    Missing,
    /// What it proves itself with is none of ours, changed, or of another.
    Invalid,
    /// What it proves itself with has ended or was revoked.
    Ended,
    /// It is genuine, and no rule, or several, say who it is.
    Unknown,
    /// It is somebody else than when the call began.
    Changed,
    /// It is known, and may not do this.
    Denied(Denied),
    /// Too many new tokens are being checked.
    Busy,
}

impl Refused {
    /// The word for it in metrics.
    pub(super) const fn as_str(&self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Invalid => "invalid",
            Self::Ended => "ended",
            Self::Unknown => "unknown",
            Self::Changed => "changed",
            Self::Busy => "busy",
            Self::Denied(Denied::Method) => "method",
            Self::Denied(Denied::OtherCustomer) => "other_customer",
            Self::Denied(Denied::NoCustomer | Denied::BadCustomer) => "no_customer",
            Self::Denied(Denied::OtherSubscription) => "other_subscription",
        }
    }

    /// Whether the caller has not proved who it is: a guess that may be repeated.
    pub(super) const fn is_a_guess(&self) -> bool {
        matches!(self, Self::Missing | Self::Invalid)
    }

    /// What the caller is told.
    pub(super) fn fault(&self) -> Fault {
        match self {
            Self::Missing => Fault::of(
                Cause::NoCredential,
                "prove who you are: with a client certificate, or with the metadata `authorization: Bearer …`",
            ),
            Self::Invalid => Fault::of(
                Cause::BadCredential,
                "the credential proves nothing here; get one from the operator of this collector",
            ),
            Self::Ended => Fault::of(
                Cause::EndedCredential,
                "the credential has expired or was revoked; renew it and call again",
            ),
            Self::Unknown => Fault::of(
                Cause::UnknownIdentity,
                "the credential is genuine, but no identity, or more than one, is configured for it",
            ),
            Self::Changed => {
                Fault::of(Cause::UnknownIdentity, "this identity was changed while the call ran; call again")
            }
            Self::Busy => {
                let fault =
                    Fault::of(Cause::NoSlots, "too many new credentials are being checked; try again");
                fault.retry_after(std::time::Duration::from_secs(1))
            }
            Self::Denied(denied) => denied.into(),
        }
    }
}

impl From<&Denied> for Fault {
    fn from(denied: &Denied) -> Self {
        let cause = match denied {
            Denied::Method => Cause::MethodDenied,
            Denied::OtherCustomer => Cause::OtherCustomer,
            Denied::NoCustomer => Cause::NoCustomer,
            Denied::BadCustomer => Cause::BadCustomer,
            Denied::OtherSubscription => Cause::OtherSubscription,
        };
        Self::of(cause, denied.to_string())
    }
}

impl From<JwtError> for Refused {
    fn from(error: JwtError) -> Self {
        match error {
            JwtError::Ended => Self::Ended,
            JwtError::Form
            | JwtError::Algorithm
            | JwtError::Critical
            | JwtError::Issuer
            | JwtError::Audience
            | JwtError::Early
            | JwtError::Key
            | JwtError::Signature => Self::Invalid,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A job that holds its connection for days and whose credential runs out is told so as often as it asks, and is not
    /// treated as one that tries credentials out.
    #[test]
    fn a_credential_that_has_ended_is_no_guess_and_one_that_never_was_is() {
        assert!(!Refused::from(JwtError::Ended).is_a_guess());
        for refused in [Refused::Ended, Refused::Unknown, Refused::Changed, Refused::Busy] {
            assert!(!refused.is_a_guess(), "{refused:?}");
        }
        assert!(!Refused::Denied(Denied::Method).is_a_guess());
        for error in
            [JwtError::Form, JwtError::Algorithm, JwtError::Key, JwtError::Signature, JwtError::Early]
        {
            assert!(Refused::from(error).is_a_guess(), "{error:?}");
        }
        assert!(Refused::Missing.is_a_guess() && Refused::Invalid.is_a_guess());
    }
}
