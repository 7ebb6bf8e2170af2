// mbconv beside what one would use instead, in one headless Chromium, round by round in turn; see README.md.
//
//   node benches/web/compare.mjs [--rounds N] [--iters N] [--warmup N] [--models A,B] [--peers A,B] [--work FOLDER]

import { execFileSync } from 'node:child_process';
import { appendFileSync, cpSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, loadavg } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { launch } from '../../web/tests/browser.mjs';
import { serve } from '../../web/serve.mjs';

const here = import.meta.dirname;
const root = path.join(here, '../..');
const PEERS = {
  mbconv: ['mbconv, WebGPU', '../../web/package.json'],
  'litert-webgpu': ['LiteRT.js, WebGPU', 'node_modules/@litertjs/core/package.json'],
  'tfjs-webgpu': ['TF.js, WebGPU', 'node_modules/@tensorflow/tfjs-core/package.json'],
  'ort-webgpu': ['onnxruntime-web, WebGPU', 'node_modules/onnxruntime-web/package.json'],
  'ort-wasm': ['onnxruntime-web, wasm (for information)', 'node_modules/onnxruntime-web/package.json'],
};
const { values: options } = parseArgs({
  options: {
    rounds: { type: 'string', default: '3' },
    warmup: { type: 'string', default: '1' },
    iters: { type: 'string', default: '5' },
    models: { type: 'string', default: 'mobilenetv2_100,efficientnet_b0' },
    peers: { type: 'string', default: Object.keys(PEERS).join() },
    work: { type: 'string', default: path.join(root, 'target/web-comparison') },
    python: { type: 'string' },
    out: { type: 'string', default: path.join(root, 'benches/results') },
  },
});
const [models, peers] = [options.models.split(','), options.peers.split(',')];

/** The models in every format, made once; the first time with a Python environment of their own. */
function exported() {
  for (const model of models) {
    const folder = path.join(options.work, 'models', model);
    if (existsSync(folder)) continue;
    if (!options.python) {
      const environment = path.join(options.work, 'python');
      options.python = path.join(environment, 'bin/python');
      execFileSync('python3', ['-m', 'venv', environment]);
      execFileSync(options.python, ['-m', 'pip', 'install', '--quiet', '-r', path.join(here, 'requirements.txt')], { stdio: 'inherit' });
    }
    console.error(`exporting ${model}`);
    rmSync(`${folder}.new`, { recursive: true, force: true });
    execFileSync(options.python, [path.join(here, 'export.py'), model, `${folder}.new`], { stdio: ['ignore', 2, 'inherit'] });
    renameSync(`${folder}.new`, folder);
  }
}

/** Each peer as one minified file, as an application would ship it. */
async function bundle(dist) {
  const { build } = await import('esbuild');
  const product = path.join(root, 'web/dist');
  // The files that a package names lie beside the script.
  cpSync(product, dist, { recursive: true });
  await build({
    entryPoints: peers.map((peer) => path.join(here, 'pages', `${peer}.js`)),
    outdir: dist,
    bundle: true,
    minify: true,
    format: 'esm',
    target: 'es2022',
    alias: { mbconv: path.join(product, 'index.js') },
    external: ['node:*', 'fs', 'path', 'crypto', 'worker_threads', 'perf_hooks', 'os', 'util'],
    logLevel: 'error',
  });
}

/** One run in a new browser with a new profile: nothing is cached, no shader known. */
async function measure(address, peer, model) {
  const browser = await launch();
  try {
    const page = await browser.newPage();
    // The browser's own start is over before the navigation, which is what the first result counts from.
    await page.waitForTimeout(2000);
    const { warmup, iters } = options;
    await page.goto(`${address}/pages/?${new URLSearchParams({ peer, model, warmup, iters })}`);
    const result = await page.waitForFunction(() => window.result, null, { timeout: 300_000, polling: 100 });
    return { chromium: browser.version(), ...(await result.jsonValue()) };
  } catch (error) {
    return { failed: error.message.split('\n')[0] };
  } finally {
    await browser.close();
  }
}

const median = (values) => {
  const sorted = [...values].sort((a, b) => a - b);
  const half = sorted.length >> 1;
  return sorted.length % 2 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
};
const version = (peer) => JSON.parse(readFileSync(path.join(here, PEERS[peer][1]))).version;

/** Markdown, the fastest first; "x" columns are a peer's time divided by mbconv's. */
function table(rows, model) {
  const of = (peer) => rows.filter((row) => row.model === model && row.peer === peer && !row.failed);
  const facts = (peer) => ({ run: median(of(peer).flatMap((row) => row.ms)), first: median(of(peer).map((row) => row.first)) });
  const ours = of('mbconv').length ? facts('mbconv') : { run: NaN, first: NaN };
  const line = (peer) => {
    const [runs, { run, first }] = [of(peer).flatMap((row) => row.ms), facts(peer)];
    const lost = rows.filter((row) => row.model === model && row.peer === peer && row.failed).length;
    const range = `${Math.min(...runs).toFixed(0)}-${Math.max(...runs).toFixed(0)}${lost ? `; ${lost} failed` : ''}`;
    const error = Math.max(...of(peer).map((row) => row.error)).toExponential(0);
    return [run, `| ${PEERS[peer][0]} | ${version(peer)} | ${run.toFixed(0)} (${range}) | ${(run / ours.run).toFixed(2)} | ${(first / 1000).toFixed(1)} | ${(first / ours.first).toFixed(2)} | ${error} |`];
  };
  const failed = peers.filter((peer) => !of(peer).length).map((peer) => `| ${PEERS[peer][0]} | ${version(peer)} | failed: ${rows.find((r) => r.peer === peer).failed} | | | | |`);
  const lines = peers.filter((peer) => of(peer).length).map(line).sort((a, b) => a[0] - b[0]);
  return [
    `### ${model}, batch 1\n`,
    '| program | version | median ms a run (min-max) | x mbconv | s to the first result | x mbconv | rel. error |',
    '|---|---|--:|--:|--:|--:|--:|',
    ...lines.map((l) => l[1]),
    ...failed,
    '',
  ].join('\n');
}

exported();
const dist = path.join(options.work, 'dist');
await bundle(dist);
const more = { '/pages/': 'benches/web/pages', '/packages/': 'benches/web/node_modules', '/models/': path.join(options.work, 'models'), '/dist/': dist };
const site = await serve({ more });
const date = new Date().toISOString().slice(0, 10);
const [jsonl, markdown] = ['jsonl', 'md'].map((kind) => path.join(options.out, `web-${date}.${kind}`));
mkdirSync(options.out, { recursive: true });
writeFileSync(jsonl, '');
const rows = [];
try {
  for (let round = 0; round < Number(options.rounds); round++) {
    // Another peer begins in each round.
    const order = [...peers.slice(round % peers.length), ...peers.slice(0, round % peers.length)];
    for (const model of models) {
      for (const peer of order) {
        const row = { model, peer, version: version(peer), round, load: loadavg()[0], ...(await measure(site.address, peer, model)) };
        rows.push(row);
        appendFileSync(jsonl, `${JSON.stringify(row)}\n`);
        console.error(JSON.stringify(row));
      }
    }
  }
} finally {
  site.close();
}
const loads = rows.map((row) => row.load);
const text = [
  `Measured ${date} in Chromium ${rows.find((r) => r.chromium)?.chromium}, headless, WebGPU on SwiftShader; ${cpus()[0].model}, ${cpus().length} cores.`,
  `Rounds ${options.rounds}, each ${options.warmup} + ${options.iters} runs in a new browser. Load average of the machine meanwhile: ${Math.min(...loads).toFixed(1)} to ${Math.max(...loads).toFixed(1)}.`,
  `Command: \`node benches/web/compare.mjs --rounds ${options.rounds} --warmup ${options.warmup} --iters ${options.iters}\``,
  '',
  ...models.map((model) => table(rows, model)),
].join('\n');
writeFileSync(markdown, text);
console.log(text);
