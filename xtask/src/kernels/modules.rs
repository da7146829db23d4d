//! The modules that the scenarios need: a guest has nobody who would load them when asked.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail};

use super::package::Kernel;
use crate::process::{self, say};

/// Loaded before the first scenario, where the kernel has them as modules. Before Linux 6.10 the
/// kernel asks for `sch_ingress` and `cls_bpf` by names that nothing in an initramfs answers to.
const NEEDED: [&str; 10] = [
    "veth",
    "vxlan",
    "dummy",
    "sch_ingress",
    "cls_bpf",
    "sch_netem",
    "sch_tbf",
    "8021q",
    "bridge",
    "tun",
];

/// Copies modules and what they need into `directory`, and gives the files' names in the order of
/// loading.
pub(super) fn copy(kernel: &Kernel, directory: &Path) -> Result<Vec<String>> {
    fs::create_dir_all(directory)?;
    let mut loaded = Vec::new();
    for module in NEEDED {
        let mut query = Command::new("modprobe");
        query
            .arg("-d")
            .arg(&kernel.root)
            .args(["-S", &kernel.version, "--show-depends", module]);
        let Ok(text) = process::read(&mut query) else {
            say(format_args!(
                "Linux {}: has no module {module}",
                kernel.release
            ));
            continue;
        };
        for path in text.lines().filter_map(file) {
            let name = unpack(&path, directory)?;
            if !loaded.contains(&name) {
                loaded.push(name);
            }
        }
    }
    Ok(loaded)
}

/// The file in "insmod PATH OPTIONS"; what is built in has none.
fn file(line: &str) -> Option<PathBuf> {
    line.strip_prefix("insmod ")?
        .split(' ')
        .next()
        .map(PathBuf::from)
}

fn unpack(path: &Path, directory: &Path) -> Result<String> {
    let name = path
        .file_name()
        .context("a module without a name")?
        .to_string_lossy()
        .into_owned();
    if let Some(plain) = name.strip_suffix(".xz") {
        let output = Command::new("xz")
            .arg("-dc")
            .arg(path)
            .output()
            .context("cannot start `xz`")?;
        if !output.status.success() {
            bail!("`xz -dc {}` failed", path.display());
        }
        fs::write(directory.join(plain), output.stdout)?;
        return Ok(plain.into());
    }
    if !name.ends_with(".ko") {
        bail!("{name}: modules in this form are not known");
    }
    fs::copy(path, directory.join(&name))?;
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modprobes_lines() {
        assert_eq!(
            file("insmod /r/lib/modules/6/veth.ko.xz "),
            Some("/r/lib/modules/6/veth.ko.xz".into())
        );
        assert_eq!(file("builtin tun"), None);
    }
}
