//! Reading the configuration again while the collector runs. The rates of customers can change; of every other key it is
//! told that a change takes a restart. A file with a mistake anywhere changes nothing.

use std::path::{Path, PathBuf};

use super::keys::Settings;
use super::problem::Problem;
use super::resolve::limits;
use super::table::Override;
use crate::ingest::fair::Limits;

/// What is in force, and the file that it came from.
#[derive(Debug, Clone)]
pub struct InForce {
    settings: Settings,
    origin: Option<Origin>,
}

#[derive(Debug, Clone)]
struct Origin {
    file: PathBuf,
    /// Flags go before the file, also when it is read again.
    overrides: Vec<Override>,
    /// What was read last: the text, or why there was none.
    last: Result<String, Problem>,
}

/// What a file says that was read again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Again {
    /// The rates, if they are others than those in force; they are now.
    pub limits: Option<Limits>,
    /// The keys that are other than at the start and take a restart, such as `store.segment_bytes`.
    pub need_restart: Vec<String>,
}

impl Origin {
    fn read(&self) -> Result<String, Problem> {
        // Whoever opens a pipe waits for somebody to write to it.
        if std::fs::metadata(&self.file).is_ok_and(|found| !found.is_file()) {
            return Err(Problem {
                place: self.file.display().to_string(),
                line: 0,
                key: String::new(),
                what: "is no file any more, and is not read".to_owned(),
                remedy: "put a regular file in its place".to_owned(),
                is_of_the_system: false,
            });
        }
        super::read_text(&self.file)
    }
}

impl InForce {
    pub(super) const fn of(settings: Settings) -> Self {
        Self { settings, origin: None }
    }

    /// Notes the file. What is not a file, such as a pipe, was read once and is gone.
    pub(super) fn came_from(&mut self, file: &Path, text: String, overrides: &[Override]) {
        self.origin = file.is_file().then(|| Origin {
            file: file.to_owned(),
            overrides: overrides.to_vec(),
            last: Ok(text),
        });
    }

    /// The file that can be read again, if there is one.
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        self.origin.as_ref().map(|origin| origin.file.as_path())
    }

    /// Reads the file again, and takes note of the rates in it. Nothing, if there is no file, or it is what was read last
    /// and `is_asked` does not ask for it all the same. Blocks.
    ///
    /// # Errors
    /// Every mistake; nothing has changed then.
    pub fn read_again(&mut self, is_asked: bool) -> Result<Option<Again>, Vec<Problem>> {
        let Some(origin) = &mut self.origin else { return Ok(None) };
        let read = origin.read();
        if !is_asked && read == origin.last {
            return Ok(None);
        }
        origin.last.clone_from(&read);
        let text = read.map_err(|problem| vec![problem])?;
        let said = super::parse(&origin.file.display().to_string(), &text, &origin.overrides)?;
        Ok(Some(self.take_over(&said)))
    }

    fn take_over(&mut self, said: &Settings) -> Again {
        let before = self.settings.clone();
        let ingest = &mut self.settings.ingest;
        ingest.customer_events_per_second = said.ingest.customer_events_per_second;
        ingest.customer_bytes_per_second = said.ingest.customer_bytes_per_second;
        ingest.customer_burst = said.ingest.customer_burst;
        ingest.customer_bytes_beside_others = said.ingest.customer_bytes_beside_others;
        ingest.customer_rates.clone_from(&said.ingest.customer_rates);
        let limits = (self.settings != before).then(|| limits(&self.settings));
        Again { limits, need_restart: differing(&self.settings, said) }
    }
}

/// The keys that have another value in `b` than in `a`.
fn differing(a: &Settings, b: &Settings) -> Vec<String> {
    macro_rules! sections {
        ($($section:ident),+) => {{
            // Whoever adds a section is told here.
            let Settings { $($section),+ } = a;
            [$($section.differing(&b.$section)),+].concat()
        }};
    }
    sections!(
        root, log, grpc, tls, identity, jwt, admin, traces, metrics, ingest, keys, store, drain, amend,
        ledger, shutdown
    )
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::super::load;
    use super::*;
    use crate::ingest::fair::Rate;

    const START: &str = "[ingest]\ncustomer_events_per_second = 10\n";

    fn started(dir: &Path, flags: &[Override]) -> (PathBuf, InForce) {
        let file = dir.join("usaged.toml");
        std::fs::write(&file, START).unwrap();
        let config = load(Some(&file), flags).unwrap();
        (file, config.in_force)
    }

    #[test]
    fn rates_are_taken_over_and_of_every_other_key_it_is_told_that_it_takes_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let (file, mut in_force) = started(dir.path(), &[]);
        assert_eq!(in_force.read_again(false), Ok(None), "nothing has changed");
        let same = Again { limits: None, need_restart: vec![] };
        assert_eq!(in_force.read_again(true), Ok(Some(same)), "it was asked for");
        let text = "data_dir = \"elsewhere\"\n[ingest]\ncustomer_events_per_second = 20\ncustomer_burst = \"1s\"\n\
                    customer_rates = { a = { events_per_second = 3, bytes_per_second = \"1KiB\" } }\n\
                    cached_customers = 99\n[store]\nwhen_full = \"drop-oldest\"\n";
        std::fs::write(&file, text).unwrap();
        let again = in_force.read_again(false).unwrap().unwrap();
        let limits = again.limits.unwrap();
        assert_eq!((limits.rates.events, limits.rates.bytes), (Rate::new(20), None));
        assert_eq!((limits.burst.as_secs(), limits.rates_of.len()), (1, 1));
        assert_eq!(again.need_restart, ["data_dir", "ingest.cached_customers", "store.when_full"]);
        assert_eq!(in_force.read_again(false), Ok(None), "it is told once");
        let told = in_force.read_again(true).unwrap().unwrap();
        assert_eq!((told.limits, told.need_restart.len()), (None, 3), "they still take a restart");
        std::fs::write(&file, START).unwrap();
        let back = in_force.read_again(false).unwrap().unwrap();
        assert_eq!((back.limits.unwrap().rates.events, back.need_restart.len()), (Rate::new(10), 0));
    }

    #[test]
    fn a_file_with_a_mistake_anywhere_or_none_at_all_changes_nothing_and_is_told_once() {
        let dir = tempfile::tempdir().unwrap();
        let (file, mut in_force) = started(dir.path(), &[]);
        for wrong in
            ["customer_events_per_second = 20\n[store]\nsegment_bytes = 1", "=", "customer_rates = 3"]
        {
            std::fs::write(&file, format!("[ingest]\n{wrong}\n")).unwrap();
            assert!(!in_force.read_again(false).unwrap_err().is_empty(), "{wrong}");
            assert_eq!(in_force.read_again(false), Ok(None));
            assert!(in_force.read_again(true).is_err());
        }
        std::fs::remove_file(&file).unwrap();
        let gone = in_force.read_again(false).unwrap_err();
        assert!(gone.first().unwrap().to_string().contains("cannot be read"), "{gone:?}");
        assert_eq!(in_force.read_again(false), Ok(None));
        let mkfifo = std::process::Command::new("mkfifo").arg(&file).status().unwrap();
        assert!(mkfifo.success());
        let pipe = in_force.read_again(false).unwrap_err();
        assert!(pipe.first().unwrap().to_string().contains("is no file any more"), "{pipe:?}");
        std::fs::remove_file(&file).unwrap();
        std::fs::write(&file, START).unwrap();
        let again = in_force.read_again(false).unwrap().unwrap();
        assert_eq!(
            (again.limits, again.need_restart),
            (None, vec![]),
            "what was refused left nothing behind"
        );
    }

    #[test]
    fn a_flag_goes_before_the_file_also_when_that_is_read_again() {
        let dir = tempfile::tempdir().unwrap();
        let flag = Override {
            flag: "--set".to_owned(),
            key: "ingest.customer_events_per_second".to_owned(),
            value: "7".to_owned(),
        };
        let (file, mut in_force) = started(dir.path(), &[flag]);
        std::fs::write(&file, "[ingest]\ncustomer_events_per_second = 20\n").unwrap();
        let again = in_force.read_again(false).unwrap().unwrap();
        assert_eq!((again.limits, again.need_restart), (None, vec![]));
    }

    #[test]
    fn without_a_file_nothing_is_read_again() {
        assert_eq!(load(None, &[]).unwrap().in_force.read_again(true), Ok(None));
        let mut of_a_pipe = InForce::of(Settings::default());
        of_a_pipe.came_from(Path::new("/dev/null"), String::new(), &[]);
        assert_eq!(of_a_pipe.read_again(true), Ok(None));
        assert_eq!(of_a_pipe.file(), None);
    }
}
