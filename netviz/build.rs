//! Builds the eBPF objects that netviz loads.

fn main() {
    ebpf_build::build("netviz-ebpf", "../netviz-ebpf");
}
