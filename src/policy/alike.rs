//! Whether two policies say the same: a comment makes another version, and no other policy.

use super::{Policy, PolicyFile};

impl Policy {
    /// Whether this policy says the same as another one: the files differ in comments and white space at most.
    #[must_use]
    pub fn says_the_same_as(&self, other: &Self) -> bool {
        let is_alike = |(a, b): (&PolicyFile, &PolicyFile)| a.path == b.path && are_alike(&a.text, &b.text);
        self.version() == other.version()
            || self.files().len() == other.files().len()
                && self.files().iter().zip(other.files()).all(is_alike)
    }
}

fn are_alike(a: &str, b: &str) -> bool {
    let table = |text: &str| text.parse::<toml::Table>().ok();
    a == b || table(a).is_some_and(|a| table(b).is_some_and(|b| a == b))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::super::{Policy, compile, shipped};

    fn policy(edit: impl Fn(&str) -> String) -> Policy {
        let mut files = shipped();
        for file in &mut files {
            file.text = edit(&file.text);
        }
        files.retain(|file| !file.text.is_empty());
        compile(&files).unwrap().0
    }

    #[test]
    fn a_comment_makes_another_version_that_says_the_same_and_everything_else_makes_another_policy() {
        let whole = policy(str::to_owned);
        assert!(whole.says_the_same_as(&whole));
        let same =
            [policy(|text| format!("# a comment\n\n{text}")), policy(|text| text.replace(" = ", "  =  "))];
        for same in same {
            assert_ne!(same.version(), whole.version());
            assert!(same.says_the_same_as(&whole) && whole.says_the_same_as(&same));
        }
        let others = [
            policy(|text| text.replace(".fields.vcpus]", ".fields.cores]")),
            policy(|text| {
                text.replace("purposes = [\"improve\", \"recommend\"]", "purposes = [\"improve\"]")
            }),
            policy(|text| if text.contains("vm.inventory") { String::new() } else { text.to_owned() }),
        ];
        for other in others {
            assert!(!other.says_the_same_as(&whole) && !whole.says_the_same_as(&other));
        }
    }
}
