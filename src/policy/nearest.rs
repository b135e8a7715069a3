//! "Did you mean": the known word that is nearest to a mistyped one.

/// The word of `known` that `word` was probably meant to be: at most a third of its letters differ,
/// or two in a short one, which is what swapping two letters makes.
pub(super) fn nearest<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    // Words of a policy are short. A long one is not a typing mistake, and would cost quadratic time.
    const LONGEST: usize = 64;
    if word.len() > LONGEST {
        return None;
    }
    known
        .into_iter()
        .filter(|candidate| candidate.len() <= LONGEST)
        .map(|candidate| (distance(word, candidate), candidate))
        .filter(|(distance, candidate)| {
            *distance <= (candidate.len() / 3).max(if candidate.len() < 4 { 1 } else { 2 })
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// The remedy for a word that is not known: the nearest one, or all of them.
pub(super) fn remedy<'k>(word: &str, known: impl IntoIterator<Item = &'k str> + Clone) -> String {
    match nearest(word, known.clone()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("use one of {}", known.into_iter().collect::<Vec<_>>().join(", ")),
    }
}

/// The Levenshtein distance in bytes, which is what ASCII words have.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (at_a, byte_a) in a.bytes().enumerate() {
        let mut diagonal = at_a;
        let mut left = at_a + 1;
        for (cell, byte_b) in row.iter_mut().skip(1).zip(b.bytes()) {
            let replaced = diagonal + usize::from(byte_a != byte_b);
            diagonal = *cell;
            left = replaced.min(diagonal + 1).min(left + 1);
            *cell = left;
        }
        if let Some(first) = row.first_mut() {
            *first = at_a + 1;
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::{distance, nearest, remedy};

    #[test]
    fn a_mistyped_word_is_recognised_and_another_word_is_not() {
        for (a, b, expected) in
            [("", "", 0), ("abc", "", 3), ("", "ab", 2), ("kitten", "sitting", 3), ("a", "a", 0)]
        {
            assert_eq!(distance(a, b), expected, "{a} {b}");
        }
        let known = ["host_name", "object_name", "mac_address"];
        assert_eq!(nearest("hostname", known), Some("host_name"));
        assert_eq!(nearest("mac_adress", known), Some("mac_address"));
        assert_eq!(nearest("ciep", ["operational", "ceip"]), Some("ceip"));
        assert_eq!(nearest("colour", known), None);
        assert_eq!(nearest(&"x".repeat(100_000), known), None);
        assert_eq!(remedy("colour", ["red", "blue"]), "use one of red, blue");
    }
}
