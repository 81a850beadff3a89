//! A simulated platform in a folder: three certificates, a CRL, three keys (mode 0600), and what the chip is.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use data_encoding::{BASE64, HEXLOWER};
use serde::{Deserialize, Serialize};
use treering_provenance::x509::Profile;
use zeroize::Zeroizing;

use super::keys::{ReportKey, RsaKey};
use super::{Platform, Processor, SimulatedTcb};
use crate::attester::AttesterError;

/// The CRL's name.
const CRL: &str = "ark.crl";
/// The form of `platform.json`; another one is refused.
const VERSION: u32 = 1;
/// Largest file of a platform: a key of 4096 bits has 3.3 KiB in PEM.
const MAX_FILE_BYTES: u64 = 64 * 1024;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Description {
    version: u32,
    simulated: bool,
    processor: Processor,
    tcb: SimulatedTcb,
    hardware_id: String,
}

/// Writes a platform into a folder that may not hold one yet.
pub(super) fn save(platform: &Platform, dir: &Path) -> Result<(), AttesterError> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(|source| file(dir, source))?;
    let description = Description {
        version: VERSION,
        simulated: true,
        processor: platform.processor,
        tcb: platform.tcb,
        hardware_id: HEXLOWER.encode(&platform.hardware_id),
    };
    let description = serde_json::to_vec_pretty(&description)
        .map_err(|error| content(&dir.join("platform.json"), error.to_string()))?;
    // Keys first, the description last: a folder with a description is whole.
    write_key(&dir.join("ark.key"), &platform.root_key.to_pkcs8()?)?;
    write_key(&dir.join("ask.key"), &platform.issuer_key.to_pkcs8()?)?;
    write_key(&dir.join("vcek.key"), &platform.report_key.to_pkcs8()?)?;
    for (name, der) in ["ark.pem", "ask.pem", "vcek.pem"].iter().zip(&platform.certificates) {
        write(&dir.join(name), 0o644, pem("CERTIFICATE", der).as_bytes())?;
    }
    write(&dir.join(CRL), 0o644, pem("X509 CRL", &platform.revocation_list).as_bytes())?;
    write(&dir.join("platform.json"), 0o644, &description)
}

/// Reads what [`save`] wrote.
pub(super) fn load(dir: &Path) -> Result<Platform, AttesterError> {
    let path = dir.join("platform.json");
    let description: Description =
        serde_json::from_slice(&read(&path)?).map_err(|error| content(&path, error.to_string()))?;
    if description.version != VERSION || !description.simulated {
        let got = description.version;
        return Err(content(&path, format!("platform version {got}, want {VERSION}, simulated")));
    }
    let hardware_id = HEXLOWER.decode(description.hardware_id.as_bytes()).unwrap_or_default();
    if hardware_id.len() != description.processor.hardware_id_bytes() {
        return Err(content(&path, "hardware_id is not hex of the right length".to_owned()));
    }
    let root_key = read_key(&dir.join("ark.key"), RsaKey::from_pkcs8)?;
    let vcek = read_pem(&dir.join("vcek.pem"), "CERTIFICATE")?;
    let list = dir.join(CRL);
    // Folders of before there were CRLs in them have none: theirs is made each time, and is as long.
    let revocation_list = if list.exists() {
        read_pem(&list, "X509 CRL")?.to_vec()
    } else {
        let of_vcek =
            Profile::parse(&vcek).map_err(|error| content(&dir.join("vcek.pem"), error.to_string()))?;
        let (from, _) = of_vcek.validity();
        super::certificates::revocation_list(&root_key, description.processor, from)?
    };
    Ok(Platform {
        processor: description.processor,
        tcb: description.tcb,
        hardware_id,
        root_key,
        issuer_key: read_key(&dir.join("ask.key"), RsaKey::from_pkcs8)?,
        report_key: read_key(&dir.join("vcek.key"), ReportKey::from_pkcs8)?,
        certificates: [
            read_pem(&dir.join("ark.pem"), "CERTIFICATE")?.to_vec(),
            read_pem(&dir.join("ask.pem"), "CERTIFICATE")?.to_vec(),
            vcek.to_vec(),
        ],
        revocation_list,
    })
}

fn write_key(path: &Path, pkcs8: &[u8]) -> Result<(), AttesterError> {
    let text = Zeroizing::new(pem("PRIVATE KEY", pkcs8));
    write(path, 0o600, text.as_bytes())
}

fn write(path: &Path, mode: u32, bytes: &[u8]) -> Result<(), AttesterError> {
    let mut out = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path)
        .map_err(|source| file(path, source))?;
    out.write_all(bytes).and_then(|()| out.sync_all()).map_err(|source| file(path, source))
}

fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, AttesterError> {
    let length = fs::metadata(path).map_err(|source| file(path, source))?.len();
    if length > MAX_FILE_BYTES {
        return Err(content(path, format!("at most {MAX_FILE_BYTES} octets, got {length}")));
    }
    fs::read(path).map(Zeroizing::new).map_err(|source| file(path, source))
}

fn read_key<K>(path: &Path, parse: fn(&[u8]) -> Option<K>) -> Result<K, AttesterError> {
    let der = read_pem(path, "PRIVATE KEY")?;
    parse(&der).ok_or_else(|| content(path, "not a private key (PKCS #8) of the right kind".to_owned()))
}

fn read_pem(path: &Path, label: &str) -> Result<Zeroizing<Vec<u8>>, AttesterError> {
    let bytes = read(path)?;
    let text = std::str::from_utf8(&bytes).unwrap_or_default();
    let (begin, end) = (format!("-----BEGIN {label}-----"), format!("-----END {label}-----"));
    let body = text.trim().strip_prefix(&begin).and_then(|rest| rest.strip_suffix(&end));
    let body = body.ok_or_else(|| content(path, format!("want one PEM block {label}")))?;
    let body: Zeroizing<Vec<u8>> =
        Zeroizing::new(body.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect());
    let der = BASE64.decode(&body).map_err(|_| content(path, "the PEM block is not base64".to_owned()))?;
    Ok(Zeroizing::new(der))
}

pub(super) fn pem(label: &str, der: &[u8]) -> String {
    let mut out = format!("-----BEGIN {label}-----\n");
    // Written in one go: no second copy of a key is left behind.
    let mut spec = data_encoding::Specification::new();
    spec.symbols.push_str("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/");
    spec.padding = Some('=');
    spec.wrap.width = 64;
    spec.wrap.separator.push('\n');
    match spec.encoding() {
        Ok(wrapped) => out.push_str(&wrapped.encode(der)),
        Err(_) => out.push_str(&BASE64.encode(der)),
    }
    out.push_str("-----END ");
    out.push_str(label);
    out.push_str("-----\n");
    out
}

fn file(path: &Path, source: std::io::Error) -> AttesterError {
    AttesterError::File { path: path.to_owned(), source }
}

fn content(path: &Path, reason: String) -> AttesterError {
    AttesterError::Content { path: path.to_owned(), reason }
}
