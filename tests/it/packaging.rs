//! What is shipped around the program: the image, the units, the samples. There is no container engine and no
//! running systemd here, so these tests read the files and hold them against what the build makes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Every sample, and where a test parses it with the code that reads it in service.
const SAMPLES: &[(&str, &str)] = &[
    ("appraisal-policy.toml", "tests/it/verifier/sev_snp/policy.rs"),
    ("mapping-manifest.toml", "src/mapper/manifest.rs"),
    ("treering-witness.service", "tests/it/packaging.rs"),
    ("treering.service", "tests/it/packaging.rs"),
    ("treering.toml", "src/config.rs"),
    ("witness.toml", "witness/tests/it/pinned.rs"),
];

#[test]
fn every_sample_is_parsed_by_a_test() {
    let known: Vec<_> = SAMPLES.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(
        names("docs/samples"),
        known,
        "docs/samples, and SAMPLES: add the sample with the test that parses it"
    );
    for (name, test) in SAMPLES {
        assert!(
            read(test).contains(&format!("docs/samples/{name}")),
            "{test} does not name docs/samples/{name}"
        );
    }
}

/// The fuzz crate is a workspace of its own, built by `make fuzz` only: this much is checked without it.
#[test]
fn every_fuzz_target_is_built_and_documented() {
    let manifest: toml::Table = read("tests/fuzz/Cargo.toml").parse().unwrap();
    let built: Vec<_> =
        manifest["bin"].as_array().unwrap().iter().map(|bin| bin["name"].as_str().unwrap()).collect();
    let files = names("tests/fuzz/fuzz_targets");
    let files: Vec<_> = files.iter().map(|name| name.trim_end_matches(".rs")).collect();
    assert_eq!(files, built, "tests/fuzz/fuzz_targets, and the binaries of tests/fuzz/Cargo.toml");
    let text = read("docs/fuzzing.md");
    for name in files {
        assert!(text.contains(&format!("\n| `{name}` | ")), "docs/fuzzing.md does not tell of {name}");
    }
}

#[test]
fn the_image_copies_what_exists() {
    let dockerfile = read("Dockerfile");
    let mut from_build = Vec::new();
    for (_, arguments) in instructions(&dockerfile).into_iter().filter(|(name, _)| name == "COPY") {
        let (flags, paths): (Vec<&str>, Vec<&str>) =
            arguments.split_whitespace().partition(|word| word.starts_with("--"));
        let sources = &paths[..paths.len() - 1];
        if flags == ["--from=build"] {
            from_build.extend(sources.iter().map(|source| (*source).to_owned()));
        } else {
            assert!(flags.is_empty(), "COPY {arguments}: an unknown flag");
            for source in sources {
                assert!(root().join(source).exists(), "COPY {arguments}: {source} does not exist");
            }
        }
    }
    assert_eq!(
        from_build,
        ["treering", "treering-witness"].map(|name| format!("/build/target/release/{name}"))
    );

    // What the build needs must not be kept from it.
    for line in read(".dockerignore").lines() {
        assert!(
            !["Cargo.toml", "Cargo.lock", "src", "log", "provenance", "witness", "*"].contains(&line),
            "{line}"
        );
    }
}

#[test]
fn the_image_runs_as_nobody_in_particular_with_its_data_in_a_volume() {
    let last: BTreeMap<_, _> = instructions(&read("Dockerfile")).into_iter().collect();
    assert_eq!(last["USER"], "treering");
    assert_eq!(last["VOLUME"], r#"["/var/lib/treering"]"#);
    assert_eq!(last["WORKDIR"], "/var/lib/treering");
    assert_eq!(last["ENTRYPOINT"], r#"["treering"]"#);
    let command: Vec<String> = serde_json::from_str(&last["CMD"]).unwrap();
    accepts(env!("CARGO_BIN_EXE_treering"), command.iter().map(String::as_str));
}

/// The library that is linked on the release of the image must be the one that the image installs.
#[test]
fn the_image_has_the_packages_that_the_binaries_link_to() {
    let dockerfile = read("Dockerfile");
    let stages: Vec<_> = instructions(&dockerfile).into_iter().filter(|(name, _)| name == "FROM").collect();
    assert_eq!(stages.len(), 2);
    assert!(
        stages.iter().all(|(_, image)| image.contains("bookworm")),
        "both stages of one release: {stages:?}"
    );
    let installed = dockerfile
        .lines()
        .rev()
        .find_map(|line| line.trim().strip_prefix("&& apt-get install -y --no-install-recommends "))
        .unwrap();
    let packages: Vec<&str> = installed.trim_end_matches('\\').split_whitespace().collect();
    let library = packages.iter().find(|package| package.starts_with("librocksdb")).unwrap();

    let release = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
    if !release.contains("VERSION_CODENAME=bookworm") {
        eprintln!("not run: the image's packages can be looked up on Debian 12 only");
        return;
    }
    let soname =
        library.strip_prefix("librocksdb").map(|version| format!("librocksdb.so.{version}\0")).unwrap();
    let program = std::fs::read(env!("CARGO_BIN_EXE_treering")).unwrap();
    let linked = program.windows(soname.len()).any(|window| window == soname.as_bytes());
    let from_source = !program.windows(14).any(|window| window == b"librocksdb.so.");
    assert!(linked || from_source, "treering links to another RocksDB than {library}");
    for package in packages {
        let Ok(policy) = Command::new("apt-cache").args(["policy", package]).output() else { return };
        let policy = String::from_utf8(policy.stdout).unwrap();
        let candidate = policy.lines().find_map(|line| line.trim().strip_prefix("Candidate: "));
        assert!(candidate.is_some_and(|version| version != "(none)"), "no package {package}: {policy}");
    }
}

#[test]
fn units_start_the_program_and_lock_it_in() {
    for (unit, program, name) in [
        ("docs/samples/treering.service", PathBuf::from(env!("CARGO_BIN_EXE_treering")), "treering"),
        ("docs/samples/treering-witness.service", witness(), "treering-witness"),
    ] {
        let settings = settings(&read(unit));
        let mut start = settings["ExecStart"].split_whitespace();
        assert_eq!(start.next(), Some(format!("/usr/local/bin/{name}").as_str()), "{unit}");
        let arguments: Vec<&str> = start.collect();
        accepts(&program, arguments.iter().copied());
        // The configuration lies in the one folder that the unit may write to.
        assert_eq!(settings["StateDirectory"], name, "{unit}");
        let config = arguments.last().unwrap();
        assert!(config.starts_with(&format!("/var/lib/{name}/")), "{unit}: {config}");
        assert_eq!(settings["User"], name, "{unit}");
        for (key, value) in [
            ("CapabilityBoundingSet", ""),
            ("LimitCORE", "0"),
            ("MemoryDenyWriteExecute", "yes"),
            ("NoNewPrivileges", "yes"),
            ("PrivateDevices", "yes"),
            ("ProtectHome", "yes"),
            ("ProtectSystem", "strict"),
            ("UMask", "0077"),
        ] {
            assert_eq!(settings.get(key).map(String::as_str), Some(value), "{unit}: {key}");
        }
    }
}

/// Whether a program knows a command line: clap shows help only after it understood what stands before `--help`.
fn accepts<'a>(program: impl AsRef<Path>, arguments: impl Iterator<Item = &'a str>) {
    let program = program.as_ref();
    let arguments: Vec<&str> = arguments.chain(["--help"]).collect();
    let output = Command::new(program).args(&arguments).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{} {arguments:?}: {said}", program.display());
}

/// Beside `treering`, where `make test` and `make demo` build it.
fn witness() -> PathBuf {
    let program = Path::new(env!("CARGO_BIN_EXE_treering")).with_file_name("treering-witness");
    assert!(program.exists(), "{} is missing: cargo build -p treering-witness", program.display());
    program
}

/// Instruction and arguments, continued lines joined, comments and `RUN` bodies included as they are.
fn instructions(dockerfile: &str) -> Vec<(String, String)> {
    let joined = dockerfile.replace("\\\n", " ");
    let lines = joined.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .filter_map(|line| line.split_once(' '))
        .map(|(name, rest)| (name.into(), rest.trim().into()))
        .collect()
}

/// The last value of each setting of a unit file.
fn settings(unit: &str) -> BTreeMap<String, String> {
    let lines = unit.lines().map(str::trim).filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| line.split_once('=')).map(|(key, value)| (key.into(), value.into())).collect()
}

/// The sorted names of a folder's files.
fn names(folder: &str) -> Vec<String> {
    let folder = std::fs::read_dir(root().join(folder)).unwrap();
    let mut names: Vec<_> = folder.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}
