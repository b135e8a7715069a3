//! `usaged.admin.v1.KeyService`: the root key, key epochs, bridges, and which pseudonym stands for what. No call
//! carries a key, and no value that is looked up is stored or logged.

mod bridges;
mod look_up;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tonic::{Request, Response, Status};

use super::admin::{aside, written};
use super::identity::Access;
use super::proto::admin as pb;
use super::proto::admin::key_service_server::KeyService;
use super::status::{Cause, Fault};
use super::times::{api_duration, timestamp};
use crate::ledger::{Entry, Fact};
use crate::model::{LevelName, ProgramName};
use crate::observe::Clock;
use crate::policy::Handle;
use crate::sanitize::{RootKey, key_id};
use crate::store::{Customers, MetaOp, PurgeError, Store};

/// Bytes of who and why.
const BY_BYTES: usize = 128;
const REASON_BYTES: usize = 512;

/// How long an answer waits until what was replaced or destroyed is out of every file. It goes on after that.
const AWAITED: Duration = Duration::from_secs(5);

/// Where the root key is kept on this host. Both calls block. What they say when they refuse is for the operator:
/// it names files, and never a digit of a key.
pub trait RootKeyPlace: Send + Sync {
    /// Reads the key that is to come next. `named` is the file that the operator named; empty for the usual one.
    ///
    /// # Errors
    /// If another file is named, or it holds no key that may be used.
    fn next(&self, named: &str) -> Result<RootKey, String>;

    /// Puts that key in the place of the present one. The store accepts no other by now.
    ///
    /// # Errors
    /// What the operator has to do instead, before the next start.
    fn settle(&self, key: &RootKey) -> Result<(), String>;
}

/// The operators' door to keys.
pub struct KeyDoor {
    store: Store,
    customers: Customers,
    policy: Handle,
    clock: Clock,
    caps: BTreeMap<ProgramName, LevelName>,
    place: Arc<dyn RootKeyPlace>,
    /// Held while the root key is changed, or a bridge is made.
    changing: Mutex<()>,
}

impl KeyDoor {
    /// Opens the door. `caps` are those of ingest: what is told of a customer's levels is what ingest does.
    #[must_use]
    pub fn new(
        customers: Customers,
        policy: Handle,
        clock: Clock,
        caps: BTreeMap<ProgramName, LevelName>,
        place: Arc<dyn RootKeyPlace>,
    ) -> Self {
        let store = customers.store().clone();
        Self { store, customers, policy, clock, caps, place, changing: Mutex::default() }
    }

    /// What has to be written together with what was done, or before it is answered. The log says who asked; the
    /// ledger does not.
    fn record(&self, fact: &Fact, what: &'static str, by: &str) -> MetaOp {
        tracing::info!(by, customer = fact.customer().map(|customer| customer.0), "{what}");
        MetaOp::Ledger(Entry { at: self.clock.now(), fact: fact.clone() }.to_bytes())
    }

    /// Takes what was replaced or destroyed out of every file. Gives whether that is still due after a while: it goes on,
    /// and what fails here is tried again.
    async fn purge(&self) -> bool {
        let store = self.store.clone();
        let purging = tokio::task::spawn_blocking(move || {
            let purged = store.purge_keys();
            if let Err(error) = &purged
                && !matches!(error, PurgeError::Store(_))
            {
                tracing::warn!(%error, "keys that are gone may still be in files; it is tried again");
            }
        });
        let _is_late = tokio::time::timeout(AWAITED, purging).await;
        self.store.holds_gone_keys()
    }

    async fn status(&self) -> Result<pb::KeyStatus, Fault> {
        let (store, now) = (self.store.clone(), self.clock.now());
        let (root_key_id, bridges, oldest_epoch) = aside(move || {
            let bridges = store.bridges(None)?.into_iter().filter(|bridge| bridge.until > now).count();
            Ok::<_, Fault>((store.root_key_id()?, bridges, store.oldest_keys(now)?))
        })
        .await??;
        let rotation = self.store.rotation();
        Ok(pb::KeyStatus {
            root_key_id,
            epoch: rotation.epoch(now),
            oldest_epoch,
            next_epoch_time: Some(timestamp(rotation.next(now))),
            epoch_length: Some(api_duration(rotation.length())),
            bridges: u32::try_from(bridges).unwrap_or(u32::MAX),
            purge_due: self.store.holds_gone_keys(),
        })
    }

    async fn rotate(&self, request: pb::RotateRootKeyRequest) -> Result<pb::RotateRootKeyResponse, Fault> {
        let by = ("changed_by", request.changed_by.as_str());
        let (by, _) = warranted(by, ("change_reason", &request.change_reason))?;
        let _changing = self.changing.lock().await;
        let (place, store) = (Arc::clone(&self.place), self.store.clone());
        let (key, previous_root_key_id, rewrapped) = aside(move || {
            let refused = |why| Fault::of(Cause::RootKeyRefused, why).at("new_key_file");
            let key = place.next(&request.new_key_file).map_err(refused)?;
            Ok::<_, Fault>((key.clone(), store.root_key_id()?, store.rewrapped(&key)?))
        })
        .await??;
        let rewrapped = rewrapped.ok_or_else(|| {
            let same = "that is the root key already; make a new one with `openssl rand -hex 32`";
            Fault::of(Cause::RootKeyRefused, same).at("new_key_file")
        })?;
        let fact = Fact::RootKeyRotated { rotations: rewrapped.times().into() };
        let recorded = self.record(&fact, "the root key is being changed", &by);
        self.store.write_meta(vec![recorded, MetaOp::Root(rewrapped)], true).await?;
        // From here on the next start takes the new key, whatever happens.
        let root_key_id = key_id(&key.check());
        tracing::warn!(
            root_key_id,
            previous_root_key_id,
            "the root key was changed; the store opens with no other one"
        );
        let place = Arc::clone(&self.place);
        let settled = aside(move || place.settle(&key)).await?;
        if let Err(remaining_step) = &settled {
            tracing::error!(remaining_step, "the new root key is not in its place yet");
        }
        let remaining_step = settled.err().unwrap_or_default();
        let purge_due = self.purge().await;
        Ok(pb::RotateRootKeyResponse { root_key_id, previous_root_key_id, remaining_step, purge_due })
    }
}

/// Checks who asks and why.
fn warranted(by: (&'static str, &str), reason: (&'static str, &str)) -> Result<(String, String), Fault> {
    Ok((written(by.0, by.1, BY_BYTES)?, written(reason.0, reason.1, REASON_BYTES)?))
}

#[tonic::async_trait]
impl KeyService for Arc<KeyDoor> {
    async fn get_key_status(
        &self,
        _: Request<pb::GetKeyStatusRequest>,
    ) -> Result<Response<pb::KeyStatus>, Status> {
        Ok(Response::new(self.status().await?))
    }

    async fn rotate_root_key(
        &self,
        request: Request<pb::RotateRootKeyRequest>,
    ) -> Result<Response<pb::RotateRootKeyResponse>, Status> {
        let changed_by = Access::by(&request, &request.get_ref().changed_by);
        let request = pb::RotateRootKeyRequest { changed_by, ..request.into_inner() };
        Ok(Response::new(self.rotate(request).await?))
    }

    async fn look_up_pseudonym(
        &self,
        request: Request<pb::LookUpPseudonymRequest>,
    ) -> Result<Response<pb::LookUpPseudonymResponse>, Status> {
        let requested_by = Access::by(&request, &request.get_ref().requested_by);
        let request = pb::LookUpPseudonymRequest { requested_by, ..request.into_inner() };
        Ok(Response::new(self.look_up(request).await?))
    }

    async fn create_bridge(
        &self,
        request: Request<pb::CreateBridgeRequest>,
    ) -> Result<Response<pb::Bridge>, Status> {
        let created_by = Access::by(&request, &request.get_ref().created_by);
        let request = pb::CreateBridgeRequest { created_by, ..request.into_inner() };
        Ok(Response::new(self.make_bridge(request).await?))
    }

    async fn list_bridges(
        &self,
        request: Request<pb::ListBridgesRequest>,
    ) -> Result<Response<pb::ListBridgesResponse>, Status> {
        Ok(Response::new(self.bridges(request.into_inner()).await?))
    }

    async fn erase_bridge(
        &self,
        request: Request<pb::EraseBridgeRequest>,
    ) -> Result<Response<pb::EraseBridgeResponse>, Status> {
        let erased_by = Access::by(&request, &request.get_ref().erased_by);
        let request = pb::EraseBridgeRequest { erased_by, ..request.into_inner() };
        Ok(Response::new(self.end_bridge(request).await?))
    }
}
