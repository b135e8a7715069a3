//! The way to a running collector, for every command that is a client.

use std::time::Duration;

use clap::Args;

use super::credentials::Credentials;
use super::exit::Failure;
use crate::grpc::client::{
    self, Channel, ClientTlsError, Code, EncodedIngest, Encoding, MAX_ANSWER_BYTES, Request, Status,
};
use crate::grpc::proto;
use crate::model::CustomerId;

pub(super) type DrainClient = proto::drain::drain_service_client::DrainServiceClient<Channel>;
pub(super) type LedgerClient = proto::admin::ledger_service_client::LedgerServiceClient<Channel>;
pub(super) type ErasureClient = proto::admin::erasure_service_client::ErasureServiceClient<Channel>;
pub(super) type StoreClient = proto::admin::store_service_client::StoreServiceClient<Channel>;
pub(super) type BindingClient = proto::admin::binding_service_client::BindingServiceClient<Channel>;
pub(super) type KeyClient = proto::admin::key_service_client::KeyServiceClient<Channel>;
pub(super) type TokenClient = proto::admin::token_service_client::TokenServiceClient<Channel>;
pub(super) type IngestClient = proto::ingest::ingest_service_client::IngestServiceClient<Channel>;
pub(super) type AdminClient = proto::admin::admin_service_client::AdminServiceClient<Channel>;

/// Where the collector is.
#[derive(Debug, Clone, Args)]
pub(super) struct Server {
    /// The collector's gRPC address; with https:// before it, or --tls-ca, under TLS.
    #[arg(
        long,
        global = true,
        value_name = "ADDRESS",
        env = "USAGED_SERVER",
        default_value = "127.0.0.1:7171"
    )]
    pub server: String,
    #[command(flatten)]
    pub credentials: Credentials,
}

impl Server {
    /// A collector in clear, to which nothing is proved.
    pub fn local(address: &str) -> Self {
        Self { server: address.to_owned(), credentials: Credentials::default() }
    }

    /// Connects, or says where it tried.
    pub async fn connect(&self) -> Result<Channel, Failure> {
        let refused = |cause: String| {
            let remedy = remedy(&cause);
            Failure::Unreachable(format!("connecting to {}: {cause}; {remedy}", self.server))
        };
        let tls = self.credentials.read()?;
        let connecting = client::connect_with(&self.server, &tls);
        match tokio::time::timeout(Duration::from_secs(10), connecting).await {
            Ok(Ok(channel)) => Ok(channel),
            Ok(Err(ClientTlsError::Refused(cause))) => Err(refused(cause)),
            Ok(Err(
                error @ (ClientTlsError::Address
                | ClientTlsError::Roots
                | ClientTlsError::Own
                | ClientTlsError::Token
                | ClientTlsError::InClear),
            )) => Err(Failure::Usage(error.to_string())),
            Err(_) => Err(refused("no answer within 10 s".to_owned())),
        }
    }

    pub async fn ingest(&self) -> Result<EncodedIngest, Failure> {
        self.ingest_compressed(None).await
    }

    /// The same, with requests compressed.
    pub async fn ingest_compressed(&self, encoding: Option<Encoding>) -> Result<EncodedIngest, Failure> {
        Ok(EncodedIngest::compressed(self.connect().await?, encoding))
    }

    /// For calls whose requests are not encoded already.
    pub async fn typed_ingest(&self) -> Result<IngestClient, Failure> {
        Ok(IngestClient::new(self.connect().await?).max_decoding_message_size(MAX_ANSWER_BYTES))
    }

    pub async fn drain(&self) -> Result<DrainClient, Failure> {
        Ok(DrainClient::new(self.connect().await?).max_decoding_message_size(MAX_ANSWER_BYTES))
    }

    pub async fn tokens(&self) -> Result<TokenClient, Failure> {
        Ok(TokenClient::new(self.connect().await?).max_decoding_message_size(MAX_ANSWER_BYTES))
    }

    pub async fn keys(&self) -> Result<KeyClient, Failure> {
        Ok(KeyClient::new(self.connect().await?).max_decoding_message_size(MAX_ANSWER_BYTES))
    }

    pub async fn ledger(&self) -> Result<LedgerClient, Failure> {
        Ok(LedgerClient::new(self.connect().await?).max_decoding_message_size(MAX_ANSWER_BYTES))
    }

    pub async fn erasure(&self) -> Result<ErasureClient, Failure> {
        Ok(ErasureClient::new(self.connect().await?).max_decoding_message_size(MAX_ANSWER_BYTES))
    }

    pub async fn binding(&self) -> Result<BindingClient, Failure> {
        Ok(BindingClient::new(self.connect().await?).max_decoding_message_size(MAX_ANSWER_BYTES))
    }

    pub async fn store(&self) -> Result<StoreClient, Failure> {
        Ok(StoreClient::new(self.connect().await?).max_decoding_message_size(MAX_ANSWER_BYTES))
    }

    pub async fn admin(&self) -> Result<AdminClient, Failure> {
        Ok(AdminClient::new(self.connect().await?).max_decoding_message_size(MAX_ANSWER_BYTES))
    }
}

/// What to do about a connection that did not come to be.
fn remedy(cause: &str) -> &'static str {
    if cause.contains("UnknownIssuer") || cause.contains("BadSignature") {
        "its certificate is not from a CA that is trusted here: name the CA that it is from with --tls-ca, and if that was \
         done, look whether this is the collector that is meant"
    } else if cause.contains("not valid for name") || cause.contains("NotValidForName") {
        "its certificate is for another name: call it by a name that is in the certificate, with --server"
    } else if cause.contains("invalid peer certificate") {
        "its certificate does not hold: look at the clock of this machine, or have the certificate renewed"
    } else if cause.contains("InvalidContentType") || cause.contains("corrupt message") {
        "it does not speak TLS there: leave out https:// and --tls-ca if it is on this machine, or name another with \
         --server"
    } else {
        "start a collector there with `usaged serve`, or name another with --server"
    }
}

/// What to do about a connection that broke before anything was answered.
fn broken_remedy(cause: &str) -> &'static str {
    if cause.contains("CertificateRequired") {
        "the collector asks for a client certificate: name yours with --tls-cert and --tls-key"
    } else if cause.contains("fatal alert") {
        "the collector does not take this client certificate: it may be expired, revoked or from another CA"
    } else {
        "try again; if the collector is under TLS and this was in clear, name its CA with --tls-ca"
    }
}

/// A request in the name of a customer.
pub(super) fn of_customer<T>(message: T, customer: &CustomerId) -> Result<Request<T>, Failure> {
    client::of_customer(message, customer)
        .ok_or_else(|| Failure::Usage("the customer id cannot be sent as metadata".to_owned()))
}

/// What a refused call means to the person who made it.
pub(super) fn refused(status: &Status) -> Failure {
    let message = status.message().to_owned();
    if let (Some(cause), None) = (client::broken(status), client::reason(status)) {
        return Failure::Unreachable(format!("the connection broke: {cause}; {}", broken_remedy(&cause)));
    }
    match (status.code(), client::reason(status)) {
        (Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled, reason) => {
            let reason = reason.unwrap_or_else(|| "the connection was lost".to_owned());
            Failure::Unreachable(format!("{message} [{reason}]"))
        }
        (Code::ResourceExhausted, Some(reason)) => Failure::Unreachable(format!("{message} [{reason}]")),
        (_, Some(reason)) => Failure::Server { reason, message },
        (code, None) => Failure::Server { reason: format!("{code:?}"), message },
    }
}
