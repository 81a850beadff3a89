//! The command line as people and scripts see it: help with examples, and what is said when something is wrong.
//!
//! `TRYCMD=overwrite cargo test -p treering --test it cmd` writes the cases of `tests/cmd` anew.

use treering_provenance::grant::AuditorPublicKey;

use crate::support::{TREERING, cli, folder};

#[test]
fn help_and_errors_are_as_written_down() {
    trycmd::TestCases::new()
        .register_bin("treering", std::path::Path::new(TREERING))
        .env("COLUMNS", "100")
        .case("tests/cmd/*.trycmd");
}

/// The names under "Commands:" in a help text.
fn commands(help: &str) -> Vec<String> {
    let listed = help.split_once("Commands:\n").map(|(_, rest)| rest).unwrap_or_default();
    let lines = listed.lines().take_while(|line| line.starts_with("  "));
    // Deeper lines go on with what a command does.
    let lines = lines.filter(|line| !line.starts_with("   "));
    let names = lines.filter_map(|line| line.split_whitespace().next());
    names.filter(|name| *name != "help").map(str::to_owned).collect()
}

#[test]
fn every_command_is_written_down_and_has_an_example() {
    let cases = std::fs::read_to_string("tests/cmd/help.trycmd").unwrap();
    let mut waiting: Vec<Vec<String>> = vec![Vec::new()];
    let mut seen = 0;
    while let Some(path) = waiting.pop() {
        let help = cli(path.iter().map(String::as_str).chain(["--help"])).ended(0).stdout;
        let line = [path.as_slice(), &["--help".to_owned()]].concat().join(" ");
        assert!(cases.contains(&format!("$ treering {line}\n")), "tests/cmd/help.trycmd lacks `{line}`");
        let below = commands(&help);
        if below.is_empty() {
            seen += 1;
            // Its own, or one of the command that it belongs to.
            let parent = cli(path[..path.len() - 1].iter().map(String::as_str).chain(["--help"])).stdout;
            let call = format!("treering {}", path.join(" "));
            assert!(
                help.contains(&call) && (help.matches(&call).count() > 1 || parent.contains(&call)),
                "{call} has no example: {help}"
            );
        }
        waiting.extend(below.into_iter().map(|name| [path.as_slice(), &[name]].concat()));
    }
    assert!(seen >= 15, "{seen} commands: was the help read rightly?");
}

#[test]
fn an_auditors_key_is_made_for_programs_too() {
    let dir = folder("grant-key");
    let [out, public] =
        ["auditor.key", "auditor.pub"].map(|name| dir.join(name).to_str().unwrap().to_owned());
    let told = cli(["grant", "key", "--out", &out, "--public", &public, "--json"]).ended(0).json();
    let key = AuditorPublicKey::from_jwk(&std::fs::read_to_string(&public).unwrap()).unwrap();
    assert_eq!(told["thumbprint"], key.thumbprint().to_string());
    assert_eq!((&told["private"], &told["public"]), (&out.into(), &public.into()));
}
