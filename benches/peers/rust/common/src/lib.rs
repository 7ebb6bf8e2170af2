//! What the Rust peers share: the exported network's folder, the timing, and the JSON object they print.
//!
//! Every program is called as `PROGRAM FOLDER WARMUP ITERATIONS`, like `python/measure.py`.

use std::time::Instant;

/// One exported network and how often to run it.
pub struct Case {
    /// What `export.py` wrote.
    pub folder: String,
    /// Of the input, N, C, H, W.
    pub shape: [usize; 4],
    /// The input's values.
    pub input: Vec<f32>,
    warmup: usize,
    iterations: usize,
}

impl Case {
    /// The case that the command line names.
    pub fn from_args() -> Case {
        let args: Vec<String> = std::env::args().skip(1).collect();
        let [folder, warmup, iterations] = &args[..] else { panic!("usage: PROGRAM FOLDER WARMUP ITERATIONS") };
        let facts = std::fs::read(format!("{folder}/facts.json")).expect("facts.json, which export.py writes");
        let facts: serde_json::Value = serde_json::from_slice(&facts).expect("facts.json is JSON");
        Case {
            shape: std::array::from_fn(|i| facts["shape"][i].as_u64().expect("a shape of four numbers") as usize),
            input: floats(&format!("{folder}/x.f32")),
            warmup: warmup.parse().expect("a number of warm-up runs"),
            iterations: iterations.parse().expect("a number of timed runs"),
            folder: folder.clone(),
        }
    }

    /// Times `load`, then what it returns: a function from the input to the logits, both on the host. Prints the result.
    pub fn measure<R: FnMut() -> Vec<f32>>(&self, crate_name: &str, load: impl FnOnce() -> R) {
        let start = Instant::now();
        let mut run = load();
        let got = run();
        let start_ms = ms(start);
        for _ in 0..self.warmup {
            run();
        }
        let mut times: Vec<f64> = (0..self.iterations)
            .map(|_| {
                let start = Instant::now();
                run();
                ms(start)
            })
            .collect();
        times.sort_by(f64::total_cmp);
        let n = times.len();
        let result = serde_json::json!({
            "version": format!("{crate_name} {}", version(crate_name)),
            "start_ms": start_ms,
            "median_ms": (times[(n - 1) / 2] + times[n / 2]) / 2.0,
            "min_ms": times[0],
            "max_ms": times[n - 1],
            "peak_rss_mb": peak_rss_mb(),
            "rel_err": relative_error(&got, &floats(&format!("{}/y.f32", self.folder))),
        });
        println!("{result}");
    }
}

fn ms(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e3
}

fn floats(path: &str) -> Vec<f32> {
    let bytes = std::fs::read(path).unwrap_or_else(|e| panic!("{path}: {e}"));
    bytes.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect()
}

/// Relative L2 distance.
fn relative_error(got: &[f32], want: &[f32]) -> f64 {
    assert_eq!(got.len(), want.len(), "number of logits");
    let square = |v: f32| f64::from(v).powi(2);
    let distance: f64 = got.iter().zip(want).map(|(g, w)| square(g - w)).sum();
    (distance / want.iter().map(|w| square(*w)).sum::<f64>()).sqrt()
}

/// The highest resident size of this process so far, in MiB.
fn peak_rss_mb() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:")).expect("a VmHWM line");
    line.trim().trim_end_matches(" kB").parse::<f64>().expect("a number of kB") / 1024.0
}

/// The version of a crate that this workspace was built with.
fn version(name: &str) -> &'static str {
    let lock = include_str!("../../Cargo.lock");
    let after = lock.split(&format!("name = \"{name}\"\nversion = \"")).nth(1).expect("a crate of this workspace");
    &after[..after.find('"').unwrap()]
}
