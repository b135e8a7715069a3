//! A real Prometheus scrapes a real collector under some load: the page is of its format, every query of the dashboard
//! and every alert is one that it can answer, and every metric of the table is looked at by one of them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value as Json;
use usaged::observe::{Kind, Metric};

use crate::cli_flow::page;
use crate::cli_run::Collector;
use crate::watch_rules::{alerts, prometheus_tool, promtool, rules, text_of};

const DASHBOARD: &str = "deploy/grafana/usaged.json";

/// What a calm collector has nothing to tell of: nobody was told of yet within its first minute, nothing was refused at
/// the door, skipped or cached away, without TLS there is no certificate, and in its first hour the clock is not believed.
const EMPTY_IN_CALM: &[&str] = &[
    "usaged_top_customer_events",
    "usaged_connections_refused_total",
    "usaged_subscription_skipped_batches_total",
    "usaged_certificate_expiry_seconds",
    "usaged_backup_timestamp_seconds",
    "usaged_personal_rows_timestamp_seconds",
    "usaged_key_upkeep_timestamp_seconds",
    "usaged_callers_refused_total",
    "usaged_trace_spans_total",
];

/// Metrics that neither the dashboard nor an alert looks at, each with the reason.
const LOOKED_AT_BY_HAND: &[(&str, &str)] = &[];

struct Prometheus {
    child: Child,
    address: String,
}

impl Prometheus {
    /// Starts one that scrapes `target` every second and evaluates the rules that are shipped.
    fn start(dir: &Path, target: &str) -> Self {
        // As they are shipped, but all evaluated every second.
        let rules = dir.join("usaged.rules.yml");
        fs::write(&rules, text_of("deploy/prometheus/usaged.rules.yml").replace("    interval: 30s\n", ""))
            .unwrap();
        let config = format!(
            "global:\n  scrape_interval: 1s\n  evaluation_interval: 1s\nrule_files:\n  - {}\nscrape_configs:\n  \
             - job_name: usaged\n    static_configs:\n      - targets: ['{target}']\n",
            rules.display()
        );
        let file = dir.join("prometheus.yml");
        fs::write(&file, config).unwrap();
        let mut child = Command::new(prometheus_tool("prometheus"))
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.tsdb.path={}", dir.join("tsdb").display()))
            .arg("--web.listen-address=127.0.0.1:0")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
        let mut said = String::new();
        let address = log.find_map(|line| {
            said.push_str(&line);
            said.push('\n');
            line.split_once("msg=\"Listening on\" address=").map(|(_, address)| address.trim().to_owned())
        });
        // It goes on talking; nobody has to listen, but the pipe must not fill.
        std::thread::spawn(move || log.for_each(drop));
        let address = address.unwrap_or_else(|| panic!("Prometheus does not start: {said}"));
        let prometheus = Self { child, address };
        let begun = Instant::now();
        while !prometheus.answer("/-/ready").starts_with("HTTP/1.0 200") {
            assert!(begun.elapsed() < Duration::from_secs(60), "Prometheus does not get ready");
            std::thread::sleep(Duration::from_millis(50));
        }
        prometheus
    }

    fn answer(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        write!(stream, "GET {path} HTTP/1.0\r\nHost: x\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    fn get(&self, path: &str) -> Json {
        let answer = self.answer(path);
        let body = answer.split_once("\r\n\r\n").unwrap().1;
        serde_json::from_str(body).unwrap_or_else(|error| panic!("{path}: {error}: {body}"))
    }

    /// The series that `expr` gives now.
    fn query(&self, expr: &str) -> Vec<Json> {
        let encoded: String = expr.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let answer = self.get(&format!("/api/v1/query?query={encoded}"));
        assert_eq!(answer["status"], "success", "{expr}: {answer}");
        answer["data"]["result"].as_array().unwrap().clone()
    }

    fn until(&self, what: &str, done: impl Fn(&Self) -> bool) {
        let begun = Instant::now();
        while !done(self) {
            assert!(begun.elapsed() < Duration::from_secs(60), "{what}: {}", self.get("/api/v1/targets"));
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn dashboard() -> Json {
    serde_json::from_str(&text_of(DASHBOARD)).unwrap()
}

/// Every query of the dashboard with the title of its panel.
fn queries(dashboard: &Json) -> Vec<(String, String)> {
    let panels = dashboard["panels"].as_array().unwrap().iter();
    panels
        .flat_map(|panel| {
            let title = panel["title"].as_str().unwrap();
            let targets = panel["targets"].as_array().into_iter().flatten();
            targets.map(|target| (title.to_owned(), target["expr"].as_str().unwrap().to_owned()))
        })
        .collect()
}

/// The metrics that an expression names, histograms by their own name.
fn named(expr: &str) -> BTreeSet<String> {
    let words = expr.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':'));
    let metrics = words.filter(|word| word.starts_with("usaged_") || word.starts_with("process_"));
    let histograms = |word: &str| {
        let own = ["_bucket", "_sum", "_count"].iter().find_map(|end| word.strip_suffix(end));
        own.filter(|own| Metric::ALL.iter().any(|m| m.name() == *own)).unwrap_or(word).to_owned()
    };
    metrics.map(histograms).collect()
}

/// The metrics behind a rule, through recorded series.
pub fn behind(expr: &str) -> BTreeSet<String> {
    let recorded: BTreeMap<String, String> =
        rules().iter().filter_map(|r| Some((r.get("record")?.clone(), r["expr"].clone()))).collect();
    let through = recorded.into_iter().filter(|(record, _)| expr.contains(record));
    named(expr).into_iter().chain(through.flat_map(|(_, inner)| named(&inner))).collect()
}

fn ok(ended: crate::cli_run::Ended) -> crate::cli_run::Ended {
    assert_eq!(ended.code, 0, "{} {}", ended.out, ended.err);
    ended
}

/// A bit of everything that a collector does.
fn load(collector: &Collector, round: usize, dir: &Path) {
    let events: String = (0..40)
        .map(|n| {
            let line = format!("login of admin{n}@example.com from 10.1.{round}.{n} failed");
            format!(
                "{{\"name\":\"vm.inventory\",\"fields\":{{\"host\":\"esx-{n}.example.com\",\"vcpus\":{n},\"colour\":1}}}}\n\
                 {{\"name\":\"support.log_line\",\"fields\":{{\"service\":\"vpxd\",\"message\":\"{line}\"}}}}\n"
            )
        })
        .collect();
    for customer in ["watched.example", "other.example", "nobody.example"] {
        ok(collector.client(&["send", "--customer", customer, "--product", "vcenter"], &events));
    }
    let refused = collector.client(&["send", "--customer", "no customer!", "--product", "vcenter"], &events);
    assert_ne!(refused.code, 0);
    let out = dir.join(format!("out-{round}")).display().to_string();
    ok(collector.client(&["drain", "team", "--out", &out], ""));
}

#[test]
fn every_query_and_every_alert_is_answered_by_a_real_prometheus() {
    let dir = tempfile::tempdir().unwrap();
    let collector = Collector::start(
        dir.path(),
        &["--set", "metrics.customers=[\"watched.example\"]", "--set", "metrics.top_customers=3"],
    );
    for customer in ["watched.example", "other.example"] {
        let set = ["participation", "set", customer, "--level", "ceip=enhanced", "--reason", "test"];
        ok(collector.client(&set, ""));
    }
    let create = ["subscription", "create", "team", "--purpose", "improve", "--recipient", "tests"];
    ok(collector.client(&create, ""));
    load(&collector, 0, dir.path());
    let erase =
        ["erase", "--customer", "other.example", "--class", "host_name", "--value", "esx-7.example.com"];
    ok(collector.client(&[&erase[..], &["--reference", "ticket-1"]].concat(), ""));

    let exposition = page(&collector, "/metrics");
    let body = exposition.split_once("\r\n\r\n").unwrap().1;
    let complaints = promtool(&["check", "metrics"], Some(&plain(&exposition, body)));
    assert_eq!(complaints.trim(), "", "promtool has something to say of the page");
    // covers: P1
    for customer in ["other.example", "nobody.example", "no customer!"] {
        assert!(!exposition.contains(customer), "{customer} is named and nobody asked for it");
    }

    let prometheus = Prometheus::start(dir.path(), &collector.admin);
    prometheus.until("two scrapes", |p| !p.query("rate(usaged_events_received_total[1m])").is_empty());
    load(&collector, 1, dir.path());
    prometheus.until("a scrape of the load", |p| {
        !p.query("sum(increase(usaged_subscription_batches_total{outcome=\"acknowledged\"}[1m])) > 0")
            .is_empty()
    });

    let mut silent = Vec::new();
    for (title, expr) in queries(&dashboard()) {
        let expr =
            expr.replace("$job", "usaged").replace("$instance", ".*").replace("$__rate_interval", "1m");
        let may_be_empty = named(&expr).iter().any(|name| EMPTY_IN_CALM.contains(&name.as_str()));
        if prometheus.query(&expr).is_empty() && !may_be_empty {
            silent.push(format!("{title}: {expr}"));
        }
    }
    for alert in alerts() {
        prometheus.query(&alert["expr"]);
        for name in named(&alert["expr"]).iter().filter(|name| !EMPTY_IN_CALM.contains(&name.as_str())) {
            let series = [name.clone(), format!("{name}_bucket")].join("|");
            if prometheus.query(&format!("{{__name__=~\"{series}\"}}")).is_empty() {
                silent.push(format!("{}: there is no {name}", alert["alert"]));
            }
        }
    }
    assert!(silent.is_empty(), "no data for {silent:#?}");

    prometheus.until("every rule is evaluated", |p| !p.answer("/api/v1/rules").contains("\"unknown\""));
    let groups = prometheus.get("/api/v1/rules");
    let evaluated = groups["data"]["groups"].as_array().unwrap().iter();
    let evaluated: Vec<&Json> = evaluated.flat_map(|group| group["rules"].as_array().unwrap()).collect();
    assert_eq!(evaluated.len(), rules().len());
    for rule in evaluated {
        assert_eq!((&rule["health"], &rule["lastError"]), (&"ok".into(), &Json::Null), "{rule}");
        assert_ne!(rule["state"], "firing", "nothing is wrong: {rule}");
    }
    assert_eq!(collector.end(), 0);
}

/// The page without what HTTP puts between its pieces.
fn plain(answer: &str, body: &str) -> String {
    if !answer.to_lowercase().contains("transfer-encoding: chunked") {
        return body.to_owned();
    }
    let (mut rest, mut whole) = (body, String::new());
    while let Some((size, after)) = rest.split_once("\r\n") {
        let size = usize::from_str_radix(size.trim(), 16).unwrap();
        whole.push_str(&after[..size]);
        rest = after.get(size + 2..).unwrap_or("");
    }
    whole
}

#[test]
fn every_metric_is_looked_at_and_nothing_else_is() {
    let table: BTreeSet<String> = Metric::ALL.iter().map(|metric| metric.name().to_owned()).collect();
    let mut looked_at: BTreeSet<String> =
        queries(&dashboard()).iter().flat_map(|(_, expr)| named(expr)).collect();
    looked_at.extend(rules().iter().flat_map(|rule| named(&rule["expr"])));
    let unknown: Vec<_> = looked_at.difference(&table).collect();
    assert!(unknown.is_empty(), "no such metric: {unknown:?}");
    looked_at.extend(LOOKED_AT_BY_HAND.iter().map(|(name, _)| (*name).to_owned()));
    let unseen: Vec<_> = table.difference(&looked_at).collect();
    assert!(unseen.is_empty(), "nobody looks at {unseen:?}");
}

#[test]
fn the_dashboard_is_one_that_grafana_takes() {
    let dashboard = dashboard();
    assert!(dashboard["schemaVersion"].as_u64().unwrap() >= 36 && dashboard["uid"] == "usaged");
    let variables = dashboard["templating"]["list"].as_array().unwrap();
    let variable = |name: &str| variables.iter().find(|variable| variable["name"] == name).unwrap();
    assert_eq!(variable("datasource")["query"], "prometheus");
    let source = serde_json::json!({ "type": "prometheus", "uid": "${datasource}" });
    let (mut ids, mut cells) = (BTreeSet::new(), BTreeMap::new());
    let panels = dashboard["panels"].as_array().unwrap();
    for panel in panels {
        let title = panel["title"].as_str().unwrap();
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{title}: its id is used twice");
        let at = |name: &str| panel["gridPos"][name].as_u64().unwrap();
        assert!(at("w") > 0 && at("x") + at("w") <= 24, "{title} is wider than the grid");
        for x in at("x")..at("x") + at("w") {
            for y in at("y")..at("y") + at("h") {
                let other = cells.insert((x, y), title);
                assert_eq!(other, None, "{title} lies on another panel");
            }
        }
        if panel["type"] == "row" {
            continue;
        }
        assert!(!panel["description"].as_str().unwrap().is_empty(), "{title} says nothing of itself");
        assert_eq!(panel["datasource"], source, "{title}");
        assert!(
            !panel["fieldConfig"]["defaults"]["unit"].as_str().unwrap().is_empty(),
            "{title} has no unit"
        );
        let targets = panel["targets"].as_array().unwrap();
        assert!(!targets.is_empty(), "{title}");
        let letters: BTreeSet<_> = targets.iter().map(|target| target["refId"].as_str().unwrap()).collect();
        assert_eq!(letters.len(), targets.len(), "{title}");
        for target in targets {
            assert_eq!(target["datasource"], source, "{title}");
            assert!(!target["legendFormat"].as_str().unwrap().is_empty(), "{title}");
        }
    }
    let rows: Vec<_> =
        panels.iter().filter(|panel| panel["type"] == "row").map(|row| &row["title"]).collect();
    for row in ["Ingest", "Outcomes", "Store", "Drain", "Privacy", "Door", "Process"] {
        assert!(rows.iter().any(|title| *title == row), "there is no row {row}");
    }
}

#[test]
fn the_page_of_metrics_says_of_each_what_it_is_when_it_is_normal_and_who_raises_the_alarm() {
    let text = text_of("docs/metrics.md");
    let rows: BTreeMap<String, Vec<String>> = text
        .lines()
        .filter_map(|line| line.strip_prefix("| `"))
        .map(|line| {
            let cells: Vec<String> =
                format!("`{line}").split(" | ").map(|c| c.trim_matches(['|', ' ']).to_owned()).collect();
            let name = cells[0].split('`').nth(1).unwrap().to_owned();
            (name, cells)
        })
        .collect();
    let told: Vec<&String> =
        rows.keys().filter(|name| !Metric::ALL.iter().any(|m| m.name() == *name)).collect();
    assert!(told.is_empty(), "no such metric: {told:?}");
    for metric in Metric::ALL {
        let name = metric.name();
        let cells = rows.get(name).unwrap_or_else(|| panic!("docs/metrics.md does not tell of {name}"));
        let labels: Vec<String> = metric.labels().iter().map(|label| format!("`{label}`")).collect();
        let first = [&[format!("`{name}`")], &labels[..]].concat().join(" ");
        let kind = match metric.kind() {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        assert_eq!(
            (cells.len(), &cells[0], &cells[1], &cells[2]),
            (5, &first, &kind.to_owned(), &metric.help().to_owned())
        );
        assert!(!cells[3].is_empty(), "{name}: what is normal?");
        let expected: BTreeSet<String> = alerts()
            .iter()
            .filter(|a| behind(&a["expr"]).contains(name))
            .map(|a| a["alert"].clone())
            .collect();
        let told: BTreeSet<String> =
            cells[4].split(", ").filter(|a| !a.is_empty()).map(str::to_owned).collect();
        assert_eq!(told, expected, "{name}: its alerts");
    }
}
