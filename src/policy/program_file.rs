//! Reads `programs/<program>.toml` into a draft whose parts still know their place.

use std::collections::BTreeMap;

use super::compiled::REGION_JOINT;
use super::document::{self, Entry, Section, parse_id};
use super::nearest::remedy;
use super::problem::{Place, Problems};
use super::rule_entry::{self, Rules};
use crate::model::{Category, IdentifierClass, LevelName, ProgramName, Purpose, Purposes, RegionName};

/// Levels above `none` of one program.
const LEVELS: usize = 15;
/// Bytes of a region's name, so that the names of four that apply together still make one.
pub(super) const REGION_BYTES: usize = 15;

/// A program as its file says it, not proved yet.
#[derive(Debug)]
pub(super) struct ProgramDraft {
    pub(super) name: ProgramName,
    pub(super) description: String,
    pub(super) levels: Vec<LevelDraft>,
    pub(super) regions: BTreeMap<RegionName, RegionDraft>,
}

/// A level as its file says it.
#[derive(Debug)]
pub(super) struct LevelDraft {
    pub(super) name: LevelName,
    name_place: Place,
    pub(super) description: String,
    pub(super) categories: Vec<Category>,
    pub(super) categories_place: Place,
    pub(super) purposes: Purposes,
    pub(super) purposes_place: Place,
    pub(super) rules: Rules,
}

/// The overlay of a region as its file says it: rules by the position of the level.
#[derive(Debug, Default)]
pub(super) struct RegionDraft {
    /// Whether it names a level that does not exist: then what is missing elsewhere may be meant there.
    pub(super) mistaken: bool,
    pub(super) levels: BTreeMap<usize, Rules>,
}

/// Reads the file of the program `stem`.
pub(super) fn read(path: &str, stem: &str, text: &str, problems: &mut Problems) -> Option<ProgramDraft> {
    document::read(path, text, problems, |top, problems| {
        top.only(&["name", "description", "levels", "regions"], problems);
        let name = named_as_file(top, stem, problems);
        let description = top.prose("description", problems);
        let sections =
            top.require("levels", problems).map(|entry| entry.sections(problems)).unwrap_or_default();
        let levels: Vec<LevelDraft> =
            sections.iter().filter_map(|section| level(section, problems)).collect();
        ladder(top, &levels, sections.len(), problems);
        let regions = match top.get("regions") {
            Some(entry) => regions(&entry, &levels, problems),
            None => BTreeMap::new(),
        };
        Some(ProgramDraft { name: name?, description, levels, regions })
    })
}

/// The `name` of a file, which has to be that of the file.
pub(super) fn named_as_file<T>(top: &Section<'_, '_>, stem: &str, problems: &mut Problems) -> Option<T>
where
    T: std::str::FromStr<Err = crate::model::InvalidId> + PartialEq,
{
    let entry = top.require("name", problems)?;
    let name: T = entry.id(problems)?;
    if entry.as_text() != Some(stem) {
        let remedy = format!("name it `{stem}`, or rename the file");
        problems.error(&entry.place, "the name is not that of the file", remedy);
    }
    Some(name)
}

fn level(section: &Section<'_, '_>, problems: &mut Problems) -> Option<LevelDraft> {
    section.only(&["name", "description", "categories", "purposes", "treatments"], problems);
    let name: Option<(LevelName, Place)> =
        section.require("name", problems).and_then(|entry| Some((entry.id(problems)?, entry.place)));
    let description = section.prose("description", problems);
    let categories: Option<(Vec<Category>, Place)> = listed(section, "categories", problems);
    let purposes: Option<(Vec<Purpose>, Place)> = listed(section, "purposes", problems);
    let rules =
        section.require("treatments", problems).and_then(|entry| entry.section(problems)).map(|treatments| {
            let rules = rule_entry::read(&treatments, problems);
            // A rule that is there and wrong has been reported: only what is absent is missing.
            let missing: Vec<&str> = IdentifierClass::ALL
                .iter()
                .filter(|class| !class.is_forbidden() && **class != IdentifierClass::NotIdentifying)
                .filter(|class| treatments.get(class.as_str()).is_none())
                .map(|class| class.as_str())
                .collect();
            if !missing.is_empty() {
                let what = format!("no treatment for {}", missing.join(", "));
                problems.error(treatments.place(), what, "add one line for each");
            }
            rules
        });
    let (categories, categories_place) = categories.unwrap_or_else(|| (Vec::new(), section.place().clone()));
    let (purposes, purposes_place) = purposes.unwrap_or_else(|| (Vec::new(), section.place().clone()));
    let (name, name_place) = name?;
    Some(LevelDraft {
        name,
        name_place,
        description,
        categories,
        categories_place,
        purposes: purposes.into_iter().collect(),
        purposes_place,
        rules: rules.unwrap_or_default(),
    })
}

/// A required list of words with at least one.
pub(super) fn listed<T>(
    section: &Section<'_, '_>,
    name: &str,
    problems: &mut Problems,
) -> Option<(Vec<T>, Place)>
where
    T: std::str::FromStr<Err = crate::model::UnknownWord> + PartialEq + Copy,
{
    let entry = section.require(name, problems)?;
    let before = problems.count();
    let words = entry.words(problems);
    if words.is_empty() && problems.count() == before {
        problems.error(&entry.place, "the list is empty, so nothing would be stored", "list at least one");
    }
    Some((words, entry.place))
}

fn ladder(top: &Section<'_, '_>, levels: &[LevelDraft], sections: usize, problems: &mut Problems) {
    let place = top.get("levels").map_or_else(|| top.place().clone(), |entry| entry.place);
    if sections > LEVELS {
        problems.error(&place, format!("more than {LEVELS} levels"), "remove some");
    }
    if sections == 0 && top.get("levels").is_some() {
        problems.error(&place, "a program needs a level above `none`", "add [[levels]]");
    }
    for (at, level) in levels.iter().enumerate() {
        let place = &level.name_place;
        if level.name.is_none() {
            problems.error(place, "`none` is always there, below all others", "remove this level");
        }
        if levels.iter().take(at).any(|earlier| earlier.name == level.name) {
            problems.error(place, format!("there are two levels `{}`", level.name), "rename one of them");
        }
    }
}

fn regions(
    entry: &Entry<'_, '_>,
    levels: &[LevelDraft],
    problems: &mut Problems,
) -> BTreeMap<RegionName, RegionDraft> {
    let mut regions = BTreeMap::new();
    let Some(section) = entry.section(problems) else { return regions };
    for entry in section.entries() {
        let Some(name) = parse_id::<RegionName>(entry.name, &entry.place, problems) else { continue };
        if entry.name.len() > REGION_BYTES || entry.name.contains(REGION_JOINT) {
            problems.error(
                &entry.place,
                "this region could not be named together with others",
                format!("name it with 1 to {REGION_BYTES} of a-z, 0-9 and _, beginning with a letter"),
            );
            continue;
        }
        let mut region = RegionDraft::default();
        for level in entry.section(problems).iter().flat_map(Section::entries) {
            let Some(at) = levels.iter().position(|l| l.name.as_str() == level.name) else {
                let known: Vec<&str> = levels.iter().map(|level| level.name.as_str()).collect();
                let remedy = remedy(level.name, known.iter().copied());
                problems.error(&level.place, format!("there is no level `{}`", level.name), remedy);
                region.mistaken = true;
                continue;
            };
            if let Some(section) = level.section(problems) {
                region.levels.insert(at, rule_entry::read(&section, problems));
            }
        }
        regions.insert(name, region);
    }
    regions
}
