//! Builds the eBPF objects of a package, for build scripts.
//!
//! The toolchain is the one that `cargo xtask setup` prepared: a distribution's compiler with `core`
//! for BPF, or nightly with its source.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, ensure};
use aya_build::{Package, Toolchain};
use object::build::elf::{Builder, SectionData};

/// Name under which `cargo xtask setup` links the distribution's compiler into rustup.
const LINKED: &str = "netviz-bpf";
/// Names the toolchain to the child process that builds.
const CHILD: &str = "NETVIZ_EBPF_TOOLCHAIN";
/// First words of cargo's progress lines, which aya-build passes on as warnings.
const PROGRESS: [&str; 8] = [
    "Compiling",
    "Finished",
    "Downloading",
    "Downloaded",
    "Locking",
    "Updating",
    "Blocking",
    "Fresh",
];

/// Builds every bin of `package`, which lies at `root`, into `OUT_DIR`. To be called once, as the last
/// step of a build script.
///
/// # Panics
/// If the build script cannot run itself.
pub fn build(package: &str, root: &str) {
    if let Ok(toolchain) = env::var(CHILD) {
        return build_with(&toolchain, package, root);
    }
    println!("cargo::rerun-if-env-changed=PATH");
    // The release profile applies to the objects.
    println!("cargo::rerun-if-changed=../Cargo.toml");
    match toolchain() {
        Ok(toolchain) => build_quietly(toolchain),
        Err(missing) => println!(
            "cargo::error=cannot build the eBPF programs: {missing}; run `cargo xtask setup` once to install what is missing"
        ),
    }
}

/// Builds in a child process and passes on only its errors and real warnings; otherwise every build
/// ends in fifty warnings that report progress.
fn build_quietly(toolchain: &str) {
    let mut child = Command::new(env::current_exe().expect("a build script has a path"));
    child.env(CHILD, toolchain);
    if toolchain == LINKED {
        // A stable compiler, of which only aya-ebpf needs an unstable feature. With "1", aya-build
        // would pass build-std, for which this compiler has no source.
        child.env("RUSTC_BOOTSTRAP", "aya_ebpf");
    }
    let output = child.output().expect("a build script can run itself");
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        if !is_progress(line) {
            println!("{line}");
        }
    }
}

fn is_progress(line: &str) -> bool {
    let text = line.strip_prefix("cargo:warning=").map(str::trim_start);
    text.is_some_and(|text| text.is_empty() || PROGRESS.iter().any(|word| text.starts_with(word)))
}

fn build_with(toolchain: &str, name: &str, root_dir: &str) {
    let package = Package {
        name,
        root_dir,
        ..Package::default()
    };
    let built = aya_build::build_ebpf([package], Toolchain::Custom(toolchain));
    if let Err(error) = built.and_then(|()| strip_all()) {
        println!("cargo::error=cannot build the eBPF programs: {error:#}");
    }
}

/// Removes the DWARF sections: netviz parses an object once per door, and they are nine tenths of it.
/// BTF stays, with the source lines that the verifier's log shows; only the lab's objects lose the
/// lines, because the binary that is copied to nodes contains them.
fn strip_all() -> Result<()> {
    let directory = PathBuf::from(env::var("OUT_DIR")?);
    for entry in fs::read_dir(&directory)? {
        let path = entry?.path();
        if path.is_file() {
            strip(&path).with_context(|| format!("stripping {}", path.display()))?;
        }
    }
    Ok(())
}

fn strip(path: &Path) -> Result<()> {
    let data = fs::read(path)?;
    let mut object = Builder::read(&*data)?;
    let mut has_any = false;
    for section in &mut object.sections {
        let name = section.name.to_string();
        section.delete = name.starts_with(".debug") || name.starts_with(".rel.debug");
        has_any |= section.delete;
    }
    // A program that no longer exists, stripped by an earlier build.
    if !has_any {
        return Ok(());
    }
    if path.ends_with("netviz-lab") {
        cut_lines(&mut object)?;
    }
    object.delete_orphans();
    // LLVM shares one string table between sections and symbols; this writer needs two.
    let names = object.sections.add();
    names.name = b".shstrtab".as_slice().into();
    names.sh_type = object::elf::SHT_STRTAB;
    names.data = SectionData::SectionString;
    let mut stripped = Vec::new();
    object.write(&mut stripped)?;
    Ok(fs::write(path, stripped)?)
}

/// Removes the source lines from `.BTF.ext`. The function records, from which the kernel takes full
/// program names, come before them: <https://docs.kernel.org/bpf/btf.html#btf-ext-section>
fn cut_lines(object: &mut Builder<'_>) -> Result<()> {
    const HEADER: usize = 4;
    const FUNCTIONS: usize = 8;
    const LINES: usize = 16;
    const CORE: usize = 24;
    let (mut cut, name) = (None, b".BTF.ext".as_slice());
    for section in object
        .sections
        .iter_mut()
        .filter(|it| it.name == name.into())
    {
        let SectionData::Data(bytes) = &mut section.data else {
            continue;
        };
        let mut data = bytes.to_vec();
        let word = |at: usize| -> Result<u32> {
            let word = data.get(at..at + 4).context("truncated header")?;
            Ok(u32::from_le_bytes(word.try_into()?))
        };
        let functions = word(FUNCTIONS)? + word(FUNCTIONS + 4)?;
        ensure!(word(CORE + 4)? == 0, "unexpected CO-RE relocations");
        let end = word(HEADER)? + functions;
        for (at, value) in [(LINES, functions), (LINES + 4, 0), (CORE, functions)] {
            data[at..at + 4].copy_from_slice(&value.to_le_bytes());
        }
        data.truncate(end as usize);
        *bytes = data.into();
        cut = Some(u64::from(end));
    }
    let (end, name) = (
        cut.context("no .BTF.ext section")?,
        b".rel.BTF.ext".as_slice(),
    );
    for section in object
        .sections
        .iter_mut()
        .filter(|it| it.name == name.into())
    {
        if let SectionData::Relocation(relocations) = &mut section.data {
            relocations.retain(|relocation| relocation.r_offset < end);
        }
    }
    Ok(())
}

/// Returns the first toolchain that can build for BPF, or what is missing.
fn toolchain() -> Result<&'static str, String> {
    if !in_path("bpf-linker") {
        return Err("bpf-linker is not in the PATH".into());
    }
    if sysroot(LINKED).is_some_and(|root| has_bpf_core(&root)) {
        return Ok(LINKED);
    }
    if sysroot("nightly").is_some_and(|root| has_source(&root)) {
        return Ok("nightly");
    }
    Err("there is neither a nightly toolchain with rust-src nor a compiler with core for bpfel-unknown-none".into())
}

fn in_path(program: &str) -> bool {
    env::var_os("PATH")
        .is_some_and(|path| env::split_paths(&path).any(|dir| dir.join(program).is_file()))
}

fn sysroot(toolchain: &str) -> Option<PathBuf> {
    let output = Command::new("rustup")
        .args(["run", toolchain, "rustc", "--print", "sysroot"])
        .env_remove("RUSTC")
        .output()
        .ok()?;
    let path = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| PathBuf::from(path.trim()))
}

fn has_bpf_core(root: &Path) -> bool {
    root.join("lib/rustlib/bpfel-unknown-none").is_dir()
}

fn has_source(root: &Path) -> bool {
    root.join("lib/rustlib/src/rust/library/core").is_dir()
}
