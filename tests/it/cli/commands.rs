//! What each command is for.

use super::*;
use crate::support::rel_l2;
use mbconv::session::Bundle;
use mbconv::{Shape, Tensor, cpu};

const COMMANDS: [&str; 10] =
    ["classify", "detect", "run", "verify", "describe", "bench", "profile", "tune", "models", "devices"];

#[test]
fn help_teaches() {
    let all = mbconv(&["--help"]).quiet();
    for name in COMMANDS {
        assert!(all.contains(name), "{name} is not in --help");
        let help = mbconv(&[name, "--help"]).quiet();
        assert!(help.contains("Examples:") && help.contains(&format!("mbconv {name}")), "{help}");
        assert!(help.contains("--json"), "{help}");
    }
    let version = mbconv(&["--version"]).quiet();
    assert_eq!(version, format!("mbconv {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn describe_counts_layers() {
    let text = mbconv(&["describe", "b0"]).quiet();
    assert!(text.contains("parameters     5288548\n") && text.contains("multiply-adds  385814752\n"), "{text}");
    assert!(text.contains("blocks.2.0.conv_dw") && text.contains("depthwise 5x5 /2"), "{text}");

    let args = ["describe", "efficientnet-b0", "--resolution", "96x64", "--batch", "2", "--classes", "10"];
    let json = mbconv(&[&args[..], &["--channels", "1", "--json"]].concat()).json();
    assert_eq!(json["input"], serde_json::json!([2, 96, 64, 1]));
    let layers = json["layers"].as_array().unwrap();
    assert_eq!(layers.last().unwrap()["shape"], serde_json::json!([2, 1, 1, 10]));
    let sum = |key: &str| layers.iter().map(|l| l[key].as_u64().unwrap()).sum::<u64>();
    assert_eq!((sum("params"), sum("madds")), (json["params"].as_u64().unwrap(), json["madds"].as_u64().unwrap()));
}

#[test]
fn describe_plans_without_a_gpu() {
    for (name, most) in [("efficientnet_b0", 66), ("efficientnet_b4", 129), ("tf_efficientnet_b7", 219)] {
        for (class, fuse) in [("gpu", "none"), ("software", "auto")] {
            let args = ["describe", name, "--plan", "--class", class, "--fuse", fuse, "--json"];
            let ended = mbconv_without_gpu(&args);
            let plan = &ended.json()["plan"];
            assert!(plan["dispatches"].as_u64().unwrap() <= most, "{name} for {class}: {}", plan["dispatches"]);
            assert_eq!(plan["steps"].as_array().unwrap().len() as u64, plan["dispatches"].as_u64().unwrap());
        }
    }
    let text = mbconv_without_gpu(&["describe", "b0", "--plan"]).quiet();
    assert!(
        text.starts_with("efficientnet_b0 1x224x224x3 (NHWC)\n") && text.contains("\ndispatches    36\n"),
        "{text}"
    );
    let pair =
        "blocks.1.1.conv_pw+conv_dw as expand_depthwise: saves 3.61 MB and a dispatch, repeats 2.45 M multiply-adds";
    assert!(text.contains(&format!("\n{pair}: +10.0 us; fused\n")), "{text}");
    let text = mbconv_without_gpu(&["describe", "b0", "--plan", "--fuse", "none"]).quiet();
    assert!(text.contains(&format!("\n{pair}: +10.0 us; not fused: switched off\n")), "{text}");
    assert!(text.contains("\ndispatches    66\n"), "{text}");
    let args = ["describe", "b0", "--plan", "--class", "software", "--fuse", "all", "--json"];
    let plan = mbconv_without_gpu(&args).json()["plan"].clone();
    let fused = plan["fusions"].as_array().unwrap().iter().filter(|f| f["verdict"] == "fused").count();
    assert_eq!((plan["dispatches"].as_u64(), fused), (Some(35), 31));
    let passes = mbconv(&["describe", "b0", "--passes"]).quiet();
    assert!(passes.contains("fold_batch_norm: applied 49, skipped 0"), "{passes}");
}

#[test]
fn describe_ends_with_what_a_gpu_is_asked_to_do() {
    let text = mbconv_without_gpu(&["describe", "b0"]).quiet();
    let plan = mbconv(&["describe", "b0", "--plan", "--json"]).json()["plan"].clone();
    for (line, key) in [("dispatches     ", "dispatches"), ("bytes moved    ", "bytes_moved")] {
        assert!(text.contains(&format!("\n{line}{}\n", plan[key])), "{text}");
    }
    assert!(text.ends_with(&format!("\nintermediates  {} B\n", plan["intermediate_bytes"])), "{text}");
    // A batch over WebGPU's default limits still has layers to list.
    let text = mbconv(&["describe", "b7", "--batch", "6"]).quiet();
    assert!(
        text.contains("parameters     66347960\n") && text.contains("\ndispatches     - (efficientnet_b7: "),
        "{text}"
    );
}

#[test]
fn describe_draws_blocks() {
    let svg = mbconv(&["describe", "b0", "--svg", "--block", "blocks.1.1"]).quiet();
    assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"), "{svg}");
    assert!(svg.contains("15 operations in 2 dispatches, 25.7 M multiply-adds"), "{svg}");
    for text in [
        "5: expand_depthwise",
        "6: excite_pointwise",
        "depthwise 3x3",
        "24 \u{2192} 144",
        "56 \u{d7} 56 \u{d7} 144",
        "add",
    ] {
        assert!(svg.contains(&format!(">{text}<")), "{text} is not in {svg}");
    }
    let whole = mbconv(&["describe", "b0", "--svg"]).quiet();
    assert!(whole.contains(" operations in 36 dispatches, 385.8 M multiply-adds"), "{}", &whole[..400]);
    let wrong = mbconv(&["describe", "b0", "--svg", "--block", "blocks.1.7"]).error();
    assert!(wrong.contains("blocks.1.7") && wrong.contains("blocks.1.0"), "{wrong}");
    mbconv(&["describe", "b0", "--block", "blocks.1.1"]).usage();
}

#[test]
fn describe_speaks_graphviz() {
    let graph = zoo::build("efficientnet_b0", &Options::default()).unwrap();
    // After the passes a node a dispatch, and the input.
    for (more, nodes) in [(&[][..], graph.nodes.len()), (&["--fused"][..], 67)] {
        let dot = mbconv(&[&["describe", "b0", "--dot"], more].concat()).quiet();
        assert!(dot.starts_with("digraph \"efficientnet_b0\" {\n") && dot.ends_with("}\n"), "{dot}");
        assert_eq!(dot.matches('{').count(), dot.matches('}').count());
        assert_eq!(dot.matches("subgraph").count(), 16);
        assert_eq!(dot.lines().filter(|l| l.contains("[label=") && !l.contains("->")).count(), nodes);
        assert!(dot.contains("[label=\"1x56x56x24\"]"), "{dot}");
    }
}

#[test]
fn describe_reads_architecture_files() {
    let files = Files::new();
    let from_toml = mbconv(&["describe", &files.path("tiny.toml"), "--json"]).json();
    let table: toml::Table = TINY.parse().unwrap();
    let json_file = files.write("tiny.json", serde_json::to_string(&table).unwrap());
    assert_eq!(from_toml["layers"], mbconv(&["describe", &json_file, "--json"]).json()["layers"]);
    assert_eq!(from_toml["input"], serde_json::json!([1, 32, 32, 3]));
}

#[test]
fn models_lists_the_registry() {
    let json = mbconv(&["models", "--json"]).json();
    let models = json.as_array().unwrap();
    assert_eq!(models.len(), zoo::models().len());
    let b0 = models.iter().find(|m| m["name"] == "efficientnet_b0").unwrap();
    assert_eq!((b0["params"].as_u64(), b0["madds"].as_u64()), (Some(5_288_548), Some(385_814_752)));
    assert_eq!((b0["published_params"].as_f64(), b0["published_top1"].as_f64()), (Some(5.3), Some(77.1)));
    assert_eq!((b0["input"].clone(), b0["classes"].as_u64()), (serde_json::json!([224, 224]), Some(1000)));
    assert!(b0["source"].as_str().unwrap().contains("arXiv:1905.11946"), "{b0}");
    let torchvision = serde_json::json!(
        {"origin": "torchvision", "naming": "torchvision", "published": true, "licence": "BSD-3-Clause"});
    assert!(b0["checkpoints"].as_array().unwrap().contains(&torchvision), "{b0}");
}

#[test]
fn models_are_found_by_name_alias_and_family() {
    let found = |filter: &str| {
        let json = mbconv(&["models", "--json", "--filter", filter]).json();
        let names = json.as_array().unwrap().iter().map(|m| m["name"].as_str().unwrap().to_string());
        names.collect::<Vec<_>>()
    };
    assert_eq!(found("NET_LITE4"), ["efficientnet_lite4", "tf_efficientnet_lite4"]);
    assert_eq!(found("semnasnet_100"), ["mnasnet_a1"]);
    assert_eq!(found("proxylessNAS"), ["proxylessnas_mobile"]);
    assert!(found("no such model").is_empty());
    // The tf_ form has no row of its own where the other is listed.
    let table = mbconv(&["models", "--markdown", "--filter", "lite4"]).quiet();
    assert!(table.lines().count() == 3 && table.contains("\n| `efficientnet_lite4` | 300 | 13.007 | 13 |"), "{table}");
    let files = Files::new();
    let times = files.write("times.json", r#"{"ratios": {"efficientnet_lite4": 6.666}}"#);
    let table = mbconv(&["models", "--markdown", "--filter", "lite4", "--times", &times]).quiet();
    assert!(table.ends_with(" | 6.67 |\n"), "{table}");
    let broken = files.write("broken.json", "{}");
    assert!(mbconv(&["models", "--markdown", "--times", &broken]).error().contains("broken.json"));
    assert_eq!(mbconv(&["models", "--filter", "LITE4"]).quiet().lines().count(), 3);
}

#[test]
fn devices_lists_adapters() {
    assert!(mbconv_without_gpu(&["devices", "--json"]).json().as_array().unwrap().is_empty());
    let none = mbconv_without_gpu(&["devices"]);
    assert!(none.code == Some(0) && none.out.contains("cpu") && none.err.contains("mesa-vulkan-drivers"), "{none:?}");
    if gpu_wanted() {
        let json = mbconv(&["devices", "--json"]).json();
        assert!(json[0]["name"].is_string() && json[0]["caps"]["max_binding"].is_u64(), "{json}");
        assert!(mbconv(&["devices"]).quiet().contains(json[0]["name"].as_str().unwrap()));
    }
}

#[test]
fn classify_knows_the_photographs() {
    let text = mbconv(&["classify", "assets/coffee.png", "--device", "cpu"]).quiet();
    assert!(text.starts_with("adapter  CPU reference\n"), "{text}");
    let rows: Vec<&str> = text.lines().filter(|l| l.contains(" %  ")).collect();
    assert!(rows.len() == 5 && rows[0].contains("espresso (967)"), "{text}");
    assert!(text.contains("decoding and resizing") && text.contains("inference"), "{text}");
}

#[test]
fn classify_runs_folders_in_batches() {
    let args = ["classify", "assets", "assets/coffee.png", "--device", "cpu", "--batch", "3", "--top-k", "1"];
    let json = mbconv(&[&args[..], &["--json"]].concat()).json();
    let images = json["images"].as_array().unwrap();
    let batches: Vec<u64> = images.iter().map(|i| i["batch"].as_u64().unwrap()).collect();
    assert_eq!(batches, [3, 3, 3, 2, 2]);
    let names: Vec<&str> = images.iter().map(|i| i["path"].as_str().unwrap().rsplit('/').next().unwrap()).collect();
    assert_eq!(names, ["chelsea.png", "china.jpg", "coffee.png", "grace_hopper.jpg", "coffee.png"]);
    // The same picture gets the same answer in either batch.
    assert_eq!(images[2]["predictions"], images[4]["predictions"]);
    assert_eq!(images[0]["predictions"].as_array().unwrap().len(), 1);
    assert!(mbconv(&args).quiet().contains("5 pictures in "));
}

#[test]
fn classify_reads_standard_input() {
    let picture = std::fs::read(path("assets/chelsea.png")).unwrap();
    let json = mbconv_reading(&picture, &["classify", "-", "--device", "cpu", "--json"]).json();
    assert_eq!(json["images"][0]["path"], "standard input");
    assert_eq!(json["images"][0]["predictions"][0]["label"], "tiger cat");
}

#[test]
fn classify_takes_weights_in_every_form() {
    let weights = "assets/efficientnet_lite0.safetensors";
    let top = |args: &[&str]| {
        let json = mbconv(&[&["classify", "assets/coffee.png", "--device", "cpu", "--json"], args].concat()).json();
        json["images"][0]["predictions"][0].clone()
    };
    let embedded = top(&[]);
    assert_eq!(top(&["--model", "tf_efficientnet_lite0"]), embedded);
    assert_eq!(top(&["--model", weights]), embedded);
    assert_eq!(top(&["--weights", weights]), embedded);
    assert_eq!(top(&["--model", "TF-EfficientNet-Lite0.in1k", "--weights", weights]), embedded);

    let files = Files::new();
    std::fs::copy(path(weights), files.at("model.safetensors")).unwrap();
    let names: Vec<String> = (0..1000).map(|i| format!("thing {i}")).collect();
    let cfg = serde_json::json!({"input_size": [3, 224, 224], "crop_pct": 0.875, "interpolation": "bicubic",
        "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5], "label_names": names});
    let config =
        serde_json::json!({"architecture": "tf_efficientnet_lite0", "num_classes": 1000, "pretrained_cfg": cfg});
    files.write("config.json", config.to_string());
    let from_folder = top(&["--model", &files.path("")]);
    assert_eq!(from_folder["probability"], embedded["probability"]);
    assert_eq!(from_folder["label"], "thing 967");
}

#[test]
fn classify_takes_an_architecture_file_and_labels() {
    let files = Files::new();
    let labels = files.write("labels.txt", "a\nb\nc\nd\ne\nf\ng\n");
    let (arch, weights) = (files.path("tiny.toml"), files.path("tiny.safetensors"));
    let model = ["--model", &arch, "--weights", &weights, "--labels", &labels, "--device", "cpu", "--top-k", "99"];
    let json = mbconv(&[&["classify", "assets/coffee.png", "--json"], &model[..]].concat()).json();
    let predictions = json["images"][0]["predictions"].as_array().unwrap().clone();
    assert_eq!(predictions.len(), CLASSES);
    assert!(predictions.iter().all(|p| "abcdefg".contains(p["label"].as_str().unwrap())));
}

#[test]
fn auto_falls_back_to_the_cpu_and_says_so() {
    let ended = mbconv_without_gpu(&["classify", "assets/coffee.png", "--top-k", "1"]);
    assert_eq!(ended.code, Some(0));
    assert!(ended.err.starts_with("warning: no GPU adapter") && ended.err.contains("CPU reference"), "{}", ended.err);
    assert!(ended.out.contains("adapter  CPU reference") && ended.out.contains("espresso"), "{}", ended.out);
}

fn run_args(files: &Files) -> Vec<String> {
    let mut args: Vec<String> = vec!["run".into()];
    for (option, file) in [
        ("arch", "tiny.toml"),
        ("weights", "tiny.safetensors"),
        ("input", "x.safetensors"),
        ("output", "y.safetensors"),
    ] {
        args.extend([format!("--{option}"), files.path(file)]);
    }
    args
}

fn run(files: &Files, more: &[&str]) -> Ended {
    let args = run_args(files);
    let args: Vec<&str> = args.iter().map(String::as_str).chain(more.iter().copied()).collect();
    mbconv(&args)
}

#[test]
fn run_is_the_cpu_reference_bit_for_bit() {
    let files = Files::new();
    let [n, c, h, w] = [3, 3, 33, 40];
    let nchw = files.input("x.safetensors", [n, c, h, w]);
    let json = run(&files, &["--device", "cpu", "--keep", "embedding", "blocks.0", "logits", "--json"]).json();
    assert_eq!(json["tensors"]["blocks.0"], serde_json::json!([3, 16, 17, 20]));
    let (model, weights) = (zoo::from_file(&files.at("tiny.toml")), Checkpoint::open(files.at("tiny.safetensors")));
    let bundle = Bundle::new(model.unwrap(), weights.unwrap()).unwrap();
    let input = Tensor::from_nchw(Shape::new(n, h, w, c), &nchw).unwrap();
    let want = cpu::run(&bundle.graph, &bundle.weights, &input).unwrap();
    let got = Checkpoint::open(files.at("y.safetensors")).unwrap();
    assert_eq!(got.shape("logits"), Some(&[3, CLASSES][..]));
    assert_eq!(got.shape("embedding"), Some(&[3, 64][..]));
    assert_eq!(got.read_f32("logits").unwrap(), want["logits"].data);
    assert_eq!(got.read_f32("embedding").unwrap(), want["embedding"].data);
    assert_eq!(got.names().count(), 3);
    assert_eq!(files.names(), ["tiny.safetensors", "tiny.toml", "x.safetensors", "y.safetensors"]);
}

#[test]
fn run_reads_inputs_of_every_float_type() {
    let files = Files::new();
    let answer = |dtype: &str, value: &[u8]| {
        let data = value.repeat(3 * 32 * 32);
        let header =
            format!(r#"{{"input":{{"dtype":"{dtype}","shape":[1,3,32,32],"data_offsets":[0,{}]}}}}"#, data.len());
        files.write("x.safetensors", raw_safetensors(&header, &data));
        run(&files, &["--device", "cpu"]).quiet();
        Checkpoint::open(files.at("y.safetensors")).unwrap().read_f32("logits").unwrap().into_owned()
    };
    let want = answer("F32", &0.5_f32.to_le_bytes());
    assert_eq!(answer("F64", &0.5_f64.to_le_bytes()), want);
    assert_eq!(answer("F16", &0x3800_u16.to_le_bytes()), want);
    assert_eq!(answer("BF16", &0x3f00_u16.to_le_bytes()), want);
}

#[test]
fn run_on_the_gpu_meets_the_cpu() {
    if !gpu_wanted() {
        return;
    }
    let files = Files::new();
    files.input("x.safetensors", [2, 3, 40, 31]);
    let values = |device: &[&str]| {
        run(&files, &[&["--keep", "embedding", "blocks.1.0", "--device"], device].concat()).quiet();
        let file = Checkpoint::open(files.at("y.safetensors")).unwrap();
        assert_eq!(file.shape("blocks.1.0"), Some(&[2, 24, 10, 8][..]));
        ["logits", "embedding", "blocks.1.0"].map(|n| file.read_f32(n).unwrap().into_owned())
    };
    let reference = values(&["cpu"]);
    for (got, want) in values(&["auto"]).iter().zip(&reference) {
        let error = rel_l2(got, want);
        assert!(error < 5e-5, "{error:.2e}");
    }
    assert_eq!(values(&["0"]), values(&["auto"]));
}

#[test]
fn verify_compares_every_step() {
    if !gpu_wanted() {
        return;
    }
    let files = Files::new();
    let arch = files.path("tiny.toml");
    let text = mbconv(&["verify", "--arch", &arch, "--batch", "2", "--resolution", "33x40", "--classes", "7"]).quiet();
    assert!(text.contains("blocks.1.1.conv_pwl") && text.contains("end to end") && !text.contains("FAIL"), "{text}");
    let json = mbconv(&["verify", "--arch", &arch, "--synthetic", "another", "--channels", "1", "--json"]).json();
    assert!(json["ok"] == true && json["steps"].as_array().unwrap().len() > 8, "{json}");
    assert_eq!(json["input"], "1x32x32x1");
    let weights = files.path("tiny.safetensors");
    let photo = ["--input", "assets/coffee.png", "--json"];
    let json = mbconv(&[&["verify", "--arch", &arch, "--weights", &weights], &photo[..]].concat()).json();
    assert_eq!(json["ok"], true);
    assert_eq!(
        mbconv(&["verify", "--golden", "tests/goldens/tf_efficientnet_lite0.safetensors", "--json"]).json()["ok"],
        true
    );
}

#[test]
fn verify_fails_against_other_logits() {
    let golden = Checkpoint::open(path("tests/goldens/efficientnet_b0.safetensors")).unwrap();
    let mut logits = golden.read_f32("logits").unwrap().into_owned();
    let files = Files::new();
    let write = |name: &str, logits: Vec<f32>| {
        let facts = ["case", "manifest"].map(|k| (k, golden.metadata()[k].clone()));
        save(files.at(name), &[("logits".into(), vec![1, 1000], logits)], &facts).unwrap();
        files.path(name)
    };
    let same = write("same.safetensors", logits.clone());
    let ended = mbconv(&["verify", "--golden", &same, "--device", "cpu"]);
    assert!(ended.code == Some(0) && ended.out.contains("ok"), "{ended:?}");
    logits[3] += 0.01;
    let other = write("other.safetensors", logits);
    let ended = mbconv(&["verify", "--golden", &other, "--device", "cpu", "--json"]);
    assert!(ended.code == Some(1) && ended.err.contains("against the file, logits (CPU reference)"), "{ended:?}");
    let json: serde_json::Value = serde_json::from_str(&ended.out).unwrap();
    assert!(json["ok"] == false && json["first_failure"]["label"] == "logits", "{json}");
}

#[test]
fn a_closed_pipe_ends_quietly() {
    use std::io::{BufRead, BufReader, Read};
    for args in [&["describe", "b7"][..], &["describe", "b7", "--plan", "--json"], &["models", "--json"], &["--help"]] {
        let mut child = command(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::with_capacity(1, child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let mut err = String::new();
        child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
        let status = child.wait().unwrap();
        assert!(status.success() && err.is_empty(), "{args:?}: {status} {err}");
    }
}
