// Pointwise nonlinearities, by the code of graph::Activation. The code comes from the uniform: one pipeline serves
// every activation, and the branch is the same for all invocations. Software adapters execute every branch, so there is
// one exponential, none where EXP = 0, and no hard curve where HARD = 0.

override EXP: u32 = 1u;
override HARD: u32 = 1u;

// WGSL may assume that no infinity arises, so the argument of exp stays where exp is finite.
fn exp_negated(x: vec4f) -> vec4f {
    return exp(clamp(-x, vec4f(-80.0), vec4f(80.0)));
}

fn activate(code: u32, x: vec4f) -> vec4f {
    let positive = max(x, vec4f(0.0));
    var y = select(select(positive, min(positive, vec4f(6.0)), code == 2u), x, code == 0u);
    if (EXP == 1u) {
        if (code == 3u || code == 4u) {
            y = select(vec4f(1.0), x, code == 3u) / (vec4f(1.0) + exp_negated(x));
        }
    }
    if (HARD == 1u) {
        if (code == 5u || code == 6u) {
            let gate = clamp(x + vec4f(3.0), vec4f(0.0), vec4f(6.0)) * (1.0 / 6.0);
            y = select(vec4f(1.0), x, code == 5u) * gate;
        }
    }
    return y;
}
