// The product of the 1x1 convolutions in tiles of swap.wgsl. The shader declares `gate_of`, what input quads are multiplied
// by.

// The first input quad of each position.
struct Rows {
    r0: u32,
    r1: u32,
    r2: u32,
    r3: u32,
    r4: u32,
    r5: u32,
    r6: u32,
}

// Lane `lane`'s positions of a tile, a quad of lanes apart. Past the last position that one is computed again.
fn rows_of(first: u32, position: u32, last: u32, width: u32, quad: u32) -> Rows {
    return Rows(
        (first + min(position, last)) * width + quad,
        (first + min(position + 4u, last)) * width + quad,
        (first + min(position + 8u, last)) * width + quad,
        (first + min(position + 12u, last)) * width + quad,
        (first + min(position + 16u, last)) * width + quad,
        (first + min(position + 20u, last)) * width + quad,
        (first + min(position + 24u, last)) * width + quad,
    );
}

// Of `cin4` input quads with the weights to quad `column` of `cout4`, this lane's.
fn product(rows: Rows, cin4: u32, column: u32, cout4: u32) -> Sums {
    var s = biased(column);
    var at = column + cout4;
    for (var k = 0u; k < cin4; k++) {
        let w = weights_at(at, cout4, gate_of(k));
        s.s0 = add(s.s0, unpack(input[rows.r0 + k]), w);
        s.s1 = add(s.s1, unpack(input[rows.r1 + k]), w);
        if (ROWS > 2u) {
            s.s2 = add(s.s2, unpack(input[rows.r2 + k]), w);
            s.s3 = add(s.s3, unpack(input[rows.r3 + k]), w);
            s.s4 = add(s.s4, unpack(input[rows.r4 + k]), w);
            s.s5 = add(s.s5, unpack(input[rows.r5 + k]), w);
            s.s6 = add(s.s6, unpack(input[rows.r6 + k]), w);
        }
        at += 4u * cout4;
    }
    return s;
}
