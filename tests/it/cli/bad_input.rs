//! Everything that can be wrong gets one line on stderr and exit code 1; a wrong command line gets 2.

use super::*;

fn classify(args: &[&str]) -> Ended {
    mbconv(&[&["classify", "--device", "cpu"], args].concat())
}

#[test]
fn wrong_arguments_are_usage_errors() {
    for args in [
        &["classify"][..],
        &["clasify", "x.png"],
        &["classify", "x.png", "--batch", "0"],
        &["classify", "x.png", "--max-pixels", "-1"],
        &["classify", "-", "-"],
        &["classify", "x.png", "--model", "assets/efficientnet_lite0.safetensors", "--weights", "y.safetensors"],
        &["describe", "b0", "--resolution", "0"],
        &["describe", "b0", "--resolution", "12x"],
        &["describe", "b0", "--class", "tpu"],
        &["run", "--arch", "b0"],
        &["bench", "--iters", "0"],
        &["verify", "--weights", "x.safetensors", "--synthetic", "salt"],
        &["verify", "--golden", "x.safetensors", "--batch", "2"],
        &["verify", "--classes", "3"],
    ] {
        println!("{args:?}");
        mbconv(args).usage();
    }
    let none = mbconv(&[]);
    assert!(none.code == Some(2) && none.err.contains("Usage"), "{none:?}");
}

#[test]
fn pictures_that_cannot_be_read() {
    let files = Files::new();
    let coffee = std::fs::read(path("assets/coffee.png")).unwrap();
    for (name, bytes, says) in [
        ("text.jpg", &b"this is not a picture"[..], "not a picture"),
        ("empty.png", b"", "the file is empty"),
        ("half.png", &coffee[..coffee.len() / 2], "truncated"),
    ] {
        let file = files.write(name, bytes);
        let error = classify(&[&file]).error();
        assert!(error.starts_with(&file) && error.contains(says), "{error}");
        let ended = mbconv_reading(bytes, &["classify", "-", "--device", "cpu"]);
        let error = ended.error();
        assert!(error.starts_with("standard input: ") && error.contains(says), "{error}");
    }
    assert!(classify(&["tests/fixtures/truncated.jpg"]).error().contains("truncated"));
    assert!(classify(&["no/such/file.png"]).error().starts_with("no/such/file.png: "));
    let empty = tempfile::tempdir().unwrap();
    assert!(classify(&[&empty.path().display().to_string()]).error().contains("no pictures in this folder"));
}

#[test]
fn decompression_bombs_are_refused_by_their_header() {
    for name in ["bomb.png", "bomb.gif", "bomb.jpg", "bomb.bmp", "bomb.webp"] {
        let error = classify(&[&format!("tests/fixtures/{name}")]).error();
        assert!(error.contains(name), "{error}");
    }
    let error = classify(&["assets/coffee.png", "--max-pixels", "0.1"]).error();
    assert!(error.contains("limit of 100000") && error.contains("--max-pixels"), "{error}");
    classify(&["assets/coffee.png", "--max-pixels", "1.5"]).quiet();
}

#[test]
fn one_bad_file_does_not_stop_the_rest() {
    let files = Files::new();
    std::fs::copy(path("assets/coffee.png"), files.at("a.png")).unwrap();
    files.write("b.png", "nothing");
    std::fs::copy(path("assets/chelsea.png"), files.at("c.PNG")).unwrap();
    let folder = files.path("");
    let ended = classify(&[&folder, "missing.png", "--batch", "2", "--json"]);
    assert_eq!(ended.code, Some(1));
    let json: serde_json::Value = serde_json::from_str(&ended.out).unwrap();
    assert_eq!((json["images"].as_array().unwrap().len(), json["failed"].as_array().unwrap().len()), (2, 2));
    assert_eq!(json["images"][1]["batch"], 2);
    assert_eq!(json["images"][1]["predictions"][0]["label"], "tiger cat");
    let lines: Vec<&str> = ended.err.lines().collect();
    assert_eq!(lines.len(), 3, "{}", ended.err);
    assert!(lines[0].contains("b.png: not a picture") && lines[1].contains("missing.png"), "{}", ended.err);
    assert_eq!(lines[2], "error: 2 of 4 pictures could not be classified");
}

#[test]
fn files_that_are_not_safetensors() {
    let files = Files::new();
    let whole = std::fs::read(files.at("tiny.safetensors")).unwrap();
    let arch = files.path("tiny.toml");
    let tensor = |end: usize| format!(r#"{{"a":{{"dtype":"F32","shape":[2],"data_offsets":[0,{end}]}}}}"#);
    for (name, bytes) in [
        ("empty", Vec::new()),
        ("short", whole[..6].to_vec()),
        ("cut in the header", whole[..200].to_vec()),
        ("cut in the data", whole[..whole.len() - 10].to_vec()),
        ("longer", [&whole[..], b"more"].concat()),
        ("a huge header", [&u64::MAX.to_le_bytes()[..], b"{}"].concat()),
        ("not JSON", raw_safetensors("{]", b"")),
        ("offsets behind the end", raw_safetensors(&tensor(8000), &[0; 8])),
        ("offsets that are not the shape's", raw_safetensors(&tensor(4), &[0; 4])),
        ("a pickle", b"\x80\x02}q\x00.".to_vec()),
        ("a zip archive", b"PK\x03\x04----------------".to_vec()),
        ("a web page", b"<!DOCTYPE html><html></html>".to_vec()),
    ] {
        let file = files.write("broken.safetensors", bytes);
        println!("{name}:");
        let error = classify(&["assets/coffee.png", "--model", &arch, "--weights", &file]).error();
        assert!(error.starts_with(&file), "{name}: {error}");
        let error = classify(&["assets/coffee.png", "--model", &file]).error();
        assert!(error.starts_with(&file), "{name}: {error}");
    }
}

#[test]
fn tensors_at_fault_are_all_listed() {
    let files = Files::new();
    let mut tensors = files.tensors();
    tensors.retain(|t| t.0 != "bn2.bias" && t.0 != "blocks.1.1.conv_dw.weight");
    let classifier = tensors.iter_mut().find(|t| t.0 == "conv_head.weight").unwrap();
    classifier.1 = vec![32, 48, 1, 1];
    tensors.push(("extra.weight".into(), vec![2], vec![0.0; 2]));
    save(files.at("wrong.safetensors"), &tensors, &[]).unwrap();
    let (arch, weights) = (files.path("tiny.toml"), files.path("wrong.safetensors"));
    let error = classify(&["assets/coffee.png", "--model", &arch, "--weights", &weights]).error();
    for part in [
        "bn2.bias [64] is missing",
        "blocks.1.1.conv_dw.weight [96, 1, 5, 5] is missing",
        "conv_head.weight is [32, 48, 1, 1], must be [64, 24, 1, 1]",
        "extra.weight [2] is unexpected",
    ] {
        assert!(error.contains(part), "{part} in {error}");
    }
}

#[test]
fn the_architecture_of_a_foreign_checkpoint_is_named() {
    let weights = "assets/efficientnet_lite0.safetensors";
    let error = classify(&["assets/coffee.png", "--model", "efficientnet_b0", "--weights", weights]).error();
    assert!(error.contains("does not fit efficientnet_b0"), "{error}");
    assert!(error.ends_with("it looks like tf_efficientnet_lite0: try --arch tf_efficientnet_lite0"), "{error}");
    let files = Files::new();
    files.input("x.safetensors", [1, 3, 32, 32]);
    let (input, output) = (files.path("x.safetensors"), files.path("y.safetensors"));
    let run = ["run", "--arch", "b1", "--weights", weights, "--input", &input, "--output", &output];
    assert!(mbconv(&run).error().contains("looks like tf_efficientnet_lite0"));
    assert!(!exists(&output));
}

#[test]
fn weights_that_are_not_finite() {
    let files = Files::new();
    let mut tensors = files.tensors();
    tensors[0].2[5] = f32::NAN;
    let last = tensors.len() - 1;
    tensors[last].2[0] = f32::INFINITY;
    save(files.at("nan.safetensors"), &tensors, &[]).unwrap();
    let (arch, weights) = (files.path("tiny.toml"), files.path("nan.safetensors"));
    let error = classify(&["assets/coffee.png", "--model", &arch, "--weights", &weights]).error();
    assert!(error.contains(&tensors[0].0) && error.contains(&tensors[last].0), "{error}");
    assert!(error.contains("not finite") && error.contains("NaN, at 5"), "{error}");
}

#[test]
fn unknown_models_get_the_nearest_names() {
    for command in [
        &["describe", "efficientnet_bo"][..],
        &["classify", "x.png", "--model", "efficientnet_bo"],
        &["bench", "--model", "efficientnet_bo"],
        &["verify", "--arch", "efficientnet_bo"],
    ] {
        let error = mbconv(command).error();
        assert!(error.contains("no model named 'efficientnet_bo'; did you mean efficientnet_b0"), "{error}");
    }
    assert!(mbconv(&["describe", "no_such_thing"]).error().contains("did you mean"));
    let error = mbconv(&["describe", "assets/efficientnet_lite0.safetensors"]).error();
    assert!(error.contains("--weights"), "{error}");
    assert!(mbconv(&["models", "--filter", "zzz"]).error().contains("zzz"));
}

#[test]
fn models_without_weights_say_where_to_get_them() {
    let error = classify(&["assets/coffee.png", "--model", "efficientnet_b0"]).error();
    assert!(
        error.contains("--weights") && error.contains("huggingface.co") && error.contains("config.json"),
        "{error}"
    );
    let files = Files::new();
    let error = classify(&["assets/coffee.png", "--model", &files.path("tiny.toml")]).error();
    assert!(error.contains("--weights"), "{error}");
    let error = classify(&["assets/coffee.png", "--model", &files.path("tiny.safetensors")]).error();
    assert!(error.contains("fit no registered model"), "{error}");
    assert!(classify(&["assets/coffee.png", "--model", &files.path("")]).error().contains("config.json"));
}

#[test]
fn labels_must_be_as_many_as_classes() {
    let files = Files::new();
    let labels = files.write("labels.txt", "cat\ndog\n");
    let error = classify(&["assets/coffee.png", "--labels", &labels]).error();
    assert!(error.ends_with("labels.txt: 2 labels, but the model has 1000 classes"), "{error}");
}

#[test]
fn architecture_files_that_make_no_sense() {
    let files = Files::new();
    for (name, text, says) in [
        ("a.toml", "\nstages = 3", "a.toml: line 2: stages: invalid type"),
        ("b.toml", &TINY.replace("out = 24", "out = 24, colour = 3"), "line 6: stages[1].colour: unknown field"),
        ("c.toml", &TINY.replace("kernel = 5", "kernel = 4"), "line 6: stage 1, kernel: kernel 4 must be odd"),
        ("d.toml", &TINY.replace("in = 16, out = 24", "in = 17, out = 24"), "line 6: stage 1, in: in = 17"),
        ("e.json", "{", "EOF"),
        ("f.toml", &TINY.replace("repeats = 2", "repeats = 1000000000000"), "line 6: stage 1, repeats"),
        ("g.toml", &TINY.replace("width = 1.0", "width = 1e15"), "line 2: head: 64 channels: must be 1 to 16384"),
        ("h.toml", &TINY.replace("width = 1.0", "width = -1.0"), "line 3: scaling.width: -1: must be positive"),
    ] {
        let file = files.write(name, text);
        let error = mbconv(&["describe", &file]).error();
        assert!(error.contains(says), "{error}");
    }
    assert!(mbconv(&["describe", "no/such.toml"]).error().starts_with("no/such.toml: "));
}

/// A network of blocks; line 8 may be anything.
const BLOCKS: &str = r#"stem = { out = 32 }

[[stages]]
kind = "sandglass"
repeats = 2
reduce = 4
out = 32
kernel = 3
"#;

#[test]
fn networks_of_blocks_that_make_no_sense() {
    let files = Files::new();
    let line = |line: &str| BLOCKS.replace("kernel = 3", line);
    for (text, says) in [
        (line("kernel = \"3\""), "line 8: stages[0].kernel: invalid type"),
        (line("kernal = 3"), "line 8: stages[0].kernal: unknown field `kernal`"),
        (line("kernel = 4"), "line 8: stage 0, block 0, kernel: 4: an even window makes the map smaller"),
        (line("kernel = 0"), "line 8: stage 0, block 0, kernel: 0: must be 1 to 255"),
        (line("stride = 0"), "line 8: stage 0, block 0, stride: 0"),
        (
            line("stride = 2\nskip = \"always\""),
            "line 9: stage 0, block 0, skip: the shortcut is wanted always, but stride 2",
        ),
        (line("skip = \"sometimes\""), "line 8: stages[0].skip: must be true"),
        (line("groups = 5"), "line 8: stage 0, block 0, groups: 5: must divide"),
        (line("groups = 0"), "line 8: stage 0, block 0, groups: 0"),
        (line("identity = 1.5"), "line 8: stage 0, block 0, identity: 1.5: must be 0 to 1"),
        (line("se = 0"), "line 8: stage 0, block 0, se: a share of channels must be positive"),
        (line("se = { ratio = 0.25, of = \"input\" }"), "line 8: stages[0].se: must be a share"),
        (line("hidden = 8"), "line 6: stage 0, hidden: expand, reduce and hidden say the same thing"),
        (line("ends = \"neither\"\nstride = 2"), "line 9: stage 0, block 0, stride: 2: a sandglass without"),
        (line("act = \"gelu\""), "line 8: stages[0].act: unknown variant `gelu`"),
        (line("[scaling]\nwidth = 0"), "line 9: scaling.width: 0: must be positive"),
        (line("[head]\nkind = \"conv\""), "line 8: head: needs out"),
        (line("[stem]"), "line 8: "),
        (BLOCKS.replace("out = 32\n", "out = 0\n"), "line 7: stage 0, block 0, out: 0"),
        (BLOCKS.replace("repeats = 2", "repeats = 0"), "line 5: stage 0, repeats: 0"),
        (BLOCKS.replace("reduce = 4", "reduce = 0"), "line 6: stage 0, block 0, hidden: a share"),
        (BLOCKS.replace("reduce = 4\n", ""), "line 3: stage 0, hidden: needs expand, reduce or hidden"),
        (BLOCKS.replace("\nout = 32\n", "\n"), "line 3: stages[0]: missing field `out`"),
        (BLOCKS.replace("{ out = 32 }", "{ out = 0 }"), "line 1: stem.out: 0: must be 1 to 16384"),
    ] {
        let file = files.write("x.toml", text);
        let error = mbconv(&["describe", &file]).error();
        assert!(error.contains(&format!("x.toml: {says}")), "{says}: {error}");
    }
    for (stage, says) in [
        (r#""kernel": 4"#, "line 3, column 57: stage 0, block 0, kernel: 4"),
        (r#""kernel": "3""#, "line 3, column 59: stages[0].kernel: invalid type"),
        (r#""kernel": 3, "groups": 7"#, "line 3, column 70: stage 0, block 0, groups: 7: must divide"),
    ] {
        let text = format!(
            "{{\"stem\": {{\"out\": 32}},\n\"stages\": [\n{{\"kind\": \"sandglass\", \"reduce\": 4, \"out\": 64, {stage}}}]}}"
        );
        let file = files.write("x.json", text);
        let error = mbconv(&["describe", &file]).error();
        assert!(error.contains(&format!("x.json: {says}")), "{says}: {error}");
    }
    let file = files.write("x.json", r#"{"stem": {"out": 32}, "stages": []} more"#);
    assert!(mbconv(&["describe", &file]).error().contains("trailing characters at line 1 column 37"));
}

#[test]
fn inputs_that_do_not_fit() {
    let files = Files::new();
    let output = files.path("y.safetensors");
    let run = |input: &str, more: &[&str]| {
        let (arch, weights) = (files.path("tiny.toml"), files.path("tiny.safetensors"));
        let args =
            ["run", "--arch", &arch, "--weights", &weights, "--input", input, "--output", &output, "--device", "cpu"];
        mbconv(&[&args[..], more].concat()).error()
    };
    let tensor = |name: &str, shape: &[usize]| {
        let values = vec![0.0; shape.iter().product()];
        save(files.at("x.safetensors"), &[(name.into(), shape.to_vec(), values)], &[]).unwrap();
        files.path("x.safetensors")
    };
    assert!(run(&tensor("input", &[1, 1, 32, 32]), &[]).contains("takes 3 channels"));
    assert!(run(&tensor("input", &[3, 32, 32]), &[]).contains("must be [N, C, H, W]"));
    assert!(run(&tensor("input", &[0, 3, 32, 32]), &[]).contains("holds no value"));
    assert!(run(&tensor("pixels", &[1, 3, 32, 32]), &[]).contains("no tensor named 'input'"));
    let integers = raw_safetensors(r#"{"input":{"dtype":"U8","shape":[1,3,1,1],"data_offsets":[0,3]}}"#, &[1, 2, 3]);
    assert!(run(&files.write("u8.safetensors", integers), &[]).contains("U8"));
    let good = tensor("input", &[1, 3, 32, 32]);
    assert!(run(&good, &["--keep", "blocks.9"]).contains("no value named 'blocks.9'; did you mean blocks."));
    assert!(!exists(&output));
    // The output's folder is looked at before any work.
    let (arch, weights) = (files.path("tiny.toml"), files.path("tiny.safetensors"));
    let args = ["run", "--arch", &arch, "--weights", &weights, "--input", &good, "--output"];
    assert!(mbconv(&[&args[..], &["no/folder/y.safetensors"]].concat()).error().contains("no folder"));
    assert!(mbconv(&[&args[..], &[&files.path("")]].concat()).error().contains("directory"));
}

#[test]
fn devices_that_are_not_there() {
    for device in ["no-such-gpu", "99", "0"] {
        let error = mbconv_without_gpu(&["classify", "assets/coffee.png", "--device", device]).error();
        assert!(error.starts_with("no GPU adapter: ") && error.contains("mesa-vulkan-drivers"), "{error}");
    }
    assert!(mbconv_without_gpu(&["verify"]).error().contains("no GPU adapter"));
    assert!(mbconv(&["verify", "--device", "cpu"]).error().contains("--golden"));
    if gpu_wanted() {
        let error = mbconv(&["classify", "assets/coffee.png", "--device", "no-such-gpu"]).error();
        assert!(error.contains("no-such-gpu") && error.contains("mbconv devices"), "{error}");
        assert!(mbconv(&["bench", "--device", "99"]).error().contains("mbconv devices"));
    }
}

#[test]
fn files_that_are_not_reference_files() {
    let files = Files::new();
    let error = mbconv(&["verify", "--golden", &files.path("tiny.safetensors")]).error();
    assert!(error.contains("not a reference file"), "{error}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_an_error() {
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = command(&["describe", "b0"]).stdout(full).stderr(Stdio::piped()).output().unwrap();
    let err = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(1) && err.starts_with("error: standard output: "), "{err}");
}
