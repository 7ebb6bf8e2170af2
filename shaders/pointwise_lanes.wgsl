// The product of pointwise.wgsl where a load is one instruction if the lanes read neighbouring or equal addresses, and
// one a lane otherwise (SwiftShader): neighbouring lanes take neighbouring output channels, all of the same positions.
//
// An invocation computes 8 positions x 4 channels, WG_X apart. Grid: x over positions, y over channels, z over slices.
// Everything else is as in pointwise.wgsl but for the view of weights and outputs, which are single channels here.

override WG_X: u32 = 4u;

@group(0) @binding(1) var<storage, read> input: array<Stored>;
@group(0) @binding(2) var<storage, read> weights: array<f32>;
@group(0) @binding(3) var<storage, read_write> output: array<f32>;
@group(0) @binding(4) var<storage, read> gate: array<Stored>;
@group(0) @binding(5) var<storage, read> residual: array<f32>;

// The values at `at` of the invocation's four channels.
fn channels(at: u32, n: vec4<u32>) -> vec4<f32> {
    return vec4<f32>(weights[at + n.x], weights[at + n.y], weights[at + n.z], weights[at + n.w]);
}

fn add(sum: vec4<f32>, x: vec4<f32>, w0: vec4<f32>, w1: vec4<f32>, w2: vec4<f32>, w3: vec4<f32>) -> vec4<f32> {
    return sum + x.x * w0 + x.y * w1 + x.z * w2 + x.w * w3;
}

// Stores one channel; by turns with another tensor, one of each.
fn store(position: u32, channel: u32, y: f32, other: f32) {
    let at = position * params.y4 * 4u;
    if (INTERLEAVE == 1u) {
        // The output's quads are even in number of channels: both have a place, or none.
        if (2u * channel < params.y4 * 4u) {
            output[at + 2u * channel] = other;
            output[at + 2u * channel + 1u] = y;
        }
    } else {
        output[at + channel] = y;
    }
}

// Of the channels `n` those below `end` are this tile's.
fn finish(sum: vec4<f32>, position: u32, n: vec4<u32>, end: u32) {
    var other = vec4<f32>(0.0);
    if (params.join > 0u) {
        let at = position * params.other4 * 4u + min(n, vec4<u32>(end - 1u));
        let v = vec4<f32>(residual[at.x], residual[at.y], residual[at.z], residual[at.w]);
        other = select(vec4<f32>(0.0), v, n < vec4<u32>(params.joined));
    }
    // By turns, the other tensor stays by itself.
    let y = activate_joined(params.act, params.join, sum, select(other, vec4<f32>(0.0), INTERLEAVE == 1u));
    if (n.x < end) {
        store(position, n.x, y.x, other.x);
    }
    if (n.y < end) {
        store(position, n.y, y.y, other.y);
    }
    if (n.z < end) {
        store(position, n.z, y.z, other.z);
    }
    if (n.w < end) {
        store(position, n.w, y.w, other.w);
    }
}

@compute @workgroup_size(WG_X)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
    let width = params.cout4 * 4u;
    let tile = place(group.y, WG_X);
    let own = vec4<u32>(tile.n * 4u + local.x) + vec4<u32>(0u, 1u, 2u, 3u) * WG_X;
    let end = (tile.n + tile.quads) * 4u;
    // Past the last channel the last one is computed again and not stored.
    let n = min(own, vec4<u32>(width - 1u));
    let row = group.x * 8u;
    let last = params.pixels - 1u;
    let base = group.z * params.pixels;
    // Positions past the end repeat the last one.
    let r0 = base + row;
    let r1 = base + min(row + 1u, last);
    let r2 = base + min(row + 2u, last);
    let r3 = base + min(row + 3u, last);
    let r4 = base + min(row + 4u, last);
    let r5 = base + min(row + 5u, last);
    let r6 = base + min(row + 6u, last);
    let r7 = base + min(row + 7u, last);
    let bias = channels(0u, n);
    var s0 = bias;
    var s1 = bias;
    var s2 = bias;
    var s3 = bias;
    var s4 = bias;
    var s5 = bias;
    var s6 = bias;
    var s7 = bias;
    for (var k = 0u; k < params.cin4; k++) {
        var g = vec4<f32>(1.0);
        if (params.gate == 1u) {
            g = unpack(gate[group.z * params.x4 + tile.k0 + k]);
        }
        let at = (k * 4u + 1u) * width;
        let w0 = channels(at, n) * g.x;
        let w1 = channels(at + width, n) * g.y;
        let w2 = channels(at + 2u * width, n) * g.z;
        let w3 = channels(at + 3u * width, n) * g.w;
        s0 = add(s0, unpack(input[r0 * params.x4 + tile.k0 + k]), w0, w1, w2, w3);
        s1 = add(s1, unpack(input[r1 * params.x4 + tile.k0 + k]), w0, w1, w2, w3);
        s2 = add(s2, unpack(input[r2 * params.x4 + tile.k0 + k]), w0, w1, w2, w3);
        s3 = add(s3, unpack(input[r3 * params.x4 + tile.k0 + k]), w0, w1, w2, w3);
        s4 = add(s4, unpack(input[r4 * params.x4 + tile.k0 + k]), w0, w1, w2, w3);
        s5 = add(s5, unpack(input[r5 * params.x4 + tile.k0 + k]), w0, w1, w2, w3);
        s6 = add(s6, unpack(input[r6 * params.x4 + tile.k0 + k]), w0, w1, w2, w3);
        s7 = add(s7, unpack(input[r7 * params.x4 + tile.k0 + k]), w0, w1, w2, w3);
    }
    finish(s0, r0, own, end);
    if (row + 1u <= last) {
        finish(s1, r1, own, end);
    }
    if (row + 2u <= last) {
        finish(s2, r2, own, end);
    }
    if (row + 3u <= last) {
        finish(s3, r3, own, end);
    }
    if (row + 4u <= last) {
        finish(s4, r4, own, end);
    }
    if (row + 5u <= last) {
        finish(s5, r5, own, end);
    }
    if (row + 6u <= last) {
        finish(s6, r6, own, end);
    }
    if (row + 7u <= last) {
        finish(s7, r7, own, end);
    }
}
