//! What a call may do. It goes with the request to the door behind it, and is asked again while the call runs:
//! a credential that has ended or was revoked meanwhile ends the call before its next message.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use super::authority::Authority;
use super::certificate::ClientCertificate;
use super::refused::Refused;
use crate::grpc::status::{Cause, Fault};
use crate::identity::{Denied, IdentityName, Named, Principal, TokenHash, TokenId, Verified};
use crate::model::{CustomerId, SubscriptionName, UnixMillis};

/// What proves who a caller is, kept as far as it takes to ask again.
#[derive(Clone)]
pub(super) enum Proof {
    /// The certificate of the connection.
    Certificate(Arc<ClientCertificate>),
    /// A token of ours.
    Token(TokenId, TokenHash),
    /// A token of an identity provider.
    Provided(Arc<Verified>),
}

/// What a call may do. Clones share it.
#[derive(Clone)]
pub struct Access(Arc<Held>);

enum Held {
    /// Everything, in the name of whom it names: there are no identities.
    Local(Named),
    /// What everybody may: to ask for health.
    Anyone,
    /// What its identity may.
    Known(Known),
}

/// A caller with an identity.
pub(super) struct Known {
    authority: Authority,
    proof: Proof,
    principal: Principal,
    customer: Option<CustomerId>,
    /// What the authority went by when it was asked last.
    generation: AtomicU64,
    asked: AtomicI64,
    /// When the proof ends, as the authority said last; it may have been brought forward since the call began.
    until: AtomicI64,
}

/// How long an answer of the authority holds for a call that runs, in milliseconds, if nothing changes.
const HOLDS_FOR: i64 = 60_000;

impl Known {
    pub(super) fn new(
        authority: Authority,
        proof: Proof,
        principal: Principal,
        customer: Option<CustomerId>,
        generation: u64,
    ) -> Self {
        let (asked, until) = (authority.now().0.into(), ends(&principal).into());
        Self { authority, proof, principal, customer, generation: AtomicU64::new(generation), asked, until }
    }

    fn still(&self) -> Result<(), Refused> {
        let now = self.authority.now();
        let generation = self.authority.generation();
        let asked = UnixMillis(self.asked.load(Ordering::Relaxed));
        if now.0 < self.until.load(Ordering::Relaxed)
            && generation == self.generation.load(Ordering::Relaxed)
            && (0..HOLDS_FOR).contains(&now.ms_since(asked))
        {
            return Ok(());
        }
        // Of one that has ended, too: its end may have been put off.
        let again = self.authority.again(&self.proof, now)?;
        // Somebody who may do something else now, more or less, begins anew.
        if again.role != self.principal.role {
            return Err(Refused::Changed);
        }
        self.until.store(ends(&again), Ordering::Relaxed);
        self.generation.store(generation, Ordering::Relaxed);
        self.asked.store(now.0, Ordering::Relaxed);
        Ok(())
    }
}

/// When what proves a caller ends; never, if nothing says.
fn ends(principal: &Principal) -> i64 {
    principal.until.map_or(i64::MAX, |until| until.0)
}

impl Access {
    pub(super) fn local(named: Named) -> Self {
        Self(Arc::new(Held::Local(named)))
    }

    pub(super) fn anyone() -> Self {
        Self(Arc::new(Held::Anyone))
    }

    pub(super) fn known(known: Known) -> Self {
        Self(Arc::new(Held::Known(known)))
    }

    /// The access that came with a request.
    ///
    /// # Errors
    /// If the request did not come through the door: a mistake in the collector.
    pub(in crate::grpc) fn of(extensions: &http::Extensions) -> Result<Self, Fault> {
        let access = extensions.get::<Self>().cloned();
        access.ok_or_else(|| Fault::of(Cause::Internal, "the request came by no connection"))
    }

    /// The same, of a request whose body tonic decodes.
    ///
    /// # Errors
    /// As above.
    pub(in crate::grpc) fn of_call<T>(request: &tonic::Request<T>) -> Result<Self, Fault> {
        let access = request.extensions().get::<Self>().cloned();
        access.ok_or_else(|| Fault::of(Cause::Internal, "the request came by no connection"))
    }

    /// The customer that the call works for.
    ///
    /// # Errors
    /// If there is none.
    pub fn customer(&self) -> Result<CustomerId, Fault> {
        match &*self.0 {
            Held::Local(Named::One(customer)) => Ok(customer.clone()),
            Held::Local(Named::Nobody) => Err((&Denied::NoCustomer).into()),
            Held::Local(Named::Wrong) => {
                let rule = format!(
                    "the request metadata `usaged-customer` must be given once: {}",
                    CustomerId::RULE
                );
                Err(Fault::of(Cause::BadCustomer, rule))
            }
            Held::Anyone => Err((&Denied::Method).into()),
            Held::Known(known) => known.customer.clone().ok_or_else(|| (&Denied::Method).into()),
        }
    }

    /// Whether the call may use a subscription.
    ///
    /// # Errors
    /// If it is not the caller's.
    pub fn may_use(&self, subscription: &SubscriptionName) -> Result<(), Fault> {
        match &*self.0 {
            Held::Local(_) => Ok(()),
            Held::Anyone => Err((&Denied::Method).into()),
            Held::Known(known) => known.principal.may_use(subscription).map_err(|denied| {
                let refused = Refused::Denied(denied);
                known.authority.refused(&refused);
                refused.fault()
            }),
        }
    }

    /// Whether the caller may receive what is stored: drainers may, operators see counts.
    #[must_use]
    pub fn receives(&self) -> bool {
        match &*self.0 {
            Held::Local(_) => true,
            Held::Anyone => false,
            Held::Known(known) => !known.principal.role.subscriptions().is_empty(),
        }
    }

    /// Whether the caller has proved nothing, and was let in because everybody is.
    #[must_use]
    pub fn is_anyone(&self) -> bool {
        matches!(*self.0, Held::Anyone)
    }

    /// Whether the caller has proved who it is.
    #[must_use]
    pub fn is_known(&self) -> bool {
        matches!(*self.0, Held::Known(_))
    }

    /// Whether nobody is asked who they are.
    #[must_use]
    pub fn is_local(&self) -> bool {
        matches!(*self.0, Held::Local(_))
    }

    /// Who is calling, as no other is called; `None` where nobody is asked.
    #[must_use]
    pub fn called(&self) -> Option<String> {
        match &*self.0 {
            Held::Local(_) | Held::Anyone => None,
            Held::Known(known) => Some(known.principal.called()),
        }
    }

    /// Whether an identity of the file is called so, where there is one.
    #[must_use]
    pub fn is_of_the_file(&self, name: &IdentityName) -> bool {
        match &*self.0 {
            Held::Local(_) | Held::Anyone => false,
            Held::Known(known) => known.authority.has_name(name),
        }
    }

    /// Who asks, for what is remembered of a change: the identity, where there is one, and who the caller said it
    /// is. What a caller says of itself never stands alone for one that has proved something else.
    pub(in crate::grpc) fn by<T>(request: &tonic::Request<T>, said: &str) -> String {
        let access = request.extensions().get::<Self>();
        match access.and_then(Self::called) {
            None => said.to_owned(),
            Some(name) if said.is_empty() || said == name => name,
            Some(name) => {
                let room = 128_usize.saturating_sub(name.len()).saturating_sub(3);
                let end = (0..=room.min(said.len())).rev().find(|at| said.is_char_boundary(*at));
                format!("{name} ({})", said.get(..end.unwrap_or(0)).unwrap_or_default())
            }
        }
    }

    /// Whether what let the call in still holds. Costs a few atomic reads if nothing changed.
    ///
    /// # Errors
    /// If the credential has ended, was revoked, or is another's now.
    pub fn still(&self) -> Result<(), Fault> {
        match &*self.0 {
            Held::Local(_) | Held::Anyone => Ok(()),
            Held::Known(known) => known.still().map_err(|refused| {
                known.authority.refused(&refused);
                refused.fault()
            }),
        }
    }
}
