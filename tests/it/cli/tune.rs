//! `mbconv tune` and `--tuning`.

use super::{Ended, Files, command, finish, gpu_wanted, mbconv};

#[test]
fn what_was_measured_is_kept_exported_and_refused_elsewhere() {
    if !gpu_wanted() {
        return;
    }
    let files = Files::new();
    let (model, cache, export) = (files.path("tiny.toml"), files.path("cache"), files.path("tuned.json"));
    let run = |args: &[&str]| -> Ended {
        let model = ["--model", &model, "--json"];
        finish(command(&[args, &model].concat()).env("XDG_CACHE_HOME", &cache))
    };
    let tuned = run(&["tune", "--iters", "3", "--export", &export]).json();
    assert_eq!(tuned["network"], "tiny 1x32x32x3 f32");
    let steps = tuned["steps"].as_array().unwrap();
    assert!(!steps.is_empty() && tuned["wrong"].as_array().unwrap().is_empty(), "{tuned}");
    for step in steps {
        let us = |key: &str| step[key].as_f64().unwrap();
        assert!(us("us") > 0.0 && us("us") <= us("default_us") && step["measured"].is_u64(), "{step}");
    }
    let file: serde_json::Value = serde_json::from_slice(&std::fs::read(&export).unwrap()).unwrap();
    assert_eq!((&file["version"], &file["adapter"]), (&serde_json::json!(1), &tuned["adapter"]));
    assert_eq!(file["networks"]["tiny 1x32x32x3 f32"], tuned["rows"]);

    // The file's rows are right: each step against the reference.
    let verify = |tuning: &str| run(&["verify", "--resolution", "32", "--tuning", tuning]);
    assert_eq!(verify(&export).json()["ok"], true);

    let altered = |name: &str, key: &str, value: serde_json::Value| {
        let mut file = file.clone();
        file[key] = value;
        files.write(name, file.to_string())
    };
    for (key, value, says) in [
        ("adapter", "another one".into(), "measured on another one"),
        ("kernels", "0123456789abcdef".into(), "another version's kernels"),
        ("version", 2.into(), "of format 2"),
    ] {
        let error = verify(&altered("other.json", key, value)).error();
        assert!(error.contains(says) && error.contains("mbconv tune"), "{error}");
    }
    assert!(verify(&files.write("no.json", "{}")).error().contains("not a tuning file"));
    assert!(verify(&files.path("missing.json")).error().contains("missing.json"));

    // Kept without --export; there another adapter's is ignored.
    let kept = || {
        let folder = files.at("cache").join("mbconv");
        let all = std::fs::read_dir(folder).ok()?;
        all.map(|entry| entry.unwrap().path()).find(|p| p.file_name().unwrap().to_string_lossy().starts_with("tuning-"))
    };
    if cfg!(target_os = "linux") {
        assert_eq!(kept(), None);
        run(&["tune", "--iters", "1"]).json();
        let path = kept().unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains("tiny 1x32x32x3 f32"), "{text}");
        std::fs::copy(altered("foreign.json", "adapter", "another one".into()), &path).unwrap();
        assert_eq!(verify("auto").json()["ok"], true);
        std::fs::write(&path, "not JSON").unwrap();
        assert_eq!(verify("auto").json()["ok"], true);
    }
    assert!(mbconv(&["tune", "--device", "cpu"]).error().contains("--device cpu"));
}
