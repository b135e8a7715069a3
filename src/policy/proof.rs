//! The proofs: a higher level reveals at least what a lower one does, an overlay reveals at most
//! what its level does, whatever has to be compared can be, and what is stored can be brought down. A policy that
//! breaks one is refused.

use super::problem::{Place, Problems};
use super::program_file::{LevelDraft, ProgramDraft, RegionDraft};
use super::rule_entry::PlacedRule;
use super::treatment::{Rule, Treatment};
use crate::model::{Category, IdentifierClass, Purpose};

/// Whether a field asks for a pseudonym: every proof holds for both.
const ASKED: [bool; 2] = [false, true];

/// Proves one program, or reports every step of the proof that fails.
pub(super) fn prove(program: &ProgramDraft, problems: &mut Problems) {
    for (lower, higher) in program.levels.iter().zip(program.levels.iter().skip(1)) {
        ladder(lower, higher, problems);
    }
    for (name, region) in &program.regions {
        overlay(program, name.as_str(), region, problems);
        if !region.mistaken {
            overlaid_ladder(program, name.as_str(), region, problems);
        }
    }
    for (at, (name, region)) in program.regions.iter().enumerate() {
        for (other_name, other) in program.regions.iter().skip(at + 1) {
            together(program, (name.as_str(), region), (other_name.as_str(), other), problems);
        }
    }
}

/// The two treatments of a comparison that failed, and how.
struct Broken {
    less: Treatment,
    more: Treatment,
    how: How,
}

/// How a comparison failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    /// What should reveal less reveals more.
    RevealsMore,
    /// The two have no order.
    NotComparable,
    /// They are in order, but the one cannot be made of what the other has stored.
    NotMadeOf,
}

impl Broken {
    /// `None` if `less` reveals at most what `more` does, and can be made of it, asked or not.
    fn find(less: Rule, more: Rule) -> Option<Self> {
        ASKED.into_iter().find_map(|asked| {
            let (less, more) = (less.resolve(asked), more.resolve(asked));
            let how = match less.reveals_at_most(more) {
                Some(true) if less.is_made_of(more) => return None,
                Some(true) => How::NotMadeOf,
                Some(false) => How::RevealsMore,
                None => How::NotComparable,
            };
            Some(Self { less, more, how })
        })
    }
}

/// Whether `less` reveals at most what `more` does, for fields that ask and for fields that do not.
fn holds(less: Rule, more: Rule) -> bool {
    Broken::find(less, more).is_none()
}

fn ladder(lower: &LevelDraft, higher: &LevelDraft, problems: &mut Problems) {
    let lost: Vec<&str> = lower
        .categories
        .iter()
        .filter(|category| !higher.categories.contains(category))
        .map(|category| Category::as_str(*category))
        .collect();
    include(&lost, "category", lower, higher, &higher.categories_place, problems);
    let lost: Vec<&str> = lower.purposes.without(higher.purposes).iter().map(Purpose::as_str).collect();
    include(&lost, "purpose", lower, higher, &higher.purposes_place, problems);
    for (class, rule) in &higher.rules {
        let Some(below) = lower.rules.get(class) else { continue };
        let Some(broken) = Broken::find(below.rule, rule.rule) else { continue };
        let (low, high) = (&lower.name, &higher.name);
        let (less, more) = (broken.less, broken.more);
        let (what, remedy) = match broken.how {
            How::RevealsMore => (
                format!("`{high}` has `{more}` and reveals less than `{low}`, which has `{less}`"),
                reveal_more(less),
            ),
            How::NotComparable => (
                format!("`{more}` of `{high}` cannot be compared with `{less}` of `{low}`"),
                reveal_more(less),
            ),
            How::NotMadeOf => (
                format!("`{high}` has `{more}` and `{low}` has `{less}`: {NOT_MADE_OF}"),
                format!("choose `{less}` for `{high}` too, or `vocabulary` or `drop` for `{low}`"),
            ),
        };
        problems.error(&rule.place, what, remedy);
    }
}

fn include(
    lost: &[&str],
    what: &str,
    lower: &LevelDraft,
    higher: &LevelDraft,
    place: &Place,
    problems: &mut Problems,
) {
    if !lost.is_empty() {
        let names = lost.join(", ");
        let what = format!("the {what} {names} of the lower level `{}` is missing", lower.name);
        problems.error(place, what, format!("add {names} to `{}`", higher.name));
    }
}

/// Why kept text is not brought down to redacted text.
const NOT_MADE_OF: &str = "text that is stored as it is cannot be redacted later as it would have been at once, so a \
                           lowered level could not bind it";

fn reveal_more(than: Treatment) -> String {
    format!(
        "choose a treatment that reveals at least what `{than}` does, or a stricter one for the lower level"
    )
}

fn overlay(program: &ProgramDraft, region: &str, draft: &RegionDraft, problems: &mut Problems) {
    for (at, rules) in &draft.levels {
        let Some(level) = program.levels.get(*at) else { continue };
        for (class, rule) in rules {
            let Some(base) = level.rules.get(class) else { continue };
            let Some(broken) = Broken::find(rule.rule, base.rule) else { continue };
            let (less, more, level) = (broken.less, broken.more, &level.name);
            let what = match broken.how {
                How::RevealsMore => {
                    format!("an overlay only tightens, and `{less}` reveals more than `{more}` of `{level}`")
                }
                How::NotComparable => {
                    format!("`{less}` of the region `{region}` cannot be compared with `{more}` of `{level}`")
                }
                How::NotMadeOf => {
                    format!("the region `{region}` has `{less}` and `{level}` has `{more}`: {NOT_MADE_OF}")
                }
            };
            problems.error(&rule.place, what, format!("choose `{more}`, `drop`, or something between them"));
        }
    }
}

/// What a region makes of a class at a level: its overlay, or else the level's own rule.
fn effective<'d>(
    program: &'d ProgramDraft,
    region: &'d RegionDraft,
    at: usize,
    class: IdentifierClass,
) -> Option<&'d PlacedRule> {
    region
        .levels
        .get(&at)
        .and_then(|rules| rules.get(&class))
        .or_else(|| program.levels.get(at)?.rules.get(&class))
}

/// The ladder has to hold inside a region too, so that what is stored can be brought down there.
fn overlaid_ladder(program: &ProgramDraft, region: &str, draft: &RegionDraft, problems: &mut Problems) {
    for (at, level) in program.levels.iter().enumerate().skip(1) {
        let below = at - 1;
        for class in level.rules.keys() {
            let overlaid =
                [below, at].iter().any(|at| draft.levels.get(at).is_some_and(|r| r.contains_key(class)));
            let (Some(low), Some(high)) =
                (effective(program, draft, below, *class), effective(program, draft, at, *class))
            else {
                continue;
            };
            if !overlaid || holds(low.rule, high.rule) {
                continue;
            }
            let lower = program.levels.get(below).map_or("", |level| level.name.as_str());
            let what = format!(
                "in the region `{region}`, `{}` does not reveal at least what `{lower}` does for `{class}`",
                level.name
            );
            problems.error(&high.place, what, format!("tighten `{class}` in [regions.{region}.{lower}] too"));
        }
    }
}

/// Two regions can apply at once, the customer's and the sender's: the stricter of the two has to exist.
fn together(
    program: &ProgramDraft,
    (name, region): (&str, &RegionDraft),
    (other_name, other): (&str, &RegionDraft),
    problems: &mut Problems,
) {
    for (at, rules) in &region.levels {
        for (class, rule) in rules {
            let Some(second) = other.levels.get(at).and_then(|rules| rules.get(class)) else { continue };
            let comparable = ASKED
                .into_iter()
                .all(|asked| rule.rule.resolve(asked).reveals_at_most(second.rule.resolve(asked)).is_some());
            if !comparable {
                let level = program.levels.get(*at).map_or("", |level| level.name.as_str());
                let what = format!(
                    "at `{level}`, `{class}` of the region `{other_name}` cannot be compared with that of \
                     `{name}`, and both can apply to one batch"
                );
                problems.error(
                    &second.place,
                    what,
                    "choose treatments of which one is the stricter, such as `drop`",
                );
            }
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::super::sample::{Edit, edited};
    use super::super::{Severity, compile, shipped};

    const CEIP: &str = "programs/ceip.toml";
    const STANDARD: &str = "name = \"standard\"";
    const ENHANCED: &str = "name = \"enhanced\"";

    /// An edit of the shipped policy that breaks a proof, the key that is named, and a part of what is said.
    type Broken = (&'static str, &'static str, &'static str, &'static str, &'static str);

    const BROKEN: [Broken; 17] = [
        // A higher level reveals at least what a lower one does.
        (
            ENHANCED,
            "host_name = \"pseudonym\"",
            "host_name = \"drop\"",
            "levels[1].treatments.host_name",
            "reveals less",
        ),
        (
            ENHANCED,
            "mac_address = \"pseudonym\"",
            "mac_address = { treatment = \"pseudonym\", epoch = \"rotating\" }",
            "levels[1].treatments.mac_address",
            "reveals less",
        ),
        (
            ENHANCED,
            "object_name = \"pseudonym\"",
            "object_name = \"redact\"",
            "levels[1].treatments.object_name",
            "cannot be compared",
        ),
        (ENHANCED, "url = \"redact\"", "url = \"drop\"", "levels[1].treatments.url", "reveals less"),
        (
            ENHANCED,
            "url = \"redact\"",
            "url = \"pseudonym\"",
            "levels[1].treatments.url",
            "cannot be compared",
        ),
        (
            ENHANCED,
            "customer_id = \"keep\"",
            "customer_id = \"pseudonym_if_asked\"",
            "levels[1].treatments.customer_id",
            "reveals less",
        ),
        (ENHANCED, "location_region", "location_country", "", ""),
        (
            ENHANCED,
            "categories = [\"configuration\", \"feature_usage\", \"performance\", \"product_log\"]",
            "categories = [\"configuration\", \"product_log\"]",
            "levels[1].categories",
            "feature_usage, performance",
        ),
        (
            ENHANCED,
            "purposes = [\"improve\", \"recommend\"]",
            "purposes = [\"recommend\"]",
            "levels[1].purposes",
            "improve",
        ),
        // What is stored can be brought down: kept text is not redacted later.
        (ENHANCED, "url = \"redact\"", "url = \"keep\"", "", ""),
        (
            STANDARD,
            "customer_id = \"pseudonym\"",
            "customer_id = \"redact\"",
            "levels[1].treatments.customer_id",
            "cannot be redacted later",
        ),
        (
            "[regions.eea.enhanced]",
            "phone = \"drop\"",
            "phone = \"drop\"\ncustomer_id = \"redact\"",
            "regions.eea.enhanced.customer_id",
            "cannot be redacted later",
        ),
        // An overlay only tightens.
        (
            "[regions.eea.standard]",
            "ip_address = \"drop\"",
            "ip_address = \"keep\"",
            "regions.eea.standard.ip_address",
            "only tightens",
        ),
        (
            "[regions.eea.enhanced]",
            "phone = \"drop\"",
            "phone = \"pseudonym\"",
            "regions.eea.enhanced.phone",
            "only tightens",
        ),
        (
            "[regions.eea.standard]",
            "location = { treatment = \"generalise\", to = \"location_country\" }",
            "location = \"vocabulary\"",
            "regions.eea.standard.location",
            "cannot be compared",
        ),
        // The ladder holds inside a region.
        (
            "[regions.eea.standard]",
            "mac_address = \"drop\"",
            "",
            "regions.eea.enhanced.mac_address",
            "in the region `eea`",
        ),
        // No file speaks of what is never stored.
        (
            STANDARD,
            "customer_id = \"pseudonym\"",
            "customer_id = \"pseudonym\"\nsecret = \"drop\"",
            "levels[0].treatments.secret",
            "dropped at every level",
        ),
    ];

    #[test]
    fn every_proof_refuses_what_breaks_it_and_names_the_key() {
        // covers: P2
        for (after, old, new, key, what) in BROKEN {
            let (files, _) = edited(shipped(), Edit { path: CEIP, after, old, new });
            match compile(&files) {
                Ok(_) => assert_eq!(key, "", "{old} -> {new} was not refused"),
                Err(problems) => {
                    let errors: Vec<_> =
                        problems.into_iter().filter(|problem| problem.severity == Severity::Error).collect();
                    let named = errors.iter().any(|error| {
                        error.file == CEIP
                            && error.key == key
                            && error.what.contains(what)
                            && !error.remedy.is_empty()
                    });
                    assert!(named, "{old} -> {new}: {errors:#?}");
                }
            }
        }
    }

    #[test]
    fn a_broken_proof_is_told_with_its_line() {
        let edit =
            Edit { path: CEIP, after: ENHANCED, old: "vm_id = \"pseudonym\"", new: "vm_id = \"drop\"" };
        let (files, line) = edited(shipped(), edit);
        let problems = compile(&files).map(|_| ()).unwrap_err();
        let told: Vec<_> =
            problems.iter().filter(|p| p.severity == Severity::Error).map(ToString::to_string).collect();
        assert_eq!(
            told,
            [format!(
                "programs/ceip.toml:{line}: levels[1].treatments.vm_id: `enhanced` has `drop` and reveals less than \
                 `standard`, which has `pseudonym, rotating`; choose a treatment that reveals at least what \
                 `pseudonym, rotating` does, or a stricter one for the lower level"
            )]
        );
    }

    #[test]
    fn two_regions_that_can_apply_together_have_to_be_comparable() {
        let path = "programs/operational.toml";
        let eea = "[regions.eea.operational]";
        let uk = "[regions.uk.operational]\ncustomer_id = \"vocabulary\"\n\n[regions.eea.operational]\ncustomer_id = \"pseudonym\"";
        let (files, line) = edited(shipped(), Edit { path, after: eea, old: eea, new: uk });
        let ceip = "[regions.eea.standard]";
        let both = "[regions.uk]\n\n[regions.eea.standard]";
        let (files, _) = edited(files, Edit { path: CEIP, after: ceip, old: ceip, new: both });
        let problems = compile(&files).map(|_| ()).unwrap_err();
        let told: Vec<_> = problems
            .iter()
            .filter(|p| p.severity == Severity::Error && p.file == path)
            .map(|p| (p.line, p.key.as_str()))
            .collect();
        assert_eq!(told, [(line + 1, "regions.uk.operational.customer_id")], "{problems:#?}");
    }
}
