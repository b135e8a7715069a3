//! The files that identities come from, read and checked together: certificates, keys, CAs, revocation lists, the
//! identities themselves and the keys of a provider. All of them are good, or none is taken.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{ErrorKind, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use zeroize::Zeroizing;

use super::identity_rights::{Holds, exposed, exposed_places};
use super::reach::let_in;
use super::regular::{self, NotOpened};
use super::runner::Runner;
use crate::config::{Identities, KeysFrom, Problem, TlsFiles, is_of_the_system};
use crate::grpc::{ClientNarrowing, Narrowing, Provider, Standing, TlsTexts, build_tls};
use crate::identity::{Credential, KeySet, Rules, digest, parse_rules};
use crate::model::UnixMillis;

/// Bytes of one file. A list of ten thousand revoked certificates has less than half of it.
const MOST_BYTES: u64 = 4 << 20;

/// What the files say.
pub(super) struct Loaded {
    /// What the authority goes by.
    pub standing: Standing,
    /// The keys of the provider, where they come from a file.
    pub keys: Option<KeySet>,
    /// When the first certificate, list or token of each kind of file ends.
    pub ends: Vec<(&'static str, UnixMillis)>,
    /// The text of the CAs that client certificates come from.
    pub client_ca: Option<Arc<[u8]>>,
    /// Tells one content of all files from another.
    pub print: [u8; 32],
}

/// Files that are refused, all of them.
pub(super) struct Refused {
    /// Every mistake.
    pub problems: Vec<Problem>,
    /// What those that are good take away from what is in force.
    pub narrowing: Narrowing,
    /// Tells one content of what could be read from another.
    pub print: [u8; 32],
}

/// The texts of files while they are checked.
struct Reader<'r> {
    /// Who is to read them.
    runner: &'r Runner,
    problems: Vec<Problem>,
    /// Everything that was read, hashed one after the other.
    print: [u8; 32],
    /// Directories that were told of, each once.
    open: BTreeSet<PathBuf>,
    /// What is good.
    narrowing: Narrowing,
    /// The CAs of client certificates: those in force, then those that were read.
    client_ca: Option<Arc<[u8]>>,
}

impl<'r> Reader<'r> {
    fn new(runner: &'r Runner) -> Self {
        Self {
            runner,
            problems: Vec::new(),
            print: [0; 32],
            open: BTreeSet::new(),
            narrowing: Narrowing::default(),
            client_ca: None,
        }
    }
}

/// Every file that is read.
pub(super) fn files(identities: &Identities) -> BTreeSet<PathBuf> {
    let tls = identities.tls.iter().flat_map(|tls| {
        let TlsFiles { certificate, key, client_ca, client_crl, .. } = tls;
        [Some(certificate), Some(key), client_ca.as_ref(), client_crl.as_ref()]
    });
    let jwks = identities.jwt.iter().filter_map(|(_, from)| match from {
        KeysFrom::File(file) => Some(file),
        KeysFrom::Address { ca, .. } => ca.as_ref(),
    });
    tls.flatten().chain(identities.file.as_ref()).chain(jwks).cloned().collect()
}

/// Every file that others than `runner` can read, if it is a secret, or change, and every directory in which they can put
/// another in its place. Reads none of them.
pub(super) fn exposed_of(identities: &Identities, runner: &Runner) -> Vec<Problem> {
    let key = identities.tls.as_ref().map(|tls| &tls.key);
    let of = |path: &PathBuf| {
        let holds = if key == Some(path) { Holds::Secret } else { Holds::Trust };
        let (what, remedy) = exposed(&std::fs::metadata(path).ok()?, holds, runner)?;
        Some(problem("", Some(path), 0, what, remedy))
    };
    let files = files(identities);
    let places: BTreeMap<_, _> = files
        .iter()
        .flat_map(|path| exposed_places(path, runner))
        .map(|(dir, what, remedy)| (dir, (what, remedy)))
        .collect();
    let places = places.into_iter().map(|(dir, (what, remedy))| problem("", Some(&dir), 0, what, remedy));
    files.iter().filter_map(of).chain(places).collect()
}

/// Reads and checks everything, for use by `runner` from `now` on. `client_ca` is the text of the CAs in force: lists are theirs
/// when the file of CAs is refused.
///
/// # Errors
/// Every mistake, by the file and the key of the configuration that names it.
pub(super) fn load(
    identities: &Identities,
    now: UnixMillis,
    runner: &Runner,
    client_ca: Option<Arc<[u8]>>,
) -> Result<Loaded, Box<Refused>> {
    let mut reader = Reader { client_ca, ..Reader::new(runner) };
    let rules = identities.file.as_deref().and_then(|path| reader.rules(path));
    let tls = identities.tls.as_ref().and_then(|files| reader.tls(files, now));
    let keys = identities.jwt.as_ref().and_then(|(options, from)| match from {
        KeysFrom::File(path) => {
            let text = reader.text("jwt.jwks_file", path, Holds::Trust)?;
            let read = KeySet::read(&text, &options.algorithms);
            match read {
                Ok(keys) => {
                    reader.narrowing.keys = Some(keys.clone());
                    Some(keys)
                }
                Err(error) => {
                    reader.report("jwt.jwks_file", path, error.to_string(), "correct the key set");
                    None
                }
            }
        }
        KeysFrom::Address { .. } => None,
    });
    if let Err(problem) = provider(identities, &mut reader) {
        reader.problems.push(problem);
    }
    if let (Some(path), Some(rules)) = (&identities.file, &rules) {
        reader.fits(identities, path, rules);
    }
    let rules = rules.unwrap_or_default();
    if !reader.problems.is_empty() {
        let Reader { problems, narrowing, print, .. } = reader;
        return Err(Box::new(Refused { problems, narrowing, print }));
    }
    let (server, clients, mut ends) = match tls {
        Some(tls) => (Some(tls.server), tls.clients, tls.ends),
        None => (None, None, Vec::new()),
    };
    ends.extend(rules.first_end().map(|until| ("identities", until)));
    let jwt = identities.jwt.as_ref().map(|(options, _)| options.clone());
    let fetches_keys = matches!(identities.jwt, Some((_, KeysFrom::Address { .. })));
    let accepts_tokens = identities.accepts_tokens;
    let standing =
        Standing { rules, server, clients, jwt, fetches_keys, accepts_tokens, ..Standing::default() };
    Ok(Loaded { standing, keys, ends, client_ca: reader.client_ca, print: reader.print })
}

/// Where keys are fetched from, if they are.
fn provider(identities: &Identities, reader: &mut Reader<'_>) -> Result<Option<Provider>, Problem> {
    let Some((options, KeysFrom::Address { url, ca, .. })) = &identities.jwt else { return Ok(None) };
    let ca_text = ca.as_deref().map(|path| reader.text("jwt.ca", path, Holds::Trust));
    let Some(ca_text) = ca_text.map_or(Some(None), |text| text.map(Some)) else { return Ok(None) };
    let algorithms = options.algorithms.iter().copied().collect();
    let made = Provider::new(
        &options.issuer,
        url.as_deref(),
        ca_text.as_ref().map(|text| text.as_slice()),
        algorithms,
    );
    made.map(Some).map_err(|error| {
        let key = if ca.is_some() { "jwt.ca" } else { "jwt.issuer" };
        problem(key, ca.as_deref(), 0, error.to_string(), "correct the address, or name the CAs in jwt.ca")
    })
}

/// The provider whose keys are fetched; the files were checked before.
pub(super) fn provider_of(identities: &Identities) -> Option<Provider> {
    let runner = Runner::present();
    let mut reader = Reader::new(&runner);
    provider(identities, &mut reader).ok().flatten()
}

fn problem(
    key: &str,
    path: Option<&Path>,
    line: usize,
    what: impl Into<String>,
    remedy: impl Into<String>,
) -> Problem {
    let place = path.map_or_else(|| "configuration".to_owned(), |path| path.display().to_string());
    let (key, what, remedy) = (key.to_owned(), what.into(), remedy.into());
    Problem { place, line, key, what, remedy, is_of_the_system: false }
}

impl Reader<'_> {
    fn report(&mut self, key: &str, path: &Path, what: impl Into<String>, remedy: impl Into<String>) {
        self.problems.push(problem(key, Some(path), 0, what, remedy));
    }

    /// The bytes of a file that nobody else could have changed or put there, or read if it holds a secret.
    fn text(&mut self, key: &str, path: &Path, holds: Holds) -> Option<Zeroizing<Vec<u8>>> {
        let mut text = Zeroizing::new(Vec::new());
        let read = regular::open(path).and_then(|(file, metadata)| {
            file.take(MOST_BYTES + 1).read_to_end(&mut text).map_err(NotOpened::Failed)?;
            Ok(metadata)
        });
        let metadata = match read {
            Ok(metadata) => metadata,
            Err(NotOpened::Other(kind)) => {
                self.report(
                    key,
                    path,
                    format!("is {kind} and no regular file"),
                    "name the file that is meant",
                );
                return None;
            }
            Err(NotOpened::Failed(error)) => return self.unread(key, path, holds, &error),
        };
        if u64::try_from(text.len()).is_ok_and(|bytes| bytes > MOST_BYTES) {
            self.report(key, path, "is larger than 4 MiB", "name the file that is meant");
            return None;
        }
        if let Some((what, remedy)) = exposed(&metadata, holds, self.runner) {
            self.report(key, path, what, remedy);
            return None;
        }
        let places = exposed_places(path, self.runner);
        if !places.is_empty() {
            for (dir, what, remedy) in places {
                if self.open.insert(dir.clone()) {
                    self.report("", &dir, what, remedy);
                }
            }
            return None;
        }
        let mut whole = Zeroizing::new(self.print.to_vec());
        whole.extend_from_slice(key.as_bytes());
        whole.extend_from_slice(&text);
        self.print = digest(&whole);
        Some(text)
    }

    /// Reports a file that cannot be read.
    fn unread<T>(&mut self, key: &str, path: &Path, holds: Holds, error: &std::io::Error) -> Option<T> {
        // What is somebody else's is not let in to.
        let found = std::fs::metadata(path).ok();
        if let Some((what, remedy)) = found.and_then(|found| exposed(&found, holds, self.runner)) {
            self.report(key, path, what, remedy);
            return None;
        }
        let remedy = if error.kind() == ErrorKind::PermissionDenied {
            let_in(path, self.runner)
        } else {
            "name a readable file".to_owned()
        };
        let found = problem(key, Some(path), 0, format!("cannot be read: {error}"), remedy);
        let is_of_the_system = is_of_the_system(error);
        self.problems.push(Problem { is_of_the_system, ..found });
        None
    }

    fn rules(&mut self, path: &Path) -> Option<Rules> {
        let bytes = self.text("identity.file", path, Holds::Trust)?;
        let Ok(text) = std::str::from_utf8(&bytes) else {
            self.report("identity.file", path, "is not text in UTF-8", "write it in UTF-8");
            return None;
        };
        match parse_rules(text) {
            Ok(rules) => Some(rules),
            Err(mistakes) => {
                self.problems.extend(mistakes.into_iter().map(|mistake| {
                    let key = format!("identity {}", mistake.name);
                    problem(key.trim_end(), Some(path), mistake.line, mistake.what, mistake.remedy)
                }));
                None
            }
        }
    }

    fn tls(&mut self, files: &TlsFiles, now: UnixMillis) -> Option<crate::grpc::TlsMaterial> {
        let certificate = self.text("tls.certificate", &files.certificate, Holds::Trust);
        let key = self.text("tls.key", &files.key, Holds::Secret);
        let ca = files.client_ca.as_deref().map(|path| self.text("tls.client_ca", path, Holds::Trust));
        let crl = files.client_crl.as_deref().map(|path| self.text("tls.client_crl", path, Holds::Trust));
        // Each takes away what it does, whatever is wrong with the others.
        let read = |text: &'_ Option<Option<Zeroizing<Vec<u8>>>>| text.clone().flatten();
        let (read_ca, read_crl) = (read(&ca), read(&crl));
        let [good_ca, good_crl] = [&read_ca, &read_crl].map(|text| text.as_ref().map(|text| text.as_slice()));
        self.narrowing.clients = ClientNarrowing::of(good_ca, good_crl, self.client_ca.as_deref());
        // A file that is named and cannot be read was reported, and does not count as one that is not named.
        let ca = ca.map_or(Some(None), |text| text.map(Some))?;
        let crl = crl.map_or(Some(None), |text| text.map(Some))?;
        let none = Zeroizing::default();
        let texts = TlsTexts {
            certificate: certificate.as_ref().unwrap_or(&none),
            key: key.as_ref().unwrap_or(&none),
            client_ca: ca.as_ref().map(|text| text.as_slice()),
            client_crl: crl.as_ref().map(|text| text.as_slice()),
            allows_none: files.allows_none,
        };
        self.client_ca = texts.client_ca.map(Arc::from);
        // One that cannot be read was reported.
        let (Some(_), Some(_)) = (&certificate, &key) else { return None };
        build_tls(&texts, now)
            .map_err(|errors| {
                for error in errors {
                    let path = match error.key {
                        "tls.key" => Some(&files.key),
                        "tls.client_ca" => files.client_ca.as_ref(),
                        "tls.client_crl" => files.client_crl.as_ref(),
                        _ => Some(&files.certificate),
                    };
                    let path = path.map(PathBuf::as_path);
                    let found = problem(error.key, path, 0, error.what, error.remedy);
                    self.problems.push(Problem { is_of_the_system: error.is_of_the_time, ..found });
                }
            })
            .ok()
    }

    /// Reports identities that nobody can prove, and a file without any; what is good of it narrows what is in force.
    fn fits(&mut self, identities: &Identities, path: &Path, rules: &Rules) {
        let has_ca = identities.tls.as_ref().is_some_and(|tls| tls.client_ca.is_some());
        let has_jwt = identities.jwt.is_some();
        let before = self.problems.len();
        for rule in rules.all() {
            let (is_provable, remedy) = match rule.credential() {
                Credential::Certificate => {
                    (has_ca, "set tls.client_ca to the CA that its certificate comes from")
                }
                Credential::Claims => (has_jwt, "set jwt.issuer to the provider that its tokens come from"),
                Credential::Token(..) => (true, ""),
            };
            if !is_provable {
                let key = format!("identity {}", rule.name());
                self.report(&key, path, "nobody can prove to be it", remedy);
            }
        }
        if rules.all().is_empty() && !identities.accepts_tokens {
            self.report(
                "identity.file",
                path,
                "has no identity: nobody could call",
                "write one, as docs/identities.md says",
            );
        }
        if self.problems.len() == before {
            self.narrowing.rules = Some(rules.clone());
        }
    }
}
