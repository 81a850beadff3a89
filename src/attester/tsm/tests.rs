//! A stand-in of the kernel: the directory, its attributes and their state, as drivers/virt/coco/tsm.c keeps them.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};

use super::*;
use crate::attester::simulated::{Guest, Launch, Platform, Processor};

const DATA: [u8; 64] = [7; 64];

/// Called before an attribute of this name is read: what else happens on the machine at that moment.
type Meanwhile = Box<dyn FnMut(&mut Kernel, &Path) + Send>;

/// What the kernel knows.
struct Kernel {
    provider: &'static str,
    guest: Guest,
    aux: Vec<u8>,
    requests: HashMap<PathBuf, State>,
    /// Errors that the next generations of a report meet, one each.
    failures: Vec<i32>,
    made: u32,
}

/// One directory's.
#[derive(Default)]
struct State {
    inblob: Vec<u8>,
    privilege_level: Option<u8>,
    write_generation: u64,
    read_generation: u64,
    outblob: Option<Vec<u8>>,
}

#[derive(Clone)]
struct StandIn {
    kernel: Arc<Mutex<Kernel>>,
    meanwhile: Arc<Mutex<HashMap<&'static str, Meanwhile>>>,
}

const EINVAL: i32 = 22;
const EBUSY: i32 = 16;
const ENXIO: i32 = 6;
const EIO: i32 = 5;

fn os(code: i32) -> FileError {
    io::Error::from_raw_os_error(code).into()
}

impl Kernel {
    fn state(&mut self, dir: &Path) -> Result<&mut State, FileError> {
        self.requests.get_mut(dir).ok_or_else(|| io::Error::from(io::ErrorKind::NotFound).into())
    }

    fn write(&mut self, dir: &Path, name: &str, bytes: &[u8]) -> Result<(), FileError> {
        let provider = self.provider;
        let state = self.state(dir)?;
        match name {
            "inblob" if bytes.len() > 64 || bytes.is_empty() => return Err(os(EINVAL)),
            "inblob" => state.inblob = bytes.to_vec(),
            "privlevel" if provider == "sev_guest" => {
                let level: u8 = std::str::from_utf8(bytes).unwrap().parse().map_err(|_| os(EINVAL))?;
                if level > 3 {
                    return Err(os(EINVAL));
                }
                state.privilege_level = Some(level);
            }
            _ => return Err(io::Error::from(io::ErrorKind::PermissionDenied).into()),
        }
        state.write_generation += 1;
        Ok(())
    }

    fn read(&mut self, dir: &Path, name: &str) -> Result<Vec<u8>, FileError> {
        match name {
            "provider" => Ok(format!("{}\n", self.provider).into_bytes()),
            "generation" => Ok(format!("{}\n", self.state(dir)?.write_generation).into_bytes()),
            "outblob" => {
                let state = self.state(dir)?;
                if state.inblob.is_empty() {
                    return Err(os(EINVAL));
                }
                if state.outblob.is_none() || state.read_generation != state.write_generation {
                    let data: [u8; 64] = state.inblob.clone().try_into().map_err(|_| os(EINVAL))?;
                    if let Some(code) = self.failures.pop() {
                        return Err(os(code));
                    }
                    self.made += 1;
                    let report = self.guest.report_bytes(&data).unwrap().to_vec();
                    let state = self.state(dir)?;
                    state.read_generation = state.write_generation;
                    state.outblob = Some(report);
                }
                Ok(self.state(dir)?.outblob.clone().unwrap_or_default())
            }
            "auxblob" if self.provider == "sev_guest" => Ok(self.aux.clone()),
            _ => Err(io::Error::from(io::ErrorKind::NotFound).into()),
        }
    }
}

fn parts(path: &Path) -> (&Path, &str) {
    (path.parent().unwrap(), path.file_name().and_then(OsStr::to_str).unwrap())
}

impl Files for StandIn {
    fn make_dir(&self, path: &Path) -> Result<(), FileError> {
        let mut kernel = self.kernel.lock().unwrap();
        if kernel.provider.is_empty() {
            return Err(os(ENXIO));
        }
        match kernel.requests.insert(path.to_owned(), State::default()) {
            None => Ok(()),
            Some(_) => Err(FileError::Exists),
        }
    }

    fn remove_dir(&self, path: &Path) -> Result<(), FileError> {
        self.kernel.lock().unwrap().requests.remove(path).map(drop).ok_or_else(|| os(EINVAL))
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> Result<(), FileError> {
        let (dir, name) = parts(path);
        self.kernel.lock().unwrap().write(dir, name, bytes)
    }

    fn read(&self, path: &Path, max: usize) -> Result<Vec<u8>, FileError> {
        let (dir, name) = parts(path);
        let mut kernel = self.kernel.lock().unwrap();
        if let Some(meanwhile) = self.meanwhile.lock().unwrap().get_mut(name) {
            meanwhile(&mut kernel, dir);
        }
        let bytes = kernel.read(dir, name)?;
        if bytes.len() > max { Err(FileError::TooLarge) } else { Ok(bytes) }
    }
}

fn stand_in(provider: &'static str) -> StandIn {
    let platform = Arc::new(
        Platform::generate(Processor::Milan, Processor::Milan.ordinary_tcb(), 1_780_000_000).unwrap(),
    );
    let guest = platform.guest(Launch::of([1; 48])).unwrap();
    let kernel =
        Kernel { provider, guest, aux: Vec::new(), requests: HashMap::new(), failures: Vec::new(), made: 0 };
    StandIn { kernel: Arc::new(Mutex::new(kernel)), meanwhile: Arc::default() }
}

fn tsm(stand_in: &StandIn) -> Tsm<StandIn> {
    Tsm::new("/tsm", stand_in.clone()).with_pause(|_| ())
}

fn meanwhile(stand_in: &StandIn, name: &'static str, what: impl FnMut(&mut Kernel, &Path) + Send + 'static) {
    stand_in.meanwhile.lock().unwrap().insert(name, Box::new(what));
}

fn report_data(attestation: &Attestation) -> &[u8] {
    &attestation.evidence[0].bytes[0x50..0x90]
}

#[test]
fn a_report_carries_what_was_asked_and_leaves_nothing_behind() {
    let stand_in = stand_in("sev_guest");
    let attestation = tsm(&stand_in).with_privilege_level(1).report(&DATA).unwrap();
    assert_eq!(report_data(&attestation), DATA);
    assert_eq!(attestation.evidence[0].media_type, SNP_REPORT);
    assert!(stand_in.kernel.lock().unwrap().requests.is_empty());
}

#[test]
fn quotes_have_their_own_type() {
    let stand_in = stand_in("tdx_guest");
    let attestation = tsm(&stand_in).report(&DATA).unwrap();
    assert_eq!(attestation.evidence[0].media_type, TDX_QUOTE);
    assert!(attestation.endorsements.is_empty());
    let of_a_realm = tsm(&self::stand_in("arm_cca_guest")).report(&DATA).unwrap();
    assert_eq!(of_a_realm.evidence[0].media_type, CCA_TOKEN);
    // A provider without privilege levels has no such attribute.
    tsm(&stand_in).with_privilege_level(1).report(&DATA).unwrap_err();
}

/// Somebody writes another value between our write and our read: the report is theirs, and is not taken for ours.
#[test]
fn a_report_made_for_somebody_else_is_not_taken() {
    let stand_in = stand_in("sev_guest");
    let mut times = 3;
    meanwhile(&stand_in, "outblob", move |kernel, dir| {
        if times > 0 {
            times -= 1;
            kernel.write(dir, "inblob", &[9; 64]).unwrap();
        }
    });
    let attestation = tsm(&stand_in).report(&DATA).unwrap();
    assert_eq!(report_data(&attestation), DATA);
    assert_eq!(stand_in.kernel.lock().unwrap().made, 4, "three of theirs, one of ours");
}

/// The same after our read: the report is ours, but it cannot be told; it is made again.
#[test]
fn a_write_after_the_report_is_noticed_too() {
    let stand_in = stand_in("sev_guest");
    let mut times = 1;
    meanwhile(&stand_in, "auxblob", move |kernel, dir| {
        if times > 0 {
            times -= 1;
            kernel.write(dir, "inblob", &[9; 64]).unwrap();
        }
    });
    assert_eq!(report_data(&tsm(&stand_in).report(&DATA).unwrap()), DATA);
    assert_eq!(stand_in.kernel.lock().unwrap().made, 2);
}

#[test]
fn one_who_never_stops_writing_gets_no_report_out_of_us() {
    let stand_in = stand_in("sev_guest");
    meanwhile(&stand_in, "outblob", |kernel, dir| kernel.write(dir, "inblob", &[9; 64]).unwrap());
    let error = tsm(&stand_in).report(&DATA).unwrap_err().to_string();
    assert!(error.contains("8 tries") && error.contains("generation"), "{error}");
    assert!(stand_in.kernel.lock().unwrap().requests.is_empty());
}

#[test]
fn a_busy_tee_is_asked_again_and_a_broken_one_is_not() {
    let stand_in = stand_in("sev_guest");
    stand_in.kernel.lock().unwrap().failures = vec![EBUSY, EBUSY];
    assert_eq!(report_data(&tsm(&stand_in).report(&DATA).unwrap()), DATA);
    stand_in.kernel.lock().unwrap().failures = vec![EIO, EIO];
    let error = tsm(&stand_in).report(&DATA).unwrap_err();
    assert!(matches!(error, AttesterError::File { .. }), "{error}");
    assert_eq!(stand_in.kernel.lock().unwrap().failures.len(), 1, "asked once");
}

#[test]
fn leftovers_strangers_and_no_driver() {
    let ours = stand_in("sev_guest");
    let first = PathBuf::from(format!("/tsm/treering-{}-0", std::process::id()));
    ours.make_dir(&first).unwrap();
    assert_eq!(report_data(&tsm(&ours).report(&DATA).unwrap()), DATA);
    let error = tsm(&stand_in("some_other_guest")).report(&DATA).unwrap_err().to_string();
    assert!(error.contains("some_other_guest"), "{error}");
    tsm(&stand_in("")).report(&DATA).unwrap_err();
}

/// The real file operations, on ordinary files: what a kernel would do by itself is there before.
#[test]
fn linux_reads_and_writes_files() {
    let dir = tempfile::tempdir().unwrap();
    let made = dir.path().join("request");
    Linux.make_dir(&made).unwrap();
    assert!(matches!(Linux.make_dir(&made), Err(FileError::Exists)));
    let file = made.join("inblob");
    assert!(matches!(Linux.write(&file, b"x"), Err(FileError::Io(_))), "attributes are not created");
    std::fs::write(&file, b"").unwrap();
    Linux.write(&file, b"value").unwrap();
    assert_eq!(Linux.read(&file, 5).unwrap(), b"value");
    assert!(matches!(Linux.read(&file, 4), Err(FileError::TooLarge)));
    std::fs::remove_file(&file).unwrap();
    Linux.remove_dir(&made).unwrap();
    assert!(matches!(Linux.read(&made, 4), Err(FileError::Io(_))));
}

#[test]
fn a_quote_ends_where_it_says() {
    use crate::attester::simulated::intel::{IntelModel, IntelPlatform, Td, TdVersion};
    let platform = IntelPlatform::generate(IntelModel::default(), 1_772_323_200).unwrap();
    for version in [TdVersion::Four, TdVersion::Five] {
        let quote = platform.quote_td(&Td { version, ..Td::of([7; 48]) }, &[1; 64]).unwrap();
        let filled = [quote.clone(), vec![0; 70]].concat();
        assert_eq!(without_filling(filled), quote);
        assert_eq!(without_filling(quote.clone()), quote);
        let other = [quote.clone(), vec![1]].concat();
        assert_eq!(without_filling(other.clone()), other, "what is no filling is left to the Verifier");
    }
    for octets in [vec![], vec![4; 20], vec![0xff; 700], vec![5; 60]] {
        assert_eq!(without_filling(octets.clone()), octets);
    }
}
