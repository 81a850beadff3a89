//! What the certificates say about the device: its chip, its generation, its number, and the firmware that the
//! signing key belongs to.
//!
//! The chain is *leaf < boot ROM < provisioner < identity CA < root*: NVIDIA signs the boot ROM's certificate when the
//! device is made; the boot ROM signs the leaf, whose key is derived from the firmware that was loaded (DICE).

use serde::Deserialize;
use x509_cert::Certificate;
use x509_cert::der::Decode;
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;

use super::der::{self, Element, Elements};
use super::report::DIGEST_BYTES;
use crate::verifier::certificates::common_name;

/// Where a FWID is: TCG's `TcbInfo` on Blackwell, an older composite of key and FWID on Hopper and the switches.
const TCB_INFO: &str = "2.23.133.5.4.1.1";
const COMPOSITE_ID: &str = "2.23.133.5.4.1";
/// DMTF's name of a device: `manufacturer:product:serial` (DSP0274 section 10.6.2.1).
const DMTF_DEVICE: &str = "1.3.6.1.4.1.412.274.1";
const SHA384: &[u8] = &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x02];

/// What a device is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    Gpu,
    Switch,
}

impl Class {
    pub(super) const fn kind(self) -> &'static str {
        match self {
            Self::Gpu => "nvidia-gpu",
            Self::Switch => "nvidia-switch",
        }
    }

    /// The tag of the binding value's digest.
    pub(super) const fn tag(self) -> &'static str {
        match self {
            Self::Gpu => "treering-binding-nvidia-gpu-v1",
            Self::Switch => "treering-binding-nvidia-switch-v1",
        }
    }

    /// Measurements in a report.
    pub(super) const fn measurements(self) -> usize {
        match self {
            Self::Gpu => 64,
            Self::Switch => 31,
        }
    }
}

/// The generation of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NvidiaGeneration {
    /// GPUs of the GH1xx chips.
    Hopper,
    /// GPUs of the GB1xx and GB2xx chips.
    Blackwell,
    /// The third generation of `NVSwitch`.
    Ls10,
}

impl NvidiaGeneration {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Hopper, Self::Blackwell, Self::Ls10];

    /// In lower case, as policies write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hopper => "hopper",
            Self::Blackwell => "blackwell",
            Self::Ls10 => "ls10",
        }
    }

    fn of_chip(chip: &str) -> Option<Self> {
        match chip.get(..3)? {
            "GH1" => Some(Self::Hopper),
            "GB1" | "GB2" => Some(Self::Blackwell),
            "LS_" if chip == "LS_10" => Some(Self::Ls10),
            _ => None,
        }
    }

    pub(super) const fn class(self) -> Class {
        match self {
            Self::Hopper | Self::Blackwell => Class::Gpu,
            Self::Ls10 => Class::Switch,
        }
    }
}

/// What the certificates say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Device {
    /// `GH100`.
    pub(super) chip: String,
    pub(super) generation: NvidiaGeneration,
    /// `GH100 A01 GSP BROM`: what NVIDIA's own tools call the hardware model.
    pub(super) model: String,
    /// The serial number of the boot ROM's certificate: NVIDIA's number of this device.
    pub(super) serial: Vec<u8>,
    /// The serial number in DMTF's name of the device.
    pub(super) dmtf_serial: String,
    /// The firmware that the signing key belongs to.
    pub(super) fwid: [u8; DIGEST_BYTES],
}

impl Device {
    /// Of a chain in DER, leaf first.
    pub(super) fn of(chain: &[Vec<u8>]) -> Result<Self, String> {
        let [leaf, boot_rom, provisioner, ..] = chain else {
            return Err("there is no certificate of a boot ROM and of its issuer".to_owned());
        };
        let (leaf, boot_rom, provisioner) = (parse(leaf)?, parse(boot_rom)?, parse(provisioner)?);
        let model = common_name(boot_rom.tbs_certificate().subject())?;
        let chip = model.split(' ').next().unwrap_or_default().to_owned();
        let (dmtf_chip, dmtf_serial) = dmtf_device(&leaf)?;
        let leaf_name = common_name(leaf.tbs_certificate().subject())?;
        let issuer = common_name(provisioner.tbs_certificate().subject())?;
        let names = [leaf_name.split(' ').next(), issuer.split(' ').nth(1), Some(dmtf_chip.as_str())];
        if let Some(other) = names.into_iter().find(|name| *name != Some(chip.as_str())) {
            let other = other.unwrap_or_default();
            return Err(format!("the certificates name a {chip} and a {other}"));
        }
        let generation = NvidiaGeneration::of_chip(&chip);
        let generation = generation.ok_or_else(|| format!("a {chip} is of no generation that is known"))?;
        let serial = boot_rom.tbs_certificate().serial_number().as_bytes().to_vec();
        Ok(Self { chip, generation, model, serial, dmtf_serial, fwid: fwid(&leaf)? })
    }
}

/// Whether octets are more recognisably of this class than of the other, by the names in the certificates.
pub(super) fn looks_like_a(class: Class, octets: &[u8]) -> bool {
    let switch = octets.windows(5).filter(|window| *window == b"LS_10").count() >= 2;
    switch == (class == Class::Switch)
}

fn parse(der: &[u8]) -> Result<Certificate, String> {
    Certificate::from_der(der).map_err(|error| format!("not a certificate: {error}"))
}

/// Chip and serial number in DMTF's name of the device.
fn dmtf_device(leaf: &Certificate) -> Result<(String, String), String> {
    let names = leaf.tbs_certificate().get_extension::<SubjectAltName>();
    let names = names.map_err(|error| format!("the leaf's alternative names: {error}"))?;
    let names = names.map(|(_, names)| names.0).unwrap_or_default();
    let found = names.iter().find_map(|name| match name {
        GeneralName::OtherName(other) if other.type_id.to_string() == DMTF_DEVICE => {
            std::str::from_utf8(other.value.value()).ok()
        }
        _ => None,
    });
    let found = found.ok_or("the leaf does not name the device (DMTF 274.1)")?;
    match found.split(':').collect::<Vec<_>>().as_slice() {
        ["NVIDIA", chip, serial] => Ok(((*chip).to_owned(), (*serial).to_owned())),
        _ => Err(format!("the leaf names the device {found:?}, want NVIDIA:chip:serial")),
    }
}

fn fwid(leaf: &Certificate) -> Result<[u8; DIGEST_BYTES], String> {
    let extensions = leaf.tbs_certificate().extensions().into_iter().flatten();
    let mut found = extensions.filter_map(|extension| {
        let value = extension.extn_value.as_bytes();
        match extension.extn_id.to_string().as_str() {
            TCB_INFO => Some(of_tcb_info(value)),
            COMPOSITE_ID => Some(of_composite(value)),
            _ => None,
        }
    });
    let first = found.next().ok_or("the leaf does not name its firmware (DICE)")?;
    if found.next().is_some() {
        return Err("the leaf names its firmware twice".to_owned());
    }
    first.map_err(|error| format!("the leaf's DICE extension: {error}"))
}

/// `SEQUENCE { ..., fwids [6] SEQUENCE OF FWID, ... }`: the first is that of the firmware which has the key.
fn of_tcb_info(value: &[u8]) -> Result<[u8; DIGEST_BYTES], String> {
    let mut fields = Elements::of(der::only(value, der::SEQUENCE)?)?;
    while let Some(field) = fields.take()? {
        if field.tag == der::constructed(6) {
            return of_fwid(Elements::of(field.content)?.next()?);
        }
    }
    Err("there is no list of firmware ids".to_owned())
}

/// `SEQUENCE { version 1, the boot ROM's key, FWID }`.
fn of_composite(value: &[u8]) -> Result<[u8; DIGEST_BYTES], String> {
    let mut fields = Elements::of(der::only(value, der::SEQUENCE)?)?;
    let (_version, _key, fwid) = (fields.next()?, fields.next()?, fields.next()?);
    fields.finish()?;
    of_fwid(fwid)
}

/// `FWID ::= SEQUENCE { hashAlg OID, digest OCTET STRING }`.
fn of_fwid(fwid: Element<'_>) -> Result<[u8; DIGEST_BYTES], String> {
    let mut fields = Elements::of(fwid.content)?;
    let (algorithm, digest) = (fields.next()?, fields.next()?);
    fields.finish()?;
    if algorithm.content != SHA384 || digest.tag != der::OCTET_STRING {
        return Err("the firmware id is not SHA-384".to_owned());
    }
    let length = digest.content.len();
    digest.content.try_into().map_err(|_| format!("a firmware id of {length} octets, want {DIGEST_BYTES}"))
}
