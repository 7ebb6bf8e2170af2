// Squeeze-and-excitation's gate from partial sums, by a workgroup: mean, reduce + act, expand + gate.
//
// Where a layer has fewer quads than the workgroup lanes, several lanes share a quad's terms. The shader declares the
// bindings `sums` and `layers`, `memory` in the workgroup, of which the 512 slots from `base` on are used here, and where
// the mean lies until the gate replaces it: `keep` and `kept`.
// Layers: [reduce bias: h4 | expand bias: c4 | reduce: channel * h4 + h | expand: unit * c4 + c].
// Sums: (image * tiles + tile) * c4 + c. `struct Excite` is in excite_params.wgsl.

// Where the hidden layer lies, behind what lanes of a sum hold.
const HIDDEN = 256u;

// sum + x times the 4 x 4 weights at `at`, `stride` apart. With ROLL = 1 the trip count comes from the uniform and
// the loop stays rolled, which keeps the program small where each load is expanded. Why it ends with its condition:
// subgroup_tile.wgsl.
fn add_layer(e: Excite, sum: vec4f, v: vec4f, at: u32, stride: u32) -> vec4f {
    var s = sum;
    var x = v;
    var kk = 0u;
    loop {
        s = fma(unpack(layers[at + kk * stride]), x.xxxx, s);
        x = x.yzwx;
        kk++;
        if (kk >= select(4u, e.four, ROLL == 1u)) {
            break;
        }
    }
    return s;
}

// What `parts` lanes hold of a quad's sum, `quads` apart.
fn together(first: u32, parts: u32, quads: u32, start: vec4f) -> vec4f {
    var sum = start;
    for (var p = 0u; p < parts; p++) {
        sum += memory[first + p * quads];
    }
    return sum;
}

fn excite(e: Excite, image: u32, lane: u32, lanes: u32, base: u32) {
    let wide = min(e.c4, lanes);
    // On software adapters a barrier costs more than the tiles.
    let shares = select(lanes / wide, 1u, ROLL == 1u);
    let share = lane / wide;
    if (share < shares) {
        for (var c = lane - share * wide; c < e.c4; c += wide) {
            var sum = vec4f(0.0);
            for (var tile = share; tile < e.tiles; tile += shares) {
                sum += sums[(image * e.tiles + tile) * e.c4 + c];
            }
            if (shares > 1u) {
                memory[base + share * wide + c] = sum;
            } else {
                keep(image, c, sum * e.inverse);
            }
        }
    }
    if (ROLL == 0u) {
        workgroupBarrier();
        if (shares > 1u && lane < e.c4) {
            keep(image, lane, together(base + lane, shares, wide, vec4f(0.0)) * e.inverse);
        }
    }
    storageBarrier();
    workgroupBarrier();

    let span = min(e.h4, lanes);
    let parts = lanes / span;
    let part = lane / span;
    let reduce = e.h4 + e.c4;
    if (part < parts) {
        for (var h = lane - part * span; h < e.h4; h += span) {
            var sum = vec4f(0.0);
            for (var c = part; c < e.c4; c += parts) {
                sum = add_layer(e, sum, kept(image, c), reduce + c * 4u * e.h4 + h, e.h4);
            }
            memory[base + part * e.h4 + h] = sum;
        }
    }
    workgroupBarrier();

    for (var h = lane; h < e.h4; h += lanes) {
        memory[base + HIDDEN + h] = activate(e.act, together(base + h, parts, e.h4, unpack(layers[h])));
    }
    workgroupBarrier();

    let expand = reduce + e.c4 * e.h4 * 4u;
    for (var c = lane; c < e.c4; c += lanes) {
        var sum = unpack(layers[e.h4 + c]);
        for (var h = 0u; h < e.h4; h++) {
            sum = add_layer(e, sum, memory[base + HIDDEN + h], expand + h * 4u * e.c4 + c, e.c4);
        }
        keep(image, c, activate(e.gate_act, sum));
    }
}
