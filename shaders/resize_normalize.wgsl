// Antialiased resize, crop and normalisation of RGBA pixels of 8 bits, one axis a dispatch, in the fixed point of
// Pillow: weights of 22 fraction bits, each axis rounded to 8 bits. Integers, so the result is exact.
//
// AXIS = 0: along x, from the picture to pixels (`rows` of them as they are, `columns` new ones).
// AXIS = 1: along y, from those pixels to the network's input, channels padded with zeros to four.

override AXIS: u32 = 0u;
// The network's input is f16, two in a word.
override F16: u32 = 0u;
override WG_X: u32 = 8u;
override WG_Y: u32 = 8u;

struct Params {
    columns: u32,      // outputs along x of this dispatch
    rows: u32,         // outputs along y of this dispatch
    first_column: u32, // the first one's place along x
    first_row: u32,    // and along y
    pitch_in: u32,     // pixels between the rows of the input
    pitch_out: u32,    // pixels between the rows of the output
    origin: u32,       // position along the axis of the input's first pixel
    outputs: u32,      // outputs along the axis altogether
    taps: u32,         // weights of an output
    channels: u32,     // 3, or 1: luma
    base: u32,         // pixels of the output before this image
    pad: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> pixels: array<u32>;
// Start and count of each output, then `taps` weights of each, then the normalised value of each level by channel.
@group(0) @binding(2) var<storage, read> resampling: array<i32>;
@group(0) @binding(3) var<storage, read_write> result: array<u32>;

fn split(pixel: u32) -> vec3i {
    return vec3i(vec3u(pixel, pixel >> 8u, pixel >> 16u) & vec3u(255u));
}

// ITU-R 601 in Pillow's fixed point.
fn luma(rgb: vec3i) -> vec3i {
    return vec3i((19595 * rgb.x + 38470 * rgb.y + 7471 * rgb.z + 0x8000) >> 16u);
}

fn normalised(level: i32, channel: u32) -> u32 {
    return bitcast<u32>(resampling[(2u + params.taps) * params.outputs + channel * 256u + u32(level)]);
}

@compute @workgroup_size(WG_X, WG_Y)
fn main(@builtin(global_invocation_id) id: vec3u) {
    if (id.x >= params.columns || id.y >= params.rows) {
        return;
    }
    let x = params.first_column + id.x;
    let y = params.first_row + id.y;
    let place = select(y, x, AXIS == 0u);
    let start = u32(resampling[2u * place]) - params.origin;
    let count = u32(resampling[2u * place + 1u]);
    let weights = 2u * params.outputs + place * params.taps;
    let first = select(start * params.pitch_in + x, id.y * params.pitch_in + start, AXIS == 0u);
    let step = select(params.pitch_in, 1u, AXIS == 0u);
    var sum = vec3i(1 << 21u);
    for (var i = 0u; i < count; i++) {
        var rgb = split(pixels[first + i * step]);
        if (AXIS == 0u && params.channels == 1u) {
            rgb = luma(rgb);
        }
        sum += rgb * resampling[weights + i];
    }
    let level = clamp(sum >> vec3u(22u), vec3i(0), vec3i(255));
    let at = params.base + y * params.pitch_out + x;
    if (AXIS == 0u) {
        result[at] = u32(level.x) | (u32(level.y) << 8u) | (u32(level.z) << 16u);
        return;
    }
    var v = vec3u(normalised(level.x, 0u), 0u, 0u);
    if (params.channels == 3u) {
        v = vec3u(v.x, normalised(level.y, 1u), normalised(level.z, 2u));
    }
    if (F16 == 1u) {
        let values = bitcast<vec3f>(v);
        result[2u * at] = pack2x16float(values.xy);
        result[2u * at + 1u] = pack2x16float(vec2f(values.z, 0.0));
    } else {
        result[4u * at] = v.x;
        result[4u * at + 1u] = v.y;
        result[4u * at + 2u] = v.z;
        result[4u * at + 3u] = 0u;
    }
}
