//! The services of a collector: each with the rooms that it opens on. The program builds them here, and so does every test
//! that has rooms of its own.

use std::path::Path;
use std::sync::Arc;

use super::{
    AdminDoor, AmendDoor, DrainDoor, IngestDoor, KeyDoor, LedgerDoor, Options, Reload, Reloads, RootKeyPlace,
    StoreDoor, TokenDoor, Tokens,
};
use crate::amend::Amend;
use crate::drain::Drain;
use crate::ingest::{self, Intake};
use crate::ledger::Ledger;
use crate::observe::Clock;
use crate::policy::Handle;
use crate::store::{Customers, Store};

/// The rooms behind the doors.
pub struct Behind {
    /// What is stored.
    pub store: Store,
    /// Its customers.
    pub customers: Customers,
    /// The policy in force.
    pub policy: Handle,
    /// What takes batches.
    pub intake: Intake,
    /// What hands them out.
    pub drain: Drain,
    /// What erases, and has what is stored follow a change of a participation.
    pub amend: Amend,
    /// What was done with whose data.
    pub ledger: Ledger,
    /// Bearer tokens.
    pub tokens: Tokens,
    /// The time.
    pub clock: Clock,
}

/// How the doors are opened.
pub struct Opening<'o> {
    /// Their bounds.
    pub options: &'o Options,
    /// What ingest goes by, so that what is explained is what is stored.
    pub ingest: &'o ingest::Options,
    /// Loads the policy again.
    pub reload: Reload,
    /// What the last reloads did, if that is told.
    pub reloads: Option<Reloads>,
    /// Where the next root key comes from.
    pub root_keys: Arc<dyn RootKeyPlace>,
    /// The directory of the ledger, for backups.
    pub ledger_dir: &'o Path,
    /// Whether bearer tokens are accepted. If they are not, none is issued.
    pub takes_tokens: bool,
}

/// What is behind the door.
pub struct Services {
    /// Senders.
    pub ingest: IngestDoor,
    /// Drainers.
    pub drain: DrainDoor,
    /// Participations, policy, what is stored.
    pub admin: Arc<AdminDoor>,
    /// Keys.
    pub keys: KeyDoor,
    /// The ledger.
    pub ledger: LedgerDoor,
    /// Erasures and bindings.
    pub amend: AmendDoor,
    /// Backups.
    pub store: StoreDoor,
    /// Bearer tokens.
    pub tokens: TokenDoor,
}

impl Services {
    /// Opens every door.
    #[must_use]
    pub fn open(behind: Behind, opening: Opening<'_>) -> Self {
        let Opening { options, ingest, reload, reloads, root_keys, ledger_dir, takes_tokens } = opening;
        let admin = Arc::new(AdminDoor::new(&behind, ingest.clone(), (reload, reloads)));
        let Behind { store, customers, policy, intake, drain, amend, ledger, tokens, clock } = behind;
        let caps = ingest.level_caps.clone();
        Self {
            ingest: IngestDoor::new(intake, options),
            drain: DrainDoor::new(drain, clock.clone(), options),
            admin,
            keys: KeyDoor::new(customers, policy.clone(), clock.clone(), caps, root_keys),
            ledger: LedgerDoor::new(ledger, store.clone(), policy, clock.clone()),
            amend: AmendDoor::new(amend, tokens.clone(), options),
            store: StoreDoor::new(store, ledger_dir, clock.clone()),
            tokens: TokenDoor::new(tokens, clock, takes_tokens),
        }
    }
}
