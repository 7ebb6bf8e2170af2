// A GPUDevice of ours, or of the application, for wgpu, which only knows how to ask `navigator.gpu` for one.

/**
 * Runs `open` while `navigator.gpu` offers exactly `device`. wgpu takes the property synchronously, so nobody else sees
 * the stand-in.
 */
export function handOver(device, adapter, open) {
  const { navigator } = globalThis;
  const info = adapter.info ?? {};
  const standIn = {
    features: device.features,
    limits: device.limits,
    info: {
      description: [info.vendor, info.architecture, info.description].filter(Boolean).join(' '),
      isFallbackAdapter: info.isFallbackAdapter ?? adapter.isFallbackAdapter ?? false,
      // 0 where shaders may not use them: wgpu does not know the feature in browsers.
      subgroupMinSize: device.features.has('subgroups') ? (info.subgroupMinSize ?? 0) : 0,
      subgroupMaxSize: info.subgroupMaxSize ?? 0,
    },
    requestDevice: async () => device,
  };
  const handler = device.onuncapturederror;
  const own = Object.getOwnPropertyDescriptor(navigator, 'gpu');
  Object.defineProperty(navigator, 'gpu', { configurable: true, value: { requestAdapter: async () => standIn } });
  let opening;
  try {
    opening = open();
  } finally {
    if (own) Object.defineProperty(navigator, 'gpu', own);
    else delete navigator.gpu;
  }
  return opening.finally(() => {
    // wgpu puts a handler of its own there; the application's stays.
    device.onuncapturederror = handler;
  });
}

/** Why the device is lost, if it is. */
export async function isLost(device) {
  // What failed because of the loss may be told before the loss itself: wait a little, not for ever.
  const info = await Promise.race([device.lost, new Promise((go) => setTimeout(go, 100))]);
  return info && (info.message || info.reason);
}
