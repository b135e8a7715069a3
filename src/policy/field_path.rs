//! Field paths, and the tree of records, lists and maps that the paths of an event imply.

use super::problem::{Place, Problems};
use crate::model::{FieldPath, limits};

/// A step of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step<'p> {
    /// A field of an event or record.
    Name(&'p str),
    /// Every item of a list: `[]`.
    Item,
    /// Every value of a map: `{}`.
    Value,
    /// Every key of a map: `{key}`.
    Key,
}

/// What a path looks like.
pub(super) const RULE: &str = "write names joined by dots, with `[]` for the items of a list, `{}` for the values \
                               and, at the end, `{key}` for the keys of a map";

/// The steps of a path, or `None` if it does not follow [`RULE`].
pub(super) fn steps(path: &str) -> Option<Vec<Step<'_>>> {
    let mut steps = Vec::new();
    for segment in path.split('.') {
        if steps.last() == Some(&Step::Key) {
            return None;
        }
        let end = segment.find(['[', '{']).unwrap_or(segment.len());
        let (name, mut rest) = segment.split_at(end);
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        if name.is_empty() || name.len() > limits::NAME_BYTES || !name.bytes().all(plain) {
            return None;
        }
        steps.push(Step::Name(name));
        while !rest.is_empty() {
            let (step, after) = step(rest)?;
            if steps.last() == Some(&Step::Key) {
                return None;
            }
            steps.push(step);
            rest = after;
        }
    }
    Some(steps)
}

fn step(rest: &str) -> Option<(Step<'static>, &str)> {
    [("[]", Step::Item), ("{}", Step::Value), ("{key}", Step::Key)]
        .into_iter()
        .find_map(|(text, step)| rest.strip_prefix(text).map(|after| (step, after)))
}

/// A part of an event: a field `F`, or what holds others.
#[derive(Debug)]
pub(super) enum Branch<F> {
    /// A field without parts, and where it is declared.
    Leaf(F, Place),
    Record(Vec<(String, Branch<F>)>),
    List(Box<Branch<F>>),
    Map {
        key: Option<Box<Branch<F>>>,
        value: Option<Box<Branch<F>>>,
    },
}

/// The tree of one event.
#[derive(Debug)]
pub(super) struct Tree<F> {
    pub(super) fields: Vec<(String, Branch<F>)>,
}

impl<F> Tree<F> {
    pub(super) const fn new() -> Self {
        Self { fields: Vec::new() }
    }

    /// Adds a field. What cannot be there beside the others is reported at `place`.
    pub(super) fn add(&mut self, path: &FieldPath, field: F, place: &Place, problems: &mut Problems) {
        let Some(steps) = steps(path.as_str()) else {
            problems.error(place, "this is not a field path", RULE);
            return;
        };
        if steps.len() > limits::DEPTH {
            let remedy = format!("flatten it to at most {} steps", limits::DEPTH);
            problems.error(place, "this path is nested too deep", remedy);
            return;
        }
        let Some((Step::Name(name), rest)) = steps.split_first() else { return };
        if child(&mut self.fields, name, rest, field, place).is_none() {
            let remedy = "a field is a value, a record, a list or a map, never two of them: rename one";
            problems.error(place, "another path makes this something else", remedy);
        }
    }

    /// Reports maps of which only the keys or only the values are declared.
    pub(super) fn check_maps(&self, problems: &mut Problems) {
        for (name, branch) in &self.fields {
            branch.check_maps(name, problems);
        }
    }
}

impl<F> Branch<F> {
    /// A new branch with the field at the end of `steps`.
    fn grow(steps: &[Step<'_>], field: F, place: &Place) -> Self {
        let Some((first, rest)) = steps.split_first() else { return Self::Leaf(field, place.clone()) };
        let below = Self::grow(rest, field, place);
        match first {
            Step::Name(name) => Self::Record(vec![((*name).to_owned(), below)]),
            Step::Item => Self::List(Box::new(below)),
            Step::Value => Self::Map { key: None, value: Some(Box::new(below)) },
            Step::Key => Self::Map { key: Some(Box::new(below)), value: None },
        }
    }

    /// Adds a field below; `None` if that clashes with what is there.
    fn add(&mut self, steps: &[Step<'_>], field: F, place: &Place) -> Option<()> {
        let (first, rest) = steps.split_first()?;
        match (self, first) {
            (Self::Record(fields), Step::Name(name)) => child(fields, name, rest, field, place),
            (Self::List(item), Step::Item) => item.add(rest, field, place),
            (Self::Map { value: slot, .. }, Step::Value) | (Self::Map { key: slot, .. }, Step::Key) => {
                if let Some(branch) = slot {
                    return branch.add(rest, field, place);
                }
                *slot = Some(Box::new(Self::grow(rest, field, place)));
                Some(())
            }
            (Self::Leaf(..) | Self::Record(_) | Self::List(_) | Self::Map { .. }, _) => None,
        }
    }

    fn check_maps(&self, path: &str, problems: &mut Problems) {
        match self {
            Self::Leaf(..) => {}
            Self::Record(fields) => {
                for (name, branch) in fields {
                    branch.check_maps(&format!("{path}.{name}"), problems);
                }
            }
            Self::List(item) => item.check_maps(&format!("{path}[]"), problems),
            Self::Map { key, value } => {
                for (missing, there, suffix) in [(key, value, "{key}"), (value, key, "{}")] {
                    if let (None, Some(place)) = (missing, there.as_ref().and_then(|branch| branch.place())) {
                        let what = format!("`{path}{suffix}` is not declared");
                        problems.error(
                            place,
                            what,
                            "the keys of a map are data like its values: declare both",
                        );
                    }
                }
                if let Some(value) = value {
                    if let (Self::Map { .. }, Some(place)) = (value.innermost(), value.place()) {
                        let what = format!("`{path}{{}}` is a map whose values are maps");
                        problems.error(place, what, "put a record between them, so that each map has a name");
                    }
                    value.check_maps(&format!("{path}{{}}"), problems);
                }
            }
        }
    }

    /// What the lists in it hold in the end.
    fn innermost(&self) -> &Self {
        match self {
            Self::List(item) => item.innermost(),
            Self::Leaf(..) | Self::Record(_) | Self::Map { .. } => self,
        }
    }

    /// Where the first field in it is declared.
    fn place(&self) -> Option<&Place> {
        match self {
            Self::Leaf(_, place) => Some(place),
            Self::Record(fields) => fields.first().and_then(|(_, branch)| branch.place()),
            Self::List(item) => item.place(),
            Self::Map { key, value } => key.as_ref().or(value.as_ref()).and_then(|branch| branch.place()),
        }
    }
}

fn child<F>(
    fields: &mut Vec<(String, Branch<F>)>,
    name: &str,
    rest: &[Step<'_>],
    field: F,
    place: &Place,
) -> Option<()> {
    if let Some((_, branch)) = fields.iter_mut().find(|(there, _)| there == name) {
        return branch.add(rest, field, place);
    }
    fields.push((name.to_owned(), Branch::grow(rest, field, place)));
    Some(())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::super::problem::{Place, Problems};
    use super::{Step, Tree, steps};
    use crate::model::FieldPath;

    #[test]
    fn paths_are_names_with_lists_and_maps_and_nothing_else() {
        assert_eq!(steps("a"), Some(vec![Step::Name("a")]));
        assert_eq!(
            steps("disks[].labels{}.x_1"),
            Some(vec![Step::Name("disks"), Step::Item, Step::Name("labels"), Step::Value, Step::Name("x_1")])
        );
        assert_eq!(steps("m{key}"), Some(vec![Step::Name("m"), Step::Key]));
        for wrong in
            ["", ".", "a.", "a..b", "[]", "a[", "a[0]", "a{x}", "m{key}.a", "m{key}[]", "a[]b", "a b"]
        {
            assert_eq!(steps(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_field_is_one_thing_and_a_map_has_keys_and_values() {
        for (paths, wanted) in [
            (&["a.b", "a.c[]", "m{key}", "m{}"][..], 0),
            (&["a", "a.b"], 1),
            (&["a.b", "a"], 1),
            (&["a[]", "a{}", "a{key}"], 2),
            (&["a", "a"], 1),
            (&["m{key}"], 1),
            (&["m{}.x"], 1),
            (&["m{}.x", "l[].m{key}"], 2),
            (&["a.b.c.d.e.f.g.h"], 0),
            (&["a.b.c.d.e.f.g.h.i"], 1),
        ] {
            let mut problems = Problems::default();
            let mut tree = Tree::new();
            for path in paths {
                tree.add(&FieldPath::new(path).unwrap(), (), &Place::file(path), &mut problems);
            }
            tree.check_maps(&mut problems);
            assert_eq!(problems.count(), wanted, "{paths:?}: {problems:?}");
        }
    }
}
