// What an adapter can do at best: the measure of every dispatch in a profile. Not part of any network.

@group(0) @binding(0) var<storage, read> source: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> copied: array<vec4f>;

override WG: u32 = 64;
// Rounds of `multiply_add`, of 32 multiply-adds each.
override ROUNDS: u32 = 1;

// Memory: every value is read once and written once.
@compute @workgroup_size(WG)
fn copy(@builtin(global_invocation_id) id: vec3u) {
    copied[id.x] = source[id.x];
}

// Arithmetic: eight independent sums of four values, without memory.
@compute @workgroup_size(WG)
fn multiply_add(@builtin(global_invocation_id) id: vec3u) {
    let x = source[id.x % 64u];
    var a = x;
    var b = x + 1.0;
    var c = x + 2.0;
    var d = x + 3.0;
    var e = x + 4.0;
    var f = x + 5.0;
    var g = x + 6.0;
    var h = x + 7.0;
    for (var i = 0u; i < ROUNDS; i++) {
        a = fma(a, x, x);
        b = fma(b, x, x);
        c = fma(c, x, x);
        d = fma(d, x, x);
        e = fma(e, x, x);
        f = fma(f, x, x);
        g = fma(g, x, x);
        h = fma(h, x, x);
    }
    copied[id.x] = ((a + b) + (c + d)) + ((e + f) + (g + h));
}

// Nothing but depending on the dispatch before.
@compute @workgroup_size(1)
fn count() {
    copied[0] += vec4f(1.0);
}
