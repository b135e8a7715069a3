//! Every key of the configuration, documented where it is defined. What a key means to its room is
//! the room's business (`resolve` hands it over); here is what a person writes.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

pub use super::keys_told::{LogKeys, MetricsKeys, TraceKeys};
use super::rates::RatesOf;
use super::table::{KeyDoc, Section, Source, full_name, keys, within};
use super::value::{KeyValue, Size, Span};
use super::word::{ClientCertificates, FullChoice};
use crate::model::{LevelName, ProgramName};

pub(super) const fn loopback(port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)
}

keys! {
    /// Where things are on disk.
    RootKeys "" {
        /// The directory of the store. Made at the first start.
        data_dir: PathBuf = PathBuf::from("./usaged-data");
        /// The file of the root key: 64 hexadecimal digits, readable by nobody else. It lies beside the
        /// data directory and never inside it, because whoever has both can undo the pseudonyms. Made at
        /// the first start: back it up, without it nothing that is stored can be read.
        /// When not set: the data directory's name with `.key` after it. The environment variable
        /// `USAGED_ROOT_KEY` goes before it. To change the key, put the new one into a file of this name with
        /// `.next` after it and run `usaged keys rotate-root`.
        root_key_file: Option<PathBuf> = None;
        /// The file of the key that signs the ledger's checkpoints: 64 hexadecimal digits, readable by nobody
        /// else. It lies beside the data directory and never inside it, because whoever has both can change
        /// the ledger unseen. Made with the ledger: back it up with the root key.
        /// When not set: the data directory's name with `.ledger-key` after it.
        ledger_key_file: Option<PathBuf> = None;
        /// The directory of the policy. It is watched: a change takes effect at once if it has no mistake.
        /// When not set: the policy that is shipped inside the program.
        policy_dir: Option<PathBuf> = None;
    }
}

keys! {
    /// The gRPC door: senders, drainers and operators.
    GrpcKeys "grpc" {
        /// The address. One that other machines reach takes `[tls]` and `[identity]`. Port 0 takes a free port; the
        /// line `usaged ready` on standard output says which.
        listen: SocketAddr = loopback(7171);
        /// Open connections. For a further one the oldest that has proved nothing is closed; if there is none, the
        /// further one.
        max_connections: usize = 512, 1 => 65_536;
        /// Open connections of one peer: an IPv4 address, or an IPv6 /64. Further ones as above. Where many senders
        /// come through one proxy or NAT, choose more.
        max_connections_per_peer: usize = 64, 1 => 65_536;
        /// New connections of one peer in a second, on average; a peer that was silent may open as many at
        /// once as it may have. Further ones are closed at once.
        new_connections_per_peer: u32 = 100, 1 => 1_000_000;
        /// Calls in progress in all; further ones are refused with a hint when to come back.
        max_requests: usize = 4_096, 1 => 1_000_000;
        /// Calls in progress on one connection.
        max_streams: u32 = 128, 1 => 1_024;
        /// Pulls in progress at a time, each with up to 4 MiB of batches in memory. One subscription gets half, and
        /// at most as many as it leaves free.
        max_pulls: usize = 32, 1 => 1_024;
        /// Bytes of requests that may be in memory. They are reserved before a request is read; when they
        /// are spent, requests are refused with a hint when to come back.
        request_memory: Size = Size::mib(64), Size::mib(8) => Size::gib(2);
        /// The part of it that one connection may take.
        request_memory_per_connection: Size = Size::mib(16), Size::mib(4) => Size::gib(2);
        /// The part of it that one customer may take. While others want some, too, it gets less: each
        /// customer may hold at most as much as is left free.
        request_memory_per_customer: Size = Size::mib(32), Size::mib(4) => Size::gib(2);
        /// How long a request may take to arrive and to be answered.
        request_deadline: Span = Span::secs(15), Span::secs(1) => Span::secs(600);
        /// How long a new connection may take to say that it speaks HTTP/2.
        handshake_deadline: Span = Span::secs(5), Span::ms(100) => Span::secs(60);
        /// How long a client may leave an answer unread, give or take as much again, before its connection
        /// is closed.
        answer_deadline: Span = Span::secs(30), Span::ms(100) => Span::secs(600);
        /// How often a connection is asked whether it is still there ...
        keepalive_interval: Span = Span::secs(30), Span::secs(1) => Span::hours(1);
        /// ... and how long the answer may take.
        keepalive_timeout: Span = Span::secs(10), Span::secs(1) => Span::hours(1);
        /// How old a connection may get, give or take a tenth, before it is asked to go away: so that
        /// senders behind a load balancer spread again.
        connection_age: Span = Span::secs(30 * 60), Span::secs(10) => Span::days(7);
        /// How long calls in progress may go on after that.
        connection_age_grace: Span = Span::secs(30), Span::secs(1) => Span::hours(1);
    }
}

keys! {
    /// How connections to the gRPC door are encrypted: TLS 1.3. The files are watched: a change is checked whole and
    /// holds for the connections that come after it; what is wrong is said in the log and changes nothing.
    TlsKeys "tls" {
        /// The collector's certificate, and behind it those that lead to its CA: PEM.
        /// When not set: connections are not encrypted, which is for loopback only.
        certificate: Option<PathBuf> = None;
        /// The key of the certificate: PEM without a passphrase, readable by nobody else.
        key: Option<PathBuf> = None;
        /// The CAs that client certificates come from: PEM. Which certificate is who says `identity.file`.
        /// When not set: clients show no certificate.
        client_ca: Option<PathBuf> = None;
        /// The certificates that those CAs have revoked: PEM, one current list of each CA in a client's chain. When
        /// one is out of date, nobody with a certificate of that CA is let in.
        client_crl: Option<PathBuf> = None;
        /// Whether a client has to show a certificate to connect: "optional", because it may have a token, or
        /// "required". With "required", probes of health need one, too.
        client_certificates: ClientCertificates = ClientCertificates::Optional;
    }
}

keys! {
    /// Who may call. Without this section callers are not asked who they are, which is for loopback only.
    IdentityKeys "identity" {
        /// The identities: a TOML file of `[[identity]]` tables, each with a name, a role, what it reaches and what
        /// proves it (docs/identities.md). It is watched, like the files of `[tls]`.
        /// When not set: only tokens are accepted.
        file: Option<PathBuf> = None;
        /// Accept the tokens that `usaged token issue` made.
        tokens: bool = false;
    }
}

keys! {
    /// Tokens of an identity provider, which are JSON Web Tokens. What their claims mean says `identity.file`.
    JwtKeys "jwt" {
        /// The issuer, as it stands in the claim `iss`. Its keys are found by its discovery document, if it is an
        /// address and neither `jwks_file` nor `jwks_url` is set. "" for no provider.
        issuer: String = String::new();
        /// Tokens have to be for one of these: the claim `aud`.
        audience: Vec<String> = Vec::new();
        /// How tokens may be signed: a list of `RS256`, `RS384`, `RS512`, `PS256`, `PS384`, `PS512`, `ES256`, `ES384`
        /// and `EdDSA`.
        algorithms: Vec<String> = Vec::new();
        /// The issuer's public keys, a JSON Web Key Set. The file is watched.
        jwks_file: Option<PathBuf> = None;
        /// The https address of the issuer's public keys.
        jwks_url: String = String::new();
        /// The CAs that the certificate at this address comes from: PEM.
        /// When not set: the CAs that the system trusts.
        ca: Option<PathBuf> = None;
        /// How often the keys are fetched; also when a token names a key that is not there, at most every 10 s.
        refresh: Span = Span::secs(10 * 60), Span::secs(1) => Span::days(1);
        /// How long keys are kept when they cannot be fetched.
        keep: Span = Span::hours(24), Span::secs(1) => Span::days(30);
        /// How far the issuer's clock may be from this machine's.
        leeway: Span = Span::secs(30), Span::ms(0) => Span::secs(300);
    }
}

keys! {
    /// The HTTP door: /livez, /readyz and /metrics.
    AdminKeys "admin" {
        /// The address. Only a loopback address is accepted.
        listen: SocketAddr = loopback(7172);
    }
}

keys! {
    /// How requests are decided.
    IngestKeys "ingest" {
        /// Customers whose participation and keys are kept in memory, about 2 KiB each. Any other costs one
        /// read of the store.
        cached_customers: usize = 16_384, 16 => 10_000_000;
        /// How long a rotating pseudonym stays the same.
        pseudonym_rotation: Span = Span::days(30), Span::hours(1) => Span::days(3_650);
        /// How long a sender may go by a collection plan before it asks again; also when one that was told to
        /// stop may ask. A change is told with every receipt, so this is for senders that have nothing to send.
        plan_time_to_live: Span = Span::hours(1), Span::secs(1) => Span::days(7);
        /// Events that one customer may send in a second, on average; 0 for as many as it likes. One that
        /// sends more is refused before its request is read, with a hint when to come back. This and the
        /// four below can change while it runs: the file is watched, and SIGHUP reads it, too.
        customer_events_per_second: u64 = 0, 0 => 1_000_000_000;
        /// Bytes of requests that one customer may send in a second, on average, as they are when expanded;
        /// "0B" for as many as it likes.
        customer_bytes_per_second: Size = Size(0), Size(0) => Size::gib(64);
        /// A customer may send what comes together in this time as fast as it likes.
        customer_burst: Span = Span::secs(10), Span::ms(100) => Span::secs(3_600);
        /// Bytes of requests of one customer that go to the disk in a second while others send, too, as they are when
        /// expanded; "0B" for as many as it sends. What is more waits and is not refused, so that a customer at full
        /// blast does not make the disk slow for the others. Whoever sends alone is not held.
        customer_bytes_beside_others: Size = Size::mib(16), Size(0) => Size::gib(64);
        /// Customers with rates of their own, such as
        /// `{ acme = { events_per_second = 5000, bytes_per_second = "2MiB" } }`. Others have those above.
        customer_rates: RatesOf = RatesOf::new();
        /// The highest level of a program for every customer, such as { ceip = "standard" }.
        level_caps: BTreeMap<ProgramName, LevelName> = BTreeMap::new();
    }
}

keys! {
    /// Keys of rotating pseudonyms. How long an epoch lasts says `ingest.pseudonym_rotation`.
    PseudonymKeys "keys" {
        /// Epochs before the present one whose keys are kept. Older ones are destroyed: nobody can then tell
        /// which rotating pseudonym of such an epoch stands for what. A batch that waits in the queue for longer
        /// than this and is then brought down to a level with rotating pseudonyms loses them.
        past_epochs: u32 = 2, 0 => 24;
    }
}

keys! {
    /// The store: a chain of segments on disk.
    StoreKeys "store" {
        /// A segment is closed when it has grown to this size, which is raised or lowered so that the disk
        /// budget is between 8 and 48 segments ...
        segment_bytes: Size = Size::mib(64), Size::mib(1) => Size::gib(4);
        /// ... or to this age, raised so that the retention age is at most 48 segments. Segments are dropped
        /// whole, so this is also the grain of retention.
        segment_age: Span = Span::hours(1), Span::secs(1) => Span::days(30);
        /// Batches older than this are dropped, drained or not. A clock is believed for that when it has gone along
        /// with the monotonic clock for an hour, or a tenth of this if that is shorter; so also after a start.
        retention_age: Span = Span::days(30), Span::secs(60) => Span::days(3_650);
        /// The disk budget for stored batches. The write-ahead log (up to 64 MiB), the batch ids that are
        /// remembered (up to an eighth of this) and the participations come on top.
        retention_bytes: Size = Size::gib(10), Size::mib(16) => Size(1 << 50);
        /// What happens when the budget is spent: "refuse" tells senders to come back later,
        /// "drop-oldest" drops the oldest segment, drained or not.
        when_full: FullChoice = FullChoice::Refuse;
        /// Free space on the disk that ingest leaves alone, so that acknowledging, erasing and compacting
        /// still work. Whoever fills the disk, what every subscription has drained gives way before a batch is refused.
        reserve_bytes: Size = Size::mib(256), Size::mib(1) => Size(1 << 50);
        /// How long a batch id is remembered: a retry within this time is stored once.
        dedup_window: Span = Span::hours(24), Span::secs(60) => Span::days(30);
        /// Bytes that may share one sync.
        group_bytes: Size = Size::mib(8), Size::kib(64) => Size::gib(1);
        /// Records that may share one sync.
        group_records: usize = 4_096, 1 => 65_536;
        /// Appends that may wait for the writer; further ones are refused with a hint.
        queue_depth: usize = 1_024, 1 => 65_536;
        /// The witness file beside the database is at most so far behind the last acknowledged commit:
        /// a loss of later ones is not noticed at the next start.
        witness_lag: Span = Span::ms(250), Span::ms(0) => Span::secs(10);
        /// Refuse to start where there is no store, in place of beginning a new one: to be set once there is one. A volume that
        /// is not mounted is noticed then, before every customer is unknown.
        must_exist: bool = false;
        /// Start even though data that was acknowledged is missing. For one start, after reading what the
        /// refusal said.
        accept_data_loss: bool = false;
    }
}

keys! {
    /// Subscriptions.
    DrainKeys "drain" {
        /// Batches that one subscription may have out without an acknowledgement.
        max_outstanding: usize = 10_000, 1 => 100_000;
        /// Subscriptions that there may be.
        max_subscriptions: usize = 100, 1 => 1_000;
        /// Dead letters of one subscription that are kept; beyond it the oldest gives way and counts as
        /// expired.
        max_dead: usize = 10_000, 1 => 100_000;
    }
}

keys! {
    /// What changes stored data: lowered levels and stricter policies brought to the disk.
    AmendKeys "amend" {
        /// By when what is queued on disk follows a lowered level or a stricter policy. What leaves follows at once.
        /// The work on disk begins at once for a level; for a policy when that has been in force for half of this
        /// time by the monotonic clock, so that a policy which is put back before has taken nothing from the disk.
        /// Of policies that change more often, what they have in common is followed. What is not done in time is
        /// said in the log and in the metric `usaged_bindings_overdue`.
        bind_within: Span = Span::secs(10 * 60), Span::secs(1) => Span::days(7);
    }
}

keys! {
    /// The ledger: what was done with whose data, signed.
    LedgerKeys "ledger" {
        /// How often the ledger is told what came in, what left and what was refused: one entry for each customer,
        /// level and recipient in so long. A kill of the process loses none of what was stored or left; of what was
        /// refused, or withheld with nothing stored, it loses the counts since then.
        totals_every: Span = Span::secs(60), Span::secs(1) => Span::days(1);
        /// A checkpoint is signed at the latest after so many entries ...
        checkpoint_entries: u64 = 1_024, 1 => 1_000_000;
        /// ... or after so long, if there are new ones. What a checkpoint has signed cannot be changed unseen.
        checkpoint_every: Span = Span::secs(10 * 60), Span::secs(1) => Span::days(1);
        /// A ledger of at most this size is read whole at the start; of a larger one, what comes behind the
        /// last checkpoint. `usaged ledger verify` always reads it whole.
        check_bytes: Size = Size::mib(64), Size(0) => Size(1 << 50);
        /// Start even though the ledger does not add up: with a new one that begins with what is wrong with the
        /// old one, which is kept beside it. For one start, after reading what the refusal said.
        accept_break: bool = false;
    }
}

keys! {
    /// The end.
    ShutdownKeys "shutdown" {
        /// After TERM, what was accepted is finished within this time.
        grace: Span = Span::secs(20), Span::ms(100) => Span::secs(600);
    }
}

/// What a person wrote, every value in its bounds; the rest at its default.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Settings {
    /// Before the first section.
    pub root: RootKeys,
    /// `[log]`.
    pub log: LogKeys,
    /// `[grpc]`.
    pub grpc: GrpcKeys,
    /// `[tls]`.
    pub tls: TlsKeys,
    /// `[identity]`.
    pub identity: IdentityKeys,
    /// `[jwt]`.
    pub jwt: JwtKeys,
    /// `[admin]`.
    pub admin: AdminKeys,
    /// `[traces]`.
    pub traces: TraceKeys,
    /// `[metrics]`.
    pub metrics: MetricsKeys,
    /// `[ingest]`.
    pub ingest: IngestKeys,
    /// `[keys]`.
    pub keys: PseudonymKeys,
    /// `[store]`.
    pub store: StoreKeys,
    /// `[drain]`.
    pub drain: DrainKeys,
    /// `[amend]`.
    pub amend: AmendKeys,
    /// `[ledger]`.
    pub ledger: LedgerKeys,
    /// `[shutdown]`.
    pub shutdown: ShutdownKeys,
}

/// Reads one section and reports what it has too much.
macro_rules! read {
    ($source:ident, $root:ident, $keys:ty, $sections:expr) => {{
        let mut section = $source.section(<$keys>::PATH, $root);
        let keys = <$keys>::read(&mut section);
        section.finish($sections);
        keys
    }};
}

impl Settings {
    const SECTIONS: &'static [&'static str] = &[
        LogKeys::PATH,
        GrpcKeys::PATH,
        TlsKeys::PATH,
        IdentityKeys::PATH,
        JwtKeys::PATH,
        AdminKeys::PATH,
        TraceKeys::PATH,
        MetricsKeys::PATH,
        IngestKeys::PATH,
        PseudonymKeys::PATH,
        StoreKeys::PATH,
        DrainKeys::PATH,
        AmendKeys::PATH,
        LedgerKeys::PATH,
        ShutdownKeys::PATH,
    ];

    pub(super) fn read<'a>(source: &mut Source<'a>, root: &'a toml::de::DeTable<'a>) -> Self {
        let settings = Self {
            root: read!(source, root, RootKeys, Self::SECTIONS),
            log: read!(source, root, LogKeys, &[]),
            grpc: read!(source, root, GrpcKeys, &[]),
            tls: read!(source, root, TlsKeys, &[]),
            identity: read!(source, root, IdentityKeys, &[]),
            jwt: read!(source, root, JwtKeys, &[]),
            admin: read!(source, root, AdminKeys, &[]),
            traces: read!(source, root, TraceKeys, &[]),
            metrics: read!(source, root, MetricsKeys, &[]),
            ingest: read!(source, root, IngestKeys, &[]),
            keys: read!(source, root, PseudonymKeys, &[]),
            store: read!(source, root, StoreKeys, &[]),
            drain: read!(source, root, DrainKeys, &[]),
            amend: read!(source, root, AmendKeys, &[]),
            ledger: read!(source, root, LedgerKeys, &[]),
            shutdown: read!(source, root, ShutdownKeys, &[]),
        };
        source.finish();
        settings
    }
}
