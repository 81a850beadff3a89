//! A software TPM that is not of our making: `swtpm`, spoken to in its own commands.

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};
use treering::attester::simulated::tpm::{ATTESTATION_KEY_ATTRIBUTES, Quote};
use treering::verifier::{self, Assurance};

use super::{BINDING, LENIENT, case, reference};
use crate::verifier::{Case, assert_affirming, failed, main, policy_of};

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
            // Past the capture of what tests print.
            std::io::Write::write_all(&mut std::io::stderr(), b"skipped: swtpm is not installed\n").unwrap();
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
        crate::verifier::no_flipped_bit_of_every_nth_octet_is_accepted(
            &trusted,
            0..trusted.octets().len(),
            97,
        );
        tpm.command(NO_SESSIONS, FLUSH_CONTEXT, &handle.to_be_bytes());
    }
}
