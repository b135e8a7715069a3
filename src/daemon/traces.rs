//! Traces of the collector itself, for who asks for them: its spans (`observe::trace`) go to a collector of OTLP on this
//! machine. What does not fit into the queue, or is not taken, is dropped and counted: no request waits for a trace.

use std::net::SocketAddr;
use std::time::Duration;

use opentelemetry::Context;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::{ExporterBuildError, SpanExporter, WithExportConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{
    Sampler, SdkTracer, SdkTracerProvider, Span, SpanData, SpanExporter as _, SpanProcessor,
};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::config::TraceKeys;
use crate::observe::{Metric, Seldom};

/// Spans that may wait.
const WAITING: usize = 4_096;
/// Spans of one export.
const BATCH: usize = 512;
/// How often what waits is exported.
const ROUND: Duration = Duration::from_secs(1);
/// How long an export may take.
const PATIENCE: Duration = Duration::from_secs(2);

static NOT_TAKEN: Seldom = Seldom::new();

/// Traces that are on.
pub(super) struct Traces {
    provider: SdkTracerProvider,
    task: JoinHandle<()>,
    stop: CancellationToken,
}

impl Traces {
    /// Begins to trace, if the configuration asks for it. To be called within the runtime.
    pub fn start(keys: &TraceKeys) -> Result<Option<Self>, ExporterBuildError> {
        if !keys.enabled {
            return Ok(None);
        }
        // Nothing of the environment goes into it: neither names of the machine nor what somebody set for another program.
        let resource = Resource::builder_empty().with_service_name("usaged").build();
        let mut exporter = exporter(keys.collector)?;
        exporter.set_resource(&resource);
        let (to, waiting) = mpsc::channel(WAITING);
        let ratio = 1.0 / f64::from(keys.one_in.max(1));
        let provider = SdkTracerProvider::builder()
            .with_resource(resource)
            .with_sampler(Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(ratio))))
            .with_span_processor(Queue { to })
            .build();
        let stop = CancellationToken::new();
        let task = tokio::spawn(export(waiting, exporter, stop.clone()));
        Ok(Some(Self { provider, task, stop }))
    }

    /// What spans are made with.
    pub fn tracer(&self) -> SdkTracer {
        self.provider.tracer("usaged")
    }

    /// Exports what waits, for so long at most.
    pub async fn end(self, grace: Duration) {
        self.stop.cancel();
        let _in_time = tokio::time::timeout(grace, self.task).await;
    }
}

fn exporter(collector: SocketAddr) -> Result<SpanExporter, ExporterBuildError> {
    let builder = SpanExporter::builder().with_tonic();
    builder.with_endpoint(format!("http://{collector}")).with_timeout(PATIENCE).build()
}

/// Where spans go when they end.
#[derive(Debug)]
struct Queue {
    to: mpsc::Sender<SpanData>,
}

impl SpanProcessor for Queue {
    fn on_start(&self, _: &mut Span, _: &Context) {}

    fn on_end(&self, span: SpanData) {
        if span.span_context.is_sampled() && self.to.try_send(span).is_err() {
            Metric::TraceSpans.add(&[("result", "dropped")], 1);
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}

/// Exports what waits about once a second, until `stop`, and then the rest.
async fn export(mut waiting: mpsc::Receiver<SpanData>, exporter: SpanExporter, stop: CancellationToken) {
    let mut rounds = tokio::time::interval(ROUND);
    rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let is_last = tokio::select! {
            () = stop.cancelled() => true,
            _ = rounds.tick() => false,
        };
        if is_last {
            waiting.close();
        }
        // Each time, because metrics may be collected later than the first.
        for result in ["exported", "dropped"] {
            Metric::TraceSpans.begin(&[("result", result)]);
        }
        while !waiting.is_empty() {
            let mut batch = Vec::with_capacity(BATCH);
            waiting.recv_many(&mut batch, BATCH).await;
            let spans = u64::try_from(batch.len()).unwrap_or(u64::MAX);
            let exported = tokio::time::timeout(PATIENCE, exporter.export(batch)).await;
            let result = if matches!(exported, Ok(Ok(()))) { "exported" } else { "dropped" };
            Metric::TraceSpans.add(&[("result", result)], spans);
            if result == "dropped"
                && let Some(unsaid) = NOT_TAKEN.due()
            {
                tracing::warn!(spans, unsaid, "the collector of traces does not take them; they are dropped");
            }
        }
        if is_last {
            return;
        }
    }
}
