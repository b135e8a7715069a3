//! Checks what an operator is about to set against the policy, so that a mistyped word is told at
//! once and does not become a silent `none`.

use std::collections::BTreeMap;

use super::compiled::Policy;
use super::nearest::remedy;
use crate::model::{LevelName, Participation, ProductName, ProgramName, RegionName};

impl Policy {
    /// Whether every name in `participation` exists.
    ///
    /// # Errors
    /// One sentence for each that does not, beginning with its key.
    pub fn check_participation(&self, participation: &Participation) -> Result<(), Vec<String>> {
        let mut faults = Vec::new();
        for (program, level) in &participation.levels {
            self.check_level(&format!("levels.{program}"), program, level, &mut faults);
        }
        for (at, product_level) in participation.product_levels.iter().enumerate() {
            let key = format!("product_levels[{at}]");
            self.check_product(&key, &product_level.product, &mut faults);
            self.check_level(&key, &product_level.program, &product_level.level, &mut faults);
        }
        if let Some(region) = participation.region.as_ref().filter(|region| !self.regions().contains(region))
        {
            let known = self.regions().iter().map(RegionName::as_str);
            faults.push(format!("region: there is no region `{region}`; {}", remedy(region.as_str(), known)));
        }
        for (product, version) in &participation.accepted_dictionaries {
            let key = format!("accepted_dictionaries.{product}");
            self.check_product(&key, product, &mut faults);
            if let Some(known) = self.product(product).filter(|known| *version > known.version()) {
                faults.push(format!(
                    "{key}: version {version} of the dictionary does not exist yet; write at most {}",
                    known.version()
                ));
            }
        }
        if faults.is_empty() { Ok(()) } else { Err(faults) }
    }

    /// Whether every program and level of the caps that hold for all customers exists.
    ///
    /// # Errors
    /// One sentence for each that does not, beginning with its key.
    pub fn check_caps(&self, caps: &BTreeMap<ProgramName, LevelName>) -> Result<(), Vec<String>> {
        let mut faults = Vec::new();
        for (program, level) in caps {
            self.check_level(program.as_str(), program, level, &mut faults);
        }
        if faults.is_empty() { Ok(()) } else { Err(faults) }
    }

    /// Notes the present version of every dictionary that the customer has not accepted a
    /// version of yet: what is there when a participation is first set is what was agreed to.
    pub fn accept_current(&self, participation: &mut Participation) {
        for product in self.products() {
            participation
                .accepted_dictionaries
                .entry(product.name().clone())
                .or_insert_with(|| product.version());
        }
    }

    fn check_product(&self, key: &str, product: &ProductName, faults: &mut Vec<String>) {
        if self.product(product).is_none() {
            let known = self.products().iter().map(|product| product.name().as_str());
            faults
                .push(format!("{key}: there is no product `{product}`; {}", remedy(product.as_str(), known)));
        }
    }

    fn check_level(&self, key: &str, program: &ProgramName, level: &LevelName, faults: &mut Vec<String>) {
        let Some(known) = self.program(program.as_str()) else {
            let known = self.programs().iter().map(|program| program.name.as_str());
            faults
                .push(format!("{key}: there is no program `{program}`; {}", remedy(program.as_str(), known)));
            return;
        };
        if known.rank(level.as_str()).is_none() {
            let levels =
                std::iter::once("none").chain(known.levels().iter().map(|level| level.name.as_str()));
            let remedy = remedy(level.as_str(), levels);
            faults.push(format!("{key}: there is no level `{level}` of `{program}`; {remedy}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample::{customer, name, policy};
    use crate::model::ProductLevel;

    #[test]
    fn a_participation_that_names_only_what_exists_is_good() {
        let policy = policy();
        let mut participation = customer(&["ceip=enhanced", "operational=none"]);
        participation.region = Some(name("eea"));
        participation.accepted_dictionaries.insert(name("horizon"), 1);
        let one = ProductLevel { product: name("vcenter"), program: name("ceip"), level: name("none") };
        participation.product_levels.push(one);
        assert_eq!(policy.check_participation(&participation), Ok(()));
        assert_eq!(policy.check_caps(&participation.levels), Ok(()));
    }

    #[test]
    fn every_name_that_does_not_exist_is_told_at_once() {
        let policy = policy();
        let mut participation = customer(&["ciep=standard", "operational=standart"]);
        participation.region = Some(name("eaa"));
        participation.accepted_dictionaries.extend([(name("horizont"), 1), (name("vcenter"), 3)]);
        let one = ProductLevel { product: name("vcentre"), program: name("ceip"), level: name("standart") };
        participation.product_levels.push(one);
        assert_eq!(
            policy.check_participation(&participation),
            Err(vec![
                "levels.ciep: there is no program `ciep`; did you mean `ceip`?".to_owned(),
                "levels.operational: there is no level `standart` of `operational`; use one of none, operational"
                    .to_owned(),
                "product_levels[0]: there is no product `vcentre`; did you mean `vcenter`?".to_owned(),
                "product_levels[0]: there is no level `standart` of `ceip`; did you mean `standard`?".to_owned(),
                "region: there is no region `eaa`; did you mean `eea`?".to_owned(),
                "accepted_dictionaries.horizont: there is no product `horizont`; did you mean `horizon`?".to_owned(),
                "accepted_dictionaries.vcenter: version 3 of the dictionary does not exist yet; write at most 2"
                    .to_owned(),
            ])
        );
    }
}
