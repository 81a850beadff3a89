//! The files that `treering appraise` reads.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use data_encoding::{BASE64, BASE64URL_NOPAD, HEXLOWER, HEXLOWER_PERMISSIVE};

use crate::collateral::Store;
use crate::verifier::{self, Collateral, Evidence, HardwareRoots};
use crate::wire::read_cmw;

/// Largest file read: evidence and policies have some KiB, event logs up to a MiB, reference values a few.
const MAX_FILE_BYTES: u64 = 16 * 1024 * 1024;
/// Files of one folder of collateral.
const MAX_FILES: usize = 256;
/// The form that holds evidence of any kinds.
const CMW: &str = "cmw";
/// What is not given as `--kind` exactly as the Verifier names it: a device of NVIDIA's is of either class.
const ALIASES: &[(&str, &[&str])] =
    &[("snp", &["sev-snp"]), ("nvidia", &["nvidia-gpu", "nvidia-switch"]), (CMW, &[])];

/// The binding value that evidence must carry.
pub(super) fn binding(text: &str) -> Result<[u8; 64]> {
    let bytes = HEXLOWER_PERMISSIVE.decode(text.as_bytes()).context("--report-data is not hex")?;
    let length = bytes.len();
    bytes.try_into().map_err(|_| anyhow!("--report-data has {length} octets, want 64"))
}

/// Media type and octets.
type Item = (String, Vec<u8>);

/// What `--kind` says.
struct Asked {
    /// As it was given.
    word: Option<String>,
    /// The kinds that it allows: all, where nothing or a collection is asked for.
    kinds: Vec<&'static str>,
}

impl Asked {
    fn of(word: Option<&str>) -> Result<Self> {
        let known: Vec<&'static str> = verifier::kinds().map(|(name, _)| name).collect();
        let named = |word: &str| {
            let alias = ALIASES.iter().find(|(alias, _)| *alias == word).map(|(_, kinds)| kinds.to_vec());
            alias.or_else(|| known.iter().find(|name| **name == word).map(|name| vec![*name]))
        };
        let kinds = match word {
            None => Vec::new(),
            Some(word) => named(word).with_context(|| {
                format!("--kind {word}: there is no such kind; these there are: {}, {CMW}", known.join(", "))
            })?,
        };
        Ok(Self { word: word.map(str::to_owned), kinds })
    }

    fn is_cmw(&self) -> bool {
        self.word.as_deref() == Some(CMW)
    }

    fn allows(&self, kind: &str) -> bool {
        self.kinds.is_empty() || self.kinds.contains(&kind)
    }

    /// The kind that says what is wrong with octets that none recognises.
    fn first(&self) -> &'static str {
        self.kinds.first().copied().unwrap_or(verifier::SUBMOD_SNP)
    }

    /// Evidence is what was asked for, every component of it.
    fn check(&self, items: &[Item]) -> Result<()> {
        let kinds = items.iter().filter_map(|(media_type, _)| verifier::kind_of(media_type));
        let other = kinds.into_iter().find(|kind| !self.allows(kind));
        match (other, &self.word) {
            (Some(other), Some(word)) => bail!("this is evidence of kind {other}, and --kind says {word}"),
            _ => Ok(()),
        }
    }
}

/// Evidence in a file, of a kind given or guessed, and the collateral that its envelope brings along.
pub(super) fn evidence(kind: Option<&str>, path: &Path, along: &[PathBuf]) -> Result<(Evidence, Collateral)> {
    let asked = Asked::of(kind)?;
    let bytes = read(path)?;
    let (mut items, collateral) = items(&asked, &bytes).with_context(|| shown(path))?;
    asked.check(&items).with_context(|| shown(path))?;
    for path in along {
        attach(&mut items, path)?;
    }
    Ok((Evidence::new(items).with_context(|| shown(path))?, collateral))
}

fn items(asked: &Asked, bytes: &[u8]) -> Result<(Vec<Item>, Collateral)> {
    if asked.is_cmw() {
        return of_cmw(bytes).map_err(|reason| anyhow!(reason));
    }
    if let Some(item) = plain(asked, bytes) {
        return Ok((vec![item], Collateral::default()));
    }
    if let Some(opened) = envelope(bytes)? {
        return Ok(opened);
    }
    // Octets of another kind are told by that; of what is nothing, the kind asked for, or the first, says why.
    let other = plain(&Asked { word: None, kinds: Vec::new() }, bytes);
    let nothing = || (media_type(asked.first()), bytes.to_vec());
    Ok((vec![other.unwrap_or_else(nothing)], Collateral::default()))
}

/// Puts an event log after the one component that takes such a thing.
fn attach(items: &mut Vec<Item>, path: &Path) -> Result<()> {
    let takers = items.iter().enumerate();
    let takers = takers.filter_map(|(at, (media_type, _))| Some((at, verifier::supplement_of(media_type)?)));
    let (at, media_type) = match takers.collect::<Vec<_>>().as_slice() {
        [] => bail!("{}: nothing comes along with evidence of this kind", shown(path)),
        [(at, media_type)] => (*at, *media_type),
        _ => bail!(
            "{}: several components could have this log; put it behind its own in the collection",
            shown(path)
        ),
    };
    let mut log = read(path)?;
    // The firmware's memory for it is larger than the log in it.
    if let Some(length) = verifier::event_log_length(&log) {
        log.truncate(length);
    }
    // Behind the logs that came with it.
    let evidence = |(media_type, _): &Item| verifier::kind_of(media_type).is_some();
    let next = items.iter().skip(at.saturating_add(1)).position(evidence);
    let place = next.map_or(items.len(), |next| next.saturating_add(at).saturating_add(1));
    items.insert(place, (media_type.to_owned(), log));
    Ok(())
}

/// The octets of a kind as its platform gives them, or the same in hex or base64.
fn plain(asked: &Asked, bytes: &[u8]) -> Option<Item> {
    [Some(bytes.to_vec()), decoded(bytes)].into_iter().flatten().find_map(|mut octets| {
        // A quoting library's buffer is larger than the quote in it.
        if let Some(length) = verifier::intel_quote_length(&octets) {
            octets.truncate(length);
        }
        let kind = if asked.kinds.is_empty() {
            verifier::guess_kind(&octets)
        } else {
            asked.kinds.iter().copied().find(|kind| verifier::is_of_kind(kind, &octets))
        };
        kind.map(|kind| (media_type(kind), octets))
    })
}

/// What other tools write around evidence: Trustee and attestation-rs, NVIDIA's SDK, a CMW.
fn envelope(bytes: &[u8]) -> Result<Option<(Vec<Item>, Collateral)>> {
    if let Ok(opened) = verifier::open_vtpm_json(bytes) {
        return Ok(Some((opened.items, Collateral::from_der(opened.certificates)?)));
    }
    if let Ok(devices) = verifier::read_nvidia_export(bytes) {
        let items = devices.into_iter().map(|(media_type, octets)| (media_type.to_owned(), octets));
        return Ok(Some((items.collect(), Collateral::default())));
    }
    Ok(of_cmw(bytes).ok())
}

fn of_cmw(bytes: &[u8]) -> Result<(Vec<Item>, Collateral), String> {
    let (evidence, collateral) = read_cmw(bytes)?;
    let items = evidence.items().iter();
    Ok((items.map(|item| (item.media_type().to_owned(), item.bytes().to_vec())).collect(), collateral))
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

/// Where the octets of an item of evidence stand in the file that it was read from, as they are or in base64 or hex:
/// nowhere, where the item is written anew from what an envelope holds.
pub(super) fn place_in_file(file: &[u8], item: &[u8]) -> Option<(std::ops::Range<usize>, &'static str)> {
    let forms = [
        (item.to_vec(), ""),
        (BASE64URL_NOPAD.encode(item).into_bytes(), ", in base64url"),
        (BASE64.encode(item).into_bytes(), ", in base64"),
        (HEXLOWER.encode(item).into_bytes(), ", in hex"),
    ];
    forms.into_iter().find_map(|(form, said)| Some((verifier::place(file, &form)?, said)))
}
