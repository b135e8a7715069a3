//! Keys of what the collector tells of itself: its log, its metrics, its traces.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use super::keys::loopback;
use super::table::{KeyDoc, Section, full_name, keys, within};
use super::value::KeyValue;
use super::word::{LogFormat, LogLevel};
use crate::model::CustomerId;

keys! {
    /// The log, on standard error. No line ever holds a value of the payload.
    LogKeys "log" {
        /// "text" for people or "json" for machines.
        format: LogFormat = LogFormat::Text;
        /// The least important line that is logged: "error", "warn", "info", "debug" or "trace".
        level: LogLevel = LogLevel::Info;
    }
}

keys! {
    /// A door of its own for Prometheus, where it scrapes from another machine: /metrics, /livez and /readyz,
    /// read-only, as plain HTTP. What is there names subscriptions and programs, and no customer, unless an
    /// operator asked for that.
    MetricsKeys "metrics" {
        /// The address, which may be reached from other machines: let only those who scrape reach it (a
        /// firewall, a network policy). Name the interface's own address; 0.0.0.0 and `[::]` are refused.
        /// When not set: metrics are on the admin port only.
        listen: Option<SocketAddr> = None;
        /// Customers whose events are counted by name, such as `["acme"]`: at most 100. Without this, and without the
        /// next, no customer is named on the page.
        customers: BTreeSet<CustomerId> = BTreeSet::new();
        /// How many of the customers who send most are told by name with their events of the last minute; 0 for
        /// none. Whoever reads the page then learns who your customers are and how much each of them uses.
        top_customers: usize = 0, 0 => 50;
    }
}

keys! {
    /// Traces of the collector itself: what it did and for how long, in numbers. No customer, no value.
    TraceKeys "traces" {
        /// Whether there are any.
        enabled: bool = false;
        /// The collector that takes them, by OTLP over gRPC. Only a loopback address is accepted: traces go out
        /// unencrypted, so let an agent on this machine pass them on.
        collector: SocketAddr = loopback(4317);
        /// One of so many calls is traced.
        one_in: u32 = 100, 1 => 1_000_000;
    }
}
