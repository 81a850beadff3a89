//! Reading a journal at start: every record checked, a torn tail told apart from damage.
//!
//! In scope: what may be forgotten, and what must stop the start. Out of scope: writing; the caller writes what was read
//! to a new file, so that no file is ever cut or mended in place.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek as _, SeekFrom};
use std::path::Path;
use std::sync::Arc;
use std::thread;

use treering_tlog::note::VerifierKey;

use super::{
    JournalError,
    record::{FileId, HEAD_LEN, Head, Header, MAX_HEADER_LEN, MAX_PAYLOAD_LEN, Mark, shows_synced},
};
use crate::state::State;

/// What a journal held.
#[derive(Debug)]
pub struct Recovered {
    /// Its generation.
    pub generation: u64,
    /// The last state of every log, whether or not it is still configured.
    pub states: Vec<Arc<State>>,
    /// Bytes at its end that a crash left, and that nobody was answered for.
    pub torn: u64,
}

/// The longest batch, hence the longest tail that one crash can leave torn: a batch is written only after the one before
/// it was synced.
pub(super) const MAX_BATCH_LEN: usize = 16 * 1024 * 1024;

/// Reads the journal of a witness; `mark` is what is known to have been answered for.
pub fn read(path: &Path, own: &VerifierKey, mark: Mark) -> Result<Recovered, JournalError> {
    let io = |source| JournalError::Io { what: "read", path: path.to_owned(), source };
    let damaged = |offset, what| JournalError::Damaged { path: path.to_owned(), offset, what };
    let mut file = File::open(path).map_err(io)?;
    let (header, file_id, mut offset) =
        read_header(&mut file, own).map_err(io)?.ok_or(damaged(0, "header"))?;
    if mark.generation > header.generation {
        return Err(JournalError::Older {
            path: path.to_owned(),
            actual: header.generation,
            wanted: mark.generation,
        });
    }
    // A mark of an older generation: the crash came between the rename and the new mark, before the first batch. The file
    // was synced before it got its name, so that nothing in it can be torn.
    let untorn = mark.generation < header.generation;
    let answered = if untorn { header.snapshot } else { header.snapshot.max(mark.number) };
    file.seek(SeekFrom::Start(offset)).map_err(io)?;
    let mut reader = BufReader::with_capacity(READ_LEN, file);
    let (mut latest, mut last, mut torn) = (BTreeMap::new(), 0u64, 0);
    loop {
        match next(&mut reader, file_id).map_err(io)? {
            Next::End => break,
            Next::Record(head, payload) => {
                if head.number != last + 1 {
                    return Err(damaged(offset, "a record that is not the next one"));
                }
                let origin =
                    origin_of(&payload).ok_or_else(|| damaged(offset, "a record without an origin"))?;
                latest.insert(origin, payload);
                last = head.number;
                offset += (HEAD_LEN + head.len) as u64;
            }
            Next::Broken => {
                let mut file = reader.into_inner();
                file.seek(SeekFrom::Start(offset)).map_err(io)?;
                let mut tail = Vec::new();
                let limit = MAX_BATCH_LEN + HEAD_LEN + MAX_PAYLOAD_LEN;
                file.take(limit as u64 + 1).read_to_end(&mut tail).map_err(io)?;
                let broken = last + 1;
                if untorn || broken <= answered || tail.len() > limit || shows_synced(&tail, file_id, broken)
                {
                    return Err(damaged(offset, "a record that somebody was answered for"));
                }
                torn = tail.len() as u64;
                break;
            }
        }
    }
    if last < answered {
        return Err(damaged(offset, "the end of what somebody was answered for"));
    }
    let states = verify(path, latest, own)?;
    Ok(Recovered { generation: header.generation, states, torn })
}

enum Next {
    End,
    Record(Head, Vec<u8>),
    Broken,
}

fn next(reader: &mut impl Read, file: FileId) -> io::Result<Next> {
    let mut head = [0; HEAD_LEN];
    match fill(reader, &mut head)? {
        0 => return Ok(Next::End),
        HEAD_LEN => {}
        _ => return Ok(Next::Broken),
    }
    let Some(head) = Head::parse(&head) else { return Ok(Next::Broken) };
    let mut payload = vec![0; head.len];
    let whole = fill(reader, &mut payload)? == head.len && head.is_of(file, &payload);
    Ok(if whole { Next::Record(head, payload) } else { Next::Broken })
}

/// Reads until the buffer is full or the file ends; how much there was.
fn fill(reader: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match reader.read(rest) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

fn read_header(file: &mut File, own: &VerifierKey) -> io::Result<Option<(Header, FileId, u64)>> {
    let mut start = Vec::new();
    file.take(MAX_HEADER_LEN as u64).read_to_end(&mut start)?;
    let Some(end) = start.windows(2).position(|pair| pair == b"\n\n") else { return Ok(None) };
    let text = start.get(..end + 2).unwrap_or_default();
    let header = Header::parse(text, &own.to_string());
    Ok(header.map(|header| (header, FileId::of(text), text.len() as u64)))
}

/// The first line of a checkpoint.
fn origin_of(payload: &[u8]) -> Option<String> {
    let end = payload.iter().position(|byte| *byte == b'\n')?;
    String::from_utf8(payload.get(..end)?.to_vec()).ok()
}

/// Every state must prove itself by our own cosignature. On all cores: it is 60 us for each log.
fn verify(
    path: &Path,
    latest: BTreeMap<String, Vec<u8>>,
    own: &VerifierKey,
) -> Result<Vec<Arc<State>>, JournalError> {
    let payloads: Vec<Vec<u8>> = latest.into_values().collect();
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let share = payloads.len().div_ceil(cores).max(1);
    let parse = |payload: &Vec<u8>| {
        let state = State::parse(payload, own).map(Arc::new);
        state.map_err(|source| JournalError::State { path: path.to_owned(), source })
    };
    thread::scope(|scope| {
        let shares = payloads.chunks(share);
        let threads: Vec<_> = shares
            .map(|share| scope.spawn(move || share.iter().map(parse).collect::<Result<Vec<_>, _>>()))
            .collect();
        let mut states = Vec::with_capacity(payloads.len());
        for thread in threads {
            states.extend(thread.join().map_err(|_| JournalError::Panicked)??);
        }
        Ok(states)
    })
}

const READ_LEN: usize = 1024 * 1024;
