//! `mbconv bench`: inferences, starts, and the file of compiled pipelines.

use super::{Files, command, finish, gpu_wanted, mbconv};

/// The stages of a start: none takes longer than all of it, and one after the other no longer than all of it.
fn parts_make_the_whole(start: &serde_json::Value) {
    let of = |key: &str| start[key].as_f64().unwrap_or_else(|| panic!("{key} in {start}"));
    let [weights, device, plan] = ["weights_ms", "device_ms", "plan_ms"].map(of);
    let [upload, compile, prepare, first] = ["upload_ms", "compile_ms", "prepare_ms", "first_ms"].map(of);
    let parts = weights + device + plan + upload.max(compile) + prepare + first;
    assert!(first > 0.0 && parts <= of("ready_ms") && of("ready_ms") <= of("total_ms"), "{start}");
}

#[test]
fn bench_measures() {
    let common = ["bench", "--resolution", "32", "--iters", "3", "--warmup", "1", "--check", "--json"];
    let devices: &[&str] = if gpu_wanted() { &["cpu", "auto"] } else { &["cpu"] };
    for device in devices {
        let ended = mbconv(&[&common[..], &["--device", device, "--batch", "2"]].concat());
        let json = ended.json();
        let number = |key: &str| json[key].as_f64().unwrap_or_else(|| panic!("{key} in {json}"));
        let order = ["min_ms", "p5_ms", "median_ms", "p95_ms", "max_ms"].map(number);
        assert!(order[0] > 0.0 && order.is_sorted(), "{json}");
        assert!((number("images_per_s") - 2e3 / number("median_ms")).abs() < 1e-6);
        parts_make_the_whole(&json["start"]);
        assert!(number("rel_err") < 5e-5, "{json}");
        assert_eq!(json["start"]["pipelines"].as_u64().unwrap(), json["pipelines"].as_u64().unwrap_or(0));
        assert!(json["version"].is_string() && json["adapter"].is_string());
        assert_eq!(json["dispatches"].is_u64(), *device != "cpu");
        assert_eq!(json["peak_rss_mb"].is_f64(), cfg!(target_os = "linux"));
    }
    let files = Files::new();
    let ended = mbconv(&["bench", "--model", &files.path("tiny.toml"), "--device", "cpu", "--iters", "1"]);
    assert!(ended.code == Some(0) && ended.err.contains("synthetic") && ended.out.contains("median"), "{ended:?}");
}

#[test]
fn pipelines_are_kept_between_runs_and_a_broken_file_does_no_harm() {
    if !gpu_wanted() {
        return;
    }
    let files = Files::new();
    let (model, folder) = (files.path("tiny.toml"), files.path("pipelines"));
    let bench = |cache: &str| {
        let args = ["bench", "--model", &model, "--iters", "1", "--warmup", "0", "--check", "--json"];
        let json = finish(command(&args).env("MBCONV_PIPELINE_CACHE", cache)).json();
        assert!(json["rel_err"].as_f64().unwrap() < 5e-5, "{json}");
        json
    };
    let count = |json: &serde_json::Value, key: &str| json["start"][key].as_u64().unwrap();
    let first = bench(&folder);
    let all = count(&first, "pipelines");
    assert_eq!((count(&first, "from_cache"), all > 0), (0, true), "{first}");
    let safe = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
    let adapter: String = first["adapter"].as_str().unwrap().chars().map(safe).collect();
    let file = files.at("pipelines").join(format!("pipelines-{adapter}.bin"));
    // Some drivers put nothing in this cache (Mesa's software driver); then there is nothing to keep.
    let kept = file.exists();
    println!("{adapter}: {}", if kept { "kept" } else { "the driver keeps nothing" });
    assert_eq!(count(&bench(&folder), "from_cache"), if kept { all } else { 0 });

    std::fs::create_dir_all(files.at("pipelines")).unwrap();
    std::fs::write(&file, b"{\"version\":1}\nnot a cache").unwrap();
    assert_eq!(count(&bench(&folder), "from_cache"), 0);
    // Nothing but the file itself is left there.
    let left = std::fs::read_dir(files.at("pipelines")).unwrap().count();
    assert_eq!(left, 1);

    bench("off");
    assert!(!files.at("off").exists());
    // A folder that cannot be: a warning, and the result all the same.
    if kept {
        bench(&files.path("tiny.toml"));
    }
}

#[test]
fn cold_starts_are_processes_of_their_own() {
    if !gpu_wanted() {
        return;
    }
    let files = Files::new();
    let args = ["bench", "--model", &files.path("tiny.toml"), "--cold", "--iters", "1"];
    let json = mbconv(&[&args[..], &["--json"]].concat()).json();
    for kind in ["empty", "filled"] {
        parts_make_the_whole(&json[kind]);
    }
    assert_eq!(json["empty"]["from_cache"], 0);
    assert_eq!(json["empty"]["pipelines"], json["filled"]["pipelines"]);
    let table = mbconv(&args);
    assert!(table.code == Some(0) && table.err.matches("synthetic").count() == 1, "{table:?}");
    let stages = ["weights opened", "pipelines compiled meanwhile", "first inference", "to the first result"];
    assert!(stages.iter().all(|stage| table.out.contains(stage)), "{table:?}");
    assert!(mbconv(&["bench", "--cold", "--model", "nothing"]).error().contains("no model named"));
    assert!(mbconv(&["bench", "--cold", "--check"]).usage().contains("--check"));
}
