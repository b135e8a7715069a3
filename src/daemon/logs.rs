//! The log: lines on standard error, as text or JSON, and beside it traces for who asks for them. Only our own rooms log
//! below `warn`, because what libraries print at `debug` is not ours to vouch for.

use tracing_subscriber::filter::{EnvFilter, LevelFilter, Targets};
use tracing_subscriber::fmt::writer::BoxMakeWriter;
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;

use super::journal::{Journal, is_read_by_journal};
use super::traces::Traces;
use crate::config::{LogFormat, LogKeys, LogLevel};
use crate::observe::trace;

/// Starts logging, and tracing if there are `traces`. A second call in one process changes nothing.
pub fn start(log: &LogKeys, traces: Option<&Traces>) {
    let level = match log.level {
        LogLevel::Error => "error",
        LogLevel::Warn => "warn",
        LogLevel::Info => "warn,usaged=info",
        LogLevel::Debug => "warn,usaged=debug",
        LogLevel::Trace => "warn,usaged=trace",
    };
    let to =
        if is_read_by_journal() { BoxMakeWriter::new(Journal) } else { BoxMakeWriter::new(std::io::stderr) };
    let lines = tracing_subscriber::fmt::layer().with_writer(to).with_ansi(false);
    let lines = match log.format {
        LogFormat::Text => lines.boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    let lines = lines.with_filter(EnvFilter::new(level));
    // Only spans of the one vocabulary are traced: no line of the log, no place in the code, no name of a thread.
    let spans = traces.map(|traces| {
        tracing_opentelemetry::layer()
            .with_tracer(traces.tracer())
            .with_location(false)
            .with_threads(false)
            .with_target(false)
            .with_level(false)
            .with_tracked_inactivity(false)
            .with_filter(Targets::new().with_target(trace::TARGET, LevelFilter::DEBUG))
    });
    let started = tracing_subscriber::registry().with(lines).with(spans).try_init();
    if let Err(error) = started {
        tracing::debug!(%error, "logging was started before");
    }
}
