// Architectures and checkpoints: which network a file of weights is for. The default model does without.

import init, { models, network } from './build/mbconv_zoo.js';
import { loader } from './module.js';

/** Comes first. */
export const start = loader(init, new URL('./mbconv_zoo.wasm', import.meta.url));

/** What `index.d.ts` says. */
export { models };

/**
 * What is known of the model of a safetensors file, of which the `head` is enough, and its `network`, which `Engine.load`
 * takes: with the values named in `keep` among its outputs.
 */
export const modelOf = ({ name, head, size }, model, config, keep = []) => network(name, head, size, model, config, keep);
