// Bytes from wherever a caller has them.

import { failure } from './errors.js';

/** `{ name, bytes }` of a URL, `File`, `Blob`, `ArrayBuffer`, typed array, `Response` or stream. */
export async function read(source, signal, onProgress) {
  if (source instanceof ArrayBuffer) return { name: 'weights', bytes: new Uint8Array(source) };
  if (ArrayBuffer.isView(source)) {
    return { name: 'weights', bytes: new Uint8Array(source.buffer, source.byteOffset, source.byteLength) };
  }
  if (source instanceof ReadableStream) return { name: 'weights', bytes: await drain(source, 'the stream', 0, signal, onProgress) };
  if (source instanceof Blob) {
    const name = source.name ?? 'weights';
    return { name, bytes: await drain(source.stream(), name, source.size, signal, onProgress) };
  }
  if (source instanceof Response) return fromResponse(source, source.url || 'weights', signal, onProgress);
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
  return fromResponse(response, String(source), signal, onProgress);
}

async function fromResponse(response, place, signal, onProgress) {
  if (!response.ok) {
    throw failure('DownloadError', `${place}: the server answered ${response.status} ${response.statusText}`.trimEnd());
  }
  // Behind a content encoding the length is that of other bytes.
  const length = response.headers.get('content-encoding') ? 0 : Number(response.headers.get('content-length') ?? 0);
  const name = place.split(/[?#]/)[0].split('/').pop() || place;
  return { name, bytes: await drain(response.body, place, length, signal, onProgress) };
}

async function drain(stream, place, expected, signal, onProgress) {
  const chunks = [];
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
      chunks.push(value);
      loaded += value.byteLength;
      onProgress?.({ loaded, total: expected || undefined });
    }
  } catch (error) {
    if (signal?.aborted) throw signal.reason;
    throw cut(error);
  } finally {
    signal?.removeEventListener('abort', cancel);
  }
  if (expected && loaded < expected) throw cut();
  if (chunks.length === 1) return chunks[0];
  const bytes = new Uint8Array(loaded);
  let at = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, at);
    at += chunk.byteLength;
  }
  return bytes;
}
