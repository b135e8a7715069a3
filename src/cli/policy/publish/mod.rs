//! x
use crate::cli::exit::Failure;
use crate::cli::output::Output;
use clap::Args;
#[derive(Debug, Args)]
pub(super) struct PublishArgs {}
impl PublishArgs {
    pub fn run(self, _out: Output) -> Result<(), Failure> {
        Ok(())
    }
}
