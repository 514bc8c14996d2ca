//! The kernel binary: the boot order, one line a step. `docs/boot.md` explains
//! the same lines in the same order.
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
mod kernel {
    use tocsin::kernel::{self, console};
    use tocsin::machine::{boot, mmu, own, paca, platform, trap};

    /// Entered from `boot/entry.S`: relocated, on the boot stack, interrupts off.
    #[unsafe(no_mangle)]
    extern "C" fn kernel_main(r3: u64, r4: u64, firmware: u64, entered: u64) -> ! {
        boot::set_entered(entered); // `time` counts from there
        kernel::connect(); // whom the machine calls: exceptions, C names
        paca::init_boot(); // r13: from here on, stubs and exceptions find the kernel
        let (platform, facts) = platform::take_over(firmware, (r3, r4)); // asks all, sets up memory
        trap::install(); // low memory is ours now
        platform.little_endian_exceptions(&facts);
        own::make_stubs(); // what calls of the kernel's functions run through when traced
        mmu::init(&facts); // every address has its rights
        console::greet(&facts);
        boot::leave_boot_stack(kernel::run::run, &facts) // the commands that came with the boot, then the prompt
    }

    #[panic_handler]
    fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
        match info.location() {
            Some(place) => kernel::oops::panic(format_args!("{} ({place})", info.message())),
            None => kernel::oops::panic(format_args!("{}", info.message())),
        }
    }
}

#[cfg(not(target_os = "none"))]
fn main() {
    eprintln!("tocsin-kernel runs on POWER: build it with `make kernel`, try it with `make run`");
    std::process::exit(2);
}
