//! The one place where failures become a line on stderr and an exit code.

use crate::error::Error;
use std::io::Write;
use std::process::ExitCode;

/// Why a command ends without success.
#[derive(Debug)]
pub enum Failure {
    /// An error of the library.
    Error(Error),
    /// Arguments that do not go together.
    Usage(String),
    /// Work that was done and did not come out well: a failed verification, images that could not be read.
    Verdict(String),
    /// A failure that was reported already.
    Reported,
    /// Stdout could not be written.
    Output(std::io::Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::Output(error)
    }
}

impl Failure {
    /// Says it in one line on stderr and gives the exit code.
    pub fn report(self) -> ExitCode {
        let (message, code) = match self {
            // `| head` has seen enough.
            Self::Output(error) if error.kind() == std::io::ErrorKind::BrokenPipe => return ExitCode::SUCCESS,
            Self::Reported => return ExitCode::FAILURE,
            Self::Output(error) => (format!("standard output: {error}"), 1),
            Self::Error(error) => (error.to_string(), 1),
            Self::Verdict(message) => (message, 1),
            Self::Usage(message) => (format!("{message}; see --help"), 2),
        };
        note("error", &message);
        ExitCode::from(code)
    }
}

/// One line on stderr. Drivers' messages have several, which are joined.
pub fn note(kind: &str, message: &str) {
    let lines: Vec<&str> = message.lines().map(str::trim).filter(|l| !l.is_empty()).collect();
    // Not eprintln!: it panics where stderr is closed.
    drop(writeln!(std::io::stderr(), "{kind}: {}", lines.join(" ")));
}
