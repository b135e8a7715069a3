//! Counts customers by what they chose: customers who chose the same are one cohort. A call reads a
//! bounded part of the registry and says where the next one goes on.

use std::collections::HashMap;

use super::convert::api_choice;
use crate::grpc::page;
use crate::grpc::proto::admin as pb;
use crate::grpc::status::{Cause, Fault};
use crate::model::{CustomerId, Participation};
use crate::store::Store;

/// Customers that one call reads: some tenths of a second.
const CUSTOMERS: usize = 20_000;
/// Customers that are read from the store at a time.
const READ: usize = 500;
/// Fewer are not worth a look: the call ends.
const LEAST: usize = 20;
/// Cohorts after which a call ends. Each takes at most some tens of KiB.
const COHORTS: usize = 500;

/// The cohorts of the customers after `token`. Blocks.
pub(super) fn count(store: &Store, token: &str) -> Result<pb::CountParticipationsResponse, Fault> {
    let mut after = page::after(token, |key| CustomerId::new(page::text(key)?).ok())?;
    let nobody = CustomerId::new("nobody")
        .map_err(|_| Fault::of(Cause::Internal, "the collector failed on this request; it is logged"))?;
    let mut cohorts: HashMap<Participation, u64> = HashMap::new();
    let mut read = 0;
    let more = loop {
        // So many that the cohorts stay within their bound, even if all of them chose differently.
        let room = READ.min(CUSTOMERS - read).min(COHORTS - cohorts.len());
        if room < LEAST {
            break true;
        }
        let changes = store.list_customers(after.as_ref(), room)?;
        let found = changes.len();
        for change in changes {
            let mut choice = change.participation;
            after = Some(std::mem::replace(&mut choice.customer, nobody.clone()));
            let customers = cohorts.entry(choice).or_default();
            *customers = customers.saturating_add(1);
        }
        read += found;
        if found < room {
            break false;
        }
    };
    let last = after.as_ref().filter(|_| more);
    Ok(pb::CountParticipationsResponse {
        cohorts: cohorts.into_iter().map(cohort).collect(),
        next_page_token: last.map(|id| page::token(id.as_str().as_bytes())).unwrap_or_default(),
        ..pb::CountParticipationsResponse::default()
    })
}

fn cohort((choice, customers): (Participation, u64)) -> pb::Cohort {
    let participation = Some(pb::Participation { customer: String::new(), ..api_choice(&choice) });
    pb::Cohort { participation, customers }
}
