//! `usaged pseudonym`: which pseudonyms stand for a host name or another identifier of a customer, for the
//! administrator who asks which one is theirs.

use std::collections::{BTreeMap, BTreeSet};
use std::io::BufRead as _;

use clap::Args;
use serde_json::{Value as Json, json};

use super::connect::{KeyClient, Server, refused};
use super::exit::Failure;
use super::output::{Output, table};
use super::participation::who;
use crate::grpc::proto::admin::{
    ClassUse, LookUpPseudonymRequest, LookUpPseudonymResponse, Pseudonym, ValuePseudonyms,
};
use crate::model::{CustomerId, IdentifierClass};

/// Values of one request, and the bytes after which it is sent.
const VALUES: usize = 500;
const BYTES: usize = 64 * 1024;

#[derive(Debug, Args)]
#[command(after_help = "\
The values go to the collector, which neither stores nor logs them; that somebody looked is
recorded. They may be in any spelling: the canonical form is what has a pseudonym. With - they are
read from standard input, one a line, and so are in no list of processes.

Examples:
  usaged pseudonym --customer acme --class host_name esx01.example.com
  usaged pseudonym --customer acme --class mac_address - < addresses.txt
  usaged pseudonym --customer acme --class instance_id --epoch 688 --epoch 690 - < instances.txt
  usaged pseudonym --customer acme --class host_name --find p1-host_name-s-k3so1mg8k3vnoc8ltk788l7pok - < hosts.txt")]
pub(super) struct PseudonymArgs {
    /// The customer.
    #[arg(long)]
    customer: CustomerId,
    /// The identifier class, such as `host_name`, `ip_address` or `user_id`.
    #[arg(long)]
    class: IdentifierClass,
    /// The values, or - for standard input.
    #[arg(required = true, value_name = "VALUE")]
    values: Vec<String>,
    /// Only rotating pseudonyms of this key epoch; given twice, the two side by side.
    #[arg(long = "epoch", value_name = "EPOCH", conflicts_with = "find")]
    epochs: Vec<u32>,
    /// Tell which of the values has this pseudonym.
    #[arg(long, value_name = "PSEUDONYM")]
    find: Option<String>,
    /// Who asks; when not given, who you are on this machine.
    #[arg(long, env = "USAGED_BY", hide_env_values = true)]
    by: Option<String>,
    /// Why: a ticket, a request.
    #[arg(long, default_value = "", hide_default_value = true)]
    reason: String,
    #[command(flatten)]
    server: Server,
}

/// What was asked and answered.
struct Answer {
    values: Vec<(String, ValuePseudonyms)>,
    uses: Vec<ClassUse>,
    epoch: u32,
}

impl PseudonymArgs {
    pub async fn run(mut self, out: Output) -> Result<(), Failure> {
        let values = self.read_values()?;
        let mut keys = self.server.keys().await?;
        let answer = self.ask(&mut keys, values).await?;
        match &self.find {
            Some(token) => find(&answer, token.trim(), out),
            None if self.epochs.len() > 1 => join(&answer, &self.epochs, out),
            None => self.show(&answer, out),
        }
    }

    fn read_values(&mut self) -> Result<Vec<String>, Failure> {
        let given = std::mem::take(&mut self.values);
        if given.iter().all(|value| value != "-") {
            return Ok(given);
        }
        if given.len() > 1 {
            return Err(Failure::Usage("give values or - for standard input, not both".to_owned()));
        }
        let lines: Result<Vec<String>, _> = std::io::stdin().lock().lines().collect();
        let mut lines = lines.map_err(Failure::io("reading standard input"))?;
        lines.retain(|line| !line.trim().is_empty());
        if lines.is_empty() {
            return Err(Failure::Usage("there is no value on standard input".to_owned()));
        }
        Ok(lines)
    }

    async fn ask(&self, keys: &mut KeyClient, values: Vec<String>) -> Result<Answer, Failure> {
        let mut answer = Answer { values: Vec::with_capacity(values.len()), uses: Vec::new(), epoch: 0 };
        let mut rest = values.into_iter().peekable();
        while rest.peek().is_some() {
            let (mut some, mut bytes) = (Vec::new(), 0);
            while let Some(value) = rest.next_if(|value| some.is_empty() || bytes + value.len() < BYTES) {
                bytes += value.len();
                some.push(value);
                if some.len() >= VALUES {
                    break;
                }
            }
            let request = LookUpPseudonymRequest {
                customer: self.customer.to_string(),
                class: self.class.to_string(),
                values: some.clone(),
                requested_by: who(self.by.clone()),
                request_reason: self.reason.clone(),
            };
            let told = keys.look_up_pseudonym(request).await.map_err(|status| refused(&status))?;
            let LookUpPseudonymResponse { values, uses, epoch } = told.into_inner();
            answer.values.extend(some.into_iter().zip(values));
            (answer.uses, answer.epoch) = (uses, epoch);
        }
        Ok(answer)
    }

    fn wanted(&self, one: &Pseudonym) -> bool {
        self.epochs.is_empty() || (!one.stable && self.epochs.contains(&one.epoch))
    }

    fn show(&self, answer: &Answer, out: Output) -> Result<(), Failure> {
        if out.is_json() {
            let values = answer.values.iter().map(|(value, found)| {
                let all = found.pseudonyms.iter().filter(|one| self.wanted(one));
                let all: Vec<_> = all.map(|one| pseudonym_json(one, answer)).collect();
                let word = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
                let (known, problem) = (word(&found.known_word), word(&found.problem));
                json!({ "value": value, "pseudonyms": all, "known_word": known, "problem": problem })
            });
            let values: Vec<_> = values.collect();
            let uses: Vec<_> = answer.uses.iter().map(use_json).collect();
            out.json(&json!({
                "customer": self.customer, "class": self.class, "epoch": answer.epoch, "values": values, "uses": uses,
            }))?;
            return malformed(answer);
        }
        let mut shown = table(&["value", "program", "epoch", "pseudonym", "in use"]);
        for (value, found) in &answer.values {
            if !found.known_word.is_empty() {
                shown.add_row([value, "", "", &found.known_word, "identifies nobody: this word is stored"]);
            }
            for one in found.pseudonyms.iter().filter(|one| self.wanted(one)) {
                let used = if in_use(one, answer) { "yes" } else { "" };
                shown.add_row([value, &one.program, &epoch_text(one, answer.epoch), &one.text, used]);
            }
        }
        out.table(&shown)?;
        out.line("")?;
        out.table(&uses_table(answer, self.class))?;
        malformed(answer)
    }
}

fn epoch_text(one: &Pseudonym, present: u32) -> String {
    match (one.stable, one.bridged) {
        (true, _) => "stable".to_owned(),
        (false, true) => format!("{} (bridge)", one.epoch),
        (false, false) if one.epoch == present => format!("{} (now)", one.epoch),
        (false, false) => one.epoch.to_string(),
    }
}

/// Whether the customer's level stores this pseudonym now.
fn in_use(one: &Pseudonym, answer: &Answer) -> bool {
    let word = if one.stable { "stable" } else { "rotating" };
    let uses = answer.uses.iter().filter(|of| of.program == one.program);
    (one.stable || one.epoch == answer.epoch) && uses.flat_map(|of| &of.treatments).any(|used| used == word)
}

fn pseudonym_json(one: &Pseudonym, answer: &Answer) -> Json {
    json!({
        "program": one.program,
        "pseudonym": one.text,
        "epoch": (!one.stable).then_some(one.epoch),
        "bridged": one.bridged,
        "in_use": in_use(one, answer),
    })
}

fn use_json(of: &ClassUse) -> Json {
    json!({ "program": of.program, "product": of.product, "level": of.level, "treatments": of.treatments })
}

/// What the customer's levels do with the class, products that do the same together.
fn uses_table(answer: &Answer, class: IdentifierClass) -> comfy_table::Table {
    let mut shown = table(&["program", "level", &format!("{class} is stored as"), "products"]);
    let mut rows: BTreeMap<(&str, &str, String), Vec<&str>> = BTreeMap::new();
    for of in &answer.uses {
        let how =
            if of.treatments.is_empty() { "no such field".to_owned() } else { of.treatments.join(", ") };
        rows.entry((&of.program, &of.level, how)).or_default().push(&of.product);
    }
    for ((program, level, how), products) in rows {
        shown.add_row([program, level, &how, &products.join(", ")]);
    }
    shown
}

/// The pseudonyms of two or more epochs side by side.
fn join(answer: &Answer, epochs: &[u32], out: Output) -> Result<(), Failure> {
    let mut rows: Vec<(&str, &str, Vec<&str>)> = Vec::new();
    let mut missing: BTreeSet<u32> = epochs.iter().copied().collect();
    for (value, found) in &answer.values {
        let programs: BTreeSet<_> = found.pseudonyms.iter().map(|one| one.program.as_str()).collect();
        for program in programs {
            let of = |epoch: &u32| {
                let mut all = found.pseudonyms.iter().filter(|one| one.program == program && !one.stable);
                all.find(|one| one.epoch == *epoch).map(|one| one.text.as_str())
            };
            missing.retain(|epoch| of(epoch).is_none());
            rows.push((value, program, epochs.iter().map(|epoch| of(epoch).unwrap_or_default()).collect()));
        }
    }
    if let Some(epoch) = missing.first().filter(|_| !rows.is_empty()) {
        return Err(Failure::Server {
            reason: "EPOCH_GONE".to_owned(),
            message: format!(
                "there are no keys of epoch {epoch}; `usaged keys status` tells which there are"
            ),
        });
    }
    if out.is_json() {
        let rows = rows.iter().map(|(value, program, tokens)| {
            let tokens: BTreeMap<_, _> = epochs.iter().map(u32::to_string).zip(tokens).collect();
            json!({ "value": value, "program": program, "pseudonyms": tokens })
        });
        out.json(&json!({ "join": rows.collect::<Vec<_>>() }))?;
        return malformed(answer);
    }
    let head = ["value", "program"]
        .map(str::to_owned)
        .into_iter()
        .chain(epochs.iter().map(|e| format!("epoch {e}")));
    let mut shown = table(&head.collect::<Vec<_>>());
    for (value, program, tokens) in &rows {
        shown.add_row([value, program].into_iter().chain(tokens));
    }
    out.table(&shown)?;
    malformed(answer)
}

/// Which of the values has a pseudonym.
fn find(answer: &Answer, token: &str, out: Output) -> Result<(), Failure> {
    let found = answer.values.iter().find_map(|(value, found)| {
        let one = found.pseudonyms.iter().find(|one| one.text.eq_ignore_ascii_case(token))?;
        Some((value, one))
    });
    if out.is_json() {
        let (value, one) = found.unzip();
        out.json(&json!({ "value": value, "pseudonym": one.map(|one| pseudonym_json(one, answer)) }))?;
    } else if let Some((value, one)) = found {
        out.line(&format!("{value}\t{}\t{}", one.program, epoch_text(one, answer.epoch)))?;
    }
    match found {
        Some(_) => malformed(answer),
        None => Err(Failure::Server {
            reason: "NOT_AMONG_THEM".to_owned(),
            message:
                "none of the values has this pseudonym, in no program and no epoch that there are keys of"
                    .to_owned(),
        }),
    }
}

/// Values that are not of the form of their class are named, by their place and the form.
fn malformed(answer: &Answer) -> Result<(), Failure> {
    let wrong = answer.values.iter().enumerate().filter(|(_, (_, found))| !found.problem.is_empty());
    let lines: Vec<_> =
        wrong.map(|(at, (_, found))| format!("value {}: the form is {}", at + 1, found.problem)).collect();
    if lines.is_empty() {
        return Ok(());
    }
    let what =
        format!("{} of {} values are not of the form of their class", lines.len(), answer.values.len());
    Err(Failure::Partly(format!("{what}, so nothing of them is ever stored\n{}", lines.join("\n"))))
}
