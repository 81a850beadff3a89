//! Appraisal of TPM quotes: of hardware (where the folder of foreign vectors lies beside this repository), of a
//! software TPM where one is installed (`swtpm`), and of a simulated one, which can be made wrong in one point at a time.

use std::sync::LazyLock;

use data_encoding::HEXLOWER;
use proptest::prelude::*;
use sha2::{Digest, Sha256};
use treering::attester::simulated::tpm::{ATTESTATION_KEY_ATTRIBUTES, Attest, CertificateForm, Quote, Tpm};
use treering::attester::{self, Attester};
use treering::verifier::{
    self, AppraisalPolicy, Assurance, Collateral, Evidence, HardwareRoots, ReferenceValue, ReferenceValues,
    Registers, Status, open_vtpm_json,
};

use super::{Case, assert_affirming, assert_refused, failed, main, policy_of, read, vectors};

pub(crate) const NOW: u64 = 1_782_864_000;
const DAY: u64 = 86_400;
const BINDING: [u8; 64] = [0x5a; 64];
/// The sections that let a quote pass by itself.
const LENIENT: &str = "[tpm]\nrequire_reference_value = false\nrequire_secure_boot = false\n";

static TPM: LazyLock<Tpm> = LazyLock::new(|| Tpm::generate(NOW).unwrap());

fn case(quote: &Quote) -> Case {
    let collateral = Collateral::from_der(TPM.certificates().to_vec()).unwrap();
    let case = Case::of("simulated", verifier::TPM_QUOTE, quote.to_bytes().unwrap(), collateral, NOW);
    Case { roots: HardwareRoots::with_simulated([TPM.root_fingerprint()]), ..case }
}

fn attest() -> Attest {
    TPM.attest(&verifier::digest_of(verifier::TPM_BINDING_TAG, &BINDING))
}

/// A quote with the public area of its key.
pub(crate) fn example() -> Case {
    case(&TPM.quote_with_public(&attest()).unwrap())
}

/// A quote with nothing but the key.
fn plain() -> Case {
    case(&TPM.quote(&attest()).unwrap())
}

// --- hardware and software TPMs -----------------------------------------------------------------------------------

/// A quote of an Intel firmware TPM as Trustee recorded it, and the policy that names its key.
fn recorded() -> Option<Case> {
    let json = read(vectors()?.join("evidence/tpm/trustee/tpm_evidence.json"));
    let opened = open_vtpm_json(&json).unwrap();
    let document: serde_json::Value = serde_json::from_slice(&json).unwrap();
    let key = super::base64url(document["ak_public"].as_str().unwrap());
    let (media_type, octets) = opened.items[0].clone();
    let case = Case::of("trustee", &media_type, octets, Collateral::default(), NOW);
    Some(Case { policy: naming(&key), ..case })
}

fn naming(key: &[u8]) -> AppraisalPolicy {
    let key = HEXLOWER.encode(&Sha256::digest(key));
    policy_of(&format!("{LENIENT}[[tpm.attestation_key]]\nname = \"host 1\"\nspki_sha256 = \"{key}\"\n"))
}

#[test]
fn a_recorded_quote_is_genuine_where_the_policy_names_its_key() {
    let Some(case) = recorded() else { return };
    let appraisal = case.appraise();
    assert_affirming("trustee", &appraisal);
    assert_eq!(main(&appraisal).assurance(), Some(Assurance::Software));
    assert_eq!(main(&appraisal).vector().runtime_opaque, 0, "a TPM keeps nobody from reading memory");
    assert_eq!(main(&appraisal).vector().hardware, 0, "nobody but the policy vouches for the key");
    assert!(!appraisal.matches_binding(&BINDING), "its qualifying data are 64 octets of somebody else's");
    let unknown = Case { policy: policy_of(LENIENT), ..case };
    assert_refused(&unknown.appraise(), "endorsement");
}

#[test]
fn every_flipped_bit_of_a_recorded_quote_is_refused() {
    let Some(case) = recorded() else { return };
    super::no_flipped_bit_of_every_nth_octet_is_accepted(&case, 0..case.octets().len(), 7);
}

#[test]
#[ignore = "soak: every bit of a quote, half a minute"]
fn every_single_flipped_bit_of_a_recorded_quote_is_refused() {
    let Some(case) = recorded() else { return };
    super::no_flipped_bit_is_accepted(&case, 0..case.octets().len());
}

#[test]
fn the_octets_of_a_result_for_a_quote_are_pinned() {
    let Some(case) = recorded() else { return };
    let text = String::from_utf8(case.appraise().ear().to_vec()).unwrap();
    let text = text.replace(verifier::BUILD, "treering 0");
    assert_eq!(
        HEXLOWER.encode(&verifier::fingerprint(text.as_bytes())),
        "07e20512b3d2034a89ace1840c7d6da142fc361f4e16615747d1ce8976253a38"
    );
}

/// What Veraison's schemes carry is not enough: neither token has the registers, nor the key that signed.
#[test]
fn quotes_without_their_key_are_refused() {
    let Some(vectors) = vectors() else { return };
    let enacttrust = read(vectors.join("evidence/tpm/veraison-services/enacttrust-basic.token"));
    // UUID of the node, length of the attestation, attestation, signature.
    let (attest, signature) = enacttrust[18..].split_at(79);
    let quote = Quote {
        attest: attest.to_vec(),
        signature: signature.to_vec(),
        pcrs: [1, 2, 3, 4].map(|index| (index, vec![0; 32])).into(),
        key: Some(TPM.spki()),
        public: None,
        parent: None,
    };
    let appraisal = case(&quote).appraise();
    assert_refused(&appraisal, "quote-signature");
    assert!(failed(&appraisal).contains(&"pcr-digest"));

    let parsec = read(vectors.join("evidence/tpm/veraison-services/parsec-tpm-evidence.cbor"));
    let token: ciborium::Value = ciborium::from_reader(parsec.as_slice()).unwrap();
    let part = |of: &str, name: &str| {
        let field = |map: &ciborium::Value, name: &str| {
            let pairs = map.as_map().unwrap();
            pairs.iter().find(|(key, _)| key.as_text() == Some(name)).unwrap().1.clone()
        };
        field(&field(&token, of), name).into_bytes().unwrap()
    };
    let quote = Quote {
        attest: part("pat", "attestInfo"),
        signature: part("pat", "sig"),
        pcrs: [0, 1, 2].map(|index| (index, vec![0; 32])).into(),
        key: None,
        public: Some(part("kat", "pubArea")),
        parent: Some(vec![0x40, 0, 0, 0x0b]),
    };
    // Signed by the platform's key, which is named in it and not in it; the key beside it is the one that was certified.
    let appraisal = case(&quote).appraise();
    assert_refused(&appraisal, "quote-signature");
    assert_eq!(failed(&appraisal), ["quote-signature", "endorsement", "key-attributes"]);
    let certify = Quote { attest: part("kat", "certInfo"), ..quote };
    assert_refused(&case(&certify).appraise(), "quote-type");
}

/// The log of a Google machine, and a quote of the registers that it leads to.
fn with_log(log: &[u8], edit: impl FnOnce(&mut Tpm)) -> Case {
    let mut tpm = Tpm::generate(NOW).unwrap();
    for (index, digest) in sha256_events(&read_log(log)) {
        tpm.extend(index, &digest);
    }
    edit(&mut tpm);
    let quote = tpm.quote(&tpm.attest(&[])).unwrap();
    let items = [(verifier::TPM_QUOTE, quote.to_bytes().unwrap()), (verifier::TCG_EVENT_LOG, log.to_vec())];
    let collateral = Collateral::from_der(tpm.certificates().to_vec()).unwrap();
    Case {
        evidence: Evidence::new(items).unwrap(),
        collateral,
        roots: HardwareRoots::with_simulated([tpm.root_fingerprint()]),
        ..example()
    }
}

/// Where each event begins, its register, type, SHA-256 digest, and where its data begin and end: written down here a
/// second time, so that the reader under test does not test itself.
struct LoggedEvent {
    index: u8,
    kind: u32,
    digest: [u8; 32],
    data: std::ops::Range<usize>,
}

fn read_log(log: &[u8]) -> Vec<LoggedEvent> {
    let word = |at: usize| u32::from_le_bytes(log[at..at + 4].try_into().unwrap());
    let mut at = 32 + word(28) as usize;
    let mut events = Vec::new();
    while at < log.len() {
        let (index, kind, count) = (word(at), word(at + 4), word(at + 8));
        at += 12;
        let mut digest = [0; 32];
        for _ in 0..count {
            let algorithm = u16::from_le_bytes(log[at..at + 2].try_into().unwrap());
            let octets = match algorithm {
                4 => 20,
                0xb => 32,
                0xc => 48,
                other => panic!("algorithm {other}"),
            };
            if algorithm == 0xb {
                digest = log[at + 2..at + 34].try_into().unwrap();
            }
            at += 2 + octets;
        }
        let data = at + 4..at + 4 + word(at) as usize;
        at = data.end;
        events.push(LoggedEvent { index: u8::try_from(index).unwrap_or(u8::MAX), kind, digest, data });
    }
    events
}

fn sha256_events(events: &[LoggedEvent]) -> Vec<(u8, [u8; 32])> {
    events.iter().filter(|event| event.kind != 3).map(|event| (event.index, event.digest)).collect()
}

fn google_log() -> Option<Vec<u8>> {
    Some(read(vectors()?.join("evidence/tpm/dstack/tpm_eventlog.bin")))
}

#[test]
fn the_log_of_a_boot_must_lead_to_the_registers() {
    let Some(log) = google_log() else { return };
    let appraisal = with_log(&log, |_| {}).appraise();
    assert_affirming("log", &appraisal);
    let boot = &main(&appraisal).claims().unwrap()["boot"];
    assert_eq!(boot["events"], read_log(&log).len());
    assert_eq!(boot["secure_boot"], false, "as that machine was set up");
    // A register of the firmware that the log does not lead to.
    assert_refused(&with_log(&log, |tpm| tpm.extend(4, &[1; 32])).appraise(), "boot-log");
    // One that goes on being extended by what runs: the log says nothing of it.
    assert_affirming("later", &with_log(&log, |tpm| tpm.extend(10, &[1; 32])).appraise());
    // An event left out.
    let last = read_log(&log).last().map(|event| event.data.clone()).unwrap();
    let shorter = with_log(&log, |_| {});
    let mut items: Vec<_> =
        shorter.evidence.items().iter().map(|item| (item.media_type(), item.bytes().to_vec())).collect();
    items[1].1.truncate(last.start - 1);
    let shorter = Case { evidence: Evidence::new(items).unwrap(), ..shorter.clone() };
    assert_refused(&shorter.appraise(), "boot-log");
}

/// A log whose digests are right and whose words are not is worse than none.
#[test]
fn a_log_that_says_something_else_than_its_digests_is_refused() {
    let Some(log) = google_log() else { return };
    let case = with_log(&log, |_| {});
    let events = read_log(&log);
    // Types whose digest is over the data as they are: variables, separators, actions.
    let proven = |event: &&LoggedEvent| [4, 5, 7, 8, 0x8000_0001, 0x8000_0007].contains(&event.kind);
    let mut tried = 0;
    for event in events.iter().filter(proven).filter(|event| event.index < 8 && !event.data.is_empty()) {
        let mut changed = log.clone();
        changed[event.data.end - 1] ^= 1;
        let items = [(verifier::TPM_QUOTE, case.octets().to_vec()), (verifier::TCG_EVENT_LOG, changed)];
        let case = Case { evidence: Evidence::new(items).unwrap(), ..case.clone() };
        assert_refused(&case.appraise(), "boot-log");
        tried += 1;
    }
    assert!(tried > 10, "{tried}");
    let twice = [
        (verifier::TPM_QUOTE, case.octets().to_vec()),
        (verifier::TCG_EVENT_LOG, log.clone()),
        (verifier::TCG_EVENT_LOG, log),
    ];
    assert_refused(&Case { evidence: Evidence::new(twice).unwrap(), ..case }.appraise(), "boot-log");
}

/// A software TPM, spoken to in its own commands: `swtpm` over a UNIX socket in a folder of its own. It ends when the
/// connection does.
struct Swtpm {
    socket: std::os::unix::net::UnixStream,
    process: std::process::Child,
    _dir: tempfile::TempDir,
}

/// Tags, commands and handles of the TPM 2.0 Library, Part 2.
const NO_SESSIONS: u16 = 0x8001;
const SESSIONS: u16 = 0x8002;
const CREATE_PRIMARY: u32 = 0x131;
const QUOTE: u32 = 0x158;
const PCR_READ: u32 = 0x17e;
const PCR_EXTEND: u32 = 0x182;
const FLUSH_CONTEXT: u32 = 0x165;
const ENDORSEMENT: u32 = 0x4000_000b;
/// One session with an empty password, and its size.
const PASSWORD: [u8; 13] = [0, 0, 0, 9, 0x40, 0, 0, 9, 0, 0, 0, 0, 0];

fn sized(octets: &[u8]) -> Vec<u8> {
    [&u16::try_from(octets.len()).unwrap().to_be_bytes(), octets].concat()
}

/// Takes a TPM2B off the front.
fn take_sized(octets: &mut Vec<u8>) -> Vec<u8> {
    let rest = octets.split_off(2);
    let length = usize::from(u16::from_be_bytes(octets[..2].try_into().unwrap()));
    *octets = rest[length..].to_vec();
    rest[..length].to_vec()
}

impl Swtpm {
    /// Starts one; `None` where none is installed, but in CI one must be.
    fn start() -> Option<Self> {
        use std::process::{Command, Stdio};
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tpm");
        let started = Command::new("swtpm")
            .args(["socket", "--tpm2", "--flags", "not-need-init,startup-clear", "--terminate"])
            .arg("--tpmstate")
            .arg(format!("dir={}", dir.path().display()))
            .arg("--server")
            .arg(format!("type=unixio,path={}", path.display()))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let Ok(process) = started else {
            assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "swtpm is missing");
            eprintln!("skipped: swtpm is not installed");
            return None;
        };
        let connect = || std::os::unix::net::UnixStream::connect(&path).ok();
        let socket = (0..200).find_map(|_| {
            connect().or_else(|| {
                std::thread::sleep(std::time::Duration::from_millis(50));
                None
            })
        });
        let socket = socket.unwrap_or_else(|| panic!("swtpm does not open its socket within ten seconds"));
        socket.set_read_timeout(Some(std::time::Duration::from_mins(1))).unwrap();
        Some(Self { socket, process, _dir: dir })
    }

    /// One command; what follows the head of the response.
    fn command(&mut self, tag: u16, code: u32, parameters: &[u8]) -> Vec<u8> {
        use std::io::{Read, Write};
        let size = u32::try_from(10 + parameters.len()).unwrap();
        let head = [&tag.to_be_bytes()[..], &size.to_be_bytes(), &code.to_be_bytes()].concat();
        let command = [&head, parameters].concat();
        for _ in 0..10 {
            self.socket.write_all(&command).unwrap();
            let mut head = [0; 10];
            self.socket.read_exact(&mut head).unwrap();
            let size = u32::from_be_bytes(head[2..6].try_into().unwrap()) as usize;
            let mut rest = vec![0; size - 10];
            self.socket.read_exact(&mut rest).unwrap();
            match u32::from_be_bytes(head[6..].try_into().unwrap()) {
                0 => return rest,
                // TPM_RC_RETRY: it was busy, for instance testing an algorithm before its first use.
                0x922 => {}
                other => panic!("command {code:#x} fails with {other:#x}"),
            }
        }
        panic!("command {code:#x} is put off for ever");
    }

    /// Makes a primary key in the endorsement hierarchy: handle and TPMT_PUBLIC.
    fn primary(&mut self, template: &[u8]) -> (u32, Vec<u8>) {
        let parameters = [&ENDORSEMENT.to_be_bytes()[..], &PASSWORD, &[0, 4, 0, 0, 0, 0], &sized(template)];
        let parameters = [&parameters.concat()[..], &[0, 0, 0, 0, 0, 0]].concat();
        let mut response = self.command(SESSIONS, CREATE_PRIMARY, &parameters);
        let rest = response.split_off(4);
        let handle = u32::from_be_bytes(response.try_into().unwrap());
        // The size of the parameters comes before them.
        let mut rest = rest[4..].to_vec();
        (handle, take_sized(&mut rest))
    }

    fn extend(&mut self, index: u32, digest: &[u8; 32]) {
        let parameters = [&index.to_be_bytes()[..], &PASSWORD, &[0, 0, 0, 1, 0, 0xb], digest].concat();
        self.command(SESSIONS, PCR_EXTEND, &parameters);
    }

    fn register(&mut self, index: u8) -> Vec<u8> {
        let mut bitmap = [0; 3];
        bitmap[usize::from(index / 8)] = 1 << (index % 8);
        let response = self.command(NO_SESSIONS, PCR_READ, &[&[0, 0, 0, 1, 0, 0xb, 3][..], &bitmap].concat());
        // Update counter, the selection as read, the number of values.
        let mut values = response[4 + 4 + 2 + 1 + 3 + 4..].to_vec();
        take_sized(&mut values)
    }

    /// TPMS_ATTEST and TPMT_SIGNATURE over all registers of the SHA-256 bank.
    fn quote(&mut self, key: u32, extra_data: &[u8]) -> (Vec<u8>, Vec<u8>) {
        let scheme = 0x10_u16.to_be_bytes();
        let selection = [0, 0, 0, 1, 0, 0xb, 3, 0xff, 0xff, 0xff];
        let parameters =
            [&key.to_be_bytes()[..], &PASSWORD, &sized(extra_data), &scheme, &selection].concat();
        let mut response = self.command(SESSIONS, QUOTE, &parameters);
        let mut parameters = response.split_off(4);
        let size = u32::from_be_bytes(response.try_into().unwrap()) as usize;
        parameters.truncate(size);
        let attest = take_sized(&mut parameters);
        (attest, parameters)
    }
}

impl Drop for Swtpm {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// Public areas as a TPM is asked for them: attributes of an attestation key, and one scheme each.
fn templates() -> Vec<(&'static str, Vec<u8>)> {
    let head = |kind: u8, scheme: u8, hash: u8| {
        let attributes = ATTESTATION_KEY_ATTRIBUTES.to_be_bytes();
        [&[0, kind, 0, 0xb][..], &attributes, &[0, 0, 0, 0x10, 0, scheme, 0, hash]].concat()
    };
    let ecc = |hash: u8, curve: u8| [&head(0x23, 0x18, hash)[..], &[0, curve, 0, 0x10, 0, 0, 0, 0]].concat();
    let rsa = |scheme: u8, hash: u8| [&head(1, scheme, hash)[..], &[8, 0, 0, 0, 0, 0, 0, 0]].concat();
    vec![
        ("ECDSA P-256 with SHA-256", ecc(0xb, 3)),
        ("ECDSA P-384 with SHA-384", ecc(0xc, 4)),
        ("RSASSA with SHA-256", rsa(0x14, 0xb)),
        ("RSA-PSS with SHA-256", rsa(0x16, 0xb)),
        ("RSASSA with SHA-384", rsa(0x14, 0xc)),
    ]
}

/// A TPM that is not of our making: it quotes our binding value, by a key of each kind that is accepted.
#[test]
fn a_software_tpm_answers_our_challenge() {
    let Some(mut tpm) = Swtpm::start() else { return };
    tpm.extend(4, &[7; 32]);
    let register = Sha256::digest([[0; 32], [7; 32]].concat()).to_vec();
    for (scheme, template) in templates() {
        let (handle, public) = tpm.primary(&template);
        let digest = verifier::digest_of(verifier::TPM_BINDING_TAG, &BINDING);
        let (attest, signature) = tpm.quote(handle, &digest);
        let pcrs = (0..24).map(|index| (index, tpm.register(index))).collect();
        let parent = Some(ENDORSEMENT.to_be_bytes().to_vec());
        let quote = Quote { attest, signature, pcrs, key: None, public: Some(public), parent };
        // Nobody vouches for it, until the policy does.
        let unknown = Case { policy: policy_of(LENIENT), ..case(&quote) }.appraise();
        assert_eq!(failed(&unknown), ["endorsement"], "{scheme}");
        let key = HEXLOWER.encode(main(&unknown).machine().unwrap());
        let named = format!("{LENIENT}[[tpm.attestation_key]]\nname = \"swtpm\"\nspki_sha256 = \"{key}\"\n");
        let references = reference("pcr4", register.clone());
        let trusted = Case { policy: policy_of(&named), references, ..case(&quote) };
        let appraisal = trusted.appraise();
        assert_affirming(scheme, &appraisal);
        assert!(appraisal.matches_binding(&BINDING) && !appraisal.matches_binding(&[0; 64]), "{scheme}");
        assert_eq!(main(&appraisal).assurance(), Some(Assurance::Software));
        let signed = appraisal.checks().find(|check| check.name() == "quote-signature").unwrap();
        assert!(signed.detail().starts_with(scheme), "{}", signed.detail());
        super::no_flipped_bit_of_every_nth_octet_is_accepted(&trusted, 0..trusted.octets().len(), 97);
        tpm.command(NO_SESSIONS, FLUSH_CONTEXT, &handle.to_be_bytes());
    }
}

// --- one thing wrong at a time ------------------------------------------------------------------------------------

#[test]
fn a_simulated_quote_counts_where_its_root_is_pinned() {
    for case in [example(), plain()] {
        let appraisal = case.appraise();
        assert_affirming(&case.name, &appraisal);
        assert_eq!(main(&appraisal).assurance(), Some(Assurance::Simulated));
        assert!(appraisal.matches_binding(&BINDING) && !appraisal.matches_binding(&[0x5b; 64]));
        let vendors = Case { roots: HardwareRoots::vendors(), ..case };
        assert_refused(&vendors.appraise(), "root");
    }
    let attestation = TPM.report(&BINDING).unwrap();
    let evidence = Evidence::new(attestation.items()).unwrap();
    let collateral = Collateral::from_der(attestation.endorsements).unwrap();
    let appraisal = Case { evidence, collateral, ..example() }.appraise();
    assert_affirming("attester", &appraisal);
    assert!(appraisal.matches_binding(&BINDING));
    assert_eq!(attester::TPM_QUOTE, verifier::TPM_QUOTE);
}

#[test]
fn a_root_that_the_policy_names_makes_it_software() {
    let root = HEXLOWER.encode(&TPM.root_fingerprint());
    let policy = policy_of(&format!("{LENIENT}[[tpm.root]]\nname = \"maker\"\nsha256 = \"{root}\"\n"));
    let case = Case { policy, roots: HardwareRoots::vendors(), ..example() };
    let appraisal = case.appraise();
    assert_affirming("root", &appraisal);
    assert_eq!(main(&appraisal).assurance(), Some(Assurance::Software));
    assert_eq!(main(&appraisal).vector().hardware, 2, "a maker vouches for it");
    assert_eq!(main(&appraisal).vector().runtime_opaque, 0);
}

/// Signs what `edit` makes of the quote.
fn signed(edit: impl FnOnce(&mut Attest)) -> Case {
    let mut attest = attest();
    edit(&mut attest);
    case(&TPM.quote(&attest).unwrap())
}

/// Leaves the signed part and puts it together otherwise.
fn put_together(edit: impl FnOnce(&mut Quote)) -> Case {
    let mut quote = TPM.quote(&attest()).unwrap();
    edit(&mut quote);
    case(&quote)
}

#[test]
fn what_is_wrong_in_a_signed_quote_is_named() {
    let all = || vec![(0xb, vec![0xff; 3])];
    let cases: Vec<(&str, Case)> = vec![
        ("quote-type", signed(|attest| attest.magic = 0xff54_4348)),
        ("quote-type", signed(|attest| attest.kind = 0x8017)),
        ("quote-type", signed(|attest| attest.kind = 0x801a)),
        ("format", signed(|attest| attest.safe = 2)),
        ("format", signed(|attest| attest.selections = vec![(0xb, vec![0xff; 4])])),
        ("format", signed(|attest| attest.selections = vec![(0xb, vec![0xff; 3]); 9])),
        ("pcr-digest", signed(|attest| attest.pcr_digest[0] ^= 1)),
        ("pcr-digest", signed(|attest| attest.selections = vec![(0xc, vec![0xff; 3])])),
        ("pcr-digest", signed(|attest| attest.selections = [all(), vec![(0xc, vec![0; 3])]].concat())),
        ("pcr-digest", signed(|attest| attest.selections = vec![(0xb, vec![0xff, 0xff, 0x7f])])),
        ("pcr-digest", signed(|attest| attest.selections = Vec::new())),
        ("pcr-digest", put_together(|quote| quote.pcrs.get_mut(&3).unwrap()[0] ^= 1)),
        ("pcr-digest", put_together(|quote| drop(quote.pcrs.remove(&3)))),
        ("pcr-digest", put_together(|quote| quote.pcrs.get_mut(&3).unwrap().push(0))),
        ("format", put_together(|quote| drop(quote.pcrs.insert(24, vec![0; 32])))),
        ("format", put_together(|quote| quote.attest.push(0))),
        ("format", put_together(|quote| quote.signature.push(0))),
        ("format", put_together(|quote| quote.signature[1] = 0x1a)),
        ("format", put_together(|quote| quote.key = None)),
        ("format", put_together(|quote| quote.public = Some(TPM.public()))),
        ("quote-signature", put_together(|quote| quote.signature[3] = 0xc)),
        (
            "quote-signature",
            put_together(|quote| quote.signature = [&[0, 0x14, 0, 0xb, 1, 0][..], &[1; 256]].concat()),
        ),
        ("quote-signature", put_together(|quote| *quote.attest.last_mut().unwrap() ^= 1)),
        ("quote-key", put_together(|quote| quote.key.as_mut().unwrap().push(0))),
        ("quote-key", put_together(|quote| quote.key = Some(vec![0x30, 0]))),
    ];
    for (number, (check, case)) in cases.into_iter().enumerate() {
        let appraisal = case.appraise();
        assert!(failed(&appraisal).contains(&check), "{number}: {:?}", failed(&appraisal));
        assert_refused(&appraisal, check);
    }
}

#[test]
fn a_number_of_a_signature_has_one_form() {
    // r without its first octet, which no TPM of today leaves out, and with one more.
    let stretched = |edit: fn(&mut Vec<u8>)| {
        put_together(|quote| {
            let mut r = quote.signature[6..38].to_vec();
            let s = quote.signature[40..72].to_vec();
            edit(&mut r);
            let length = u16::try_from(r.len()).unwrap().to_be_bytes();
            quote.signature = [&quote.signature[..4], &length, &r, &[0, 32], &s].concat();
        })
    };
    assert_affirming("as it is", &stretched(|_| {}).appraise());
    assert_refused(&stretched(|r| r.insert(0, 0)).appraise(), "quote-signature");
    assert_refused(
        &stretched(|r| {
            r.remove(0);
        })
        .appraise(),
        "quote-signature",
    );
}

#[test]
fn another_encoding_of_the_container_is_refused() {
    let octets = example().octets().to_vec();
    // The map's head in a longer form, indefinite, and with a key too many.
    let pairs = octets[0] & 0x1f;
    let long = [&[0xb8, pairs], &octets[1..]].concat();
    assert_refused(&example().with_octets(long).appraise(), "canonical");
    let indefinite = [&[0xbf], &octets[1..], &[0xff]].concat();
    assert_refused(&example().with_octets(indefinite).appraise(), "canonical");
    let more = [&[0xa0 | (pairs + 1)], &octets[1..], &[0x69], &b"unknownxx"[..], &[0]].concat();
    assert_refused(&example().with_octets(more).appraise(), "format");
    let trailing = [octets.as_slice(), &[0]].concat();
    assert_refused(&example().with_octets(trailing).appraise(), "canonical");
}

#[test]
fn the_attributes_of_the_key_are_bound_and_judged() {
    // Every attribute that must be set, left out; and one that must not be.
    for attributes in [1 << 1, 1 << 4, 1 << 5, 1 << 16, 1 << 18]
        .map(|bit| ATTESTATION_KEY_ATTRIBUTES & !bit)
        .into_iter()
        .chain([ATTESTATION_KEY_ATTRIBUTES | 1 << 17])
    {
        let mut tpm = Tpm::generate(NOW).unwrap();
        tpm.set_attributes(attributes);
        let quote = tpm.quote_with_public(&tpm.attest(&[])).unwrap();
        let case = Case {
            collateral: Collateral::from_der(tpm.certificates().to_vec()).unwrap(),
            roots: HardwareRoots::with_simulated([tpm.root_fingerprint()]),
            ..case(&quote)
        };
        assert_eq!(failed(&case.appraise()), ["key-attributes"], "{attributes:#x}");
    }
    // Whoever has the quote cannot say something else of the key, nor of its parent.
    let quote = TPM.quote_with_public(&attest()).unwrap();
    let mut public = TPM.public();
    public[7] |= 0x80;
    let other = Quote { public: Some(public), ..quote.clone() };
    assert_refused(&case(&other).appraise(), "key-attributes");
    let other = Quote { parent: Some(vec![0x40, 0, 0, 1]), ..quote.clone() };
    assert_refused(&case(&other).appraise(), "key-attributes");
    let other = Quote { parent: Some(vec![0; 5]), ..quote };
    assert_refused(&case(&other).appraise(), "key-attributes");
}

#[test]
fn certificates_of_the_key_are_judged() {
    let with = |form: &CertificateForm, now: u64| {
        let certificates = vec![TPM.certificates()[0].clone(), TPM.certificate(form).unwrap()];
        Case { collateral: Collateral::from_der(certificates).unwrap(), now, ..plain() }.appraise()
    };
    let good = CertificateForm::ordinary(NOW - DAY, NOW + DAY);
    assert_affirming("good", &with(&good, NOW));
    assert_refused(&with(&good, NOW + 2 * DAY), "validity");
    assert_refused(&with(&CertificateForm { from: NOW + 60, ..good }, NOW), "validity");
    assert_refused(&with(&CertificateForm { usage: 0x04, ..good }, NOW), "endorsement");
    assert_refused(&with(&CertificateForm { authority: true, ..good }, NOW), "endorsement");
    assert_refused(&with(&CertificateForm { critical: true, ..good }, NOW), "endorsement");
    let collateral = |certificates: Vec<Vec<u8>>| Collateral::from_der(certificates).unwrap();
    let [root, own] = TPM.certificates().clone();
    let other = Tpm::generate(NOW).unwrap();
    let [other_root, other_key] = other.certificates().clone();
    for (check, certificates) in [
        ("endorsement", vec![]),
        ("endorsement", vec![root.clone()]),
        ("endorsement", vec![root, other_key]),
        ("chain", vec![own.clone()]),
        // The names are the same, the key is not.
        ("chain", vec![own, other_root]),
    ] {
        let case = Case { collateral: collateral(certificates), ..plain() };
        assert_refused(&case.appraise(), check);
    }
}

// --- what the policy asks -----------------------------------------------------------------------------------------

fn reference(register: &str, octets: Vec<u8>) -> ReferenceValues {
    let registers = Registers::from([(register.to_owned(), octets)]);
    let value =
        ReferenceValue { name: "image".to_owned(), tee: "tpm".to_owned(), registers, source: [1; 32] };
    ReferenceValues::new(vec![value]).unwrap()
}

#[test]
fn registers_are_found_among_the_reference_values() {
    let matching = Case { references: reference("pcr4", vec![0; 32]), ..example() };
    let appraisal = matching.appraise();
    assert_affirming("pcr4", &appraisal);
    assert_eq!(main(&appraisal).vector().executables, 3);
    assert_eq!(main(&appraisal).reference().unwrap().name, "image");
    let other = Case { references: reference("pcr4", vec![1; 32]), ..example() };
    assert_refused(&other.appraise(), "reference-value");
    assert_eq!(main(&other.appraise()).vector().executables, 33);
    for (register, octets) in [("pcr24", 32), ("pcr04", 32), ("pcr4", 20), ("measurement", 48)] {
        let registers = Registers::from([(register.to_owned(), vec![0; octets])]);
        let value =
            ReferenceValue { name: "x".to_owned(), tee: "tpm".to_owned(), registers, source: [1; 32] };
        ReferenceValues::new(vec![value]).unwrap_err();
    }
}

#[test]
fn the_policy_of_quotes_is_kept() {
    let with = |text: &str| {
        let policy = policy_of(&format!("[tpm]\n{text}"));
        Case { policy, ..example() }.appraise()
    };
    let lenient = "require_reference_value = false\nrequire_secure_boot = false\n";
    assert_affirming("lenient", &with(lenient));
    assert_eq!(failed(&with("")), ["secure-boot", "reference-value"], "strict by default");
    assert_eq!(failed(&with("require_secure_boot = false\n")), ["reference-value"]);
    assert_eq!(failed(&with("require_reference_value = false\n")), ["secure-boot"]);
    assert_eq!(failed(&with(&format!("{lenient}pcr_bank = \"sha384\"\n"))), ["pcr-digest"]);
    let key = HEXLOWER.encode(&Sha256::digest(TPM.spki()));
    let machine =
        |key: &str| format!("{lenient}[[tpm.machine]]\nname = \"rack 7\"\nspki_sha256 = \"{key}\"\n");
    let appraisal = with(&machine(&key));
    assert_affirming("machine", &appraisal);
    assert_eq!(main(&appraisal).vector().instance_identity, 2);
    assert_eq!(main(&appraisal).machine().unwrap(), Sha256::digest(TPM.spki()).as_slice());
    let appraisal = with(&machine(&"00".repeat(32)));
    assert_eq!(failed(&appraisal), ["machine"]);
    assert_eq!(main(&appraisal).vector().instance_identity, 97);
    for text in [
        "[tpm]\nextra = 1",
        "[tpm]\npcr_bank = \"sha1\"",
        "[[tpm.root]]\nname = \"x\"\nsha256 = \"00\"",
        "[[tpm.attestation_key]]\nname = \"x\"",
        &format!("[[tpm.machine]]\nname = \"a\"\nspki_sha256 = \"{key}\"\n").repeat(2),
    ] {
        AppraisalPolicy::parse(format!("version = 1\nname = \"t\"\n{text}").as_bytes()).unwrap_err();
    }
}

#[test]
fn a_waiver_of_secure_boot_shows() {
    let policy = policy_of(
        "[tpm]\nrequire_reference_value = false\n[[waiver]]\ncheck = \"secure-boot\"\nkind = \"tpm\"\nreason = \"r\"\nuntil = \"2030-01-01T00:00:00Z\"\n",
    );
    let appraisal = Case { policy, ..example() }.appraise();
    assert_eq!(appraisal.refusal(), None);
    assert_eq!(appraisal.status(), Status::Warning);
}

/// A small log with SHA-256 digests alone, and the registers that it leads to: register, type, data.
fn small_log(events: &[(u32, u32, Vec<u8>)]) -> Vec<u8> {
    let spec = [&b"Spec ID Event03\0"[..], &[0, 0, 0, 0, 0, 2, 0, 2, 1, 0, 0, 0, 0xb, 0, 32, 0, 0]].concat();
    let sized = |data: &[u8]| [&u32::try_from(data.len()).unwrap().to_le_bytes(), data].concat();
    let mut out = [&[0, 0, 0, 0, 3, 0, 0, 0][..], &[0; 20], &sized(&spec)].concat();
    for (index, kind, data) in events {
        out.extend([index.to_le_bytes(), kind.to_le_bytes(), 1_u32.to_le_bytes()].concat());
        out.extend([&[0xb, 0][..], &Sha256::digest(data), &sized(data)].concat());
    }
    out
}

/// The variable SecureBoot as firmware measures it; `vendor` is the first octet of its GUID, 0x61 of UEFI's own.
fn secure_boot_variable(vendor: u8, on: u8) -> (u32, u32, Vec<u8>) {
    let guid =
        [vendor, 0xdf, 0xe4, 0x8b, 0xca, 0x93, 0xd2, 0x11, 0xaa, 0x0d, 0x00, 0xe0, 0x98, 0x03, 0x2b, 0x8c];
    let name: Vec<u8> = "SecureBoot".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let data = [&guid[..], &[10, 0, 0, 0, 0, 0, 0, 0], &[1, 0, 0, 0, 0, 0, 0, 0], &name, &[on]].concat();
    (7, 0x8000_0001, data)
}

/// Secure boot is what the log proves, of the variable that the firmware measured.
#[test]
fn secure_boot_is_proven_by_the_log() {
    let (on, off) = (secure_boot_variable(0x61, 1), secure_boot_variable(0x61, 0));
    let elsewhere = (1, on.1, on.2.clone());
    let separator = (7, 4, vec![0; 4]);
    for (proven, events) in [
        (Some(true), vec![on.clone(), separator.clone()]),
        (Some(false), vec![off.clone(), separator.clone()]),
        (Some(false), vec![on.clone(), off.clone()]),
        (Some(false), vec![off, on]),
        (None, vec![secure_boot_variable(0x62, 1)]),
        (None, vec![elsewhere]),
        (None, vec![separator]),
    ] {
        let case = with_log(&small_log(&events), |_| {});
        let strict = Case { policy: policy_of("[tpm]\nrequire_reference_value = false\n"), ..case.clone() };
        assert_affirming("not required", &case.appraise());
        let claim = main(&case.appraise()).claims().unwrap()["boot"]["secure_boot"].as_bool();
        assert_eq!(claim, proven, "{events:?}");
        match proven {
            Some(true) => assert_affirming("required", &strict.appraise()),
            Some(false) | None => assert_eq!(failed(&strict.appraise()), ["secure-boot"]),
        }
    }
}

#[test]
fn an_envelope_that_is_none_is_refused() {
    for text in ["", "{}", "[]", "{\"tpm_quote\":{\"message\":\"\",\"signature\":\"\",\"pcrs\":[]}}"] {
        open_vtpm_json(text.as_bytes()).unwrap_err();
    }
    open_vtpm_json(&vec![b' '; 2_000_000]).unwrap_err();
}

proptest! {
    #[test]
    fn no_octets_as_quote_panic_or_pass(octets in prop::collection::vec(any::<u8>(), 0..600)) {
        prop_assert!(example().with_octets(octets).appraise().refusal().is_some());
    }

    #[test]
    fn no_overwritten_quote_panics_or_passes(at in 0..1500_usize, octets in prop::collection::vec(any::<u8>(), 1..40)) {
        let case = example();
        let mut changed = case.octets().to_vec();
        let at = at % changed.len();
        for (to, from) in changed[at..].iter_mut().zip(&octets) {
            *to = *from;
        }
        let same = changed == case.octets();
        prop_assert_eq!(case.with_octets(changed).appraise().refusal().is_none(), same);
    }

    #[test]
    fn no_octets_as_log_panic_or_pass(octets in prop::collection::vec(any::<u8>(), 0..300)) {
        let items = [(verifier::TPM_QUOTE, example().octets().to_vec()), (verifier::TCG_EVENT_LOG, octets)];
        let case = Case { evidence: Evidence::new(items).unwrap(), ..example() };
        prop_assert!(case.appraise().refusal().is_some());
    }

    #[test]
    fn no_text_as_envelope_panics(text in "\\PC{0,200}") {
        drop(open_vtpm_json(text.as_bytes()));
    }
}
