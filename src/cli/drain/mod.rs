//! `usaged drain`: sanitised events as NDJSON, acknowledged only when they are where they should be.

mod sink;

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use serde_json::json;

use self::sink::Sink;
use super::batch_text::lines;
use super::connect::{DrainClient, Server, refused};
use super::exit::{Failure, say};
use super::output::Output;
use super::subscription::wire_duration;
use crate::config::Size;
use crate::grpc::client::Message as _;
use crate::grpc::proto::drain::{
    AcknowledgeRequest, Batch, GetSubscriptionRequest, PullRequest, ReceivedBatch,
};
use crate::model::SubscriptionName;

/// How long one pull waits for the first batch while following.
const WAIT: Duration = Duration::from_secs(20);

#[derive(Debug, Args)]
#[command(after_help = "\
A line is one event with the head of its batch; pseudonyms are text such as p1-host_name-s-4l7q...
A batch is acknowledged after its lines were flushed (to standard output) or synced (to files). A crash
in between delivers it again: `commit_number` and the place of the line tell the two apart.

Examples:
  usaged drain improve-team | jq .fields
  usaged drain improve-team --follow --out /var/lib/analytics/incoming --file-size 256MiB")]
pub(super) struct DrainArgs {
    /// The subscription.
    subscription: SubscriptionName,
    /// Go on waiting for new batches; without it, end when none is waiting.
    #[arg(long)]
    follow: bool,
    /// Write files into this directory instead of lines to standard output. A file that is being written
    /// has the name's end .part, and is renamed when it is whole.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Begin a new file at this size.
    #[arg(long, default_value = "64MiB")]
    file_size: Size,
    /// Batches in one pull, 1 to 1000.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1000))]
    max_batches: u32,
    /// End after so many batches.
    #[arg(long)]
    limit: Option<u64>,
    #[command(flatten)]
    server: Server,
}

/// What was drained.
#[derive(Default)]
struct Drained {
    batches: u64,
    events: u64,
    acknowledged: u64,
    late: u64,
}

impl DrainArgs {
    pub async fn run(self, out: Output) -> Result<(), Failure> {
        let mut client = self.server.drain().await?;
        let to_files = self.out.is_some();
        let mut sink = Sink::open(self.out.as_deref(), self.file_size.0)?;
        let bar = out.progress(None, "events drained");
        let mut drained = Drained::default();
        let mut stop = std::pin::pin!(tokio::signal::ctrl_c());
        let mut waited = 0;
        let ended = loop {
            let left = self.limit.map_or(u64::MAX, |limit| limit.saturating_sub(drained.batches));
            if left == 0 {
                break Ok(());
            }
            let most = u32::try_from(left).unwrap_or(u32::MAX).min(self.max_batches);
            let pulled = tokio::select! {
                biased;
                _ = &mut stop => break Ok(()),
                pulled = self.pull(&mut client, most) => pulled,
            };
            let batches = match pulled {
                Ok(batches) => batches,
                Err(failure) => break Err(failure),
            };
            if batches.is_empty() {
                if self.follow {
                    continue;
                }
                // A pull that passes over much answers empty before it has come to the end.
                match self.waiting(&mut client).await {
                    Ok(waiting) if waiting > 0 && waiting != waited => waited = waiting,
                    Ok(_) => break Ok(()),
                    Err(failure) => break Err(failure),
                }
                continue;
            }
            if let Err(failure) = self.take(&mut client, batches, &mut sink, &mut drained).await {
                break Err(failure);
            }
            bar.set_position(drained.events);
        };
        bar.finish_and_clear();
        sink.close()?;
        ended?;
        report(&drained, to_files, out)
    }

    async fn pull(&self, client: &mut DrainClient, max_batches: u32) -> Result<Vec<ReceivedBatch>, Failure> {
        let max_wait = self.follow.then(|| wire_duration(WAIT));
        let request = PullRequest { subscription: self.subscription.to_string(), max_batches, max_wait };
        let pulled = client.pull(request).await.map_err(|status| refused(&status))?;
        Ok(pulled.into_inner().batches)
    }

    /// Batches that wait for delivery or acknowledgement.
    async fn waiting(&self, client: &mut DrainClient) -> Result<u64, Failure> {
        let request = GetSubscriptionRequest { name: self.subscription.to_string() };
        let subscription = client.get_subscription(request).await.map_err(|status| refused(&status))?;
        Ok(subscription.into_inner().waiting_batches)
    }

    /// Writes, flushes, and only then acknowledges.
    async fn take(
        &self,
        client: &mut DrainClient,
        batches: Vec<ReceivedBatch>,
        sink: &mut Sink,
        drained: &mut Drained,
    ) -> Result<(), Failure> {
        let mut ack_ids = Vec::with_capacity(batches.len());
        for received in batches {
            let commit = received.commit_number;
            let batch = Batch::decode(received.batch).map_err(|_| {
                Failure::Failed(format!(
                    "batch {commit} is not a usaged.drain.v1.Batch; it was not acknowledged"
                ))
            })?;
            for line in lines(&batch, commit) {
                sink.write(&line)?;
                drained.events = drained.events.saturating_add(1);
            }
            drained.batches = drained.batches.saturating_add(1);
            ack_ids.push(received.ack_id);
        }
        sink.flush()?;
        let request = AcknowledgeRequest { subscription: self.subscription.to_string(), ack_ids };
        let answer = client.acknowledge(request).await.map_err(|status| refused(&status))?.into_inner();
        drained.acknowledged = drained.acknowledged.saturating_add(u64::from(answer.acknowledged));
        let late = u64::try_from(answer.failures.len()).unwrap_or(u64::MAX);
        drained.late = drained.late.saturating_add(late);
        Ok(())
    }
}

/// Sums up: on standard error where the lines went to standard output.
fn report(drained: &Drained, to_files: bool, out: Output) -> Result<(), Failure> {
    let Drained { batches, events, acknowledged, late } = drained;
    let text = if out.is_json() {
        let (batches, events, acknowledged, late) = (*batches, *events, *acknowledged, *late);
        json!({ "batches": batches, "events": events, "acknowledged": acknowledged, "late": late })
            .to_string()
    } else {
        format!("{events} events in {batches} batches, {acknowledged} acknowledged")
    };
    if to_files {
        out.line(&text)?;
    } else {
        say(&text);
    }
    match late {
        0 => Ok(()),
        late => Err(Failure::Partly(format!(
            "{late} batches were written but their leases had ended: they will be delivered again; give the \
             subscription a longer --ack-deadline or pull fewer with --max-batches"
        ))),
    }
}
