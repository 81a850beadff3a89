//! A file system that is really full.

use treering_log::{Append, AppendError, Log, NewEntry};

use crate::{
    account::Account,
    small::Small,
    support::{TestSealer, open_small_runs, small_runs},
};

#[tokio::test]
async fn a_full_disk_stops_the_log_and_loses_nothing() {
    let parent = tempfile::tempdir().unwrap();
    let disk = parent.path().join("disk");
    std::fs::create_dir(&disk).unwrap();
    let test = "faults::full::a_full_disk_stops_the_log_and_loses_nothing";
    let Some(small) = Small::over(&disk, 24, test) else { return };
    let dir = disk.join("log");
    let log = open_small_runs(&dir);
    let (mut told, mut refused) = (Account::default(), None);
    for round in 0..200u8 {
        let texts: Vec<String> = (0..2).map(|part| format!("{round} {part}")).collect();
        let mut append = Append::of(texts.iter().map(|text| NewEntry::plain(text.as_bytes())).collect());
        append.entries[0].content = Some(vec![round; 400_000]);
        append.once = vec![[round; 32]];
        match log.append(append).await {
            Ok(done) => {
                assert!(refused.is_none(), "an append was answered after a failed write");
                told.appended(&done, &texts, &[[round; 32]]);
            }
            Err(error) => refused = Some(error),
        }
    }
    let refused = refused.expect("24 MB hold more than 80 MB?");
    assert!(matches!(&refused, AppendError::Poisoned(why) if why.contains("No space left")), "{refused}");
    assert!(told.len() > 20, "{}", told.len());
    told.check(&log);
    drop(log);
    // Still full: it opens or says why not, and either way keeps what it has.
    match Log::open(small_runs(&dir), TestSealer::new(1)) {
        Ok(log) => told.check(&log),
        Err(error) => assert!(error.to_string().contains("No space left"), "{error}"),
    }
    small.resize(256);
    let log = open_small_runs(&dir);
    told.check_all(&log);
    crate::support::append(&log, 0, 2).await;
    eprintln!("{} answered entries, all there after the disk was full", told.len());
}
