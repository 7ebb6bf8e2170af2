import { load } from '/mbconv/index.js';

self.onmessage = async ({ data }) => {
  const model = await load();
  const [best] = await model.classify(data);
  await model.dispose();
  self.postMessage(best);
};
