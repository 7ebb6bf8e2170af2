//! Clocks and counters of the process.

use std::time::{Duration, Instant};

/// When the process started.
#[derive(Clone, Copy, Debug)]
pub struct Start {
    main: Instant,
    before_main: Duration,
}

impl Start {
    /// To be called first in `main`.
    pub fn now() -> Self {
        Self { main: Instant::now(), before_main: age().unwrap_or_default() }
    }

    /// Time since the process started (on Linux to a hundredth of a second; elsewhere since `main`).
    pub fn elapsed(&self) -> Duration {
        self.before_main + self.main.elapsed()
    }
}

/// Age of this process from the kernel's clock ticks, of which user space always sees 100 a second.
fn age() -> Option<Duration> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // Field 22, counted behind the name, which may hold spaces and parentheses.
    let ticks: f64 = stat.rsplit_once(')')?.1.split_whitespace().nth(19)?.parse().ok()?;
    let uptime: f64 = std::fs::read_to_string("/proc/uptime").ok()?.split_whitespace().next()?.parse().ok()?;
    let age = uptime - ticks / 100.0;
    // A sandbox may show another clock in one of the two.
    (0.0..10.0).contains(&age).then(|| Duration::from_secs_f64(age))
}

/// The most memory this process has had resident so far, in units of 2^20 bytes; known on Linux only.
pub fn peak_memory() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let kib: f64 =
        status.lines().find_map(|l| l.strip_prefix("VmHWM:"))?.trim().trim_end_matches("kB").trim().parse().ok()?;
    Some(kib / 1024.0)
}

/// Milliseconds.
pub fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// A quantile of sorted values, interpolated between neighbours.
pub fn quantile(sorted: &[f64], share: f64) -> f64 {
    let at = share * (sorted.len().max(1) - 1) as f64;
    let value = |i: usize| sorted.get(i).or(sorted.last()).copied().unwrap_or(f64::NAN);
    let (low, high) = (value(at.floor() as usize), value(at.ceil() as usize));
    low + (high - low) * at.fract()
}

/// The middle of some values, which are sorted.
pub fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    quantile(values, 0.5)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_interpolate() {
        let sorted = [1.0, 2.0, 3.0, 4.0];
        assert_eq!([0.0, 0.5, 1.0].map(|s| quantile(&sorted, s)), [1.0, 2.5, 4.0]);
        assert_eq!(quantile(&[7.0], 0.95), 7.0);
        assert!(quantile(&[], 0.5).is_nan());
    }
}
