import { launch, server, open } from './browser.mjs';
const b = await launch(); const s = await server();
const page = await open(b, s.address + '/pages/blank.html');
await page.waitForFunction(() => window.ready);
console.log(await page.evaluate(async () => {
  const a = await navigator.gpu.requestAdapter(); const i = a.info;
  const m = await mbconv.load();
  return { v: i.vendor, a: i.architecture, d: i.description, dev: i.device, f: i.isFallbackAdapter, keys: Object.getOwnPropertyNames(Object.getPrototypeOf(i)), facts: m.adapter };
}));
await b.close(); s.close();
