// From web/build (what bindgen wrote) and the sources beside this file to web/dist, the package; checks its size.

import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { brotliCompressSync, constants } from 'node:zlib';
import { createRequire } from 'node:module';
import path from 'node:path';
import { build } from 'esbuild';
import { fingerprint, outlineOf } from './header.js';

/** KB of 1000 bytes: the runtime is what a page loads before it can run the default model. */
const LIMITS = { raw: 315, brotli: 110 };

const here = import.meta.dirname;
const [from, dist] = [path.join(here, 'build'), path.join(here, 'dist')];
rmSync(dist, { recursive: true, force: true });
mkdirSync(dist);

const wasmOpt = path.join(path.dirname(createRequire(import.meta.url).resolve('binaryen')), 'bin/wasm-opt');
const features = ['bulk-memory', 'bulk-memory-opt', 'reference-types', 'sign-ext', 'mutable-globals', 'nontrapping-float-to-int', 'multivalue'];
// Measured: one more inlining or one less, one pass more or less, and brotli finds less that is alike.
const flags = ['--flatten', '--rereloop', '-Oz', '-Oz', '-Oz', '--one-caller-inline-max-function-size=90', '--minify-imports-and-exports-and-modules', '--strip-debug', '--strip-producers', ...features.map((f) => `--enable-${f}`)];

/** Shrinks a module and gives its imports and exports short names; what remains to be done is the same in its glue. */
function shrink(name) {
  const files = [path.join(from, `${name}_bg.wasm`), '-o', path.join(dist, `${name}.wasm`)];
  const { imports, exports } = JSON.parse(execFileSync(process.execPath, [wasmOpt, ...flags, ...files], { encoding: 'utf8', maxBuffer: 1 << 26 }));
  const short = new Map([...imports.map(([, long, short]) => [long, short]), ...exports.map(([long, short]) => [`wasm.${long}`, `wasm.${short}`])]);
  short.set('"./mbconv_bg.js"', '"a"').set(`"./${name}_bg.js"`, '"a"');
  return (glue) => glue.replace(/"\.\/\w+\.js"|\bwasm\.[\w$]+|\b__wb[\w$]+/g, (long) => short.get(long) ?? long);
}

/** Bundles `entry` with the glue of its module. */
async function bundle(entry, module, define = {}) {
  const rename = shrink(module);
  const glue = {
    name: 'glue',
    setup: ({ onLoad }) => onLoad({ filter: /build[/\\]\w+\.js$/ }, ({ path }) => ({ contents: rename(readFileSync(path, 'utf8')) })),
  };
  await build({
    entryPoints: [path.join(here, entry)],
    outdir: dist,
    bundle: true,
    minify: true,
    format: 'esm',
    target: 'es2022',
    external: ['./reference.js', './zoo.js'],
    define,
    logLevel: 'error',
    plugins: [glue],
  });
}

/** What the zoo says of the default weights, written down for pages that load nothing else: `__DEFAULT_MODEL__`. */
async function defaultModel() {
  const zoo = await import(path.join(dist, 'zoo.js'));
  await zoo.start(readFileSync(path.join(dist, 'mbconv_zoo.wasm')));
  const bytes = new Uint8Array(readFileSync(path.join(dist, 'efficientnet_lite0.safetensors')));
  const outline = outlineOf('efficientnet_lite0.safetensors', bytes);
  const { network, ...model } = await zoo.modelOf(outline);
  writeFileSync(path.join(dist, 'efficientnet_lite0.network'), network);
  return JSON.stringify({ model, fingerprint: fingerprint(outline) });
}

for (const file of ['index.d.ts', 'README.md']) cpSync(path.join(here, file), path.join(dist, file));
for (const file of ['efficientnet_lite0.safetensors', 'imagenet1k_labels.txt']) {
  cpSync(path.join(here, '../assets', file), path.join(dist, file));
}
await bundle('zoo.js', 'mbconv_zoo');
await bundle('reference.js', 'mbconv_reference');
await bundle('index.js', 'mbconv', { __DEFAULT_MODEL__: await defaultModel() });

const sizeOf = (files) => {
  const bytes = files.map((f) => readFileSync(path.join(dist, f)));
  const best = { params: { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_LGWIN]: 24 } };
  return {
    raw: bytes.reduce((n, b) => n + b.length, 0) / 1000,
    brotli: bytes.reduce((n, b) => n + brotliCompressSync(b, best).length, 0) / 1000,
  };
};
const runtime = sizeOf(['index.js', 'mbconv.wasm', 'efficientnet_lite0.network']);
const zoo = sizeOf(['zoo.js', 'mbconv_zoo.wasm']);
const reference = sizeOf(['reference.js', 'mbconv_reference.wasm']);
const text = ({ raw, brotli }) => `${raw.toFixed(0)} KB, ${brotli.toFixed(0)} KB brotli`;
console.log(`runtime        ${text(runtime)} (at most ${LIMITS.raw} and ${LIMITS.brotli})`);
console.log(`architectures  ${text(zoo)}, loaded for other models than the default`);
console.log(`CPU reference  ${text(reference)}, loaded by verify`);
console.log(`weights        ${(statSync(path.join(dist, 'efficientnet_lite0.safetensors')).size / 1000).toFixed(0)} KB, EfficientNet-Lite0 in f16`);
if (runtime.raw > LIMITS.raw || runtime.brotli > LIMITS.brotli) {
  console.error('the runtime is over its limit');
  process.exitCode = 1;
}
