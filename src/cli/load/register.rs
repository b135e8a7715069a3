//! What a load needs of a collector beside the load: customers that take part, and how many records
//! shared a sync.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use crate::cli::connect::{AdminClient, Server, refused};
use crate::cli::exit::Failure;
use crate::cli::output::Output;
use crate::grpc::proto::admin::{ImportParticipationsRequest, Participation, ProgramLevel};
use crate::model::{CustomerId, LevelName};
use crate::observe::Metric;

/// Participations in one message.
const PAGE: usize = 1_000;

/// Lets every customer take part at `level`.
pub(super) async fn register(
    address: &str,
    customers: &[CustomerId],
    level: &LevelName,
    out: Output,
) -> Result<(), Failure> {
    let mut admin: AdminClient = Server { server: address.to_owned() }.admin().await?;
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

/// How many records shared one sync on average, from the collector's metrics.
pub(super) fn records_per_sync(admin: &str) -> Option<f64> {
    let mut stream = TcpStream::connect(admin).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    write!(stream, "GET /metrics HTTP/1.1\r\nHost: {admin}\r\nConnection: close\r\n\r\n").ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    let value = |suffix: &str| {
        let name = format!("{}{suffix} ", Metric::GroupRecords.name());
        text.lines().find_map(|line| line.strip_prefix(&name)?.trim().parse::<f64>().ok())
    };
    let (sum, count) = (value("_sum")?, value("_count")?);
    (count > 0.0).then(|| sum / count)
}
