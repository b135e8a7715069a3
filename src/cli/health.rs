//! `usaged health`: whether a collector lives and is ready, told by the exit code: the probe of a container
//! that has no shell and no other program.

use clap::Args;
use serde_json::json;

use super::admin_page;
use super::exit::Failure;
use super::output::Output;
use crate::config::Span;

#[derive(Debug, Args)]
#[command(after_help = "\
It asks the admin port, which is on loopback, so it runs where the collector runs: in its container,
pod or machine. It ends with 0 if the collector is ready, with 8 if it says that it is not (because
it starts, ends, or its store failed), and with 4 if nobody answers in time.

Examples:
  usaged health
  usaged health --live
  usaged health --admin 127.0.0.1:7172 --timeout 2s --json")]
pub(super) struct HealthArgs {
    /// The collector's HTTP address, `admin.listen`.
    #[arg(long, value_name = "ADDRESS", env = "USAGED_ADMIN", default_value = "127.0.0.1:7172")]
    admin: String,
    /// What other commands take; the health of a collector is asked elsewhere.
    #[arg(long, value_name = "ADDRESS", hide = true)]
    server: Option<String>,
    /// Ask only whether the process answers, not whether it takes and gives batches.
    #[arg(long)]
    live: bool,
    /// How long an answer may take.
    #[arg(long, default_value = "3s")]
    timeout: Span,
}

impl HealthArgs {
    pub fn run(&self, out: Output) -> Result<(), Failure> {
        if self.server.is_some() {
            let told = "health asks the HTTP address, not the gRPC address: say `usaged health --admin ADDRESS` with the \
                        collector's `admin.listen`, where it runs; from elsewhere ask `grpc.health.v1.Health` at the \
                        gRPC address";
            return Err(Failure::Usage(told.to_owned()));
        }
        let (admin, page) = (&self.admin, if self.live { "/livez" } else { "/readyz" });
        let answer = admin_page::read(admin, page, self.timeout.0).map_err(|cause| {
            let remedy = "name its `admin.listen` with --admin, and ask on the machine where it runs";
            Failure::Unreachable(format!("asking {admin} for {page}: {cause}; {remedy}"))
        })?;
        let (is_well, said) = (answer.status == 200, answer.body.trim());
        if out.is_json() {
            out.json(&json!({ "ok": is_well, "page": page, "status": answer.status, "said": said }))?;
        } else if is_well {
            out.line(said)?;
        }
        let told = || Failure::Found(format!("{admin}{page} says {}: {said}", answer.status));
        if is_well { Ok(()) } else { Err(told()) }
    }
}
