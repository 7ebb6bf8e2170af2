// Squeeze-and-excitation's gate and the 1x1 convolution of what it scales, which alone needs it: every workgroup computes
// the gates of its image, keeps them in workgroup memory, and then its tiles of pointwise's product. Or one of both: the
// gates alone, or the product with gates that are read, so that a network whose maps are too large for it needs no other
// pipeline.
//
// Grid and weights as in pointwise.wgsl, a slice an image; layers and partial sums as in common/excite.wgsl.

const GATES_IN_MEMORY = true;
// 16,384 bytes, all that the web grants: the gates and behind them what they are computed with; then the sums of lanes
// y > 0.
const SLOTS = 1024u;
var<workgroup> memory: array<vec4f, SLOTS>;

@group(0) @binding(7) var<storage, read> layers: array<Stored>;
@group(0) @binding(9) var<storage, read> sums: array<vec4f>;

fn keep(image: u32, c: u32, v: vec4f) {
    memory[c] = v;
}

fn kept(image: u32, c: u32) -> vec4f {
    return memory[c];
}

fn gate_quad(image: u32, k: u32) -> vec4f {
    return memory[k];
}

@compute @workgroup_size(WG_X, PARTS)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(local_invocation_id) local: vec3u) {
    let lanes = WG_X * PARTS;
    let lane = local.y * WG_X + local.x;
    let gates = id.z * params.x4;
    if (params.gate == 1u) {
        for (var c = lane; c < params.x4; c += lanes) {
            memory[c] = unpack(gate[gates + c]);
        }
    } else {
        let e = Excite(params.x4, params.h4, params.tiles, params.inverse, params.hidden_act, params.gate_act, 4u, 0u);
        excite(e, id.z, lane, lanes, params.x4);
    }
    workgroupBarrier();
    if (params.gate == 3u) {
        for (var c = lane; c < params.x4; c += lanes) {
            output[gates + c] = repack(memory[c]);
        }
    } else {
        product(id.x, id.z, local);
    }
}
