// The package in an app of Vite, installed as npm installs it: built, and in development.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { build, createServer, preview } from 'vite';
import { launch, open } from './browser.mjs';

const web = path.join(import.meta.dirname, '..');

const FILES = {
  'package.json': '{ "private": true, "type": "module" }',
  'index.html': '<link rel="icon" href="data:," /><script type="module" src="./main.js"></script>',
  // The second model needs the package's modules that are loaded on demand.
  'main.js': `
    import { load, syntheticWeights } from 'mbconv';
    import coffee from './coffee.png';

    const model = await load();
    const [best] = await model.classify(await (await fetch(coffee)).blob());
    const name = 'mobilenetv3_small_050';
    const other = await load({ model: name, weights: await syntheticWeights(name) });
    const { outputs } = await other.run(new Float32Array(64 * 64 * 3), { shape: [1, 64, 64, 3], keep: ['blocks.1'] });
    globalThis.results = [best.label, other.name, outputs.logits.shape, outputs['blocks.1'].shape];
  `,
};

let app, browser;
before(async () => {
  app = mkdtempSync(path.join(os.tmpdir(), 'mbconv-vite-'));
  for (const [name, text] of Object.entries(FILES)) writeFileSync(path.join(app, name), text);
  cpSync(path.join(web, '../assets/coffee.png'), path.join(app, 'coffee.png'));
  execFileSync('npm', ['install', '--install-links', '--offline', '--no-audit', '--no-fund', '--loglevel=error', web], { cwd: app });
  browser = await launch();
});
after(async () => {
  await browser?.close();
  rmSync(app, { recursive: true, force: true });
});

/** What the app at `address` found out. */
async function results(address) {
  const page = await open(browser, address);
  await Promise.race([
    page.waitForFunction(() => globalThis.results),
    page.waitForEvent('pageerror').then((error) => Promise.reject(error), () => {}),
  ]);
  assert.deepEqual(page.problems, []);
  return page.evaluate(() => globalThis.results);
}

const WANT = ['espresso', 'mobilenetv3_small_050', [1, 1, 1, 1000], [1, 8, 8, 16]];
const own = { configFile: false, logLevel: 'error' };

test('built', async () => {
  const config = { ...own, root: app };
  await build(config);
  const server = await preview({ ...config, preview: { host: '127.0.0.1', port: 0 } });
  try {
    assert.deepEqual(await results(server.resolvedUrls.local[0]), WANT);
  } finally {
    await server.close();
  }
});

test('in development', async () => {
  const config = { ...own, root: app, optimizeDeps: { exclude: ['mbconv'] } };
  const server = await createServer({ ...config, server: { host: '127.0.0.1', port: 0 } });
  try {
    await server.listen();
    assert.deepEqual(await results(server.resolvedUrls.local[0]), WANT);
  } finally {
    await server.close();
  }
});
