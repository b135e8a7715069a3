//! What a running collector knows: the policy in force, and how many customers chose what.

use std::collections::BTreeMap;

use crate::cli::connect::{AdminClient, Server, refused};
use crate::cli::exit::Failure;
use crate::cli::output::Output;
use crate::grpc::proto::admin::{
    self as pb, CountParticipationsRequest, CountParticipationsResponse, ReadPolicyRequest,
};
use crate::model::{
    CustomerId, InvalidId, LevelName, Participation, ProductLevel, ProductName, ProgramName, RegionName,
};
use crate::policy::{self, Policy, PolicyFile, Touched};

/// A running collector.
pub(super) struct Collector {
    admin: AdminClient,
    /// Where it is.
    pub address: String,
}

/// The names of the products that the policy in force has.
pub(in crate::cli) async fn products(server: Server) -> Result<Vec<ProductName>, Failure> {
    let policy = Collector::reach(server).await?.policy().await?;
    Ok(policy.products().iter().map(|product| product.name().clone()).collect())
}

/// Levels by program.
pub(super) type Caps = BTreeMap<ProgramName, LevelName>;

impl Collector {
    pub async fn reach(server: Server) -> Result<Self, Failure> {
        Ok(Self { admin: server.admin().await?, address: server.server })
    }

    /// The policy in force.
    pub async fn policy(&mut self) -> Result<Policy, Failure> {
        let files = self.admin.read_policy(ReadPolicyRequest {}).await.map_err(|status| refused(&status))?;
        let (mut files, mut read) = (files.into_inner(), Vec::new());
        while let Some(file) = files.message().await.map_err(|status| refused(&status))? {
            read.push(PolicyFile { path: file.path, text: file.text });
        }
        match policy::compile(&read) {
            Ok((policy, _notes)) => Ok(policy),
            Err(problems) => {
                let what = format!("the policy in force at {} is not one of this version:", self.address);
                Err(super::mistakes(&what, &problems))
            }
        }
    }

    /// The first customers, and the caps that hold for all.
    pub async fn first(&mut self) -> Result<(CountParticipationsResponse, Caps), Failure> {
        let page = self.page(String::new()).await?;
        let caps = page.level_caps.iter().map(|cap| Ok((cap.program.parse()?, cap.level.parse()?)));
        let caps = caps.collect::<Result<Caps, InvalidId>>().map_err(foreign)?;
        Ok((page, caps))
    }

    async fn page(&mut self, page_token: String) -> Result<CountParticipationsResponse, Failure> {
        let request = CountParticipationsRequest { page_token };
        let page = self.admin.count_participations(request).await.map_err(|status| refused(&status))?;
        Ok(page.into_inner())
    }

    /// Counts all customers, of whom `page` holds the first.
    pub async fn count(
        &mut self,
        mut page: CountParticipationsResponse,
        touched: &mut Touched<'_>,
        out: Output,
    ) -> Result<(), Failure> {
        let bar = out.progress(None, "customers");
        loop {
            for cohort in &page.cohorts {
                let choice = cohort.participation.as_ref().map(choice).transpose().map_err(foreign)?;
                if let Some(choice) = choice {
                    touched.add(&choice, cohort.customers);
                    bar.inc(cohort.customers);
                }
            }
            if page.next_page_token.is_empty() {
                bar.finish_and_clear();
                return Ok(());
            }
            page = self.page(std::mem::take(&mut page.next_page_token)).await?;
        }
    }
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn foreign(invalid: InvalidId) -> Failure {
    Failure::Failed(format!("the collector names something that this version cannot: {invalid}"))
}

/// What a cohort chose, in the name of nobody.
fn choice(wire: &pb::Participation) -> Result<Participation, InvalidId> {
    let mut choice = Participation::none(CustomerId::new("nobody")?);
    for one in &wire.levels {
        choice.levels.insert(one.program.parse()?, one.level.parse()?);
    }
    for one in &wire.product_levels {
        let level = ProductLevel {
            product: one.product.parse()?,
            program: one.program.parse()?,
            level: one.level.parse()?,
        };
        choice.product_levels.push(level);
    }
    if !wire.region.is_empty() {
        choice.region = Some(RegionName::new(&wire.region)?);
    }
    let unknown = |_| InvalidId { rule: "a purpose or delivery mode of this version" };
    for purpose in &wire.purposes_off {
        choice.purposes_off.push(purpose.parse().map_err(unknown)?);
    }
    choice.delivery = wire.delivery.parse().map_err(unknown)?;
    for one in &wire.accepted_dictionaries {
        choice.accepted_dictionaries.insert(ProductName::new(&one.product)?, one.version);
    }
    Ok(choice)
}
