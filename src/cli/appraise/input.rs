//! The files that `treering appraise` reads.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use data_encoding::{BASE64, BASE64URL_NOPAD, HEXLOWER_PERMISSIVE};

use crate::collateral::Store;
use crate::verifier::{self, Collateral, Evidence, HardwareRoots};
use crate::wire::read_cmw;

/// Largest file read: evidence and policies have some KiB, event logs up to a MiB, reference values a few.
const MAX_FILE_BYTES: u64 = 16 * 1024 * 1024;
/// Files of one folder of collateral.
const MAX_FILES: usize = 256;
/// The form that holds evidence of any kinds.
const CMW: &str = "cmw";
/// What is not given as `--kind` exactly as the Verifier names it.
const ALIASES: &[(&str, &str)] = &[("snp", "sev-snp"), ("nvidia", "nvidia-gpu")];

/// The binding value that evidence must carry.
pub(super) fn binding(text: &str) -> Result<[u8; 64]> {
    let bytes = HEXLOWER_PERMISSIVE.decode(text.as_bytes()).context("--report-data is not hex")?;
    let length = bytes.len();
    bytes.try_into().map_err(|_| anyhow!("--report-data has {length} octets, want 64"))
}

/// Media type and octets.
type Item = (String, Vec<u8>);

/// Evidence in a file, of a kind given or guessed, and the collateral that its envelope brings along.
pub(super) fn evidence(kind: Option<&str>, path: &Path, along: &[PathBuf]) -> Result<(Evidence, Collateral)> {
    let bytes = read(path)?;
    let kind =
        kind.map(|kind| ALIASES.iter().find(|(alias, _)| *alias == kind).map_or(kind, |(_, name)| name));
    let is_kind = |kind: &str| verifier::kinds().any(|(name, _)| name == kind);
    if let Some(unknown) = kind.filter(|kind| *kind != CMW && !is_kind(kind)) {
        let known: Vec<&str> = verifier::kinds().map(|(name, _)| name).collect();
        bail!("--kind {unknown}: there is no such kind; these there are: {}, {CMW}", known.join(", "));
    }
    if kind == Some(CMW) {
        return read_cmw(&bytes).map_err(|reason| anyhow!("{}: {reason}", shown(path)));
    }
    let (mut items, collateral) = match plain(kind, &bytes) {
        Some(item) => (vec![item], Collateral::default()),
        None => match envelope(kind, &bytes)? {
            Some(opened) => opened,
            // Nothing is recognised: the kind asked for, or the first, says why.
            None => (vec![(media_type(kind.unwrap_or(verifier::SUBMOD_SNP)), bytes)], Collateral::default()),
        },
    };
    for path in along {
        let of = items.first().and_then(|(media_type, _)| verifier::supplement_of(media_type));
        let of = of.with_context(|| format!("{}: nothing comes along with this kind", shown(path)))?;
        items.push((of.to_owned(), read(path)?));
    }
    Ok((Evidence::new(items).with_context(|| shown(path))?, collateral))
}

/// The octets of a kind as its platform gives them, or the same in hex or base64.
fn plain(kind: Option<&str>, bytes: &[u8]) -> Option<Item> {
    [Some(bytes.to_vec()), decoded(bytes)].into_iter().flatten().find_map(|mut octets| {
        // A quoting library's buffer is larger than the quote in it.
        if let Some(length) = verifier::intel_quote_length(&octets) {
            octets.truncate(length);
        }
        let kind = match kind {
            Some(kind) => Some(kind).filter(|kind| verifier::is_of_kind(kind, &octets)),
            None => verifier::guess_kind(&octets),
        };
        kind.map(|kind| (media_type(kind), octets))
    })
}

/// What other tools write around evidence: Trustee and attestation-rs, NVIDIA's SDK, a CMW.
fn envelope(kind: Option<&str>, bytes: &[u8]) -> Result<Option<(Vec<Item>, Collateral)>> {
    let fits = |media_type: &str| kind.is_none_or(|kind| self::media_type(kind) == media_type);
    if let Ok(opened) = verifier::open_vtpm_json(bytes) {
        return Ok(Some((opened.items, Collateral::from_der(opened.certificates)?)));
    }
    if let Ok(devices) = verifier::read_nvidia_export(bytes) {
        let devices = devices.into_iter().filter(|(media_type, _)| fits(media_type));
        let items = devices.map(|(media_type, octets)| (media_type.to_owned(), octets)).collect();
        return Ok(Some((items, Collateral::default())));
    }
    let Ok((evidence, collateral)) = read_cmw(bytes) else { return Ok(None) };
    let items = evidence.items().iter();
    Ok(Some((items.map(|item| (item.media_type().to_owned(), item.bytes().to_vec())).collect(), collateral)))
}

fn media_type(kind: &str) -> String {
    verifier::kinds()
        .find(|(name, _)| *name == kind)
        .map_or(String::new(), |(_, media_type)| media_type.to_owned())
}

/// The octets behind hex or base64; none where it is neither. Evidence itself is never text of either kind.
fn decoded(bytes: &[u8]) -> Option<Vec<u8>> {
    let text: Vec<u8> = bytes.iter().copied().filter(|octet| !octet.is_ascii_whitespace()).collect();
    if text.is_empty() {
        return None;
    }
    let hex = HEXLOWER_PERMISSIVE.decode(&text).ok();
    hex.or_else(|| BASE64.decode(&text).ok()).or_else(|| BASE64URL_NOPAD.decode(&text).ok())
}

/// All collateral: what the evidence brought, and every file, also those in folders.
pub(super) fn collateral<'a>(
    evidence: &Evidence,
    brought: Collateral,
    paths: impl Iterator<Item = &'a PathBuf>,
) -> Result<Collateral> {
    let mut all = brought;
    for path in paths {
        if path.join("objects").is_dir() && path.join("names").is_dir() {
            all = stored(evidence, all, path)?;
            continue;
        }
        for file in files(path)? {
            let bytes = read(&file)?;
            let more = Collateral::read(&bytes).or_else(|first| {
                // A CRL in DER is no certificate; the complaint about the certificate says more.
                Collateral::read_crl(&bytes).ok().filter(|_| is_crl(&file)).ok_or(first)
            });
            all = all.merged(more.with_context(|| shown(&file))?).with_context(|| shown(&file))?;
        }
    }
    Ok(all)
}

/// What the evidence calls for, from a store of collateral.
fn stored(evidence: &Evidence, given: Collateral, store: &Path) -> Result<Collateral> {
    let store = Store::open(store)?;
    let mut all = given;
    for wanted in verifier::wanted(evidence) {
        if let Some(entry) = store.entry_of(&wanted)? {
            all = all.merged(store.snapshot(&entry)?)?;
        }
    }
    Ok(all)
}

fn is_crl(path: &Path) -> bool {
    path.to_string_lossy().to_ascii_lowercase().contains("crl")
}

/// The file, or the files of a folder in the order of their names.
fn files(path: &Path) -> Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let entries = std::fs::read_dir(path).with_context(|| shown(path))?;
    let mut files: Vec<PathBuf> = Vec::new();
    for entry in entries {
        let entry = entry.with_context(|| shown(path))?.path();
        if entry.is_file() {
            files.push(entry);
        }
        if files.len() > MAX_FILES {
            bail!("{}: more than {MAX_FILES} files", shown(path));
        }
    }
    files.sort();
    Ok(files)
}

/// The roots of simulated platforms in a file.
pub(super) fn simulated_roots(path: &Path) -> Result<HardwareRoots> {
    let octets = read(path)?;
    // One certificate in DER, or several things in PEM.
    if let Ok(collateral) = Collateral::from_der([octets.clone()]) {
        let roots = collateral.certificates().iter();
        return Ok(HardwareRoots::with_simulated(roots.map(|root| verifier::fingerprint(root))));
    }
    let pins = super::super::service::pinned(&octets).with_context(|| shown(path))?;
    Ok(HardwareRoots::with_simulated(pins))
}

/// A file of bearable size.
pub(super) fn read(path: &Path) -> Result<Vec<u8>> {
    let length = std::fs::metadata(path).with_context(|| shown(path))?.len();
    if length > MAX_FILE_BYTES {
        bail!("{}: at most {MAX_FILE_BYTES} octets, got {length}", shown(path));
    }
    std::fs::read(path).with_context(|| shown(path))
}

/// A path for people.
pub(super) fn shown(path: &Path) -> String {
    path.display().to_string()
}
