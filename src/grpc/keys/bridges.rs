//! Bridges: the keys of one older epoch of one customer, kept for longer.

use std::sync::Arc;

use super::{KeyDoor, warranted};
use crate::grpc::admin::{aside, customer, no_participation};
use crate::grpc::proto::admin as pb;
use crate::grpc::status::{Cause, Fault};
use crate::grpc::times::{timestamp, unix_millis};
use crate::ledger::Fact;
use crate::model::CustomerId;
use crate::store::{Bridge, CustomerEntry, KeyOp, MAX_BRIDGES, MetaOp};

/// The longest that a bridge lasts.
const LONGEST_MS: i64 = 400 * 86_400_000;

impl KeyDoor {
    async fn known(self: &Arc<Self>, id: CustomerId) -> Result<Arc<CustomerEntry>, Fault> {
        let door = Arc::clone(self);
        aside(move || door.customers.get(&id)).await??.ok_or_else(no_participation)
    }

    pub(super) async fn make_bridge(
        self: &Arc<Self>,
        request: pb::CreateBridgeRequest,
    ) -> Result<pb::Bridge, Fault> {
        let (by, reason) =
            warranted(("created_by", &request.created_by), ("create_reason", &request.create_reason))?;
        let id = customer("customer", &request.customer)?;
        let (now, until) = (self.clock.now(), request.expire_time.as_ref().map(unix_millis));
        let in_time = |until: &crate::model::UnixMillis| (1..=LONGEST_MS).contains(&until.ms_since(now));
        let until = until.filter(in_time).ok_or_else(|| {
            Fault::field("expire_time", "is required: later than now, and at most 400 days from now")
        })?;
        let _changing = self.changing.lock().await;
        let entry = self.known(id.clone()).await?;
        let (oldest, present) = (entry.secret.ratchet().epoch(), self.store.rotation().epoch(now));
        let seed = entry.secret.ratchet().seed(request.epoch).filter(|_| request.epoch <= present);
        let seed = seed.ok_or_else(|| {
            Fault::field("epoch", format!("the customer has keys of the epochs {oldest} to {present} only"))
        })?;
        let (epoch, made, customer) = (request.epoch, now, entry.key);
        let store = self.store.clone();
        let present = aside(move || store.bridges(None)).await??;
        if present.iter().any(|bridge| (bridge.customer, bridge.epoch) == (customer, epoch)) {
            return Err(Fault::of(Cause::BridgeExists, "there is a bridge of this epoch; erase it first"));
        }
        if present.len() >= MAX_BRIDGES {
            let most = format!("there are {MAX_BRIDGES} bridges, and there may be no more; erase some");
            return Err(Fault::of(Cause::TooManyBridges, most));
        }
        let fact = Fact::BridgeMade { customer, from_epoch: epoch.into(), until: Some(until) };
        let recorded = self.record(&fact, "a bridge is made, keys of its epoch are kept longer", &by);
        let bridge = Bridge { customer, epoch, seed, made, until, by, reason };
        let answer = api_bridge(&id, &bridge);
        self.store.write_meta(vec![recorded, MetaOp::Key(KeyOp::Bridge(bridge))], true).await?;
        // Nothing is written for a customer who was erased meanwhile.
        let store = self.store.clone();
        let written = aside(move || store.bridges(Some(customer))).await??;
        if written.iter().any(|bridge| bridge.epoch == epoch) { Ok(answer) } else { Err(no_participation()) }
    }

    pub(super) async fn bridges(
        self: &Arc<Self>,
        request: pb::ListBridgesRequest,
    ) -> Result<pb::ListBridgesResponse, Fault> {
        let of = match request.customer.as_str() {
            "" => None,
            id => Some(self.known(customer("customer", id)?).await?.key),
        };
        let (door, now) = (Arc::clone(self), self.clock.now());
        let listed = aside(move || {
            let mut listed = Vec::new();
            for bridge in door.store.bridges(of)?.iter().filter(|bridge| bridge.until > now) {
                // The bridge of a customer who has just been erased is about to go too.
                if let Some(entry) = door.customers.get_by_key(bridge.customer)? {
                    listed.push(api_bridge(&entry.change.participation.customer, bridge));
                }
            }
            Ok::<_, Fault>(listed)
        });
        Ok(pb::ListBridgesResponse { bridges: listed.await?? })
    }

    pub(super) async fn end_bridge(
        self: &Arc<Self>,
        request: pb::EraseBridgeRequest,
    ) -> Result<pb::EraseBridgeResponse, Fault> {
        let by = ("erased_by", request.erased_by.as_str());
        let (by, _) = warranted(by, ("erase_reason", &request.erase_reason))?;
        let customer = self.known(customer("customer", &request.customer)?).await?.key;
        let (store, epoch) = (self.store.clone(), request.epoch);
        let bridges = aside(move || store.bridges(Some(customer))).await??;
        if bridges.iter().all(|bridge| bridge.epoch != epoch) {
            return Err(Fault::of(Cause::NoBridge, "there is no bridge of this epoch for this customer"));
        }
        let fact = Fact::BridgeErased { customer, from_epoch: epoch.into() };
        let recorded = self.record(&fact, "a bridge is erased", &by);
        let erase = MetaOp::Key(KeyOp::EraseBridge { customer, epoch });
        self.store.write_meta(vec![recorded, erase], true).await?;
        Ok(pb::EraseBridgeResponse { purge_due: self.purge().await })
    }
}

fn api_bridge(customer: &CustomerId, bridge: &Bridge) -> pb::Bridge {
    pb::Bridge {
        customer: customer.to_string(),
        epoch: bridge.epoch,
        create_time: Some(timestamp(bridge.made)),
        expire_time: Some(timestamp(bridge.until)),
        created_by: bridge.by.clone(),
        create_reason: bridge.reason.clone(),
    }
}
