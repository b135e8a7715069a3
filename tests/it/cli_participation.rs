//! What a person sees who changes a participation: every setting that changes, before and after.

use crate::cli_run::Collector;

/// The table of changes, or the line in its place: what comes last.
fn changes(out: &str) -> String {
    let lines: Vec<&str> = out.lines().collect();
    let begins =
        |line: &&str| line.contains("setting") && line.contains("before") || line.contains("no setting");
    let at = lines.iter().position(begins).unwrap_or_else(|| panic!("it shows what changes: {out}"));
    lines[at..].iter().map(|line| line.trim_end()).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_change_of_participation_shows_every_setting_before_and_after() {
    let dir = tempfile::tempdir().unwrap();
    let collector = Collector::start(dir.path(), &[]);
    let set = |args: &[&str]| {
        let all = [&["participation", "set", "acme", "--reason", "test"], args].concat();
        let ended = collector.client(&all, "");
        assert_eq!(ended.code, 0, "{}", ended.err);
        changes(&ended.out)
    };
    let begins = [
        ["--level", "ceip=enhanced"],
        ["--region", "eea"],
        ["--purpose-off", "improve"],
        ["--accept", "vcenter=1"],
    ];
    let lowered = [
        ["--level", "ceip=standard"],
        ["--product-level", "horizon:ceip=none"],
        ["--purpose-off", "recommend"],
        ["--delivery", "paused"],
        ["--accept", "vcenter=2"],
    ];
    let begun = set(begins.as_flattened());
    let again = set(&["--level", "ceip=enhanced"]);
    let changed = set(lowered.as_flattened());
    let anew = set(&["--anew", "--level", "operational=operational"]);
    insta::assert_snapshot!(format!(
        "a new customer\n{begun}\n\nthe same again\n{again}\n\nsettings that change\n{changed}\n\nanew\n{anew}"
    ));
    assert_eq!(collector.end(), 0);
}
