// A wasm module of the package.

import { failure } from './errors.js';

/** Fetches and compiles the module at `place` when first called; a `given` module needs no fetching. */
export function loader(init, place) {
  let ready;
  return (given) =>
    (ready ??= init({ module_or_path: given ?? place }).catch((error) => {
      ready = undefined;
      throw failure('DownloadError', `${place.pathname.split('/').pop()}: could not be loaded (${error.message})`, error);
    }));
}
