use proptest::prelude::*;

use super::*;

/// A log with SHA-384 digests alone, as a CCEL is.
fn log(events: &[(u32, u32, &[u8], &[u8])], filling: &[u8]) -> Vec<u8> {
    let spec = [SPEC_ID, &[0, 0, 0, 0, 0, 2, 0, 2, 1, 0, 0, 0, 0xc, 0, 48, 0, 0]].concat();
    let mut out = [1_u32.to_le_bytes(), kind::NO_ACTION.to_le_bytes()].concat();
    out.extend([0; FIRST_DIGEST_BYTES]);
    out.extend(u32::try_from(spec.len()).unwrap().to_le_bytes());
    out.extend(spec);
    for (index, kind, digested, data) in events {
        out.extend([index.to_le_bytes(), kind.to_le_bytes(), 1_u32.to_le_bytes()].concat());
        out.extend(0xc_u16.to_le_bytes());
        out.extend(Sha384::digest(digested));
        out.extend(u32::try_from(data.len()).unwrap().to_le_bytes());
        out.extend(*data);
    }
    out.extend(filling);
    out
}

/// A UEFI variable as it is digested: GUID, lengths, name, value.
fn variable(value: &[u8]) -> Vec<u8> {
    let mut out = vec![7; 16];
    out.extend([2, 0, 0, 0, 0, 0, 0, 0]);
    out.extend(u32::try_from(value.len()).unwrap().to_le_bytes());
    out.extend([0; 4]);
    out.extend(b"B\0T\0");
    out.extend(value);
    out
}

#[test]
fn events_are_read_and_extended() {
    for filling in [&[][..], &[0; 40], &[0xff; 3]] {
        let octets =
            log(&[(1, kind::SEPARATOR, &[0; 4], &[0; 4]), (2, kind::EFI_ACTION, b"go", b"go")], filling);
        let read = EventLog::read(&octets).unwrap();
        assert_eq!((read.events.len(), read.length), (2, octets.len() - filling.len()));
        let zeros = [0; 48];
        let one = Algorithm::Sha384.digest(&[&zeros, &Sha384::digest([0; 4])]);
        assert_eq!(read.replay(Algorithm::Sha384, 1), Some(one));
        assert_eq!(read.replay(Algorithm::Sha384, 3), Some(zeros.to_vec()));
        assert_eq!(read.replay(Algorithm::Sha256, 1), None, "no such digests");
        assert!(read.extends(2) && !read.extends(3));
    }
}

/// The finding against others: a log whose digests are right may say anything beside them.
#[test]
fn data_that_is_not_what_was_digested_is_a_mismatch_or_unproven() {
    let whole = [
        kind::SEPARATOR,
        kind::ACTION,
        kind::S_CRTM_VERSION,
        kind::EFI_VARIABLE_DRIVER_CONFIG,
        kind::EFI_GPT_EVENT,
        kind::EFI_GPT_EVENT2,
        kind::EFI_ACTION,
        kind::EFI_VARIABLE_BOOT2,
        kind::EFI_VARIABLE_AUTHORITY,
        kind::EFI_HCRTM_EVENT,
        kind::EFI_VARIABLE_BOOT,
    ];
    for kind in whole {
        let octets = log(&[(1, kind, b"data", b"data"), (1, kind, b"data", b"forged")], &[]);
        let read = EventLog::read(&octets).unwrap();
        let proofs: Vec<_> = read.events.iter().map(Event::proof).collect();
        assert_eq!(proofs, [Proof::Whole, Proof::Mismatch], "{kind:#x}");
    }
    for kind in [kind::EVENT_TAG, kind::IPL, kind::EFI_BOOT_SERVICES_APPLICATION, 0xa, 0x8000_000a] {
        let octets = log(&[(1, kind, b"an image", b"its name"), (1, kind, b"x", b"x")], &[]);
        let read = EventLog::read(&octets).unwrap();
        assert_eq!(
            (read.events[0].proof(), read.events[1].proof()),
            (Proof::None, Proof::Whole),
            "{kind:#x}"
        );
    }
}

#[test]
fn a_digest_over_a_part_proves_that_part() {
    let boot = variable(b"value");
    let octets = log(
        &[
            (1, kind::EFI_VARIABLE_BOOT, b"value", &boot),
            (3, kind::IPL, b"linux /vmlinuz", b"grub_cmd: linux /vmlinuz\0"),
            (3, kind::IPL, b"linux /vmlinuz", b"grub_cmd: linux /other\0"),
            (0, kind::NO_ACTION, b"", b"a remark"),
        ],
        &[],
    );
    let read = EventLog::read(&octets).unwrap();
    let proofs: Vec<_> = read.events.iter().map(Event::proof).collect();
    let wanted = [Proof::Part(b"value"), Proof::Part(b"linux /vmlinuz"), Proof::None, Proof::Remark];
    assert_eq!(proofs, wanted);
    assert_eq!(read.events[0].variable(), Some((&b"B\0T\0"[..], &b"value"[..])));
    assert!(!read.extends(0), "a remark extends nothing");
}

#[test]
fn pcr_0_begins_with_the_locality() {
    let remark = [STARTUP_LOCALITY, &[3]].concat();
    let octets = log(&[(0, kind::NO_ACTION, b"", &remark)], &[]);
    let read = EventLog::read(&octets).unwrap();
    let mut begun = vec![0; 48];
    begun[47] = 3;
    assert_eq!(read.replay(Algorithm::Sha384, 0), Some(begun));
    assert_eq!(read.replay(Algorithm::Sha384, 1), Some(vec![0; 48]));
}

#[test]
fn malformed_logs_are_named() {
    let good = log(&[(1, kind::SEPARATOR, &[0; 4], &[0; 4])], &[0xff; 16]);
    assert_eq!(EventLog::read(&[]).unwrap_err(), EventLogError::CutShort(0));
    assert_eq!(EventLog::read(&good[..good.len() - 20]).unwrap_err(), EventLogError::CutShort(1));
    let changed = |at: usize, value: u8| {
        let mut octets = good.clone();
        octets[at] = value;
        EventLog::read(&octets).map(drop)
    };
    assert_eq!(changed(32, b'X'), Err(EventLogError::SpecId), "the signature");
    assert_eq!(changed(8, 1), Err(EventLogError::SpecId), "a digest that is not zero");
    assert_eq!(changed(56, 0), Err(EventLogError::Algorithms), "no algorithm");
    assert_eq!(changed(56, 9), Err(EventLogError::Algorithms), "too many");
    assert_eq!(changed(62, 32), Err(EventLogError::Algorithms), "a wrong length");
    let event = good.len() - 16 - (4 + 4 + 4 + 2 + 48 + 4 + 4);
    assert_eq!(changed(event + 8, 2), Err(EventLogError::Digests(1)), "two digests of one algorithm");
    assert_eq!(changed(event + 12, 0xb), Err(EventLogError::Digests(1)), "another algorithm");
    assert_eq!(changed(good.len() - 1, 0), Err(EventLogError::Filling(1)));
    let many: Vec<(u32, u32, &[u8], &[u8])> = vec![(1, kind::SEPARATOR, &[], &[]); MAX_EVENTS + 1];
    assert_eq!(EventLog::read(&log(&many, &[])).unwrap_err(), EventLogError::TooMany);
}

proptest! {
    #[test]
    fn no_octets_panic(octets in prop::collection::vec(any::<u8>(), 0..400)) {
        drop(EventLog::read(&octets));
        // Behind a good beginning too.
        let octets = [log(&[], &[]), octets].concat();
        if let Ok(read) = EventLog::read(&octets) {
            for event in &read.events {
                event.proof();
            }
            read.replay(Algorithm::Sha384, 1);
        }
    }

    /// Whatever is changed in a log, another register results, or a mismatch, or it is not proven.
    #[test]
    fn changed_digests_are_other_registers(at in 0_usize..48, bit in 0_u8..8) {
        let octets = log(&[(1, kind::SEPARATOR, &[0; 4], &[0; 4])], &[]);
        let digest = octets.len() - 8 - 48;
        let mut changed = octets.clone();
        changed[digest + at] ^= 1 << bit;
        let (one, other) = (EventLog::read(&octets).unwrap(), EventLog::read(&changed).unwrap());
        prop_assert_ne!(one.replay(Algorithm::Sha384, 1), other.replay(Algorithm::Sha384, 1));
        prop_assert_eq!(other.events[0].proof(), Proof::Mismatch);
    }
}
