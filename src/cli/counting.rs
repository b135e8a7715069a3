//! Counts that the collector makes over its whole queue, for dry runs: followed with a bar until the answer is there.

use super::connect::refused;
use super::exit::Failure;
use super::output::Output;
use crate::grpc::client::Streaming;
use crate::grpc::proto::admin::CountProgress;

/// What one answer tells.
pub(super) enum Told<C> {
    /// How far it is.
    Progress(CountProgress),
    /// What was asked for; the last answer.
    Counted(C),
}

/// Waits for what is counted, with a bar over the queue. `read` takes an answer apart; one that this program does not
/// know is passed over.
pub(super) async fn counted<A, C>(
    mut answers: Streaming<A>,
    out: Output,
    read: impl Fn(A) -> Option<Told<C>>,
) -> Result<C, Failure> {
    let bar = out.progress(Some(0), "counting");
    let found = loop {
        match answers.message().await {
            Err(status) => break Err(refused(&status)),
            Ok(None) => {
                let what = "the collector ended before everything was counted; nothing was changed";
                break Err(Failure::Unreachable(what.to_owned()));
            }
            Ok(Some(answer)) => match read(answer) {
                Some(Told::Progress(at)) => {
                    bar.set_length(at.total);
                    bar.set_position(at.done);
                }
                Some(Told::Counted(found)) => break Ok(found),
                None => {}
            },
        }
    };
    bar.finish_and_clear();
    found
}
