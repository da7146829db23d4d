// The body of the counting object. The including file defines `VERDICT`, which it returns on every
// path.
use aya_ebpf::macros::classifier;

include!("counting.rs");

#[classifier]
fn netviz_ingress(ctx: TcContext) -> i32 {
    count(&ctx, |door| &mut door.ingress);
    VERDICT
}

#[classifier]
fn netviz_egress(ctx: TcContext) -> i32 {
    count(&ctx, |door| &mut door.egress);
    VERDICT
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
