//! Of which programs a subscription received data of a customer, and how that named the customer. Pure.

use std::sync::Arc;

use super::rows::{Row, RowFault};
use crate::model::ProgramName;
use crate::sanitize::Named;

/// Programs that are told apart. A policy has at most 8 at a time; with more than this over the years, it may be any.
const MOST: usize = 64;

/// The forms in which a customer was named.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(super) struct Forms(u8);

impl Forms {
    /// Nobody knows in which: of what the ledger tells, it does not say.
    pub(super) const UNKNOWN: Self = Self(8);
    const ALL: u8 = 15;

    const fn of(named: Named) -> u8 {
        match named {
            Named::Id => 1,
            Named::Stable => 2,
            Named::Rotating => 4,
        }
    }

    pub(super) const fn has(self, named: Named) -> bool {
        self.0 & Self::of(named) != 0
    }

    pub(super) const fn are_unknown(self) -> bool {
        self.0 & Self::UNKNOWN.0 != 0
    }

    pub(super) const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl From<Option<Named>> for Forms {
    fn from(named: Option<Named>) -> Self {
        named.map_or(Self(0), |named| Self(Self::of(named)))
    }
}

/// Programs, in the order of their names, each with the forms in which the customer was named.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(super) struct Programs {
    listed: Arc<[(ProgramName, Forms)]>,
    /// It may be others too: it was written before programs were noted, or there were too many.
    pub(super) or_others: bool,
}

impl Programs {
    /// It may be any.
    pub(super) fn any() -> Self {
        Self { or_others: true, ..Self::default() }
    }

    /// In which forms the customer was named in what was received of a program; nothing if nothing of it was.
    pub(super) fn forms(&self, program: &ProgramName) -> Option<Forms> {
        let listed = self.listed.iter().find(|(listed, _)| listed == program);
        listed.map(|(_, forms)| *forms)
    }

    /// Each program with each form in which the customer was named.
    pub(super) fn named(&self) -> impl Iterator<Item = (ProgramName, Named)> {
        let forms = |(program, forms): &(ProgramName, Forms)| {
            let (program, forms) = (program.clone(), *forms);
            Named::ALL
                .into_iter()
                .filter(move |named| forms.has(*named))
                .map(move |named| (program.clone(), named))
        };
        self.listed.iter().flat_map(forms)
    }

    /// With one more; nothing if that changes nothing.
    pub(super) fn with(&self, program: &ProgramName, forms: Forms) -> Option<Self> {
        let before = self.forms(program);
        if before.is_some_and(|before| before.and(forms) == before) {
            return None;
        }
        if before.is_none() && self.listed.len() >= MOST {
            return (!self.or_others).then(|| Self { or_others: true, ..self.clone() });
        }
        let mut listed: Vec<_> =
            self.listed.iter().filter(|(listed, _)| listed != program).cloned().collect();
        let at = listed.partition_point(|(listed, _)| listed < program);
        listed.insert(at, (program.clone(), before.unwrap_or_default().and(forms)));
        Some(Self { listed: listed.into(), ..*self })
    }

    /// Both together.
    pub(super) fn and(&self, other: &Self) -> Self {
        let mut both = Self { or_others: self.or_others || other.or_others, ..self.clone() };
        for (program, forms) in &*other.listed {
            both = both.with(program, *forms).unwrap_or(both);
        }
        both
    }

    /// Writes them: whether it may be others (1), how many (1), for each its forms (1: 1 by its id, 2 stable, 4 rotating,
    /// 8 unknown, added up), then the length of its name (1) and its name.
    pub(super) fn write(&self, row: &mut Vec<u8>) {
        let short = |length| u8::try_from(length).unwrap_or(u8::MAX);
        row.extend([u8::from(self.or_others), short(self.listed.len())]);
        for (program, forms) in &*self.listed {
            row.extend([forms.0, short(program.as_str().len())]);
            row.extend_from_slice(program.as_str().as_bytes());
        }
    }

    /// Reads them.
    pub(super) fn read(row: &mut Row<'_>) -> Result<Self, RowFault> {
        let or_others = match row.u8()? {
            0 => false,
            1 => true,
            _ => return Err(RowFault::Damaged),
        };
        let count = usize::from(row.u8()?);
        let mut listed: Vec<(ProgramName, Forms)> = Vec::with_capacity(count.min(MOST));
        for _ in 0..count {
            let forms = Forms(row.u8()?);
            let length = usize::from(row.u8()?);
            let name = std::str::from_utf8(row.bytes(length)?).ok();
            let name = name.and_then(|name| ProgramName::new(name).ok()).ok_or(RowFault::Damaged)?;
            let in_order = listed.last().is_none_or(|(last, _)| *last < name);
            if forms.0 > Forms::ALL || !in_order || listed.len() >= MOST {
                return Err(RowFault::Damaged);
            }
            listed.push((name, forms));
        }
        Ok(Self { listed: listed.into(), or_others })
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    fn program(name: &str) -> ProgramName {
        ProgramName::new(name).unwrap()
    }

    fn written(programs: &Programs) -> Vec<u8> {
        let mut row = vec![1];
        programs.write(&mut row);
        row
    }

    fn read(row: &[u8]) -> Result<Programs, RowFault> {
        let mut row = Row::open(row)?;
        let programs = Programs::read(&mut row)?;
        row.end().map(|()| programs)
    }

    #[test]
    fn programs_are_listed_once_with_every_form_and_come_back_from_their_row() {
        let [stable, id] = [Named::Stable, Named::Id].map(|named| Forms::from(Some(named)));
        let none = Programs::default();
        assert_eq!(none.forms(&program("ceip")), None);
        let one = none.with(&program("operational"), id).unwrap();
        let two = one.with(&program("ceip"), stable).unwrap();
        assert_eq!(two.with(&program("ceip"), stable), None, "nothing new");
        assert_eq!(two.with(&program("ceip"), Forms::from(None)), None);
        let both = two.with(&program("ceip"), Forms::UNKNOWN).unwrap();
        let ceip = both.forms(&program("ceip")).unwrap();
        assert!(ceip.has(Named::Stable) && !ceip.has(Named::Id) && ceip.are_unknown());
        assert_eq!(both.forms(&program("operational")), Some(id));
        assert_eq!(one.and(&both), both);
        assert!(both.and(&Programs::any()).or_others);
        for programs in [none, one, two, both.clone(), Programs::any(), both.and(&Programs::any())] {
            let row = written(&programs);
            assert_eq!(read(&row), Ok(programs));
            assert_eq!(read(row.split_last().unwrap().1), Err(RowFault::Damaged));
        }
        let row = |parts: &[u8]| read(&[&[1][..], parts].concat());
        for (why, damaged) in [
            ("others", &b"\x02\0"[..]),
            ("forms", b"\0\x01\x10\x01a"),
            ("a name", b"\0\x01\x01\x01A"),
            ("order", b"\0\x02\x01\x01b\x01\x01a"),
            ("twice", b"\0\x02\x01\x01a\x01\x01a"),
        ] {
            assert_eq!(row(damaged), Err(RowFault::Damaged), "{why}");
        }
    }

    // covers: B1
    #[test]
    fn with_too_many_it_may_be_any() {
        let mut programs = Programs::default();
        for n in 0..MOST {
            programs = programs.with(&program(&format!("p{n}")), Forms::default()).unwrap();
        }
        assert!(!programs.or_others);
        let more = programs.with(&program("one-more"), Forms::default()).unwrap();
        assert!(more.or_others && more.forms(&program("p0")).is_some());
        assert_eq!(more.with(&program("another"), Forms::default()), None);
        assert_eq!(read(&written(&more)), Ok(more));
    }
}
