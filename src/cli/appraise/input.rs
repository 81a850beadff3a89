//! The files that `treering appraise` reads.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use data_encoding::{BASE64, BASE64URL_NOPAD, HEXLOWER_PERMISSIVE};

use crate::collateral::Store;
use crate::verifier::{self, Collateral, Evidence, HardwareRoots};

/// Largest file read: evidence and policies have some KiB, event logs up to a MiB, reference values a few.
const MAX_FILE_BYTES: u64 = 16 * 1024 * 1024;
/// Files of one folder of collateral.
const MAX_FILES: usize = 256;
/// What is not given as `--kind` exactly as the Verifier names it.
const ALIASES: &[(&str, &str)] = &[("snp", "sev-snp"), ("nvidia", "nvidia-gpu")];

/// The binding value that evidence must carry.
pub(super) fn binding(text: &str) -> Result<[u8; 64]> {
    let bytes = HEXLOWER_PERMISSIVE.decode(text.as_bytes()).context("--report-data is not hex")?;
    let length = bytes.len();
    bytes.try_into().map_err(|_| anyhow!("--report-data has {length} octets, want 64"))
}

/// Evidence in a file, of a kind given or guessed, and the collateral that its envelope brings along.
pub(super) fn evidence(kind: Option<&str>, path: &Path, along: &[PathBuf]) -> Result<(Evidence, Collateral)> {
    let bytes = read(path)?;
    let kind =
        kind.map(|kind| ALIASES.iter().find(|(alias, _)| *alias == kind).map_or(kind, |(_, name)| name));
    if let Some(unknown) = kind.filter(|kind| !verifier::kinds().any(|(name, _)| name == *kind)) {
        let known: Vec<&str> = verifier::kinds().map(|(name, _)| name).collect();
        bail!("--kind {unknown}: there is no such kind; these there are: {}", known.join(", "));
    }
    let forms = [Some(bytes.clone()), decoded(&bytes)];
    let mut items = forms.into_iter().flatten().find_map(|octets| {
        let kind = kind.filter(|kind| verifier::is_of_kind(kind, &octets)).or_else(|| match kind {
            None => verifier::guess_kind(&octets),
            Some(_) => None,
        })?;
        let media_type = verifier::kinds().find(|(name, _)| *name == kind)?.1;
        Some(vec![(media_type.to_owned(), octets)])
    });
    if items.is_none() {
        // Nothing is recognised: the kind asked for, or the first, says why.
        let kind = kind.unwrap_or(verifier::SUBMOD_SNP);
        let media_type = verifier::kinds().find(|(name, _)| *name == kind).map(|(_, media_type)| media_type);
        items = media_type.map(|media_type| vec![(media_type.to_owned(), decoded(&bytes).unwrap_or(bytes))]);
    }
    let mut items = items.unwrap_or_default();
    for path in along {
        let of = items.first().and_then(|(media_type, _)| verifier::supplement_of(media_type));
        let of = of.with_context(|| format!("{}: nothing comes along with this kind", shown(path)))?;
        items.push((of.to_owned(), read(path)?));
    }
    let evidence = Evidence::new(items).with_context(|| shown(path))?;
    Ok((evidence, Collateral::default()))
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
        if let Some(entry) = store.entry(&wanted.name())? {
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
    let collateral = Collateral::read(&read(path)?).with_context(|| shown(path))?;
    if collateral.certificates().is_empty() {
        bail!("{}: no certificate", shown(path));
    }
    Ok(HardwareRoots::with_simulated(
        collateral.certificates().iter().map(|root| verifier::fingerprint(root)),
    ))
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
