//! A profile in Chrome's trace event format, which Perfetto reads too.

use super::Profile;
use serde_json::{Value, json};

/// One complete event for each dispatch; times in microseconds.
pub fn trace(p: &Profile) -> Value {
    let name = |what: &str, name: &str| json!({"ph": "M", "pid": 1, "tid": 1, "name": what, "args": {"name": name}});
    let event = |row: &super::Row| {
        json!({
            "ph": "X", "pid": 1, "tid": 1, "cat": row.kernel.split('.').next(), "name": row.module,
            "ts": row.span.begin.as_secs_f64() * 1e6, "dur": row.span.duration().as_secs_f64() * 1e6,
            "args": {
                "kernel": row.kernel, "median us": row.us, "floor us": row.floor_us, "bytes": row.bytes,
                "multiply-adds": row.madds
            }
        })
    };
    let names = [name("process_name", &p.adapter), name("thread_name", &p.model)];
    let events: Vec<Value> = names.into_iter().chain(p.dispatches.iter().map(event)).collect();
    json!({"displayTimeUnit": "ms", "traceEvents": events})
}
