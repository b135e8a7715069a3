//! What can be missing from a store, in the words that the operator reads.

use crate::model::CommitNumber;

/// Acknowledged data is missing, or cannot be shown to be all there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Loss {
    /// Commits that were acknowledged are not in the database.
    Commits {
        /// The first that is missing.
        first: CommitNumber,
        /// The last that is missing.
        last: CommitNumber,
    },
    /// The records up to `commit` are other ones than those that were acknowledged.
    Differs {
        /// Where it was found.
        commit: CommitNumber,
    },
    /// There is no database, although there was one.
    Database,
    /// Synced writes without records are missing: participations, subscriptions, acknowledgements.
    Metadata {
        /// How many.
        writes: u64,
    },
    /// A segment is gone.
    Segment {
        /// Its column family.
        family: String,
        /// Its first commit.
        first: CommitNumber,
        /// Its last commit.
        last: CommitNumber,
    },
    /// The family that keeps which batches were stored is gone: retries may be stored twice.
    Dedup {
        /// Its column family.
        family: String,
    },
    /// The witness file is gone, and so the proof.
    WitnessMissing,
    /// Both slots of the witness file are damaged.
    WitnessDamaged,
}

/// A loss that the operator accepted at this start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AcceptedLoss {
    /// The last commit that is there.
    pub last: CommitNumber,
    /// The last commit that was acknowledged, as far as is known.
    pub acknowledged: CommitNumber,
}

impl std::fmt::Display for Loss {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Commits { first, last } => {
                let records = last.0.saturating_sub(first.0).saturating_add(1);
                write!(f, "commits {first} to {last} ({records} records) are missing")
            }
            Self::Differs { commit } => {
                write!(f, "the records up to commit {commit} are not those that were acknowledged")
            }
            Self::Database => f.write_str("the database is missing"),
            Self::Metadata { writes } => {
                write!(
                    f,
                    "{writes} writes of metadata (participations, subscriptions, acknowledgements) are missing"
                )
            }
            Self::Segment { family, first, last } => {
                write!(f, "segment {family} is missing, with commits {first} to {last}")
            }
            Self::Dedup { family } => {
                write!(f, "{family} is missing: batches that are sent again may be stored twice")
            }
            Self::WitnessMissing => {
                f.write_str("the witness file is missing: the database cannot be checked")
            }
            Self::WitnessDamaged => {
                f.write_str("the witness file is damaged: the database cannot be checked")
            }
        }
    }
}
