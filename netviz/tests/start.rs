//! Cargo builds a package's program where the package has an integration test, before any test of
//! the workspace runs. The tests of the command line need it.

use std::process::Command;

#[test]
fn it_starts() {
    let output = Command::new(env!("CARGO_BIN_EXE_netviz"))
        .arg("--version")
        .output()
        .expect("netviz");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success());
    assert_eq!(text, format!("netviz {}\n", env!("CARGO_PKG_VERSION")));
}
