import { launch, server, open } from '/tmp/wt/web/web/tests/browser.mjs';
process.env.CHROMIUM ??= '/usr/bin/chromium';
const b = await launch(); const s = await server();
const page = await open(b, s.address + '/pages/blank.html');
page.on('console', m => console.log('console:', m.text()));
await page.waitForFunction(() => window.ready);
const names = process.argv.slice(2);
for (const name of names) {
const r = await page.evaluate(async (name) => {
  const ref = await window.reference();
  const g = await ref.golden(await window.bytes('/goldens/' + name + '.safetensors'));
  const t0 = performance.now();
  const model = await mbconv.load({ weights: g.weights, model: g.arch });
  const t1 = performance.now();
  const out = await model.run(g.input, { shape: g.shape });
  const t2 = performance.now();
  let d = 0, n = 0; const y = out.outputs.logits.data;
  for (let i = 0; i < y.length; i++) { d += (y[i] - g.logits[i]) ** 2; n += g.logits[i] ** 2; }
  const [N,H,W,C] = model.describe().input;
  const x = new Float32Array(N*H*W*C).fill(0.5);
  await model.run(x);
  const ts = [];
  for (let i = 0; i < 5; i++) { const t = performance.now(); await model.run(x); ts.push(performance.now() - t); }
  const c = Object.assign(document.createElement('canvas'), {width: 300, height: 200}); c.getContext('2d').fillRect(0,0,100,100);
  const p = await model.profile(c);
  const by = {};
  p.steps.forEach((s) => { const k = s.kernel.split('.')[0] + (s.kernel.match(/:K=\d/)?.[0]??''); by[k] = (by[k] ?? 0) + s.ms; });
  const top = p.steps.map(s => [s.ms.toFixed(1), s.label, s.kernel.split('.')[0], s.shape, s.madds]).sort((a,b)=>b[0]-a[0]).slice(0,12);
  const adapter = model.adapter;
  await model.dispose();
  return { arch: g.arch, shape: g.shape, rel: Math.sqrt(d / n), load: t1 - t0, first: t2 - t1, ts, phases: p.phases, border: p.border, gpuClock: p.gpuClock, by, top, adapter };
}, name);
console.log(JSON.stringify(r, null, 1).replace(/\n\s+(?=[\d"\]-])/g, ' '));
}
await b.close(); s.close();
