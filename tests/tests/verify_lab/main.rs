//! `netviz verify` on the lab, in each routing mode: complete paths, and packets that are dropped,
//! redirected, duplicated, swapped, fragmented or hidden at a chosen door.

mod answers;
mod drops;
mod fixture;
mod fragments;
mod other_traffic;
mod paths;
mod repeated_runs;
mod routing_faults;
mod service;
mod watch;

use netviz::lab::Mode;

/// One test for each mode.
macro_rules! in_each_mode {
    ($file:ident::$check:ident) => {
        mod $check {
            use super::*;

            #[test]
            fn vxlan() {
                $file::$check(Mode::Vxlan);
            }

            #[test]
            fn vxlan_host_routing() {
                $file::$check(Mode::VxlanHostRouting);
            }

            #[test]
            fn native() {
                $file::$check(Mode::Native);
            }

            #[test]
            fn native_host_routing() {
                $file::$check(Mode::NativeHostRouting);
            }

            #[test]
            fn native_endpoint_routes() {
                $file::$check(Mode::NativeEndpointRoutes);
            }
        }
    };
}

in_each_mode!(paths::verified_paths);
in_each_mode!(paths::by_protocol);
in_each_mode!(paths::node_paths);
in_each_mode!(paths::mode_is_inferred_or_given);
in_each_mode!(paths::names);
in_each_mode!(drops::packets_dropped_by_programs);
in_each_mode!(drops::full_hooks_are_hidden);
in_each_mode!(routing_faults::detour);
in_each_mode!(routing_faults::routing_loop);
in_each_mode!(routing_faults::unassigned_address);
in_each_mode!(routing_faults::missing_route);
in_each_mode!(routing_faults::destination_down);
in_each_mode!(fragments::fragmented_packets);
in_each_mode!(fragments::small_mtu);
in_each_mode!(service::service_address);
in_each_mode!(repeated_runs::repeated_runs_agree);
in_each_mode!(other_traffic::duplicates_and_reordering);
in_each_mode!(other_traffic::foreign_traffic);

/// Where the node's stack forwards the packets of its pods.
mod stack {
    use super::*;

    #[test]
    fn closed_udp_port() {
        answers::closed_udp_port(Mode::Native);
    }

    #[test]
    fn hairpin() {
        answers::hairpin(Mode::NativeEndpointRoutes);
    }

    #[test]
    fn address_on_loopback() {
        answers::address_on_loopback(Mode::NativeEndpointRoutes);
    }
}
