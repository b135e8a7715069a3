//! `usaged load --drain`: what a benchmark says has to add up too.

use serde_json::Value as Json;

use crate::cli_run::usaged;

const ARGS: &str =
    "load --json --no-floor --clients 2 --batch-size 20 --customers 3 --warm-up 0s --duration 200ms";

fn number(report: &Json, key: &str) -> f64 {
    report[key].as_f64().unwrap_or_else(|| panic!("no {key} in {report}"))
}

#[test]
fn a_full_queue_is_drained_to_the_last_event_both_ways_and_again_after_a_restart() {
    let ended = usaged(ARGS.split(' ').chain(["--drain", "1010"]));
    assert_eq!(ended.code, 0, "{}", ended.err);
    let report = ended.json();
    // Whole batches, so one more than asked for.
    assert_eq!(report["drain_backlog_events"], 1_020);
    for way in ["drain_streaming_pull", "drain_pull"] {
        assert_eq!(report[way]["full"]["events"], 1_020, "{way} in {report}");
        let few = report[way]["almost_empty"]["events"].as_u64().unwrap();
        assert!(few >= 1_010 && few.is_multiple_of(report["drain_almost_empty_events"].as_u64().unwrap()));
    }
    // Too little work to be counted in CPU time, perhaps.
    assert!(report.as_object().unwrap().contains_key("drain_events_per_cpu_second"));
    for key in ["drain_events_per_second", "drain_backlog_ratio", "drain_peak_rss_bytes", "restart_ms"] {
        assert!(number(&report, key) > 0.0, "{key} in {report}");
    }
}

#[test]
fn a_rate_is_not_exceeded_and_syncs_are_timed() {
    let args = ARGS.replace("200ms", "1s");
    let report = usaged(args.split(' ').chain(["--rate", "1000"])).json();
    let rate = number(&report, "events_per_second");
    assert!(rate > 0.0 && rate < 1_100.0, "{report}");
    assert!(number(&report, "sync_ms_p50") <= number(&report, "sync_ms_p99"), "{report}");
}

#[test]
fn the_queue_of_somebody_elses_collector_is_not_filled() {
    let ended = usaged(["load", "--attach", "127.0.0.1:1", "--drain", "10"]);
    assert_eq!(ended.code, 2, "{}", ended.err);
}
