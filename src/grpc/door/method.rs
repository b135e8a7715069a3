//! The methods of the door: the closed list that metrics name, how long each may take, and which are brought to their
//! end without their callers.

use std::time::Duration;

/// Defines the list.
macro_rules! methods {
    ($($method:ident = $service:literal $name:literal $pace:ident $after:ident,)+) => {
        /// A method, or what stands for those that are none of ours.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(super) enum Method { $($method,)+ HealthCheck, Health, Reflection, Other }

        impl Method {
            /// The method that a request path names.
            pub(super) fn of(path: &str) -> Self {
                match path {
                    $(concat!("/", $service, "/", $name) => Self::$method,)+
                    "/grpc.health.v1.Health/Check" => Self::HealthCheck,
                    _ if path.starts_with("/grpc.health.v1.Health/") => Self::Health,
                    _ if path.starts_with("/grpc.reflection.") => Self::Reflection,
                    _ => Self::Other,
                }
            }

            /// The name as a metric label.
            pub(super) const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$method => $name,)+
                    Self::HealthCheck | Self::Health => "Health",
                    Self::Reflection => "Reflection",
                    Self::Other => "other",
                }
            }

            /// Whether it is a stream that others wrote, which holds nothing that must be finished.
            pub(super) const fn is_only_watching(self) -> bool {
                matches!(self, Self::Health | Self::Reflection)
            }

            const fn pace(self) -> Pace {
                match self {
                    $(Self::$method => Pace::$pace,)+
                    Self::Other | Self::HealthCheck => Pace::Prompt,
                    Self::Health | Self::Reflection => Pace::Stream,
                }
            }

            const fn after(self) -> After {
                match self {
                    $(Self::$method => After::$after,)+
                    Self::Other | Self::HealthCheck | Self::Health | Self::Reflection => After::Ends,
                }
            }
        }
    };
}

/// How long a method takes by its nature.
enum Pace {
    /// As long as the work takes.
    Prompt,
    /// Up to a minute, because the caller waits for something to come.
    Waits,
    /// As long as the caller likes.
    Stream,
}

/// What becomes of a call whose caller goes away, or was sent away because it takes too long.
enum After {
    /// It ends where it is. It changes nothing; or what it changes is out of its hands with one step, such as the batch that
    /// a sender hands over; or it waits for its caller's sake only.
    Ends,
    /// It is brought to its end: it changes what is kept in several places, and half of that is a lie in one of them.
    Finishes,
}

methods! {
    Submit = "usaged.ingest.v1.IngestService" "Submit" Prompt Ends,
    SubmitStream = "usaged.ingest.v1.IngestService" "SubmitStream" Stream Ends,
    GetCollectionPlan = "usaged.ingest.v1.IngestService" "GetCollectionPlan" Prompt Ends,
    Pull = "usaged.drain.v1.DrainService" "Pull" Waits Ends,
    StreamingPull = "usaged.drain.v1.DrainService" "StreamingPull" Stream Ends,
    Acknowledge = "usaged.drain.v1.DrainService" "Acknowledge" Prompt Finishes,
    ModifyAckDeadline = "usaged.drain.v1.DrainService" "ModifyAckDeadline" Prompt Finishes,
    CreateSubscription = "usaged.drain.v1.DrainService" "CreateSubscription" Prompt Finishes,
    ListSubscriptions = "usaged.drain.v1.DrainService" "ListSubscriptions" Prompt Ends,
    GetSubscription = "usaged.drain.v1.DrainService" "GetSubscription" Prompt Ends,
    DeleteSubscription = "usaged.drain.v1.DrainService" "DeleteSubscription" Prompt Finishes,
    Seek = "usaged.drain.v1.DrainService" "Seek" Prompt Finishes,
    ListDeadLetters = "usaged.drain.v1.DrainService" "ListDeadLetters" Prompt Ends,
    ReplayDeadLetters = "usaged.drain.v1.DrainService" "ReplayDeadLetters" Prompt Finishes,
    SetParticipation = "usaged.admin.v1.AdminService" "SetParticipation" Prompt Finishes,
    GetParticipation = "usaged.admin.v1.AdminService" "GetParticipation" Prompt Ends,
    ListParticipations = "usaged.admin.v1.AdminService" "ListParticipations" Prompt Ends,
    ImportParticipations = "usaged.admin.v1.AdminService" "ImportParticipations" Stream Finishes,
    ListParticipationChanges = "usaged.admin.v1.AdminService" "ListParticipationChanges" Prompt Ends,
    AcceptDictionary = "usaged.admin.v1.AdminService" "AcceptDictionary" Prompt Finishes,
    CountParticipations = "usaged.admin.v1.AdminService" "CountParticipations" Prompt Ends,
    ReadPolicy = "usaged.admin.v1.AdminService" "ReadPolicy" Prompt Ends,
    ReloadPolicy = "usaged.admin.v1.AdminService" "ReloadPolicy" Prompt Finishes,
    ExplainEvent = "usaged.admin.v1.AdminService" "ExplainEvent" Prompt Ends,
    ExplainBatch = "usaged.admin.v1.AdminService" "ExplainBatch" Prompt Ends,
    ListStoredBatches = "usaged.admin.v1.AdminService" "ListStoredBatches" Prompt Ends,
    GetStatus = "usaged.admin.v1.AdminService" "GetStatus" Prompt Ends,
    Backup = "usaged.admin.v1.StoreService" "Backup" Stream Ends,
    GetLedgerCheckpoint = "usaged.admin.v1.LedgerService" "GetLedgerCheckpoint" Prompt Ends,
    ListLedgerEntries = "usaged.admin.v1.LedgerService" "ListLedgerEntries" Prompt Ends,
    ExportLedger = "usaged.admin.v1.LedgerService" "ExportLedger" Stream Ends,
    Erase = "usaged.admin.v1.ErasureService" "Erase" Prompt Finishes,
    CountErasure = "usaged.admin.v1.ErasureService" "CountErasure" Stream Ends,
    GetErasure = "usaged.admin.v1.ErasureService" "GetErasure" Prompt Ends,
    ListErasures = "usaged.admin.v1.ErasureService" "ListErasures" Prompt Ends,
    PreviewBinding = "usaged.admin.v1.BindingService" "PreviewBinding" Prompt Ends,
    CountBinding = "usaged.admin.v1.BindingService" "CountBinding" Stream Ends,
    GetBinding = "usaged.admin.v1.BindingService" "GetBinding" Prompt Ends,
    GetKeyStatus = "usaged.admin.v1.KeyService" "GetKeyStatus" Prompt Ends,
    RotateRootKey = "usaged.admin.v1.KeyService" "RotateRootKey" Prompt Finishes,
    LookUpPseudonym = "usaged.admin.v1.KeyService" "LookUpPseudonym" Prompt Finishes,
    CreateBridge = "usaged.admin.v1.KeyService" "CreateBridge" Prompt Finishes,
    ListBridges = "usaged.admin.v1.KeyService" "ListBridges" Prompt Ends,
    EraseBridge = "usaged.admin.v1.KeyService" "EraseBridge" Prompt Finishes,
    IssueToken = "usaged.admin.v1.TokenService" "IssueToken" Prompt Finishes,
    ListTokens = "usaged.admin.v1.TokenService" "ListTokens" Prompt Ends,
    RevokeToken = "usaged.admin.v1.TokenService" "RevokeToken" Prompt Finishes,
}

impl Method {
    /// Whether a request of this method lasts as long as the caller likes.
    pub(super) const fn is_stream(self) -> bool {
        matches!(self.pace(), Pace::Stream)
    }

    /// Whether a request of this method waits for something to come.
    pub(super) const fn waits(self) -> bool {
        matches!(self.pace(), Pace::Waits)
    }

    /// Whether a call of this method is brought to its end also without its caller.
    pub(super) const fn finishes(self) -> bool {
        matches!(self.after(), After::Finishes)
    }

    /// How long a request of this method may take until its answer begins, if that is bounded.
    pub(super) fn deadline(self, prompt: Duration) -> Option<Duration> {
        match self.pace() {
            Pace::Prompt => Some(prompt),
            Pace::Waits => Some(prompt.saturating_add(Duration::from_mins(1))),
            Pace::Stream => None,
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test")]
mod tests {
    use prost::Message;

    use super::*;
    use crate::grpc::proto;

    #[test]
    fn every_method_of_the_api_is_in_the_list() {
        let files = prost_types::FileDescriptorSet::decode(proto::DESCRIPTORS).unwrap();
        let mut seen = 0;
        for file in &files.file {
            for service in &file.service {
                for method in &service.method {
                    let path = format!("/{}.{}/{}", file.package(), service.name(), method.name());
                    assert_eq!(Method::of(&path).as_str(), method.name(), "{path}");
                    seen += 1;
                }
            }
        }
        assert_eq!(seen, 47);
    }

    /// Whoever adds a method decides: one whose name does not say that it only reads is brought to its end, or stands here
    /// with the reason why it is not.
    #[test]
    fn every_method_that_changes_something_is_brought_to_its_end() {
        let reads = ["Get", "List", "Read", "Count", "Explain", "Preview"];
        let others = [
            // The writer has the whole batch, or nothing of it.
            ("Submit", "usaged.ingest.v1.IngestService"),
            ("SubmitStream", "usaged.ingest.v1.IngestService"),
            // They wait for their callers; what they lease or acknowledge is written by tasks of its own.
            ("Pull", "usaged.drain.v1.DrainService"),
            ("StreamingPull", "usaged.drain.v1.DrainService"),
            // One entry of the ledger, before anything is given out.
            ("ExportLedger", "usaged.admin.v1.LedgerService"),
            // Made in a task of its own.
            ("Backup", "usaged.admin.v1.StoreService"),
        ];
        let files = prost_types::FileDescriptorSet::decode(proto::DESCRIPTORS).unwrap();
        let mut finished = 0;
        for file in &files.file {
            for service in &file.service {
                let of = format!("{}.{}", file.package(), service.name());
                for method in service.method.iter().map(prost_types::MethodDescriptorProto::name) {
                    let ends = reads.iter().any(|verb| method.starts_with(verb))
                        || others.contains(&(method, of.as_str()));
                    let finishes = Method::of(&format!("/{of}/{method}")).finishes();
                    assert_eq!(finishes, !ends, "{method}");
                    finished += u32::from(finishes);
                }
            }
        }
        assert_eq!(finished, 17);
    }

    #[test]
    fn a_count_takes_as_long_as_it_takes_and_no_longer_than_its_caller() {
        for path in ["ErasureService/CountErasure", "BindingService/CountBinding"] {
            let method = Method::of(&format!("/usaged.admin.v1.{path}"));
            assert!(method.deadline(Duration::from_secs(1)).is_none() && !method.finishes(), "{path}");
        }
    }

    #[test]
    fn what_a_caller_makes_up_is_counted_as_other() {
        for path in ["", "/", "/usaged.ingest.v1.IngestService/Submit/x", "/a.b/C"] {
            assert_eq!(Method::of(path).as_str(), "other");
        }
    }
}
