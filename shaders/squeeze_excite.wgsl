// Squeeze-and-excitation's gate from partial sums in one dispatch, a workgroup per image: common/excite.wgsl. The mean
// is kept in the output, where the gate replaces it.

override WG_X: u32 = 64u;
override ROLL: u32 = 0u;

@group(0) @binding(0) var<uniform> params: Excite;
@group(0) @binding(1) var<storage, read> sums: array<vec4f>;
@group(0) @binding(2) var<storage, read> layers: array<Stored>;
@group(0) @binding(3) var<storage, read_write> output: array<Written>;

var<workgroup> memory: array<vec4f, 2u * HIDDEN>;

fn keep(image: u32, c: u32, v: vec4f) {
    output[image * params.c4 + c] = repack(v);
}

fn kept(image: u32, c: u32) -> vec4f {
    return recall(output[image * params.c4 + c]);
}

@compute @workgroup_size(WG_X)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) local: vec3u) {
    excite(params, group.x, local.x, WG_X, 0u);
}
