//! `usaged.admin.v1.StoreService`: backups of a running collector, written on its own host.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use super::proto::admin as pb;
use super::proto::admin::store_service_server::StoreService;
use super::status::{Cause, Fault};
use super::times::timestamp;
use crate::backup::{self, BackupFault, Places, Progress};
use crate::ledger::{Entry, Fact};
use crate::observe::{Clock, Metric};
use crate::store::{BackupError, MetaOp, Store};

/// Bytes of a path.
const PATH_BYTES: usize = 4_096;

/// The operators' door to the store.
#[derive(Debug, Clone)]
pub struct StoreDoor {
    store: Store,
    ledger: PathBuf,
    clock: Clock,
    /// One backup at a time.
    alone: Arc<Semaphore>,
}

impl StoreDoor {
    /// Opens the door to `store`, whose ledger is in the directory `ledger`.
    #[must_use]
    pub fn new(store: Store, ledger: &Path, clock: Clock) -> Self {
        Self { store, ledger: ledger.to_owned(), clock, alone: Arc::new(Semaphore::new(1)) }
    }

    /// Makes what was asked for. Blocks.
    fn make(
        &self,
        dir: Option<PathBuf>,
        personal: PathBuf,
        told: &mut dyn FnMut(Progress),
    ) -> Result<pb::BackupMade, BackupFault> {
        let now = self.clock.now();
        let make_time = Some(timestamp(now));
        let Some(dir) = dir else {
            let made = backup::personal(&self.store, &personal)?;
            let store_id = data_encoding::HEXLOWER.encode(&made.store);
            return Ok(pb::BackupMade {
                personal_rows: made.rows,
                store_id,
                make_time,
                ..pb::BackupMade::default()
            });
        };
        let made = backup::take(&self.store, &self.ledger, &Places { dir, personal }, now, told)?;
        Ok(pb::BackupMade {
            last_commit: made.manifest.head.0,
            bytes: made.bytes,
            personal_rows: made.manifest.personal_rows,
            ledger_entries: made.manifest.ledger.entries,
            root_key_id: made.manifest.root_key,
            store_id: made.manifest.store,
            make_time,
        })
    }

    /// Tells the ledger what was made.
    async fn note(&self, made: &pb::BackupMade) -> Result<(), Fault> {
        let last = (made.last_commit > 0 || made.bytes > 0).then_some(made.last_commit);
        let fact = Fact::BackupMade { last, rows: made.personal_rows };
        let entry = Entry { at: self.clock.now(), fact };
        Ok(self.store.write_meta(vec![MetaOp::Ledger(entry.to_bytes())], true).await?)
    }
}

/// A path that does not depend on where the collector was started.
fn path(field: &'static str, given: &str) -> Result<PathBuf, Fault> {
    let path = PathBuf::from(given);
    if path.is_absolute() && given.len() <= PATH_BYTES && path.file_name().is_some() {
        Ok(path)
    } else {
        Err(Fault::field(field, "is an absolute path on the collector's host, of at most 4,096 bytes"))
    }
}

#[tonic::async_trait]
impl StoreService for StoreDoor {
    type BackupStream = ReceiverStream<Result<pb::BackupResponse, Status>>;

    async fn backup(
        &self,
        request: Request<pb::BackupRequest>,
    ) -> Result<Response<Self::BackupStream>, Status> {
        use pb::backup_response::Told;
        let request = request.into_inner();
        let personal = path("personal_file", &request.personal_file)?;
        let dir =
            if request.directory.is_empty() { None } else { Some(path("directory", &request.directory)?) };
        let Ok(place) = Arc::clone(&self.alone).try_acquire_owned() else {
            let text = "another backup is being made; try again when it is done";
            return Err(Fault::of(Cause::NoSlots, text).spread(Duration::from_secs(10)).into());
        };
        let is_backup = dir.is_some();
        let (to, answers) = mpsc::channel(8);
        let door = self.clone();
        tokio::spawn(async move {
            let (maker, sender) = (door.clone(), to.clone());
            let mut told = move |at: Progress| {
                let progress = pb::BackupProgress { part: at.part.to_owned(), done: at.done, total: at.of };
                // Whoever does not listen so fast, or not any more, is not waited for.
                let _ = sender.try_send(Ok(pb::BackupResponse { told: Some(Told::Progress(progress)) }));
            };
            let made = tokio::task::spawn_blocking(move || maker.make(dir, personal, &mut told)).await;
            let made = match made {
                Ok(Ok(made)) => door.note(&made).await.map(|()| made),
                Ok(Err(fault)) => Err(fault.into()),
                Err(_) => Err(Fault::of(Cause::Internal, "the backup failed; it is logged")),
            };
            let answer = match made {
                Ok(made) => {
                    let now = door.clock.now();
                    if is_backup {
                        tracing::info!(last = made.last_commit, bytes = made.bytes, "backup made");
                        Metric::BackupTime.set_time(now);
                    } else {
                        tracing::info!("file of personal rows written");
                    }
                    Metric::PersonalRowsTime.set_time(now);
                    Ok(pb::BackupResponse { told: Some(Told::Made(made)) })
                }
                Err(fault) => Err(fault.into()),
            };
            let _ = to.send(answer).await;
            drop(place);
        });
        Ok(Response::new(ReceiverStream::new(answers)))
    }
}

impl From<BackupFault> for Fault {
    fn from(fault: BackupFault) -> Self {
        let mut text = fault.to_string();
        let mut cause = std::error::Error::source(&fault);
        while let Some(error) = cause {
            text = format!("{text}: {error}");
            cause = error.source();
        }
        tracing::warn!(cause = text, "no backup was made");
        match fault {
            BackupFault::Exists { .. }
            | BackupFault::Store(BackupError::Exists { .. } | BackupError::Inside) => {
                Self::of(Cause::InvalidField, text)
            }
            BackupFault::Store(BackupError::Secrets { .. }) => Self::of(Cause::Internal, text),
            BackupFault::Store(_)
            | BackupFault::Open(_)
            | BackupFault::Ledger(_)
            | BackupFault::LedgerBroken { .. }
            | BackupFault::OtherLedger { .. }
            | BackupFault::NotABackup { .. }
            | BackupFault::Version { .. }
            | BackupFault::File { .. }
            | BackupFault::Behind(_)
            | BackupFault::Faults(_) => Self::of(Cause::BackupFailed, text),
        }
    }
}
