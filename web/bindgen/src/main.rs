//! `bindgen IN.wasm OUT_FOLDER`: the JavaScript and wasm that browsers load, for `<script type="module">` and bundlers.

use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let [input, folder] = <[String; 2]>::try_from(std::env::args().skip(1).collect::<Vec<_>>())
        .map_err(|_| "usage: bindgen IN.wasm OUT_FOLDER")?;
    let mut bindgen = wasm_bindgen_cli_support::Bindgen::new();
    // The declarations are written by hand, in web/index.d.ts.
    bindgen.input_path(&input).web(true)?.typescript(false).omit_default_module_path(true);
    bindgen.generate(&folder)?;
    Ok(())
}
