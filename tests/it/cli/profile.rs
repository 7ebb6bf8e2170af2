//! `mbconv profile`: the trace, the page, the cache of the calibration.

use super::{Files, command, finish, gpu_wanted};
use std::collections::BTreeSet;

#[test]
fn profile_writes_a_trace_and_a_page_of_the_same_dispatches() {
    if !gpu_wanted() {
        return;
    }
    let files = Files::new();
    let [trace, html, model] = ["t.json", "t.html", "tiny.toml"].map(|name| files.path(name));
    let profile = |more: &[&str]| {
        let args = ["profile", "--model", &model, "--iters", "3", "--json"];
        finish(command(&[&args, more].concat()).env("XDG_CACHE_HOME", files.path("cache"))).json()
    };
    let json = profile(&["--trace", &trace, "--html", &html]);
    let rows = json["dispatches"].as_array().unwrap();
    let sum = |key: &str| rows.iter().map(|r| r[key].as_f64().unwrap()).sum::<f64>() / 1e3;
    let total = |key: &str| json[key].as_f64().unwrap();
    assert!((sum("us") - total("sum_ms")).abs() < 1e-6 && (sum("floor_us") - total("floor_ms")).abs() < 1e-6);
    // The parts make the whole: passes of their own may cost, but not change the order of magnitude.
    let ratio = total("sum_ms") / total("one_pass_ms");
    println!("{} dispatches, together {ratio:.2} of one pass", rows.len());
    assert!((0.1..10.0).contains(&ratio) && total("one_pass_ms") < total("end_to_end_ms"), "{json}");
    for row in rows {
        // A floor by hand from the printed roofline.
        let of = |key: &str| row[key].as_f64().unwrap();
        let roofline = |key: &str| json["roofline"][key].as_f64().unwrap();
        let floor = (of("bytes") / roofline("bytes_per_s")).max(of("madds") / roofline("madds_per_s")) * 1e6;
        assert!((floor - of("floor_us")).abs() <= 1e-9 * floor && floor > 0.0 && of("us") > 0.0, "{row}");
    }
    let chains = json["roofline"]["chains"].as_array().unwrap();
    assert_eq!(chains.iter().map(|c| c[0].as_u64().unwrap()).collect::<Vec<_>>(), [1, 2, 4, 8, 16, 32, 64, 128, 256]);

    let modules: Vec<&str> = rows.iter().map(|r| r["module"].as_str().unwrap()).collect();
    let trace: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(trace).unwrap()).unwrap();
    let events = trace["traceEvents"].as_array().unwrap();
    let spans: Vec<_> = events.iter().filter(|e| e["ph"] == "X").collect();
    assert_eq!(spans.iter().map(|e| e["name"].as_str().unwrap()).collect::<Vec<_>>(), modules);
    let begins: Vec<f64> = spans.iter().map(|e| e["ts"].as_f64().unwrap()).collect();
    assert!(begins[0] == 0.0 && begins.is_sorted(), "{begins:?}");
    assert!(spans.iter().all(|e| e["dur"].as_f64().unwrap() > 0.0));

    let page = std::fs::read_to_string(html).unwrap();
    let outside = ["http", "src=", "href=", "url(", "@import", "<script"];
    assert!(outside.iter().all(|o| !page.contains(o)), "the page needs something else");
    assert_eq!(page.matches("class=\"bars\"").count(), rows.len());
    assert!(modules.iter().collect::<BTreeSet<_>>().iter().all(|m| page.contains(**m)));
    assert!(["{title}", "{rows}", "{totals}"].iter().all(|hole| !page.contains(hole)));

    // The calibration is kept, and measured again when asked.
    assert_eq!(profile(&[])["roofline"], json["roofline"]);
    assert_ne!(profile(&["--recalibrate"])["roofline"], json["roofline"]);
}

#[test]
fn profile_is_of_gpus() {
    let error = finish(&mut command(&["profile", "--device", "cpu"])).error();
    assert!(error.contains("--device cpu"), "{error}");
}
