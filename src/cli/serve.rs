//! `usaged serve`: the daemon.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::exit::Failure;
use super::output::Output;
use crate::config::{self, Config, Override, Problem};
use crate::daemon::{self, DaemonError, Runner};

#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of its own on the command line")]
#[command(after_help = "\
Without any option it serves on 127.0.0.1:7171 (gRPC) and 127.0.0.1:7172 (/livez, /readyz,
/metrics), stores in ./usaged-data and decides by the policy that is inside the program. When it
is ready it writes one line to standard output:
  usaged ready grpc=127.0.0.1:7171 admin=127.0.0.1:7172
TERM or INT: what was accepted is finished, then it ends with 0. HUP: the policy, certificates,
identities and the rates of customers in the configuration are loaded again, as they are when their
files change.

Examples:
  usaged serve
  usaged serve --config /etc/usaged/usaged.toml
  usaged serve --data-dir /var/lib/usaged --policy-dir /etc/usaged/policy --set store.retention_bytes=50GiB
  usaged serve --check --config /etc/usaged/usaged.toml
  usaged serve --print-config > usaged.toml")]
pub(super) struct ServeArgs {
    /// The configuration file. `deploy/usaged.toml` is a complete sample.
    #[arg(long, value_name = "FILE", env = "USAGED_CONFIG")]
    config: Option<PathBuf>,
    /// The directory of the store.
    #[arg(long, value_name = "DIR")]
    data_dir: Option<String>,
    /// The gRPC address; a loopback address, port 0 takes a free port.
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
    /// The HTTP address of /livez, /readyz and /metrics.
    #[arg(long, value_name = "ADDRESS")]
    admin_listen: Option<String>,
    /// The directory of the policy, in place of the shipped one.
    #[arg(long, value_name = "DIR")]
    policy_dir: Option<String>,
    /// The file of the root key.
    #[arg(long, value_name = "FILE")]
    root_key_file: Option<String>,
    /// `text` or `json`.
    #[arg(long, value_name = "FORMAT")]
    log_format: Option<String>,
    /// `error`, `warn`, `info`, `debug` or `trace`.
    #[arg(long, value_name = "LEVEL")]
    log_level: Option<String>,
    /// Any key of the configuration, such as `store.segment_bytes=16MiB`. Can be given several times.
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = assignment)]
    sets: Vec<Override>,
    /// Start even though data that was acknowledged is missing: once, after reading what the refusal said.
    #[arg(long)]
    accept_data_loss: bool,
    /// Start even though the ledger does not add up: once, with a new one that begins with what is wrong. The old
    /// one is kept beside it.
    #[arg(long)]
    accept_ledger_break: bool,
    /// Check the configuration and the policy, and end: 0 if a start would go on, 3 with every mistake if not. Run by
    /// root, it judges files as for the user whom the data directory belongs to, and says so.
    #[arg(long)]
    check: bool,
    /// With `--check`: a group that the service manager gives the collector beside those of its user
    /// (`SupplementaryGroups=`), by its name or number. Can be given several times.
    #[arg(long, value_name = "GROUP", requires = "check")]
    supplementary_group: Vec<String>,
    /// Print the complete commented configuration with its defaults, and end.
    #[arg(long)]
    print_config: bool,
}

fn assignment(text: &str) -> Result<Override, String> {
    let (key, value) =
        text.split_once('=').ok_or("write it as KEY=VALUE, such as store.segment_bytes=16MiB")?;
    Ok(Override { flag: "--set".to_owned(), key: key.trim().to_owned(), value: value.trim().to_owned() })
}

impl ServeArgs {
    fn overrides(&self) -> Vec<Override> {
        let flags = [
            ("--data-dir", "data_dir", &self.data_dir),
            ("--listen", "grpc.listen", &self.listen),
            ("--admin-listen", "admin.listen", &self.admin_listen),
            ("--policy-dir", "policy_dir", &self.policy_dir),
            ("--root-key-file", "root_key_file", &self.root_key_file),
            ("--log-format", "log.format", &self.log_format),
            ("--log-level", "log.level", &self.log_level),
        ];
        let given = flags.into_iter().filter_map(|(flag, key, value)| {
            let value = value.clone()?;
            Some(Override { flag: flag.to_owned(), key: key.to_owned(), value })
        });
        let switches = [
            ("--accept-data-loss", "store.accept_data_loss", self.accept_data_loss),
            ("--accept-ledger-break", "ledger.accept_break", self.accept_ledger_break),
        ];
        let accept = switches.into_iter().filter(|(_, _, is_set)| *is_set).map(|(flag, key, _)| Override {
            flag: flag.to_owned(),
            key: key.to_owned(),
            value: "true".to_owned(),
        });
        self.sets.iter().cloned().chain(given).chain(accept).collect()
    }

    /// Whom a check is for.
    fn runner(&self, config: &Config) -> Result<Runner, Failure> {
        let groups = &self.supplementary_group;
        groups.iter().try_fold(Runner::of_start(&config.store.dir), |runner, group| {
            let unknown = || Failure::Usage(format!("there is no group {group} here; give its number"));
            runner.with_group(group).ok_or_else(unknown)
        })
    }

    pub fn run(&self, out: Output) -> Result<(), Failure> {
        if self.print_config {
            return out.line(config::sample().trim_end());
        }
        let config =
            config::load(self.config.as_deref(), &self.overrides()).map_err(|problems| refused(&problems))?;
        if self.check {
            let runner = self.runner(&config)?;
            return check(&config, &runner, out).map_err(|failure| judged_for(failure, &runner));
        }
        daemon::run(config).map_err(failure)
    }
}

fn refused(problems: &[Problem]) -> Failure {
    mistakes("refused to start, the configuration has mistakes:", problems)
}

/// What a check that found no mistake has to tell.
struct Good {
    policy_version: String,
    /// Keys that the user of the collector cannot read, and that belong to root.
    handed_over: Vec<PathBuf>,
}

fn check(config: &Config, runner: &Runner, out: Output) -> Result<(), Failure> {
    // Root reads everything; whether the collector could is seen with its user's rights.
    let as_runner = || {
        daemon::check_reach(config, runner).map_err(|problems| out_of_reach(&problems))?;
        let policy = daemon::read_policy(config.policy_dir.as_deref(), &config.ingest.level_caps, runner)
            .map_err(|problems| policy_refused(&problems))?;
        daemon::check_identities(config, runner).map_err(|problems| identities_refused(&problems))?;
        daemon::check_places(config, runner).map_err(failure)?;
        Ok((policy.version().to_owned(), daemon::keys_out_of_reach(config, runner)))
    };
    let (policy_version, keys) = runner.act(as_runner).map_err(|error| cannot_act(runner, &error))??;
    // Those may be handed over by the service manager, which reads them as root.
    daemon::check_keys(config, runner).map_err(failure)?;
    let handed_over = keys
        .into_iter()
        .map(|(path, error)| if daemon::is_handed_over(&path) { Ok(path) } else { Err(failure(error)) });
    let handed_over = handed_over.collect::<Result<_, _>>()?;
    tell(config, runner, &Good { policy_version, handed_over }, out)
}

fn tell(config: &Config, runner: &Runner, good: &Good, out: Output) -> Result<(), Failure> {
    let Good { policy_version, handed_over } = good;
    let dir = config.store.dir.display().to_string();
    if out.is_json() {
        let user = runner.user();
        return out.json(&json!({
            "ok": true, "policy_version": policy_version, "data_dir": dir, "user": user,
            "keys_to_hand_over": handed_over,
        }));
    }
    let by = runner.other().map(|user| format!(", for a collector of the user {user}")).unwrap_or_default();
    out.line(&format!("configuration and policy are good: policy {policy_version}, data in {dir}{by}"))?;
    for key in handed_over {
        let key = key.display();
        out.line(&format!(
            "{key} is for root only: good if the service manager hands it over (LoadCredential=), as the shipped unit does"
        ))?;
    }
    Ok(())
}

fn out_of_reach(problems: &[Problem]) -> Failure {
    mistakes("refused to start, the collector cannot read what it goes by:", problems)
}

fn cannot_act(runner: &Runner, error: &std::io::Error) -> Failure {
    let user = runner.other().unwrap_or_default();
    Failure::Failed(format!(
        "cannot look at files with the rights of the user {user}, whose data directory it is: {error}; run the check as that user"
    ))
}

/// Says for whom it was judged, if that is not who asked.
fn judged_for(failure: Failure, runner: &Runner) -> Failure {
    match (failure, runner.other()) {
        (Failure::Refused { what, problems }, Some(user)) => {
            let what =
                format!("checked for a collector of the user {user}, whose data directory it is: {what}");
            Failure::Refused { what, problems }
        }
        (failure, _) => failure,
    }
}

fn identities_refused(problems: &[Problem]) -> Failure {
    mistakes("refused to start, certificates or identities have mistakes:", problems)
}

fn mistakes(what: &str, problems: &[Problem]) -> Failure {
    let lines = problems.iter().map(ToString::to_string).collect();
    Failure::mistakes(what, lines, problems.iter().any(|problem| problem.is_of_the_system))
}

fn policy_refused(problems: &[crate::policy::Problem]) -> Failure {
    let lines = problems.iter().map(ToString::to_string).collect();
    let is_of_the_system = problems.iter().any(|problem| problem.is_of_the_system);
    Failure::mistakes("refused to start, the policy has mistakes:", lines, is_of_the_system)
}

/// What a daemon that did not start, or did not end well, means to the person who started it.
fn failure(error: DaemonError) -> Failure {
    let told = super::with_causes(&error);
    // Those two name each file themselves.
    let is_listed = matches!(error, DaemonError::Policy(_) | DaemonError::Identities(_));
    if error.is_of_the_system() && !is_listed {
        return Failure::Failed(told);
    }
    match error {
        DaemonError::Policy(problems) => policy_refused(&problems),
        DaemonError::Identities(problems) => identities_refused(&problems),
        DaemonError::Exposed(problems) => Failure::Refused {
            what: "refused to start, others can change what the collector goes by, or read what it keeps:"
                .to_owned(),
            problems: problems.iter().map(ToString::to_string).collect(),
        },
        DaemonError::RootKey(_) | DaemonError::LedgerKey(_) | DaemonError::NotLoopback(_) => {
            Failure::Refused { what: "refused to start:".to_owned(), problems: vec![told] }
        }
        DaemonError::Store(_) | DaemonError::Ledger(_) => Failure::Store(format!("refused to start: {told}")),
        DaemonError::Listen { .. }
        | DaemonError::Drain(_)
        | DaemonError::Amend(_)
        | DaemonError::Outbox(_)
        | DaemonError::Tokens(_)
        | DaemonError::LedgerFailed(_)
        | DaemonError::Metrics(_)
        | DaemonError::Runtime(_)
        | DaemonError::StoreFailed => Failure::Failed(told),
    }
}
