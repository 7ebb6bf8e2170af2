// 1x1 convolution as a matrix product: y = act(sum_k (x * gate) * w + bias), joined with another tensor.
//
// An invocation computes ROWS positions x COLS quads of output channels: common/product.wgsl. Grid: x over tiles, channels
// first, z over slices of `pixels` positions (images, or the whole batch as one slice where no gate tells images apart).
// Weights: [bias: cout4 | k * cout4 + n4], each vector over the four output channels of n4, k counting within a group.

const GATES_IN_MEMORY = false;
// The sums of lanes y > 0, quad by quad.
var<workgroup> memory: array<vec4f, (PARTS - 1u) * ROWS * COLS * WG_X + 1u>;

fn gate_quad(image: u32, k: u32) -> vec4f {
    if (params.gate == 1u) {
        return unpack(gate[image * params.x4 + k]);
    }
    return vec4f(1.0);
}

@compute @workgroup_size(WG_X, PARTS)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(local_invocation_id) local: vec3u) {
    product(id.x, id.z, local);
}
