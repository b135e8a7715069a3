//! Opening a regular file without waiting: whoever opens a pipe waits until somebody writes to it, which may be never.

use std::fs::{File, FileType, Metadata};
use std::io;
use std::os::unix::fs::FileTypeExt as _;
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags};

/// Why there is no file to read.
#[derive(Debug)]
pub(super) enum NotOpened {
    /// It is something else: `a pipe`, with which nothing was done.
    Other(&'static str),
    /// It cannot be looked at or opened.
    Failed(io::Error),
}

/// Opens a regular file to read it, or what a link to one leads to; with what it is. Never waits for whoever has the other
/// end of something that is none, and never opens a device.
///
/// # Errors
/// If it is no regular file, or cannot be opened.
pub(super) fn open(path: &Path) -> Result<(File, Metadata), NotOpened> {
    judge(&std::fs::metadata(path).map_err(NotOpened::Failed)?)?;
    // It may be another by now.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let opened = rustix::fs::openat(CWD, path, flags, Mode::empty())
        .map_err(|error| NotOpened::Failed(error.into()))?;
    let file = File::from(opened);
    let metadata = file.metadata().map_err(NotOpened::Failed)?;
    judge(&metadata)?;
    Ok((file, metadata))
}

fn judge(metadata: &Metadata) -> Result<(), NotOpened> {
    let kind = metadata.file_type();
    if kind.is_file() { Ok(()) } else { Err(NotOpened::Other(named(kind))) }
}

fn named(kind: FileType) -> &'static str {
    if kind.is_fifo() {
        "a pipe"
    } else if kind.is_dir() {
        "a directory"
    } else if kind.is_socket() {
        "a socket"
    } else {
        "a device"
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn a_regular_file_is_opened_and_what_is_none_is_named_without_waiting_for_anybody() {
        let dir = tempfile::tempdir().unwrap();
        let place = |name: &str| dir.path().join(name);
        std::fs::write(place("file"), "text").unwrap();
        std::os::unix::fs::symlink("file", place("link")).unwrap();
        for name in ["file", "link"] {
            let (mut file, metadata) = open(&place(name)).unwrap();
            let mut text = String::new();
            file.read_to_string(&mut text).unwrap();
            assert_eq!((text.as_str(), metadata.len()), ("text", 4), "{name}");
        }
        let made = std::process::Command::new("mkfifo").arg(place("pipe")).status().unwrap();
        assert!(made.success());
        let _socket = std::os::unix::net::UnixListener::bind(place("socket")).unwrap();
        std::os::unix::fs::symlink("pipe", place("to a pipe")).unwrap();
        let others = [
            (place("pipe"), "a pipe"),
            (place("to a pipe"), "a pipe"),
            (place("socket"), "a socket"),
            (place(""), "a directory"),
            ("/dev/zero".into(), "a device"),
        ];
        for (path, kind) in others {
            let refused = open(&path);
            assert!(matches!(refused, Err(NotOpened::Other(is)) if is == kind), "{path:?}: {refused:?}");
        }
        let missing = open(&place("none"));
        assert!(matches!(&missing, Err(NotOpened::Failed(error)) if error.kind() == io::ErrorKind::NotFound));
    }
}
