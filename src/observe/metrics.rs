//! Every metric there is: one table, so that names, kinds, labels and help cannot drift apart.
//! `tests/` holds the list as a golden file, and `docs/metrics.md` says what each tells an operator. Label values come
//! from closed lists or from what an operator named (subscriptions, customers of the configuration), never from a
//! sender.

use metrics::{
    Counter, Histogram, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram,
};

use super::series::series;
use crate::model::UnixMillis;

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
    ProcessCpu = Counter "process_cpu_seconds_total" [] "Seconds of processor time that the process took.";
    ProcessMaxFds = Gauge "process_max_fds" [] "File descriptors that the process may have open.";
    ProcessOpenFds = Gauge "process_open_fds" [] "File descriptors that the process has open.";
    ProcessResident = Gauge "process_resident_memory_bytes" [] "Bytes of memory that the process takes.";
    ProcessStart = Gauge "process_start_time_seconds" [] "When the process was started, in seconds since 1970.";
    ProcessThreads = Gauge "process_threads" [] "Threads of the process.";
    ProcessVirtual = Gauge "process_virtual_memory_bytes" [] "Bytes of address space that the process has.";
    AckSeconds = Histogram "usaged_ack_seconds" [] "Seconds from a whole request to its receipt.";
    BackupTime = Gauge "usaged_backup_timestamp_seconds" [] "When this process last made a backup, a directory, in seconds since 1970; 0 if it has not.";
    BatchesBound = Counter "usaged_batches_bound_total" [] "Stored batches that were rewritten or removed because a level was lowered or the policy became stricter.";
    BindingOldest = Gauge "usaged_binding_oldest_seconds" [] "Seconds since the oldest change was made that the disk does not follow yet; 0 if there is none.";
    BindingsDue = Gauge "usaged_bindings_due" [] "Changes of participation and policy that the disk does not follow yet; a policy counts as one, and so does a start.";
    BindingsOverdue = Gauge "usaged_bindings_overdue" [] "Lowered levels and stricter policies that the disk does not follow in time; a policy counts as one.";
    BuildInfo = Gauge "usaged_build_info" ["version"] "1, with the version of the program.";
    CallersRefused = Counter "usaged_callers_refused_total" ["reason"] "Calls refused because of who calls, by reason.";
    CertificateExpiry = Gauge "usaged_certificate_expiry_seconds" ["file"] "Seconds until the first certificate of a file expires, or its revocation list is out of date; negative after it.";
    CommitNumber = Gauge "usaged_commit_number" [] "The last commit number that is on disk.";
    ConfigurationLoads = Counter "usaged_configuration_loads_total" ["result"] "Configuration files that were read again: loaded, unchanged or refused.";
    ConfigurationRefused = Gauge "usaged_configuration_refused" [] "1 if the configuration that was read last while the collector runs was refused, or its disk does not answer, else 0.";
    Connections = Gauge "usaged_connections" [] "Open gRPC connections.";
    ConnectionsRefused = Counter "usaged_connections_refused_total" ["reason"] "Connections closed by the door, by reason.";
    CustomerCacheMisses = Counter "usaged_customer_cache_misses_total" [] "Participations read from the store because the cache did not hold them.";
    CustomerEvents = Counter "usaged_customer_events_total" ["customer", "outcome"] "Events of the customers that the configuration names, by outcome: accepted or withheld.";
    Customers = Gauge "usaged_customers" [] "Customers that have a participation.";
    DamagedRecords = Counter "usaged_damaged_records_total" [] "Stored records that failed their checks and were set aside.";
    DetectorHits = Counter "usaged_detector_hits_total" ["class"] "Identifiers that detectors found in text that was stored, by class.";
    Duplicates = Counter "usaged_duplicate_batches_total" [] "Batches that were on disk already.";
    ErasureOldest = Gauge "usaged_erasure_oldest_seconds" [] "Seconds since the oldest erasure that is not done was asked for; 0 if there is none.";
    ErasuresDue = Gauge "usaged_erasures_due" [] "Erasures that are not done yet.";
    ErasuresDone = Counter "usaged_erasures_total" ["scope"] "Erasures done and verified, by scope.";
    EventsAccepted = Counter "usaged_events_accepted_total" ["program"] "Events that were answered as stored, by program.";
    EventsReceived = Counter "usaged_events_received_total" [] "Events in well-formed requests, duplicates not counted.";
    EventsStored = Counter "usaged_events_stored_total" [] "Events in records that the store has committed.";
    EventsWithheld = Counter "usaged_events_withheld_total" ["reason"] "Events not stored, by reason.";
    ExposedFiles = Gauge "usaged_exposed_files" [] "Files and directories of the collector that others can change or read, of those that only it may.";
    FieldsStored = Counter "usaged_fields_stored_total" ["fate"] "Fields stored, by the form they were stored in.";
    FieldsWithheld = Counter "usaged_fields_withheld_total" ["reason"] "Fields of accepted events not stored, by reason.";
    GoneKeysOldest = Gauge "usaged_gone_keys_oldest_seconds" [] "Seconds since the oldest keys were destroyed or wrapped anew that files may still hold, or since the start; 0 if none does.";
    GroupBytes = Histogram "usaged_group_bytes" [] "Bytes of records that shared one sync.";
    GroupRecords = Histogram "usaged_group_records" [] "Records that shared one sync.";
    IdentitiesRefused = Gauge "usaged_identities_refused" [] "1 if the certificates, revocation lists and identities that were read last while the collector runs were refused, or their disk does not answer, else 0.";
    IdentityKeyFetches = Counter "usaged_identity_key_fetches_total" ["result"] "Fetches of an identity provider's keys: fetched or failed.";
    IdentityLoads = Counter "usaged_identity_loads_total" ["result"] "Loads of certificates, revocation lists and identities: loaded, unchanged or refused.";
    KeyEpoch = Gauge "usaged_key_epoch" [] "The number of the present epoch of rotating pseudonyms.";
    KeyEpochAge = Gauge "usaged_key_epoch_age_seconds" [] "Seconds since the present epoch began.";
    KeyOldestEpoch = Gauge "usaged_key_oldest_epoch" [] "The number of the oldest epoch whose keys are to be kept; older ones are destroyed.";
    KeyUpkeep = Gauge "usaged_key_upkeep_timestamp_seconds" [] "When key epochs were last looked after by a clock that may be believed, in seconds since 1970; 0 before the first time.";
    LedgerCheckpointAge = Gauge "usaged_ledger_checkpoint_age_seconds" [] "Seconds since the last checkpoint was signed or the ledger was opened.";
    LedgerEntries = Gauge "usaged_ledger_entries" [] "Entries of the ledger.";
    LedgerUnsigned = Gauge "usaged_ledger_unsigned_entries" [] "Entries of the ledger that no checkpoint signs yet.";
    LedgerWaiting = Gauge "usaged_ledger_waiting_entries" [] "Entries that wait in the store until the ledger has them.";
    PersonalRowsTime = Gauge "usaged_personal_rows_timestamp_seconds" [] "When this process last wrote a file of personal rows, alone or with a backup, in seconds since 1970; 0 if it has not.";
    PolicyLoadTime = Gauge "usaged_policy_load_timestamp_seconds" [] "When the policy was last loaded or refused, in seconds since 1970.";
    PolicyLoads = Counter "usaged_policy_loads_total" ["result"] "Policy loads: loaded, unchanged or refused.";
    PolicyRefused = Gauge "usaged_policy_refused" [] "1 if the last load of the policy was refused, or its disk does not answer, else 0.";
    Ready = Gauge "usaged_ready" [] "1 while batches are taken and given, else 0.";
    RecordsStored = Counter "usaged_records_stored_total" [] "Records that the store has committed.";
    RequestBytes = Counter "usaged_request_bytes_total" [] "Bytes of ingest requests that were read whole.";
    RequestMemory = Gauge "usaged_request_memory_bytes" [] "Bytes of the request memory that are in use.";
    RequestMemoryLimit = Gauge "usaged_request_memory_limit_bytes" [] "Bytes of the request memory that there are.";
    RequestsInFlight = Gauge "usaged_requests_in_flight" [] "Calls in progress.";
    RequestsRefused = Counter "usaged_requests_refused_total" ["reason"] "Requests and batches of streams that were refused, by the reason that the sender was told.";
    Requests = Counter "usaged_requests_total" ["method", "code"] "gRPC requests, by method and status code.";
    SegmentsDropped = Counter "usaged_segments_dropped_total" ["reason"] "Segments dropped by retention: age; drained, to make room in the budget or on the disk, after every subscription; or size, to make room in the budget though not drained.";
    StoreBudget = Gauge "usaged_store_budget_bytes" [] "Bytes of stored records that there may be: the disk budget.";
    StoreBytes = Gauge "usaged_store_bytes" [] "Bytes that the store takes on disk.";
    StoreFree = Gauge "usaged_store_free_bytes" [] "Free bytes of the file system of the store.";
    StoreFull = Gauge "usaged_store_full_in_seconds" [] "Seconds until the disk budget is spent by what is not drained or the disk is full, at the growth of the last hour; at most 366 days. NaN within the first hour after a start, unless it is full already.";
    StoreGrowth = Gauge "usaged_store_growth_bytes_per_second" [] "Growth over the last hour of the stored records that are not drained, in bytes a second; 0 if they shrink. NaN within the first hour after a start.";
    StoreQueuedBytes = Gauge "usaged_store_queued_bytes" [] "Bytes of stored records, as the disk budget counts them.";
    StoreReserve = Gauge "usaged_store_reserve_bytes" [] "Free bytes that ingest leaves alone.";
    StoreSegments = Gauge "usaged_store_segments" [] "Live segments.";
    StoreWaitingBytes = Gauge "usaged_store_waiting_bytes" [] "Bytes of batches that wait for the writer or are being written.";
    StoreWaiting = Gauge "usaged_store_waiting_commands" [] "Batches and changes that wait for the writer.";
    StoredBytes = Counter "usaged_stored_bytes_total" [] "Bytes of records that the store has committed, sealed and compressed.";
    SubscriptionBatches = Counter "usaged_subscription_batches_total" ["subscription", "outcome"] "Batches of a subscription by their outcome: acknowledged, dead, expired or skipped.";
    SubscriptionDead = Gauge "usaged_subscription_dead_batches" ["subscription"] "Dead letters that are kept.";
    SubscriptionDelivered = Counter "usaged_subscription_delivered_batches_total" ["subscription"] "Batches that were given to the drainer, repeated ones counted again.";
    SubscriptionEvents = Counter "usaged_subscription_events_total" ["subscription", "outcome"] "Events of a subscription's batches by their outcome: acknowledged, dead, expired or skipped.";
    SubscriptionLag = Gauge "usaged_subscription_lag_commits" ["subscription"] "Commits between the cursor and the last one.";
    SubscriptionLeased = Gauge "usaged_subscription_leased_batches" ["subscription"] "Batches under a lease.";
    SubscriptionLeasesEnded = Counter "usaged_subscription_leases_ended_total" ["subscription"] "Leases that ended without an acknowledgement.";
    SubscriptionOldestSeconds = Gauge "usaged_subscription_oldest_seconds" ["subscription"] "Age of the oldest waiting batch, in seconds.";
    SubscriptionSkips = Counter "usaged_subscription_skipped_batches_total" ["subscription", "reason"] "Batches that a subscription passed over, by reason.";
    SubscriptionWaiting = Gauge "usaged_subscription_waiting_batches" ["subscription"] "Batches that wait for delivery or acknowledgement.";
    SyncSeconds = Histogram "usaged_sync_seconds" [] "Seconds that one synced write of a group took.";
    TopCustomers = Gauge "usaged_top_customer_events" ["customer"] "Events received within the last full minute of the customers who sent most, if the configuration asks for it.";
    TraceSpans = Counter "usaged_trace_spans_total" ["result"] "Spans of traces, by whether they were exported or dropped.";
    WitnessLag = Gauge "usaged_witness_lag_seconds" [] "Seconds for which the witness file has been behind what was acknowledged.";
}

impl Metric {
    /// Tells the recorder of this process what each metric is, and begins those without labels at zero.
    pub fn describe_all() {
        for metric in Self::ALL.iter().filter(|metric| !metric.is_read_late()) {
            let has_no_labels = metric.labels().is_empty();
            match metric.kind() {
                Kind::Counter => describe_counter!(metric.name(), metric.help()),
                Kind::Gauge => describe_gauge!(metric.name(), metric.help()),
                Kind::Histogram => describe_histogram!(metric.name(), metric.help()),
            }
            match metric.kind() {
                Kind::Counter if has_no_labels => counter!(metric.name()).increment(0),
                Kind::Gauge if metric.is_known_late() => gauge!(metric.name()).set(f64::NAN),
                Kind::Gauge if has_no_labels => gauge!(metric.name()).increment(0.0),
                Kind::Histogram if has_no_labels => drop(histogram!(metric.name())),
                Kind::Counter | Kind::Gauge | Kind::Histogram => {}
            }
        }
    }

    /// Whether its value is read when the page is asked for, and not kept by the recorder.
    #[must_use]
    pub const fn is_read_late(self) -> bool {
        matches!(
            self,
            Self::ProcessCpu
                | Self::ProcessMaxFds
                | Self::ProcessOpenFds
                | Self::ProcessResident
                | Self::ProcessStart
                | Self::ProcessThreads
                | Self::ProcessVirtual
                | Self::TopCustomers
        )
    }

    /// Whether it is not a number until it is known: zero would say something else.
    #[must_use]
    pub const fn is_known_late(self) -> bool {
        matches!(self, Self::StoreFull | Self::StoreGrowth)
    }

    /// Whether it is told of each subscription, and goes with it.
    #[must_use]
    pub const fn is_of_subscription(self) -> bool {
        matches!(
            self,
            Self::SubscriptionBatches
                | Self::SubscriptionDead
                | Self::SubscriptionDelivered
                | Self::SubscriptionEvents
                | Self::SubscriptionLag
                | Self::SubscriptionLeased
                | Self::SubscriptionLeasesEnded
                | Self::SubscriptionOldestSeconds
                | Self::SubscriptionSkips
                | Self::SubscriptionWaiting
        )
    }

    /// Begins a counter at zero: one that first appears with its first event has no growth that an alert could see. For
    /// a subscription nothing else is told before.
    pub fn begin(self, labels: &[(&'static str, &str)]) {
        if self.is_of_subscription() {
            series().begin(self, labels);
        } else {
            drop(self.counter(labels));
        }
    }

    /// Tells nothing more of a subscription.
    pub fn forget_subscription(name: &str) {
        series().forget(name);
    }

    /// A handle of a counter, at zero if it is new: for what is counted so often that the look-up would tell. It counts
    /// for the recorder that was there when it was taken.
    pub fn counter(self, labels: &[(&'static str, &str)]) -> Counter {
        let counter = counter!(self.name(), &owned(labels));
        counter.increment(0);
        counter
    }

    /// The same of a histogram.
    pub fn histogram(self, labels: &[(&'static str, &str)]) -> Histogram {
        histogram!(self.name(), &owned(labels))
    }

    /// Adds to a counter.
    pub fn add(self, labels: &[(&'static str, &str)], n: u64) {
        if n == 0 {
            return;
        }
        if self.is_of_subscription() {
            series().add(self, labels, n);
        } else {
            counter!(self.name(), &owned(labels)).increment(n);
        }
    }

    /// Sets a gauge.
    pub fn set(self, labels: &[(&'static str, &str)], value: f64) {
        if self.is_of_subscription() {
            series().set(self, labels, value);
        } else {
            gauge!(self.name(), &owned(labels)).set(value);
        }
    }

    /// Sets a gauge to a count.
    pub fn set_count(self, labels: &[(&'static str, &str)], count: u64) {
        self.set(labels, float(count));
    }

    /// Sets a gauge to a time, in seconds since 1970.
    pub fn set_time(self, time: UnixMillis) {
        self.set(&[], float(u64::try_from(time.0).unwrap_or(0)) / 1000.0);
    }

    /// Records a count in a histogram.
    pub fn record_count(self, labels: &[(&'static str, &str)], count: u64) {
        self.record(labels, float(count));
    }

    /// Records a value of a histogram.
    pub fn record(self, labels: &[(&'static str, &str)], value: f64) {
        histogram!(self.name(), &owned(labels)).record(value);
    }
}

/// A count as a float. Beyond 2^53 it is rounded.
#[expect(
    clippy::as_conversions,
    clippy::cast_precision_loss,
    reason = "metrics are floats; there is no other way"
)]
pub(super) const fn float(count: u64) -> f64 {
    count as f64
}

fn owned(labels: &[(&'static str, &str)]) -> Vec<(&'static str, String)> {
    labels.iter().map(|(name, value)| (*name, (*value).to_owned())).collect()
}
