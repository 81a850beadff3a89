//! The `treering` program.

fn main() -> std::process::ExitCode {
    treering::cli::main()
}
