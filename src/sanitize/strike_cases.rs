//! Ways to write a value that differ in letter case: a class that keeps it has a pseudonym for each. Nobody can list all of
//! them for a long value, so these are the ways in which people write.

use zeroize::Zeroizing;

/// The most mixes of the ways to write the words of a value that are shown: of three words all. Each spelling has a
/// pseudonym for each program and epoch, which the row of an erasure keeps.
const MOST: usize = 64;
/// Words of which each is shown by itself in capitals, if there are more.
const ACRONYMS: usize = 16;
/// Letters of the longest word that is an acronym more often than not, in a name of many words.
const ACRONYM: usize = 3;
/// Letters of a value of which every mix is shown.
const LETTERS: usize = 4;
/// Ways to write a word: as it is given, in small letters, in capitals, and with a capital.
const WAYS: usize = 4;

/// A spelling of a value, which is wiped when it is dropped.
type Spelling = Zeroizing<String>;

/// Shows the ways to write a value; some are shown twice. Of more words than there is every mix of: all of them alike, the
/// first with a capital, short ones in capitals among others, and each of the first by itself.
pub(super) fn cases(value: &str, mut see: impl FnMut(&str)) {
    let words = words(value);
    let ways: Vec<Vec<Spelling>> = words.iter().map(|word| ways(word)).collect();
    let all = ways.iter().try_fold(1_usize, |all, ways| all.checked_mul(ways.len()));
    if let Some(all) = all.filter(|all| *all <= MOST) {
        for number in 0..all {
            see(&mixed(&ways, number));
        }
    } else {
        alike(&words, &mut see);
    }
    let letters = value.chars().filter(|c| is_cased(*c)).count();
    if letters <= LETTERS {
        for mask in 0..1_usize << letters {
            see(&masked(value, mask));
        }
    }
}

/// A value cut into its words, and what stands between them.
fn words(value: &str) -> Vec<&str> {
    let mut words = Vec::new();
    let mut rest = value;
    while let Some(first) = rest.chars().next() {
        let is_word = first.is_alphanumeric();
        let end = rest.find(|c: char| c.is_alphanumeric() != is_word).unwrap_or(rest.len());
        let (word, behind) = rest.split_at(end);
        words.push(word);
        rest = behind;
    }
    words
}

/// Whether a letter has another case.
fn is_cased(c: char) -> bool {
    !c.to_lowercase().eq(c.to_uppercase())
}

fn small(word: &str) -> Spelling {
    Zeroizing::new(word.to_lowercase())
}

fn capitals(word: &str) -> Spelling {
    Zeroizing::new(word.to_uppercase())
}

/// With a capital.
fn capital(word: &str) -> Spelling {
    let mut chars = word.chars();
    let first = chars.next().into_iter().flat_map(char::to_uppercase);
    Zeroizing::new(first.chain(chars.as_str().to_lowercase().chars()).collect())
}

/// The ways to write a word, each once.
fn ways(word: &str) -> Vec<Spelling> {
    let mut ways: Vec<Spelling> = Vec::with_capacity(WAYS);
    for way in [Zeroizing::new(word.to_owned()), small(word), capitals(word), capital(word)] {
        if !ways.contains(&way) {
            ways.push(way);
        }
    }
    ways
}

/// The mix of this number, which counts the ways of each word as a digit.
fn mixed(ways: &[Vec<Spelling>], mut number: usize) -> Spelling {
    let mut out = Zeroizing::new(String::new());
    for ways in ways {
        let count = ways.len().max(1);
        out.push_str(ways.get(number % count).map(|way| way.as_str()).unwrap_or_default());
        number /= count;
    }
    out
}

/// What is shown of many words.
fn alike(words: &[&str], see: &mut impl FnMut(&str)) {
    let all = |way: fn(&str) -> Spelling| words.iter().map(|word| way(word)).collect::<Vec<_>>();
    let join = |words: &[Spelling]| {
        let mut out = Zeroizing::new(String::new());
        out.extend(words.iter().map(|word| word.as_str()));
        out
    };
    let (small, capitals, mut capital) = (all(small), all(capitals), all(capital));
    for words in [&small, &capitals, &capital] {
        see(&join(words));
    }
    let first = capital.iter().take(1).chain(small.iter().skip(1)).cloned().collect::<Vec<_>>();
    see(&join(&first));
    let is_short = |at: usize| words.get(at).is_some_and(|word| word.chars().count() <= ACRONYM);
    let acronyms = |others: &[Spelling]| -> Vec<Spelling> {
        let both = capitals.iter().zip(others).enumerate();
        both.map(|(at, (capitals, other))| if is_short(at) { capitals } else { other }.clone()).collect()
    };
    for others in [&small, &capital] {
        see(&join(&acronyms(others)));
    }
    let lettered = (0..words.len()).filter(|at| small.get(*at) != capitals.get(*at));
    for at in lettered.take(ACRONYMS) {
        if let (Some(word), Some(other)) = (capital.get_mut(at), capitals.get(at)) {
            let before = std::mem::replace(word, other.clone());
            see(&join(&capital));
            if let Some(word) = capital.get_mut(at) {
                *word = before;
            }
        }
    }
}

/// A value whose letters are in capitals where the bits say so.
fn masked(value: &str, mask: usize) -> Spelling {
    let (mut out, mut letter) = (Zeroizing::new(String::with_capacity(value.len())), 0);
    for c in value.chars() {
        if !is_cased(c) {
            out.push(c);
            continue;
        }
        if mask >> letter & 1 == 1 {
            out.extend(c.to_uppercase());
        } else {
            out.extend(c.to_lowercase());
        }
        letter += 1;
    }
    out
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn all(value: &str) -> BTreeSet<String> {
        let (mut all, mut count) = (BTreeSet::new(), 0);
        cases(value, |one| {
            count += 1;
            all.insert(one.to_owned());
        });
        assert!(count <= MOST + (1 << LETTERS), "{count} of {value}");
        all
    }

    #[test]
    fn a_value_is_written_in_the_ways_that_people_write() {
        for (value, written) in [
            ("prod vm 1", &["Prod VM 1", "PROD vm 1", "prod Vm 1", "Prod Vm 1"][..]),
            ("jane van doe", &["Jane van Doe", "JANE VAN DOE", "Jane Van Doe", "jane van DOE"]),
            ("mCdonald's-PC", &["mCdonald's-PC", "Mcdonald's-pc", "MCDONALD'S-PC"]),
            ("payroll-db-main-eu-4", &["Payroll-DB-Main-EU-4", "payroll-DB-main-EU-4"]),
            ("a1-b", &["A1-b", "a1-B"]),
            (
                "a long name of one more host",
                &["A long name of one more host", "A Long Name Of ONE More Host"],
            ),
            ("\u{e9}lan", &["\u{c9}lan", "\u{c9}LAN", "\u{e9}lAn"]),
            ("", &[]),
            ("10.1", &["10.1"]),
        ] {
            let all = all(value);
            assert!(written.iter().all(|one| all.contains(*one)), "{all:?} of {value}");
            assert!(all.iter().all(|one| one.to_lowercase() == value.to_lowercase()), "{all:?}");
        }
        assert!(!all("prodvm").contains("prod vm") && !all("production").contains("ProdUction"));
    }

    // covers: B1
    #[test]
    fn of_many_words_some_ways_are_shown_and_no_more() {
        for unit in ["a ", "ab", "Ab-1.", "\u{df} ", "\u{4f8b}", "1 "] {
            let _ = all(&unit.repeat(2_000));
        }
    }
}
