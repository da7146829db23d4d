//! Builds the eBPF objects that only tests load.

fn main() {
    // One of the objects includes a source file of this package.
    println!("cargo::rerun-if-changed=../netviz-ebpf/src");
    ebpf_build::build("netviz-test-objects", "ebpf");
}
