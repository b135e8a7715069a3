//! What a load needs of a collector before the load: customers that take part.

use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use crate::cli::connect::{AdminClient, Server, refused};
use crate::cli::exit::Failure;
use crate::cli::output::Output;
use crate::grpc::proto::admin::{ImportParticipationsRequest, Participation, ProgramLevel};
use crate::model::{CustomerId, LevelName};

/// Participations in one message.
const PAGE: usize = 1_000;

/// Lets every customer take part at `level`.
pub(super) async fn register(
    server: &Server,
    customers: &[CustomerId],
    level: &LevelName,
    out: Output,
) -> Result<(), Failure> {
    let mut admin: AdminClient = server.admin().await?;
    let bar = out.progress(u64::try_from(customers.len()).ok(), "customers registered");
    let (sender, receiver) = mpsc::channel(4);
    let pages: Vec<Vec<CustomerId>> = customers.chunks(PAGE).map(<[CustomerId]>::to_vec).collect();
    let (level, watched) = (level.to_string(), bar.clone());
    let sending = tokio::spawn(async move {
        for page in pages {
            let participations = page.iter().map(|customer| Participation {
                customer: customer.to_string(),
                levels: vec![ProgramLevel { program: "ceip".to_owned(), level: level.clone() }],
                ..Participation::default()
            });
            let message = ImportParticipationsRequest {
                participations: participations.collect(),
                changed_by: "usaged load".to_owned(),
                change_reason: "load".to_owned(),
            };
            if sender.send(message).await.is_err() {
                break;
            }
            watched.inc(u64::try_from(page.len()).unwrap_or(0));
        }
    });
    let answer = admin.import_participations(ReceiverStream::new(receiver)).await;
    let _ = sending.await;
    bar.finish_and_clear();
    let answer = answer.map_err(|status| refused(&status))?.into_inner();
    match answer.failures.first() {
        None => Ok(()),
        Some(failure) => Err(Failure::Failed(format!("customers cannot be registered: {}", failure.message))),
    }
}
