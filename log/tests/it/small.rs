//! A small file system in memory, which is really full when it is full. The service's tests use this file, too.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// Says to a test that is run again that this is the other run.
const AGAIN: &str = "TREERING_IN_A_NAMESPACE_OF_ITS_OWN";

/// The file system; gone when this is dropped.
pub(crate) struct Small(PathBuf);

impl Small {
    /// A file system of so many megabytes over a folder, with what was in the folder.
    ///
    /// Who is not root may mount in a namespace of its own: then the test, by its whole name, is run again there, and
    /// `None` says that it was. Where that is not allowed either it is skipped, and on CI it fails.
    pub(crate) fn over(dir: &Path, megabytes: u32, test: &str) -> Option<Self> {
        let kept = dir.with_extension("kept");
        fs::rename(dir, &kept).unwrap();
        fs::create_dir(dir).unwrap();
        let (path, size) = (dir.to_str().unwrap(), format!("size={megabytes}m,mode=0700"));
        let mounting = ["mount", "-t", "tmpfs", "-o", &size, "tmpfs", path];
        if run(&mounting) {
            let small = Self(dir.to_owned());
            assert!(run(&["cp", "-a", &format!("{}/.", kept.display()), path]));
            return Some(small);
        }
        assert!(std::env::var_os(AGAIN).is_none(), "a namespace of its own, and no mount");
        let namespace = ["unshare", "--map-root-user", "--mount", "--"];
        if run(&[&namespace[..], &mounting].concat()) {
            let own = std::env::current_exe().unwrap();
            let again = Command::new(namespace[0])
                .args(&namespace[1..])
                .arg(own)
                .args([test, "--exact", "--nocapture"])
                .env(AGAIN, "1")
                .output()
                .unwrap();
            let said = String::from_utf8_lossy(&again.stdout);
            assert!(again.status.success() && said.contains("1 passed"), "{test} in a namespace: {again:?}");
            return None;
        }
        let why = "no small file system can be mounted here, not by root nor in a user namespace";
        assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "{why}");
        // Past the capture of what tests print: whoever runs them shall see it.
        std::io::stderr().write_all(format!("skipped: {test}: {why}\n").as_bytes()).unwrap();
        None
    }

    /// Changes its size.
    #[allow(dead_code, reason = "not every user of this file needs it")]
    pub(crate) fn resize(&self, megabytes: u32) {
        let size = format!("remount,size={megabytes}m");
        // Without the options that it has: its owner may have no name in a namespace.
        let words = ["mount", "--options-mode=ignore", "-o", &size, "tmpfs", self.0.to_str().unwrap()];
        assert!(run(&words));
    }
}

fn run(words: &[&str]) -> bool {
    let status = Command::new(words[0]).args(&words[1..]).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

impl Drop for Small {
    fn drop(&mut self) {
        run(&["umount", "-l", self.0.to_str().unwrap()]);
    }
}
