//! The `mbconv` program. Everything it does is in [`mbconv::cli`].

fn main() -> std::process::ExitCode {
    mbconv::cli::main()
}
