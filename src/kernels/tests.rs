//! Every family's shader, launches and packing, without a device.

use super::*;
use crate::graph::{Activation, PoolKind};
use crate::tensor::Dtype;
use std::mem::offset_of;

/// A launch of every variant row with every override that is not a tile size.
fn launches() -> Vec<Launch> {
    let act = Activation::Swish;
    let mut all = Vec::new();
    for v in pointwise::VARIANTS {
        for join in [Join::Add, Join::Interleave] {
            all.push(pointwise::launch_with(&pointwise_args(2, 49, [20, 37], true, join), v).unwrap());
        }
    }
    for v in depthwise::VARIANTS {
        for kernel in 1..=depthwise::MAX_KERNEL {
            for (stride, residual) in [(1, false), (1, true), (2, false)] {
                let args = depthwise_args(2, 15, 23, kernel, stride, residual);
                all.push(depthwise::launch_with(&args, v).unwrap().0);
            }
        }
        for c in 20..24 {
            let args = depthwise::Args { c, keep_input: true, ..depthwise_args(2, 15, c, 3, 1, false) };
            all.push(depthwise::launch_with(&args, v).unwrap().0);
        }
    }
    for kernel in 1..=depthwise::MAX_KERNEL {
        for stride in [1, 2] {
            let (window, join) = (window(2, 15, kernel, stride), Join::Add);
            for v in expand_depthwise::VARIANTS {
                all.push(expand_depthwise::launch_with(&expand_depthwise_args(window), v).unwrap().0);
            }
            for v in depthwise_pointwise::VARIANTS {
                let (c, c_out, filter_act, pool) = (20, 37, act, false);
                let args = depthwise_pointwise::Args { window, c, c_out, filter_act, act, join, pool };
                all.push(depthwise_pointwise::launch_with(&args, v).unwrap());
            }
            for v in inverted_residual::VARIANTS {
                all.push(inverted_residual::launch_with(&inverted_residual_args(window), v).unwrap());
            }
            for v in sandglass::VARIANTS {
                for front in [false, true] {
                    all.push(sandglass::launch_with(&sandglass_args(window, front), v).unwrap());
                }
            }
        }
    }
    for v in conv::VARIANTS {
        for (kernel, stride) in [(3, 1), (3, 2), (7, 2), (1, 2)] {
            all.push(conv::launch_with(&conv_args(1, 32, kernel, stride), v).unwrap());
        }
        let window = Window::dilated(Shape::new(1, 32, 32, 3), Padding::Symmetric, 3, 1, 6).unwrap();
        all.push(conv::launch_with(&conv::Args { window, ..conv_args(1, 32, 3, 1) }, v).unwrap());
    }
    for v in squeeze_excite::VARIANTS {
        let args =
            squeeze_excite::Args { n: 2, c: 96, hidden: 4, tiles: 3, pixels: 49, act, gate: Activation::Sigmoid };
        all.push(squeeze_excite::launch_with(&args, v).unwrap());
    }
    for v in excite_pointwise::VARIANTS {
        all.push(excite_pointwise::launch_with(&excite_pointwise_args(2, 49, [20, 8, 37]), v).unwrap());
    }
    for v in head_pool::VARIANTS {
        let args = head_pool::Args { n: 2, pixels: 49, c_in: 320, c_out: 1280, act, vector: false };
        all.push(head_pool::launch_with(&args, v).unwrap());
    }
    for v in global_pool::VARIANTS {
        all.push(global_pool::launch_with(&global_pool::Args { n: 2, pixels: 49, c: 1280 }, v).unwrap());
    }
    for v in elementwise::VARIANTS {
        let args = elementwise::Args { n: 2, pixels: 49, c: 40, act, gate: true, residual: Some(40) };
        all.push(elementwise::launch_with(&args, v).unwrap());
    }
    for v in l2_norm::VARIANTS {
        all.push(l2_norm::launch_with(&l2_norm::Args { n: 2, pixels: 49, c: 22 }, v).unwrap());
    }
    for v in pool::VARIANTS {
        let args = pool::Args { window: window(2, 15, 3, 2), c: 20, kind: PoolKind::Max };
        all.push(pool::launch_with(&args, v).unwrap());
    }
    let resampling = resize_normalize::Resampling {
        picture: [5, 7],
        columns: vec![(0, vec![1 << 21, 1 << 21]), (3, vec![1 << 22])],
        rows: vec![(2, vec![1 << 22])],
        levels: vec![[0.0; 256]; 3],
        dtype: Dtype::F32,
    };
    all.push(resampling.along_x(&resampling.tiles(64, 4096).unwrap()[0], 5).unwrap());
    all.push(resampling.along_y(0).unwrap());
    for v in channel_copy::VARIANTS {
        let args = channel_copy::Args { n: 2, pixels: 49, c: 20, first: 3, from_a: 10, other: 6, groups: 4 };
        all.push(channel_copy::launch_with(&args, v).unwrap());
    }
    all
}

fn pointwise_args(n: usize, pixels: usize, [c_in, c_out]: [usize; 2], gate: bool, join: Join) -> pointwise::Args {
    let channels = Channels::dense(c_in, c_out);
    let other = if join.is_some() { c_out } else { 0 };
    pointwise::Args { n, pixels, channels, act: Activation::Swish, gate, join, other, vector: false }
}

fn excite_pointwise_args(n: usize, pixels: usize, [c, hidden, c_out]: [usize; 3]) -> excite_pointwise::Args {
    let (act, gate) = (Activation::Swish, Activation::Sigmoid);
    excite_pointwise::Args {
        product: pointwise_args(n, pixels, [c, c_out], true, Join::Add),
        excite: squeeze_excite::Args { n, c, hidden, tiles: 3, pixels, act, gate },
        part: excite_pointwise::Part::Whole,
    }
}

fn window(n: usize, h: usize, kernel: usize, stride: usize) -> Window {
    Window::over(Shape::new(n, h, h, 1), Padding::Symmetric, kernel, stride).unwrap()
}

fn depthwise_args(n: usize, h: usize, c: usize, kernel: usize, stride: usize, residual: bool) -> depthwise::Args {
    depthwise::Args {
        window: window(n, h, kernel, stride),
        c,
        act: Activation::Swish,
        join: if residual { Join::Add } else { Join::None },
        keep_input: false,
        squeeze: true,
    }
}

fn expand_depthwise_args(window: Window) -> expand_depthwise::Args {
    let (expand_act, act, join) = (Activation::Swish, Activation::Relu6, Join::None);
    expand_depthwise::Args { window, c_in: 20, c: 37, expand_act, act, join, squeeze: true, pool: false }
}

fn inverted_residual_args(window: Window) -> inverted_residual::Args {
    let (expand_act, filter_act, act, join) = (Activation::Swish, Activation::Relu6, Activation::Identity, Join::Add);
    inverted_residual::Args { window, c_in: 20, c: 120, c_out: 37, expand_act, filter_act, act, join }
}

fn sandglass_args(window: Window, front: bool) -> sandglass::Args {
    let (filter_act, reduce_act, expand_act) = (Activation::Swish, Activation::Identity, Activation::Relu6);
    let first = Window::over(Shape::new(window.n, window.h, window.w, 1), Padding::Same, window.kernel, 1);
    let (first, [c_in, hidden, c]) = (first.filter(|_| front), [40, 14, 53]);
    let (act, join) = (Activation::Identity, Join::Add);
    sandglass::Args { first, window, c_in, hidden, c, filter_act, reduce_act, expand_act, act, join }
}

fn conv_args(n: usize, h: usize, kernel: usize, stride: usize) -> conv::Args {
    let window = window(n, h, kernel, stride);
    conv::Args { window, channels: Channels::dense(3, 32), act: Activation::Relu6, join: Join::None }
}

/// What the web offers, and subgroup operations where a family needs them.
fn validator(family: &Family) -> naga::valid::Validator {
    use naga::valid::{Capabilities, ShaderStages, SubgroupOperationSet, ValidationFlags, Validator};
    if family.subgroup_lanes == 0 {
        return Validator::new(ValidationFlags::all(), Capabilities::SHADER_FLOAT16_IN_FLOAT32);
    }
    let mut validator =
        Validator::new(ValidationFlags::all(), Capabilities::SUBGROUP | Capabilities::SHADER_FLOAT16_IN_FLOAT32);
    validator.subgroup_stages(ShaderStages::COMPUTE).subgroup_operations(
        SubgroupOperationSet::BALLOT | SubgroupOperationSet::SHUFFLE | SubgroupOperationSet::QUAD_FRAGMENT_COMPUTE,
    );
    validator
}

fn parse(key: &KernelKey) -> naga::Module {
    let text = source(key).unwrap();
    naga::front::wgsl::parse_str(&text).unwrap_or_else(|e| panic!("{key}: {}", e.emit_to_string(&text)))
}

#[test]
fn every_key_specialises_validates_and_translates() {
    let stage = naga::ShaderStage::Compute;
    for family in FAMILIES {
        let mut keys: Vec<KernelKey> =
            launches().into_iter().map(|l| l.key).filter(|k| k.shader == family.name).collect();
        keys.sort();
        keys.dedup();
        assert!(!keys.is_empty(), "{}", family.name);
        for key in keys {
            let module = parse(&key);
            let info = validator(family).validate(&module).unwrap();
            for (name, _) in &key.consts {
                assert!(module.overrides.iter().any(|o| o.1.name.as_deref() == Some(name)), "{key}: no {name}");
            }
            let constants = key.consts.iter().map(|c| (c.0.to_string(), f64::from(c.1))).collect();
            let (module, info) =
                naga::back::pipeline_constants::process_overrides(&module, &info, Some((stage, "main")), &constants)
                    .unwrap_or_else(|e| panic!("{key}: {e}"));
            let entry = &module.entry_points[0];
            assert_eq!(entry.workgroup_size, key.workgroup(), "{key}");
            assert!(entry.workgroup_size.iter().product::<u32>() <= 256, "{key}");
            let mut layouter = naga::proc::Layouter::default();
            layouter.update(module.to_ctx()).unwrap();
            let shared: u32 = module
                .global_variables
                .iter()
                .filter(|(handle, v)| {
                    v.space == naga::AddressSpace::WorkGroup && !info.get_entry_point(0)[*handle].is_empty()
                })
                .map(|(_, v)| layouter[v.ty].size)
                .sum();
            assert_eq!(shared, key.workgroup_bytes(), "{key}");
            assert!(shared <= 16_384, "{key}");

            // Subgroup operations: SPIR-V 1.3 and shader model 6.
            let options = naga::back::spv::Options { lang_version: (1, 3), ..Default::default() };
            naga::back::spv::write_vec(&module, &info, &options, None).unwrap_or_else(|e| panic!("{key}: {e}"));
            let options = naga::back::msl::Options { lang_version: (2, 4), ..Default::default() };
            naga::back::msl::write_string(&module, &info, &options, &Default::default())
                .unwrap_or_else(|e| panic!("{key}: {e}"));
            let shader_model = naga::back::hlsl::ShaderModel::V6_0;
            let options = naga::back::hlsl::Options { shader_model, ..Default::default() };
            let pipeline = Default::default();
            naga::back::hlsl::Writer::new(&mut String::new(), &options, &pipeline)
                .write(&module, &info, None)
                .unwrap_or_else(|e| panic!("{key}: {e}"));
        }
    }
}

/// Chrome's compiler accepts every key too; skipped where `tint` is not on the PATH.
#[test]
fn tint_accepts_every_key() {
    let dir = tempfile::tempdir().unwrap();
    let mut keys: Vec<KernelKey> = launches().into_iter().map(|l| l.key).collect();
    keys.sort();
    keys.dedup();
    for key in keys {
        let (wgsl, out) = (dir.path().join(format!("{}.wgsl", key.shader)), dir.path().join("out.wgsl"));
        let enable = if family(key.shader).unwrap().subgroup_lanes > 0 { "enable subgroups;\n" } else { "" };
        std::fs::write(&wgsl, format!("{enable}{}", source(&key).unwrap())).unwrap();
        let overrides: Vec<String> = key.consts.iter().map(|c| format!("{}={}", c.0, c.1)).collect();
        let mut tint = std::process::Command::new("tint");
        tint.args(["--format", "wgsl", "--overrides", &overrides.join(","), "-o"]).arg(&out).arg(&wgsl);
        match tint.output() {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return,
            result => {
                let result = result.unwrap();
                assert!(result.status.success(), "{key}: {}", String::from_utf8_lossy(&result.stderr));
            }
        }
    }
}

#[test]
fn shaders_bind_exactly_what_their_family_lists() {
    for family in FAMILIES {
        let module = parse(&KernelKey::new(family.name, &[]));
        let mut bound: Vec<u32> =
            module.global_variables.iter().filter_map(|v| v.1.binding.map(|b| b.binding)).collect();
        bound.sort_unstable();
        let listed: Vec<u32> = family.bindings.iter().map(|&r| r as u32).collect();
        assert_eq!(bound, listed, "{}", family.name);
    }
}

#[test]
fn rust_and_wgsl_agree_on_every_parameter() {
    macro_rules! check {
        ($family:ident, $($field:ident = $wgsl:literal),+) => {
            let module = parse(&KernelKey::new($family::NAME, &[]));
            let uniform = module.global_variables.iter().find(|v| v.1.space == naga::AddressSpace::Uniform).unwrap().1;
            let naga::TypeInner::Struct { members, span } = &module.types[uniform.ty].inner else { panic!("{}", $family::NAME) };
            assert_eq!(*span as usize, size_of::<$family::Params>(), "{}", $family::NAME);
            assert!(*span <= 256);
            $(
                let member = members.iter().find(|m| m.name.as_deref() == Some($wgsl)).expect($wgsl);
                assert_eq!(member.offset as usize, offset_of!($family::Params, $field), "{} {}", $family::NAME, $wgsl);
            )+
        };
    }
    check!(
        pointwise,
        pixels = "pixels",
        cin4 = "cin4",
        cout4 = "cout4",
        tiles_n = "tiles_n",
        act = "act",
        gate = "gate",
        join = "join",
        joined = "joined",
        x4 = "x4",
        first4 = "first4",
        group4 = "group4",
        group_tiles = "group_tiles",
        other4 = "other4",
        y4 = "y4",
        in_place = "in_place",
        rolled = "rolled",
        h4 = "h4",
        tiles = "tiles",
        inverse = "inverse",
        hidden_act = "hidden_act",
        gate_act = "gate_act"
    );
    check!(
        depthwise,
        height = "height",
        width = "width",
        out_height = "out_height",
        out_width = "out_width",
        pad_top = "pad_top",
        pad_left = "pad_left",
        c4 = "c4",
        tile_h = "tile_h",
        tiles_y = "tiles_y",
        tiles_x = "tiles_x",
        act = "act",
        squeeze = "squeeze",
        x4 = "x4",
        y4 = "y4",
        join = "join",
        joined = "joined",
        rolled = "rolled"
    );
    check!(l2_norm, pixels = "pixels", c4 = "c4", channels = "channels");
    check!(
        expand_depthwise,
        height = "height",
        width = "width",
        out_height = "out_height",
        out_width = "out_width",
        pad_top = "pad_top",
        pad_left = "pad_left",
        x4 = "x4",
        c4 = "c4",
        tile_h = "tile_h",
        tile_w = "tile_w",
        tiles_y = "tiles_y",
        tiles_x = "tiles_x",
        expand_act = "expand_act",
        act = "act",
        join = "join",
        joined = "joined",
        squeeze = "squeeze",
        kernel = "kernel",
        pool = "pool",
        inverse = "inverse"
    );
    check!(
        depthwise_pointwise,
        height = "height",
        width = "width",
        out_height = "out_height",
        out_width = "out_width",
        pad_top = "pad_top",
        pad_left = "pad_left",
        x4 = "x4",
        y4 = "y4",
        tile_size = "tile_size",
        step = "step",
        filter_act = "filter_act",
        act = "act",
        join = "join",
        joined = "joined",
        pool = "pool",
        inverse = "inverse",
        kernel = "kernel"
    );
    check!(
        inverted_residual,
        height = "height",
        width = "width",
        out_height = "out_height",
        out_width = "out_width",
        pad_top = "pad_top",
        pad_left = "pad_left",
        x4 = "x4",
        c4 = "c4",
        y4 = "y4",
        tile_h = "tile_h",
        tile_w = "tile_w",
        tiles_x = "tiles_x",
        columns = "columns",
        lanes = "lanes",
        expand_act = "expand_act",
        filter_act = "filter_act",
        act = "act",
        join = "join",
        joined = "joined",
        kernel = "kernel"
    );
    check!(
        sandglass,
        height = "height",
        width = "width",
        out_height = "out_height",
        out_width = "out_width",
        pad_top = "pad_top",
        pad_left = "pad_left",
        first_top = "first_top",
        first_left = "first_left",
        x4 = "x4",
        y4 = "y4",
        c4 = "c4",
        tile_h = "tile_h",
        tile_w = "tile_w",
        tiles_x = "tiles_x",
        lanes = "lanes",
        filter_act = "filter_act",
        reduce_act = "reduce_act",
        expand_act = "expand_act",
        act = "act",
        join = "join",
        joined = "joined",
        kernel = "kernel"
    );
    check!(
        conv,
        height = "height",
        width = "width",
        out_height = "out_height",
        out_width = "out_width",
        pad_top = "pad_top",
        pad_left = "pad_left",
        cin4 = "cin4",
        cout4 = "cout4",
        tiles_n = "tiles_n",
        act = "act",
        join = "join",
        joined = "joined",
        x4 = "x4",
        first4 = "first4",
        group4 = "group4",
        group_tiles = "group_tiles",
        rolled = "rolled"
    );
    check!(
        squeeze_excite,
        c4 = "c4",
        h4 = "h4",
        tiles = "tiles",
        inverse = "inverse",
        act = "act",
        gate_act = "gate_act",
        four = "four"
    );
    check!(
        head_pool,
        pixels = "pixels",
        cin4 = "cin4",
        cout4 = "cout4",
        inverse = "inverse",
        act = "act",
        rolled = "rolled"
    );
    check!(global_pool, pixels = "pixels", c4 = "c4", inverse = "inverse");
    check!(elementwise, pixels = "pixels", c4 = "c4", act = "act", gate = "gate", residual = "residual");
    check!(
        pool,
        height = "height",
        width = "width",
        out_height = "out_height",
        out_width = "out_width",
        pad_top = "pad_top",
        pad_left = "pad_left",
        c4 = "c4",
        kernel = "kernel",
        stride = "stride",
        average = "average"
    );
    check!(
        channel_copy,
        pixels = "pixels",
        a4 = "a4",
        b4 = "b4",
        y4 = "y4",
        first = "first",
        from_a = "from_a",
        channels = "channels",
        groups = "groups"
    );
}

#[test]
fn activation_codes_are_those_of_the_shader() {
    let text = source(&KernelKey::new(elementwise::NAME, &[])).unwrap();
    // ReLU is what is left.
    for act in [
        Activation::Identity,
        Activation::Relu6,
        Activation::Swish,
        Activation::Sigmoid,
        Activation::HardSwish,
        Activation::HardSigmoid,
    ] {
        assert!(text.contains(&format!("code=={}u", act.code())), "{}", act.name());
    }
    assert!(!text.contains(&format!("code=={}u", Activation::Relu.code())));
}

#[test]
fn grids_cover_every_output() {
    for v in pointwise::VARIANTS {
        for (n, pixels, c_out, gate) in [(1, 49, 1280, false), (64, 90_000, 192, false), (3, 12_544, 24, true)] {
            let args = pointwise_args(n, pixels, [8, c_out], gate, Join::None);
            let l = match pointwise::launch_with(&args, v) {
                Err(Error::Limit { .. }) if v.parts > 1 => continue, // a row for few outputs
                l => l.unwrap(),
            };
            let p: &pointwise::Params = bytemuck::from_bytes(&l.params);
            let invocations = l.grid[..2].iter().product::<u32>() as usize * v.wg_x as usize;
            assert!(invocations / p.tiles_n as usize * v.rows as usize >= p.pixels as usize, "{}", l.key);
            assert!((p.tiles_n * v.cols) as usize * 4 >= c_out);
            assert_eq!(p.pixels as usize * l.grid[2] as usize, n * pixels);
            assert!(!gate || l.grid[2] as usize == n);
        }
    }
    for v in excite_pointwise::VARIANTS {
        for (n, pixels, c_out) in [(1, 1, 3), (2, 49, 320), (3, 12_544, 24)] {
            let args = excite_pointwise_args(n, pixels, [96, 4, c_out]);
            let l = excite_pointwise::launch_with(&args, v).unwrap();
            assert_eq!(l.grid, [args.workgroups(v) as u32, 1, n as u32]);
            let tiles = l.grid[0] as usize * v.wg_x as usize;
            assert!(tiles * (v.rows * v.cols * 4) as usize >= pixels * c_out, "{}", l.key);
            let part = excite_pointwise::Part::Gates;
            let gates = excite_pointwise::launch_with(&excite_pointwise::Args { part, ..args }, v).unwrap();
            assert_eq!((&gates.key, gates.grid), (&l.key, [1, 1, n as u32]));
        }
    }
    for v in depthwise::VARIANTS {
        for (n, h, stride) in [(1, 7, 1), (64, 300, 1), (2, 15, 2), (1, 113, 2)] {
            let args = depthwise_args(n, h, 192, 5, stride, false);
            let (l, t) = depthwise::launch_with(&args, v).unwrap();
            assert!(t.tiles_y * t.height >= args.window.out_h && (t.tiles_y - 1) * t.height < args.window.out_h);
            assert!(t.tiles_x * t.width >= args.window.out_w && (t.tiles_x - 1) * t.width < args.window.out_w);
            assert!(l.grid[0] * v.wg_x >= 48 && (l.grid[1] * v.wg_y) as usize >= t.tiles_x);
            assert_eq!(l.grid[2] as usize, n * t.tiles_y);
        }
    }
    for v in conv::VARIANTS {
        let l = conv::launch_with(&conv_args(64, 600, 3, 2), v).unwrap();
        let tiles_n = 8u32.div_ceil(v.cols);
        let (positions, grid) = match v {
            conv::Variant { swap: true, .. } => (300 * 300, [tiles_n, 64]),
            conv::Variant { subgroup: true, .. } => (300 * 300 * tiles_n, [1, 64]),
            _ => (300 * tiles_n, [300, 64]),
        };
        assert!(l.grid[0] * v.wg_x * v.rows >= positions && l.grid[1..] == grid, "{}", l.key);
    }
}

#[test]
fn a_dispatch_beyond_the_limits_is_a_typed_error() {
    let args = elementwise::Args { n: 70_000, pixels: 1, c: 4, act: Activation::Relu, gate: false, residual: None };
    assert!(matches!(elementwise::launch(&args, AdapterClass::Gpu), Err(Error::Limit { .. })));
    let args = depthwise_args(1 << 20, 300, 192, 3, 1, false);
    assert!(matches!(depthwise::launch(&args, AdapterClass::Gpu), Err(Error::Limit { .. })));
    let args = depthwise_args(1, 20, 8, 9, 1, false);
    assert!(matches!(depthwise::launch(&args, AdapterClass::Gpu), Err(Error::BadInput { .. })));
}

/// Positions of the tensor under the windows that tiles compute of an image, counted position by position.
fn computed(window: &Window, t: &depthwise::Tiles) -> usize {
    let under = |tile: usize, size: usize, pad: usize, from: usize, out: usize| {
        let first = from * tile;
        let (begin, end) =
            (first * window.stride, (first + tile).min(out) * window.stride + window.kernel - window.stride);
        (0..size).filter(|i| (begin..end).contains(&(i + pad))).count()
    };
    let rows: usize = (0..t.tiles_y).map(|i| under(t.height, window.h, window.pad_top, i, window.out_h)).sum();
    let columns: usize = (0..t.tiles_x).map(|i| under(t.width, window.w, window.pad_left, i, window.out_w)).sum();
    rows * columns
}

/// What a tile's windows cover fits in workgroup memory, the tiles cover the output, and they compute at most the stated
/// share of the tensor between two convolutions again.
#[test]
fn fused_tiles_fit_and_repeat_little() {
    let variants =
        [expand_depthwise::VARIANTS, depthwise_pointwise::VARIANTS, inverted_residual::VARIANTS, sandglass::VARIANTS]
            .concat();
    for v in &variants {
        assert_eq!(v.quads * v.lanes * 4 * 16, fused::BYTES, "four positions a lane");
    }
    for (kernel, stride) in [(3, 1), (3, 2), (5, 1), (5, 2), (7, 1), (7, 2)] {
        for h in [1, 7, 14, 19, 28, 38, 56, 75, 112, 150, 300] {
            let window = window(2, h, kernel, stride);
            let covers = |t: &depthwise::Tiles| {
                assert!(t.tiles_y * t.height >= window.out_h && (t.tiles_y - 1) * t.height < window.out_h);
                assert!(t.tiles_x * t.width >= window.out_w && (t.tiles_x - 1) * t.width < window.out_w);
                let span = |tile: usize| (tile - 1) * stride + kernel;
                span(t.height) * span(t.width)
            };
            for v in expand_depthwise::VARIANTS {
                let (t, positions) = expand_depthwise::tiles(&window, v);
                assert!(covers(&t) * v.quads as usize * 16 <= fused::BYTES as usize, "{t:?}");
                assert_eq!(positions, computed(&window, &t), "{h} {kernel} {stride} {v:?}");
                let l = expand_depthwise::launch_with(&expand_depthwise_args(window), v).unwrap().0;
                assert_eq!(l.grid, [10u32.div_ceil(v.quads), t.count() as u32, 2]);
                if *v == expand_depthwise::choose(&expand_depthwise_args(window), AdapterClass::Gpu) && kernel < 7 {
                    assert!(positions * 10 <= h * h * 15, "{h} {kernel} {stride}: {positions} of {}", h * h);
                }
            }
            for (v, c_out) in inverted_residual::VARIANTS.iter().flat_map(|v| [(v, 24), (v, 320), (v, 1100)]) {
                let args = inverted_residual::Args { c_out, ..inverted_residual_args(window) };
                let ((t, positions), outputs) =
                    (inverted_residual::tiles(&args, v), |t: &depthwise::Tiles| t.height * t.width);
                assert!((covers(&t) + outputs(&t)) * v.quads as usize * 16 <= fused::BYTES as usize, "{t:?}");
                assert_eq!(positions, computed(&window, &t), "{h} {kernel} {stride} {v:?}");
                let l = inverted_residual::launch_with(&args, v).unwrap();
                let p: &inverted_residual::Params = bytemuck::from_bytes(&l.params);
                assert_eq!(l.grid[1..], [t.count() as u32, 2]);
                assert!(
                    (l.grid[0] * p.columns) as usize * 4 >= c_out && p.columns * p.lanes <= v.quads * v.lanes,
                    "{p:?}"
                );
                assert!(p.lanes as usize * 8 >= outputs(&t), "eight positions a lane: {p:?}");
                let [expand, depthwise] = inverted_residual::repeats(&args, v);
                assert_eq!(depthwise, f64::from(l.grid[0]));
                // Of a batch that keeps any GPU busy.
                let many = inverted_residual::Args { window: Window { n: 4096, ..window }, ..args };
                let largest = inverted_residual::tiles(&many, v).1;
                assert_eq!(expand, depthwise * largest as f64 / (h * h) as f64);
                assert!(largest <= positions, "{h} {kernel} {stride} {v:?}: {t:?}");
                // The rows that are chosen at that window, on maps of a network at its own resolution.
                let narrow = v.quads * kernel as u32 <= 48 && kernel < 7 && c_out == 24;
                assert!(!narrow || expand <= 3.0, "{h} {kernel} {stride} {v:?}: {expand}");
            }
            for (v, hidden) in sandglass::VARIANTS.iter().flat_map(|v| [(v, 16), (v, 47), (v, 208), (v, 436)]) {
                let args = sandglass::Args { hidden, ..sandglass_args(window, true) };
                if !sandglass::has(&args, v) {
                    let (slots, lanes) = (v.quads as usize + hidden.div_ceil(4), 256 / hidden.div_ceil(4));
                    assert!(slots * kernel * kernel * 16 > fused::BYTES as usize || lanes * 4 < kernel * kernel);
                    assert!(matches!(sandglass::launch_with(&args, v), Err(Error::BadInput { .. })));
                    continue;
                }
                let (t, positions) = sandglass::tiles(&args, v);
                assert!(covers(&t) * (v.quads as usize + hidden.div_ceil(4)) * 16 <= fused::BYTES as usize, "{t:?}");
                assert_eq!(positions, computed(&window, &t), "{h} {kernel} {stride} {v:?}");
                let l = sandglass::launch_with(&args, v).unwrap();
                let p: &sandglass::Params = bytemuck::from_bytes(&l.params);
                assert_eq!(l.grid, [t.tiles_x as u32, t.tiles_y as u32, 2]);
                assert!(p.lanes * p.y4 <= v.quads * v.lanes && p.lanes as usize * 4 >= covers(&t), "{p:?}");
                // Tiles of a 32nd of all positions, rounded up: at least 16 of 32 positions or more.
                let busy = window.out_h * window.out_w * 2 < sandglass::BUSY || t.count() * 2 >= sandglass::BUSY / 2;
                assert!(busy, "{h} {kernel} {stride} {v:?}: {} workgroups", t.count() * 2);
            }
        }
    }
}

/// The gates of the widest layers that are accepted, and what they are computed with, fit in workgroup memory, and so do
/// the sums of a tile.
#[test]
fn gates_fit_in_workgroup_memory() {
    let slots = excite_pointwise::BYTES as usize / 16;
    for v in excite_pointwise::VARIANTS {
        let launch = |c| excite_pointwise::launch_with(&excite_pointwise_args(1, 49, [c, 240, 37]), v);
        let most = excite_pointwise::MAX_SLOTS - 60;
        let l = launch(4 * most).unwrap();
        let p: pointwise::Params = bytemuck::pod_read_unaligned(&l.params);
        // What lanes of a sum hold takes 256 slots, as many as there are lanes.
        let lanes = l.key.workgroup().iter().product::<u32>() as usize;
        assert!(lanes <= 256 && p.h4 <= 256 && p.x4 as usize + 256 + p.h4 as usize <= slots, "{}", l.key);
        assert!(((v.parts - 1) * v.rows * v.cols * v.wg_x) as usize <= slots, "{}", l.key);
        assert!(matches!(launch(4 * most + 1), Err(Error::Limit { .. })));
    }
}

/// Partial sums stay a small part of the traffic: at least 28 positions share one.
#[test]
fn squeeze_tiles_are_large() {
    for v in depthwise::VARIANTS {
        for h in [112, 56, 28, 14, 7, 150, 38] {
            let t = depthwise::launch_with(&depthwise_args(1, h, 96, 3, 1, false), v).unwrap().1;
            // Where tiles are as high as the map, as many lie side by side as it takes.
            let fewest = 24.min(h * h / h.div_ceil(v.cols as usize));
            assert!(h * h / t.count() >= fewest, "{h}: {t:?}");
        }
    }
}

#[test]
fn packed_weights_follow_the_documented_index() {
    let value = |i: usize| i as f32 + 1.0;
    let (c_in, c_out, k) = (6, 5, 3);
    let weight: Vec<f32> = (0..c_in * c_out * k * k).map(value).collect();
    let bias: Vec<f32> = (0..c_out).map(|i| -value(i)).collect();
    let channels = Channels::dense(c_in, c_out);
    let mut out = vec![f32::NAN; channels.packed_len(k * k)];
    channels.pack(&weight, &bias, k * k, &mut out);
    for (i, &got) in out.iter().enumerate() {
        let want = if i < 8 {
            if i < c_out { bias[i] } else { 0.0 }
        } else {
            let (j, row) = ((i - 8) % 8, (i - 8) / 8);
            let (tap, input) = (row / 8, row % 8);
            if j < c_out && input < c_in { weight[(j * c_in + input) * k * k + tap] } else { 0.0 }
        };
        assert_eq!(got, want, "conv {i}");
    }
    let mut out = vec![f32::NAN; depthwise::packed_len(k, c_out, false)];
    depthwise::pack(&weight[..45], &bias, k, c_out, false, &mut out);
    for (i, &got) in out.iter().enumerate() {
        let (row, c) = (i / 8, i % 8);
        let want = match (row, c < c_out) {
            (_, false) => 0.0,
            (0, true) => bias[c],
            (tap, true) => weight[c * 9 + tap - 1],
        };
        assert_eq!(got, want, "depthwise {i}");
    }
    // Behind five kept channels the filters begin with the second place of a quad.
    let mut kept = vec![f32::NAN; depthwise::packed_len(k, c_out, true)];
    depthwise::pack(&weight[..45], &bias, k, c_out, true, &mut kept);
    for (kept, plain) in kept.chunks_exact(8).zip(out.chunks_exact(8)) {
        assert_eq!((kept[0], &kept[1..6], &kept[6..]), (0.0, &plain[..5], &[0.0; 2][..]));
    }

    let (c, hidden) = (6, 3);
    let w: Vec<f32> = (0..2 * c * hidden + c + hidden).map(value).collect();
    let weights = squeeze_excite::Weights {
        reduce: &w[..18],
        expand: &w[18..36],
        reduce_bias: &w[36..39],
        expand_bias: &w[39..],
    };
    let mut out = vec![f32::NAN; squeeze_excite::packed_len(c, hidden)];
    squeeze_excite::pack(&weights, c, hidden, &mut out);
    assert_eq!(out[..3], w[36..39]);
    assert_eq!(out[4..10], w[39..]);
    for k in 0..8 {
        for j in 0..4 {
            let reduce = if k < c && j < hidden { w[j * c + k] } else { 0.0 };
            assert_eq!(out[12 + k * 4 + j], reduce);
            let expand = if k < c && j < hidden { w[18 + k * hidden + j] } else { 0.0 };
            assert_eq!(out[12 + 32 + j * 8 + k], expand);
        }
    }
}

/// The pipelines of any EfficientNet: stem, four depthwise windows, gate, products, head.
#[test]
fn a_network_needs_few_pipelines() {
    for class in [AdapterClass::Gpu, AdapterClass::Software, AdapterClass::SwiftShader, AdapterClass::SoftwareSubgroup]
    {
        let act = Activation::Swish;
        let mut keys = std::collections::BTreeSet::new();
        for resolution in [224, 240, 380, 600] {
            keys.insert(conv::launch(&conv_args(1, resolution, 3, 2), class).unwrap().key);
            for scale in [2usize, 4, 8, 16, 32] {
                let h = resolution.div_ceil(scale);
                for n in [1, 8] {
                    for (gate, residual) in [(false, false), (true, false), (true, true), (false, true)] {
                        let join = if residual { Join::Add } else { Join::None };
                        let args = pointwise_args(n, h * h, [96, 240], gate, join);
                        keys.insert(pointwise::launch(&args, class).unwrap().key);
                    }
                    let args = head_pool::Args { n, pixels: h * h, c_in: 320, c_out: 1280, act, vector: false };
                    keys.insert(head_pool::launch(&args, class).unwrap().key);
                }
                for (kernel, stride) in [(3, 1), (3, 2), (5, 1), (5, 2)] {
                    let args = depthwise_args(1, h, 96, kernel, stride, false);
                    keys.insert(depthwise::launch(&args, class).unwrap().0.key);
                }
            }
        }
        let args = squeeze_excite::Args { n: 1, c: 96, hidden: 4, tiles: 3, pixels: 49, act, gate: act };
        keys.insert(squeeze_excite::launch(&args, class).unwrap().key);
        let args = pointwise::Args { vector: true, ..pointwise_args(1, 1, [1280, 1000], false, Join::None) };
        keys.insert(pointwise::launch(&args, class).unwrap().key);
        assert!(keys.len() <= 16, "{class:?}: {} pipelines: {keys:#?}", keys.len());
    }
}
