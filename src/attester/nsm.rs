//! Evidence from an AWS Nitro enclave: the attestation document of its Nitro Security Module, `/dev/nsm`.
//!
//! In scope: the request and the response, CBOR (the `Attestation` message of AWS's NSM interface). The binding value
//! goes whole into `user_data`, and nowhere else. Out of scope: what the document means, and the ioctl (`treering-nsm`).

use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use ciborium::Value;

use super::{Attestation, Attester, AttesterError, EvidenceItem, NITRO_DOCUMENT};

/// What takes a request and gives a response.
pub trait Module: Send + Sync {
    /// One request and its response, as octets.
    fn exchange(&self, request: &[u8]) -> io::Result<Vec<u8>>;
}

/// The module behind the device.
#[derive(Debug)]
pub struct Device {
    file: File,
}

impl Module for Device {
    fn exchange(&self, request: &[u8]) -> io::Result<Vec<u8>> {
        treering_nsm::exchange(&self.file, request)
    }
}

/// The Nitro Security Module of this enclave.
#[derive(Debug)]
pub struct Nsm<M = Device> {
    module: M,
    path: PathBuf,
}

impl Nsm {
    /// The module of this machine, if it is an enclave.
    pub fn detect() -> Option<Self> {
        Self::open(Path::new(treering_nsm::DEVICE)).ok()
    }

    /// The module behind this device.
    pub fn open(path: &Path) -> Result<Self, AttesterError> {
        let file = OpenOptions::new().read(true).write(true).open(path);
        let file = file.map_err(|source| AttesterError::File { path: path.to_owned(), source })?;
        Ok(Self { module: Device { file }, path: path.to_owned() })
    }
}

impl<M: Module> Nsm<M> {
    /// This module.
    pub fn new(module: M) -> Self {
        Self { module, path: PathBuf::from(treering_nsm::DEVICE) }
    }
}

impl<M: Module> Attester for Nsm<M> {
    fn report(&self, report_data: &[u8; 64]) -> Result<Attestation, AttesterError> {
        let response = self.module.exchange(&request(report_data)?);
        let response = response.map_err(|source| AttesterError::File { path: self.path.clone(), source })?;
        let document = document(&response)?;
        let evidence = vec![EvidenceItem { media_type: NITRO_DOCUMENT, bytes: document }];
        // A document has its certificates in it.
        Ok(Attestation { evidence, ..Attestation::default() })
    }
}

/// `{"Attestation": {"user_data": octets, "nonce": null, "public_key": null}}`.
fn request(user_data: &[u8; 64]) -> Result<Vec<u8>, AttesterError> {
    let text = |text: &str| Value::Text(text.to_owned());
    let inner = Value::Map(vec![
        (text("user_data"), Value::Bytes(user_data.to_vec())),
        (text("nonce"), Value::Null),
        (text("public_key"), Value::Null),
    ]);
    let mut out = Vec::new();
    let message = Value::Map(vec![(text("Attestation"), inner)]);
    ciborium::into_writer(&message, &mut out)
        .map_err(|_| AttesterError::Crypto("the request does not encode"))?;
    Ok(out)
}

/// The document in `{"Attestation": {"document": octets}}`; the module says `{"Error": name}` where it has none.
fn document(response: &[u8]) -> Result<Vec<u8>, AttesterError> {
    let bad = |reason: String| AttesterError::Report(format!("the NSM's response: {reason}"));
    let value: Value = ciborium::from_reader(response).map_err(|_| bad("not CBOR".to_owned()))?;
    let member = |value: &Value, name: &str| -> Option<Value> {
        let map = value.as_map()?;
        map.iter().find(|(key, _)| key.as_text() == Some(name)).map(|(_, value)| value.clone())
    };
    if let Some(error) = member(&value, "Error") {
        let name = error.as_text().unwrap_or("an error without a name");
        return Err(bad(name.to_owned()));
    }
    let document = member(&value, "Attestation").and_then(|inner| member(&inner, "document"));
    let document = document.and_then(|document| document.as_bytes().cloned());
    document.filter(|octets| !octets.is_empty()).ok_or_else(|| bad("it has no document".to_owned()))
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    /// A stand-in of the module: keeps what it was asked, answers what it was told.
    struct StandIn {
        asked: Mutex<Vec<Vec<u8>>>,
        answer: io::Result<Vec<u8>>,
    }

    impl Module for StandIn {
        fn exchange(&self, request: &[u8]) -> io::Result<Vec<u8>> {
            self.asked.lock().unwrap().push(request.to_vec());
            match &self.answer {
                Ok(answer) => Ok(answer.clone()),
                Err(error) => Err(io::Error::from(error.kind())),
            }
        }
    }

    fn encoded(value: &Value) -> Vec<u8> {
        let mut out = Vec::new();
        ciborium::into_writer(value, &mut out).unwrap();
        out
    }

    fn map(name: &str, value: Value) -> Value {
        Value::Map(vec![(Value::Text(name.to_owned()), value)])
    }

    fn ask(answer: io::Result<Vec<u8>>) -> (Result<Attestation, AttesterError>, Vec<u8>) {
        let nsm = Nsm::new(StandIn { asked: Mutex::default(), answer });
        let outcome = nsm.report(&[7; 64]);
        (outcome, nsm.module.asked.into_inner().unwrap().remove(0))
    }

    #[test]
    fn the_binding_value_is_the_user_data() {
        let answer = map("Attestation", map("document", Value::Bytes(b"document".to_vec())));
        let (outcome, asked) = ask(Ok(encoded(&answer)));
        assert_eq!(outcome.unwrap().evidence[0].bytes, b"document");
        let asked: Value = ciborium::from_reader(&asked[..]).unwrap();
        let (name, inner) = &asked.as_map().unwrap()[0];
        assert_eq!(name.as_text(), Some("Attestation"));
        let inner = inner.as_map().unwrap();
        assert_eq!(inner[0], (Value::Text("user_data".to_owned()), Value::Bytes(vec![7; 64])));
        assert!(inner[1].1.is_null() && inner[2].1.is_null());
    }

    #[test]
    fn what_the_module_refuses_is_said() {
        let error = ask(Ok(encoded(&map("Error", Value::Text("InputTooLarge".to_owned()))))).0.unwrap_err();
        assert!(error.to_string().contains("InputTooLarge"), "{error}");
        let error = ask(Err(io::ErrorKind::PermissionDenied.into())).0.unwrap_err();
        assert!(matches!(error, AttesterError::File { .. }), "{error}");
        for answer in [
            &b""[..],
            b"\xff",
            &encoded(&Value::Null),
            &encoded(&map("Attestation", Value::Null)),
            &encoded(&map("Attestation", map("document", Value::Bytes(Vec::new())))),
        ] {
            assert!(ask(Ok(answer.to_vec())).0.is_err());
        }
    }

    #[test]
    fn a_device_that_is_no_module_is_an_error() {
        Nsm::open(Path::new("/nonexistent")).unwrap_err();
        Nsm::open(Path::new("/dev/null")).unwrap().report(&[0; 64]).unwrap_err();
    }
}
