//! What several kinds read of a vendor's certificates alike.

use x509_cert::name::Name;

const COMMON_NAME: &str = "2.5.4.3";

/// The common name of a subject; empty if there is none.
pub(super) fn common_name(name: &Name) -> Result<String, String> {
    let mut found = None;
    for attribute in name.iter().filter(|attribute| attribute.oid.to_string() == COMMON_NAME) {
        let text = std::str::from_utf8(attribute.value.value()).map_err(|_| "a common name is not text")?;
        if found.replace(text.to_owned()).is_some() {
            return Err("a certificate has two common names".to_owned());
        }
    }
    Ok(found.unwrap_or_default())
}
