//! The help of every command, word for word: what a person reads is part of the product.

use crate::cli_run::usaged;

const COMMANDS: &[&str] = &[
    "",
    "serve",
    "status",
    "demo",
    "send",
    "drain",
    "load",
    "policy",
    "policy check",
    "policy explain",
    "policy diff",
    "policy publish",
    "participation",
    "participation set",
    "participation get",
    "participation list",
    "participation accept",
    "participation import",
    "participation history",
    "participation audit",
    "plan",
    "erase",
    "erase status",
    "erase list",
    "participation binding",
    "subscription",
    "subscription create",
    "subscription list",
    "subscription get",
    "subscription delete",
    "subscription seek",
    "subscription dead-letters",
    "subscription replay",
    "pseudonym",
    "keys",
    "keys status",
    "keys rotate-root",
    "keys bridge",
    "keys bridge create",
    "keys bridge list",
    "keys bridge erase",
    "token",
    "token issue",
    "token list",
    "token revoke",
    "ledger",
    "ledger verify",
    "ledger export",
    "ledger tail",
    "store",
    "store inspect",
    "store check",
    "store backup",
    "store personal",
    "store restore",
    "health",
];

#[test]
fn the_help_of_every_command_is_as_it_was_agreed() {
    let mut all = String::new();
    for command in COMMANDS {
        let ended = usaged(command.split_whitespace().chain(["--help"]));
        assert_eq!(ended.code, 0, "{command}: {}", ended.err);
        all.push_str(&format!("==== usaged {command}\n{}\n", ended.out.trim_end()));
    }
    insta::assert_snapshot!(all);
}

/// The commands that a help lists.
fn listed(help: &str) -> Vec<&str> {
    let lines =
        help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let names =
        lines.filter(|line| !line.starts_with("   ")).filter_map(|line| line.split_whitespace().next());
    names.filter(|name| *name != "help").collect()
}

#[test]
fn every_command_is_in_the_list() {
    for command in COMMANDS {
        let help = usaged(command.split_whitespace().chain(["--help"])).out;
        for name in listed(&help) {
            let whole = format!("{command} {name}");
            assert!(COMMANDS.contains(&whole.trim_start()), "{whole} is not tested");
        }
    }
    assert!(listed(&usaged(["--help"]).out).len() > 8, "the help lists commands");
}

#[test]
fn every_command_has_an_example_and_the_first_page_has_the_exit_codes() {
    for command in COMMANDS {
        let help = usaged(command.split_whitespace().chain(["--help"])).out;
        let group = command.split_whitespace().next().unwrap_or("");
        let of_group = usaged([group, "--help"].iter().filter(|word| !word.is_empty())).out;
        let example = format!("  usaged {command}");
        let shown = help.contains(example.trim_end()) || of_group.contains(example.trim_end());
        assert!(shown, "`usaged {command} --help` has no example");
    }
    let first = usaged(["--help"]).out;
    for code in 0..=8 {
        assert!(first.contains(&format!("\n  {code}  ")), "exit code {code} is not explained");
    }
}
