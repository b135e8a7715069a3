//! `usaged.admin.v1.TokenService`: bearer tokens, issued, listed and revoked.

use std::collections::BTreeSet;

use tonic::{Request, Response, Status};

use super::identity::{Access, NewToken, Tokens};
use super::page;
use super::proto::admin as pb;
use super::proto::admin::token_role::Kind;
use super::proto::admin::token_service_server::TokenService;
use super::status::{Cause, Fault};
use super::times::{timestamp, unix_millis};
use crate::identity::{IdentityName, Role, RoleKind, TokenId, TokenRow};
use crate::model::{CustomerId, SubscriptionName};
use crate::observe::Clock;

/// How long a token may hold, in milliseconds: 400 days.
const LONGEST: i64 = 400 * 86_400_000;

/// Bytes of the name of who asks.
const BY_BYTES: usize = 128;

/// The operators' door to tokens.
pub struct TokenDoor {
    tokens: Tokens,
    clock: Clock,
    /// Whether a token that is issued would be accepted.
    is_on: bool,
}

impl TokenDoor {
    /// Opens the door to `tokens`. With `is_on` false they are not accepted, and none is issued.
    #[must_use]
    pub const fn new(tokens: Tokens, clock: Clock, is_on: bool) -> Self {
        Self { tokens, clock, is_on }
    }
}

#[tonic::async_trait]
impl TokenService for TokenDoor {
    async fn issue_token(
        &self,
        request: Request<pb::IssueTokenRequest>,
    ) -> Result<Response<pb::IssueTokenResponse>, Status> {
        let access = Access::of_call(&request)?;
        let request = request.into_inner();
        if !self.is_on {
            let told = "this collector has identities and takes no tokens; set identity.tokens = true first";
            return Err(Fault::of(Cause::TokensOff, told).into());
        }
        let name = IdentityName::new(&request.name).map_err(|error| Fault::field("name", error.rule))?;
        // A token of that name would be taken for that identity, wherever somebody is named.
        if access.is_of_the_file(&name) {
            let told = "an identity of the file of identities is called so; choose another name";
            return Err(Fault::field("name", told).into());
        }
        let role = role(&request.role.unwrap_or_default())?;
        let expires = request.expire_time.as_ref().map(unix_millis);
        let expires = expires.ok_or_else(|| Fault::field("expire_time", "say when the token ends"))?;
        let left = expires.ms_since(self.clock.now());
        if !(1..=LONGEST).contains(&left) {
            return Err(
                Fault::field("expire_time", "must be in the future, at most 400 days from now").into()
            );
        }
        let by = match access.called() {
            Some(name) => name,
            None => written("issued_by", &request.issued_by)?,
        };
        let (id, row, text) = self.tokens.issue(NewToken { name, role, expires, by }).await?;
        // Its name may be that of a customer, and a log is not erased.
        tracing::info!(token = %id, role = %row.role.kind(), "token issued");
        let token = Some(api_token(id, &row));
        Ok(Response::new(pb::IssueTokenResponse { token, text: text.reveal().to_owned() }))
    }

    async fn list_tokens(
        &self,
        request: Request<pb::ListTokensRequest>,
    ) -> Result<Response<pb::ListTokensResponse>, Status> {
        let request = request.into_inner();
        let size = page::size(request.page_size)?;
        let after = page::after(&request.page_token, |key| <[u8; 8]>::try_from(key).ok().map(TokenId::new))?;
        let listed = self.tokens.list(after, size);
        let last = listed.last().filter(|_| listed.len() >= size);
        let next_page_token = last.map(|(id, _)| page::token(id.as_bytes())).unwrap_or_default();
        let tokens = listed.iter().map(|(id, row)| api_token(*id, row)).collect();
        Ok(Response::new(pb::ListTokensResponse { tokens, next_page_token }))
    }

    async fn revoke_token(
        &self,
        request: Request<pb::RevokeTokenRequest>,
    ) -> Result<Response<pb::Token>, Status> {
        let by = said("revoked_by", &Access::by(&request, &request.get_ref().revoked_by))?;
        let id = request.into_inner().id.parse().map_err(|rule: &'static str| Fault::field("id", rule))?;
        let row = self.tokens.revoke(id, &by).await?;
        tracing::info!(token = %id, "token revoked");
        Ok(Response::new(api_token(id, &row)))
    }
}

/// Who asks, as it may be on the ledger, if it was said.
pub(super) fn said(field: &'static str, text: &str) -> Result<String, Fault> {
    if text.trim().is_empty() { Ok(String::new()) } else { written(field, text) }
}

fn written(field: &'static str, text: &str) -> Result<String, Fault> {
    let text = text.trim();
    if text.is_empty() || text.len() > BY_BYTES || text.contains(char::is_control) {
        return Err(Fault::field(field, "say who asks, in 1 to 128 bytes without control characters"));
    }
    Ok(text.to_owned())
}

fn role(given: &pb::TokenRole) -> Result<Role, Fault> {
    let kind = match given.kind() {
        Kind::Unspecified => return Err(Fault::field("role.kind", "give the role")),
        Kind::Sender => RoleKind::Sender,
        Kind::Relay => RoleKind::Relay,
        Kind::Drainer => RoleKind::Drainer,
        Kind::Operator => RoleKind::Operator,
        Kind::Auditor => RoleKind::Auditor,
    };
    let customers: Result<BTreeSet<_>, _> = given.customers.iter().map(|id| CustomerId::new(id)).collect();
    let customers = customers.map_err(|error| Fault::field("role.customers", error.rule))?;
    let names = given.subscriptions.iter().map(|name| SubscriptionName::new(name));
    let subscriptions: Result<BTreeSet<_>, _> = names.collect();
    let subscriptions = subscriptions.map_err(|error| Fault::field("role.subscriptions", error.rule))?;
    Role::new(kind, customers, subscriptions).map_err(|rule| Fault::field("role", rule))
}

fn api_token(id: TokenId, row: &TokenRow) -> pb::Token {
    let kind = match row.role.kind() {
        RoleKind::Sender => Kind::Sender,
        RoleKind::Relay => Kind::Relay,
        RoleKind::Drainer => Kind::Drainer,
        RoleKind::Operator => Kind::Operator,
        RoleKind::Auditor => Kind::Auditor,
    };
    let role = pb::TokenRole {
        kind: kind.into(),
        customers: row.role.customers().iter().map(ToString::to_string).collect(),
        subscriptions: row.role.subscriptions().iter().map(ToString::to_string).collect(),
    };
    pb::Token {
        id: id.to_string(),
        name: row.name.to_string(),
        role: Some(role),
        issue_time: Some(timestamp(row.issued)),
        issued_by: row.issued_by.clone(),
        expire_time: Some(timestamp(row.expires)),
        revoke_time: row.revoked.map(timestamp),
        last_use_time: row.used.map(timestamp),
    }
}
