//! Who plays in the demo: five customers, from one who takes part in nothing to one in the EEA.

use crate::grpc::proto::admin::{Participation, ProgramLevel};

/// A customer of the demo.
pub(super) struct Player {
    pub customer: &'static str,
    /// What it chose, for people.
    pub choice: &'static str,
    levels: &'static [(&'static str, &'static str)],
    region: &'static str,
}

/// The five.
pub(super) const CAST: [Player; 5] = [
    Player { customer: "nothing.example", choice: "nothing", levels: &[], region: "" },
    Player {
        customer: "operational.example",
        choice: "operational only",
        levels: &[("operational", "operational")],
        region: "",
    },
    Player {
        customer: "standard.example",
        choice: "ceip standard",
        levels: &[("operational", "operational"), ("ceip", "standard")],
        region: "",
    },
    Player {
        customer: "enhanced.example",
        choice: "ceip enhanced",
        levels: &[("operational", "operational"), ("ceip", "enhanced")],
        region: "",
    },
    Player {
        customer: "enhanced-eea.example",
        choice: "ceip enhanced, eea",
        levels: &[("operational", "operational"), ("ceip", "enhanced")],
        region: "eea",
    },
];

impl Player {
    /// What is imported for it.
    pub fn participation(&self) -> Participation {
        let level = |(program, level): &(&str, &str)| ProgramLevel {
            program: (*program).to_owned(),
            level: (*level).to_owned(),
        };
        Participation {
            customer: self.customer.to_owned(),
            levels: self.levels.iter().map(level).collect(),
            region: self.region.to_owned(),
            ..Participation::default()
        }
    }

    /// Whether a stored batch of this program, level and region can be its own. No two players with
    /// the same level of a program have the same region, except where the level is the same anyway.
    pub fn is_at(&self, program: &str, level: &str, region: &str) -> bool {
        self.region == region && self.levels.contains(&(program, level))
    }
}
