//! Tests: every mistake in a policy is refused, with its place and its remedy.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use super::sample::{Edit, edited};
use super::{PolicyFile, Problem, Severity, compile, compile_with, shipped};

const CEIP: &str = "programs/ceip.toml";
const VCENTER: &str = "products/vcenter.toml";
const STANDARD: &str = "name = \"standard\"";
const VM: &str = "[events.\"vm.inventory\".fields.vm]";
const VCPUS: &str = "[events.\"vm.inventory\".fields.vcpus]";
const TOOLS: &str = "[events.\"vm.inventory\".fields.tools_version]";
const SERIAL: &str = "[events.\"host.inventory\".fields.\"hardware.serial\"]";
const POWER: &str = "[events.\"vm.inventory\".fields.power_state]";
const OF_VM: &str = "events.\"vm.inventory\".fields.";

/// A mistake: file, the first place after which, old text, new text; then the key that is
/// named below [`OF_VM`] (or in full after `=`), and a part of what is said or of the remedy.
type Mistake = (&'static str, &'static str, &'static str, &'static str, &'static str, &'static str);

const MISTAKES: [Mistake; 37] = [
    (CEIP, STANDARD, "description", "desription", "=levels[0].desription", "did you mean `description`?"),
    (CEIP, STANDARD, "host_name = \"pseudonym\"", "", "=levels[0].treatments", "no treatment for host_name"),
    (
        CEIP,
        STANDARD,
        "host_name =",
        "hostname =",
        "=levels[0].treatments.hostname",
        "did you mean `host_name`?",
    ),
    (
        CEIP,
        STANDARD,
        "\"pseudonym\"",
        "\"pseudonim\"",
        "=levels[0].treatments.customer_id",
        "did you mean `pseudonym`?",
    ),
    (
        CEIP,
        STANDARD,
        "\"rotating\"",
        "\"spinning\"",
        "=levels[0].treatments.instance_id.epoch",
        "unknown epoch",
    ),
    (
        CEIP,
        STANDARD,
        "epoch = \"rotating\"",
        "to = \"ip_network\"",
        "=levels[0].treatments.instance_id.to",
        "unknown key",
    ),
    (
        CEIP,
        STANDARD,
        "ip_address = \"pseudonym\"",
        "ip_address = { treatment = \"generalise\", to = \"mac_vendor\" }",
        "=levels[0].treatments.ip_address.to",
        "ip_network",
    ),
    (
        CEIP,
        STANDARD,
        "host_name = \"pseudonym\"",
        "host_name = { treatment = \"generalise\", to = \"ip_network\" }",
        "=levels[0].treatments.host_name.to",
        "cannot be coarsened",
    ),
    (
        CEIP,
        STANDARD,
        "phone = \"drop\"",
        "phone = { treatment = \"generalise\", to = \"bucket\" }",
        "=levels[0].treatments.phone.to",
        "made of numbers",
    ),
    (
        CEIP,
        STANDARD,
        "host_name = \"pseudonym\"",
        "host_name = 1",
        "=levels[0].treatments.host_name",
        "a table",
    ),
    (
        CEIP,
        STANDARD,
        "customer_id = ",
        "not_identifying = \"drop\"\ncustomer_id = ",
        "=levels[0].treatments.not_identifying",
        "`bucket`",
    ),
    (
        CEIP,
        STANDARD,
        "customer_id = ",
        "customer_content = \"drop\"\ncustomer_id = ",
        "=levels[0].treatments.customer_content",
        "remove this line",
    ),
    (CEIP, STANDARD, "name = \"standard\"", "name = \"none\"", "=levels[0].name", "`none` is always there"),
    (CEIP, STANDARD, "name = \"standard\"", "name = \"enhanced\"", "=levels[1].name", "two levels"),
    (
        CEIP,
        STANDARD,
        "\"configuration\"",
        "\"configurations\"",
        "=levels[0].categories[0]",
        "did you mean `configuration`?",
    ),
    (CEIP, STANDARD, "purposes = [\"improve\"]", "purposes = []", "=levels[0].purposes", "the list is empty"),
    (CEIP, "name", "name = \"ceip\"", "name = \"cei\"", "=name", "name it `ceip`"),
    (
        CEIP,
        "[regions.eea.standard]",
        "standard]",
        "standrad]",
        "=regions.eea.standrad",
        "did you mean `standard`?",
    ),
    (
        CEIP,
        "[regions.eea.standard]",
        "[regions.eea.standard]",
        "[regions.uk-nations]\n[regions.eea.standard]",
        "=regions.uk-nations",
        "a-z, 0-9 and _",
    ),
    (
        VCENTER,
        VM,
        "program = \"ceip\"",
        "program = \"ciep\"",
        "=events.\"vm.power_on\".program",
        "did you mean `ceip`?",
    ),
    (VCENTER, VM, "type = \"string\"", "type = \"double\"", "vm.type", "cannot hold `object_name`"),
    (VCENTER, VM, "type = \"string\"", "type = \"text\"", "vm.type", "unknown type"),
    (
        VCENTER,
        VM,
        "class = \"object_name\"",
        "class = \"not_identifying\"",
        "vm",
        "either a vocabulary or a shape",
    ),
    (VCENTER, VM, "since = 1", "since = 3", "vm.since", "1 to 2"),
    (
        VCENTER,
        VM,
        "description = \"The name that an administrator gave it.\"",
        "",
        "vm.description",
        "missing",
    ),
    (VCENTER, VM, "example = \"payroll-db-02\"", "example = 7", "vm.example", "not of the field's type"),
    (VCENTER, VM, "category = \"configuration\"", "colour = 1", "vm.colour", "unknown key"),
    (VCENTER, VCPUS, "type = \"int\"", "type = \"bytes\"", "vcpus.type", "cannot hold `not_identifying`"),
    (VCENTER, VCPUS, "since = 1", "since = 1\nbucket = 0", "vcpus.bucket", "out of range"),
    (
        VCENTER,
        VCPUS,
        "since = 1",
        "since = 1\nshape = \"version\"",
        "vcpus.shape",
        "texts that identify nobody",
    ),
    (VCENTER, VCPUS, "since = 1", "since = 1\npseudonym = true", "vcpus.pseudonym", "only an identifier"),
    (VCENTER, TOOLS, "12.3.5", "twelve", "tools_version.example", "would not be kept"),
    (VCENTER, POWER, "\"off\"", "\"other\"", "power_state.vocabulary[1]", "`other` stands"),
    (
        VCENTER,
        SERIAL,
        "\"serial_number\"",
        "\"secret\"\nmax_length = 3",
        "=events.\"host.inventory\".fields.\"hardware.serial\".max_length",
        "a length bounds",
    ),
    (
        VCENTER,
        SERIAL,
        "hardware.serial\"",
        "hardware.serial.x[0]\"",
        "=events.\"host.inventory\".fields.\"hardware.serial.x[0]\"",
        "not a field path",
    ),
    (
        VCENTER,
        "[events.\"host.inventory\".fields.\"labels{key}\"]",
        "labels{key}",
        "label_names",
        "=events.\"host.inventory\".fields.\"labels{}\"",
        "`labels{key}` is not declared",
    ),
    (
        VCENTER,
        SERIAL,
        "hardware.serial\"",
        "hardware\"",
        "=events.\"host.inventory\".fields.hardware",
        "another path",
    ),
];

fn errors(files: &[PolicyFile]) -> Vec<Problem> {
    let problems = compile(files).map(|_| ()).unwrap_err();
    problems.into_iter().filter(|problem| problem.severity == Severity::Error).collect()
}

#[test]
fn every_mistake_is_refused_with_its_file_key_and_remedy() {
    for (path, after, old, new, key, said) in MISTAKES {
        let (files, line) = edited(shipped(), Edit { path, after, old, new });
        let key = key.strip_prefix('=').map_or_else(|| format!("{OF_VM}{key}"), str::to_owned);
        let errors = errors(&files);
        let named = errors.iter().any(|error| {
            let text = error.to_string();
            error.file == path && error.key == key && text.contains(said) && !error.remedy.is_empty()
        });
        assert!(named, "{old} -> {new} (line {line}): {errors:#?}");
    }
}

#[test]
fn a_mistake_is_told_with_its_line() {
    let mut elsewhere = Vec::new();
    for (path, after, old, new, key, _) in MISTAKES {
        let (files, line) = edited(shipped(), Edit { path, after, old, new });
        let full = key.strip_prefix('=').map_or_else(|| format!("{OF_VM}{key}"), str::to_owned);
        let error = errors(&files).into_iter().find(|error| error.key == full).unwrap();
        // A line that the edit puts before the old one is the edited line too.
        let added = new.lines().count().saturating_sub(1);
        if !(line..=line + added).contains(&error.line) {
            elsewhere.push((key, line.abs_diff(error.line)));
        }
    }
    // What is missing is told where its table begins, and what is not declared beside its counterpart.
    assert_eq!(
        elsewhere,
        [
            ("=levels[0].treatments", 7),
            ("=levels[1].name", 38),
            ("vm", 3),
            ("vm.description", 5),
            ("=events.\"host.inventory\".fields.\"labels{}\"", 9)
        ]
    );
}

#[test]
fn every_mistake_of_every_file_is_told_at_once() {
    let mut files = shipped();
    let mut wanted = Vec::new();
    // Edits that do not overlap, one of them a syntax error that hides the rest of its file only.
    let syntax =
        Edit { path: "products/horizon.toml", after: "name", old: "version = 2", new: "version = = 2" };
    files = edited(files, syntax).0;
    wanted.push(("products/horizon.toml".to_owned(), String::new()));
    for at in [1, 4, 14, 17, 20, 23, 28, 32] {
        let Some((path, after, old, new, key, _)) = MISTAKES.get(at).copied() else { continue };
        files = edited(files, Edit { path, after, old, new }).0;
        let key = key.strip_prefix('=').map_or_else(|| format!("{OF_VM}{key}"), str::to_owned);
        wanted.push((path.to_owned(), key));
    }
    files.push(PolicyFile { path: "notes.toml".to_owned(), text: String::new() });
    wanted.push(("notes.toml".to_owned(), String::new()));
    let errors = errors(&files);
    for (file, key) in wanted {
        assert!(errors.iter().any(|e| e.file == file && e.key == key), "{file} {key}: {errors:#?}");
    }
    let places: Vec<_> = errors.iter().map(|error| (error.file.clone(), error.line)).collect();
    assert!(places.is_sorted(), "{places:?}");
}

#[test]
fn a_region_is_in_every_program_or_in_none() {
    let old = "[regions.eea.standard]";
    let (files, _) =
        edited(shipped(), Edit { path: CEIP, after: old, old, new: "[regions.uk]\n[regions.eea.standard]" });
    let told: Vec<_> = errors(&files).iter().map(|e| (e.file.clone(), e.key.clone())).collect();
    assert_eq!(told, [("programs/operational.toml".to_owned(), "regions".to_owned())]);
}

#[test]
fn a_number_cannot_have_a_treatment_of_texts() {
    let operational = "programs/operational.toml";
    let edit = Edit {
        path: operational,
        after: "name",
        old: "customer_id = \"keep\"",
        new: "customer_id = \"vocabulary\"",
    };
    let errors = errors(&edited(shipped(), edit).0);
    let told: Vec<_> = errors.iter().map(|e| (e.file.as_str(), e.key.as_str())).collect();
    assert_eq!(told, [("products/horizon.toml", "events.\"licence.usage\".fields.customer.type")]);
}

#[test]
fn a_field_that_no_level_stores_is_told_and_allowed() {
    let edit = Edit { path: VCENTER, after: VM, old: "\"configuration\"", new: "\"operational\"" };
    let (files, line) = edited(shipped(), edit);
    let (_, notes) = compile(&files).unwrap();
    let note = notes.iter().find(|note| note.file == VCENTER).unwrap();
    assert_eq!(note.key, format!("{OF_VM}vm.category"));
    assert!(note.line.abs_diff(line) <= 3 && note.what.contains("no level of `ceip`"), "{note}");
}

#[test]
fn a_listed_value_that_holds_an_identifier_is_refused_by_its_place() {
    let edit = Edit {
        path: VCENTER,
        after: "fields.page]",
        old: "\"/ui/app/host/summary\"",
        new: "\"/ui/jane@example.com\"",
    };
    let (files, line) = edited(shipped(), edit);
    let listed = |value: &str| value.contains('@').then_some("email");
    assert!(compile(&files).is_ok(), "only who loads a policy asks the detectors");
    let problems = compile_with(&files, listed).map(|_| ()).unwrap_err();
    let [error] = problems.as_slice() else { panic!("{problems:#?}") };
    assert_eq!(error.key, "events.\"client.feature_used\".fields.page.vocabulary");
    assert!(error.line < line && error.what.starts_with("value 2 holds what is found as `email`"), "{error}");
    assert!(!error.to_string().contains("jane"), "{error}");
}

#[test]
fn nothing_is_no_policy() {
    let told: Vec<_> = errors(&[]).iter().map(ToString::to_string).collect();
    assert_eq!(told, ["programs/:1: the policy has no program; add programs/NAME.toml"]);
    let program = shipped().into_iter().filter(|file| file.path.starts_with("programs/")).collect::<Vec<_>>();
    let told: Vec<_> = errors(&program).iter().map(|e| e.file.clone()).collect();
    assert_eq!(told, ["products/"]);
    let mut twice = shipped();
    twice.extend(shipped().into_iter().take(1));
    assert!(errors(&twice).iter().any(|error| error.what.contains("twice")));
}

#[test]
fn the_version_changes_with_every_path_and_text_and_not_with_the_order() {
    let version = |files: &[PolicyFile]| compile(files).unwrap().0.version().to_owned();
    let first = version(&shipped());
    assert_eq!(first.len(), 16);
    assert!(first.bytes().all(|byte| byte.is_ascii_hexdigit()));
    let mut reversed = shipped();
    reversed.reverse();
    assert_eq!(version(&reversed), first);
    let mut changed = shipped();
    changed.last_mut().unwrap().text.push('\n');
    assert_ne!(version(&changed), first);
}
