//! `usaged policy diff`: what becomes more or less visible when one policy takes the place of another,
//! or when a customer accepts what a dictionary brought, and how many customers that touches.

use std::path::PathBuf;

use clap::Args;

use super::compiled;
use super::customers::Collector;
use super::diff_text::Report;
use crate::cli::block_on;
use crate::cli::connect::Server;
use crate::cli::credentials::Credentials;
use crate::cli::exit::Failure;
use crate::cli::output::Output;
use crate::model::ProductName;
use crate::policy::{self, Policy, Touched};

/// Where a collector is when nobody says otherwise.
const LOCAL: &str = "127.0.0.1:7171";

#[derive(Debug, Args)]
#[command(after_help = "\
What a level stores is compared by the order in which treatments reveal: drop, rotating pseudonym,
stable pseudonym, keep; and so for coarsened values, listed words, redacted text, and the purposes
that may use them. What has no order is shown as incomparable, and counts as exposed. What is
withheld until a customer accepts a newer dictionary is said to be so; what exposes `at once`
slipped in without a new version.

Customers are counted at a running collector: name one with --server, or use --live.
What a policy takes from batches that are queued is counted by the collector when it takes the
policy over: its log says so, and until half of amend.bind_within has passed nothing is lost if
the policy before is put back.

Examples:
  usaged policy diff /etc/usaged/policy /etc/usaged/policy.new
  usaged policy diff --live /etc/usaged/policy.new
  usaged policy diff --since 1 --product vcenter /etc/usaged/policy
  usaged policy diff --shipped my-policy --fail-on-exposure --json")]
pub(super) struct DiffArgs {
    /// OLD and NEW; or only NEW with --live, --shipped or --since.
    #[arg(value_name = "DIR", required = true, num_args = 1..=2)]
    dirs: Vec<PathBuf>,
    /// Compare with the policy that is in force at a running collector.
    #[arg(long, conflicts_with_all = ["shipped", "since"])]
    live: bool,
    /// Compare with the policy that is inside the program.
    #[arg(long, conflicts_with = "since")]
    shipped: bool,
    /// Show what the dictionaries of one policy have brought since this version.
    #[arg(long, value_name = "VERSION")]
    since: Option<u32>,
    /// Only of this product.
    #[arg(long, requires = "since")]
    product: Option<ProductName>,
    /// The collector whose customers are counted.
    #[arg(long, value_name = "ADDRESS", env = "USAGED_SERVER")]
    server: Option<String>,
    #[command(flatten)]
    credentials: Credentials,
    /// End with 8 if anything may become more visible.
    #[arg(long)]
    fail_on_exposure: bool,
}

impl DiffArgs {
    pub fn run(self, out: Output) -> Result<(), Failure> {
        block_on(self.compare(out))
    }

    async fn compare(self, out: Output) -> Result<(), Failure> {
        let one_is_elsewhere = self.live || self.shipped || self.since.is_some();
        let (old_dir, new_dir) = match self.dirs.as_slice() {
            [new] if one_is_elsewhere => (None, new),
            [old, new] if !one_is_elsewhere => (Some(old), new),
            [_] => {
                return Err(Failure::Usage(
                    "name OLD and NEW, or compare with --live or --shipped".to_owned(),
                ));
            }
            _ => {
                return Err(Failure::Usage(
                    "name one directory: the other is given by the option".to_owned(),
                ));
            }
        };
        let new = compiled(Some(new_dir))?;
        let address = self.server.or_else(|| self.live.then(|| LOCAL.to_owned()));
        let mut collector = match address {
            Some(server) => {
                let credentials = self.credentials;
                Some(Collector::reach(Server { server, credentials }).await?)
            }
            None => None,
        };
        let old = match (&mut collector, old_dir) {
            (_, Some(dir)) => Some(compiled(Some(dir))?),
            (Some(collector), None) if self.live => Some(collector.policy().await?),
            (_, None) if self.shipped => Some(compiled(None)?),
            (_, None) => None,
        };
        let report = match (&old, self.since) {
            (Some(old), _) => Report::of_policies(old, &new),
            (None, Some(version)) => since(&new, self.product.as_ref(), version)?,
            (None, None) => return Err(Failure::Usage("say what to compare with".to_owned())),
        };
        show(report, (old.as_ref().unwrap_or(&new), &new), collector, self.fail_on_exposure, out).await
    }
}

fn since<'p>(new: &'p Policy, product: Option<&ProductName>, version: u32) -> Result<Report<'p>, Failure> {
    if let Some(unknown) = product.filter(|product| new.product(product).is_none()) {
        return Err(Failure::Usage(format!("the policy has no product `{unknown}`")));
    }
    Ok(Report::since(new, version, policy::since(new, product, version)))
}

async fn show(
    report: Report<'_>,
    (old, new): (&Policy, &Policy),
    collector: Option<Collector>,
    fail_on_exposure: bool,
    out: Output,
) -> Result<(), Failure> {
    let exposed = report.exposed();
    match collector {
        None => report.show(None, out)?,
        Some(mut collector) => {
            let (first, caps) = collector.first().await?;
            let mut touched = Touched::new(old, new, &caps);
            collector.count(first, &mut touched, out).await?;
            report.show(Some((&touched, &collector.address)), out)?;
        }
    }
    if fail_on_exposure && exposed > 0 {
        return Err(Failure::Found(format!("{exposed} changes may make more visible than before")));
    }
    Ok(())
}
