//! What holds of every kind alike.

use super::*;

/// What a reference value of these registers says of what runs, kind by kind: 0 nothing, 3 a part, 2 all.
const VOUCHED_FOR: &[(&str, &[(&str, i8)])] = &[
    (
        "sev-snp",
        &[
            ("measurement", 3),
            ("measurement host_data", 3),
            ("host_data", 0),
            ("family_id image_id host_data", 0),
        ],
    ),
    (
        "tdx",
        &[
            ("mrtd rtmr0 rtmr1 rtmr2 rtmr3", 2),
            ("mrtd rtmr0 rtmr1 rtmr2 rtmr3 mrowner", 2),
            ("mrtd rtmr0 rtmr1 rtmr2", 3),
            ("mrtd", 3),
            ("rtmr0 rtmr1 rtmr2 rtmr3", 0),
            ("rtmr3", 0),
            ("mrowner", 0),
            ("mrownerconfig mrconfigid", 0),
            ("mrseam mrsignerseam", 0),
        ],
    ),
    (
        "sgx",
        &[
            ("mrenclave", 2),
            ("mrsigner", 3),
            ("mrsigner isvprodid isvsvn", 3),
            ("isvprodid", 0),
            ("isvsvn configid isvextprodid isvfamilyid", 0),
        ],
    ),
    (
        "tpm",
        &[
            ("pcr4", 3),
            ("pcr0 pcr2 pcr4 pcr8 pcr9 pcr10 pcr11 pcr12 pcr13", 3),
            ("pcr17", 3),
            ("pcr1 pcr3 pcr5 pcr6 pcr7 pcr14 pcr15", 0),
            ("pcr16", 0),
            ("pcr23", 0),
        ],
    ),
    (
        "az-snp",
        &[
            ("measurement", 3),
            ("measurement pcr4", 3),
            ("measurement pcr8 pcr9", 3),
            ("measurement pcr4 pcr8 pcr9", 2),
            ("measurement pcr4 pcr11 pcr12", 2),
            ("measurement pcr23", 3),
            ("pcr4 pcr8 pcr9", 0),
            ("host_data", 0),
        ],
    ),
    ("az-tdx", &[("mrtd", 3), ("mrtd pcr4 pcr8 pcr9", 2), ("mrowner pcr4 pcr8 pcr9", 0), ("rtmr3", 0)]),
    (
        "nitro",
        &[
            ("pcr0", 2),
            ("pcr1 pcr2", 2),
            ("pcr1", 3),
            ("pcr8", 3),
            ("pcr3 pcr4", 0),
            ("pcr16", 0),
            ("pcr31", 0),
        ],
    ),
    (
        "cca",
        &[
            ("rim rem0 rem1 rem2 rem3", 2),
            ("rim", 3),
            ("rim rem0 rpv", 3),
            ("rem0 rem1 rem2 rem3", 0),
            ("rpv", 0),
            ("sw0 sw0-signer implementation config", 0),
        ],
    ),
    ("attestation-result", &[("image-digest", 3)]),
    ("software", &[("image-digest", 3)]),
    ("nvidia-gpu", &[("measurement0", 3), ("measurement0 measurement9 measurement63", 3)]),
    ("nvidia-switch", &[("measurement30", 3)]),
];

#[test]
fn every_kind_says_what_its_registers_vouch_for() {
    for kind in KINDS {
        let about = kind.about();
        let rows = VOUCHED_FOR.iter().find(|(name, _)| *name == about.name);
        let (_, rows) = rows.unwrap_or_else(|| panic!("{} is not in the table", about.name));
        for (names, vouched) in *rows {
            let registers: Registers =
                names.split(' ').map(|name| (name.to_owned(), vec![0; octets_of(about, name)])).collect();
            assert_eq!((about.vouches)(&registers), *vouched, "{}: {names}", about.name);
        }
        assert_eq!((about.vouches)(&Registers::new()), 0, "{}: nothing", about.name);
    }
    // All that a device measures.
    for (kind, measurements) in [("nvidia-gpu", 64), ("nvidia-switch", 31)] {
        let all = |from| -> Registers {
            (from..measurements).map(|number| (format!("measurement{number}"), vec![0; 48])).collect()
        };
        let about = by_name(kind).unwrap().about();
        assert_eq!(((about.vouches)(&all(0)), (about.vouches)(&all(1))), (2, 3), "{kind}");
    }
}

/// A register of the table is one of its kind.
fn octets_of(about: &About, name: &str) -> usize {
    let known = (1..=64).find(|octets| (about.has_register)(name, *octets));
    known.unwrap_or_else(|| panic!("{} has no register {name}", about.name))
}
