//! Erasing a customer takes the tokens that name it; an erasure that is refused takes none.

use usaged::grpc::client::Timestamp;
use usaged::grpc::proto::admin::erase_request::Scope;
use usaged::grpc::proto::admin::erasure_service_client::ErasureServiceClient;
use usaged::grpc::proto::admin::token_role::Kind;
use usaged::grpc::proto::admin::token_service_client::TokenServiceClient;
use usaged::grpc::proto::admin::{EraseRequest, IssueTokenRequest, ListTokensRequest, TokenRole};
use usaged::observe::Clock;

use crate::grpc_collector::Collector;

async fn issue(collector: &Collector, name: &str, customers: &[&str]) {
    let customers: Vec<String> = customers.iter().map(|id| (*id).to_owned()).collect();
    let kind = if customers.len() > 1 { Kind::Relay } else { Kind::Sender };
    let role = TokenRole { kind: kind.into(), customers, subscriptions: Vec::new() };
    let request = IssueTokenRequest {
        name: name.to_owned(),
        role: Some(role),
        expire_time: Some(Timestamp { seconds: Clock::system().now().0 / 1_000 + 86_400, nanos: 0 }),
        issued_by: "ann".to_owned(),
    };
    TokenServiceClient::new(collector.channel.clone()).issue_token(request).await.unwrap();
}

/// The names of tokens that hold.
async fn holding(collector: &Collector) -> Vec<String> {
    let mut tokens = TokenServiceClient::new(collector.channel.clone());
    let listed = tokens.list_tokens(ListTokensRequest::default()).await.unwrap().into_inner().tokens;
    let held = listed.into_iter().filter(|token| token.revoke_time.is_none());
    let mut names: Vec<String> = held.map(|token| token.name).collect();
    names.sort();
    names
}

// covers: P8
#[tokio::test]
async fn an_erasure_that_is_refused_takes_no_tokens_and_one_that_is_accepted_takes_those_of_its_customer() {
    let collector = Collector::open().await;
    collector.participate("acme", "standard").await;
    collector.participate("globex", "standard").await;
    issue(&collector, "of-acme", &["acme"]).await;
    issue(&collector, "of-both", &["acme", "globex"]).await;
    issue(&collector, "of-globex", &["globex"]).await;
    issue(&collector, "of-initech", &["initech"]).await;
    let all = ["of-acme", "of-both", "of-globex", "of-initech"];

    let whole = |number: u64, customer: &str, reference: &str| EraseRequest {
        erasure_id: format!("0198c0de-0000-7000-8000-{number:012x}"),
        customer: customer.to_owned(),
        scope: Some(Scope::WholeCustomer(true)),
        reference: reference.to_owned(),
        ..EraseRequest::default()
    };
    let mut erasures = ErasureServiceClient::new(collector.channel.clone());
    // The id of an erasure of another customer.
    let mut of_instance = whole(2, "globex", "");
    of_instance.scope = Some(Scope::Instance("instance-1".to_owned()));
    erasures.erase(of_instance).await.unwrap();
    for (request, why) in [
        (whole(1, "acme", "Ann Miller"), "the reference is none"),
        (whole(2, "acme", "ticket-1"), "the id belongs to another erasure"),
        (whole(3, "initech", "ticket-1"), "there is no such customer"),
    ] {
        erasures.erase(request).await.expect_err(why);
        assert_eq!(holding(&collector).await, all, "{why}");
    }
    erasures.erase(EraseRequest { dry_run: true, ..whole(4, "acme", "") }).await.unwrap();
    assert_eq!(holding(&collector).await, all, "nothing is changed by a preview");

    erasures.erase(whole(5, "acme", "ticket-1")).await.unwrap();
    assert_eq!(holding(&collector).await, ["of-globex", "of-initech"]);
    collector.close().await;
}
