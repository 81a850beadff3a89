//! A mirror of a log: its tiles and bundles over the network, as C2SP tlog-tiles lays them out, into a folder that
//! `treering_log::export::StaticDir` reads and any web server can serve.

use std::fs;
use std::path::Path;

use treering_tlog::checkpoint::Checkpoint;
use treering_tlog::note::Note;
use treering_tlog::tile::{entries_path, tiles_at};

use super::{Client, ClientError};

impl Client {
    /// Fetches everything under the service's checkpoint; returns that checkpoint, unverified.
    pub async fn mirror(&self, dir: &Path) -> Result<Checkpoint, ClientError> {
        let note = self.get("/checkpoint").await?.body;
        let bad = |reason: String| ClientError::Answer { url: "/checkpoint".to_owned(), reason };
        let text = Note::parse(&note).map_err(|error| bad(error.to_string()))?;
        let checkpoint = Checkpoint::parse(text.text()).map_err(|error| bad(error.to_string()))?;
        for (id, width) in tiles_at(checkpoint.size()) {
            self.fetch(dir, &id.path(width)).await?;
            if id.level == 0 {
                self.fetch(dir, &entries_path(id.index, width)).await?;
            }
        }
        // Last, so that a folder with a checkpoint has all that it covers.
        write(dir, "checkpoint", &note)?;
        Ok(checkpoint)
    }

    async fn fetch(&self, dir: &Path, path: &str) -> Result<(), ClientError> {
        let answer = self.get(&format!("/{path}")).await?;
        write(dir, path, &answer.body)
    }
}

fn write(dir: &Path, path: &str, bytes: &[u8]) -> Result<(), ClientError> {
    let file = dir.join(path);
    let written = file.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::write(&file, bytes));
    written.map_err(|error| ClientError::Setup(format!("write {}: {error}", file.display())))
}
