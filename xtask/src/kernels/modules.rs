//! The kernel modules of the scenarios: a guest has no modprobe to load them on demand.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail};

use super::package::Kernel;
use crate::process::{self, log};

/// Modules to load before the first scenario.
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

/// Copies modules and their dependencies into `directory`. Returns their file names in loading order.
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
            log(format_args!(
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

/// Returns the file in "insmod PATH OPTIONS", whose path may contain spaces; a built-in module has none.
fn file(line: &str) -> Option<PathBuf> {
    let rest = line.strip_prefix("insmod ")?;
    let suffix = rest.rfind(".ko")?;
    let end = rest[suffix..]
        .find(' ')
        .map_or(rest.len(), |end| suffix + end);
    Some(rest[..end].into())
}

fn unpack(path: &Path, directory: &Path) -> Result<String> {
    let name = path
        .file_name()
        .context("module without a name")?
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
        bail!("{name}: unknown module format");
    }
    fs::copy(path, directory.join(&name))?;
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modprobe_lines() {
        assert_eq!(
            file("insmod /r/lib/modules/6/veth.ko.xz "),
            Some("/r/lib/modules/6/veth.ko.xz".into())
        );
        assert_eq!(
            file("insmod /a b/lib/modules/6/sch_tbf.ko x=1 y"),
            Some("/a b/lib/modules/6/sch_tbf.ko".into())
        );
        assert_eq!(file("builtin tun"), None);
    }
}
