//! The `treering` program.

/// A registration makes some hundred small values, most of them while CBOR is read: with glibc's allocator that is an
/// eighth of its time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    treering::cli::main()
}
