//! Turns `MODEL/model.onnx` into Rust, which is how burn takes a network; its weights go to `MODEL/burn.bpk`.

fn main() {
    println!("cargo:rerun-if-env-changed=MODEL");
    let folder = std::env::var("MODEL").expect("MODEL names the folder of an exported network");
    let input = format!("{folder}/model.onnx");
    println!("cargo:rerun-if-changed={input}");
    burn_onnx::ModelGen::new().input(&input).out_dir("model/").run_from_script();
    let out = std::env::var("OUT_DIR").unwrap();
    std::fs::copy(format!("{out}/model/model.bpk"), format!("{folder}/burn.bpk"))
        .expect("the weights that burn-onnx wrote");
}
