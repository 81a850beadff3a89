//! The structures of a TPM 2.0 that a quote consists of, as they are marshalled (TPM 2.0 Library, Part 2).
//!
//! Everything is big-endian, and everything is consumed: what follows a structure is refused.
//! In scope: TPMS_ATTEST, TPMT_SIGNATURE, TPMT_PUBLIC of signing keys. Out of scope: whether any of it is true.

/// TPM_GENERATED_VALUE: no TPM signs octets of others that begin so with a restricted key.
const GENERATED: u32 = 0xff54_4347;
/// TPM_ST_ATTEST_QUOTE.
const QUOTE: u16 = 0x8018;
/// Octets of a PCR bitmap: 24 registers, as every PC platform has them.
const SELECT_OCTETS: u8 = 3;
/// Banks that one quote may select; one is accepted, more are read to say so.
const MAX_SELECTIONS: u32 = 8;

/// TPM_ALG_ID of the algorithms that occur in quotes.
pub(super) mod algorithm {
    pub(in super::super) const RSA: u16 = 0x1;
    pub(in super::super) const SHA256: u16 = 0xb;
    pub(in super::super) const SHA384: u16 = 0xc;
    pub(in super::super) const NULL: u16 = 0x10;
    pub(in super::super) const RSASSA: u16 = 0x14;
    pub(in super::super) const RSAPSS: u16 = 0x16;
    pub(in super::super) const ECDSA: u16 = 0x18;
    pub(in super::super) const ECC: u16 = 0x23;
}

/// Curves (TPM_ECC_CURVE).
const NIST_P256: u16 = 3;
const NIST_P384: u16 = 4;

/// Why octets are not such a structure.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(in crate::verifier::kinds) enum WireError {
    /// Not readable.
    #[error("{0}")]
    Malformed(String),
    /// An attestation, but not a quote made by a TPM.
    #[error("{0}")]
    NotAQuote(String),
}

fn malformed<T>(reason: impl Into<String>) -> Result<T, WireError> {
    Err(WireError::Malformed(reason.into()))
}

/// TPMS_ATTEST of a quote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Attest {
    pub(super) qualified_signer: Vec<u8>,
    /// What the caller of TPM2_Quote gave.
    pub(super) extra_data: Vec<u8>,
    pub(super) clock: u64,
    pub(super) reset_count: u32,
    pub(super) restart_count: u32,
    pub(super) safe: bool,
    pub(super) firmware_version: u64,
    /// Bank and registers, in ascending order.
    pub(super) selections: Vec<(u16, Vec<u8>)>,
    pub(super) pcr_digest: Vec<u8>,
}

impl Attest {
    pub(super) fn read(octets: &[u8]) -> Result<Self, WireError> {
        let mut input = Wire(octets);
        let (magic, kind) = (input.u32()?, input.u16()?);
        if magic != GENERATED {
            return Err(WireError::NotAQuote(format!("magic {magic:#010x}, want {GENERATED:#010x}")));
        }
        if kind != QUOTE {
            return Err(WireError::NotAQuote(format!(
                "an attestation of type {kind:#06x}, want {QUOTE:#06x}"
            )));
        }
        let (qualified_signer, extra_data) = (input.sized()?.to_vec(), input.sized()?.to_vec());
        let (clock, reset_count, restart_count) = (input.u64()?, input.u32()?, input.u32()?);
        let safe = match input.u8()? {
            0 => false,
            1 => true,
            other => return malformed(format!("a flag is 0 or 1, got {other}")),
        };
        let firmware_version = input.u64()?;
        let count = input.u32()?;
        if count > MAX_SELECTIONS {
            return malformed(format!("{count} PCR banks selected, at most {MAX_SELECTIONS} are read"));
        }
        let mut selections = Vec::new();
        for _ in 0..count {
            let bank = input.u16()?;
            let octets = input.u8()?;
            if octets != SELECT_OCTETS {
                return malformed(format!("a PCR bitmap has {SELECT_OCTETS} octets, got {octets}"));
            }
            selections.push((bank, registers(input.take(usize::from(octets))?)));
        }
        let pcr_digest = input.sized()?.to_vec();
        input.end()?;
        Ok(Self {
            qualified_signer,
            extra_data,
            clock,
            reset_count,
            restart_count,
            safe,
            firmware_version,
            selections,
            pcr_digest,
        })
    }
}

/// The registers whose bits are set; the lowest bit of the first octet is PCR 0.
fn registers(bitmap: &[u8]) -> Vec<u8> {
    let bits = bitmap.iter().flat_map(|octet| (0..8).map(move |bit| octet >> bit & 1 == 1));
    (0..).zip(bits).filter(|(_, set)| *set).map(|(register, _)| register).collect()
}

/// TPMT_SIGNATURE.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::verifier::kinds) struct Signature {
    pub(super) scheme: u16,
    pub(super) hash: u16,
    /// One octet string for RSA, r and s for ECDSA.
    pub(super) parts: Vec<Vec<u8>>,
}

impl Signature {
    pub(in crate::verifier::kinds) fn read(octets: &[u8]) -> Result<Self, WireError> {
        let mut input = Wire(octets);
        let (scheme, hash) = (input.u16()?, input.u16()?);
        let parts = match scheme {
            algorithm::RSASSA | algorithm::RSAPSS => vec![input.sized()?.to_vec()],
            algorithm::ECDSA => vec![input.sized()?.to_vec(), input.sized()?.to_vec()],
            other => {
                return malformed(format!("signature scheme {other:#06x}, want RSASSA, RSAPSS or ECDSA"));
            }
        };
        input.end()?;
        Ok(Self { scheme, hash, parts })
    }

    /// RSASSA-PKCS1-v1_5 with SHA-256: what services that hand over bare octets use.
    pub(in crate::verifier::kinds) fn rsassa_sha256(octets: &[u8]) -> Option<Vec<u8>> {
        let length = u16::try_from(octets.len()).ok()?.to_be_bytes();
        let head = [algorithm::RSASSA.to_be_bytes(), algorithm::SHA256.to_be_bytes(), length].concat();
        Some([&head, octets].concat())
    }
}

/// TPMT_PUBLIC of a signing key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Public {
    pub(super) name_algorithm: u16,
    pub(super) attributes: u32,
    pub(super) key: PublicKey,
}

/// The key in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum PublicKey {
    /// Modulus, exponent.
    Rsa(Vec<u8>, u32),
    P256(Vec<u8>, Vec<u8>),
    P384(Vec<u8>, Vec<u8>),
}

impl Public {
    pub(super) fn read(octets: &[u8]) -> Result<Self, WireError> {
        let mut input = Wire(octets);
        let (kind, name_algorithm, attributes) = (input.u16()?, input.u16()?, input.u32()?);
        let _policy = input.sized()?;
        let symmetric = input.u16()?;
        if symmetric != algorithm::NULL {
            return malformed("a signing key has no symmetric algorithm");
        }
        let scheme = input.u16()?;
        if scheme != algorithm::NULL {
            let _hash = input.u16()?;
        }
        let key = match kind {
            algorithm::RSA => read_rsa(&mut input)?,
            algorithm::ECC => read_ecc(&mut input)?,
            other => return malformed(format!("key of type {other:#06x}, want RSA or ECC")),
        };
        input.end()?;
        Ok(Self { name_algorithm, attributes, key })
    }
}

fn read_rsa(input: &mut Wire<'_>) -> Result<PublicKey, WireError> {
    let bits = input.u16()?;
    // Zero stands for the usual one (Part 2, TPMS_RSA_PARMS).
    let exponent = match input.u32()? {
        0 => 65_537,
        other => other,
    };
    let modulus = input.sized()?.to_vec();
    if modulus.len().saturating_mul(8) != usize::from(bits) {
        return malformed(format!("a modulus of {bits} bits has {} octets", modulus.len()));
    }
    Ok(PublicKey::Rsa(modulus, exponent))
}

fn read_ecc(input: &mut Wire<'_>) -> Result<PublicKey, WireError> {
    let (curve, kdf) = (input.u16()?, input.u16()?);
    if kdf != algorithm::NULL {
        return malformed("a signing key has no key derivation");
    }
    let (x, y) = (input.sized()?.to_vec(), input.sized()?.to_vec());
    match curve {
        NIST_P256 => Ok(PublicKey::P256(x, y)),
        NIST_P384 => Ok(PublicKey::P384(x, y)),
        other => malformed(format!("curve {other:#06x}, want P-256 or P-384")),
    }
}

/// What is left to read.
struct Wire<'a>(&'a [u8]);

impl<'a> Wire<'a> {
    fn take(&mut self, octets: usize) -> Result<&'a [u8], WireError> {
        let Some((taken, rest)) = self.0.split_at_checked(octets) else {
            return malformed("it is cut short");
        };
        self.0 = rest;
        Ok(taken)
    }

    fn number(&mut self, octets: usize) -> Result<u64, WireError> {
        Ok(self.take(octets)?.iter().fold(0, |value, octet| value << 8 | u64::from(*octet)))
    }

    fn u8(&mut self) -> Result<u8, WireError> {
        Ok(u8::try_from(self.number(1)?).unwrap_or_default())
    }

    fn u16(&mut self) -> Result<u16, WireError> {
        Ok(u16::try_from(self.number(2)?).unwrap_or_default())
    }

    fn u32(&mut self) -> Result<u32, WireError> {
        Ok(u32::try_from(self.number(4)?).unwrap_or_default())
    }

    fn u64(&mut self) -> Result<u64, WireError> {
        self.number(8)
    }

    /// TPM2B: a length of two octets, and so many.
    fn sized(&mut self) -> Result<&'a [u8], WireError> {
        let length = self.u16()?;
        self.take(usize::from(length))
    }

    fn end(&self) -> Result<(), WireError> {
        match self.0.len() {
            0 => Ok(()),
            more => malformed(format!("{more} octets follow it")),
        }
    }
}
