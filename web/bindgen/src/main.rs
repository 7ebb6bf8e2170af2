//! `bindgen IN.wasm OUT_FOLDER [NAME]`: the JavaScript and wasm that browsers load, for `<script type="module">` and
//! bundlers. Functions with `NAME` in theirs, which nobody calls but tables list, lose their bodies.

use std::error::Error;
use walrus::{FunctionBuilder, FunctionKind, LocalFunction, Module};

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let (Some(input), Some(folder)) = (args.next(), args.next()) else {
        return Err("usage: bindgen IN.wasm OUT_FOLDER [NAME]".into());
    };
    let mut module = Module::from_file(&input)?;
    if let Some(name) = args.next() {
        empty(&mut module, &name);
    }
    let name = std::path::Path::new(&input).file_stem().and_then(|stem| stem.to_str()).ok_or("a file with a name")?;
    let mut bindgen = wasm_bindgen_cli_support::Bindgen::new();
    // The declarations are written by hand, in web/index.d.ts.
    bindgen.input_bytes(name, module.emit_wasm()).web(true)?.typescript(false).omit_default_module_path(true);
    bindgen.generate(&folder)?;
    Ok(())
}

/// Calling them would stop the module from now on.
fn empty(module: &mut Module, name: &str) {
    let named = module.funcs.iter_local().filter(|(id, _)| {
        module.funcs.get(*id).name.as_deref().is_some_and(|function| function.contains(name))
    });
    let named: Vec<_> = named.map(|(id, function)| (id, function.ty(), function.args.clone())).collect();
    for (id, ty, args) in named {
        let (params, results) = module.types.params_results(ty);
        let (params, results) = (params.to_vec(), results.to_vec());
        let mut body = FunctionBuilder::new(&mut module.types, &params, &results);
        body.func_body().unreachable();
        let body: LocalFunction = body.local_func(args);
        module.funcs.get_mut(id).kind = FunctionKind::Local(body);
    }
}
