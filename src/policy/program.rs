//! A program: its ladder of levels, and the region overlays that tighten them.

use super::treatment::{Rule, Treatment};
use crate::model::{Category, IdentifierClass, LevelName, ProgramName, Purposes, RawText};

/// A level of a program. What stores nothing, `none`, is no level of the ladder: it is rank 0.
#[derive(Debug)]
pub struct Level {
    pub(super) name: LevelName,
    pub(super) description: String,
    pub(super) categories: Vec<Category>,
    pub(super) purposes: Purposes,
    /// By [`IdentifierClass::index`].
    pub(super) rules: Vec<Rule>,
}

impl Level {
    /// The name.
    #[must_use]
    pub const fn name(&self) -> &LevelName {
        &self.name
    }

    /// What it means, in plain words.
    #[must_use]
    pub fn description(&self) -> &str {
        &self.description
    }

    /// The categories of data it includes.
    #[must_use]
    pub fn categories(&self) -> &[Category] {
        &self.categories
    }

    /// The purposes it allows.
    #[must_use]
    pub const fn purposes(&self) -> Purposes {
        self.purposes
    }
}

/// A named, purpose-bound collection with an ordered ladder of levels.
#[derive(Debug)]
pub struct Program {
    pub(super) name: ProgramName,
    pub(super) description: String,
    /// From rank 1 upwards.
    pub(super) levels: Vec<Level>,
    /// By the region's position in the policy, then by rank - 1, then by [`IdentifierClass::index`].
    pub(super) overlays: Vec<Vec<Vec<Option<Rule>>>>,
}

impl Program {
    /// The name.
    #[must_use]
    pub const fn name(&self) -> &ProgramName {
        &self.name
    }

    /// What it is for, in plain words.
    #[must_use]
    pub fn description(&self) -> &str {
        &self.description
    }

    /// The levels above `none`, in order: the first has rank 1.
    #[must_use]
    pub fn levels(&self) -> &[Level] {
        &self.levels
    }

    /// The level of a rank; `None` for rank 0, which is `none`, and for ranks there are not.
    #[must_use]
    pub fn level(&self, rank: u8) -> Option<&Level> {
        self.levels.get(usize::from(rank.checked_sub(1)?))
    }

    /// The name of a rank: `none` for 0.
    #[must_use]
    pub fn level_name(&self, rank: u8) -> &str {
        self.level(rank).map_or("none", |level| level.name.as_str())
    }

    /// The rank of a level's name, 0 for `none`; `None` if there is no such level.
    #[must_use]
    pub fn rank(&self, level: &str) -> Option<u8> {
        self.rank_of(RawText::new(level.as_bytes()))
    }

    /// The same for a raw name, which is compared and not exposed.
    pub(super) fn rank_of(&self, level: RawText<'_>) -> Option<u8> {
        if level == RawText::new(b"none") {
            return Some(0);
        }
        let at = self.levels.iter().position(|l| RawText::new(l.name.as_str().as_bytes()) == level)?;
        u8::try_from(at + 1).ok()
    }

    /// What the rank does to a class under any number of region overlays, before the dictionary has
    /// its say. The stricter of the level and all overlays.
    #[must_use]
    pub fn treatment(&self, rank: u8, regions: &[usize], class: IdentifierClass, asked: bool) -> Treatment {
        if class.is_forbidden() {
            return Treatment::Drop;
        }
        let Some(level) = self.level(rank) else { return Treatment::Drop };
        if class == IdentifierClass::NotIdentifying {
            return Treatment::Keep;
        }
        let base = level.rules.get(class.index()).map_or(Treatment::Drop, |rule| rule.resolve(asked));
        regions.iter().fold(base, |strictest, region| match self.overlay(rank, *region, class) {
            Some(rule) => strictest.stricter(rule.resolve(asked)),
            None => strictest,
        })
    }

    /// What a region says about a class at a rank, if anything.
    pub(super) fn overlay(&self, rank: u8, region: usize, class: IdentifierClass) -> Option<Rule> {
        let levels = self.overlays.get(region)?;
        *levels.get(usize::from(rank.checked_sub(1)?))?.get(class.index())?
    }
}
