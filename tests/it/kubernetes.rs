//! The Kubernetes manifests: each is valid by Kubernetes' own schemas, and says what the promises need.

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::{Value as Json, json};
use usaged::config::Settings;

use crate::cli_run::usaged;
use crate::identity_world::World;
use crate::python_client::{python_of, repository};

/// The oldest version whose features are used (a pause before TERM without a shell), and the newest with a schema.
const VERSIONS: [&str; 2] = ["1.30", "1.37"];

fn manifests(version: &str, files: &[String]) -> Vec<Json> {
    let python = python_of("tests/python/kubernetes.txt", "python-kubernetes");
    let mut read = Command::new(python);
    read.arg("-B")
        .arg(repository("tests/python/kubernetes.py"))
        .arg(repository("deploy/kubernetes"))
        .arg(version);
    let output = read.args(files).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Manifests that are not applied with the rest: one needs an operator, one a program of the user, one is for the day that
/// something is broken.
const APART: [&str; 3] = ["servicemonitor.yaml", "backup-copy.yaml", "maintenance.yaml"];

/// All manifests.
fn files() -> Vec<String> {
    let mut files: Vec<String> = std::fs::read_dir(repository("deploy/kubernetes"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".yaml") && name != "kustomization.yaml")
        .collect();
    files.sort();
    files
}

fn documents() -> Vec<Json> {
    manifests(VERSIONS[1], &files()).into_iter().map(|found| found["document"].clone()).collect()
}

fn of_kind<'a>(documents: &'a [Json], kind: &str) -> Vec<&'a Json> {
    documents.iter().filter(|document| document["kind"] == kind).collect()
}

#[test]
fn every_manifest_is_valid_by_the_schemas_of_kubernetes_and_is_in_the_kustomization() {
    for version in VERSIONS {
        for found in manifests(version, &files()) {
            if found["document"]["kind"] == "ServiceMonitor" {
                // A type of the Prometheus operator: Kubernetes has no schema of it.
                assert!(found["fault"].as_str().unwrap().starts_with("no schema"), "{found}");
            } else {
                assert_eq!(found["fault"], Json::Null, "{version}: {found}");
            }
        }
    }
    let broken =
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "x"}, "spec": {"prots": []}});
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("broken.yaml"), broken.to_string()).unwrap();
    let refused = manifests(VERSIONS[1], &[dir.path().join("broken.yaml").display().to_string()]);
    assert!(
        refused[0]["fault"].as_str().unwrap().contains("prots"),
        "the schema refuses what is wrong: {refused:?}"
    );

    let listed = std::fs::read_to_string(repository("deploy/kubernetes/kustomization.yaml")).unwrap();
    for file in files() {
        let line = format!("- {file}");
        let is_apart = APART.contains(&file.as_str());
        assert_eq!(listed.lines().any(|at| at.trim() == line), !is_apart, "{file} in the kustomization");
    }
}

#[test]
fn the_pod_runs_as_nobody_on_a_file_system_that_is_read_only_without_a_shell() {
    let documents = documents();
    let set = of_kind(&documents, "StatefulSet")[0];
    let pod = &set["spec"]["template"]["spec"];
    assert_eq!(pod["containers"].as_array().unwrap().len(), 1);
    let container = &pod["containers"][0];
    for (place, expected) in [
        ("/securityContext/runAsNonRoot", json!(true)),
        ("/securityContext/runAsUser", json!(65532)),
        ("/securityContext/fsGroup", json!(65532)),
        ("/securityContext/fsGroupChangePolicy", json!("OnRootMismatch")),
        ("/securityContext/seccompProfile/type", json!("RuntimeDefault")),
        ("/automountServiceAccountToken", json!(false)),
        ("/enableServiceLinks", json!(false)),
    ] {
        assert_eq!(pod.pointer(place), Some(&expected), "{place}");
    }
    for absent in ["hostNetwork", "hostPID", "hostIPC"] {
        assert_eq!(pod[absent], Json::Null, "{absent}");
    }
    assert_eq!(
        container["securityContext"],
        json!({"allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "runAsNonRoot": true,
               "capabilities": {"drop": ["ALL"]}})
    );
    let writable: Vec<_> = container["volumeMounts"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|mount| mount["readOnly"] != true)
        .collect();
    assert_eq!(
        writable,
        [
            &json!({"name": "data", "mountPath": "/var/lib/usaged"}),
            &json!({"name": "backup", "mountPath": "/var/backups/usaged"}),
        ],
        "only the data and backups are written"
    );
    for secret in ["keys", "tls"] {
        let volumes = pod["volumes"].as_array().unwrap();
        let volume = volumes.iter().find(|volume| volume["name"] == secret).unwrap();
        assert_eq!(volume["secret"]["defaultMode"], 0o400, "{secret}");
    }
    // The user is the container's, and its commands are the program itself: there is no shell.
    let containerfile = std::fs::read_to_string(repository("deploy/container/Containerfile")).unwrap();
    assert!(containerfile.contains("\nUSER 65532:65532\n"));
    for probe in ["startupProbe", "livenessProbe", "readinessProbe"] {
        let command = container[probe]["exec"]["command"].as_array().unwrap();
        assert_eq!(command[0], "/usr/bin/usaged", "{probe}");
        let args: Vec<_> = command[1..].iter().map(|word| word.as_str().unwrap()).collect();
        let ended = usaged(args.iter().chain(&["--admin", "127.0.0.1:9"]));
        assert_eq!(ended.code, 4, "{probe}: nobody answers there, and the command is one: {}", ended.err);
    }
    let is_live =
        |probe: &str| container[probe]["exec"]["command"].as_array().unwrap().contains(&json!("--live"));
    assert!(is_live("livenessProbe") && is_live("startupProbe") && !is_live("readinessProbe"));
}

#[test]
fn the_end_of_a_pod_has_time_and_its_data_stays() {
    let documents = documents();
    let set = of_kind(&documents, "StatefulSet")[0];
    let pod = &set["spec"]["template"]["spec"];
    let pause = pod["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"].as_u64().unwrap();
    let grace = Settings::default().shutdown.grace.0.as_secs();
    let period = pod["terminationGracePeriodSeconds"].as_u64().unwrap();
    assert!(period >= pause + grace + 10, "{period} s, of which {pause} s of pause and {grace} s of grace");
    assert_eq!(
        set["spec"]["persistentVolumeClaimRetentionPolicy"],
        json!({"whenDeleted": "Retain", "whenScaled": "Retain"})
    );
    let claim = &set["spec"]["volumeClaimTemplates"][0];
    assert_eq!(claim["metadata"]["name"], "data");
    let storage = claim["spec"]["resources"]["requests"]["storage"].as_str().unwrap();
    let gib: u64 = storage.strip_suffix("Gi").unwrap().parse().unwrap();
    let store = Settings::default().store;
    let needed = store.retention_bytes.0 / 8 * 9 + store.reserve_bytes.0 + (64 << 20);
    assert!(gib << 30 >= needed, "{storage} is less than what the configuration may take: {needed} bytes");

    let budget = of_kind(&documents, "PodDisruptionBudget")[0];
    assert_eq!(budget["spec"]["maxUnavailable"], 1);
    let labels = &set["spec"]["template"]["metadata"]["labels"];
    assert_eq!(&budget["spec"]["selector"]["matchLabels"], labels);
    assert!(pod.pointer("/affinity/podAntiAffinity").is_some());
}

#[test]
fn the_network_lets_in_grpc_by_label_and_metrics_from_monitoring_and_nothing_out() {
    let documents = documents();
    let policy = &of_kind(&documents, "NetworkPolicy")[0]["spec"];
    assert_eq!(policy["policyTypes"], json!(["Ingress", "Egress"]));
    assert_eq!(policy["egress"], json!([]));
    let from = |label: &str, value: &str| json!([{"namespaceSelector": {"matchLabels": {label: value}}}]);
    let port = |port: u16| json!([{"port": port, "protocol": "TCP"}]);
    assert_eq!(
        policy["ingress"],
        json!([
            {"from": from("usaged-access", "grpc"), "ports": port(7171)},
            {"from": from("kubernetes.io/metadata.name", "monitoring"), "ports": port(7173)},
        ])
    );
    // The ports are the pod's, by name and number, and nothing else of it is open.
    let set = of_kind(&documents, "StatefulSet")[0];
    let container = &set["spec"]["template"]["spec"]["containers"][0];
    let open: BTreeSet<_> = container["ports"]
        .as_array()
        .unwrap()
        .iter()
        .map(|port| port["containerPort"].as_u64().unwrap())
        .collect();
    assert_eq!(open, BTreeSet::from([7171, 7173]));
    let args: Vec<_> =
        container["args"].as_array().unwrap().iter().map(|arg| arg.as_str().unwrap()).collect();
    assert!(args.contains(&"$(POD_IP):7171") && args.contains(&"metrics.listen=$(POD_IP):7173"), "{args:?}");
    let selector = &set["spec"]["selector"]["matchLabels"];
    let services = of_kind(&documents, "Service");
    assert_eq!(services.len(), 2);
    for service in &services {
        assert_eq!(&service["spec"]["selector"], selector);
    }
    assert!(services.iter().any(|service| service["spec"]["clusterIP"] == "None"
        && service["metadata"]["name"] == set["spec"]["serviceName"]));
    let client = services.iter().find(|service| service["spec"]["clusterIP"] == Json::Null).unwrap();
    assert_eq!(client["spec"]["ports"].as_array().unwrap().len(), 1, "clients see gRPC alone");
}

#[test]
fn the_program_takes_the_configuration_of_the_pod_and_not_without_its_identities() {
    let world = World::new();
    let file = |name: &str| std::fs::read_to_string(repository("deploy/kubernetes").join(name)).unwrap();
    world.put("pki/identities.toml", &file("identities.toml"));
    let mut text = file("usaged.toml");
    for (mounted, here) in [
        ("/etc/usaged/tls/tls.crt", "pki/server.pem"),
        ("/etc/usaged/tls/tls.key", "pki/server.key"),
        ("/etc/usaged/tls/ca.crt", "pki/ca.pem"),
        ("/etc/usaged/identities/identities.toml", "pki/identities.toml"),
    ] {
        assert!(text.contains(mounted), "{mounted} is where the pod has it");
        text = text.replace(mounted, &world.path(here).display().to_string());
    }
    let documents = documents();
    let set = of_kind(&documents, "StatefulSet")[0];
    let args = set["spec"]["template"]["spec"]["containers"][0]["args"].as_array().unwrap();
    let check = |text: &str| {
        world.put("usaged.toml", text);
        let config = world.path("usaged.toml").display().to_string();
        let args = args.iter().map(|arg| {
            let arg = arg.as_str().unwrap().replace("$(POD_IP)", "192.0.2.7");
            if arg == "/etc/usaged/usaged.toml" { config.clone() } else { arg }
        });
        usaged(args.chain(["--check".to_owned()]))
    };
    let taken = check(&text);
    assert_eq!(taken.code, 0, "{}", taken.err);
    let open = check(text.split("[identity]").next().unwrap());
    assert_eq!(open.code, 3, "without identities: {}{}", open.out, open.err);
    let plain = check(text.split("[tls]").next().unwrap());
    assert_eq!(plain.code, 3, "without TLS: {}{}", plain.out, plain.err);
}

#[test]
fn prometheus_has_the_job_that_the_rules_ask_for() {
    let documents = documents();
    let monitor = &of_kind(&documents, "ServiceMonitor")[0]["spec"];
    let label = monitor["jobLabel"].as_str().unwrap();
    let rules = std::fs::read_to_string(repository("deploy/prometheus/usaged.rules.yml")).unwrap();
    let asked: BTreeSet<&str> =
        rules.split("job=\"").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
    assert!(!asked.is_empty());
    let scraped = monitor["endpoints"][0]["port"].as_str().unwrap();
    let services = of_kind(&documents, "Service");
    let has_port = |service: &&&Json| {
        service["spec"]["ports"].as_array().unwrap().iter().any(|port| port["name"] == scraped)
    };
    for service in services.iter().filter(has_port) {
        let labels = &service["metadata"]["labels"];
        assert_eq!(BTreeSet::from([labels[label].as_str().unwrap()]), asked);
        for (name, value) in monitor["selector"]["matchLabels"].as_object().unwrap() {
            assert_eq!(&labels[name], value);
        }
    }
    assert_eq!(services.iter().filter(has_port).count(), 1, "each pod is scraped once");
}

#[test]
fn jobs_reach_the_volumes_of_the_collector_and_are_as_confined_as_it_is() {
    let documents = documents();
    let set = of_kind(&documents, "StatefulSet")[0];
    let name = set["metadata"]["name"].as_str().unwrap();
    let claims: BTreeSet<String> = set["spec"]["volumeClaimTemplates"]
        .as_array()
        .unwrap()
        .iter()
        .map(|claim| format!("{}-{name}-0", claim["metadata"]["name"].as_str().unwrap()))
        .collect();
    let of_set = &set["spec"]["template"]["spec"];
    let copy = &of_kind(&documents, "CronJob")[0]["spec"]["jobTemplate"]["spec"]["template"];
    let once = &of_kind(&documents, "Job")[0]["spec"]["template"];
    for template in [copy, once] {
        let pod = &template["spec"];
        assert_eq!(pod["automountServiceAccountToken"], false);
        for key in ["runAsNonRoot", "runAsUser", "runAsGroup", "seccompProfile"] {
            assert_eq!(pod["securityContext"][key], of_set["securityContext"][key], "{key}");
        }
        let container = &pod["containers"][0];
        assert_eq!(container["securityContext"], of_set["containers"][0]["securityContext"]);
        let volumes = pod["volumes"].as_array().unwrap();
        let named = volumes.iter().filter_map(|volume| volume.pointer("/persistentVolumeClaim/claimName"));
        let named: Vec<_> = named.map(|claim| claim.as_str().unwrap()).collect();
        assert!(!named.is_empty() && named.iter().all(|claim| claims.contains(*claim)), "{named:?}");
        // Neither is a collector: no service leads to it, and no disruption budget counts it.
        assert_eq!(template.pointer("/metadata/labels/app.kubernetes.io~1name"), None);
    }
    // What is copied away is read, without any key.
    let mounts = copy["spec"]["containers"][0]["volumeMounts"].as_array().unwrap();
    assert_eq!(mounts, &[json!({"name": "backup", "mountPath": "/backup", "readOnly": true})]);
    let on =
        "/affinity/podAffinity/requiredDuringSchedulingIgnoredDuringExecution/0/labelSelector/matchLabels";
    assert_eq!(
        copy["spec"].pointer(on),
        Some(&json!({"statefulset.kubernetes.io/pod-name": format!("{name}-0")}))
    );
    // The example is a command of the program.
    let args = once["spec"]["containers"][0]["args"].as_array().unwrap();
    let args: Vec<_> = args.iter().map(|arg| arg.as_str().unwrap()).collect();
    let ended = usaged(args.iter().copied());
    assert!(ended.code != 2 && ended.err.contains("/etc/usaged/keys/root"), "{}: {}", ended.code, ended.err);
}
