// The page: what a visitor sees and can do, at two sizes, light and dark. Screenshots are left in web/tests/out.

import assert from 'node:assert/strict';
import { mkdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { launch, open, server } from './browser.mjs';

const out = path.join(import.meta.dirname, 'out');
mkdirSync(out, { recursive: true });
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

const SIZES = { phone: { width: 390, height: 844 }, desktop: { width: 1280, height: 900 } };

let browser, site;
before(async () => {
  [browser, site] = await Promise.all([launch(), server()]);
});
after(async () => {
  await browser?.close();
  site?.close();
});

/** The devices of the page, to take one away. */
const watched = () => {
  window.devices = [];
  const real = GPUAdapter.prototype.requestDevice;
  GPUAdapter.prototype.requestDevice = async function (...args) {
    const device = await real.apply(this, args);
    window.devices.push(device);
    return device;
  };
};

async function visit(options, ...scripts) {
  const page = await open(browser, undefined, options);
  for (const script of scripts) await page.addInitScript(script);
  await page.goto(site.address);
  return page;
}

const first = (page) => page.locator('#results li span').first();
const answered = (page, label) => page.waitForFunction((l) => document.querySelector('#results li span').textContent === l, label);

async function accessible(page) {
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => window.axe.run());
  assert.deepEqual(violations.map((v) => `${v.id}: ${v.nodes.map((n) => n.target).join(', ')}`), []);
}

for (const [size, viewport] of Object.entries(SIZES)) {
  for (const colorScheme of ['light', 'dark']) {
    test(`${size}, ${colorScheme}: shows an answer, fits, and is accessible`, async () => {
      const page = await visit({ viewport, colorScheme });
      await answered(page, 'espresso');
      await page.screenshot({ path: path.join(out, `${size}-${colorScheme}.png`), fullPage: true });
      const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      assert.ok(overflow <= 0, `${overflow} pixels too wide`);
      assert.equal(await page.locator('#results li').count(), 5);
      await accessible(page);
      assert.deepEqual(page.problems, []);
      await page.context().close();
    });
  }
}

test('is painted, with a progress bar, before the weights arrive', async () => {
  const page = await open(browser);
  let release;
  const held = new Promise((go) => (release = go));
  await page.route('**/*.safetensors', async (route) => {
    await held;
    await route.continue();
  });
  await page.goto(site.address);
  await page.waitForFunction(() => performance.getEntriesByName('first-contentful-paint').length > 0);
  assert.ok(await page.locator('progress').isVisible());
  assert.equal(await first(page).textContent(), '…');
  release();
  await answered(page, 'espresso');
  assert.ok(await page.locator('progress').isHidden());
  assert.deepEqual(page.problems, []);
  await page.context().close();
});

test('works by keyboard: samples, a file, layers and verification', async () => {
  const page = await visit({ viewport: SIZES.desktop });
  await answered(page, 'espresso');
  await page.locator('#samples button').nth(1).focus();
  await page.keyboard.press('Enter');
  await answered(page, 'tiger cat');
  assert.equal(await page.locator('#samples button[aria-pressed=true]').count(), 1);
  await page.setInputFiles('#file', path.join(import.meta.dirname, '../../assets/coffee.png'));
  await answered(page, 'espresso');

  await page.locator('#profile').press('Enter');
  await page.waitForFunction(() => /timed by/.test(document.querySelector('#layers-status').textContent));
  assert.match(await page.locator('#shares-text').textContent(), /upload and resize .* compute .* readback .* calls from wasm into WebGPU/);
  const rows = await page.locator('#layers tr').count();
  assert.ok(rows > 40, `${rows} layers`);

  await page.locator('#verify').press('Enter');
  await page.waitForFunction(() => /[✓✗]/.test(document.querySelector('#layers-status').textContent), null, { timeout: 240_000 });
  assert.match(await page.locator('#layers-status').textContent(), /^✓ all \d+ comparisons agree/);
  assert.equal(await page.locator('#layers .good').count(), rows);
  await page.screenshot({ path: path.join(out, 'verified.png'), fullPage: true });
  await accessible(page);
  assert.deepEqual(page.problems, []);
  await page.context().close();
});

test('the camera runs with frames per second, and stops', async () => {
  const page = await visit({ viewport: SIZES.phone });
  await answered(page, 'espresso');
  await page.locator('#webcam').click();
  await page.waitForFunction(() => /frames a second/.test(document.querySelector('#timing').textContent));
  assert.ok(await page.locator('#camera').isVisible());
  await page.locator('#webcam').click();
  assert.ok(await page.locator('#camera').isHidden());
  await page.locator('#samples button').first().click();
  await answered(page, 'espresso');
  assert.deepEqual(page.problems, []);
  await page.context().close();
});

test('weights of one’s own, and back', async () => {
  const page = await visit({ viewport: SIZES.desktop });
  await answered(page, 'espresso');
  const config = {
    architecture: 'tf_efficientnet_lite0',
    pretrained_cfg: { input_size: [3, 160, 160], mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5] },
  };
  await page.setInputFiles('#weights', [
    path.join(import.meta.dirname, '../../assets/efficientnet_lite0.safetensors'),
  ]);
  await page.waitForFunction(() => document.querySelector('#loading').hidden && /224 x 224/.test(document.querySelector('#model-facts').textContent));
  await page.evaluate(async (config) => {
    const weights = await (await fetch('/assets/efficientnet_lite0.safetensors')).blob();
    const files = new DataTransfer();
    files.items.add(new File([weights], 'model.safetensors'));
    files.items.add(new File([JSON.stringify(config)], 'config.json'));
    const input = document.querySelector('#weights');
    input.files = files.files;
    input.dispatchEvent(new Event('change'));
  }, config);
  await page.waitForFunction(() => /160 x 160/.test(document.querySelector('#model-facts').textContent));
  await page.setInputFiles('#weights', { name: 'wrong.safetensors', mimeType: '', buffer: Buffer.from('nonsense, and not short') });
  await page.locator('#notice').waitFor();
  assert.match(await page.locator('#notice').textContent(), /not a file of weights/);
  assert.match(await page.locator('#model-facts').textContent(), /160 x 160/, 'the model that was there stays');
  await page.locator('#default').click();
  await page.waitForFunction(() => /224 x 224/.test(document.querySelector('#model-facts').textContent));
  await page.locator('#notice').waitFor({ state: 'hidden' });
  assert.deepEqual(page.problems, []);
  await page.context().close();
});

test('says what to do without WebGPU', async () => {
  const page = await visit({ viewport: SIZES.phone }, () => delete Navigator.prototype.gpu);
  await page.locator('#notice').waitFor();
  assert.match(await page.locator('#notice').textContent(), /cannot use your GPU.*current Chrome, Edge, Firefox or Safari/);
  await page.screenshot({ path: path.join(out, 'without-webgpu.png') });
  await accessible(page);
  assert.deepEqual(page.problems, []);
  await page.context().close();
});

test('says what to do when the adapter is denied, and tries again', async () => {
  const page = await visit({}, () => {
    window.realAdapter = GPU.prototype.requestAdapter;
    GPU.prototype.requestAdapter = async () => null;
  });
  await page.locator('#notice button').waitFor();
  assert.match(await page.locator('#notice').textContent(), /found no GPU.*hardware acceleration/);
  await page.evaluate(() => (GPU.prototype.requestAdapter = realAdapter));
  await page.locator('#notice button').click();
  await page.locator('#samples button').first().click();
  await answered(page, 'espresso');
  await page.context().close();
});

test('builds everything again when the device is lost, without a reload', async () => {
  const page = await visit({}, watched);
  await answered(page, 'espresso');
  await page.evaluate(() => {
    window.same = true;
    document.querySelectorAll('#samples button')[1].click();
    setTimeout(() => devices[0].destroy(), 20);
  });
  await page.waitForFunction(() => devices.length === 2);
  await answered(page, 'tiger cat');
  assert.equal(await page.evaluate(() => window.same), true);
  assert.ok(await page.locator('#notice').isHidden());
  await page.context().close();
});
