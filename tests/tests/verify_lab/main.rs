//! `netviz verify` on the lab, in each routing mode: complete paths, and packets that are dropped,
//! redirected, duplicated, swapped, fragmented or hidden at a chosen door.

mod broken;
mod crowd;
mod ended;
mod fragments;
mod often;
mod paths;
mod service;
mod site;

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

in_each_mode!(paths::whole_paths);
in_each_mode!(paths::by_protocol);
in_each_mode!(paths::of_nodes);
in_each_mode!(paths::the_mode_is_inferred_and_can_be_wrong);
in_each_mode!(paths::names);
in_each_mode!(ended::programs_that_end_packets);
in_each_mode!(ended::doors_that_are_hidden);
in_each_mode!(broken::detour);
in_each_mode!(broken::circle);
in_each_mode!(broken::nobody);
in_each_mode!(broken::missing_route);
in_each_mode!(broken::destination_down);
in_each_mode!(fragments::in_fragments);
in_each_mode!(fragments::too_narrow);
in_each_mode!(service::to_a_service);
in_each_mode!(often::one_after_the_other);
in_each_mode!(crowd::doubled_and_swapped);
in_each_mode!(crowd::others_beside);
