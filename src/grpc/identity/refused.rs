//! Why a caller is let in nowhere, or not here. What is answered never quotes a credential or a name, and a
//! caller that proves nothing learns nothing.

use std::time::Duration;

use crate::grpc::status::{Cause, Fault};
use crate::identity::{Denied, JwtError};

/// What a guess weighs, and with it how often a caller may be told to call again for each.
pub(super) const GUESS: u32 = 64;

/// The soonest that is told to who is to call again.
const SOON: Duration = Duration::from_secs(1);

/// Why a caller is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refused {
    /// It proves nothing.
    Missing,
    /// What it proves itself with is none of ours, changed, or of another.
    Invalid,
    /// What it proves itself with has ended or was revoked. It was genuine.
    Ended,
    /// What it proves itself with says that it has ended. Whether it ever was genuine was not looked at.
    SaysEnded,
    /// The key that would check its token is not here, and may be with the next keys of the provider.
    Unchecked,
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
            Self::Ended | Self::SaysEnded => "ended",
            Self::Unchecked => "unchecked",
            Self::Unknown => "unknown",
            Self::Changed => "changed",
            Self::Busy => "busy",
            Self::Denied(Denied::Method) => "method",
            Self::Denied(Denied::OtherCustomer) => "other_customer",
            Self::Denied(Denied::NoCustomer | Denied::BadCustomer) => "no_customer",
            Self::Denied(Denied::OtherSubscription) => "other_subscription",
        }
    }

    /// How much of what a connection may bring without a genuine credential this takes. `is_known` says whether the
    /// connection has proved itself before: who did so is not one that tries credentials out when they run out, and
    /// waits for nothing but us when they cannot be checked.
    pub(super) const fn weight(&self, is_known: bool) -> u32 {
        match self {
            Self::Missing | Self::Invalid => GUESS,
            Self::SaysEnded if !is_known => GUESS,
            Self::Unchecked | Self::Busy if !is_known => 1,
            Self::SaysEnded
            | Self::Unchecked
            | Self::Busy
            | Self::Ended
            | Self::Unknown
            | Self::Changed
            | Self::Denied(_) => 0,
        }
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
            Self::Ended | Self::SaysEnded => Fault::of(
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
            Self::Unchecked => {
                let told = "the keys of the identity provider that would check this token are not here yet; try again";
                Fault::of(Cause::KeysAwaited, told).spread(SOON)
            }
            Self::Busy => Fault::of(Cause::NoSlots, "too many new credentials are being checked; try again")
                .spread(SOON),
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
            JwtError::Ended => Self::SaysEnded,
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

    const JWT: [JwtError; 8] = [
        JwtError::Form,
        JwtError::Algorithm,
        JwtError::Critical,
        JwtError::Issuer,
        JwtError::Audience,
        JwtError::Early,
        JwtError::Key,
        JwtError::Signature,
    ];

    /// A job that holds its connection for days and whose credential runs out is told so as often as it asks, and is not
    /// treated as one that tries credentials out. Who has proved nothing can write into a token that it has ended.
    #[test]
    fn a_credential_that_has_ended_is_no_guess_and_one_that_never_was_is() {
        for refused in [Refused::Ended, Refused::Unknown, Refused::Changed, Refused::Denied(Denied::Method)] {
            assert_eq!((refused.weight(false), refused.weight(true)), (0, 0), "{refused:?}");
        }
        let says_ended = Refused::from(JwtError::Ended);
        assert_eq!((says_ended.weight(false), says_ended.weight(true)), (GUESS, 0));
        assert_eq!(says_ended.fault(), Refused::Ended.fault(), "and it is told the same");
        for refused in JWT.map(Refused::from).into_iter().chain([Refused::Missing]) {
            assert_eq!((refused.weight(false), refused.weight(true)), (GUESS, GUESS), "{refused:?}");
        }
    }

    /// Who waits for keys, or for its turn, calls again as it was told; who does nothing else is asked to go away, too.
    #[test]
    fn a_caller_that_is_to_call_again_may_do_so_often_and_not_for_ever() {
        for refused in [Refused::Unchecked, Refused::Busy] {
            assert_eq!((refused.weight(false), refused.weight(true)), (1, 0), "{refused:?}");
            let told: std::collections::BTreeSet<_> = (0..20).map(|_| refused.fault().retry()).collect();
            assert!(told.len() > 1 && !told.contains(&None), "a crowd does not come back together: {told:?}");
        }
    }
}
