// A window over each channel by itself: the largest value, or the mean of those inside the image.
//
// Grid: x over channel quads, y over output columns, z over images x output rows.

struct Params {
    height: u32,
    width: u32,
    out_height: u32,
    out_width: u32,
    pad_top: u32,
    pad_left: u32,
    c4: u32,
    kernel: u32,
    stride: u32,
    average: u32,
}

override WG_X: u32 = 8u;
override WG_Y: u32 = 8u;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> input: array<Stored>;
@group(0) @binding(3) var<storage, read_write> output: array<Written>;

@compute @workgroup_size(WG_X, WG_Y)
fn main(@builtin(global_invocation_id) id: vec3u) {
    if (id.x >= params.c4 || id.y >= params.out_width) {
        return;
    }
    let image = id.z / params.out_height;
    let row = id.z - image * params.out_height;
    // The part of the window that lies inside the image; one position at least does.
    let top = i32(row * params.stride) - i32(params.pad_top);
    let left = i32(id.y * params.stride) - i32(params.pad_left);
    let y0 = u32(max(top, 0));
    let x0 = u32(max(left, 0));
    let y1 = min(u32(top + i32(params.kernel)), params.height);
    let x1 = min(u32(left + i32(params.kernel)), params.width);
    let start = image * params.height;
    var largest = unpack(input[((start + y0) * params.width + x0) * params.c4 + id.x]);
    var sum = vec4f(0.0);
    for (var y = y0; y < y1; y++) {
        for (var x = x0; x < x1; x++) {
            let v = unpack(input[((start + y) * params.width + x) * params.c4 + id.x]);
            largest = max(largest, v);
            sum += v;
        }
    }
    let mean = sum / f32((y1 - y0) * (x1 - x0));
    let at = (id.z * params.out_width + id.y) * params.c4 + id.x;
    output[at] = repack(select(largest, mean, params.average == 1u));
}
