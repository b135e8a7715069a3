//! What the table of grants promises.

use std::collections::BTreeSet;

use super::*;

fn customer(name: &str) -> CustomerId {
    CustomerId::new(name).unwrap()
}

fn row(method: &str) -> &'static Grant {
    GRANTS.iter().find(|grant| grant.path.ends_with(&format!("/{method}"))).unwrap()
}

#[test]
fn no_method_is_in_two_rows_and_each_is_found_by_its_path() {
    let paths: BTreeSet<_> = GRANTS.iter().map(|grant| grant.path).collect();
    assert_eq!(paths.len(), GRANTS.len());
    for grant in GRANTS {
        assert_eq!(entry(grant.path), Entry::Granted(grant));
        assert!(!grant.roles.is_empty());
    }
}

#[test]
fn what_is_in_no_row_is_for_nobody() {
    for path in [
        "",
        "/",
        "/usaged.ingest.v1.IngestService/submit",
        "/usaged.ingest.v1.IngestService/Submit/",
        "/grpc.health.v1.Healthy/Check",
        "/grpc.reflection.v2.ServerReflection/ServerReflectionInfo",
        "/x/usaged.admin.v1.AdminService/GetStatus",
    ] {
        assert_eq!(entry(path), Entry::Nobody, "{path}");
    }
    assert_eq!(entry("/grpc.health.v1.Health/Check"), Entry::Open);
    assert_eq!(entry("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"), Entry::Known);
}

#[test]
fn only_drainers_receive_data_and_only_senders_and_relays_bring_it() {
    for method in ["Pull", "StreamingPull", "Acknowledge", "ModifyAckDeadline"] {
        assert_eq!(row(method).roles, [RoleKind::Drainer], "{method}");
    }
    for method in ["Submit", "SubmitStream"] {
        assert_eq!(row(method).roles, [RoleKind::Sender, RoleKind::Relay], "{method}");
    }
    for grant in GRANTS.iter().filter(|grant| grant.path.starts_with("/usaged.admin.")) {
        let others = [RoleKind::Sender, RoleKind::Relay, RoleKind::Drainer];
        assert!(grant.roles.iter().all(|role| !others.contains(role)), "{}", grant.path);
    }
}

#[test]
fn a_sender_acts_for_its_own_customer_whatever_it_names() {
    let own = Role::Sender(customer("acme"));
    let submit = row("Submit");
    for named in [Named::Nobody, Named::One(customer("acme"))] {
        assert_eq!(decide(submit, &own, named), Ok(Some(customer("acme"))));
    }
    for named in [Named::One(customer("globex")), Named::One(customer("ACME")), Named::Wrong] {
        assert_eq!(decide(submit, &own, named), Err(Denied::OtherCustomer));
    }
}

#[test]
fn a_relay_names_one_customer_of_its_set() {
    let relay = Role::Relay([customer("acme"), customer("globex")].into());
    let submit = row("Submit");
    assert_eq!(decide(submit, &relay, Named::One(customer("globex"))), Ok(Some(customer("globex"))));
    assert_eq!(decide(submit, &relay, Named::One(customer("initech"))), Err(Denied::OtherCustomer));
    assert_eq!(decide(submit, &relay, Named::Nobody), Err(Denied::NoCustomer));
    assert_eq!(decide(submit, &relay, Named::Wrong), Err(Denied::BadCustomer));
}

#[test]
fn a_role_that_is_not_in_the_row_is_refused_before_anything_else_is_looked_at() {
    for role in [Role::Operator, Role::Auditor] {
        for named in [Named::Nobody, Named::One(customer("acme")), Named::Wrong] {
            assert_eq!(decide(row("Submit"), &role, named), Err(Denied::Method));
        }
    }
    let sender = Role::Sender(customer("acme"));
    assert_eq!(decide(row("SetParticipation"), &sender, Named::Nobody), Err(Denied::Method));
}

#[test]
fn a_drainer_uses_its_own_subscriptions_only() {
    let name = |text| SubscriptionName::new(text).unwrap();
    let as_role = |role: Role| Principal {
        token: None,
        name: super::super::IdentityName::new("jobs").unwrap(),
        role: role.into(),
        until: None,
    };
    let drainer = as_role(Role::Drainer([name("improve")].into()));
    assert_eq!(drainer.may_use(&name("improve")), Ok(()));
    assert_eq!(drainer.may_use(&name("deliver")), Err(Denied::OtherSubscription));
    assert_eq!(as_role(Role::Operator).may_use(&name("deliver")), Ok(()));
    assert_eq!(as_role(Role::Auditor).may_use(&name("improve")), Err(Denied::OtherSubscription));
}
