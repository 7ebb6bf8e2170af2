//! Every kernel key that any registered model can emit, through naga for all platforms, and through tint where it is
//! installed; every model's recording on wgpu's noop device.

use crate::support::fitting;
use mbconv::gpu::{Executor, Gpu, WeightBuffers};
use mbconv::kernels::{self, AdapterClass, KernelKey, Words};
use mbconv::plan::{Caps, Plan, Target, WeightLayout};
use mbconv::tensor::Dtype;
use mbconv::weights::Weights;
use mbconv::zoo;
use mbconv::{graph::Graph, passes};
use naga::back::{PipelineConstants, hlsl, msl, pipeline_constants::process_overrides, spv};
use naga::valid::{Capabilities, ShaderStages, SubgroupOperationSet, ValidationFlags, Validator};
use std::collections::BTreeSet;

/// The graphs whose keys count: each model as users run it, and with values kept that break every fusion.
fn graphs() -> Vec<Graph> {
    let models = zoo::models();
    let mut graphs = Vec::new();
    for model in &models {
        let raw = model.build(&model.options()).unwrap();
        graphs.push(passes::run(&raw, &[]).0);
        if model.name == "efficientnet_b0" || model.name == "tf_efficientnet_lite0" {
            let all: Vec<String> = raw.nodes.iter().map(|n| n.name.clone()).collect();
            graphs.push(passes::run(&raw, &all).0);
        }
    }
    graphs
}

fn keys() -> BTreeSet<KernelKey> {
    let mut keys = BTreeSet::new();
    for graph in graphs() {
        for class in
            [AdapterClass::Gpu, AdapterClass::Software, AdapterClass::SwiftShader, AdapterClass::SoftwareSubgroup]
        {
            for (dtype, words) in [
                (Dtype::F32, Words::Plain),
                (Dtype::F32, Words::Wide),
                (Dtype::F16, Words::Plain),
                (Dtype::F16, Words::Half),
                (Dtype::F16, Words::Wide),
            ] {
                let target = Target { class, dtype, words, ..Target::web() };
                let layout = WeightLayout::new(&graph, &target).unwrap();
                let plan = Plan::new(&graph, &layout, &target, fitting(&graph.name, [1, 96, 64]), &[]).unwrap();
                keys.extend(plan.steps.into_iter().map(|s| s.launch.key));
            }
        }
    }
    keys
}

#[test]
fn every_key_compiles_for_every_platform() {
    let keys = keys();
    assert!(keys.len() > 20, "only {} keys", keys.len());
    for key in &keys {
        let source = kernels::source(key).unwrap();
        let module =
            naga::front::wgsl::parse_str(&source).unwrap_or_else(|e| panic!("{key}: {}", e.emit_to_string(&source)));
        let info = validator(key).validate(&module).unwrap_or_else(|e| panic!("{key}: {e:?}"));
        let constants: PipelineConstants = key.consts.iter().map(|&(n, v)| (n.to_string(), f64::from(v))).collect();
        let (module, info) =
            process_overrides(&module, &info, None, &constants).unwrap_or_else(|e| panic!("{key}: {e}"));
        within_limits(key, &module);
        // Subgroup operations: SPIR-V 1.3 and shader model 6.
        spv::write_vec(&module, &info, &spv::Options { lang_version: (1, 3), ..Default::default() }, None)
            .unwrap_or_else(|e| panic!("{key} to SPIR-V: {e}"));
        msl::write_string(&module, &info, &msl_options(), &msl::PipelineOptions::default())
            .unwrap_or_else(|e| panic!("{key} to MSL: {e}"));
        let mut text = String::new();
        let options =
            hlsl::Options { fake_missing_bindings: true, shader_model: hlsl::ShaderModel::V6_0, ..Default::default() };
        let pipeline = hlsl::PipelineOptions::default();
        hlsl::Writer::new(&mut text, &options, &pipeline)
            .write(&module, &info, None)
            .unwrap_or_else(|e| panic!("{key} to HLSL: {e}"));
    }
    println!("{} kernel keys: parsed, specialised, validated, written as SPIR-V, MSL and HLSL", keys.len());
}

/// What the web offers; of its optional features f16 for keys that need it, and subgroup operations likewise; integers of
/// 64 bits, which it does not have, for keys with wide words.
fn validator(key: &KernelKey) -> Validator {
    let subgroups = kernels::family(key.shader).unwrap().subgroup_lanes > 0;
    let words = key.storage.words();
    let capability = |wanted, capability| if wanted { capability } else { Capabilities::empty() };
    // Words of two f16 are part of WGSL; naga counts them as an option because old OpenGL has none.
    let packed = Capabilities::SHADER_FLOAT16_IN_FLOAT32;
    let capabilities = packed
        | capability(subgroups, Capabilities::SUBGROUP)
        | capability(words == Words::Half, Capabilities::SHADER_FLOAT16)
        | capability(words == Words::Wide, Capabilities::SHADER_INT64);
    let mut validator = Validator::new(ValidationFlags::all(), capabilities);
    if subgroups {
        validator.subgroup_stages(ShaderStages::COMPUTE).subgroup_operations(
            SubgroupOperationSet::BALLOT | SubgroupOperationSet::SHUFFLE | SubgroupOperationSet::QUAD_FRAGMENT_COMPUTE,
        );
    }
    validator
}

fn msl_options() -> msl::Options {
    msl::Options { fake_missing_bindings: true, ..Default::default() }
}

/// wgpu checks neither workgroup sizes nor workgroup bytes that come from overrides; browsers do.
fn within_limits(key: &KernelKey, module: &naga::Module) {
    let size = module.entry_points[0].workgroup_size;
    let caps = Caps::web_default();
    assert!(size.iter().product::<u32>() <= caps.max_invocations, "{key}: workgroup {size:?}");
    assert_eq!(size, key.workgroup(), "{key}: the key's own workgroup");
    let mut layouter = naga::proc::Layouter::default();
    layouter.update(module.to_ctx()).unwrap();
    let shared = module.global_variables.iter().filter(|(_, v)| v.space == naga::AddressSpace::WorkGroup);
    let bytes: u32 = shared.map(|(_, v)| layouter[v.ty].size).sum();
    assert!(bytes <= caps.max_workgroup_bytes, "{key}: {bytes} bytes of workgroup memory");
}

#[test]
fn tint_accepts_every_key() {
    if std::process::Command::new("tint").arg("--version").output().is_err() {
        eprintln!("SKIPPED: tint (Chrome's WGSL compiler) is not installed");
        return;
    }
    // WGSL has no integers of 64 bits; naga does.
    for key in keys().into_iter().filter(|key| key.storage.words() != Words::Wide) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("kernel.wgsl");
        // naga takes subgroup operations without this directive and does not know it; tint demands it.
        let enable = if kernels::family(key.shader).unwrap().subgroup_lanes > 0 { "enable subgroups;\n" } else { "" };
        std::fs::write(&file, format!("{enable}{}", kernels::source(&key).unwrap())).unwrap();
        let overrides: Vec<String> = key.consts.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let output = std::process::Command::new("tint")
            .args([
                "--format",
                "wgsl",
                "--output-name",
                "/dev/null",
                "--entry-point",
                "main",
                "--overrides",
                &overrides.join(","),
            ])
            .arg(&file)
            .output()
            .unwrap();
        assert!(output.status.success(), "{key}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn every_model_records_on_the_noop_device() {
    for graph in graphs() {
        let (device, queue) = wgpu::Device::noop(&wgpu::DeviceDescriptor::default());
        let gpu = Gpu::from_device(device, queue);
        let target = Target { class: AdapterClass::Gpu, ..gpu.target() };
        let layout = WeightLayout::new(&graph, &target).unwrap();
        let plan = Plan::new(&graph, &layout, &target, fitting(&graph.name, [1, 64, 96]), &[]).unwrap();
        // Values do not matter here.
        let zeros = graph.stored_params().map(|p| (p.name.clone(), vec![0.0; p.len()])).collect();
        let weights = Weights::from_memory(&graph, zeros).unwrap();
        let buffers = pollster::block_on(WeightBuffers::new(&gpu, &graph, &layout, &weights)).unwrap();
        let mut executor =
            pollster::block_on(Executor::new(&gpu, &buffers, plan)).unwrap_or_else(|e| panic!("{}: {e}", graph.name));
        pollster::block_on(executor.run(None)).unwrap_or_else(|e| panic!("{}: {e}", graph.name));
    }
}
