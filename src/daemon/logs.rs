//! The log: lines on standard error, as text or JSON. Only our own rooms log below `warn`, because
//! what libraries print at `debug` is not ours to vouch for.

use tracing_subscriber::EnvFilter;

use crate::config::{LogFormat, LogKeys, LogLevel};

/// Starts logging. A second call in one process changes nothing.
pub fn start(log: &LogKeys) {
    let level = match log.level {
        LogLevel::Error => "error",
        LogLevel::Warn => "warn",
        LogLevel::Info => "warn,usaged=info",
        LogLevel::Debug => "warn,usaged=debug",
        LogLevel::Trace => "warn,usaged=trace",
    };
    let lines = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(level))
        .with_writer(std::io::stderr)
        .with_ansi(false);
    let started = match log.format {
        LogFormat::Text => lines.try_init(),
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
    };
    if let Err(error) = started {
        tracing::debug!(%error, "logging was started before");
    }
}
