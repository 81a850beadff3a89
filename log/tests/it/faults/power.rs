//! A loss of power before each call in turn: what was not synced is gone.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::Write as _,
    os::unix::process::ExitStatusExt as _,
    path::{Path, PathBuf},
    process::Command,
    sync::Mutex,
};

use super::{
    sweep::{calls, grow_a_little},
    workload::{LONG, SHORT, Shape},
};
use crate::{
    account::Account,
    random::Random,
    shim::{self, Fault, How, Loss, Run},
    support::{each, open_small_runs},
};

/// Takes the power away, and holds the log that is left to what was told: it opens by itself, has all that was answered,
/// and grows.
fn sweep(shape: Shape, losses: &[(u32, Loss)]) -> BTreeMap<String, u32> {
    let tally = Mutex::new(BTreeMap::<String, u32>::new());
    each(losses, |(at, loss)| {
        let parent = tempfile::tempdir().unwrap();
        let dir = parent.path().join("log");
        let fault = Fault { at: *at, how: How::Power(*loss) };
        let Run { output, counted } = shim::run(&mut shape.command(&dir), &dir, fault);
        let mut told = Account::read(&output);
        assert_eq!(told.refusals, [""; 0], "{fault:?} {counted:?}");
        told.checkpoint_file(&dir);
        let log = open_small_runs(&dir);
        told.check_all(&log);
        grow_a_little(&log);
        told.check(&log);
        *tally.lock().unwrap().entry(counted.unwrap().1).or_default() += 1;
    });
    let tally = tally.into_inner().unwrap();
    eprintln!("{} losses of power, before {tally:?}", losses.len());
    tally
}

/// All that can be lost at once, before each call.
#[test]
fn after_a_loss_of_power_before_each_call_nothing_answered_is_lost() {
    let losses: Vec<_> = (1..=calls(SHORT)).map(|at| (at, Loss::All)).collect();
    let tally = sweep(SHORT, &losses);
    for call in ["open", "write", "fdatasync", "fsync", "rename", "link", "unlink", "mkdir"] {
        assert!(tally.keys().any(|name| name.starts_with(call)), "never before {call}: {tally:?}");
    }
}

#[test]
fn after_a_loss_of_power_in_a_longer_life_nothing_answered_is_lost() {
    let (calls, mut random) = (calls(LONG), Random::new(5));
    let loss = |loss| (1 + random.below(u64::from(calls)) as u32, loss);
    let losses: Vec<_> = Loss::ALL.into_iter().cycle().take(60).map(loss).collect();
    let tally = sweep(LONG, &losses);
    assert!(tally.len() > 5, "{tally:?}");
}

#[test]
#[ignore = "soak: each of some hundred calls, with four losses, takes some minutes"]
fn after_each_loss_of_power_before_each_call_nothing_answered_is_lost() {
    let calls = calls(LONG);
    let losses = Loss::ALL.into_iter().flat_map(|loss| (1..=calls).map(move |at| (at, loss)));
    sweep(LONG, &losses.collect::<Vec<_>>());
}

/// Tells the re-executed test binary to be the child, and where.
const DIR: &str = "TREERING_LOG_POWER_CHILD";

/// Not a test by itself. It leaves files in every state that a loss of power knows.
#[test]
fn child() {
    let Some(dir) = std::env::var_os(DIR).map(PathBuf::from) else { return };
    let write = |name: &str, synced: &[u8], more: &[u8]| {
        let mut file = File::create(dir.join(name)).unwrap();
        file.write_all(synced).unwrap();
        file.sync_all().unwrap();
        file.write_all(more).unwrap();
    };
    let sync_names = || File::open(&dir).unwrap().sync_all().unwrap();
    // There before the process, and replaced by it.
    write("old.new", b"new", b"");
    fs::rename(dir.join("old.new"), dir.join("old")).unwrap();
    sync_names();
    write("whole", b"synced", b"");
    write("torn", b"synced", b"never");
    write("removed", b"synced", b"");
    write("moved", b"synced", b"");
    fs::create_dir(dir.join("folder")).unwrap();
    sync_names();
    fs::remove_file(dir.join("removed")).unwrap();
    fs::rename(dir.join("moved"), dir.join("whole")).unwrap();
    fs::hard_link(dir.join("torn"), dir.join("linked")).unwrap();
    fs::create_dir(dir.join("folder/later")).unwrap();
    write("folder/later/file", b"synced", b"");
    write("unnamed", b"synced", b"");
    shim::lose_power(&dir);
}

/// The tests above would not notice a shim that never loses anything.
#[test]
fn what_was_not_synced_is_lost() {
    let now = ["folder", "folder/later", "folder/later/file", "linked", "old", "torn", "unnamed", "whole"];
    let before = ["folder", "moved", "old", "removed", "torn", "whole"];
    for (loss, names, torn) in [
        (Loss::All, &before[..], "synced"),
        (Loss::Names, &before, "syncednever"),
        (Loss::Bytes, &now, "synced"),
        (Loss::Half, &now, "syncedne"),
    ] {
        let parent = tempfile::tempdir().unwrap();
        let dir = parent.path().join("files");
        fs::create_dir(&dir).unwrap();
        fs::write(dir.join("old"), b"not synced, and not this process's").unwrap();
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["faults::power::child", "--exact"]).env(DIR, &dir);
        shim::with_power(&mut command, &dir, loss);
        assert_eq!(command.output().unwrap().status.signal(), Some(9));
        let mut found = Vec::new();
        list(&dir, "", &mut found);
        found.sort();
        assert_eq!(found, names, "{loss:?}");
        assert_eq!(fs::read_to_string(dir.join("old")).unwrap(), "new", "{loss:?}");
        assert_eq!(fs::read_to_string(dir.join("torn")).unwrap(), torn, "{loss:?}");
        assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 1, "what the shim kept is gone");
    }
}

fn list(dir: &Path, before: &str, found: &mut Vec<String>) {
    for file in fs::read_dir(dir).unwrap().map(Result::unwrap) {
        let name = format!("{before}{}", file.file_name().into_string().unwrap());
        if file.file_type().unwrap().is_dir() {
            list(&file.path(), &format!("{name}/"), found);
        }
        found.push(name);
    }
}
