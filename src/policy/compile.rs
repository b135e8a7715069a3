//! From the texts of a policy directory to a policy that is proved, or to everything that is wrong with it.

use std::collections::BTreeSet;

use sha2::{Digest, Sha256};

use super::compiled::Policy;
use super::dictionary::Field;
use super::field_type::type_word;
use super::nearest::remedy;
use super::pair::note_for_nobody;
use super::problem::{Place, Problem, Problems};
use super::product_file::{self, EventDraft, ProductDraft};
use super::program::{Level, Program};
use super::program_file::{self, ProgramDraft, RegionDraft};
use super::rule_entry::Rules;
use super::treatment::{Rule, Treatment};
use super::{Kind, proof};
use crate::model::{IdentifierClass, Purposes, RegionName, limits};

/// A file of a policy directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyFile {
    /// Its path relative to the directory, with `/`, such as `programs/ceip.toml`.
    pub path: String,
    /// Its text.
    pub text: String,
}

/// Regions of one policy.
const REGIONS: usize = 16;
/// Products of one policy.
const PRODUCTS: usize = 1_024;

/// Compiles and proves a policy. The notes that come with it are worth showing and harm nothing.
///
/// # Errors
/// Everything that is wrong with it and every note, by file and line.
pub fn compile(files: &[PolicyFile]) -> Result<(Policy, Vec<Problem>), Vec<Problem>> {
    compile_with(files, |_| None)
}

/// [`compile`], asking `listed` what a value of a vocabulary holds that redaction is there to take out: a listed
/// value is kept as it is. Whoever loads a policy that others wrote asks the detectors, which this room does not
/// know.
///
/// # Errors
/// Everything that is wrong with it and every note, by file and line.
pub fn compile_with(
    files: &[PolicyFile],
    listed: impl Fn(&str) -> Option<&'static str>,
) -> Result<(Policy, Vec<Problem>), Vec<Problem>> {
    let mut problems = Problems::default();
    let drafts = Drafts::read(files, &mut problems);
    drafts.check_sizes(&mut problems);
    let regions = drafts.regions(&mut problems);
    for program in &drafts.programs {
        proof::prove(program, &mut problems);
    }
    for event in drafts.products.iter().flat_map(|product| &product.events) {
        drafts.check_event(event, &mut problems);
        for (field, place) in &event.fields {
            check_listed(field, place, &listed, &mut problems);
        }
    }
    let notes = problems.into_notes()?;
    let programs: Vec<Program> = drafts.programs.into_iter().map(|draft| program(draft, &regions)).collect();
    let at = |name: &str| programs.iter().position(|program| program.name.as_str() == name);
    let products = drafts.products.into_iter().map(|draft| draft.into_product(at)).collect();
    let mut sorted = files.to_vec();
    sorted.sort_by(|a, b| a.path.cmp(&b.path));
    match Policy::new((version(files), sorted), programs, products, regions) {
        Some(policy) => Ok((policy, notes)),
        None => Err(notes),
    }
}

/// A digest of the files: 16 hexadecimal digits that change with every change of a path or a text.
fn version(files: &[PolicyFile]) -> String {
    let mut files: Vec<_> = files.iter().map(|file| (file.path.as_str(), file.text.as_str())).collect();
    files.sort_unstable();
    let mut digest = Sha256::new();
    for part in files.into_iter().flat_map(|(path, text)| [path, text]) {
        // The length before each part, so that no two sets of files give the same bytes.
        digest.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        digest.update(part);
    }
    let mut hex = data_encoding::HEXLOWER.encode(&digest.finalize());
    hex.truncate(16);
    hex
}

/// What the files say, as far as it could be read.
struct Drafts {
    programs: Vec<ProgramDraft>,
    products: Vec<ProductDraft>,
    /// The programs that have a file, readable or not: naming one of them is no mistake of the namer.
    program_names: Vec<String>,
}

impl Drafts {
    fn read(files: &[PolicyFile], problems: &mut Problems) -> Self {
        let mut drafts = Self { programs: Vec::new(), products: Vec::new(), program_names: Vec::new() };
        let mut files: Vec<&PolicyFile> = files.iter().collect();
        files.sort_by(|a, b| a.path.cmp(&b.path));
        let mut before = None;
        for file in files {
            let PolicyFile { path, text } = file;
            if before.replace(path) == Some(path) {
                problems.error(&Place::file(path), "the file is given twice", "give it once");
            } else if let Some(stem) = stem(path, "programs/") {
                drafts.program_names.push(stem.to_owned());
                drafts.programs.extend(program_file::read(path, stem, text, problems));
            } else if let Some(stem) = stem(path, "products/") {
                drafts.products.extend(product_file::read(path, stem, text, problems));
            } else {
                let remedy = "put it into programs/ or products/ as NAME.toml, or remove it";
                problems.error(&Place::file(path), "this is no place for a policy file", remedy);
            }
        }
        drafts
    }

    fn check_sizes(&self, problems: &mut Problems) {
        let programs = self.program_names.len();
        let place = |path: &str| Place { file: path.to_owned(), line: 1, key: String::new() };
        if programs == 0 {
            problems.error(&place("programs/"), "the policy has no program", "add programs/NAME.toml");
        }
        if programs > limits::PROGRAMS {
            let remedy = format!("keep at most {}", limits::PROGRAMS);
            problems.error(&place("programs/"), "the policy has too many programs", remedy);
        }
        if self.products.is_empty() && problems.count() == 0 {
            problems.error(&place("products/"), "the policy has no product", "add products/NAME.toml");
        }
        if self.products.len() > PRODUCTS {
            let remedy = format!("keep at most {PRODUCTS}");
            problems.error(&place("products/"), "the policy has too many products", remedy);
        }
    }

    /// The regions of all programs. Each program has to say something of each, were it nothing:
    /// an overlay that was forgotten must not look like one that is empty.
    fn regions(&self, problems: &mut Problems) -> Vec<RegionName> {
        let all: BTreeSet<&RegionName> =
            self.programs.iter().flat_map(|program| program.regions.keys()).collect();
        for program in &self.programs {
            let file = format!("programs/{}.toml", program.name);
            for region in all.iter().filter(|region| !program.regions.contains_key(**region)) {
                let place = Place::file(&file).below("regions");
                let what = format!("another program has the region `{region}`, and this one does not");
                problems.error(&place, what, format!("add [regions.{region}]; it may be empty"));
            }
        }
        if all.len() > REGIONS {
            let remedy = format!("keep at most {REGIONS}");
            problems.error(&Place::file("programs/"), "the policy has too many regions", remedy);
        }
        all.into_iter().cloned().collect()
    }

    fn check_event(&self, event: &EventDraft, problems: &mut Problems) {
        let name = event.program.as_str();
        if !self.program_names.iter().any(|known| known == name) {
            let remedy = remedy(name, self.program_names.iter().map(String::as_str));
            problems.error(&event.program_place, format!("there is no program `{name}`"), remedy);
        }
        let Some(program) = self.programs.iter().find(|program| program.name == event.program) else {
            return;
        };
        note_for_nobody(&event.fields, problems);
        for (field, place) in &event.fields {
            check_text_treatments(program, field, place, problems);
            note_never_stored(program, field, place, problems);
        }
    }
}

/// The name in `PREFIX` NAME `.toml`.
fn stem<'p>(path: &'p str, prefix: &str) -> Option<&'p str> {
    let stem = path.strip_prefix(prefix)?.strip_suffix(".toml")?;
    (!stem.is_empty() && !stem.contains('/')).then_some(stem)
}

/// Refuses a field that is no text and whose class some level treats as text.
fn check_text_treatments(program: &ProgramDraft, field: &Field, place: &Place, problems: &mut Problems) {
    if field.kind == Kind::Text {
        return;
    }
    let levels = program.levels.iter().map(|level| &level.rules);
    let overlays = program.regions.values().flat_map(|region: &RegionDraft| region.levels.values());
    let text_rule = levels.chain(overlays).find_map(|rules: &Rules| match rules.get(&field.class)?.rule {
        Rule::Always(treatment @ (Treatment::Vocabulary | Treatment::Redact { .. })) => Some(treatment),
        Rule::Always(
            Treatment::Drop | Treatment::Pseudonym(_) | Treatment::Generalise(_) | Treatment::Keep,
        )
        | Rule::PseudonymIfAsked(_) => None,
    });
    if let Some(treatment) = text_rule {
        let what = format!(
            "`{}` has `{}` for `{}`, which a `{}` cannot have",
            program.name,
            treatment.as_str(),
            field.class,
            type_word(field.kind)
        );
        problems.error(&place.below("type"), what, "write type = \"string\", or choose another treatment");
    }
}

/// Refuses a listed value that holds an identifier or a secret.
fn check_listed(
    field: &Field,
    place: &Place,
    listed: &impl Fn(&str) -> Option<&'static str>,
    problems: &mut Problems,
) {
    for (at, word) in field.vocabulary().iter().enumerate() {
        if let Some(what) = listed(word) {
            problems.error(
                &place.below("vocabulary"),
                format!(
                    "value {} holds what is found as `{what}`, and a listed value is kept as it is",
                    at + 1
                ),
                "remove it: what identifies somebody is not for a vocabulary",
            );
        }
    }
}

/// Tells of a field that no level of its program stores: allowed, and probably a mistake.
fn note_never_stored(program: &ProgramDraft, field: &Field, place: &Place, problems: &mut Problems) {
    if field.class.is_forbidden() || program.levels.is_empty() {
        return;
    }
    let with_category: Vec<_> =
        program.levels.iter().filter(|level| level.categories.contains(&field.category)).collect();
    let purposes = with_category.iter().fold(Purposes::NONE, |all, level| all.or(level.purposes));
    if with_category.is_empty() {
        let what = format!("no level of `{}` includes the category `{}`", program.name, field.category);
        problems.note(
            &place.below("category"),
            what,
            "nothing is stored of this field: correct it, or remove it",
        );
    } else if purposes.and(field.purposes).is_empty() {
        let what = format!("no level of `{}` allows a purpose of this field", program.name);
        problems.note(
            &place.below("purposes"),
            what,
            "nothing is stored of this field: correct it, or remove it",
        );
    }
}

fn program(draft: ProgramDraft, regions: &[RegionName]) -> Program {
    let ranks = draft.levels.len();
    let overlays = regions
        .iter()
        .map(|region| {
            let overlay = draft.regions.get(region);
            (0..ranks).map(|at| by_class(overlay.and_then(|overlay| overlay.levels.get(&at)))).collect()
        })
        .collect();
    let levels = draft
        .levels
        .into_iter()
        .map(|level| Level {
            rules: by_class(Some(&level.rules))
                .into_iter()
                .map(|rule| rule.unwrap_or(Rule::Always(Treatment::Drop)))
                .collect(),
            name: level.name,
            description: level.description,
            categories: level.categories,
            purposes: level.purposes,
        })
        .collect();
    Program { name: draft.name, description: draft.description, levels, overlays }
}

fn by_class(rules: Option<&Rules>) -> Vec<Option<Rule>> {
    IdentifierClass::ALL.iter().map(|class| Some(rules?.get(class)?.rule)).collect()
}
