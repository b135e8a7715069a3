//! Notices as a person and a program read them: once in a run, whether or not they are acknowledged.

use std::collections::BTreeSet;

use serde_json::{Value as Json, json};

use super::sink::Sink;
use crate::cli::batch_text::time_text;
use crate::cli::exit::{Failure, say};
use crate::cli::output::Output;
use crate::grpc::client::Timestamp;
use crate::grpc::proto::drain::notice::Scope;
use crate::grpc::proto::drain::{AcknowledgeResponse, Notice};

/// Texts that are shown of a list; --json has all of them.
const TEXTS: usize = 12;

/// The notices of a run.
#[derive(Debug, Default)]
pub(super) struct Notices {
    shown: BTreeSet<String>,
    done: BTreeSet<String>,
}

impl Notices {
    /// Shows those that were not shown before. Gives their names.
    pub fn show(
        &mut self,
        notices: Vec<Notice>,
        sink: &mut Sink,
        out: Output,
    ) -> Result<Vec<String>, Failure> {
        let mut new = Vec::new();
        for notice in notices {
            if !self.shown.insert(notice.ack_id.clone()) {
                continue;
            }
            if out.is_json() {
                sink.write(&json!({ "notice": as_json(&notice) }))?;
            } else {
                say(&as_text(&notice));
            }
            new.push(notice.ack_id);
        }
        if !new.is_empty() {
            sink.flush()?;
        }
        Ok(new)
    }

    /// Takes note that `asked` were to be acknowledged. Gives how many were.
    pub fn acknowledged(&mut self, asked: &[String], answer: &AcknowledgeResponse) -> u64 {
        let failed: BTreeSet<&str> = answer.failures.iter().map(|failure| failure.ack_id.as_str()).collect();
        let done = asked.iter().filter(|id| !failed.contains(id.as_str()));
        let before = self.done.len();
        self.done.extend(done.cloned());
        u64::try_from(self.done.len() - before).unwrap_or(u64::MAX)
    }

    /// How many were shown.
    pub fn shown(&self) -> usize {
        self.shown.len()
    }

    /// How many were acknowledged.
    pub fn done(&self) -> usize {
        self.done.len()
    }

    /// Whether some were shown and not acknowledged.
    pub fn are_waiting(&self) -> bool {
        self.shown.len() > self.done.len()
    }

    /// Says what is left to do.
    pub fn sum_up(&self) {
        let left = self.shown.len() - self.done.len();
        if left > 0 {
            let wait = if left == 1 { "1 notice waits".to_owned() } else { format!("{left} notices wait") };
            say(&format!(
                "{wait}: delete what is named there, then acknowledge with --notices --ack-notices"
            ));
        } else if !self.done.is_empty() {
            let notices = if self.done.len() == 1 { "notice" } else { "notices" };
            say(&format!("{} {notices} acknowledged", self.done.len()));
        }
    }
}

/// The word for a scope.
const fn word(scope: Scope) -> &'static str {
    match scope {
        Scope::Unspecified => "unspecified",
        Scope::Customer => "customer",
        Scope::Instance => "instance",
        Scope::Identifier => "identifier",
        Scope::Times => "times",
        Scope::Everything => "everything",
    }
}

fn time(time: Option<&Timestamp>) -> String {
    time.map_or_else(String::new, time_text)
}

fn as_json(notice: &Notice) -> Json {
    let mut json = json!({
        "ack_id": notice.ack_id,
        "erasure_id": notice.erasure_id,
        "scope": word(notice.scope()),
        "customers": notice.customers,
        "tokens": notice.tokens,
        "request_time": time(notice.request_time.as_ref()),
    });
    if let Some(json) = json.as_object_mut() {
        if matches!(notice.scope(), Scope::Instance | Scope::Identifier) {
            json.insert("pseudonyms_only".to_owned(), notice.pseudonyms_only.into());
        }
        let more = [
            ("class", notice.class.clone()),
            ("from", time(notice.from.as_ref())),
            ("until", time(notice.until.as_ref())),
        ];
        json.extend(
            more.into_iter().filter(|(_, text)| !text.is_empty()).map(|(k, v)| (k.to_owned(), v.into())),
        );
    }
    json
}

fn list(texts: &[String]) -> String {
    let listed = texts.iter().take(TEXTS).cloned().collect::<Vec<_>>().join(", ");
    match texts.len().saturating_sub(TEXTS) {
        0 => listed,
        more => format!("{listed} and {more} more (see --json)"),
    }
}

fn as_text(notice: &Notice) -> String {
    let asked = time(notice.request_time.as_ref());
    let what = match notice.scope() {
        Scope::Instance => format!("every event of the installation {}", list(&notice.tokens)),
        Scope::Identifier => format!("every event with the {} {}", notice.class, list(&notice.tokens)),
        Scope::Times => {
            format!("every event from {} until {}", time(notice.from.as_ref()), time(notice.until.as_ref()))
        }
        Scope::Everything => format!("everything that this subscription has received until {asked}"),
        Scope::Unspecified | Scope::Customer => "every event".to_owned(),
    };
    let of_whom = match list(&notice.customers) {
        names if names.is_empty() => String::new(),
        names => format!(", of the customer {names}"),
    };
    // Whoever was given the value itself under another policy has to ask for it.
    let by_what = if notice.pseudonyms_only { " (named by pseudonyms only)" } else { "" };
    format!("notice: delete {what}{by_what}{of_whom} (erasure {}, asked for {asked})", notice.erasure_id)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notice(scope: Scope) -> Notice {
        Notice {
            ack_id: "n-1".into(),
            erasure_id: "e".into(),
            scope: scope.into(),
            customers: vec!["acme".into()],
            request_time: Some(Timestamp { seconds: 60, nanos: 0 }),
            ..Notice::default()
        }
    }

    #[test]
    fn a_notice_says_what_to_delete() {
        let tokens: Vec<String> = (0..14).map(|n| format!("t{n}")).collect();
        let identifier = Notice { tokens, class: "host_name".into(), ..notice(Scope::Identifier) };
        let text = as_text(&identifier);
        assert!(text.starts_with("notice: delete every event with the host_name t0, t1,"), "{text}");
        assert!(text.ends_with(
            "and 2 more (see --json), of the customer acme (erasure e, asked for 1970-01-01T00:01:00Z)"
        ));
        let times = Notice {
            from: Some(Timestamp::default()),
            until: Some(Timestamp::default()),
            ..notice(Scope::Times)
        };
        assert!(
            as_text(&times).contains("from 1970-01-01T00:00:00Z until 1970-01-01T00:00:00Z, of the customer")
        );
        assert!(as_text(&notice(Scope::Customer)).contains("delete every event, of the customer acme"));
        let everything = Notice { customers: vec![], ..notice(Scope::Everything) };
        assert!(as_text(&everything).contains("received until 1970-01-01T00:01:00Z (erasure"));
        assert_eq!(as_json(&times).get("from"), Some(&json!("1970-01-01T00:00:00Z")));
        let unnamed = Notice { pseudonyms_only: true, ..identifier.clone() };
        assert!(as_text(&unnamed).contains("more (see --json) (named by pseudonyms only), of the customer"));
        assert_eq!(as_json(&unnamed).get("pseudonyms_only"), Some(&json!(true)));
        assert_eq!(as_json(&identifier).get("tokens").and_then(Json::as_array).map(Vec::len), Some(14));
        assert!(as_json(&everything).get("class").is_none());
    }
}
