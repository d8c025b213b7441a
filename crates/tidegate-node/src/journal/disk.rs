//! The file operations of the journal, all in one place, so that tests can make any of them fail.
//!
//! Knows nothing of records. A probe is asked before each step and may answer with an error.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;

/// What is about to be done to the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// A segment is created and its space reserved.
    Create,
    /// A record is written.
    Write,
    /// A segment is synced.
    Sync,
    /// What lies behind a segment's last record is cut off.
    Cut,
    /// The cursor file is replaced.
    Replace,
    /// A segment is unlinked.
    Unlink,
}

/// Asked before each step, with the file's name; an error takes the step's place.
pub type Probe = Arc<dyn Fn(Step, &str) -> io::Result<()> + Send + Sync>;

/// One folder of the journal.
#[derive(Clone)]
pub(crate) struct Disk {
    folder: PathBuf,
    probe: Option<Probe>,
}

impl std::fmt::Debug for Disk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Disk").field("folder", &self.folder).finish_non_exhaustive()
    }
}

impl Disk {
    /// Opens the folder, making it (0700) when it is missing.
    pub(crate) fn open(folder: &Path, probe: Option<Probe>) -> io::Result<Self> {
        use std::os::unix::fs::DirBuilderExt;
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        Ok(Self { folder: folder.to_owned(), probe })
    }

    fn ask(&self, step: Step, name: &str) -> io::Result<()> {
        self.probe.as_ref().map_or(Ok(()), |probe| probe(step, name))
    }

    /// Creates a file of `bytes` reserved bytes, which read as zeros.
    pub(crate) fn create(&self, name: &str, bytes: u64) -> io::Result<File> {
        self.ask(Step::Create, name)?;
        let path = self.folder.join(name);
        let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path)?;
        let reserved = match fallocate(&file, FallocateFlags::empty(), 0, bytes) {
            Ok(()) => Ok(()),
            // Without the system call the space cannot be promised; writes may then fail.
            Err(Errno::OPNOTSUPP) => file.set_len(bytes),
            Err(error) => Err(error.into()),
        };
        if let Err(error) = reserved.and_then(|()| self.sync_folder()) {
            std::fs::remove_file(&path)?;
            return Err(error);
        }
        Ok(file)
    }

    /// Opens a file that an earlier process left.
    pub(crate) fn reopen(&self, name: &str) -> io::Result<File> {
        OpenOptions::new().read(true).write(true).open(self.folder.join(name))
    }

    /// Writes all of `bytes` at `offset`.
    pub(crate) fn write(&self, file: &File, name: &str, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.ask(Step::Write, name)?;
        file.write_all_at(bytes, offset)
    }

    /// Makes what was written durable. After an error the file must not be synced again:
    /// the kernel may have dropped the pages and would report success.
    pub(crate) fn sync(&self, file: &File, name: &str) -> io::Result<()> {
        self.ask(Step::Sync, name)?;
        file.sync_data()
    }

    /// Ends a file after so many bytes; durable with its next sync.
    pub(crate) fn cut(&self, file: &File, name: &str, bytes: u64) -> io::Result<()> {
        self.ask(Step::Cut, name)?;
        file.set_len(bytes)
    }

    /// Replaces a small file as a whole, durably.
    pub(crate) fn replace(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.ask(Step::Replace, name)?;
        let draft = self.folder.join(format!("{name}.new"));
        let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
        file.write_all_at(bytes, 0)?;
        file.sync_all()?;
        std::fs::rename(&draft, self.folder.join(name))?;
        self.sync_folder()
    }

    /// Reads a small file; `None` when it does not exist.
    pub(crate) fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        match std::fs::read(self.folder.join(name)) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Removes a file; a file that is gone already is no error.
    pub(crate) fn unlink(&self, name: &str) -> io::Result<()> {
        self.ask(Step::Unlink, name)?;
        match std::fs::remove_file(self.folder.join(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Makes creations, renames and removals durable.
    pub(crate) fn sync_folder(&self) -> io::Result<()> {
        File::open(&self.folder)?.sync_all()
    }

    /// Names of all files, in no order.
    pub(crate) fn names(&self) -> io::Result<Vec<String>> {
        std::fs::read_dir(&self.folder)?
            .filter_map(|entry| entry.map(|entry| entry.file_name().into_string().ok()).transpose())
            .collect()
    }
}
