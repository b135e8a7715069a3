//! `usaged token`: the bearer tokens that callers prove themselves with.

use std::io::ErrorKind;
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value as Json, json};

use super::batch_text::time_text;
use super::connect::{Server, TokenClient, refused};
use super::exit::Failure;
use super::output::{Output, table};
use super::participation::who;
use crate::config::Span;
use crate::grpc::Tokens;
use crate::grpc::client::Timestamp;
use crate::grpc::proto::admin::token_role::Kind;
use crate::grpc::proto::admin::{IssueTokenRequest, ListTokensRequest, RevokeTokenRequest, Token, TokenRole};
use crate::identity::{IdentityName, Role, RoleKind, TokenId, TokenText};
use crate::model::{CustomerId, SubscriptionName};

/// How long a token may hold, in seconds: 400 days.
const LONGEST: u64 = 400 * 86_400;

/// Tokens on one page.
const PAGE: i32 = 1_000;

#[derive(Debug, Args)]
#[command(after_help = "\
A token is told once, when it is issued; the collector keeps a hash. Who holds it sends
`authorization: Bearer TOKEN`, which `--token-file` does for every command.

Examples:
  usaged token issue --name acme-gateway --role sender --customer acme --out acme.token
  usaged token issue --name improve-job --role drainer --subscription improve-job --expires-in 30d
  usaged token list
  usaged token revoke 5d0c3a9e1f42b687")]
pub(super) struct TokenArgs {
    #[command(subcommand)]
    action: Action,
    #[command(flatten)]
    server: Server,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Issue a token, and print it: this once.
    Issue(IssueArgs),
    /// List tokens, never their text.
    #[command(after_help = "Example:\n  usaged token list --json")]
    List,
    /// Revoke a token, at once, also for streams that it has open.
    #[command(after_help = "Example:\n  usaged token revoke 5d0c3a9e1f42b687")]
    Revoke {
        /// The id of the token; `usaged token list` shows it.
        id: TokenId,
        /// Who asks for it; when not given, who you are on this machine. A collector that asks who you are knows better.
        #[arg(long, env = "USAGED_BY", hide_env_values = true)]
        by: Option<String>,
    },
}

/// What a token lets its holder do.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum RoleArg {
    /// Sends the data of one customer.
    Sender,
    /// Sends the data of several customers, and names one with each call.
    Relay,
    /// Drains subscriptions.
    Drainer,
    /// Administers.
    Operator,
    /// Reads the ledger and the dictionary.
    Auditor,
}

impl From<RoleArg> for RoleKind {
    fn from(role: RoleArg) -> Self {
        match role {
            RoleArg::Sender => Self::Sender,
            RoleArg::Relay => Self::Relay,
            RoleArg::Drainer => Self::Drainer,
            RoleArg::Operator => Self::Operator,
            RoleArg::Auditor => Self::Auditor,
        }
    }
}

#[derive(Debug, Args)]
#[command(after_help = "\
With --offline no collector is asked: the token is made here, and an [[identity]] table is printed that
goes into the file of identities (`identity.file`). So the first operator gets in.

Examples:
  usaged token issue --name acme-gateway --role sender --customer acme --out acme.token
  usaged token issue --name eu-relay --role relay --customer acme --customer globex
  usaged token issue --name ops --role operator --offline --out ops.token >> /etc/usaged/identities.toml")]
struct IssueArgs {
    /// What its holder is called. It is logged: not a person's name.
    #[arg(long)]
    name: String,
    /// What it lets its holder do.
    #[arg(long)]
    role: RoleArg,
    /// The customer of a sender; of a relay each that it may name.
    #[arg(long = "customer", value_name = "CUSTOMER")]
    customers: Vec<CustomerId>,
    /// The subscription of a drainer. Can be given several times.
    #[arg(long = "subscription", value_name = "NAME")]
    subscriptions: Vec<SubscriptionName>,
    /// When it ends, from now; at most 400 days.
    #[arg(long, default_value = "90d")]
    expires_in: Span,
    /// A new file, readable by nobody else, that the token is written to in place of standard output.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Make the token here, for the file of identities. Taking it out of there revokes it.
    #[arg(long)]
    offline: bool,
    /// Who asks for it; when not given, who you are on this machine. A collector that asks who you are knows better.
    #[arg(long, env = "USAGED_BY", hide_env_values = true)]
    by: Option<String>,
}

impl TokenArgs {
    pub async fn run(self, out: Output) -> Result<(), Failure> {
        match self.action {
            Action::Issue(args) if args.offline => args.make(out),
            Action::Issue(args) => args.issue(&mut self.server.tokens().await?, out).await,
            Action::List => list(&mut self.server.tokens().await?, out).await,
            Action::Revoke { id, by } => {
                let request = RevokeTokenRequest { id: id.to_string(), revoked_by: who(by) };
                let revoked = self.server.tokens().await?.revoke_token(request).await;
                let revoked = revoked.map_err(|status| refused(&status))?.into_inner();
                if out.is_json() {
                    return out.json(&shown(&revoked));
                }
                out.line(&format!("revoked {}, which was {}", revoked.id, revoked.name))
            }
        }
    }
}

impl IssueArgs {
    async fn issue(self, tokens: &mut TokenClient, out: Output) -> Result<(), Failure> {
        // Before a token is issued that could not be told.
        let file = self.out.as_deref().map(Secret::make).transpose()?;
        let kind = match RoleKind::from(self.role) {
            RoleKind::Sender => Kind::Sender,
            RoleKind::Relay => Kind::Relay,
            RoleKind::Drainer => Kind::Drainer,
            RoleKind::Operator => Kind::Operator,
            RoleKind::Auditor => Kind::Auditor,
        };
        let role = TokenRole {
            kind: kind.into(),
            customers: self.customers.iter().map(ToString::to_string).collect(),
            subscriptions: self.subscriptions.iter().map(ToString::to_string).collect(),
        };
        let end = self.end()?;
        let expire_time = Timestamp { seconds: end.as_second(), nanos: end.subsec_nanosecond() };
        let request = IssueTokenRequest {
            name: self.name,
            role: Some(role),
            expire_time: Some(expire_time),
            issued_by: who(self.by),
        };
        let issued = match tokens.issue_token(request).await {
            Ok(issued) => issued.into_inner(),
            Err(status) => {
                if let Some(file) = file {
                    file.remove();
                }
                return Err(refused(&status));
            }
        };
        let token = issued.token.unwrap_or_default();
        match file {
            Some(file) => {
                file.write(&issued.text)?;
                if out.is_json() {
                    return out.json(&json!({ "token": shown(&token) }));
                }
                out.line(&format!("issued {} for {}", token.id, token.name))
            }
            None if out.is_json() => out.json(&json!({ "token": shown(&token), "text": issued.text })),
            None => out.line(&issued.text),
        }
    }

    /// When the token ends.
    fn end(&self) -> Result<jiff::Timestamp, Failure> {
        let end = jiff::Timestamp::now().checked_add(self.expires_in.0);
        end.map_err(|_| Failure::Usage("--expires-in is too long".to_owned()))
    }

    /// Makes a token that no collector knows yet.
    fn make(self, out: Output) -> Result<(), Failure> {
        let usage = |error: &str| Failure::Usage(error.to_owned());
        if !(1..=LONGEST).contains(&self.expires_in.0.as_secs()) {
            return Err(usage("--expires-in is 1s to 400d"));
        }
        // To the second: a person reads it.
        let end = self.end()?.round(jiff::Unit::Second).map_err(|_| usage("--expires-in is too long"))?;
        let name = IdentityName::new(&self.name).map_err(|error| usage(error.rule))?;
        let (customers, subscriptions) = (self.customers.clone(), self.subscriptions.clone());
        let (customers, subscriptions) =
            (customers.into_iter().collect(), subscriptions.into_iter().collect());
        let role = Role::new(self.role.into(), customers, subscriptions).map_err(usage)?;
        let (_, text) =
            Tokens::make().map_err(|fault| Failure::Failed(fault.status().message().to_owned()))?;
        let read = TokenText::read(text.reveal().as_bytes());
        let (id, hash) =
            read.ok_or_else(|| Failure::Failed("the token was not made; try again".to_owned()))?;
        let table = identity_table(&name, &role, &format!("{id}:{}", String::from(hash)), end);
        match self.out {
            Some(path) => {
                Secret::make(&path)?.write(text.reveal())?;
                if out.is_json() {
                    return out.json(&json!({ "id": id, "identity": table }));
                }
                out.line(table.trim_end())
            }
            None if out.is_json() => out.json(&json!({ "id": id, "identity": table, "text": text.reveal() })),
            None => out.line(&format!(
                "{}\n# The token, for its holder and for no file here: {}",
                table.trim_end(),
                text.reveal()
            )),
        }
    }
}

/// The table for the file of identities.
fn identity_table(name: &IdentityName, role: &Role, token_hash: &str, end: jiff::Timestamp) -> String {
    let mut fields = toml::Table::new();
    let texts = |names: Vec<String>| toml::Value::from(names);
    fields.insert("name".to_owned(), name.to_string().into());
    fields.insert("role".to_owned(), role.kind().as_str().into());
    match role {
        Role::Sender(customer) => {
            fields.insert("customer".to_owned(), customer.to_string().into());
        }
        Role::Relay(customers) => {
            let customers = customers.iter().map(ToString::to_string).collect();
            fields.insert("customers".to_owned(), texts(customers));
        }
        Role::Drainer(subscriptions) => {
            let subscriptions = subscriptions.iter().map(ToString::to_string).collect();
            fields.insert("subscriptions".to_owned(), texts(subscriptions));
        }
        Role::Operator | Role::Auditor => {}
    }
    fields.insert("token_hash".to_owned(), token_hash.into());
    fields.insert("expires".to_owned(), end.to_string().into());
    format!("[[identity]]\n{fields}")
}

async fn list(tokens: &mut TokenClient, out: Output) -> Result<(), Failure> {
    let (mut all, mut page_token) = (Vec::new(), String::new());
    loop {
        let request = ListTokensRequest { page_size: PAGE, page_token };
        let page = tokens.list_tokens(request).await.map_err(|status| refused(&status))?.into_inner();
        all.extend(page.tokens);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    if out.is_json() {
        let all: Vec<Json> = all.iter().map(shown).collect();
        return out.json(&json!({ "tokens": all }));
    }
    let time = |time: &Option<Timestamp>| time.as_ref().map(time_text).unwrap_or_default();
    let mut rows = table(&["id", "name", "role", "reaches", "issued by", "ends", "revoked", "last used"]);
    for token in &all {
        let role = token.role.clone().unwrap_or_default();
        let reaches: Vec<_> = role.customers.iter().chain(&role.subscriptions).cloned().collect();
        rows.add_row([
            token.id.clone(),
            token.name.clone(),
            role_text(&role).to_owned(),
            reaches.join(" "),
            token.issued_by.clone(),
            time(&token.expire_time),
            time(&token.revoke_time),
            time(&token.last_use_time),
        ]);
    }
    out.table(&rows)
}

fn role_text(role: &TokenRole) -> &'static str {
    match role.kind() {
        Kind::Unspecified => "",
        Kind::Sender => "sender",
        Kind::Relay => "relay",
        Kind::Drainer => "drainer",
        Kind::Operator => "operator",
        Kind::Auditor => "auditor",
    }
}

fn shown(token: &Token) -> Json {
    let role = token.role.clone().unwrap_or_default();
    let time = |time: &Option<Timestamp>| time.as_ref().map(time_text);
    json!({
        "id": token.id,
        "name": token.name,
        "role": role_text(&role),
        "customers": role.customers,
        "subscriptions": role.subscriptions,
        "issue_time": time(&token.issue_time),
        "issued_by": token.issued_by,
        "expire_time": time(&token.expire_time),
        "revoke_time": time(&token.revoke_time),
        "last_use_time": time(&token.last_use_time),
    })
}

/// A new file that nobody else can read.
struct Secret {
    path: PathBuf,
    file: std::fs::File,
}

impl Secret {
    fn make(path: impl Into<PathBuf>) -> Result<Self, Failure> {
        use std::os::unix::fs::OpenOptionsExt as _;
        let path = path.into();
        let file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
        let file = file.map_err(|error| {
            let place = path.display();
            if error.kind() == ErrorKind::AlreadyExists {
                Failure::Failed(format!(
                    "{place} is there already, and nothing is written over; name another file, or delete that one"
                ))
            } else {
                Failure::Failed(format!("making {place}: {error}"))
            }
        })?;
        Ok(Self { path, file })
    }

    fn write(mut self, text: &str) -> Result<(), Failure> {
        use std::io::Write as _;
        let written = writeln!(self.file, "{text}").and_then(|()| self.file.sync_all());
        written.map_err(Failure::io(format!("writing {}", self.path.display())))
    }

    fn remove(self) {
        // It is empty; leaving it there does no harm.
        let _gone = std::fs::remove_file(&self.path);
    }
}
