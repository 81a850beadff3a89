//! Appraisal of TPM quotes: of hardware (where the folder of foreign vectors lies beside this repository), of a
//! software TPM where one is installed (`swtpm`), and of a simulated one, which can be made wrong in one point at a time.

mod anything;
mod hardware;
pub(super) mod logs;
mod policy;
mod simulated;
mod software;

use std::sync::LazyLock;

use treering::attester::simulated::tpm::{Attest, Quote, Tpm};
use treering::verifier::{self, Collateral, HardwareRoots, ReferenceValue, ReferenceValues, Registers};

use super::Case;

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

fn reference(register: &str, octets: Vec<u8>) -> ReferenceValues {
    let registers = Registers::from([(register.to_owned(), octets)]);
    let value =
        ReferenceValue { name: "image".to_owned(), tee: "tpm".to_owned(), registers, source: [1; 32] };
    ReferenceValues::new(vec![value]).unwrap()
}
