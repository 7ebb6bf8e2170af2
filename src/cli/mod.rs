//! The `mbconv` program: one file per command, and `common` for what they share. No inference happens here.

mod bench;
mod classify;
mod common;
mod describe;
mod detect;
mod devices;
mod models;
mod profile;
mod run;
mod tune;
mod verify;

use clap::{Parser, Subcommand};
use common::{Failure, Start};
use std::io::Write;
use std::process::ExitCode;

const AFTER_HELP: &str = "\
Examples:
  mbconv classify photo.jpg               the built-in EfficientNet-Lite0
  mbconv devices                          what --device may name
  mbconv verify                           every layer, GPU against CPU
  mbconv describe efficientnet_b0 --plan  what a GPU will be asked to do

`mbconv help COMMAND` explains a command. The exit code is 0 for success,
1 for a failure, 2 for a mistake in the command line.";

/// Runs mobile convnets (EfficientNet and relatives) on any GPU through WGSL compute shaders.
#[derive(Parser)]
#[command(name = "mbconv", version, after_help = AFTER_HELP)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Classify(classify::Args),
    Detect(detect::Args),
    Run(run::Args),
    Verify(verify::Args),
    Describe(describe::Args),
    Bench(bench::Args),
    Profile(profile::Args),
    Tune(tune::Args),
    Models(models::Args),
    Devices(devices::Args),
}

impl Command {
    fn run(&self, out: &mut dyn Write, start: Start) -> Result<(), Failure> {
        match self {
            Self::Classify(args) => classify::run(args, out),
            Self::Detect(args) => detect::run(args, out),
            Self::Run(args) => run::run(args, out),
            Self::Verify(args) => verify::run(args, out),
            Self::Describe(args) => describe::run(args, out),
            Self::Bench(args) => bench::run(args, out, start),
            Self::Profile(args) => profile::run(args, out),
            Self::Tune(args) => tune::run(args, out),
            Self::Models(args) => models::run(args, out),
            Self::Devices(args) => devices::run(args, out),
        }
    }
}

/// The whole program: reads the command line, runs one command, reports a failure in one line on stderr.
///
/// The exit code is 0 for success, 1 for a failure and 2 for a mistake in the command line. A reader that closes
/// stdout early (`| head`) ends the program quietly.
pub fn main() -> ExitCode {
    let start = Start::now();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version come here too, with code 0. Where it cannot be printed nobody is reading.
            drop(error.print());
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    let result = cli.command.run(&mut out, start);
    let flushed = out.flush().map_err(Failure::from);
    match result.and(flushed) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        super::Cli::command().debug_assert();
    }
}
