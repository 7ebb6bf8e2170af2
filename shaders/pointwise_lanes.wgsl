// The product of pointwise.wgsl where a load is one instruction if the lanes read neighbouring or equal addresses, and
// one a lane otherwise (SwiftShader): neighbouring lanes take neighbouring output channels, all of the same positions.
//
// An invocation computes 8 positions x 8 channels, WG_X apart. Grid: x over positions, y over channels, z over slices.
// Everything else is as in pointwise.wgsl but for the view of weights and outputs, which are single channels here. What is
// applied to the sums is fixed when the pipeline is made: SwiftShader executes every branch.

override WG_X: u32 = 4u;
override ACT: u32 = 0u;
override GATE: u32 = 0u;

@group(0) @binding(1) var<storage, read> input: array<Stored>;
@group(0) @binding(2) var<storage, read> weights: array<f32>;
@group(0) @binding(3) var<storage, read_write> output: array<f32>;
@group(0) @binding(4) var<storage, read> gate: array<Stored>;
@group(0) @binding(5) var<storage, read> residual: array<f32>;

// The values at `at` of the invocation's four channels.
fn channels(at: u32, n: vec4<u32>) -> vec4<f32> {
    return vec4<f32>(weights[at + n.x], weights[at + n.y], weights[at + n.z], weights[at + n.w]);
}

fn add(sum: vec4<f32>, x: vec4<f32>, w: mat4x4<f32>) -> vec4<f32> {
    return sum + x.x * w[0] + x.y * w[1] + x.z * w[2] + x.w * w[3];
}

// The weights from four inputs to four channels.
fn block(at: u32, width: u32, n: vec4<u32>, g: vec4<f32>) -> mat4x4<f32> {
    return mat4x4<f32>(
        channels(at, n) * g.x,
        channels(at + width, n) * g.y,
        channels(at + 2u * width, n) * g.z,
        channels(at + 3u * width, n) * g.w,
    );
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
        var v: vec4<f32>;
        if (params.in_place == 1u) {
            v = vec4<f32>(output[at.x], output[at.y], output[at.z], output[at.w]);
        } else {
            v = vec4<f32>(residual[at.x], residual[at.y], residual[at.z], residual[at.w]);
        }
        other = select(vec4<f32>(0.0), v, n < vec4<u32>(params.joined));
    }
    // By turns, the other tensor stays by itself.
    let y = activate_joined(ACT, params.join, sum, select(other, vec4<f32>(0.0), INTERLEAVE == 1u));
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
    let tile = place(group.y, 2u * WG_X);
    let n = vec4<u32>(tile.n * 4u + local.x) + vec4<u32>(0u, 1u, 2u, 3u) * WG_X;
    let m = n + 4u * WG_X;
    let end = (tile.n + tile.quads) * 4u;
    // Past the last channel the last one is computed again and not stored, past the last position that one.
    let n_read = min(n, vec4<u32>(width - 1u));
    let m_read = min(m, vec4<u32>(width - 1u));
    let row = group.x * 8u;
    let last = params.pixels - 1u;
    let base = group.z * params.pixels;
    let r0 = base + min(row + 0u, last);
    let r1 = base + min(row + 1u, last);
    let r2 = base + min(row + 2u, last);
    let r3 = base + min(row + 3u, last);
    let r4 = base + min(row + 4u, last);
    let r5 = base + min(row + 5u, last);
    let r6 = base + min(row + 6u, last);
    let r7 = base + min(row + 7u, last);
    let n_bias = channels(0u, n_read);
    let m_bias = channels(0u, m_read);
    var n0 = n_bias;
    var n1 = n_bias;
    var n2 = n_bias;
    var n3 = n_bias;
    var n4 = n_bias;
    var n5 = n_bias;
    var n6 = n_bias;
    var n7 = n_bias;
    var m0 = m_bias;
    var m1 = m_bias;
    var m2 = m_bias;
    var m3 = m_bias;
    var m4 = m_bias;
    var m5 = m_bias;
    var m6 = m_bias;
    var m7 = m_bias;
    for (var k = 0u; k < params.cin4; k++) {
        let quad = tile.k0 + k;
        var g = vec4<f32>(1.0);
        if (GATE == 1u) {
            g = unpack(gate[group.z * params.x4 + quad]);
        }
        let at = (k * 4u + 1u) * width;
        let w = block(at, width, n_read, g);
        let v = block(at, width, m_read, g);
        let x0 = unpack(input[r0 * params.x4 + quad]);
        n0 = add(n0, x0, w);
        m0 = add(m0, x0, v);
        let x1 = unpack(input[r1 * params.x4 + quad]);
        n1 = add(n1, x1, w);
        m1 = add(m1, x1, v);
        let x2 = unpack(input[r2 * params.x4 + quad]);
        n2 = add(n2, x2, w);
        m2 = add(m2, x2, v);
        let x3 = unpack(input[r3 * params.x4 + quad]);
        n3 = add(n3, x3, w);
        m3 = add(m3, x3, v);
        let x4 = unpack(input[r4 * params.x4 + quad]);
        n4 = add(n4, x4, w);
        m4 = add(m4, x4, v);
        let x5 = unpack(input[r5 * params.x4 + quad]);
        n5 = add(n5, x5, w);
        m5 = add(m5, x5, v);
        let x6 = unpack(input[r6 * params.x4 + quad]);
        n6 = add(n6, x6, w);
        m6 = add(m6, x6, v);
        let x7 = unpack(input[r7 * params.x4 + quad]);
        n7 = add(n7, x7, w);
        m7 = add(m7, x7, v);
    }
    finish(n0, r0, n, end);
    finish(m0, r0, m, end);
    if (row + 1u <= last) {
        finish(n1, r1, n, end);
        finish(m1, r1, m, end);
    }
    if (row + 2u <= last) {
        finish(n2, r2, n, end);
        finish(m2, r2, m, end);
    }
    if (row + 3u <= last) {
        finish(n3, r3, n, end);
        finish(m3, r3, m, end);
    }
    if (row + 4u <= last) {
        finish(n4, r4, n, end);
        finish(m4, r4, m, end);
    }
    if (row + 5u <= last) {
        finish(n5, r5, n, end);
        finish(m5, r5, m, end);
    }
    if (row + 6u <= last) {
        finish(n6, r6, n, end);
        finish(m6, r6, m, end);
    }
    if (row + 7u <= last) {
        finish(n7, r7, n, end);
        finish(m7, r7, m, end);
    }
}
