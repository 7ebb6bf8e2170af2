// What goes wrong in browsers, each as a named error, and what works afterwards.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { deflateSync, crc32 } from 'node:zlib';
import { launch, open, server } from './browser.mjs';

/** Where the server cuts the default weights off. */
const CUT = 100_000;
const weights = readFileSync(new URL('../../assets/efficientnet_lite0.safetensors', import.meta.url));

let browser, site, page;
before(async () => {
  const handler = (request, response) => {
    if (request.url === '/cut.safetensors') {
      response.writeHead(200, { 'Content-Length': weights.length }).write(weights.subarray(0, CUT), () => response.destroy());
      return true;
    }
    if (request.url === '/slow.safetensors') {
      response.writeHead(200, { 'Content-Length': weights.length }).write(weights.subarray(0, CUT));
      return true;
    }
    if (request.url === '/zeros.safetensors') {
      response.writeHead(200, { 'Content-Length': weights.length }).write(new Uint8Array(CUT));
      return true;
    }
    if (request.url === '/huge.png') {
      response.writeHead(200, { 'Content-Type': 'image/png' }).end(halves(10_000));
      return true;
    }
    if (request.url === '/foreign.png') {
      response.writeHead(200, { 'Content-Type': 'image/png', 'Cross-Origin-Resource-Policy': 'cross-origin' }).end(halves(64));
      return true;
    }
    if (request.url === '/small.png') {
      response.writeHead(200, { 'Content-Type': 'image/png' }).end(halves(1600));
      return true;
    }
    return false;
  };
  [browser, site] = await Promise.all([launch(), server(handler)]);
  page = await blank();
});
after(async () => {
  await browser?.close();
  site?.close();
});

async function blank(options) {
  const page = await open(browser, `${site.address}/pages/blank.html`, options);
  await page.waitForFunction(() => window.ready);
  await page.evaluate(() => {
    window.said = (promise) => promise.then(() => 'no error', (e) => `${e.name}: ${e.message}`);
  });
  return page;
}

/** A black-and-white PNG of `side` x `side` pixels, its left half white. */
function halves(side) {
  const chunk = (kind, data) => {
    const body = Buffer.concat([Buffer.from(kind), data]);
    const [length, sum] = [Buffer.alloc(4), Buffer.alloc(4)];
    length.writeUInt32BE(data.length);
    sum.writeUInt32BE(crc32(body));
    return Buffer.concat([length, body, sum]);
  };
  const head = Buffer.alloc(13);
  head.writeUInt32BE(side, 0);
  head.writeUInt32BE(side, 4);
  head[8] = 1;
  const row = Buffer.alloc(1 + Math.ceil(side / 8));
  row.fill(255, 1, 1 + side / 16);
  const data = deflateSync(Buffer.concat(Array.from({ length: side }, () => row)));
  return Buffer.concat([Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'), chunk('IHDR', head), chunk('IDAT', data), chunk('IEND', Buffer.alloc(0))]);
}

test('no WebGPU', async () => {
  const page = await blank();
  const message = await page.evaluate(() => {
    delete Navigator.prototype.gpu;
    return said(mbconv.load());
  });
  assert.match(message, /^NoWebGpuError: .*use a current Chrome/);
  await page.context().close();
});

test('the adapter is denied; a later load works', async () => {
  const [first, second] = await page.evaluate(async () => {
    const real = GPU.prototype.requestAdapter;
    GPU.prototype.requestAdapter = async () => null;
    const first = await said(mbconv.load());
    GPU.prototype.requestAdapter = real;
    const model = await mbconv.load();
    await model.dispose();
    return [first, model.name];
  });
  assert.match(first, /^NoAdapterError: .*hardware acceleration/);
  assert.equal(second, 'tf_efficientnet_lite0');
});

test('the device is lost in the middle of an inference; loading again works', async () => {
  const { during, after, label } = await page.evaluate(async () => {
    const picture = await (await fetch('/assets/coffee.png')).blob();
    const model = await mbconv.load();
    const running = said(model.classify(picture));
    setTimeout(() => model.device.destroy(), 20);
    const during = await running;
    const after = await said(model.classify(picture));
    await model.dispose();
    const again = await mbconv.load();
    const [{ label }] = await again.classify(picture);
    await again.dispose();
    return { during, after, label };
  });
  assert.match(during, /^DeviceLostError: .*load the model again/);
  assert.match(after, /^DeviceLostError/);
  assert.equal(label, 'espresso');
});

test('the download is cut off', async () => {
  const message = await page.evaluate(() => said(mbconv.load({ weights: '/cut.safetensors' })));
  assert.match(message, new RegExp(`^DownloadError: /cut\\.safetensors: cut off after \\d+ of ${weights.length} bytes`));
});

test('what is no such file is refused before all of it is there', async () => {
  const message = await page.evaluate(() => said(mbconv.load({ weights: '/zeros.safetensors' })));
  assert.match(message, /^CheckpointError: zeros\.safetensors: not a usable safetensors file/);
});

test('loads that failed hold no device', async () => {
  const lost = await page.evaluate(async () => {
    const model = await mbconv.load();
    await said(mbconv.load({ weights: '/cut.safetensors' }));
    await said(mbconv.load({ weights: new Uint8Array(8) }));
    await said(mbconv.load({ signal: AbortSignal.timeout(1) }));
    await model.dispose();
    return Promise.race([model.lost.then(({ reason }) => reason), new Promise((go) => setTimeout(go, 10_000, 'still there'))]);
  });
  assert.equal(lost, 'destroyed');
});

test('the address is wrong', async () => {
  const messages = await page.evaluate(async () => [
    await said(mbconv.load({ weights: '/nowhere.safetensors' })),
    await said(mbconv.load({ weights: 'http://localhost:1/x.safetensors' })),
  ]);
  assert.match(messages[0], /^DownloadError: .*404/);
  assert.match(messages[1], /^DownloadError: .*could not be fetched/);
});

test('the file is no file of weights, damaged, or those of another model', async () => {
  const messages = await page.evaluate(async () => {
    const weights = await bytes('/mbconv/efficientnet_lite0.safetensors');
    return [
      await said(mbconv.load({ weights: new TextEncoder().encode('these are not weights, whoever says so') })),
      await said(mbconv.load({ weights: new Uint8Array(0) })),
      await said(mbconv.load({ weights: weights.slice(0, 500_000) })),
      await said(mbconv.load({ weights, model: 'mobilenetv2_100' })),
      await said(mbconv.load({ weights, config: { architecture: 'efficientnet_b9' } })),
      await said(mbconv.load({ weights, config: '{"architecture": ' })),
      await said(mbconv.load({ weights, labels: ['one', 'two'] })),
      await said(mbconv.load({ weights: 42 })),
    ];
  });
  const wanted = [/^CheckpointError/, /^CheckpointError/, /^CheckpointError/, /^MismatchError.*looks like .*lite0/, /^UnknownNameError/, /^BadInputError.*not JSON/, /^BadInputError.*2 labels/, /^BadInputError/];
  wanted.forEach((pattern, i) => assert.match(messages[i], pattern));
});

test('a load is aborted, before, during and after the download', async () => {
  const { messages, progress } = await page.evaluate(async () => {
    const messages = [];
    const progress = [];
    messages.push(await said(mbconv.load({ signal: AbortSignal.abort() })));
    const stop = new AbortController();
    const loading = said(mbconv.load({ weights: '/slow.safetensors', signal: stop.signal, onProgress: (p) => progress.push(p) }));
    while (!(progress.at(-1)?.loaded > 0)) await new Promise((go) => setTimeout(go, 10));
    stop.abort(new Error('enough'));
    messages.push(await loading);
    return { messages, progress };
  });
  assert.match(messages[0], /^AbortError/);
  assert.match(messages[1], /^Error: enough/);
  assert.deepEqual(progress[0], { loaded: 0, total: weights.length });
});

test('streams, blobs, responses and buffers are weights as well', async () => {
  const names = await page.evaluate(async () => {
    const address = '/mbconv/efficientnet_lite0.safetensors';
    const names = [];
    for (const weights of [(await fetch(address)).body, await fetch(address), await (await fetch(address)).blob(), (await bytes(address)).buffer, new URL(address, location)]) {
      const model = await mbconv.load({ weights });
      names.push(model.name);
      await model.dispose();
    }
    return names;
  });
  assert.deepEqual(names, Array(5).fill('tf_efficientnet_lite0'));
});

test('a picture of 100 megapixels goes through in tiles, and gives what a smaller one gives', async () => {
  const { largest, difference } = await page.evaluate(async () => {
    let largest = 0;
    const real = GPUDevice.prototype.createTexture;
    GPUDevice.prototype.createTexture = function (descriptor) {
      largest = Math.max(largest, descriptor.size.width * descriptor.size.height);
      return real.call(this, descriptor);
    };
    const model = await mbconv.load();
    const logits = async (address) => (await model.run(await (await fetch(address)).blob())).outputs.logits.data;
    const [huge, small] = [await logits('/huge.png'), await logits('/small.png')];
    GPUDevice.prototype.createTexture = real;
    await model.dispose();
    const norm = Math.sqrt(small.reduce((sum, v) => sum + v * v, 0));
    return { largest, difference: Math.sqrt(huge.reduce((sum, v, i) => sum + (v - small[i]) ** 2, 0)) / norm };
  });
  console.log(`  largest texture ${(largest / 1e6).toFixed(1)} megapixels, logits ${difference.toExponential(1)} apart`);
  assert.ok(largest > 0 && largest < 18e6);
  // The edge between the halves falls on other fractions of a pixel.
  assert.ok(difference < 0.05, `${difference}`);
});

test('a picture of another origin is refused, and the model goes on', async () => {
  const { messages, label } = await page.evaluate(async (address) => {
    const picture = Object.assign(new Image(), { src: address });
    await picture.decode();
    const canvas = new OffscreenCanvas(64, 64);
    canvas.getContext('2d').drawImage(picture, 0, 0);
    const model = await mbconv.load();
    const messages = [];
    for (const source of [picture, canvas, await createImageBitmap(picture)]) messages.push(await said(model.classify(source)));
    const [{ label }] = await model.classify(await (await fetch('/assets/coffee.png')).blob());
    await model.dispose();
    return { messages, label };
  }, `${site.address.replace('localhost', '127.0.0.1')}/foreign.png`);
  for (const message of messages) assert.match(message, /^ImageError: the picture cannot be read: .*(origin|security)/i);
  assert.equal(label, 'espresso');
});

test('two tabs at once', async () => {
  const pages = await Promise.all([blank(), blank()]);
  const labels = await Promise.all(
    pages.map((page, i) =>
      page.evaluate(async (file) => {
        const model = await mbconv.load();
        const picture = await (await fetch(`/assets/${file}`)).blob();
        const labels = [];
        for (let n = 0; n < 3; n++) labels.push((await model.classify(picture, { k: 1 }))[0].label);
        await model.dispose();
        return labels;
      }, ['coffee.png', 'chelsea.png'][i]),
    ),
  );
  assert.deepEqual(labels, [Array(3).fill('espresso'), Array(3).fill('tiger cat')]);
  for (const page of pages) await page.context().close();
});

test('200 inferences in a row take no more memory than the first', async () => {
  const page = await blank();
  const session = await page.context().newCDPSession(page);
  const heap = async () => {
    await session.send('HeapProfiler.collectGarbage');
    return (await session.send('Runtime.getHeapUsage')).usedSize;
  };
  await page.evaluate(async () => {
    window.model = await mbconv.load({ weights: await mbconv.syntheticWeights('mobilenetv3_small_050'), model: 'mobilenetv3_small_050' });
    window.picture = await createImageBitmap(await (await fetch('/assets/coffee.png')).blob());
    window.made = 0;
    for (const name of ['createBuffer', 'createTexture', 'createComputePipeline', 'createShaderModule']) {
      const real = GPUDevice.prototype[name];
      GPUDevice.prototype[name] = function (...args) {
        made += 1;
        return real.apply(this, args);
      };
    }
    window.times = async (n) => {
      for (let i = 0; i < n; i++) await model.classify(picture);
      return { made, wasm: model.adapter.wasmBytes };
    };
  });
  const first = await page.evaluate(() => times(5));
  const before = await heap();
  const last = await page.evaluate(() => times(200));
  const grown = (await heap()) - before;
  console.log(`  wasm ${(last.wasm / 1e6).toFixed(1)} MB, JavaScript heap grew by ${(grown / 1e3).toFixed(0)} KB`);
  assert.deepEqual(last, first);
  assert.ok(grown < 300_000, `${grown}`);
  await page.context().close();
});

test('disposal waits for what runs, frees the device, and later calls are told', async () => {
  const { running, later, lost } = await page.evaluate(async () => {
    const model = await mbconv.load();
    const input = new Float32Array(224 * 224 * 3);
    const running = said(model.run(input));
    await model.dispose();
    const lost = (await model.lost).reason;
    return { running: await running, later: await said(model.run(input)), lost };
  });
  assert.equal(running, 'no error');
  assert.match(later, /^DisposedError: .*load it again/);
  assert.equal(lost, 'destroyed');
});
