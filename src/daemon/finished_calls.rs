//! A request of each method that changes something: for the test of callers that go away.

use bytes::Bytes;

use super::rooms_tests::{START, jobs};
use crate::grpc::Inside;
use crate::grpc::proto::{admin as pb, drain as dr};

/// What the requests name.
#[derive(Default)]
pub(super) struct Named {
    pub(super) token: String,
    pub(super) epoch: u32,
    pub(super) leased: Vec<String>,
}

/// A subscription with dead letters.
pub(super) const DEAD: &str = "dead";

const BY: &str = "tests";

pub(super) fn bridge(epoch: u32) -> pb::CreateBridgeRequest {
    let mut bridge = pb::CreateBridgeRequest {
        customer: "acme".to_owned(),
        epoch,
        created_by: BY.to_owned(),
        create_reason: BY.to_owned(),
        ..pb::CreateBridgeRequest::default()
    };
    bridge.expire_time.get_or_insert_default().seconds = START.0 / 1_000 + 86_400;
    bridge
}

fn lowered() -> pb::Participation {
    let level = pb::ProgramLevel { program: "ceip".to_owned(), level: "standard".to_owned() };
    pb::Participation { customer: "acme".to_owned(), levels: vec![level], ..pb::Participation::default() }
}

/// What a method does that is called with the request.
pub(super) struct Row {
    pub(super) request: Bytes,
    /// What the ledger is told of it, by the name of the fact.
    pub(super) told: Option<&'static str>,
    /// Whether what is listed changes.
    pub(super) is_seen: bool,
}

impl Row {
    const fn new(request: Bytes, told: Option<&'static str>) -> Self {
        Self { request, told, is_seen: true }
    }
}

/// The request of every method that changes something. Whoever adds one adds it here.
pub(super) fn row(method: &str, named: &Named) -> Row {
    let row = of_drain(method, named).or_else(|| of_admin(method)).or_else(|| of_keys(method, named));
    row.unwrap_or_else(|| {
        panic!("{method} is brought to its end without its caller, and nobody has said how to try that")
    })
}

fn of_drain(method: &str, named: &Named) -> Option<Row> {
    let (subscription, ack_ids) = (jobs().to_string(), named.leased.clone());
    let row = match method {
        "Acknowledge" => Row::new(Inside::request(&dr::AcknowledgeRequest { subscription, ack_ids }), None),
        "ModifyAckDeadline" => {
            let request = dr::ModifyAckDeadlineRequest { subscription, ack_ids, ack_deadline: None };
            Row::new(Inside::request(&request), None)
        }
        "CreateSubscription" => {
            let new = dr::Subscription {
                name: "new".to_owned(),
                purpose: dr::Purpose::Improve.into(),
                recipient: BY.to_owned(),
                ..dr::Subscription::default()
            };
            let request = dr::CreateSubscriptionRequest { subscription: Some(new) };
            Row::new(Inside::request(&request), Some("SubscriptionCreated"))
        }
        "DeleteSubscription" => {
            let request = dr::DeleteSubscriptionRequest { name: subscription };
            Row::new(Inside::request(&request), Some("SubscriptionDeleted"))
        }
        "Seek" => {
            let target = Some(dr::seek_request::Target::Oldest(false));
            Row::new(Inside::request(&dr::SeekRequest { subscription, target }), None)
        }
        "ReplayDeadLetters" => {
            let (subscription, commit_numbers) = (DEAD.to_owned(), Vec::new());
            let request = dr::ReplayDeadLettersRequest { subscription, commit_numbers };
            Row::new(Inside::request(&request), None)
        }
        _ => return None,
    };
    Some(row)
}

fn of_admin(method: &str) -> Option<Row> {
    let (by, reason) = (BY.to_owned(), BY.to_owned());
    let row = match method {
        "SetParticipation" => {
            let participation = Some(lowered());
            let request = pb::SetParticipationRequest {
                participation,
                changed_by: by,
                change_reason: reason,
                if_revision: 0,
            };
            Row::new(Inside::request(&request), Some("ParticipationChanged"))
        }
        "ImportParticipations" => {
            let participations = vec![lowered()];
            let request =
                pb::ImportParticipationsRequest { participations, changed_by: by, change_reason: reason };
            Row::new(Inside::request(&request), Some("ParticipationChanged"))
        }
        "AcceptDictionary" => {
            let request = pb::AcceptDictionaryRequest {
                customer: "acme".to_owned(),
                product: "vcenter".to_owned(),
                version: Some(0),
                changed_by: by,
                change_reason: reason,
                ..pb::AcceptDictionaryRequest::default()
            };
            Row::new(Inside::request(&request), Some("ParticipationChanged"))
        }
        "ReloadPolicy" => Row::new(Inside::request(&pb::ReloadPolicyRequest {}), None),
        "Erase" => {
            let request = pb::EraseRequest {
                erasure_id: "00000000-0000-4000-8000-0000000000e1".to_owned(),
                customer: "acme".to_owned(),
                scope: Some(pb::erase_request::Scope::Instance("instance-1".to_owned())),
                reference: "ticket-1".to_owned(),
                dry_run: false,
                requested_by: by,
            };
            Row::new(Inside::request(&request), Some("ErasureStepped"))
        }
        _ => return None,
    };
    Some(row)
}

fn of_keys(method: &str, named: &Named) -> Option<Row> {
    let (by, reason) = (BY.to_owned(), BY.to_owned());
    let row = match method {
        "RotateRootKey" => {
            let request = pb::RotateRootKeyRequest {
                new_key_file: String::new(),
                changed_by: by,
                change_reason: reason,
            };
            Row::new(Inside::request(&request), Some("RootKeyRotated"))
        }
        "LookUpPseudonym" => {
            let request = pb::LookUpPseudonymRequest {
                customer: "acme".to_owned(),
                class: "host_name".to_owned(),
                values: vec!["esx-1.example.com".to_owned()],
                requested_by: by,
                request_reason: reason,
            };
            Row { is_seen: false, ..Row::new(Inside::request(&request), Some("PseudonymLookedUp")) }
        }
        "CreateBridge" => {
            let request = pb::CreateBridgeRequest { customer: "globex".to_owned(), ..bridge(named.epoch) };
            Row::new(Inside::request(&request), Some("BridgeMade"))
        }
        "EraseBridge" => {
            let request = pb::EraseBridgeRequest {
                customer: "acme".to_owned(),
                epoch: named.epoch,
                erased_by: by,
                erase_reason: reason,
            };
            Row::new(Inside::request(&request), Some("BridgeErased"))
        }
        "IssueToken" => {
            let mut role = pb::TokenRole::default();
            role.set_kind(pb::token_role::Kind::Auditor);
            let mut request = pb::IssueTokenRequest {
                name: "new".to_owned(),
                role: Some(role),
                issued_by: by,
                ..pb::IssueTokenRequest::default()
            };
            request.expire_time.get_or_insert_default().seconds = START.0 / 1_000 + 86_400;
            Row::new(Inside::request(&request), Some("TokenIssued"))
        }
        "RevokeToken" => {
            let request = pb::RevokeTokenRequest { id: named.token.clone(), revoked_by: by };
            Row::new(Inside::request(&request), Some("TokenRevoked"))
        }
        _ => return None,
    };
    Some(row)
}
