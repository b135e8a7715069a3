//! Where drained lines go: standard output, or files of a bounded size in a directory. A file is
//! written under a name that ends in `.part` and renamed when it is whole.

use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Stdout, Write};
use std::path::{Path, PathBuf};

use serde_json::Value as Json;

use crate::cli::exit::Failure;
use crate::cli::output::stdout_failed;

/// Bytes that are gathered before a write.
const BUFFER: usize = 256 << 10;

pub(super) enum Sink {
    Lines(BufWriter<Stdout>),
    Files { dir: PathBuf, file_bytes: u64, open: Option<OpenFile> },
}

pub(super) struct OpenFile {
    writer: BufWriter<File>,
    part: PathBuf,
    whole: PathBuf,
    bytes: u64,
}

impl Sink {
    /// Opens standard output, or a directory, which is made if it is not there.
    pub fn open(dir: Option<&Path>, file_bytes: u64) -> Result<Self, Failure> {
        let Some(dir) = dir else {
            return Ok(Self::Lines(BufWriter::with_capacity(BUFFER, std::io::stdout())));
        };
        std::fs::create_dir_all(dir).map_err(Failure::io(format!("making {}", dir.display())))?;
        Ok(Self::Files { dir: dir.to_owned(), file_bytes, open: None })
    }

    /// Writes one line. It is safe only after the next [`Self::flush`].
    pub fn write(&mut self, line: &Json) -> Result<(), Failure> {
        let text = line.to_string();
        match self {
            Self::Lines(out) => {
                out.write_all(text.as_bytes()).and_then(|()| out.write_all(b"\n")).map_err(stdout_failed)
            }
            Self::Files { dir, open, .. } => {
                let file = match open {
                    Some(file) => file,
                    None => open.insert(OpenFile::create(dir)?),
                };
                let written =
                    file.writer.write_all(text.as_bytes()).and_then(|()| file.writer.write_all(b"\n"));
                written.map_err(Failure::io(format!("writing {}", file.part.display())))?;
                file.bytes =
                    file.bytes.saturating_add(u64::try_from(text.len()).unwrap_or(0)).saturating_add(1);
                Ok(())
            }
        }
    }

    /// Makes every line written so far safe: flushed, and synced where it is a file.
    pub fn flush(&mut self) -> Result<(), Failure> {
        match self {
            Self::Lines(out) => out.flush().map_err(stdout_failed),
            Self::Files { dir, file_bytes, open } => {
                let Some(file) = open.as_mut() else { return Ok(()) };
                file.sync()?;
                if file.bytes >= *file_bytes
                    && let Some(full) = open.take()
                {
                    full.finish(dir)?;
                }
                Ok(())
            }
        }
    }

    /// Ends the last file.
    pub fn close(mut self) -> Result<(), Failure> {
        self.flush()?;
        match self {
            Self::Files { dir, open: Some(file), .. } => file.finish(&dir),
            Self::Files { .. } | Self::Lines(_) => Ok(()),
        }
    }
}

impl OpenFile {
    fn create(dir: &Path) -> Result<Self, Failure> {
        // Ids of version 7 sort by time, and two drains of one directory do not meet.
        let name = format!("usaged-{}.ndjson", uuid::Uuid::now_v7());
        let (whole, part) = (dir.join(&name), dir.join(format!("{name}.part")));
        let file = OpenOptions::new().write(true).create_new(true).open(&part);
        let file = file.map_err(Failure::io(format!("making {}", part.display())))?;
        sync_dir(dir)?;
        Ok(Self { writer: BufWriter::with_capacity(BUFFER, file), part, whole, bytes: 0 })
    }

    fn sync(&mut self) -> Result<(), Failure> {
        let synced = self.writer.flush().and_then(|()| self.writer.get_ref().sync_data());
        synced.map_err(Failure::io(format!("syncing {}", self.part.display())))
    }

    fn finish(mut self, dir: &Path) -> Result<(), Failure> {
        self.sync()?;
        std::fs::rename(&self.part, &self.whole)
            .map_err(Failure::io(format!("renaming {}", self.part.display())))?;
        sync_dir(dir)
    }
}

fn sync_dir(dir: &Path) -> Result<(), Failure> {
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(Failure::io(format!("syncing {}", dir.display())))
}
