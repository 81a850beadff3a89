//! Compares attestation results octet for octet, and says in words where two of them part.

use serde_json::Value;
use treering_provenance::content::VerifierId;

use crate::verifier::{BUILD, DEVELOPER};

/// The member in which a result names who made it.
const VERIFIER: &str = "\"ear_verifier_id\":";
/// How much of a value is shown.
const SHOWN: usize = 80;

/// Whether two results are the same octets. A result names the build that made it: one of another build is compared
/// with ours as that build would have signed it, so that an upgrade differs only where a result does.
pub(super) fn same(logged: &[u8], made: &[u8], by: &VerifierId) -> Result<(), String> {
    if logged == made || Some(logged) == made_by(made, by).as_deref() {
        return Ok(());
    }
    let parsed = (serde_json::from_slice(logged), serde_json::from_slice(made));
    let (Ok(logged), Ok(made)) = parsed else {
        return Err("the attestation result is another one, and not JSON".to_owned());
    };
    let mut found = Vec::new();
    differences("", &logged, &made, &mut found);
    // What it means first, then which check turned: what most people look for.
    let of = |wanted: &dyn Fn(&str) -> bool| found.iter().find(|(path, ..)| wanted(path));
    let verdict = of(&|path| path == "ear_status");
    let check = of(&|path| path.contains(".checks.") && path.rsplit('.').next() == Some("ok"));
    let told: Vec<_> = [verdict, check].into_iter().flatten().collect();
    let told = if told.is_empty() { found.iter().take(1).collect() } else { told };
    let told: Vec<_> =
        told.into_iter().map(|(path, was, is)| format!("{path} is {is} now, logged was {was}")).collect();
    let told = if told.is_empty() { "spelling or order".to_owned() } else { told.join("; ") };
    Err(format!("the attestation result is another one: {told}"))
}

/// The result as another build would have written it.
fn made_by(made: &[u8], by: &VerifierId) -> Option<Vec<u8>> {
    let member = |developer: &str, build: &str| {
        let (developer, build) = (serde_json::to_string(developer).ok()?, serde_json::to_string(build).ok()?);
        Some(format!("{VERIFIER}{{\"developer\":{developer},\"build\":{build}}}"))
    };
    let made = std::str::from_utf8(made).ok()?;
    let (ours, theirs) = (member(DEVELOPER, BUILD)?, member(&by.developer, &by.build)?);
    Some(made.replacen(&ours, &theirs, 1).into_bytes())
}

/// Every place where two documents differ, with what each has there.
fn differences(path: &str, logged: &Value, made: &Value, found: &mut Vec<(String, String, String)>) {
    let below = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    match (logged, made) {
        (Value::Object(one), Value::Object(two)) => {
            let names = one.keys().chain(two.keys().filter(|name| !one.contains_key(*name)));
            for name in names {
                let value = |of: &serde_json::Map<String, Value>| of.get(name).cloned().unwrap_or_default();
                differences(&below(name), &value(one), &value(two), found);
            }
        }
        (Value::Array(one), Value::Array(two)) => {
            for place in 0..one.len().max(two.len()) {
                let value = |of: &[Value]| of.get(place).cloned().unwrap_or_default();
                let (one, two) = (value(one), value(two));
                let name = one.get("name").or(two.get("name")).and_then(Value::as_str);
                differences(&below(name.unwrap_or(&place.to_string())), &one, &two, found);
            }
        }
        _ if logged == made => {}
        _ => found.push((path.to_owned(), shown(logged), shown(made))),
    }
}

fn shown(value: &Value) -> String {
    let text = value.to_string();
    if text.chars().count() <= SHOWN { text } else { text.chars().take(SHOWN).chain("…".chars()).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ear(build: &str, status: &str, ok: bool) -> Vec<u8> {
        format!(
            "{{\"iat\":1,\"ear_verifier_id\":{{\"developer\":\"{DEVELOPER}\",\"build\":\"{build}\"}},\"ear_status\":\"{status}\",\"submods\":{{\"x\":{{\"checks\":[{{\"name\":\"debug\",\"ok\":{ok},\"detail\":\"d\"}}]}}}}}}"
        )
        .into_bytes()
    }

    fn by(build: &str) -> VerifierId {
        VerifierId { developer: DEVELOPER.to_owned(), build: build.to_owned() }
    }

    #[test]
    fn another_build_with_the_same_result_is_the_same() {
        let logged = ear("treering 0.0.1", "affirming", true);
        assert_eq!(same(&logged, &ear(BUILD, "affirming", true), &by("treering 0.0.1")), Ok(()));
        // Not under a third name, and not with a result of its own.
        same(&logged, &ear(BUILD, "affirming", true), &by("treering 0.0.2")).unwrap_err();
        same(&logged, &ear(BUILD, "warning", true), &by("treering 0.0.1")).unwrap_err();
    }

    #[test]
    fn the_verdict_and_the_check_that_turned_are_named() {
        let said = same(&ear(BUILD, "affirming", true), &ear(BUILD, "contraindicated", false), &by(BUILD));
        assert_eq!(
            said.unwrap_err(),
            "the attestation result is another one: ear_status is \"contraindicated\" now, logged was \"affirming\"; submods.x.checks.debug.ok is false now, logged was true"
        );
        let said = same(&ear(BUILD, "affirming", true), b"no JSON", &by(BUILD)).unwrap_err();
        assert!(said.ends_with("not JSON"), "{said}");
        let spaced = [&ear(BUILD, "affirming", true)[..], b" "].concat();
        let said = same(&spaced, &ear(BUILD, "affirming", true), &by(BUILD)).unwrap_err();
        assert!(said.ends_with("spelling or order"), "{said}");
    }
}
