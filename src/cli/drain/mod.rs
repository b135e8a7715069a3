//! `usaged drain`: sanitised events as NDJSON, acknowledged only when they are where they should be.

mod notice;
mod sink;

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use serde_json::json;

use self::notice::Notices;
use self::sink::Sink;
use super::batch_text::lines;
use super::connect::{DrainClient, Server, refused};
use super::exit::{Failure, say};
use super::output::Output;
use super::subscription::wire_duration;
use crate::config::Size;
use crate::grpc::client::Message as _;
use crate::grpc::proto::drain::ack_failure::Reason;
use crate::grpc::proto::drain::{
    AcknowledgeRequest, Batch, GetSubscriptionRequest, PullRequest, PullResponse, ReceivedBatch,
};
use crate::model::SubscriptionName;

/// How long one pull waits for the first batch while following.
const WAIT: Duration = Duration::from_secs(20);
/// How long to wait between pulls while notices are not acknowledged.
const AGAIN: Duration = Duration::from_secs(1);

#[derive(Debug, Args)]
#[command(after_help = "\
A line is one event with the head of its batch; pseudonyms are text such as p1-host_name-s-4l7q...
A batch is acknowledged after its lines were flushed (to standard output) or synced (to files). A
crash in between delivers it again: `commit_number` and the place of the line tell the two apart.

A notice says what was erased after it was delivered, and has to be deleted wherever it went. It
is shown on standard error (with --json it is a line among the events: {\"notice\":{...}}) once in
each run, and comes again in the next run until it is acknowledged. This command cannot know where
the lines went, so it acknowledges notices only with --ack-notices: give that when what they name
is deleted, or in a pipe whose reader deletes it. A batch that was lowered or erased while it was
out is reported as withdrawn: delete the lines with its `commit_number`; what is left of it is
delivered again.

Examples:
  usaged drain improve-team | jq .fields
  usaged drain improve-team --notices
  usaged drain improve-team --notices --ack-notices
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
    /// Only show the notices that wait; no batch is drained.
    #[arg(long, conflicts_with_all = ["follow", "out", "limit"])]
    notices: bool,
    /// Acknowledge the notices that this run shows, after its output was flushed: what they name is deleted, or
    /// whoever reads the output deletes it.
    #[arg(long)]
    ack_notices: bool,
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
    /// Commit numbers of batches that were lowered or erased while they were out.
    withdrawn: Vec<u64>,
    notices: Notices,
}

impl DrainArgs {
    pub async fn run(self, out: Output) -> Result<(), Failure> {
        let client = self.server.drain().await?;
        let to_files = self.out.is_some();
        let sink = Sink::open(self.out.as_deref(), self.file_size.0)?;
        let bar = out.progress(None, "events drained");
        let mut run = Run { args: self, out, client, sink, drained: Drained::default(), waited: 0 };
        let mut stop = std::pin::pin!(tokio::signal::ctrl_c());
        let ended = loop {
            let step = tokio::select! {
                biased;
                _ = &mut stop => break Ok(()),
                pulled = run.pull() => pulled,
            };
            let goes_on = match step {
                Ok(pulled) => run.take(pulled).await,
                Err(failure) => Err(failure),
            };
            bar.set_position(run.drained.events);
            match goes_on {
                Ok(true) => {}
                Ok(false) => break Ok(()),
                Err(failure) => break Err(failure),
            }
        };
        bar.finish_and_clear();
        let Run { sink, drained, .. } = run;
        sink.close()?;
        ended?;
        report(&drained, to_files, out)
    }
}

/// A drain under way.
struct Run {
    args: DrainArgs,
    out: Output,
    client: DrainClient,
    sink: Sink,
    drained: Drained,
    /// Batches that waited when the last pull had none.
    waited: u64,
}

impl Run {
    /// Batches that are still wanted.
    fn left(&self) -> u64 {
        self.args.limit.map_or(u64::MAX, |limit| limit.saturating_sub(self.drained.batches))
    }

    async fn pull(&mut self) -> Result<PullResponse, Failure> {
        if self.args.follow && self.drained.notices.are_waiting() {
            // What was shown and not acknowledged is given again at once: no pull waits any more.
            tokio::time::sleep(AGAIN).await;
        }
        let most = u32::try_from(self.left()).unwrap_or(u32::MAX).min(self.args.max_batches);
        let request = PullRequest {
            subscription: self.args.subscription.to_string(),
            max_batches: most,
            max_wait: self.args.follow.then(|| wire_duration(WAIT)),
            notices_only: self.args.notices || most == 0,
        };
        let pulled = self.client.pull(request).await.map_err(|status| refused(&status))?;
        Ok(pulled.into_inner())
    }

    /// Writes, flushes, and only then acknowledges. Gives whether to go on.
    async fn take(&mut self, pulled: PullResponse) -> Result<bool, Failure> {
        let is_empty = pulled.batches.is_empty();
        let mut ack_ids = Vec::with_capacity(pulled.batches.len());
        let shown = self.drained.notices.show(pulled.notices, &mut self.sink, self.out)?;
        for received in pulled.batches {
            ack_ids.push(self.write(received)?);
        }
        if self.args.ack_notices {
            ack_ids.extend(shown.iter().cloned());
        }
        if !ack_ids.is_empty() {
            self.sink.flush()?;
            self.acknowledge(ack_ids, &shown).await?;
        }
        if self.args.notices {
            // Pages of notices go on as long as they are acknowledged.
            return Ok(self.args.ack_notices && !shown.is_empty());
        }
        if self.left() == 0 {
            return Ok(false);
        }
        if !is_empty || self.args.follow {
            return Ok(true);
        }
        // A pull that passes over much answers empty before it has come to the end.
        let waiting = self.waiting().await?;
        let goes_on = waiting > 0 && waiting != self.waited;
        self.waited = waiting;
        Ok(goes_on)
    }

    /// Writes the lines of a batch. Gives the name of its lease.
    fn write(&mut self, received: ReceivedBatch) -> Result<String, Failure> {
        let commit = received.commit_number;
        let batch = Batch::decode(received.batch).map_err(|_| {
            Failure::Failed(format!("batch {commit} is not a usaged.drain.v1.Batch; it was not acknowledged"))
        })?;
        for line in lines(&batch, commit) {
            self.sink.write(&line)?;
            self.drained.events = self.drained.events.saturating_add(1);
        }
        self.drained.batches = self.drained.batches.saturating_add(1);
        Ok(received.ack_id)
    }

    /// Batches that wait for delivery or acknowledgement.
    async fn waiting(&mut self) -> Result<u64, Failure> {
        let request = GetSubscriptionRequest { name: self.args.subscription.to_string() };
        let subscription = self.client.get_subscription(request).await.map_err(|status| refused(&status))?;
        Ok(subscription.into_inner().waiting_batches)
    }

    /// Acknowledges batches and `notices`.
    async fn acknowledge(&mut self, ack_ids: Vec<String>, notices: &[String]) -> Result<(), Failure> {
        let request = AcknowledgeRequest { subscription: self.args.subscription.to_string(), ack_ids };
        let answer = self.client.acknowledge(request).await.map_err(|status| refused(&status))?.into_inner();
        let drained = &mut self.drained;
        let of_notices =
            if self.args.ack_notices { drained.notices.acknowledged(notices, &answer) } else { 0 };
        let of_batches = u64::from(answer.acknowledged).saturating_sub(of_notices);
        drained.acknowledged = drained.acknowledged.saturating_add(of_batches);
        for failure in answer.failures {
            if failure.reason() == Reason::Withdrawn {
                drained.withdrawn.push(failure.commit_number);
            } else if !notices.contains(&failure.ack_id) {
                drained.late = drained.late.saturating_add(1);
            }
        }
        Ok(())
    }
}

/// Sums up: on standard error where the lines went to standard output.
fn report(drained: &Drained, to_files: bool, out: Output) -> Result<(), Failure> {
    let Drained { batches, events, acknowledged, late, withdrawn, notices } = drained;
    let text = if out.is_json() {
        json!({
            "batches": batches, "events": events, "acknowledged": acknowledged, "late": late,
            "withdrawn": withdrawn, "notices": notices.shown(), "acknowledged_notices": notices.done(),
        })
        .to_string()
    } else {
        format!("{events} events in {batches} batches, {acknowledged} acknowledged")
    };
    if to_files {
        out.line(&text)?;
    } else {
        say(&text);
    }
    if !out.is_json() {
        notices.sum_up();
    }
    if !withdrawn.is_empty() {
        let commits: Vec<String> = withdrawn.iter().map(ToString::to_string).collect();
        return Err(Failure::Partly(format!(
            "{} batches were lowered or erased while they were out: delete the lines with commit_number {}; what \
             is left of them is delivered again",
            withdrawn.len(),
            commits.join(", ")
        )));
    }
    match late {
        0 => Ok(()),
        late => Err(Failure::Partly(format!(
            "{late} batches were written but their leases had ended: they will be delivered again; give the \
             subscription a longer --ack-deadline or pull fewer with --max-batches"
        ))),
    }
}
