//! Every metric there is: one table, so that names, kinds, labels and help cannot drift apart.
//! `tests/` holds the list as a golden file. Label values come from closed lists or from what
//! an operator named (subscriptions), never from a sender.

use metrics::{counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};

/// What a metric counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// A distribution.
    Histogram,
}

/// Defines the table of metrics.
macro_rules! metrics {
    ($($variant:ident = $kind:ident $name:literal [$($label:literal),*] $help:literal;)+) => {
        /// A metric of the collector.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Metric { $(#[doc = $help] $variant,)+ }

        impl Metric {
            /// Every metric.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The name that Prometheus sees.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// What it counts.
            #[must_use]
            pub const fn kind(self) -> Kind {
                match self { $(Self::$variant => Kind::$kind,)+ }
            }

            /// The names of its labels.
            #[must_use]
            pub const fn labels(self) -> &'static [&'static str] {
                match self { $(Self::$variant => &[$($label),*],)+ }
            }

            /// One sentence on it, with its unit.
            #[must_use]
            pub const fn help(self) -> &'static str {
                match self { $(Self::$variant => $help,)+ }
            }
        }
    };
}

metrics! {
    AckSeconds = Histogram "usaged_ack_seconds" [] "Seconds from a whole request to its receipt.";
    BuildInfo = Gauge "usaged_build_info" ["version"] "1, with the version of the program.";
    CommitNumber = Gauge "usaged_commit_number" [] "The last commit number that is on disk.";
    BatchesBound = Counter "usaged_batches_bound_total" [] "Stored batches that were rewritten or removed because a level was lowered or the policy became stricter.";
    BindingsOverdue = Gauge "usaged_bindings_overdue" [] "Lowered levels and stricter policies that the disk does not follow in time; a policy counts as one.";
    CallersRefused = Counter "usaged_callers_refused_total" ["reason"] "Calls refused because of who calls, by reason.";
    CertificateExpiry = Gauge "usaged_certificate_expiry_seconds" ["file"] "Seconds until the first certificate of a file expires, or its revocation list is out of date; negative after it.";
    IdentityLoads = Counter "usaged_identity_loads_total" ["result"] "Loads of certificates, revocation lists and identities: loaded, unchanged or refused.";
    IdentityKeyFetches = Counter "usaged_identity_key_fetches_total" ["result"] "Fetches of an identity provider's keys: fetched or failed.";
    Connections = Gauge "usaged_connections" [] "Open gRPC connections.";
    ConnectionsRefused = Counter "usaged_connections_refused_total" ["reason"] "Connections closed by the door, by reason.";
    CustomerCacheMisses = Counter "usaged_customer_cache_misses_total" [] "Participations read from the store because the cache did not hold them.";
    Customers = Gauge "usaged_customers" [] "Customers that have a participation.";
    DamagedRecords = Counter "usaged_damaged_records_total" [] "Stored records that failed their checks and were set aside.";
    ErasuresDone = Counter "usaged_erasures_total" ["scope"] "Erasures done and verified, by scope.";
    ErasuresDue = Gauge "usaged_erasures_due" [] "Erasures that are not done yet.";
    Duplicates = Counter "usaged_duplicate_batches_total" [] "Batches that were on disk already.";
    EventsAccepted = Counter "usaged_events_accepted_total" ["program"] "Events that were answered as stored, by program.";
    EventsReceived = Counter "usaged_events_received_total" [] "Events in well-formed requests, duplicates not counted.";
    EventsStored = Counter "usaged_events_stored_total" [] "Events in records that the store has committed.";
    EventsWithheld = Counter "usaged_events_withheld_total" ["reason"] "Events not stored, by reason.";
    FieldsStored = Counter "usaged_fields_stored_total" ["fate"] "Fields stored, by the form they were stored in.";
    FieldsWithheld = Counter "usaged_fields_withheld_total" ["reason"] "Fields of accepted events not stored, by reason.";
    GroupRecords = Histogram "usaged_group_records" [] "Records that shared one sync.";
    LedgerEntries = Gauge "usaged_ledger_entries" [] "Entries of the ledger.";
    PolicyLoads = Counter "usaged_policy_loads_total" ["result"] "Policy loads: loaded, unchanged or refused.";
    RecordsStored = Counter "usaged_records_stored_total" [] "Records that the store has committed.";
    Requests = Counter "usaged_requests_total" ["method", "code"] "gRPC requests, by method and status code.";
    RequestsRefused = Counter "usaged_requests_refused_total" ["reason"] "Requests and batches of streams that were refused, by the reason that the sender was told.";
    SegmentsDropped = Counter "usaged_segments_dropped_total" ["reason"] "Segments dropped by retention: age or size.";
    StoreBytes = Gauge "usaged_store_bytes" [] "Bytes that the store takes on disk.";
    StoreSegments = Gauge "usaged_store_segments" [] "Live segments.";
    SubscriptionBatches = Counter "usaged_subscription_batches_total" ["subscription", "outcome"] "Batches of a subscription by their outcome: acknowledged, dead, expired or skipped.";
    SubscriptionEvents = Counter "usaged_subscription_events_total" ["subscription", "outcome"] "Events of a subscription's batches by their outcome: acknowledged, dead, expired or skipped.";
    SubscriptionLeased = Gauge "usaged_subscription_leased_batches" ["subscription"] "Batches under a lease.";
    SubscriptionOldestSeconds = Gauge "usaged_subscription_oldest_seconds" ["subscription"] "Age of the oldest waiting batch, in seconds.";
    SubscriptionSkips = Counter "usaged_subscription_skipped_batches_total" ["subscription", "reason"] "Batches that a subscription passed over, by reason.";
    SubscriptionWaiting = Gauge "usaged_subscription_waiting_batches" ["subscription"] "Batches that wait for delivery or acknowledgement.";
    SyncSeconds = Histogram "usaged_sync_seconds" [] "Seconds that one synced write of a group took.";
}

impl Metric {
    /// Tells the recorder of this process what each metric is, and begins those without labels at zero.
    pub fn describe_all() {
        for metric in Self::ALL {
            let has_no_labels = metric.labels().is_empty();
            match metric.kind() {
                Kind::Counter => describe_counter!(metric.name(), metric.help()),
                Kind::Gauge => describe_gauge!(metric.name(), metric.help()),
                Kind::Histogram => describe_histogram!(metric.name(), metric.help()),
            }
            match metric.kind() {
                Kind::Counter if has_no_labels => counter!(metric.name()).increment(0),
                Kind::Gauge if has_no_labels => gauge!(metric.name()).increment(0.0),
                Kind::Histogram if has_no_labels => drop(histogram!(metric.name())),
                Kind::Counter | Kind::Gauge | Kind::Histogram => {}
            }
        }
    }

    /// Adds to a counter.
    pub fn add(self, labels: &[(&'static str, &str)], n: u64) {
        if n > 0 {
            counter!(self.name(), &owned(labels)).increment(n);
        }
    }

    /// Sets a gauge.
    pub fn set(self, labels: &[(&'static str, &str)], value: f64) {
        gauge!(self.name(), &owned(labels)).set(value);
    }

    /// Records a value of a histogram.
    pub fn record(self, labels: &[(&'static str, &str)], value: f64) {
        histogram!(self.name(), &owned(labels)).record(value);
    }
}

fn owned(labels: &[(&'static str, &str)]) -> Vec<(&'static str, String)> {
    labels.iter().map(|(name, value)| (*name, (*value).to_owned())).collect()
}
