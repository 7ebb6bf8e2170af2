// Bytes from wherever a caller has them.

import { failure } from './errors.js';

/**
 * The bytes of a URL, `File`, `Blob`, `ArrayBuffer`, typed array, `Response` or stream. `watch.onProgress` hears how many of
 * them are there, `watch.onBytes` the name and those that are there, and the size of all where it is known.
 */
export async function read(source, signal, watch = {}) {
  const whole = (bytes) => {
    watch.onBytes?.('weights', bytes, bytes.byteLength);
    return bytes;
  };
  if (source instanceof ArrayBuffer) return whole(new Uint8Array(source));
  if (ArrayBuffer.isView(source)) return whole(new Uint8Array(source.buffer, source.byteOffset, source.byteLength));
  if (source instanceof ReadableStream) return drain(source, 'the stream', 'weights', 0, signal, watch);
  if (source instanceof Blob) {
    const name = source.name ?? 'weights';
    return drain(source.stream(), name, name, source.size, signal, watch);
  }
  if (source instanceof Response) return fromResponse(source, source.url || 'weights', signal, watch);
  if (typeof source !== 'string' && !(source instanceof URL)) {
    throw failure('BadInputError', `weights: ${Object.prototype.toString.call(source)} is neither bytes nor a place of some`);
  }
  let response;
  try {
    response = await fetch(source, { signal });
  } catch (error) {
    if (signal?.aborted) throw signal.reason;
    throw failure('DownloadError', `${source}: could not be fetched (${error.message}): check the address and the connection`, error);
  }
  return fromResponse(response, String(source), signal, watch);
}

async function fromResponse(response, place, signal, watch) {
  if (!response.ok) {
    throw failure('DownloadError', `${place}: the server answered ${response.status} ${response.statusText}`.trimEnd());
  }
  // Behind a content encoding the length is that of other bytes.
  const length = response.headers.get('content-encoding') ? 0 : Number(response.headers.get('content-length') ?? 0);
  const name = place.split(/[?#]/)[0].split('/').pop() || place;
  return drain(response.body, place, name, length, signal, watch);
}

async function drain(stream, place, name, expected, signal, { onProgress, onBytes }) {
  let bytes = new Uint8Array(expected);
  let loaded = 0;
  const cut = (cause) =>
    failure('DownloadError', `${place}: cut off after ${loaded}${expected ? ` of ${expected}` : ''} bytes: load it again`, cause);
  onProgress?.({ loaded, total: expected || undefined });
  const reader = stream.getReader();
  const cancel = () => reader.cancel(signal.reason).catch(() => {});
  signal?.addEventListener('abort', cancel);
  try {
    for (;;) {
      const { done, value } = await reader.read();
      signal?.throwIfAborted();
      if (done) break;
      if (loaded + value.byteLength > bytes.byteLength) {
        const larger = new Uint8Array(2 * (loaded + value.byteLength));
        larger.set(bytes.subarray(0, loaded));
        bytes = larger;
      }
      bytes.set(value, loaded);
      loaded += value.byteLength;
      onProgress?.({ loaded, total: expected || undefined });
      if (expected) onBytes?.(name, bytes.subarray(0, loaded), expected);
    }
  } catch (error) {
    if (signal?.aborted) throw signal.reason;
    throw cut(error);
  } finally {
    signal?.removeEventListener('abort', cancel);
  }
  if (expected && loaded < expected) throw cut();
  bytes = bytes.subarray(0, loaded);
  onBytes?.(name, bytes, loaded);
  return bytes;
}
