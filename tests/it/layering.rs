//! The house rules that a compiler does not know: who may import whom, where a library may be named, how long a
//! file may be. Each rule is a function from sources to findings, so that a planted offence tests the rule itself.
//!
//! In scope: the modules of the root package by floors, the crates by their manifests and the lock file.
//! Out of scope: what lints say already (`Cargo.toml`, `.clippy.toml`).

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Each room may import rooms of lower floors and itself, nothing else. The table in `src/lib.rs` says the same.
const FLOORS: &[(u8, &[&str])] = &[
    (0, &["clock", "ident", "keys", "binding"]),
    (1, &["vault", "verifier", "attester"]),
    (2, &["mapper", "ledger", "collateral"]),
    (3, &["authority"]),
    (4, &["governance"]),
    (5, &["issuance", "audit", "wire"]),
    (6, &["http", "client"]),
    (7, &["config", "conformance"]),
    (8, &["cli"]),
];

/// Lines of a source file, its tests not counted: a longer one wants to be two rooms.
const MAX_FILE_LINES: usize = 400;

/// A word that may stand in these places only (a folder ends in a slash), and why.
const CONFINED: &[(&str, &[&str], &str)] = &[
    ("axum", &["src/http/", "witness/src/http.rs"], "a room that knows HTTP cannot serve another carriage"),
    ("rocksdb", &["log/src/store/rocks.rs"], "another version or engine is a change of one file"),
    (
        "anyhow",
        &["src/cli/", "src/main.rs", "witness/src/main.rs", "witness/src/cli.rs"],
        "rooms have error enums",
    ),
    ("SystemTime", CLOCKS, "a decision that reads the time cannot be replayed"),
    ("Timestamp::now", CLOCKS, "a decision that reads the time cannot be replayed"),
    ("Zoned::now", CLOCKS, "a decision that reads the time cannot be replayed"),
    ("OffsetDateTime::now_utc", CLOCKS, "a decision that reads the time cannot be replayed"),
];
const CLOCKS: &[&str] = &["src/clock.rs", "witness/src/clock.rs"];

/// A crate's manifest, and what nothing below it may be.
const SEPARATE: &[(&str, &[&str])] = &[
    ("log/Cargo.toml", &["treering", "treering-provenance", "treering-witness", "axum"]),
    (
        "log/tlog/Cargo.toml",
        &["treering", "treering-log", "treering-provenance", "treering-witness", "tokio", "rocksdb"],
    ),
    (
        "provenance/Cargo.toml",
        &["treering", "treering-log", "treering-witness", "tokio", "axum", "rocksdb", "hyper"],
    ),
    ("witness/Cargo.toml", &["treering", "treering-log", "treering-provenance", "rocksdb"]),
];

const CRATES: &[&str] = &["src", "log/src", "log/tlog/src", "nsm/src", "provenance/src", "witness/src"];

#[test]
fn rooms_import_lower_floors_only() {
    check(rust_files("src").iter().flat_map(|(path, text)| upward_imports(path, text)));
}

#[test]
fn every_room_has_a_floor_and_the_documentation_says_the_same() {
    let lib = read("src/lib.rs");
    let declared: BTreeSet<String> = code_of(&lib)
        .lines()
        .filter_map(|line| line.trim().trim_start_matches("pub ").strip_prefix("mod "))
        .map(|name| name.trim_end_matches(';').to_owned())
        .collect();
    let placed: BTreeSet<String> =
        FLOORS.iter().flat_map(|(_, rooms)| rooms.iter().map(|room| (*room).to_owned())).collect();
    assert_eq!(declared, placed, "the rooms of src/lib.rs and of FLOORS");

    let documented: BTreeMap<u8, BTreeSet<String>> = lib.lines().filter_map(table_row).collect();
    let wanted =
        FLOORS.iter().map(|(floor, rooms)| (*floor, rooms.iter().map(|room| (*room).to_owned()).collect()));
    assert_eq!(documented, wanted.collect(), "the table in the head of src/lib.rs and FLOORS");
}

#[test]
fn libraries_stay_in_their_rooms() {
    check(all_files().iter().flat_map(|(path, text)| misplaced(path, text)));
}

#[test]
fn files_are_short() {
    check(all_files().iter().filter_map(|(path, text)| too_long(path, text)));
}

#[test]
fn crates_know_only_what_is_below_them() {
    let lock = read("Cargo.lock");
    let findings = SEPARATE.iter().flat_map(|(manifest, banned)| {
        let below = closure(&read(manifest), &lock);
        assert!(!below.is_empty(), "{manifest} names no dependency: is it read rightly?");
        banned
            .iter()
            .filter(|name| below.contains(**name))
            .map(|name| format!("{manifest}: depends on {name}"))
            .collect::<Vec<_>>()
    });
    check(findings);
}

#[test]
fn planted_offences_are_found() {
    let found = |path, text| upward_imports(path, text).len();
    for text in [
        "use crate::config::Release;",
        "use crate::{clock::Clock, config::{self, Release}};",
        "fn f() -> crate::http::Server { todo() }",
        "use super::super::audit;",
        "mod inner { use super::super::super::audit::Trace; }",
        "use treering::cli;",
        "use crate::mapper::Mapping;", // its own floor
        "#[cfg(test)] mod tests { use crate::governance::Genesis; }",
    ] {
        assert_eq!(found("src/ledger/seal.rs", text), 1, "{text}");
    }
    for text in [
        "use crate::{clock::Clock, ident, ledger::Draft};",
        "// use crate::config::Release;\n/* crate::http */ const A: &str = \"crate::http\"; const B: char = '\"';",
        "/// See [`crate::http`].\nfn f<'a>(x: &'a str) {} use super::config;", // `ledger::config`, not `crate::config`
        "const A: &str = r#\"use crate::http; \"crate::cli\" \"#; use super::*;",
        "mod inner { use super::super::audit; }", // `ledger::audit`
    ] {
        assert_eq!(upward_imports("src/ledger/seal.rs", text), Vec::<String>::new(), "{text}");
    }
    assert_eq!(found("src/config.rs", "use super::cli;"), 1);
    assert_eq!(found("src/unknown/mod.rs", "use crate::clock;"), 1, "a room without a floor");

    assert_eq!(misplaced("src/client/mod.rs", "use axum::http::Method;").len(), 1);
    assert_eq!(misplaced("log/src/reader.rs", "let db = rocksdb::DB::open(path);").len(), 1);
    assert_eq!(misplaced("log/src/stats.rs", "// rocksdb\nlet name = \"rocksdb.estimate\";").len(), 0);
    assert_eq!(misplaced("src/audit/mod.rs", "std::time::SystemTime::now()").len(), 1);
    assert_eq!(misplaced("src/clock.rs", "std::time::SystemTime::now()").len(), 0);
    assert!(too_long("src/a.rs", &"\n".repeat(MAX_FILE_LINES + 1)).is_some());
    assert!(too_long("src/a.rs", &format!("#[cfg(test)]\nmod tests {{\n{}}}", "\n".repeat(500))).is_none());

    let lock = "[[package]]\nname = \"a\"\nversion = \"1\"\ndependencies = [\"b 2\"]\n\
        [[package]]\nname = \"b\"\nversion = \"1\"\ndependencies = [\"tokio\"]\n\
        [[package]]\nname = \"b\"\nversion = \"2\"\ndependencies = [\"rocksdb\"]\n";
    let below = closure("[dependencies]\na = \"1\"\n[dev-dependencies]\nc = \"1\"", lock);
    assert_eq!(below, ["a", "b", "rocksdb"].map(str::to_owned).into());
}

/// What `path` imports from its own or a higher floor.
fn upward_imports(path: &str, text: &str) -> Vec<String> {
    let module = module_of(path);
    let Some(room) = module.first() else { return Vec::new() };
    let Some(own) = floor_of(room) else { return vec![format!("{path}: the room {room} has no floor")] };
    imports(&module, text)
        .into_iter()
        .filter(|import| import != room)
        .filter_map(|import| floor_of(&import).map(|floor| (import, floor)))
        .filter(|(_, floor)| *floor >= own)
        .map(|(import, floor)| format!("{path}: {room} (floor {own}) imports {import} (floor {floor})"))
        .collect()
}

fn floor_of(room: &str) -> Option<u8> {
    FLOORS.iter().find(|(_, rooms)| rooms.contains(&room)).map(|(floor, _)| *floor)
}

/// `src/a/b.rs` is the module `a::b`; the crate's root and the thin `main.rs` stand above all floors.
fn module_of(path: &str) -> Vec<String> {
    let inside = path.trim_start_matches("src/").trim_end_matches(".rs").trim_end_matches("/mod");
    if matches!(inside, "lib" | "main") {
        return Vec::new();
    }
    inside.split('/').map(str::to_owned).collect()
}

/// The first path segments below the crate's root that the text names: by `crate::`, by the crate's own name, or by
/// enough `super::` to leave the room.
fn imports(module: &[String], text: &str) -> BTreeSet<String> {
    let code = code_of(text);
    let tokens = tokens_of(&code);
    let mut found = BTreeSet::new();
    let mut inline = Vec::new(); // brace depths at which an inline `mod name {` was opened
    let mut depth = 0_usize;
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        let start = at;
        at += 1;
        match *token {
            "{" => {
                if start >= 2 && tokens[start - 2] == "mod" {
                    inline.push(depth);
                }
                depth += 1;
            }
            "}" => {
                depth = depth.saturating_sub(1);
                inline.pop_if(|opened| *opened == depth);
            }
            "crate" | "treering" | "super" if start == 0 || tokens[start - 1] != "::" => {
                let mut supers = usize::from(*token == "super");
                while tokens.get(at) == Some(&"::") && tokens.get(at + 1) == Some(&"super") {
                    supers += 1;
                    at += 2;
                }
                let from_root = *token != "super" || supers == module.len() + inline.len();
                if from_root && tokens.get(at) == Some(&"::") {
                    found.extend(first_segments(&tokens[at + 1..]));
                }
            }
            _ => {}
        }
    }
    found
}

/// `room::…` names one room, `{a::b, c}` several.
fn first_segments(tokens: &[&str]) -> Vec<String> {
    if tokens.first() != Some(&"{") {
        return tokens.first().map(|name| (*name).to_owned()).into_iter().collect();
    }
    let mut depth = 0;
    let mut names = Vec::new();
    for (position, token) in tokens.iter().enumerate() {
        match *token {
            "{" => depth += 1,
            "}" => depth -= 1,
            name if depth == 1 && matches!(tokens[position - 1], "{" | ",") => names.push(name.to_owned()),
            _ => {}
        }
        if depth == 0 {
            break;
        }
    }
    names
}

fn misplaced(path: &str, text: &str) -> Vec<String> {
    let code = code_of(text);
    let tokens = tokens_of(&code);
    let mut findings = Vec::new();
    for (word, places, reason) in CONFINED {
        let wanted: Vec<&str> = tokens_of(word);
        let allowed =
            places.iter().any(|place| path == *place || (place.ends_with('/') && path.starts_with(place)));
        if !allowed && tokens.windows(wanted.len()).any(|window| window == wanted) {
            findings.push(format!("{path}: names {word}, which may stand in {places:?} only: {reason}"));
        }
    }
    findings
}

fn too_long(path: &str, text: &str) -> Option<String> {
    let lines: Vec<&str> = text.lines().collect();
    let tests =
        lines.windows(2).position(|pair| pair[0].trim() == "#[cfg(test)]" && pair[1].starts_with("mod "));
    let count = tests.unwrap_or(lines.len());
    (count > MAX_FILE_LINES).then(|| format!("{path}: {count} lines without tests, at most {MAX_FILE_LINES}"))
}

/// Everything below a crate: its `[dependencies]`, and theirs as the lock file resolved them.
fn closure(manifest: &str, lock: &str) -> BTreeSet<String> {
    let manifest: toml::Table = manifest.parse().unwrap();
    let lock: toml::Table = lock.parse().unwrap();
    let packages = lock["package"].as_array().unwrap();
    let direct = manifest.get("dependencies").and_then(toml::Value::as_table);
    let mut todo: Vec<String> = direct.into_iter().flat_map(|table| table.keys().cloned()).collect();
    let mut seen = BTreeSet::new();
    while let Some(wanted) = todo.pop() {
        if !seen.insert(wanted.clone()) {
            continue;
        }
        // "name", or "name version" where two versions are locked.
        let (name, version) =
            wanted.split_once(' ').map_or((wanted.as_str(), None), |(name, v)| (name, Some(v)));
        for package in packages.iter().filter(|package| package["name"].as_str() == Some(name)) {
            if version.is_some_and(|version| package["version"].as_str() != Some(version)) {
                continue;
            }
            let below = package.get("dependencies").and_then(toml::Value::as_array);
            todo.extend(below.into_iter().flatten().filter_map(toml::Value::as_str).map(str::to_owned));
        }
    }
    seen.iter().map(|wanted| wanted.split(' ').next().unwrap_or(wanted).to_owned()).collect()
}

/// `//! | 0 | [`clock`], [`ident`] |` → (0, {clock, ident})
fn table_row(line: &str) -> Option<(u8, BTreeSet<String>)> {
    let mut cells = line.strip_prefix("//! |")?.split('|').map(str::trim);
    let floor = cells.next()?.parse().ok()?;
    let rooms = cells.next()?.split(',').map(|room| room.trim().trim_matches(['[', ']', '`']).to_owned());
    Some((floor, rooms.collect()))
}

/// The text without comments and literals.
fn code_of(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut code = String::with_capacity(text.len());
    let mut at = 0;
    while at < bytes.len() {
        let end = match &bytes[at..] {
            [b'/', b'/', ..] => text[at..].find('\n').map_or(bytes.len(), |length| at + length),
            [b'/', b'*', ..] => text[at..].find("*/").map_or(bytes.len(), |length| at + length + 2),
            [b'r', b'"' | b'#', ..] if at == 0 || !is_word(bytes[at - 1]) || bytes[at - 1] == b'b' => {
                end_of_raw_string(text, at)
            }
            [b'"', ..] => end_of_quoted(bytes, at, b'"'),
            [b'\'', b'\\', ..] | [b'\'', _, b'\'', ..] => end_of_quoted(bytes, at, b'\''),
            _ => at,
        };
        if end == at {
            // Characters outside ASCII stand in comments and literals only, or in names that are no room's.
            code.push(char::from(bytes[at]));
            at += 1;
        } else {
            code.push(' ');
            at = end;
        }
    }
    code
}

fn end_of_raw_string(text: &str, at: usize) -> usize {
    let hashes = text[at + 1..].bytes().take_while(|byte| *byte == b'#').count();
    if text.as_bytes().get(at + 1 + hashes) != Some(&b'"') {
        return at + 1 + hashes; // a raw identifier
    }
    let close = format!("\"{}", "#".repeat(hashes));
    let body = at + 2 + hashes;
    text[body..].find(&close).map_or(text.len(), |length| body + length + close.len())
}

fn end_of_quoted(bytes: &[u8], at: usize, quote: u8) -> usize {
    let mut end = at + 1;
    while end < bytes.len() && bytes[end] != quote {
        end += if bytes[end] == b'\\' { 2 } else { 1 };
    }
    end + 1
}

fn tokens_of(code: &str) -> Vec<&str> {
    let bytes = code.as_bytes();
    let mut tokens = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let word = bytes[at..].iter().take_while(|byte| is_word(**byte)).count();
        let length = if word > 0 { word } else { 1 + usize::from(bytes[at..].starts_with(b"::")) };
        if !bytes[at].is_ascii_whitespace() && code.is_char_boundary(at) {
            tokens.extend(code.get(at..at + length));
        }
        at += length;
    }
    tokens
}

const fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

fn all_files() -> Vec<(String, String)> {
    CRATES.iter().flat_map(|folder| rust_files(folder)).collect()
}

/// Path from the workspace's root, and text; files of nothing but tests are left out.
fn rust_files(folder: &str) -> Vec<(String, String)> {
    let mut files = Vec::new();
    let mut todo = vec![root().join(folder)];
    while let Some(folder) = todo.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                todo.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs")
                && !path.ends_with("tests.rs")
            {
                let name = path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned();
                files.push((name, std::fs::read_to_string(&path).unwrap()));
            }
        }
    }
    assert!(!files.is_empty(), "{folder} has no source file");
    files
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

fn check(findings: impl Iterator<Item = String>) {
    let findings: Vec<String> = findings.collect();
    assert!(findings.is_empty(), "{} findings:\n{}", findings.len(), findings.join("\n"));
}
