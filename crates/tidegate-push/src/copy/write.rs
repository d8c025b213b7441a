//! Writes a copy beside the tasks: under a name of its own first, then in the place of the one before.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::BufWriter;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use prost::Message as _;
use tidegate_proto::config as wire;
use tidegate_secrets::ca::CertificateAuthority;
use tidegate_secrets::copy::{CopyError, Header, Record, Writer};
use tidegate_telemetry::entropy;
use tidegate_types::Timestamp;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::snapshot::Outlet;

/// What the writer is told.
pub(super) enum Piece {
    Record(Record),
    /// That was all.
    End,
}

/// The end that tells.
pub(super) struct Pieces(pub(super) mpsc::Sender<Piece>);

impl Pieces {
    /// False: the writer has given up.
    pub(super) async fn say(&mut self, piece: Piece) -> bool {
        self.0.send(piece).await.is_ok()
    }
}

impl Outlet for Pieces {
    async fn put(&mut self, delta: wire::Delta) -> bool {
        self.say(Piece::Record(Record::Delta(delta.encode_to_vec()))).await
    }
}

/// Where a pool's copy lies.
pub(super) struct Place {
    pub(super) path: PathBuf,
}

impl Place {
    /// What the file that is there says of itself.
    pub(super) async fn header(&self) -> Option<Header> {
        let path = self.path.clone();
        tokio::task::spawn_blocking(move || peek(&path)).await.ok().flatten()
    }

    /// Makes the folder and a draft beside the place. What an earlier turn left is removed: whoever still writes it has
    /// lost its turn.
    fn draft(self, header: &Header) -> std::io::Result<(File, Draft)> {
        let folder = self.path.parent().unwrap_or_else(|| Path::new("."));
        DirBuilder::new().recursive(true).create(folder)?;
        let before = format!(".{}.copy.", header.pool);
        for left in std::fs::read_dir(folder)?.flatten() {
            if left.file_name().to_string_lossy().starts_with(&before) {
                let _ = std::fs::remove_file(left.path());
            }
        }
        let beside = folder.join(format!("{before}{:016x}", entropy::random_u64()));
        // Nodes read it as another user; what is in it is encrypted.
        let file = OpenOptions::new().write(true).create_new(true).mode(0o644).open(&beside)?;
        Ok((file, Draft { beside, place: self.path, issued_at: header.issued_at }))
    }
}

/// A copy beside its place. Goes away with this value, unless it has been published.
pub(super) struct Draft {
    beside: PathBuf,
    place: PathBuf,
    issued_at: Timestamp,
}

impl Drop for Draft {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.beside);
    }
}

impl Draft {
    /// Puts it in its place, unless a newer one has come there since somebody looked (`before`).
    pub(super) async fn publish(self, before: Option<Timestamp>) -> Result<(), CopyError> {
        let publish = move || {
            let there = peek(&self.place).map(|there| there.issued_at);
            if there != before && there.is_some_and(|there| there > self.issued_at) {
                return Err(std::io::Error::other("a newer one has come meanwhile"));
            }
            std::fs::rename(&self.beside, &self.place)?;
            self.place.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
        };
        let published = tokio::task::spawn_blocking(publish).await;
        Ok(published.map_err(|_| std::io::Error::other("it ended in a panic"))??)
    }
}

fn peek(path: &Path) -> Option<Header> {
    tidegate_secrets::copy::peek(File::open(path).ok()?).ok()
}

/// Begins to write.
pub(super) fn start(
    place: Place,
    header: Header,
    class_key: [u8; 32],
    authority: Arc<CertificateAuthority>,
    mut pieces: mpsc::Receiver<Piece>,
) -> JoinHandle<Result<Draft, CopyError>> {
    tokio::task::spawn_blocking(move || {
        let (file, draft) = place.draft(&header)?;
        let mut writer = Writer::begin(BufWriter::new(file), header, &class_key)?;
        loop {
            match pieces.blocking_recv() {
                Some(Piece::Record(record)) => writer.put(&record)?,
                Some(Piece::End) => break,
                None => return Err(std::io::Error::other("not everything could be read").into()),
            }
        }
        let file = writer.finish(&authority)?.into_inner().map_err(|error| error.into_error())?;
        file.sync_all()?;
        Ok(draft)
    })
}
