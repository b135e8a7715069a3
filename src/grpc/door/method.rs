//! The methods of the door: the closed list that metrics name, and how long each may take.

use std::time::Duration;

/// Defines the list.
macro_rules! methods {
    ($($method:ident = $service:literal $name:literal $pace:ident,)+) => {
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

methods! {
    Submit = "usaged.ingest.v1.IngestService" "Submit" Prompt,
    SubmitStream = "usaged.ingest.v1.IngestService" "SubmitStream" Stream,
    GetCollectionPlan = "usaged.ingest.v1.IngestService" "GetCollectionPlan" Prompt,
    Pull = "usaged.drain.v1.DrainService" "Pull" Waits,
    StreamingPull = "usaged.drain.v1.DrainService" "StreamingPull" Stream,
    Acknowledge = "usaged.drain.v1.DrainService" "Acknowledge" Prompt,
    ModifyAckDeadline = "usaged.drain.v1.DrainService" "ModifyAckDeadline" Prompt,
    CreateSubscription = "usaged.drain.v1.DrainService" "CreateSubscription" Prompt,
    ListSubscriptions = "usaged.drain.v1.DrainService" "ListSubscriptions" Prompt,
    GetSubscription = "usaged.drain.v1.DrainService" "GetSubscription" Prompt,
    DeleteSubscription = "usaged.drain.v1.DrainService" "DeleteSubscription" Prompt,
    Seek = "usaged.drain.v1.DrainService" "Seek" Prompt,
    ListDeadLetters = "usaged.drain.v1.DrainService" "ListDeadLetters" Prompt,
    ReplayDeadLetters = "usaged.drain.v1.DrainService" "ReplayDeadLetters" Prompt,
    SetParticipation = "usaged.admin.v1.AdminService" "SetParticipation" Prompt,
    GetParticipation = "usaged.admin.v1.AdminService" "GetParticipation" Prompt,
    ListParticipations = "usaged.admin.v1.AdminService" "ListParticipations" Prompt,
    ImportParticipations = "usaged.admin.v1.AdminService" "ImportParticipations" Stream,
    ListParticipationChanges = "usaged.admin.v1.AdminService" "ListParticipationChanges" Prompt,
    AcceptDictionary = "usaged.admin.v1.AdminService" "AcceptDictionary" Prompt,
    CountParticipations = "usaged.admin.v1.AdminService" "CountParticipations" Prompt,
    ReadPolicy = "usaged.admin.v1.AdminService" "ReadPolicy" Prompt,
    ReloadPolicy = "usaged.admin.v1.AdminService" "ReloadPolicy" Prompt,
    ExplainEvent = "usaged.admin.v1.AdminService" "ExplainEvent" Prompt,
    ExplainBatch = "usaged.admin.v1.AdminService" "ExplainBatch" Prompt,
    ListStoredBatches = "usaged.admin.v1.AdminService" "ListStoredBatches" Prompt,
    GetStatus = "usaged.admin.v1.AdminService" "GetStatus" Prompt,
    Backup = "usaged.admin.v1.StoreService" "Backup" Stream,
    GetLedgerCheckpoint = "usaged.admin.v1.LedgerService" "GetLedgerCheckpoint" Prompt,
    ListLedgerEntries = "usaged.admin.v1.LedgerService" "ListLedgerEntries" Prompt,
    ExportLedger = "usaged.admin.v1.LedgerService" "ExportLedger" Stream,
    Erase = "usaged.admin.v1.ErasureService" "Erase" Prompt,
    GetErasure = "usaged.admin.v1.ErasureService" "GetErasure" Prompt,
    ListErasures = "usaged.admin.v1.ErasureService" "ListErasures" Prompt,
    PreviewBinding = "usaged.admin.v1.BindingService" "PreviewBinding" Prompt,
    GetBinding = "usaged.admin.v1.BindingService" "GetBinding" Prompt,
    GetKeyStatus = "usaged.admin.v1.KeyService" "GetKeyStatus" Prompt,
    RotateRootKey = "usaged.admin.v1.KeyService" "RotateRootKey" Prompt,
    LookUpPseudonym = "usaged.admin.v1.KeyService" "LookUpPseudonym" Prompt,
    CreateBridge = "usaged.admin.v1.KeyService" "CreateBridge" Prompt,
    ListBridges = "usaged.admin.v1.KeyService" "ListBridges" Prompt,
    EraseBridge = "usaged.admin.v1.KeyService" "EraseBridge" Prompt,
    IssueToken = "usaged.admin.v1.TokenService" "IssueToken" Prompt,
    ListTokens = "usaged.admin.v1.TokenService" "ListTokens" Prompt,
    RevokeToken = "usaged.admin.v1.TokenService" "RevokeToken" Prompt,
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
        assert_eq!(seen, 45);
    }

    #[test]
    fn what_a_caller_makes_up_is_counted_as_other() {
        for path in ["", "/", "/usaged.ingest.v1.IngestService/Submit/x", "/a.b/C"] {
            assert_eq!(Method::of(path).as_str(), "other");
        }
    }
}
