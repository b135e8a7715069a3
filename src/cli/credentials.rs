//! What a client command proves itself with, and how it knows the collector: the same flags everywhere.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use clap::Args;

use super::exit::Failure;
use crate::grpc::client::ClientTls;

/// Bytes of one file.
const MOST_BYTES: u64 = 1 << 20;

/// Files that a client takes.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct Credentials {
    /// The CAs that the collector's certificate comes from, PEM; those of the system, if it is left out and the
    /// address begins with https://. With this or the next the connection is under TLS.
    #[arg(long, global = true, value_name = "FILE", env = "USAGED_TLS_CA", help_heading = HEADING)]
    tls_ca: Option<PathBuf>,
    /// Your own certificate, PEM.
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "USAGED_TLS_CERT",
        requires = "tls_key",
        help_heading = HEADING
    )]
    tls_cert: Option<PathBuf>,
    /// The key of your certificate, PEM.
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "USAGED_TLS_KEY",
        requires = "tls_cert",
        help_heading = HEADING
    )]
    tls_key: Option<PathBuf>,
    /// A file that holds a bearer token and nothing else.
    #[arg(long, global = true, value_name = "FILE", env = "USAGED_TOKEN_FILE", help_heading = HEADING)]
    token_file: Option<PathBuf>,
}

const HEADING: &str = "TLS and identity";

impl Credentials {
    /// Whether nothing is proved to the collector.
    pub(super) const fn is_empty(&self) -> bool {
        self.tls_cert.is_none() && self.token_file.is_none()
    }

    /// Reads the files.
    pub(super) fn read(&self) -> Result<ClientTls, Failure> {
        let ca = self.tls_ca.as_deref().map(bytes).transpose()?;
        let own = match (&self.tls_cert, &self.tls_key) {
            (Some(certificate), Some(key)) => Some((bytes(certificate)?, secret(key)?)),
            (None, _) | (_, None) => None,
        };
        let token = self.token_file.as_deref().map(token).transpose()?;
        let is_on = ca.is_some() || own.is_some();
        Ok(ClientTls { ca, own, token, is_on })
    }
}

fn bytes(path: &Path) -> Result<Vec<u8>, Failure> {
    let named = || format!("reading {}", path.display());
    let length = std::fs::metadata(path).map_err(Failure::io(named()))?.len();
    if length > MOST_BYTES {
        return Err(Failure::Usage(format!("{} is larger than 1 MiB", path.display())));
    }
    std::fs::read(path).map_err(Failure::io(named()))
}

/// The bytes of a file that nobody else may read. As ssh does it: one's own file has to be closed to others; a file of
/// somebody else, such as one that a service manager hands over, is that one's business.
fn secret(path: &Path) -> Result<Vec<u8>, Failure> {
    let metadata = std::fs::metadata(path).map_err(Failure::io(format!("reading {}", path.display())))?;
    let mode = metadata.mode() & 0o777;
    if metadata.uid() == rustix::process::geteuid().as_raw() && mode & 0o077 != 0 {
        let path = path.display();
        return Err(Failure::Usage(format!(
            "{path} can be read by others (mode {mode:03o}) and is not used; run `chmod 600 {path}`, and if it is not \
             known who has read it, get another"
        )));
    }
    bytes(path)
}

fn token(path: &Path) -> Result<String, Failure> {
    let text = String::from_utf8(secret(path)?).unwrap_or_default();
    let token = text.trim();
    if token.is_empty() || token.contains(char::is_whitespace) || !token.is_ascii() {
        let path = path.display();
        return Err(Failure::Usage(format!("{path} does not hold one token; write it alone into the file")));
    }
    Ok(token.to_owned())
}
