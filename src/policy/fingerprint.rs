//! Tells whether two plans do the same, so that what was stored under one needs no second look under the other.

use sha2::{Digest, Sha256};

use super::Plan;

/// The digest of everything in a plan but the version of the policy that it was compiled from.
pub(super) fn of(plan: &Plan) -> [u8; 8] {
    let mut digest = Sha256::new();
    let texts = (&plan.product, plan.dictionary_version, &plan.program, &plan.level, &plan.region);
    digest.update(format!("{texts:?}{:?}{:?}", plan.customer, plan.instance));
    digest.update(format!("{:?}{:?}", plan.events, plan.fields));
    digest.finalize().first_chunk().copied().unwrap_or_default()
}
